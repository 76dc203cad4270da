"""A clock that is wrong: what it says is neither written down nor acted upon."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keywright.api.revocation import RevocationReason
from keywright.keys.actions import WriteStatus
from keywright.keys.plan import Plan, plan
from world import Operator, Store, new_store, seconds


def minted(store: Store) -> Operator:
    operator = Operator(store, number=0)
    operator.run()
    return operator


def planned(store: Store, operator: Operator, ahead: timedelta, **seen: object) -> Plan:
    facts = operator.look()._replace(clock_trusted=False, **seen)  # type: ignore[arg-type]
    return plan(facts, store.now + ahead, operator.mint)


@pytest.mark.parametrize("ahead", [timedelta(days=-2), timedelta(days=1), timedelta(days=4000)])
def test_nothing_is_written_by_it(ahead: timedelta) -> None:
    store = new_store({"expiresAfter": "12h", "rotation": {"interval": "6h"}})
    operator = minted(store)

    step = planned(store, operator, ahead)

    assert step.action is None
    assert step.happenings == ()
    assert step.due is not None
    assert step.due <= store.now + ahead + seconds(10)


def test_no_key_is_minted_by_it() -> None:
    store = new_store()
    assert planned(store, Operator(store, number=1), timedelta(days=1)).action is None


def test_a_published_key_waits_for_the_right_time() -> None:
    store = new_store()
    operator = Operator(store, number=1)
    operator.run_until(lambda action: isinstance(action, WriteStatus) and action.publishes is not None)
    operator.step()
    assert planned(store, operator, timedelta(days=-1)).action is None


def test_a_revocation_is_latched_all_the_same() -> None:
    store = new_store()
    operator = minted(store)
    key_id = store.keys[0]["id"]

    step = planned(store, operator, timedelta(days=1), revoked={key_id: RevocationReason.KEY_COMPROMISE})

    assert isinstance(step.action, WriteStatus)
    assert ["Revoked"] == [generation.state for generation in step.action.status.keys]
    assert operator.look().api_key.status.conditions == step.action.status.conditions


def test_a_key_that_a_wrong_clock_called_expired_is_alive_once_the_clock_is_right() -> None:
    store = new_store({"expiresAfter": "12h", "rotation": {"policy": "Never"}})
    operator = minted(store)
    right = store.now
    # Less than 30 s off nobody notices, so a status may be written that says Expired too early.
    store.now = right + timedelta(hours=12)
    operator.run()
    assert "Expired" == store.ready()

    store.now = right + timedelta(hours=11, minutes=59, seconds=45)
    operator.run()

    assert "Active" == store.ready()
    assert ["Active"] == store.states()
