"""Whether the index may be asked: the port to whoever fills it."""

from __future__ import annotations

from typing import Protocol


class Readiness(Protocol):
    """Says until when what the index holds may be believed."""

    @property
    def trusted_until(self) -> float:
        """The last moment of the monotonic clock at which it may.

        Minus infinity before the first sync; afterwards the last contact with the API server, of the watch
        that has been without one for longest, plus the longest staleness.
        """
        ...

    def problems(self) -> list[str]:
        """Say what keeps the verifier from being ready, a sentence each."""
        ...
