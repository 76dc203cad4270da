"""What holds for every decision, whatever there is and whoever asks."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from keywright.decision.decide import Allowed, Decision, decide
from property.decision_reference import Answer, Asked, World, answer
from property.worlds import NOW, WORLDS, asked, events, index_of, request_of

JUNK = st.sampled_from([{"x": [1]}, [{}], [[]], "\0", 1.5])
MOMENTS = st.sampled_from([NOW - 1.5, NOW - 1, NOW - 0.001, NOW, NOW + 0.5, NOW + 1, NOW + 3600.0])


def spoken(decision: Decision) -> Answer:
    if not isinstance(decision, Allowed):
        return Answer(decision.code.value, frozenset(decision.scopes))
    return Answer(
        "allowed",
        headers=tuple((name.decode(), value.decode()) for name, value in decision.headers),
        limits=tuple((b.owner, b.rule.requests, int(b.rule.period), b.rule.burst) for b in decision.buckets),
    )


@settings(max_examples=1500, deadline=None)
@given(WORLDS, st.lists(asked(), min_size=1, max_size=6), MOMENTS, st.randoms(use_true_random=False))
def test_a_decision_is_what_the_contract_says(
    world: World, requests: list[Asked], now: float, shuffled: Any
) -> None:
    told = events(world)
    shuffled.shuffle(told)
    index = index_of(told)
    for one in requests:
        assert answer(world, one, now) == spoken(decide(index, request_of(one), now))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to everything within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, one in inner for place in places(one, (*path, name)))]
