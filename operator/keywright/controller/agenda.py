"""When each name is due: one heap of times and one timer for its top, instead of a timer per object."""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SPARE = 64  # entries that count no more, before it is worth the trouble to look for them


class Agenda:
    """Names and times of the loop's monotonic clock; `ring` is called with each name when it is due."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []  # `_due` says what counts of it
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, key: str) -> bool:
        """Return whether the name is yet to become due."""
        return key in self._due

    def put(self, key: str, when: float) -> None:
        """Have a name ring, unless it does so earlier anyway."""
        if self._due.get(key, float("inf")) <= when:
            return
        self._due[key] = when
        heapq.heappush(self._heap, (when, key))
        if len(self._heap) > 2 * len(self._due) + _SPARE:
            self._heap = [(time, name) for name, time in self._due.items()]
            heapq.heapify(self._heap)
        if self._heap[0] == (when, key):
            self._wind()

    def drop(self, key: str) -> None:
        """Have a name ring no more."""
        self._due.pop(key, None)

    def stop(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._due.clear()
        self._heap.clear()

    def _wind(self) -> None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._strike)

    def _strike(self) -> None:
        # The loop fires a timer up to its clock's resolution early; a name must not wait for another turn.
        now = asyncio.get_running_loop().time() + 0.001
        while self._heap and self._heap[0][0] <= now:
            when, key = heapq.heappop(self._heap)
            if self._due.get(key) == when:
                del self._due[key]
                self._ring(key)
        self._wind()
