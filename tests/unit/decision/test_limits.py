"""Rate limits as a client meets them."""

from __future__ import annotations

import pytest

from keywright.api.policy import RateLimit
from keywright.decision.limits import Bucket, LocalStore, Rule, buckets_of, rule_of

NOW = 1_800_000_000.0
STORE = LocalStore()


def bucket(requests: int, period: float, burst: int | None = None) -> Bucket:
    return Bucket("uid", Rule(requests, period, requests if burst is None else burst))


def test_a_burst_is_let_through_at_once_and_then_the_rate() -> None:
    full = bucket(60, 60.0, 3)
    assert [True, True, True, False] == [STORE.take([full], NOW).allowed for _ in range(4)]
    assert not STORE.take([full], NOW + 0.999).allowed
    assert STORE.take([full], NOW + 1).allowed
    assert not STORE.take([full], NOW + 1).allowed


def test_after_a_whole_period_all_requests_are_there_again_and_never_more() -> None:
    full = bucket(3, 1.0)
    for start in (NOW, NOW + 1, NOW + 1000):
        assert [True, True, True, False] == [STORE.take([full], start).allowed for _ in range(4)]


def test_a_client_is_told_what_remains_and_when_to_come_again() -> None:
    full = bucket(60, 60.0, 2)
    first, second, third = (STORE.take([full], NOW) for _ in range(3))
    assert (1, NOW + 1, 0.0) == first.standings[0][1:]
    assert (0, NOW + 2, 1.0) == second.standings[0][1:]
    assert (0, NOW + 2, 1.0) == third.standings[0][1:]
    assert 1.0 == third.retry_after


def test_a_request_is_counted_in_all_buckets_or_in_none() -> None:
    of_key, of_project = bucket(5, 60.0), bucket(1, 60.0)
    assert STORE.take([of_key, of_project], NOW).allowed
    refused = STORE.take([of_key, of_project], NOW)
    assert (False, [4, 0]) == (refused.allowed, [s.remaining for s in refused.standings])
    assert 60.0 == refused.retry_after


def test_nothing_limits_what_has_no_bucket() -> None:
    assert (True, (), 0.0) == ((t := STORE.take([], NOW)).allowed, t.standings, t.retry_after)


def test_rules_that_mean_the_same_are_one_bucket_and_a_burst_is_the_requests_unless_it_is_written() -> None:
    rules = [rule_of(RateLimit(requests=9, period=period)) for period in ("60s", "1m")]
    assert [Rule(9, 60.0, 9)] * 2 == rules
    assert 1 == len(buckets_of("uid", rules, ())[0])
    assert Rule(9, 60.0, 2) == rule_of(RateLimit(requests=9, period="1m", burst=2))


def test_a_rule_that_is_taken_away_and_comes_back_finds_its_bucket_as_it_was() -> None:
    rule, other = Rule(1, 60.0, 1), Rule(2, 60.0, 2)
    used, kept = buckets_of("uid", [rule], ())
    assert STORE.take(used, NOW).allowed
    used, kept = buckets_of("uid", [other], kept)
    used, kept = buckets_of("uid", [rule], kept)
    assert not STORE.take(used, NOW).allowed


def test_rules_that_come_and_go_are_not_kept_without_bound() -> None:
    kept: tuple[Bucket, ...] = ()
    for requests in range(1, 100):
        kept = buckets_of("uid", [Rule(requests, 60.0, 1)], kept)[1]
    assert len(kept) <= 8


def test_a_period_of_nothing_is_no_rule() -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        rule_of(RateLimit(requests=1, period="0s"))


def test_a_bucket_has_one_name_in_every_process() -> None:
    assert "uid:100/60000000us/20" == bucket(100, 60.0, 20).name
