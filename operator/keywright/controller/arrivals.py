"""Since when each ApiKey has waited for its first key.

The API server writes whole seconds, and a mint takes a fraction of one. So an ApiKey is taken to have been
created when it was first heard of; where that was long after (the operator was down, or the watch was
late), at the end of the second that its creationTimestamp names: never more than a second too late.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from keywright.api.apikey import ApiKey
    from keywright.controller.cache import Summary

_RESOLUTION = timedelta(seconds=1)


class Arrivals:
    """ApiKeys without a key, by UID, and when this process first heard of each."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._heard: dict[str, datetime] = {}

    def observe(self, summary: Summary, *, gone: bool) -> None:
        """Take note of an ApiKey that a watch tells of."""
        if gone or summary.revision:
            self._heard.pop(summary.uid, None)
        elif summary.uid not in self._heard:
            self._heard[summary.uid] = self._clock()

    def time_of(self, api_key: ApiKey) -> datetime | None:
        """Return when an ApiKey that still waits was created; nothing of any other."""
        heard, created = self._heard.get(api_key.metadata.uid), api_key.metadata.creation_timestamp
        return min(heard, created + _RESOLUTION) if heard is not None and created is not None else None
