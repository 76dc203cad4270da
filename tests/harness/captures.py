"""What a person sees at a terminal, kept as a document: only what differs from run to run is put right.

Key ids, digests, UIDs, ages and times become the same ones in every run, and tables are set anew, as their
columns are as wide as what stood in them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

IDS = (
    "7f3k2m9q0r4t6v8x",
    "c5w8d1x7h0n3p6z2",
    "m4b9v2k7t1s6q0r8",
    "h8j3y6f1a9g4e7u2",
    "p2z7c4q9w1l6n8d3",
    "t6u1g5r0x3b8k4v9",
)
BEGINNING = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOON = timedelta(minutes=30)

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_UID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_VERSION = re.compile(r"(Resource Version:\s+)\d+")
_AGE = re.compile(r"\d+[smhd](\d+[smh])?")
_AGES = {"AGE", "LAST SEEN", "Age"}
_COLUMN = re.compile(r"\S+(?: \S+)*")


class Captures:
    """Commands with what they showed, between the words that explain them."""

    def __init__(self, run: Callable[[list[str]], str]) -> None:
        self._run = run
        self._parts: list[str] = []

    def say(self, text: str) -> None:
        """Write a paragraph, or a heading."""
        self._parts.append(f"{text}\n")

    def show(self, text: str, language: str) -> None:
        """Write a file's content."""
        self._parts.append(f"```{language}\n{text.strip()}\n```\n")

    def capture(self, *commands: str, keep: Callable[[str], bool] | None = None) -> None:
        """Run commands, and write them down with what they print; `keep` chooses among the lines."""
        shown = []
        for command in commands:
            output = self._run(_words(command))
            if keep is not None:
                output = "\n".join(line for line in output.splitlines() if keep(line))
            shown.append(f"$ kubectl {command}\n{_refusals_in_order(output.strip())}")
        self._parts.append("```console\n" + "\n".join(shown) + "\n```\n")

    def document(self, *, began: datetime, ids: Iterable[str]) -> str:
        """Return everything that was written, put right."""
        text = "\n".join(self._parts)
        for real, stable in zip(ids, IDS, strict=False):
            text = text.replace(real, stable)
        text = _TIME.sub(lambda found: _stable(found[0], began), text)
        text = _UID.sub("9d2f6c1e-7a43-4b58-8e0d-3f1a2b4c5d6e", text)
        text = _DIGEST.sub("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", text)
        text = _VERSION.sub(r"\g<1>4711", text)
        return _with_tables_set(text)


def _refusals_in_order(output: str) -> str:
    """Return an output with its list of refusals, which the API server gives in any order, in one order."""
    lines = output.splitlines()
    return "\n".join([line for line in lines if line[:2] != "* "] + sorted(x for x in lines if x[:2] == "* "))


def _words(command: str) -> list[str]:
    """Split a command as a shell does where there is nothing but single quotes."""
    return [word.replace("'", "") for word in re.findall(r"(?:[^\s']|'[^']*')+", command)]


def _stable(text: str, began: datetime) -> str:
    """Return a time as if the run had begun at the beginning: what is hours away stays that."""
    since = datetime.fromisoformat(text) - began
    hours = timedelta() if abs(since) < SOON else timedelta(hours=round(since / timedelta(hours=1)))
    return (BEGINNING + hours).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_tables_set(text: str) -> str:
    lines, table, done = text.splitlines(), list[str](), list[str]()
    for line in [*lines, ""]:
        begins = not table and _begins_table(line)
        if begins or (table and line and not line.startswith(("```", "$ "))):
            table.append(line)
            continue
        done += [*_set(table), line]
        table = []
    return "\n".join(line.rstrip() for line in done)


def _begins_table(line: str) -> bool:
    columns = re.split(r"\s{2,}", line.strip())
    return len(columns) > 1 and (line.isupper() or columns[:2] == ["Type", "Reason"])


def _set(table: list[str]) -> list[str]:
    """Set a table anew: cells of a column below one another, three blanks between."""
    if not table:
        return []
    indent = len(table[0]) - len(table[0].lstrip())
    starts = [found.start() for found in _COLUMN.finditer(table[0])]
    ends = [*starts[1:], None]
    rows = [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in table]
    aged = [number for number, name in enumerate(rows[0]) if name in _AGES]
    for row in rows[1:]:
        for number in aged:
            row[number] = _AGE.sub("1m", row[number])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    gap = " " * (2 if indent else 3)
    return [
        " " * indent + gap.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows
    ]
