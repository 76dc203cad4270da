"""The audit log of a cluster that was started here, while the API server goes on writing it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def lines(log: Path, *, since: int = 0) -> list[str]:
    """Return the whole lines from an offset on: the last one may be half written."""
    with log.open("rb") as file:
        file.seek(since)
        return file.read().rpartition(b"\n")[0].decode().splitlines()


def entries(log: Path, *, since: int = 0) -> list[dict[str, Any]]:
    """Return the entries from an offset on."""
    return [json.loads(line) for line in lines(log, since=since)]
