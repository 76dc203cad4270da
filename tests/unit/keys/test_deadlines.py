"""When to look again: nothing that falls due is ever missed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keywright.keys.plan import plan
from world import Operator, foreign_secret, new_store, seconds

SPECS: list[dict[str, Any]] = [
    {},
    {"suspend": True},
    {"expiresAfter": "90m"},
    {"expiresAfter": "90m", "rotation": {"policy": "Never"}},
    {"expiresAfter": "20s", "rotation": {"interval": "10s"}},
    {"expiresAfter": "90m", "rotation": {"interval": "60m", "overlap": "10m"}},
    {"rotation": {"schedule": "*/5 * * * *"}},
    {"rotation": {"schedule": "*/5 * * * *", "overlap": "1h"}},
    {"expiresAt": "2026-11-23T12:10:30Z"},
    {"expiresAt": "2026-11-23T12:10:30.5Z", "rotation": {"interval": "60s"}},
    {"rotation": {"schedule": "never"}},
    {"scopes": ["keywright:admin"]},
]


@settings(max_examples=100, deadline=None)
@given(
    spec=st.sampled_from(SPECS),
    loss=st.sampled_from(["", "gone", "foreign"]),
    ages=st.lists(st.floats(0, 4000), max_size=4),
    ticks=st.lists(st.floats(0, 0.99999), min_size=1, max_size=5),
)
def test_what_rests_until_a_time_rests_at_every_moment_before_it(
    spec: dict[str, Any], loss: str, ages: list[float], ticks: list[float]
) -> None:
    store = new_store(spec)
    operator = Operator(store)
    operator.run()
    for age in ages:
        store.now += seconds(age)
        operator.run()
    if loss:
        store.put_secret(None if loss == "gone" else foreign_secret())
        operator.verified = None
    operator.run()

    due, now, seen = operator.plan.due, store.now, operator.look()
    assert due is not None
    for tick in ticks:
        moment = now + max(due - now, timedelta()) * tick
        assert plan(seen, moment, operator.mint).action is None or moment >= due, moment


def test_ready_turns_at_the_very_time() -> None:
    store = new_store({"expiresAt": "2026-11-23T12:05:00Z"})
    operator = Operator(store)
    operator.run()
    woken = []
    while operator.plan.due is not None and store.now < datetime.fromisoformat("2026-11-23T12:20:00Z"):
        store.now = operator.plan.due
        woken.append(store.now)
        operator.run()

    assert datetime.fromisoformat("2026-11-23T12:05:00Z") in woken
    assert datetime.fromisoformat("2026-11-23T12:06:00Z") in woken


@pytest.mark.parametrize("matter", ["gone", "foreign"])
def test_what_nobody_announces_is_looked_for_every_ten_seconds(matter: str) -> None:
    store = new_store({"secret": {"onLoss": "Alert"}})
    operator = Operator(store)
    operator.run()
    store.put_secret(None if matter == "gone" else foreign_secret())
    operator.verified = None
    operator.run()

    assert operator.plan.due is not None
    assert operator.plan.due - store.now <= timedelta(seconds=10)


def test_a_secret_that_was_found_in_place_is_read_again_after_ten_minutes() -> None:
    store = new_store({})
    operator = Operator(store)
    operator.run()
    assert operator.plan.due is not None
    store.put_secret(None)
    assert [] == operator.run()

    store.now = operator.plan.due
    assert operator.run()
    assert store.secret is not None


def test_what_was_checked_together_is_not_checked_together_again() -> None:
    waits = []
    for number in range(200):
        store = new_store({})
        assert store.api_key is not None
        store.api_key["metadata"]["uid"] = f"uid-{number}"
        operator = Operator(store)
        operator.run()
        assert operator.plan.due is not None
        waits.append((operator.plan.due - store.now).total_seconds())

    assert 479 <= min(waits)
    assert max(waits) <= 600
    for minute in (8, 9):
        in_it = [wait for wait in waits if minute * 60 <= wait < minute * 60 + 60]
        assert 70 <= len(in_it) <= 130
