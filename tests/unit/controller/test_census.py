"""What the gauges say of the objects: from the cache alone, and of what is there now."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from keywright.api.meta import format_time
from keywright.controller.cache import Cache
from keywright.controller.census import Census

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Objects:
    """A cache with objects in it, and what a scrape finds."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.registry = CollectorRegistry()
        self.registry.register(Census(self.cache, NOW.timestamp))
        self._version = 0

    def put(self, name: str, reason: str | None = "Active", *, kind: str = "apikey", **status: Any) -> None:
        """Have an object there with a reason, times as datetimes."""
        self._version += 1
        metadata: dict[str, Any] = {"namespace": "shop", "name": name, "resourceVersion": str(self._version)}
        if status.pop("deleting", False):
            metadata["deletionTimestamp"] = format_time(NOW)
        conditions = [{"type": "Ready", "reason": reason}] if reason else []
        times = {
            field: format_time(value) if isinstance(value, datetime) else value
            for field, value in status.items()
        }
        self.cache.put(kind, {"metadata": metadata, "status": {"conditions": conditions, **times}})

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def overdue(self) -> float | None:
        return self.value("keywright_rotations_overdue")

    def next_expiry(self) -> float | None:
        return self.value("keywright_next_expiry_timestamp_seconds")


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.mark.parametrize(
    ("kind", "name", "good", "bad"),
    [
        ("apikey", "keywright_apikeys", "Active", "SecretLost"),
        ("project", "keywright_projects", "Accepted", "InvalidSpec"),
        ("revocation", "keywright_revocations", "InForce", "KeyNotFound"),
    ],
)
def test_objects_are_counted_by_reason(objects: Objects, kind: str, name: str, good: str, bad: str) -> None:
    for number, reason in enumerate([good, good, bad, None, "<made up>"]):
        objects.put(f"one-{number}", reason, kind=kind)
    assert 2 == objects.value(name, reason=good, ready="true")
    assert 1 == objects.value(name, reason=bad, ready="false")
    assert 2 == objects.value(name, reason="Unknown", ready="false")

    objects.put("one-0", bad, kind=kind)
    objects.cache.remove(kind, "shop/one-1")
    assert 0 == objects.value(name, reason=good, ready="true")
    assert 2 == objects.value(name, reason=bad, ready="false")


def test_generations_are_counted_by_state(objects: Objects) -> None:
    for name in ("one", "two"):
        objects.put(name, keys=[{"state": "Active"}, {"state": "Retired"}, {"state": "Retired"}])
    objects.put("three", keys=[{"state": "Pending"}])
    states = {"Active": 2, "Retired": 4, "Pending": 1, "Retiring": 0, "Expired": 0, "Revoked": 0}
    assert states == {state: objects.value("keywright_keys", state=state) for state in states}


def test_a_rotation_is_overdue_a_minute_after_its_time(objects: Objects) -> None:
    for name, late in {"by-61-s": 61, "by-59-s": 59, "not-yet": -1}.items():
        objects.put(name, nextRotationTime=NOW - timedelta(seconds=late))
    objects.put("never")
    assert 1 == objects.overdue()


@pytest.mark.parametrize("reason", ["Active", "SecretLost", "ScopeNotAllowed", "Minting"])
def test_what_goes_on_rotating_can_be_overdue(objects: Objects, reason: str) -> None:
    objects.put("one", reason, nextRotationTime=NOW - HOUR)
    assert 1 == objects.overdue()


@pytest.mark.parametrize(
    "reason",
    ["Suspended", "ProjectSuspended", "ProjectNotFound", "NamespaceNotAllowed", "Expired", "Revoked"],
)
def test_what_is_not_to_rotate_is_never_overdue_and_may_expire(objects: Objects, reason: str) -> None:
    objects.put("one", reason, nextRotationTime=NOW - HOUR, expiresAt=NOW + HOUR)
    objects.put("two", "Active", nextRotationTime=NOW - HOUR, deleting=True)
    assert 0 == objects.overdue()
    assert objects.next_expiry() is None


def test_the_next_expiry_is_the_first_that_no_rotation_comes_before(objects: Objects) -> None:
    objects.put("ended", expiresAt=NOW - HOUR)
    objects.put("rotated-before", expiresAt=NOW + HOUR, nextRotationTime=NOW + HOUR)
    objects.put("endless", nextRotationTime=NOW + HOUR)
    assert objects.next_expiry() is None
    objects.put("never-rotated", expiresAt=NOW + 4 * HOUR)
    objects.put("rotated-after", expiresAt=NOW + 3 * HOUR, nextRotationTime=NOW + 5 * HOUR)
    assert (NOW + 3 * HOUR).timestamp() == objects.next_expiry()


def test_a_scrape_of_ten_thousand_holds_up_the_loop_for_an_instant_only(objects: Objects) -> None:
    for number in range(10_000):
        times: dict[str, Any] = {
            "expiresAt": NOW + HOUR,
            "nextRotationTime": NOW + number * timedelta(seconds=1),
        }
        objects.put(f"key-{number}", keys=[{"state": "Active"}, {"state": "Retired"}], **times)

    def scrape() -> float:
        began = time.thread_time()
        generate_latest(objects.registry)
        return time.thread_time() - began

    assert min(scrape() for _ in range(10)) < 0.2, "tens of milliseconds, on a busy machine too"


def test_a_rotation_that_waits_for_an_older_key_to_end_is_not_overdue(objects: Objects) -> None:
    states = [{"state": "Active"}, *({"state": "Retiring"} for _ in range(3))]
    objects.put("full", keys=states, nextRotationTime=NOW - HOUR)
    assert objects.overdue() == 0
    objects.put("full", keys=states[:2], nextRotationTime=NOW - HOUR)
    assert objects.overdue() == 1
