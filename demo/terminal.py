"""How does it look? Headings, narration, commands with their output, and one table.

In a terminal with colours; anywhere else as plain text, unwrapped, because a log keeps its own lines.
Whatever has the form of a raw key is masked before it is printed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from keywright.logs import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STATE_COLOURS = {"Active": "green", "Retiring": "yellow", "Revoked": "red"}


class Terminal:
    """Where the story is told."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._errors = Console(highlight=False, soft_wrap=True, stderr=True)

    def title(self, text: str) -> None:
        """Print the first line."""
        self._console.print(f"\n[bold]{escape(text)}[/]")

    def chapter(self, text: str) -> None:
        """Print the heading of a chapter."""
        self._console.print(f"\n[bold cyan]── {escape(text)}[/] [cyan]{'─' * max(3, 76 - len(text))}[/]")

    def say(self, text: str) -> None:
        """Print a sentence of the narrator."""
        self._console.print(f"\n[italic]{escape(text)}[/]")

    def command(self, line: str) -> None:
        """Print a command as a person would type it."""
        self._console.print(f"[bold green]$[/] [bold]{escape(line)}[/]")

    def output(self, text: str) -> None:
        """Print what a command printed."""
        for line in text.rstrip("\n").splitlines():
            self._console.print(Text(mask(line)))

    def result(self, text: str) -> None:
        """Print what was measured."""
        self._console.print(f"\n[bold green]→ {escape(text)}[/]")

    def log(self, program: str, lines: Iterable[str]) -> None:
        """Print what a program logged."""
        for line in lines:
            self._console.print(f"[magenta]{program} |[/] [dim]{escape(mask(line))}[/]")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table; words that are a state have its colour."""
        lines = [tuple(columns), *(tuple(row) for row in rows)]
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        for number, line in enumerate(lines):
            text = Text(style="" if number else "bold")
            for cell, width in zip(line, widths, strict=True):
                text.append(cell.ljust(width + 3), style=_STATE_COLOURS.get(cell))
            text.rstrip()
            self._console.print(text)

    def failure(self, problem: str, remedy: str) -> None:
        """Print why the demo ends early."""
        self._errors.print(f"\n[bold red]demo:[/] {escape(mask(problem))}")
        self._errors.print(f"[bold]{escape(remedy)}[/]")

    def show_progress(self) -> None:
        """Print what the control plane tells of its start and, on first use, of its build."""
        handler = _Progress(self._console)
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class _Progress(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(f"[dim]{escape(record.getMessage())}[/]")
