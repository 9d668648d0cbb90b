"""What an address answers, where neither it nor what it leads to lies in a private network."""

import socket
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

import requests
from requests.exceptions import InvalidURL, TooManyRedirects

from dori.core.environment import PRIVATE, is_set

TIMEOUT = (10, 60)  # seconds: to be connected, and without a byte
REDIRECTS = 10


def answer(
    address: str, headers: Mapping[str, str], schemes: tuple[str, ...] = ("https",)
) -> requests.Response:
    """Of the address, or of where it leads, with its content still to be read; each step is looked at first.

    Args:
        schemes: https, whose certificate says that nobody else answers in that name; http besides, for what
            is looked at whoever gives it.

    Raises:
        requests.RequestException: it cannot be reached, may not be, or leads on and on.
    """
    for _ in range(REDIRECTS):
        _check_public(address, schemes)
        found = requests.get(
            address, headers=dict(headers), stream=True, allow_redirects=False, timeout=TIMEOUT
        )
        if not found.is_redirect:
            return found
        found.close()
        address = urljoin(address, found.headers["Location"])
    raise TooManyRedirects(f"it leads on {REDIRECTS} times")


def _check_public(address: str, schemes: tuple[str, ...]) -> None:
    if is_set(PRIVATE):
        return
    parts = urlsplit(address)
    if parts.scheme not in schemes:
        raise InvalidURL(f"{address} is not {' or '.join(schemes)}, which {PRIVATE}=1 would allow")
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except OSError:
        return  # not known here, as behind a proxy, which knows it
    if not all(ip_address(str(each[4][0]).partition("%")[0]).is_global for each in found):
        raise InvalidURL(f"{address} is in a private network, which {PRIVATE}=1 would allow")
