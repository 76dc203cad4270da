"""What holds for every rate limit: never more than it says, never less than it promises."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from keywright.decision.limits import Bucket, LocalStore, Rule

START = 1_800_000_000_000_000  # microseconds of epoch time
RULES = st.builds(
    Rule,
    requests=st.sampled_from([1, 3, 7, 100, 999_999, 1_000_000]) | st.integers(1, 50),
    period=st.sampled_from([1.0, 1.001, 60.0, 8784 * 3600.0]),
    burst=st.integers(1, 20),
)
STEPS = st.lists(st.sampled_from([0, 1, 2, 333_333, 1_000_000]) | st.integers(0, 5_000_000), max_size=80)


def rate(rule: Rule) -> Fraction:
    """Return requests per microsecond."""
    return Fraction(rule.requests, round(rule.period * 1_000_000))


@settings(max_examples=500, deadline=None)
@given(st.lists(RULES, min_size=1, max_size=3, unique=True), STEPS)
def test_in_no_stretch_of_time_more_is_let_through_than_burst_and_rate(
    rules: list[Rule], steps: list[int]
) -> None:
    buckets = [Bucket("uid", rule) for rule in rules]
    at, let_through = START, []
    for step in steps:
        at += step
        if LocalStore().take(buckets, at / 1_000_000).allowed:
            let_through.append(at)
    for i, first in enumerate(let_through):
        for j, last in enumerate(let_through[i:], start=1):
            assert all(j <= rule.burst + rate(rule) * (last - first) for rule in rules)


@settings(max_examples=500, deadline=None)
@given(st.lists(RULES, min_size=1, max_size=3, unique=True), STEPS)
def test_what_it_says_of_itself_is_so(rules: list[Rule], steps: list[int]) -> None:
    buckets, at = [Bucket("uid", rule) for rule in rules], START
    expected = True
    for step in steps:
        taken = LocalStore().take(buckets, at / 1_000_000)
        if step == 0 or taken.allowed:
            assert taken.allowed or not expected
        expected = all(standing.remaining > 0 for standing in taken.standings)
        assert expected == (taken.retry_after == 0)
        wait = round(taken.retry_after * 1_000_000)
        at += max(step, wait) if not taken.allowed else step
        expected = expected or step >= wait or not taken.allowed


@given(RULES, st.integers(1, 10**9))
def test_a_clock_that_is_set_back_empties_a_bucket_and_no_more(rule: Rule, back: int) -> None:
    bucket = Bucket("uid", rule)
    LocalStore().take([bucket], START / 1_000_000)
    at = START - back
    taken = LocalStore().take([bucket], at / 1_000_000)
    period = round(rule.period * 1_000_000)
    later = at + -(-rule.burst * period // rule.requests)
    assert taken.retry_after * 1_000_000 <= period / rule.requests + 1
    assert rule.burst - 1 <= LocalStore().take([bucket], later / 1_000_000).standings[0].remaining
