"""What has somebody asked of the API server? Counted by its audit log, which names each request."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from harness.writes import WRITING

if TYPE_CHECKING:
    from pathlib import Path


class Requests:
    """Requests of one user from now on."""

    def __init__(self, audit_log: Path, user: str) -> None:
        self._log = audit_log
        self._user = user
        self._offset = audit_log.stat().st_size

    def count(self, *, about: str | None = None) -> Counter[str]:
        """Return how many there were, as in "create secrets"; in the namespace `about` only, if named."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            # A log that is being written may end within a line.
            lines = file.read().rpartition(b"\n")[0].splitlines()
        needle = self._user.encode()
        entries = (json.loads(line) for line in lines if needle in line)
        return Counter(
            _name(entry)
            for entry in entries
            if entry["user"]["username"] == self._user
            and about in {None, entry.get("objectRef", {}).get("namespace")}
        )


def _name(entry: dict[str, dict[str, str]]) -> str:
    reference = entry.get("objectRef", {})
    resource = "/".join(reference[part] for part in ("resource", "subresource") if part in reference)
    return f"{entry['verb']} {resource}"


def writes(counted: Counter[str]) -> Counter[str]:
    """Return the writes among requests."""
    return Counter({what: count for what, count in counted.items() if what.split()[0] in WRITING})
