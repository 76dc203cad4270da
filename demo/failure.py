"""What went wrong, and what to do about it."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on; the remedy is a sentence for the person before the terminal."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy
