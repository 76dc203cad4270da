"""Waiting for what must come true, with a failure that says what was seen instead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Seen = TypeVar("Seen")


def until(
    look: Callable[[], Seen], holds: Callable[[Seen], object], *, seconds: float = 20, what: str = ""
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
