"""The application behind the gateway: it answers with what reached it, and remembers it.

It parses nothing but lines, so that method, target and header names are seen as they were sent.
"""

from __future__ import annotations

import json
import socketserver
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase


class Received(NamedTuple):
    """One request, as it arrived."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for own, value in self.headers if own.lower() == name.lower()]

    def read_by_wsgi(self, name: str) -> list[str]:
        """Return every value that an application would find under this name where `_` and `-` are one."""
        wanted = _cgi(name)
        return [value for own, value in self.headers if _cgi(own) == wanted]


class Upstream:
    """Listens on `port` until `stop`; `hide` takes out of what it received what nobody may print."""

    def __init__(self, hide: Callable[[str], str] = str) -> None:
        self.received: list[Received] = []
        received = self.received

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while (request := _read(self.rfile, hide)) is not None:
                    received.append(request)
                    _answer(self.wfile, request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _cgi(name: str) -> str:
    return name.lower().replace("-", "_")


def _read(stream: BufferedIOBase, hide: Callable[[str], str]) -> Received | None:
    def line() -> str:
        return hide(stream.readline().decode("latin-1").rstrip("\r\n"))

    first = line()
    if not first:
        return None
    method, target, _version = first.split(" ", 2)
    headers = []
    while header := line():
        name, _, value = header.partition(":")
        headers.append((name, value.strip()))
    request = Received(method, target, tuple(headers))
    stream.read(int((request.values("content-length") or ["0"])[0]))
    return request


def _answer(stream: BufferedIOBase, request: Received) -> None:
    body = json.dumps(request._asdict()).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    stream.write(head if request.method == "HEAD" else head + body)
    stream.flush()
