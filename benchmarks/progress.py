"""How does whoever waits see that something moves? On standard error: standard output is the result."""

from __future__ import annotations

import sys
import time

_EVERY = 10.0


class Progress:
    """Says what is being done, and now and then how far it is."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()

    def say(self, text: str) -> None:
        """Say what begins or has been found."""
        self._last = time.monotonic()
        print(f"[{self._last - self._begun:6.1f} s] {text}", file=sys.stderr, flush=True)

    def count(self, done: int, total: int) -> None:
        """Say how far it is, unless something was said a short while ago."""
        if time.monotonic() - self._last > _EVERY:
            self.say(f"  {done:,} of {total:,}")
