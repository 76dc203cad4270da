"""How long is a key good after its ApiKey was deleted? One request after another, until one is denied.

The moment of the deletion is that of the API server's answer, which kubectl tells with `-v=6`.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from demo.failure import DemoError

if TYPE_CHECKING:
    from types import TracebackType

_ANSWERED = re.compile(r'^I(\d{4} [\d:.]+) .* "Response" verb="DELETE" .* status="200 OK".*$', re.MULTILINE)
_SECONDS = 30


class Stopwatch(threading.Thread):
    """Asks while it is open; the first request that is denied stops it."""

    def __init__(self, port: int, path: str, key: str) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._path = path
        self._headers = {"Authorization": f"Bearer {key}"}
        self._begun = threading.Event()
        self.allowed = 0
        self.status = 0
        self.code = ""
        """Both of the first answer that was no 200; as they are here where there was none."""
        self._denied: datetime | None = None

    def __enter__(self) -> Self:
        """Begin; the first request has been answered."""
        self.start()
        self._begun.wait(_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the denial."""
        self.join(_SECONDS)

    def run(self) -> None:
        """Ask."""
        begun = datetime.now(UTC)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SECONDS)
        while datetime.now(UTC) - begun < timedelta(seconds=_SECONDS):
            connection.request("GET", self._path, headers=self._headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.HTTPStatus.OK:
                self.status, self._denied = answer.status, datetime.now(UTC)
                self.code = json.loads(body)["error"]["code"] if body else ""
                break
            self.allowed += 1
            self._begun.set()
        self._begun.set()
        connection.close()

    def milliseconds_since(self, kubectl_said: str) -> float:
        """Return how long after the API server's answer a request was denied first; below 0: even before."""
        found = _ANSWERED.search(kubectl_said)
        if found is None or self._denied is None:
            raise DemoError("there is nothing to measure between", "make demo starts afresh.")
        year = self._denied.astimezone().year  # kubectl leaves it out, and tells local time
        answered = datetime.strptime(f"{year}{found[1]}", "%Y%m%d %H:%M:%S.%f").astimezone()
        return (self._denied - answered) / timedelta(milliseconds=1)
