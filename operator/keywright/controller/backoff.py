"""How long to wait after an error: by whether the same attempt can be expected to go better.

| error | wait |
| --- | --- |
| not heard, not leading, 401, 429, 5xx | 0.25 s doubling to 5 s, and never less than Retry-After |
| 404, 409 | 0.05 s doubling to 5 s: the next pass looks again |
| refused (403, 422, other 4xx), anything unforeseen | 1 s doubling to 5 min: it repeats until someone acts |
"""

from __future__ import annotations

import random

from keywright.kube.errors import ApiError, NotLeadingError, TransportError

LONGEST = 300.0
_SHORT = 5.0
_RACES = frozenset({404, 409})
_BUSY = frozenset({401, 429})


def delay(error: Exception, failures: int, *, jitter: float | None = None) -> float:
    """Return the seconds until the next attempt, after `failures` attempts in a row that failed.

    `jitter` in 0..1 takes up to half of it away, so that many objects do not come back at once.
    """
    first, longest = _range(error)
    # The exponent is bounded: 2.0 ** 2000 is an OverflowError.
    wait = min(first * 2.0 ** min(failures - 1, 20), longest)
    jitter = random.random() if jitter is None else jitter  # noqa: S311  spreads load, hides nothing
    return max(wait * (1 - jitter / 2), asked_for(error))


def asked_for(error: Exception) -> float:
    """Return the seconds for which the API server asked to be left alone; more than 5 min is not believed."""
    asked = error.retry_after if isinstance(error, ApiError) else None
    return min(asked or 0.0, LONGEST)


def _range(error: Exception) -> tuple[float, float]:
    if isinstance(error, (TransportError, NotLeadingError)):
        return 0.25, _SHORT
    if not isinstance(error, ApiError):
        return 1.0, LONGEST
    if error.status in _RACES:
        return 0.05, _SHORT
    if error.status in _BUSY or error.status >= 500:
        return 0.25, _SHORT
    return 1.0, LONGEST
