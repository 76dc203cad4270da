"""Rotation by hand: a token acts once, whichever annotation it stands in."""

from __future__ import annotations

import pytest

from keywright.keys import tokens
from keywright.keys.actions import WriteStatus
from world import Operator, Store, new_store, seconds

ROTATE, REGENERATE = "keywright.dev/rotate", "keywright.dev/regenerate"


def settled() -> tuple[Store, Operator]:
    store = new_store({"rotation": {"policy": "Never", "overlap": "0s"}})
    operator = Operator(store)
    operator.run()
    return store, operator


def rotate(store: Store, operator: Operator, token: str | None, annotation: str = ROTATE) -> int:
    """Set a token and return how many keys were revealed for it."""
    before = store.status["revision"]
    store.annotate(annotation, token)
    store.now += seconds(1)
    operator.run()
    return int(store.status["revision"]) - int(before)


def test_a_token_rotates_once_and_is_then_handled() -> None:
    store, operator = settled()

    assert 1 == rotate(store, operator, "2026-11-a")
    assert "Requested" == store.keys[0]["cause"]
    assert ["2026-11-a"] == store.status["handledTokens"]
    assert 0 == rotate(store, operator, "2026-11-a")


def test_removing_a_token_or_bringing_an_old_one_back_does_nothing() -> None:
    store, operator = settled()
    rotate(store, operator, "a")
    rotate(store, operator, "b")

    assert 0 == rotate(store, operator, None)
    assert 0 == rotate(store, operator, "a")


def test_a_token_handled_as_one_does_nothing_as_the_other() -> None:
    store, operator = settled()
    rotate(store, operator, "a")

    assert 0 == rotate(store, operator, "a", REGENERATE)


def test_both_due_make_one_generation_and_regenerate_wins() -> None:
    store, operator = settled()
    store.annotate(ROTATE, "a")

    assert 1 == rotate(store, operator, "b", REGENERATE)
    assert ["Active", "Revoked"] == store.states()
    assert {"a", "b"} == set(store.status["handledTokens"])


def test_tokens_present_before_the_first_generation_never_act() -> None:
    store = new_store({})
    store.annotate(ROTATE, "a")
    store.annotate(REGENERATE, "b")

    Operator(store).run()

    assert ["Active"] == store.states()
    assert {"a", "b"} == set(store.status["handledTokens"])


def test_a_token_set_between_publish_and_activate_is_not_swallowed() -> None:
    store, operator = settled()
    store.annotate(ROTATE, "a")
    operator.run_until(lambda action: isinstance(action, WriteStatus) and action.publishes is not None)
    store.annotate(ROTATE, "b")

    operator.run()

    assert 3 == store.status["revision"]
    assert ["a", "b"] == store.status["handledTokens"]


def test_a_token_that_was_removed_after_it_was_seen_still_acts_once_after_a_crash() -> None:
    store, operator = settled()
    store.annotate(ROTATE, "a")
    operator.run_until(lambda action: isinstance(action, WriteStatus) and action.publishes is not None)
    store.annotate(ROTATE, None)

    Operator(store, number=1).run()

    assert 2 == store.status["revision"]
    assert ["a"] == store.status["handledTokens"]


def test_sixteen_tokens_are_remembered_and_the_oldest_is_forgotten() -> None:
    store, operator = settled()
    for number in range(17):
        rotate(store, operator, f"t{number}")

    assert [f"t{number}" for number in range(1, 17)] == store.status["handledTokens"]
    assert 0 == rotate(store, operator, "t1")
    assert 1 == rotate(store, operator, "t0")


def test_a_token_that_still_stands_is_not_forgotten() -> None:
    store, operator = settled()
    rotate(store, operator, "standing", REGENERATE)
    for number in range(20):
        assert 1 == rotate(store, operator, f"t{number}")

    assert "standing" in store.status["handledTokens"]
    assert 16 == len(store.status["handledTokens"])


@pytest.mark.parametrize("text", ["", "two words", "ü", "a" * 65, "a/b", "a\n", "{}"])
def test_another_form_is_told_and_does_nothing(text: str) -> None:
    store, operator = settled()
    operator.told = []

    assert 0 == rotate(store, operator, text)
    assert "InvalidToken" in operator.told


@pytest.mark.parametrize("text", ["a", "A" * 64, "2026-11-23T12:00:00+01:00", "v1.2_3"])
def test_these_are_tokens(text: str) -> None:
    store, operator = settled()

    assert 1 == rotate(store, operator, text)


def test_suspended_a_token_acts_on_resume() -> None:
    store, operator = settled()
    store.edit({"suspend": True})

    assert 0 == rotate(store, operator, "a")
    store.edit({"suspend": False})
    operator.run()
    assert 2 == store.status["revision"]


def test_a_generation_records_at_most_two_tokens() -> None:
    assert 2 == tokens.MAX_PER_GENERATION
