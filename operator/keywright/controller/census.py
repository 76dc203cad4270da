"""How the objects are, by kind, reason and state: gauges that are counted when somebody asks.

All of it comes from what the cache knows in short, in one go over it; a count kept at each event would have
to survive every order in which events and answers arrive. Every replica knows all objects and says the same.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from keywright.api.apikey import GenerationState
from keywright.api.reasons import ProjectReason, ReadyReason, RevocationReadyReason
from keywright.controller.metrics import Family
from keywright.keys.generations import MAX_BESIDE
from keywright.keys.policies import STOPPING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from enum import StrEnum

    from keywright.controller.cache import Cache, Summary

OVERDUE_AFTER = 60.0  # seconds; a rotation on time takes less than one, and many at once take turns

API_KEYS = Family(
    "keywright_apikeys", "gauge", "ApiKeys, by why they are, or are not, Ready.", ("reason", "ready")
)
PROJECTS = Family("keywright_projects", "gauge", "Projects, likewise.", ("reason", "ready"))
REVOCATIONS = Family(
    "keywright_revocations",
    "gauge",
    "Revocations, likewise, the operator's own records included.",
    ("reason", "ready"),
)
KEYS = Family("keywright_keys", "gauge", "Generations in the status of ApiKeys.", ("state",))
OVERDUE = Family(
    "keywright_rotations_overdue",
    "gauge",
    f"ApiKeys whose rotation has been due for {OVERDUE_AFTER:.0f} s, unless something stops it on purpose.",
)
NEXT_EXPIRY = Family(
    "keywright_next_expiry_timestamp_seconds",
    "gauge",
    "When the first key will expire that no rotation replaces before; absent where there is none.",
)
FAMILIES = (API_KEYS, PROJECTS, REVOCATIONS, KEYS, OVERDUE, NEXT_EXPIRY)

_READY: dict[str, tuple[Family, StrEnum]] = {
    "apikey": (API_KEYS, ReadyReason.ACTIVE),
    "project": (PROJECTS, ProjectReason.ACCEPTED),
    "revocation": (REVOCATIONS, RevocationReadyReason.IN_FORCE),
}
_UNKNOWN = "Unknown"
_VALID = (GenerationState.ACTIVE, GenerationState.RETIRING)
# An ApiKey shows Expired only while nothing may replace its key.
_STOPPED = frozenset({*STOPPING, ReadyReason.EXPIRED, ReadyReason.DELETING})


class Census:
    """A collector of Prometheus' over the cache; `clock` returns seconds since 1970."""

    def __init__(self, cache: Cache, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._clock = clock

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name what there is, without counting."""
        return map(_empty, FAMILIES)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count."""
        now = self._clock()
        for kind in _READY:
            yield self._by_reason(kind)
        yield self._by_state()
        going_on = [one for one in self._cache.summaries() if _goes_on(one)]
        overdue = _empty(OVERDUE)
        overdue.add_metric((), sum(_overdue(one, now - OVERDUE_AFTER) for one in going_on))
        yield overdue
        yield _next_expiry(going_on, now)

    def _by_reason(self, kind: str) -> GaugeMetricFamily:
        described, ready = _READY[kind]
        numbers = Counter(self._cache.reasons(kind))
        family = _empty(described)
        for reason in type(ready):
            family.add_metric((reason, "true" if reason is ready else "false"), numbers.pop(reason, 0))
        family.add_metric((_UNKNOWN, "false"), numbers.total())
        return family

    def _by_state(self) -> GaugeMetricFamily:
        family = _empty(KEYS)
        alike = Counter(one.states for one in self._cache.summaries())
        for state in GenerationState:
            number = sum(states.count(state) * times for states, times in alike.items())
            family.add_metric((state,), number)
        return family


def _empty(family: Family) -> GaugeMetricFamily:
    return GaugeMetricFamily(family.name, family.text, labels=family.labels)


def _goes_on(summary: Summary) -> bool:
    full = (
        sum(summary.states.count(state) for state in _VALID) >= MAX_BESIDE
    )  # it waits for one of them to end
    return summary.reason not in _STOPPED and not summary.deleting and not full


def _overdue(summary: Summary, since: float) -> bool:
    return summary.next_rotation is not None and summary.next_rotation < since


def _next_expiry(summaries: list[Summary], now: float) -> GaugeMetricFamily:
    ends = (
        one.expires
        for one in summaries
        if one.expires is not None
        and one.expires > now
        and (one.next_rotation is None or one.next_rotation > one.expires)
    )
    family = _empty(NEXT_EXPIRY)
    first = min(ends, default=None)
    if first is not None:
        family.add_metric((), first)
    return family
