"""When a value counts as lost, and how often a loss is answered."""

from __future__ import annotations

from copy import deepcopy

import pytest

from keywright.keys.actions import WriteStatus
from world import Operator, Store, foreign_secret, new_store, seconds


def settled() -> tuple[Store, Operator]:
    store = new_store({"rotation": {"policy": "Never", "overlap": "0s"}})
    operator = Operator(store)
    operator.run()
    return store, operator


def lose(store: Store, operator: Operator) -> int:
    """Delete the Secret and return how many keys were revealed for it."""
    before = store.status["revision"]
    store.put_secret(None)
    operator.verified = None
    store.now += seconds(60)
    operator.run()
    return int(store.status["revision"]) - int(before)


def test_three_losses_an_hour_are_answered_and_the_fourth_waits() -> None:
    store, operator = settled()

    assert [1, 1, 1, 0] == [lose(store, operator) for _ in range(4)]
    assert "SecretLost" == store.ready()
    assert "True" == store.condition("Reconciling")["status"]


def test_the_fourth_is_answered_an_hour_after_the_first() -> None:
    store, operator = settled()
    for _ in range(4):
        lose(store, operator)
    first = store.now - seconds(180)

    store.now = first + seconds(3590)
    operator.run()
    assert "SecretLost" == store.ready()
    store.now = first + seconds(3601)
    operator.run()
    assert "Active" == store.ready()


def test_crashes_between_publish_and_reveal_do_not_use_up_the_limit() -> None:
    store, _ = settled()
    store.put_secret(None)
    for number in range(2):
        Operator(store, number=number).run_until(lambda action: isinstance(action, WriteStatus))

    Operator(store, number=3).run()

    assert "Active" == store.ready()


def test_a_value_that_is_restored_by_hand_in_time_is_no_loss() -> None:
    store = new_store({"secret": {"onLoss": "Alert"}})
    operator = Operator(store)
    operator.run()
    secret = deepcopy(store.secret)
    store.put_secret(None)
    operator.verified = None
    operator.run()
    assert "SecretLost" == store.ready()

    store.put_secret(secret)
    operator.run()

    assert ("Active", 1) == (store.ready(), store.status["revision"])


def test_with_alert_it_says_so_and_asks_for_the_remedy() -> None:
    store = new_store({"secret": {"onLoss": "Alert"}})
    operator = Operator(store)
    operator.run()
    store.put_secret(None)
    operator.verified = None

    operator.run()

    message = store.condition("Ready")["message"]
    assert "spec.secret.onLoss" in message
    assert "keywright.dev/rotate" in message
    store.annotate("keywright.dev/rotate", "a")
    operator.run()
    assert "Active" == store.ready()


@pytest.mark.parametrize("field", ["immutable", "type"])
def test_a_secret_that_cannot_be_written_over_is_replaced(field: str) -> None:
    store, operator = settled()
    before = deepcopy(store.secret or {})
    store.put_secret({**before, field: True if field == "immutable" else "Opaque"})
    operator.verified = None

    operator.run()

    assert store.secret is not None
    assert before["metadata"]["uid"] != store.secret["metadata"]["uid"]
    assert "keywright.dev/api-key" == store.secret["type"]
    assert 2 == store.status["revision"]


def test_a_secret_that_a_watch_calls_unchanged_is_not_read_again() -> None:
    store = new_store()
    operator = Operator(store, watching=True)
    operator.run()
    assert operator.plan.due is None, "nothing falls due: a change will be told"
    store.now += seconds(86_400 * 400)
    reads = operator.step(), operator.plan.action
    assert reads == (None, None)


def test_a_secret_that_a_watch_calls_changed_is_read_at_once() -> None:
    store = new_store()
    operator = Operator(store, watching=True)
    operator.run()
    store.secret = None
    operator.run()
    assert store.keys[0]["cause"] == "SecretLost"


def test_a_new_api_key_takes_the_word_of_the_watch_that_it_has_no_secret() -> None:
    store = new_store()
    operator = Operator(store, watching=True)
    writes = [type(action).__name__ for action in operator.run()]
    assert writes == ["AddFinalizer", "WriteStatus", "WriteSecret", "WriteStatus"]
    assert operator.reads == 0


def test_where_a_foreign_secret_is_in_the_way_of_a_new_api_key_nothing_is_left_of_the_attempt() -> None:
    store = new_store()
    store.secret = foreign_secret()
    store.secret["metadata"] |= {"uid": "theirs", "resourceVersion": "1"}
    operator = Operator(store, watching=True)
    operator.run()
    assert store.ready() == "SecretConflict"
    assert store.keys == []
    before = len(store.changes)
    for _ in range(5):
        store.now = operator.plan.due or store.now
        operator.run()
    assert before + 1 == len(store.changes), "Stalled after 30 s, and not tried again and again"
    assert store.condition("Stalled")["status"] == "True"
    assert store.secret["metadata"]["uid"] == "theirs"
