"""When keys were last used: what a status tells of it, and how often one is written for nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keywright.api.apikey import ApiKey, Generation
from keywright.api.revocation import RevocationReason
from keywright.keys.actions import WriteStatus
from keywright.keys.plan import plan
from keywright.keys.usage import NEVER, Budget, LastUsed, Ledger
from world import START, UID, Json, Operator, Store, new_store, seconds, stamp

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ROTATE = "keywright.dev/rotate"
PLENTY = 1000.0


def generation(key_id: str = "a", state: str = "Active", **times: datetime) -> Generation:
    told = {name: stamp(moment) for name, moment in times.items()}
    about = {"id": key_id, "revision": 1, "digest": "sha256:0", "hint": "kw", "cause": "First"}
    return Generation.model_validate({**about, "state": state, "createdAt": stamp(NOON), **told})


def retiring(key_id: str = "a", **times: datetime) -> Generation:
    overlap = {"retiringSince": NOON, "retiresAt": NOON + 4 * HOUR}
    return generation(key_id, "Retiring", **{**overlap, **times})


def ledger(*generations: Generation, uid: str = "u1", name: str = "shop/checkout") -> Ledger:
    made = Ledger(Budget(PLENTY, PLENTY))
    made.learn(uid, name, generations)
    return made


def api_key(*generations: Generation) -> ApiKey:
    keys = [one.wire() for one in generations]
    obj: dict[str, Any] = {"metadata": {"name": "checkout", "namespace": "shop", "uid": "u1"}}
    return ApiKey.model_validate({**obj, "spec": {"projectRef": {"name": "p"}}, "status": {"keys": keys}})


# When it is worth a write.


def test_a_first_use_is_told_at_once() -> None:
    known = ledger(generation())
    assert [] == list(known.admit(NOON))
    known.note("u1", "a", NOON, NOON)
    assert ["shop/checkout"] == list(known.admit(NOON))
    assert LastUsed({"a": NOON}, due=True) == known.of(api_key(generation()))


@pytest.mark.parametrize(
    ("one", "wait"),
    [(generation(lastUsedAt=NOON), HOUR), (retiring(lastUsedAt=NOON), MINUTE)],
    ids=["once an hour", "once a minute while it retires"],
)
def test_after_that_it_is_told(one: Generation, wait: timedelta) -> None:
    known = ledger(one)
    known.note("u1", "a", NOON + seconds(20), NOON + seconds(30))
    assert [] == list(known.admit(NOON + wait - seconds(1)))
    assert not known.of(api_key(one)).due
    assert ["shop/checkout"] == list(known.admit(NOON + wait))
    assert [] == list(known.admit(NOON + wait))


def test_what_nobody_used_since_is_not_told_again() -> None:
    known = ledger(generation(lastUsedAt=NOON))
    known.note("u1", "a", NOON, NOON + HOUR)
    known.note("u1", "a", NOON - HOUR, NOON + HOUR)
    assert [] == list(known.admit(NOON + 9 * HOUR))


@pytest.mark.parametrize("state", ["Retired", "Expired", "Revoked"])
def test_the_use_of_a_key_that_has_ended_is_not_told(state: str) -> None:
    known = ledger(generation(state=state))
    known.note("u1", "a", NOON, NOON)
    assert [] == list(known.admit(NOON + 9 * HOUR))


def test_a_write_that_came_for_another_reason_begins_the_hour_anew() -> None:
    known = ledger(generation(lastUsedAt=NOON))
    known.note("u1", "a", NOON + 30 * MINUTE, NOON + 30 * MINUTE)
    known.of(api_key(generation(lastUsedAt=NOON + 30 * MINUTE)))
    known.note("u1", "a", NOON + 50 * MINUTE, NOON + 50 * MINUTE)
    assert [] == list(known.admit(NOON + HOUR))
    assert ["shop/checkout"] == list(known.admit(NOON + 90 * MINUTE))


def test_what_was_let_through_stays_so_until_the_status_tells_it() -> None:
    known = ledger(generation())
    known.note("u1", "a", NOON, NOON)
    assert ["shop/checkout"] == list(known.admit(NOON))
    known.note("u1", "a", NOON + seconds(5), NOON + seconds(5))
    assert known.of(api_key(generation())).due
    assert not known.of(api_key(generation(lastUsedAt=NOON + seconds(5)))).due


def test_a_key_that_begins_to_retire_is_told_of_each_minute_from_then_on() -> None:
    known = ledger(generation(lastUsedAt=NOON))
    known.note("u1", "a", NOON + seconds(30), NOON + seconds(30))
    known.of(api_key(retiring(lastUsedAt=NOON)))
    assert ["shop/checkout"] == list(known.admit(NOON + MINUTE))


def test_a_status_that_was_lost_tells_it_again() -> None:
    known = ledger(generation(lastUsedAt=NOON))
    known.note("u1", "a", NOON, NOON)
    assert [] == list(known.admit(NOON))
    known.of(api_key(generation()))
    assert ["shop/checkout"] == list(known.admit(NOON))


def test_what_is_due_waits_for_the_budget_the_oldest_first_and_the_never_told_before_all() -> None:
    known = Ledger(Budget(per_second=2, burst=1))
    for number in range(1, 5):
        known.learn(f"u{number}", f"shop/{number}", [generation(lastUsedAt=NOON - number * HOUR)])
        known.note(f"u{number}", "a", NOON, NOON)
    known.learn("u9", "shop/9", [generation()])
    known.note("u9", "a", NOON, NOON)
    let_through = [list(known.admit(NOON + seconds(half / 2))) for half in range(6)]
    assert [["shop/9"], ["shop/4"], ["shop/3"], ["shop/2"], ["shop/1"], []] == let_through


def test_a_clock_that_is_set_back_stops_the_budget_no_longer_than_a_moment() -> None:
    budget = Budget(per_second=1, burst=1)
    assert budget.take(NOON)
    assert not budget.take(NOON - HOUR)
    assert budget.take(NOON - HOUR + seconds(1))
    assert not budget.take(NOON - HOUR + seconds(1))


# What is believed of a verifier.


def test_of_several_verifiers_the_newest_word_counts() -> None:
    known = ledger(generation())
    for used in (NOON - HOUR, NOON - MINUTE, NOON - 2 * HOUR):
        known.note("u1", "a", used, NOON)
    assert {"a": NOON - MINUTE} == known.of(api_key(generation())).times


def test_a_time_in_the_future_is_now_in_whole_seconds() -> None:
    known = ledger(generation())
    known.note("u1", "a", NOON + 999 * HOUR, NOON + timedelta(milliseconds=900))
    assert {"a": NOON} == known.of(api_key(generation())).times


def test_what_is_unknown_is_not_kept() -> None:
    known = ledger(generation())
    known.note("u2", "a", NOON, NOON)
    known.note("u1", "b", NOON, NOON)
    assert [] == list(known.admit(NOON))
    assert NEVER._replace(times={}) == known.of(api_key(generation()))
    known.forget("u1")
    assert len(known) == 0
    assert known.of(api_key(generation())) == NEVER


def test_an_api_key_that_is_gone_is_not_written() -> None:
    known = ledger(generation())
    known.note("u1", "a", NOON, NOON)
    known.forget("u1")
    assert [] == list(known.admit(NOON + HOUR))


# Who still uses the old key.


def test_a_retiring_key_counts_as_in_use_while_it_was_used_lately_and_after_its_successor_came() -> None:
    known = ledger(generation("b"), retiring("a"))
    known.note("u1", "a", NOON - seconds(1), NOON + MINUTE)
    known.note("u1", "b", NOON + MINUTE, NOON + MINUTE)
    assert (0, 0) == known.retiring_in_use(NOON + MINUTE)
    known.note("u1", "a", NOON + MINUTE, NOON + MINUTE)
    assert (1, 0) == known.retiring_in_use(NOON + 2 * MINUTE)
    assert (0, 0) == known.retiring_in_use(NOON + 6 * MINUTE)
    known.note("u1", "a", NOON + 3 * HOUR, NOON + 3 * HOUR)
    assert (1, 0) == known.retiring_in_use(NOON + 3 * HOUR - seconds(1))
    assert (0, 1) == known.retiring_in_use(NOON + 3 * HOUR)
    known.note("u1", "a", NOON + 4 * HOUR, NOON + 4 * HOUR)
    assert (0, 0) == known.retiring_in_use(NOON + 4 * HOUR)


# What the plan makes of it.


@pytest.fixture
def store() -> Store:
    """An API server with an ApiKey that has its first key."""
    made = new_store({"rotation": {"policy": "Never", "overlap": "10m"}})
    Operator(made).run()
    return made


def told(store: Store) -> tuple[Any, list[Any]]:
    return store.status.get("lastUsedAt"), [one.get("lastUsedAt") for one in store.keys]


def used(store: Store, *, at: datetime = START + HOUR, due: bool) -> Operator:
    return Operator(store, last_used=LastUsed({store.keys[0]["id"]: at}, due=due))


def test_a_use_that_is_due_is_one_write_and_then_rest(store: Store) -> None:
    before: Json = store.status
    [action] = used(store, due=True).run()
    assert isinstance(action, WriteStatus)
    assert (stamp(START + HOUR), [stamp(START + HOUR)]) == told(store)
    moved = {"lastUsedAt": stamp(START + HOUR)}
    assert {**before, **moved, "keys": [{**before["keys"][0], **moved}]} == store.status
    assert [] == used(store, due=True).run()


def test_a_use_that_is_not_due_is_no_write(store: Store) -> None:
    assert [] == used(store, due=False).run()


def test_a_write_that_happens_anyway_carries_it(store: Store) -> None:
    operator = used(store, due=False)
    store.annotate(ROTATE, "t1")
    operator.run()
    assert ["Active", "Retiring"] == store.states()
    assert (stamp(START + HOUR), [None, stamp(START + HOUR)]) == told(store)


def test_a_time_never_moves_back(store: Store) -> None:
    used(store, due=True).run()
    assert [] == used(store, at=START, due=True).run()
    store.edit({"scopes": ["a"]})
    used(store, at=START, due=True).run()
    assert (stamp(START + HOUR), [stamp(START + HOUR)]) == told(store)


def test_of_a_revoked_key_nothing_is_told(store: Store) -> None:
    store.revoked_whole = RevocationReason.KEY_COMPROMISE
    used(store, due=True).run()
    assert ["Revoked"] == store.states()
    assert [] == used(store, due=True).run()
    assert (None, [None]) == told(store)


def test_with_a_clock_that_nobody_trusts_nothing_is_told(store: Store) -> None:
    operator = used(store, due=True)
    seen = operator.look()._replace(clock_trusted=False)
    assert plan(seen, store.now, operator.mint).action is None
    assert seen.api_key.metadata.uid == UID
