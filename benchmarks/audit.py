"""What has somebody asked of the API server? Counted by its audit log, which names each request."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from harness.writes import WRITING

if TYPE_CHECKING:
    from pathlib import Path


class Requests:
    """Requests of one user from now on."""

    def __init__(self, audit_log: Path, user: str) -> None:
        self._log = audit_log
        self._user = user
        self._offset = audit_log.stat().st_size

    async def until_quiet(self, *, seconds: float = 2) -> None:
        """Wait for so long a time without any: what was to be asked, Events too, is asked and answered."""
        end, last = self._offset, -1
        while last != end:
            last = end
            await asyncio.sleep(seconds)
            end = self._end_of_last(since=last)

    def count(self, *, namespace: str | None = None) -> Counter[str]:
        """Return how many of each kind, as in "create secrets", there were; of one namespace, if given."""
        return Counter(
            _kind(entry)
            for entry in self._entries()
            if namespace in {None, entry.get("objectRef", {}).get("namespace")}
        )

    def _end_of_last(self, *, since: int) -> int:
        """Return where in the log the last request ends; `since`, if there is none after that."""
        with self._log.open("rb") as file:
            file.seek(since)
            lines = file.read()
        found = lines.rfind(self._user.encode())
        end = lines.find(b"\n", found)
        return since if -1 in {found, end} else since + end + 1

    def _entries(self) -> list[dict[str, Any]]:
        with self._log.open("rb") as file:
            file.seek(self._offset)
            # A log that is being written may end within a line.
            lines = file.read().rpartition(b"\n")[0].splitlines()
        entries = [json.loads(line) for line in lines if self._user.encode() in line]
        return [entry for entry in entries if entry["user"]["username"] == self._user]


def writes(counted: Counter[str]) -> Counter[str]:
    """Return the writes among requests."""
    return Counter({what: count for what, count in counted.items() if what.split()[0] in WRITING})


def _kind(entry: dict[str, Any]) -> str:
    reference = entry.get("objectRef", {})
    resource = "/".join(reference[part] for part in ("resource", "subresource") if part in reference)
    return f"{entry['verb']} {resource or entry['requestURI']}"
