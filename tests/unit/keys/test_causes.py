"""Why a new generation is due, and that one generation answers everything that is due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from keywright.api.revocation import RevocationReason
from keywright.keys.causes import due, next_rotation
from keywright.keys.facts import derive
from world import Operator, Store, new_project, new_store, seconds, stamp

if TYPE_CHECKING:
    from keywright.keys.causes import Due


def settled(spec: dict[str, Any], project: dict[str, Any] | None = None) -> tuple[Store, Operator]:
    store = new_store(spec, project)
    operator = Operator(store)
    operator.run()
    return store, operator


def wanted(store: Store) -> Due | None:
    return due(derive(Operator(store, number=1).look(), store.now))


def planned(store: Store) -> datetime | None:
    return next_rotation(derive(Operator(store, number=1).look(), store.now))


def test_before_any_key_the_first_is_due() -> None:
    found = wanted(new_store())

    assert found is not None
    assert ("First", (), False) == (found.cause, found.tokens, found.regenerate)


def test_a_key_that_is_in_order_wants_nothing() -> None:
    assert wanted(settled({"expiresAfter": "90m"})[0]) is None


def test_everything_at_once_makes_one_generation_with_the_first_cause() -> None:
    store, operator = settled({"expiresAfter": "90m", "rotation": {"interval": "60m"}})
    store.now += seconds(3600)
    store.annotate("keywright.dev/rotate", "a")
    assert "Requested" == getattr(wanted(store), "cause", None)
    store.put_secret(None)
    assert "SecretLost" == getattr(wanted(store), "cause", None)
    store.revoked[store.keys[0]["id"]] = RevocationReason.UNSPECIFIED
    assert "Revoked" == getattr(wanted(store), "cause", None)

    operator.verified = None
    operator.run()

    assert 2 == store.status["revision"]
    assert ["a"] == store.status["handledTokens"]


def test_an_interval_counts_from_the_creation_of_the_key() -> None:
    store, _ = settled({"rotation": {"interval": "60m"}})
    created = datetime.fromisoformat(store.keys[0]["createdAt"])

    at = planned(store)

    assert at is not None
    assert timedelta(minutes=57) <= at - created <= timedelta(minutes=60)


def test_an_edit_of_a_cron_expression_rotates_nothing_by_itself() -> None:
    store, operator = settled({"rotation": {"schedule": "0 3 * * *"}})
    store.now += seconds(3600)

    store.edit({"rotation": {"schedule": "15 * * * *"}})
    operator.run()

    assert 1 == store.status["revision"]
    assert "2026-11-23T13:15:00Z" == store.status["nextRotationTime"]
    store.now = datetime.fromisoformat("2026-11-23T13:15:00Z")
    operator.run()
    assert 2 == store.status["revision"]


def test_a_run_that_was_missed_while_down_runs_once() -> None:
    store, _ = settled({"rotation": {"schedule": "*/10 * * * *"}})
    store.now += timedelta(days=2)

    operator = Operator(store, number=1)
    operator.run()
    operator.run()

    assert 2 == store.status["revision"]


def test_nothing_is_scheduled_at_or_after_the_end_of_the_api_key() -> None:
    end = new_store().now + timedelta(hours=1)
    store, operator = settled({"expiresAt": stamp(end), "rotation": {"schedule": "0 * * * *"}})

    assert planned(store) is None
    store.now = end
    operator.run()
    assert ("Expired", 1) == (store.ready(), store.status["revision"])


def test_a_rotation_before_expiry_that_gains_nothing_is_not_scheduled() -> None:
    end = new_store().now + timedelta(minutes=30)

    store, _ = settled({"expiresAfter": "90m", "expiresAt": stamp(end)})

    assert planned(store) is None


def test_no_scheduled_rotation_comes_within_ten_seconds() -> None:
    store = new_store({"rotation": {"schedule": "* * * * *"}})
    store.now = store.now.replace(second=58)
    operator = Operator(store)
    operator.run()

    assert "2026-11-23T12:02:00Z" == store.status["nextRotationTime"]


def test_a_key_that_ended_by_its_own_life_waits_for_a_token() -> None:
    store, operator = settled({"expiresAfter": "10m", "rotation": {"policy": "Never"}})
    store.now += seconds(700)
    operator.run()
    assert wanted(store) is None

    store.annotate("keywright.dev/rotate", "again")
    operator.run()

    assert ("Active", "Requested") == (store.ready(), store.keys[0]["cause"])


def test_a_maximum_that_is_raised_after_the_end_is_a_new_generation() -> None:
    store, operator = settled({"expiresAfter": "24h", "rotation": {"policy": "Never"}})
    store.project = new_project({"limits": {"maxExpiresAfter": "1h"}})
    store.now += seconds(3600)
    operator.run()
    assert "Expired" == store.ready()

    store.project = new_project()
    operator.run()

    assert ("Active", ["Active", "Expired"]) == (store.ready(), store.states())


@pytest.mark.parametrize("field", ["expiresAfter", "rotation"])
def test_with_an_invalid_rotation_a_key_goes_on_by_the_last_one_or_by_its_lifetime(field: str) -> None:
    store, operator = settled({"rotation": {"interval": "60m"}})
    before = planned(store)
    if field == "rotation":
        store.edit({"rotation": {"schedule": "never"}})
    else:
        store.project = new_project({"limits": {"maxExpiresAfter": "30m"}})
    operator.run()
    assert "InvalidSpec" == store.ready()
    when = planned(store)
    assert when is not None
    if field == "rotation":
        assert when == before
    else:
        assert before is not None
        assert when < before, "the key would have ended by then"

    store.now = when
    operator.run()
    assert (2, "Scheduled") == (store.status["revision"], store.keys[0]["cause"])

    store.annotate("keywright.dev/rotate", "a")
    operator.run()
    assert 3 == store.status["revision"]
