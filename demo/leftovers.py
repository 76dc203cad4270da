"""What runs or stands because of the demo? Written down before it is made, so that any later run can end it.

A crash, a kill and KEEP=1 all leave the same behind: this record, and what it names.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from controlplane import processes
from controlplane.paths import clusters_root
from controlplane.processes import Process

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY: Path = clusters_root().parent / "demo"
_FILE = DIRECTORY / "demo.json"
_GRACE_SECONDS = 10


@dataclass(frozen=True)
class Leftovers:
    """The processes, and the namespaces made in a cluster that is not the demo's own."""

    processes: tuple[Process, ...] = ()
    namespaces: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether any of them still runs."""
        return any(process.alive for process in self.processes)

    def end_processes(self) -> None:
        """End each that still is the one that was started."""
        processes.stop(self.processes, grace_seconds=_GRACE_SECONDS)


def remember(left: Leftovers) -> None:
    """Write down what is about to stand."""
    DIRECTORY.mkdir(parents=True, exist_ok=True, mode=0o700)
    _FILE.write_text(json.dumps(asdict(left)))


def recall() -> Leftovers:
    """Read what an earlier run has left behind."""
    try:
        record = json.loads(_FILE.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return Leftovers()
    return Leftovers(tuple(Process(**one) for one in record["processes"]), tuple(record["namespaces"]))


def forget() -> None:
    """Note that nothing is left but the log."""
    _FILE.unlink(missing_ok=True)
