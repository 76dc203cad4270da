"""A verifier's operations port as far as `/usage` goes, obedient or not."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

TOKEN = "a-token-that-no-log-shows"
"""What `UsagePort` takes unless it is told otherwise."""


class Given(NamedTuple):
    """What a `misbehaves` answers instead; `pause` seconds lie between any two of 16 pieces of the body."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    pause: float = 0.0


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of a connection that the other side has cut."""


class UsagePort:
    """Serves records by the agreed pages, to whoever has the token; `misbehaves` answers in its place."""

    def __init__(self, *, per_page: int = 5000) -> None:
        self.boot = "boot-1"
        self.records: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[tuple[int, int]] = []
        self.refused = 0
        self.misbehaves: Callable[[], Given] | None = None
        self._mark = 1
        self._per_page = per_page
        port = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                port._serve(self)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def use(self, api_key: dict[str, Any], at: datetime | str, key_id: str | None = None) -> None:
        """Have a key of an ApiKey used; the current one, unless another is named."""
        metadata = api_key["metadata"]
        record = {
            "apiKey": f"{metadata['namespace']}/{metadata['name']}",
            "uid": metadata["uid"],
            "project": f"{metadata['namespace']}/payments",
            "keyId": key_id or api_key["status"]["currentKeyID"],
            "requests": 1,
            "denied": {},
            "lastUsedAt": at if isinstance(at, str) else at.isoformat().replace("+00:00", "Z"),
            "networks": ["10.0.0.0/24"],
            "moreNetworks": False,
            "minutes": [],
        }
        self.records.append((self._mark, record))

    def restart(self) -> None:
        """Be another process, that has counted nothing yet."""
        self.boot, self.records, self._mark = f"{self.boot}x", [], 1

    def page(self, since: int, after: int) -> dict[str, Any]:
        """Return a page as a verifier does."""
        part = self.records[after : after + self._per_page]
        following = after + len(part) if after + self._per_page < len(self.records) else None
        mark, self._mark = self._mark, self._mark + 1
        keys = [record for changed, record in part if changed > since]
        return {"boot": self.boot, "mark": mark, "next": following, "keys": keys}

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        target = urlsplit(request.path)
        query = {name: int(values[0]) for name, values in parse_qs(target.query).items()}
        if self.misbehaves is not None:
            given = self.misbehaves()
        elif request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refused += 1
            given = Given(401)
        elif target.path != "/usage":
            given = Given(404)
        else:
            self.asked.append((query["since"], query["after"]))
            given = Given(body=json.dumps(self.page(query["since"], query["after"])).encode())
        try:
            _answer(request, given)
        except OSError:  # whoever asked has gone
            request.close_connection = True


def _answer(request: BaseHTTPRequestHandler, given: Given) -> None:
    request.send_response(given.status)
    for name, value in (("Content-Length", str(len(given.body))), *given.headers):
        request.send_header(name, value)
    request.end_headers()
    piece = max(1, len(given.body) // 16) if given.pause else max(1, len(given.body))
    for begin in range(0, len(given.body), piece):
        request.wfile.write(given.body[begin : begin + piece])
        request.wfile.flush()
        time.sleep(given.pause)
