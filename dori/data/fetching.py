"""Pictures fetched by their addresses: what is at hand is not asked for, and each host for one at a time."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event, Lock
from urllib.parse import urlsplit

from tqdm import tqdm

from dori.core.disk import CACHE, room
from dori.core.environment import OFFLINE, is_set
from dori.core.errors import InputError
from dori.core.locks import locked
from dori.data.links import Link, read_links, write_links
from dori.data.naming import fetched, name_of
from dori.data.receiving import NoPicture, NotNow, receive

HOSTS = 16  # that are asked at the same time
PAUSE, LONGEST = 2.0, 60.0  # seconds before a second attempt, and the most that a server may make of them


def fetch_pictures(addresses: Iterable[str], folder: Path, dead: bool = False) -> None:
    """Fetch what is not in ``folder`` yet, and keep there what addresses gave none, and why (``links.csv``).

    Args:
        dead: ask dead links again.

    Raises:
        InputError: offline, or another process is at it.
        Failure: the disk is full.
    """
    if is_set(OFFLINE):
        raise InputError(f"{OFFLINE} is set: fetch the pictures elsewhere, or name a folder that has them")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with room(folder, CACHE), locked(folder / "fetch.lock", wait=False):
            _fetch(addresses, folder, dead)
    except BlockingIOError as error:
        raise InputError(f"another dori data fetch writes to {folder}: wait until it is done") from error


def _fetch(addresses: Iterable[str], folder: Path, dead: bool) -> None:
    there, links = fetched(folder), read_links(folder)
    hosts: dict[str, list[str]] = {}
    # last what failed before, lest it keeps a host from ever being asked for the others
    for address in sorted(dict.fromkeys(addresses), key=links.__contains__):
        known = address in links and links[address].dead and not dead
        if name_of(address) not in there and not known:
            hosts.setdefault(urlsplit(address).netloc, []).append(address)
    stop, alone = Event(), Lock()
    bar = tqdm(total=sum(map(len, hosts.values())), unit="picture", disable=None)

    def told(address: str, link: Link | None) -> None:
        with alone:
            bar.update()
            if links.pop(address, None) != link:
                links.update({address: link} if link else {})
                write_links(folder, links)

    with bar, ThreadPoolExecutor(HOSTS) as pool:
        try:
            list(pool.map(partial(_of_host, folder=folder, told=told, stop=stop), hosts.values()))
        except BaseException:
            stop.set()
            raise


def _of_host(
    addresses: list[str], folder: Path, told: Callable[[str, Link | None], None], stop: Event
) -> None:
    """One after another, until the host asks to be left alone."""
    for address in addresses:
        if stop.is_set():
            return
        link = None
        try:
            _patiently(address, folder / name_of(address))
        except NoPicture as error:
            link = Link(address, str(error), True)
        except NotNow as error:
            link = Link(address, str(error), False)
            if error.busy:
                told(address, link)
                return
        told(address, link)


def _patiently(address: str, stem: Path) -> None:
    """With a second attempt, after as long as the server asks for."""
    try:
        receive(address, stem)
    except NotNow as error:
        wait = PAUSE if error.wait is None else error.wait
        if wait > LONGEST:
            raise
        time.sleep(wait)
        receive(address, stem)
