"""What the operator counts, by the Prometheus conventions, in a registry of its own.

Labels are bounded: kinds, verbs, resources, status codes, causes, reasons; never a name of an object.
What is true of the objects, rather than of this process, is in census.py.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from keywright.api.apikey import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

# From one API server round trip to a pass that waited for several under load.
_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# From four writes to a Project that was applied later, or a quota that somebody had to raise.
_UNTIL_READY = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

USAGE_OUTCOMES = {
    "ok": "all was read",
    "unreachable": "no whole answer in time",
    "unauthorized": "401 or 403",
    "refused": "any other status",
    "malformed": "no page of usage",
    "too_large": "more than any verifier has",
    "internal": "an error of the operator's own",
}

LABELS = {
    "version": "the version of Keywright",
    "verb": "`get`, `list`, `watch`, `create`, `update`, `patch` or `delete`",
    "resource": "the resource and subresource, such as `apikeys/status`",
    "code": "an HTTP status, `transport` where no answer came, or another error's code",
    "kind": "`apikey`, `project` or `revocation`",
    "cause": ", ".join(f"`{cause}`" for cause in Cause),
    "step": "of a mint: `publish` (digest into the status), `reveal` (value into the Secret) or `activate`",
    "reason": "of the condition Ready, as in [Reasons](reasons.md); `Unknown` where it has none yet",
    "ready": "`true` or `false`",
    "outcome": "; ".join(f"`{outcome}`: {text}" for outcome, text in USAGE_OUTCOMES.items()),
    "ending": "`true` in the last quarter of its overlap, else `false`",
    "state": "of a generation: `Pending`, `Active`, `Retiring`, `Retired`, `Expired` or `Revoked`",
}
"""What the values of each label are."""


class Family(NamedTuple):
    """One metric with all its labels, as it is documented."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


class Metrics:
    """Every metric of the process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which only OpenMetrics has a use for
        self.registry = CollectorRegistry()
        self.families: list[Family] = []
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        build = self._gauge("keywright_build_info", "Which Keywright this is.", "version")
        build.labels(version=version("keywright")).set(1)
        self._leader = self._gauge(
            "keywright_leader", "1 while this process is the one that acts, 0 while it stands by."
        )
        self._clock_skew = self._gauge(
            "keywright_clock_skew_seconds", "Local clock minus the API server's, as of its last answer."
        )
        self._queue_depth = self._gauge(
            "keywright_queue_depth", "Objects that are due and wait for a worker."
        )
        self._queue_oldest = self._gauge(
            "keywright_queue_oldest_seconds", "How long the longest-waiting of them has been due."
        )
        self.reconcile_duration = self._histogram(
            "keywright_reconcile_duration_seconds",
            "How long one pass over one object took.",
            "kind",
            _SECONDS,
        )
        self.reconcile_errors = self._counter(
            "keywright_reconcile_errors_total", "Passes that ended in an error.", "kind", "code"
        )
        self._api_requests = self._counter(
            "keywright_api_requests_total",
            "Requests to the API server.",
            "verb",
            "resource",
            "code",
        )
        self._mints = self._counter("keywright_mints_total", "Keys revealed, or adopted, by cause.", "cause")
        self._rotations = self._counter(
            "keywright_rotations_total", "Those of them that replaced an older key.", "cause"
        )
        self._mint_failures = self._counter(
            "keywright_mint_failures_total",
            "Steps of a mint that the API server refused or did not answer; each is tried again.",
            "step",
            "code",
        )
        self._ready_duration = self._histogram(
            "keywright_apikey_ready_duration_seconds",
            "From the creation of an ApiKey to its first key, whatever it waited for.",
            None,
            _UNTIL_READY,
        )
        self._usage_reads = self._counter(
            "keywright_usage_reads_total", "Attempts to read the usage of a verifier.", "outcome"
        )
        self.usage_records_ignored = self._counter(
            "keywright_usage_records_ignored_total", "Records of usage that could not be read."
        )
        self._usage_verifiers = self._gauge(
            "keywright_usage_verifiers", "Verifiers that are asked for usage, by the replica that acts."
        )
        self._usage_oldest = self._gauge(
            "keywright_usage_oldest_seconds",
            "How long ago the verifier was read that was so last of all, or none could be found; else 0.",
        )
        self._retiring_in_use = self._gauge(
            "keywright_retiring_keys_in_use",
            "Retiring keys that were used in the last five minutes, as the replica that acts was told.",
            "ending",
        )
        for outcome in USAGE_OUTCOMES:
            self._usage_reads.labels(outcome=outcome)
        for cause in Cause:  # from 0 on, so that a rate sees the first one
            self._mints.labels(cause=cause)
            if _replaces(cause):
                self._rotations.labels(cause=cause)

    def count_request(self, verb: str, resource: str, code: str) -> None:
        """Count one request to the API server."""
        self._api_requests.labels(verb=verb, resource=resource, code=code).inc()

    def minted(self, cause: Cause) -> None:
        """Count one key revealed or adopted."""
        self._mints.labels(cause=cause).inc()
        if _replaces(cause):
            self._rotations.labels(cause=cause).inc()

    def waited(self, seconds: float) -> None:
        """Count how long an ApiKey has waited for its first key."""
        self._ready_duration.observe(max(seconds, 0.0))

    def mint_failed(self, step: str, code: str) -> None:
        """Count one step of a mint (publish, reveal, activate) that the API server did not carry out."""
        self._mint_failures.labels(step=step, code=code).inc()

    def read_at_scrape(
        self,
        *,
        depth: Callable[[], float],
        oldest: Callable[[], float],
        skew: Callable[[], float],
        leader: Callable[[], float],
    ) -> None:
        """Name the functions that gauges are read from."""
        self._queue_depth.set_function(depth)
        self._queue_oldest.set_function(oldest)
        self._clock_skew.set_function(skew)
        self._leader.set_function(leader)

    def count_usage_read(self, outcome: str) -> None:
        """Count one attempt to read the usage of a verifier."""
        self._usage_reads.labels(outcome=outcome).inc()

    def read_usage_at_scrape(
        self,
        *,
        verifiers: Callable[[], float],
        oldest: Callable[[], float],
        retiring: Callable[[], tuple[int, int]],
    ) -> None:
        """Name the functions that the gauges of usage are read from; `retiring`: with time left, ending."""
        self._usage_verifiers.set_function(verifiers)
        self._usage_oldest.set_function(oldest)
        self._retiring_in_use.labels(ending="false").set_function(lambda: retiring()[0])
        self._retiring_in_use.labels(ending="true").set_function(lambda: retiring()[1])

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.families.append(Family(name, "counter", text, labels))
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.families.append(Family(name, "gauge", text, labels))
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, label: str | None, buckets: tuple[float, ...]) -> Histogram:
        labels = (label,) if label else ()
        self.families.append(Family(name, "histogram", text, labels))
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


def _replaces(cause: Cause) -> bool:
    return cause not in {Cause.FIRST, Cause.ADOPTED}
