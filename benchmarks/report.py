"""How do the figures read? As a table, and beside each goal how far it is met."""

from __future__ import annotations

import io
import os
import platform
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from controlplane.binaries import pinned_version

_WIDTH = 120
_COLUMNS = (
    ("rate", "keys/s", "{:.0f}"),
    ("latency_p50", "p50 s", "{:.2f}"),
    ("latency_p95", "p95 s", "{:.2f}"),
    ("latency_p99", "p99 s", "{:.2f}"),
    ("cpu_ms_per_key", "CPU ms/key", "{:.1f}"),
    ("peak_rss_mb", "peak MB", "{:.0f}"),
    ("writes_per_key", "writes/key", "{:.2f}"),
    ("apiserver_cpu_seconds", "API server CPU s", "{:.1f}"),
)
_GOALS = {
    "rate keywright/ceiling": "at least 0.70",
    "rate keywright/textbook": "at least 1.00",
    "cpu_seconds keywright/textbook": "at most 0.50",
    "peak_rss_mb keywright/textbook": "at most 0.50",
    "rate keywright-admission/keywright": "the gain of a finalizer set at admission",
    "late_last": "less than 60 s",
    "ready_after": "at most 30 s",
    "secret_and_status_writes": "0",
    "rss_mb": "at most 250 at 10,000 keys",
}


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    return {
        "cpus": os.cpu_count(),
        "memory_gb": round(int(total.split()[1]) * 1024 / 1e9),
        "python": platform.python_version(),
        "kubernetes": pinned_version(),
    }


def text(found: dict[str, Any]) -> str:
    """Return the figures as people read them."""
    about = found["machine"]
    title = (
        f"{found['keys']:,} keys, {about['cpus']} CPUs, {about['memory_gb']} GB, "
        f"Python {about['python']}, Kubernetes {about['kubernetes']}"
    )
    if found["benchmark"] != "race":
        return _printed(title, _figures(found))
    title += f", medians of {found['runs']} interleaved runs"
    return _printed(title, _contenders(found["contenders"]), _figures(found["ratios"]))


def _contenders(contenders: dict[str, Any]) -> Table:
    table = Table("", *(heading for _, heading, _ in _COLUMNS))
    for name, one in contenders.items():
        table.add_row(name, *(form.format(one["median"][figure]) for figure, _, form in _COLUMNS))
    return table


def _figures(figures: dict[str, Any]) -> Table:
    table = Table("", "measured", "goal")
    for name, value in figures.items():
        if name not in {"benchmark", "machine", "keys"}:
            table.add_row(name, _shown(value), _GOALS.get(name, ""))
    return table


def _shown(value: Any) -> str:
    match value:
        case float():
            return f"{value:.2f}"
        case dict():
            return "\n".join(f"{round(number, 2):g} {what}" for what, number in value.items())
        case _:
            return str(value)


def _printed(title: str, *tables: Table) -> str:
    page = io.StringIO()
    Console(file=page, width=_WIDTH, highlight=False).print(title, *tables, sep="\n")
    return page.getvalue().rstrip()
