"""Waiting for what must come true, with a failure that says what was seen instead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Seen = TypeVar("Seen")

PATIENCE = 120.0
"""Seconds for what takes a moment: a machine that is many times slower must not make a test fail."""


def until(
    look: Callable[[], Seen], holds: Callable[[Seen], object], *, seconds: float = PATIENCE, what: str = ""
) -> Seen:
    """Look until what is seen is as wanted, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > deadline:
            wanted = what or "what was waited for"
            raise AssertionError(f"not within {seconds} s: {wanted}; last seen: {seen!r}")
        time.sleep(0.05)
