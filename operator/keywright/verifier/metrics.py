"""What the verifier counts: plain numbers on the way of a request, made into families at a scrape.

A counter of prometheus_client takes a lock and looks its labels up for each request; a dict of ints does not.
Labels are bounded: Projects that exist, codes, kinds.
"""

from __future__ import annotations

from bisect import bisect_left
from importlib.metadata import version
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from keywright.verifier.usage import Usage

# From a decision that knows what it needs to a store of rate limits that does not answer.
_SECONDS = (0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 1)

LABELS = {
    "version": "the version of Keywright",
    "project": "`namespace/name` of the Project; empty where it is none",
    "code": "`allowed`, or the code of the denial",
    "kind": "`apikey`, `project`, `revocation` or `namespace`",
    "error": "`timeout`, or what the store's client calls it",
}
"""What the values of each label are."""


class Family(NamedTuple):
    """One metric with all its labels, as it is documented."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


_BUILD = Family("keywright_build_info", "gauge", "Which Keywright this is.", ("version",))
_DECISIONS = Family(
    "keywright_verifier_decisions_total", "counter", "Requests decided about.", ("project", "code")
)
_DURATION = Family(
    "keywright_verifier_decision_duration_seconds",
    "histogram",
    "How long one decision took, from the request's head to its answer.",
)
_MALFORMED = Family(
    "keywright_verifier_malformed_requests_total",
    "counter",
    "Requests that were no HTTP, or too large a head.",
)
_OBJECTS = Family("keywright_verifier_objects", "gauge", "Objects in the index.", ("kind",))
_STALENESS = Family(
    "keywright_verifier_staleness_seconds",
    "gauge",
    "How long ago the watch that lags most is known to have been up to date; +Inf before the first sync.",
)
_RELISTS = Family(
    "keywright_verifier_relists_total", "counter", "Lists taken after the first, of each kind.", ("kind",)
)
_ROLLBACKS = Family(
    "keywright_verifier_rollbacks_total",
    "counter",
    "Lists below a version seen before: the API server was restored from a backup.",
    ("kind",),
)
_SHARED = Family(
    "keywright_verifier_limits_shared",
    "gauge",
    "1 while the store of shared rate limits is there; 0: this replica counts for itself.",
)
_STORE_FAILURES = Family(
    "keywright_verifier_limits_store_failures_total",
    "counter",
    "Calls of the store of shared rate limits that failed.",
    ("error",),
)
_USED = Family(
    "keywright_verifier_keys_used",
    "gauge",
    "Generations of ApiKeys that were used since the process started.",
)

FAMILIES = (
    _BUILD,
    _DECISIONS,
    _DURATION,
    _MALFORMED,
    _OBJECTS,
    _STALENESS,
    _RELISTS,
    _ROLLBACKS,
    _SHARED,
    _STORE_FAILURES,
    _USED,
)
"""Every metric of the verifier."""


class Watches(Protocol):
    """What there is to say of the index and of whoever fills it; each mapping is by kind."""

    def sizes(self) -> Mapping[str, int]: ...

    def staleness(self) -> float: ...

    def relists(self) -> Mapping[str, int]: ...

    def rollbacks(self) -> Mapping[str, int]: ...


class Metrics(Collector):
    """Every metric of the process."""

    def __init__(self, watches: Watches | None = None, usage: Usage | None = None) -> None:
        self._watches = watches
        self._usage = usage
        self._decisions: dict[tuple[str, ...], int] = {}
        self._durations = [0] * (len(_SECONDS) + 1)
        self._seconds = 0.0
        self._shared = False
        self._store_failures: dict[tuple[str, ...], int] = {}
        self.malformed = 0
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(self)

    def count(self, project: str, code: str, seconds: float) -> None:
        """Count one decision."""
        key = (project, code)
        self._decisions[key] = self._decisions.get(key, 0) + 1
        self._durations[bisect_left(_SECONDS, seconds)] += 1
        self._seconds += seconds

    def store_failed(self, code: str) -> None:
        """Count one call of the store of rate limits that was not answered, or with an error."""
        self._store_failures[code,] = self._store_failures.get((code,), 0) + 1

    def store_up(self, *, up: bool) -> None:
        """Note whether rate limits are shared."""
        self._shared = up

    def collect(self) -> Iterator[Metric]:
        """Return all families as they are now."""
        yield _gauge(_BUILD, {(version("keywright"),): 1})
        yield _counter(_DECISIONS, self._decisions)
        bounds = [*map(str, _SECONDS), "+Inf"]
        yield HistogramMetricFamily(
            _DURATION.name,
            _DURATION.text,
            buckets=list(zip(bounds, accumulate(self._durations), strict=True)),
            sum_value=self._seconds,
        )
        yield _counter(_MALFORMED, {(): self.malformed})
        if self._watches:
            yield _gauge(_OBJECTS, _by_kind(self._watches.sizes()))
            yield _gauge(_STALENESS, {(): self._watches.staleness()})
            yield _counter(_RELISTS, _by_kind(self._watches.relists()))
            yield _counter(_ROLLBACKS, _by_kind(self._watches.rollbacks()))
        yield _gauge(_SHARED, {(): int(self._shared)})
        yield _counter(_STORE_FAILURES, self._store_failures)
        yield _gauge(_USED, {(): len(self._usage) if self._usage is not None else 0})


def _by_kind(values: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    return {(kind,): value for kind, value in values.items()}


def _gauge(family: Family, values: Mapping[tuple[str, ...], float]) -> Metric:
    metric = GaugeMetricFamily(family.name, family.text, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def _counter(family: Family, values: Mapping[tuple[str, ...], float]) -> Metric:
    metric = CounterMetricFamily(family.name, family.text, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric
