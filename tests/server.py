"""A server on this machine that gives files, cuts connections, and leads elsewhere."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dori.core import environment, fetching

CONTENT = bytes(range(256)) * 4096  # a MiB


class Server(ThreadingHTTPServer):
    """``files``: by their paths; ``mark``: of their version; ``cuts``: bytes after which connections end."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.cuts: list[int] = []
        self.files: dict[str, bytes] = {}
        self.mark = '"v1"'

    def at(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked has hung up."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name, wanted = self.path.removeprefix("/"), self.headers["Range"]
        self.server.asked.append((name, wanted))
        content = self.server.files.get(name.removeprefix("endless/"))
        if name.startswith("to/"):
            self.send_response(302)
            self.send_header("Location", name.removeprefix("to/"))
            self.end_headers()
        elif name == "page.pt":
            self._give(b"<html>sign in</html>", 200, {"Content-Type": "text/html; charset=utf-8"})
        elif content is None:
            self.send_error(404)
        elif wanted and self.headers["If-Range"] == self.server.mark:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if first < len(content):
                told = f"bytes {first}-{len(content) - 1}/{len(content)}"
                self._give(content[first:], 206, {"Content-Range": told})
            else:
                self.send_error(416)
        else:
            self._give(content, 200, {}, told=not name.startswith("endless/"))

    def _give(self, content: bytes, status: int, headers: dict[str, str], told: bool = True) -> None:
        self.send_response(status)
        for name, value in ({"ETag": self.server.mark} | headers).items():
            self.send_header(name, value)
        if told:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.server.cuts.pop(0)] if self.server.cuts else content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(environment.PRIVATE, "1")
    monkeypatch.delenv(environment.OFFLINE, raising=False)
    monkeypatch.setattr(fetching, "PAUSE", 0)
    with Server() as server:
        server.files["file.pt"] = CONTENT
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
