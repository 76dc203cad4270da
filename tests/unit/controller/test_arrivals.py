"""Since when an ApiKey has waited: as precise as can be, and never much too early."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from keywright.api.apikey import ApiKey
from keywright.controller.arrivals import Arrivals
from keywright.controller.cache import summarise

CREATED = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Told:
    """An ApiKey, and an Arrivals that hears of it at a time of its own."""

    def __init__(self, heard: timedelta) -> None:
        self.metadata = {"name": "checkout", "namespace": "shop", "uid": "u1"}
        self.metadata["creationTimestamp"] = "2026-11-23T12:00:00Z"
        self.arrivals = Arrivals(lambda: CREATED + heard)
        self.tell()

    def tell(self, *, gone: bool = False, revision: int | None = None) -> None:
        obj = {"metadata": self.metadata, "status": {"revision": revision}}
        self.arrivals.observe(summarise(obj), gone=gone)

    def after(self) -> timedelta | None:
        """Return how long after the second of its creation it is taken to have been created."""
        api_key = ApiKey.model_validate({"metadata": self.metadata, "spec": {"projectRef": {"name": "p"}}})
        arrived = self.arrivals.time_of(api_key)
        return None if arrived is None else arrived - CREATED


def test_one_that_is_heard_of_at_once_was_created_then() -> None:
    assert timedelta(milliseconds=420) == Told(timedelta(milliseconds=420)).after()


def test_one_that_is_heard_of_late_was_created_within_its_second() -> None:
    assert timedelta(seconds=1) == Told(timedelta(minutes=5)).after()


def test_one_that_has_a_key_or_is_gone_waits_no_more() -> None:
    minted, deleted = Told(timedelta()), Told(timedelta())
    minted.tell(revision=1)
    deleted.tell(gone=True)
    assert (None, None) == (minted.after(), deleted.after())
