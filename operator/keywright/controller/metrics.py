"""What the operator counts, by the Prometheus conventions, in a registry of its own.

Labels are bounded: kinds, verbs, resources, status codes and causes; never a name of an object.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# From one API server round trip to a pass that waited for several under load.
_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Every metric of the operator."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which only OpenMetrics has a use for
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        build = Gauge("keywright_build_info", "Which Keywright this is.", ["version"], registry=registry)
        build.labels(version=version("keywright")).set(1)
        self.api_requests = Counter(
            "keywright_api_requests_total",
            "Requests to the API server, without kopf's watches; code is the HTTP status, `transport` or, "
            "for a write that was held back, `not_leading`.",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self.queue_depth = Gauge(
            "keywright_queue_depth",
            "Objects that are due and wait for a worker.",
            registry=registry,
        )
        self.queue_oldest = Gauge(
            "keywright_queue_oldest_seconds",
            "How long the longest-waiting of them has been due.",
            registry=registry,
        )
        self.reconcile_duration = Histogram(
            "keywright_reconcile_duration_seconds",
            "How long one pass over one object took.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.reconcile_errors = Counter(
            "keywright_reconcile_errors_total",
            "Passes that ended in an error; code is an HTTP status, an error's code or `internal`.",
            ["kind", "code"],
            registry=registry,
        )
        self.mints = Counter(
            "keywright_mints_total",
            "Keys revealed, by cause.",
            ["cause"],
            registry=registry,
        )
        self.clock_skew = Gauge(
            "keywright_clock_skew_seconds",
            "Local clock minus the API server's, as of its last answer.",
            registry=registry,
        )

        self.leader = Gauge(
            "keywright_leader",
            "1 where this replica acts, 0 where it stands by.",
            registry=registry,
        )

    def count_request(self, verb: str, resource: str, code: str) -> None:
        """Count one request to the API server."""
        self.api_requests.labels(verb=verb, resource=resource, code=code).inc()

    def count_mint(self, cause: str) -> None:
        """Count one revealed key."""
        self.mints.labels(cause=cause).inc()

    def read_at_scrape(
        self,
        *,
        depth: Callable[[], float],
        oldest: Callable[[], float],
        skew: Callable[[], float],
        leader: Callable[[], float],
    ) -> None:
        """Name the functions that gauges are read from."""
        self.queue_depth.set_function(depth)
        self.queue_oldest.set_function(oldest)
        self.clock_skew.set_function(skew)
        self.leader.set_function(leader)
