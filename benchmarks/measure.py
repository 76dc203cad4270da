"""What has a process used, and what do many times come to?"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU seconds (user and system) since the start; resident memory in MB (10^6 bytes), now and at most."""

    cpu: float
    rss: float
    peak: float


def usage(pid: int) -> Usage:
    """Return what the kernel says of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rss, peak = (int(status[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    return Usage(cpu=(int(fields[11]) + int(fields[12])) / _TICKS, rss=rss, peak=peak)


def percentiles(times: Collection[float], *shares: int) -> list[float]:
    """Return for each share, in percent, the least of the times that so many of them do not exceed."""
    ordered = sorted(times)
    return [ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] for share in shares]
