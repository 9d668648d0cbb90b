"""Pictures by their addresses: each fault that a server may have, and nothing that is half a picture."""

import socket
import struct
import threading
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from dori.core.errors import InputError
from dori.core.locks import locked
from dori.data import fetching, receiving
from dori.data.fetching import fetch_pictures
from dori.data.links import read_links, write_links
from dori.data.naming import name_of
from tests.data.host import cuts, gives, host, in_turn, jpeg


def pictures(folder: Path) -> dict[str, bytes]:
    """Everything in the folder that is not the table, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "links.csv"}


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header says that it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("form", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif")]
)
def test_a_picture_is_kept_as_it_was_given(web, tmp_path, form, suffix):
    address = web("/a", gives(jpeg(0, format=form)))
    fetch_pictures([address], tmp_path)
    assert pictures(tmp_path) == {f"{name_of(address)}.{suffix}": jpeg(0, format=form)}
    assert read_links(tmp_path) == {}


def test_what_is_there_is_not_asked_for_again_and_addresses_count_once(web, tmp_path):
    a, b = web("/a", gives(jpeg(0))), web("/b", gives(jpeg(1)))
    fetch_pictures([a, a], tmp_path)
    fetch_pictures([a, b], tmp_path)
    assert web.asked == ["/a", "/b"] and len(pictures(tmp_path)) == 2


DEAD = {
    "404": (gives(b"", 404), "404 Not Found"),
    "403": (gives(jpeg(0), 403), "403 Forbidden"),
    "page": (gives(b"<html>gone</html>", Content_Type="image/jpeg"), "no picture"),
    "empty": (gives(b""), "no picture"),
    "script of another program": (
        gives(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n"),
        "no picture",
    ),
    "tracking pixel": (gives(jpeg(0, (1, 1), "GIF")), "1 x 1 pixels"),
    "bomb": (gives(png_that_says(9000, 9000)), "9000 x 9000 pixels"),
    "larger bomb": (gives(png_that_says(60000, 60000)), "too many pixels"),
    "told to be large": (gives(b"", Content_Length=str(receiving.MOST + 1)), "bytes"),
    "reserved": (gives(jpeg(0), X_Robots_Tag="noindex, noai"), "X-Robots-Tag"),
    "circle": (gives(b"", 302, Location="/circle"), "10 times"),
    "other scheme": (gives(b"", 302, Location="ftp://127.0.0.1/a.jpg"), "ftp://"),
}


@pytest.mark.parametrize(("route", "why"), DEAD.values(), ids=DEAD)
def test_an_address_that_gives_no_picture_is_told_and_not_asked_again(web, tmp_path, route, why):
    address = web("/circle", route)
    fetch_pictures([address], tmp_path)
    link = read_links(tmp_path)[address]
    assert why in link.why and link.dead
    asked = len(web.asked)
    fetch_pictures([address], tmp_path)
    assert len(web.asked) == asked and pictures(tmp_path) == {}
    web("/circle", gives(jpeg(3)))
    fetch_pictures([address], tmp_path, dead=True)
    assert list(pictures(tmp_path).values()) == [jpeg(3)] and read_links(tmp_path) == {}


PASSING = {
    "cut": (cuts(jpeg(0)), "cut"),
    "cut, of unknown length": (cuts(jpeg(0), told=False), "cut or broken"),
    "500": (gives(b"", 500), "500"),
    "408": (gives(b"", 408), "408"),
    "nothing": (gives(b"", 204), "204"),
}


@pytest.mark.parametrize(("route", "why"), PASSING.values(), ids=PASSING)
def test_a_fault_that_may_pass_is_tried_twice_and_again_in_the_next_run(web, tmp_path, route, why):
    address = web("/a", route)
    fetch_pictures([address], tmp_path)
    assert web.asked == ["/a", "/a"] and pictures(tmp_path) == {}
    link = read_links(tmp_path)[address]
    assert why in link.why and not link.dead
    web("/a", gives(jpeg(0)))
    fetch_pictures([address], tmp_path)
    assert list(pictures(tmp_path).values()) == [jpeg(0)] and read_links(tmp_path) == {}


def test_a_cut_connection_is_tried_once_more(web, tmp_path):
    fetch_pictures([web("/a", in_turn(cuts(jpeg(0)), gives(jpeg(0))))], tmp_path)
    assert list(pictures(tmp_path).values()) == [jpeg(0)] and read_links(tmp_path) == {}


def test_a_server_that_does_not_say_its_length_gives_no_more_than_the_most(web, tmp_path, monkeypatch):
    monkeypatch.setattr(receiving, "MOST", 1000)
    large = jpeg(0, (600, 600))
    assert len(large) > 4000

    def endless(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(large)

    address = web("/a", endless)
    fetch_pictures([address], tmp_path)
    assert read_links(tmp_path)[address].why == "more than 1,000 bytes" and pictures(tmp_path) == {}


def test_a_server_that_drips_is_given_up(web, tmp_path, monkeypatch):
    monkeypatch.setattr(receiving, "SECONDS", 0.0)
    address = web("/a", gives(jpeg(0, (1200, 1200))))
    fetch_pictures([address], tmp_path)
    assert "seconds" in read_links(tmp_path)[address].why and pictures(tmp_path) == {}


def test_a_server_that_cannot_be_reached_is_no_dead_link(tmp_path, monkeypatch):
    monkeypatch.setenv("DORI_PRIVATE_ADDRESSES", "1")
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/a.jpg"
    fetch_pictures([address], tmp_path)
    link = read_links(tmp_path)[address]
    assert not link.dead and "cannot be reached" in link.why


def test_a_busy_server_is_waited_for_as_long_as_it_asks(web, tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(fetching.time, "sleep", slept.append)
    busy = gives(b"", 429, Retry_After="7")
    fetch_pictures([web("/a", in_turn(busy, gives(jpeg(0))))], tmp_path)
    assert 7 in slept and len(pictures(tmp_path)) == 1


@pytest.mark.parametrize("asked", ["3600", "Fri, 31 Dec 2099 23:59:59 GMT"])
def test_a_server_that_asks_for_longer_is_left_alone_with_all_its_pictures(web, tmp_path, asked):
    busy, well = web("/a", gives(b"", 503, Retry_After=asked)), web("/b", gives(jpeg(1)))
    fetch_pictures([busy, well], tmp_path)
    assert web.asked == ["/a"] and set(read_links(tmp_path)) == {busy}
    web("/a", gives(jpeg(0)))
    fetch_pictures([busy, well], tmp_path)
    assert len(pictures(tmp_path)) == 2 and read_links(tmp_path) == {}


def test_a_picture_for_which_a_host_is_always_busy_keeps_nobody_from_the_others(web, tmp_path):
    busy, well = web("/a", gives(b"", 503)), web("/b", gives(jpeg(1)))
    fetch_pictures([busy, well], tmp_path)
    assert set(web.asked) == {"/a"}
    fetch_pictures([busy, well], tmp_path)
    assert list(pictures(tmp_path).values()) == [jpeg(1)] and set(read_links(tmp_path)) == {busy}


def test_a_host_is_asked_for_one_picture_at_a_time_and_told_who_asks(web, tmp_path):
    def slow(request):
        time.sleep(0.02)
        gives(jpeg(0))(request)

    fetch_pictures([web(f"/{place}", slow) for place in range(6)], tmp_path)
    assert web.most == 1 and len(pictures(tmp_path)) == 6
    assert all(headers["User-Agent"].startswith("dori/") for headers in web.headers)


def test_hosts_are_asked_side_by_side(web, tmp_path):
    together = threading.Barrier(3, timeout=10)  # each waits until all are asked

    def waits(request):
        together.wait()
        gives(jpeg(0))(request)

    with host() as second, host() as third:
        fetch_pictures([each("/a", waits) for each in (web, second, third)], tmp_path)
    assert len(pictures(tmp_path)) == 3 and not together.broken


def addresses_of(monkeypatch, public: set[str]):
    """Names that everybody knows, as if they were public; to connect to them leads to this machine."""
    known = socket.getaddrinfo

    def found(name, port, *rest, **named):
        if name in public:
            address = "93.184.215.14" if port is None else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))]
        return known(name, port, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize("to", ["http://127.0.0.1:{}/inside.jpg", "http://169.254.169.254/a.jpg", "http://[::1]/a.jpg",
                                "http://10.1.2.3/a.jpg"])  # fmt: skip
def test_nothing_is_asked_of_a_private_network_also_where_a_redirect_leads_there(tmp_path, monkeypatch, to):
    addresses_of(monkeypatch, {"pictures.test"})
    with host() as web:
        web("/inside.jpg", gives(jpeg(0)))
        direct = to.format(web.port)
        leads = web("/leads.jpg", gives(b"", 302, Location=direct), "pictures.test")
        fetch_pictures([leads, direct, web("/fine.jpg", gives(jpeg(1)), "pictures.test")], tmp_path)
        assert sorted(web.asked) == ["/fine.jpg", "/leads.jpg"]
    links = read_links(tmp_path)
    assert set(links) == {leads, direct} and all(link.dead for link in links.values())
    assert all("private network" in link.why for link in links.values())
    assert list(pictures(tmp_path).values()) == [jpeg(1)]


def test_what_a_killed_run_left_is_no_picture(web, tmp_path):
    address = web("/a", gives(jpeg(0)))
    (tmp_path / f"{name_of(address)}.jpg.tmp").write_bytes(jpeg(0)[:200])
    fetch_pictures([address], tmp_path)
    assert (tmp_path / f"{name_of(address)}.jpg").read_bytes() == jpeg(0)


def test_what_was_fetched_before_an_interruption_is_kept(web, tmp_path, monkeypatch):
    def interrupted(address, stem):
        if address.endswith("/b"):
            raise KeyboardInterrupt
        receive(address, stem)

    receive = receiving.receive
    a, b, c = (web(path, gives(jpeg(seed))) for seed, path in enumerate(("/a", "/b", "/c")))
    monkeypatch.setattr(fetching, "receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch_pictures([a, b, c], tmp_path)
    assert web.asked == ["/a"]
    monkeypatch.setattr(fetching, "receive", receive)
    fetch_pictures([a, b, c], tmp_path)
    assert web.asked == ["/a", "/b", "/c"] and len(pictures(tmp_path)) == 3


def test_offline_and_a_second_process_are_refused(web, tmp_path, monkeypatch):
    address = web("/a", gives(jpeg(0)))
    with locked(tmp_path / "fetch.lock"), pytest.raises(InputError, match="another dori data fetch"):
        fetch_pictures([address], tmp_path)
    monkeypatch.setenv("DORI_OFFLINE", "1")
    with pytest.raises(InputError, match="DORI_OFFLINE is set"):
        fetch_pictures([address], tmp_path)
    assert web.asked == []


def test_links_are_read_as_they_were_written(tmp_path):
    from dori.data.links import Link

    links = {
        a: Link(a, 'a "reason", with\na second line', dead)
        for a, dead in (("http://a/é,b", True), ("b", False))
    }
    write_links(tmp_path, links)
    assert read_links(tmp_path) == links


def test_every_picture_that_is_kept_can_be_read(web, tmp_path):
    fetch_pictures([web("/a", gives(jpeg(0)))], tmp_path)
    (path,) = (path for path in tmp_path.iterdir() if path.suffix == ".jpg")
    with Image.open(path) as image:
        assert image.size == (96, 64)
