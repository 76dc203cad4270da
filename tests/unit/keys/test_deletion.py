"""How an ApiKey goes: records, Secret, finalizer, whatever else is the matter."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keywright.api.reasons import ReadyReason
from keywright.api.revocation import RevocationReason
from keywright.keys.actions import CreateRecord
from keywright.keys.deletion import next_step
from keywright.keys.facts import derive
from keywright.keys.plan import plan
from world import Fate, Operator, Store, foreign_secret, new_store, seconds


def rotated() -> tuple[Store, Operator]:
    store = new_store({"expiresAfter": "90m", "rotation": {"interval": "60m", "overlap": "10m"}})
    operator = Operator(store)
    operator.run()
    store.now += seconds(3600)
    operator.run()
    return store, operator


def kinds(writes: list[object]) -> list[str]:
    return [type(write).__name__ for write in writes]


def test_one_record_for_each_key_that_is_still_valid_then_the_secret_then_the_finalizer() -> None:
    store, operator = rotated()
    ids = [generation["id"] for generation in store.keys]
    store.delete()

    writes = operator.run()

    expected = ["CreateRecord", "CreateRecord", "WriteStatus", "DeleteSecret", "RemoveFinalizer"]
    assert expected == kinds([*writes])
    assert ids == [write.key_id for write in writes if isinstance(write, CreateRecord)]
    assert {RevocationReason.DELETED} == {record.reason for record in store.records.values()}
    assert (None, None) == (store.api_key, store.secret)


def test_a_key_that_has_ended_needs_no_record() -> None:
    store, operator = rotated()
    store.now += seconds(700)
    operator.run()
    store.delete()

    assert 1 == kinds([*operator.run()]).count("CreateRecord")


def test_the_record_carries_the_keys_own_stamp() -> None:
    store, operator = rotated()
    stamps = {generation["id"]: generation["expiresAt"] for generation in store.keys}
    store.delete()
    operator.run()

    assert stamps == {key_id: record.until for key_id, record in store.records.items()}


def test_a_foreign_secret_stays() -> None:
    store, operator = rotated()
    store.put_secret(foreign_secret())
    store.delete()

    operator.run()

    assert store.api_key is None
    assert store.secret is not None


@pytest.mark.parametrize("matter", ["no Project", "suspended", "bad spec", "namespace terminating"])
def test_nothing_keeps_it_from_going(matter: str) -> None:
    store, operator = rotated()
    if matter == "no Project":
        store.project = None
    elif matter == "suspended":
        store.edit({"suspend": True})
    elif matter == "bad spec":
        store.edit({"rotation": {"schedule": "never"}})
    else:
        store.terminating = True
    store.delete()

    operator.run()

    assert (None, None) == (store.api_key, store.secret)
    assert 2 == len(store.records)


def test_without_a_system_namespace_it_goes_on_without_records() -> None:
    store, operator = rotated()
    store.delete()
    facts = derive(operator.look()._replace(records_possible=False), store.now)

    action, _, _ = next_step(facts)

    assert not isinstance(action, CreateRecord)


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.UNANSWERED, Fate.DELAYED])
def test_each_step_may_be_lost_or_done_twice(fate: Fate) -> None:
    for step in range(7):
        store, operator = rotated()
        store.delete()
        for _ in range(step):
            operator.step()
        operator.step(fate)
        operator.crash()
        Operator(store, number=1).run()
        assert (None, None, 2) == (store.api_key, store.secret, len(store.records))


def test_a_key_that_was_only_published_gets_a_record_too() -> None:
    store = new_store()
    operator = Operator(store)
    operator.step()
    while not store.keys:
        operator.step()
    store.delete()

    Operator(store, number=1).run()

    assert 1 == len(store.records)


def test_it_says_that_it_is_deleting() -> None:
    store, operator = rotated()
    store.delete()
    while store.ready() != ReadyReason.DELETING:
        operator.step()

    assert "True" == store.condition("Reconciling")["status"]


def test_without_our_finalizer_the_records_are_written_all_the_same_and_nothing_else() -> None:
    store, operator = rotated()
    ids = [generation["id"] for generation in store.keys]
    store.delete()
    assert store.api_key is not None
    store.api_key["metadata"]["finalizers"] = ["somebody.else/waits"]
    store.touch()

    written = operator.run()

    assert all(isinstance(action, CreateRecord) for action in written)
    assert ids == [action.key_id for action in written if isinstance(action, CreateRecord)]


def test_with_a_wrong_clock_even_what_seems_to_have_ended_has_a_record() -> None:
    store, operator = rotated()
    store.delete()
    seen = operator.look()._replace(clock_trusted=False)

    step = plan(seen, store.now + timedelta(days=1000), operator.mint)

    assert isinstance(step.action, CreateRecord)
