"""Starting programs that outlive us, and ending exactly those.

A pid alone is no identity: by the time of `down` it may belong to someone else. With the start time that the
kernel keeps for it, it is one; both are recorded, and a process is signalled only when both still match.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.errors import ControlPlaneError

_KEPT_ENVIRONMENT = ("HOME", "LANG", "PATH", "TMPDIR")
_KILLED_SECONDS = 60.0


@dataclass(frozen=True)
class Process:
    name: str
    pid: int
    started: int
    """In clock ticks since boot, as the kernel counts them."""

    @property
    def alive(self) -> bool:
        return start_time(self.pid) == self.started


def start(name: str, command: Sequence[str | Path], *, directory: Path) -> Process:
    """Starts a program in its own session; it holds no descriptor but /dev/null and its log file."""
    environment = {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ}
    with (directory / f"{name}.log").open("ab") as log:
        # Not waited for: it outlives this process, and `alive` does not take a zombie for a living process.
        child = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    started = start_time(child.pid)
    return Process(name=name, pid=child.pid, started=-1 if started is None else started)


def stop(processes: Iterable[Process], *, grace_seconds: float = 1.0) -> None:
    """Ends the recorded processes and returns when none of them is left.

    The grace is short: all that an orderly end could save is thrown away right after it.
    """
    remaining = list(processes)
    for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, _KILLED_SECONDS)):
        for process in remaining:
            _signal(process, number)
        deadline = time.monotonic() + patience
        while (
            remaining := [process for process in remaining if process.alive]
        ) and time.monotonic() < deadline:
            time.sleep(0.02)
    if remaining:
        raise ControlPlaneError(f"could not end {', '.join(f'{one.name} ({one.pid})' for one in remaining)}")


def start_time(pid: int) -> int | None:
    """When the process with this pid started; None if there is none or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else int(fields[18])


def _signal(process: Process, number: signal.Signals) -> None:
    if process.alive:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return
