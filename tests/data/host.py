"""A web server on this machine that gives pictures, and everything else that servers give in their place."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dori.data import fetching

Route = Callable[[BaseHTTPRequestHandler], None]


def jpeg(seed: int, size: tuple[int, int] = (96, 64), format: str = "JPEG") -> bytes:
    """A picture of coarse noise, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    content = BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(content, format)
    return content.getvalue()


def gives(content: bytes, code: int = 200, **headers: str) -> Route:
    """The whole content, with its length."""

    def route(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return route


def cuts(content: bytes, told: bool = True) -> Route:
    """Half of the content and the end of the connection; ``told``: the length of the whole."""

    def route(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if told:
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])
        request.close_connection = True

    return route


def in_turn(*routes: Route) -> Route:
    """One after another, the last for ever."""
    left = list(routes)
    return lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)


class Host:
    """``routes`` by path; ``asked``: the paths in the order in which they were asked for."""

    def __init__(self, port: int) -> None:
        self.port, self.routes = port, dict[str, Route]()
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.at_once, self.most = 0, 0

    def __call__(self, path: str, route: Route, name: str = "127.0.0.1") -> str:
        """The address of a path that gives this."""
        self.routes[path] = route
        return f"http://{name}:{self.port}{path}"


@contextmanager
def host() -> Iterator[Host]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with alone:
                own.asked.append(self.path)
                own.headers.append(dict(self.headers))
                own.at_once += 1
                own.most = max(own.most, own.at_once)
            try:
                own.routes.get(self.path, gives(b"none", 404))(self)
            finally:
                with alone:
                    own.at_once -= 1

        def log_message(self, *_: object) -> None:
            pass

    alone = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    own = Host(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield own
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Such a server, which may be asked although it is on this machine, and without waiting in between."""
    monkeypatch.setenv("DORI_PRIVATE_ADDRESSES", "1")
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    with host() as found:
        yield found
