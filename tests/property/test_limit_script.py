"""The script of shared limits does what whole numbers say, whatever comes when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from harness.redis import RedisServer
from keywright.decision.limits import Bucket, LocalStore, Rule, Standing, Taken
from keywright.verifier.limit_script import LUA, arguments, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

# The clock of the test instead of the store's; and nothing expires by a time that has not passed in it.
_AT_ANY_TIME = LUA.replace("redis.call('TIME')", "redis.call('LRANGE', 'clock', 0, 1)").replace(
    ", 'PX', string.format('%d', expires)", ""
)
assert _AT_ANY_TIME.count("'PX'") == _AT_ANY_TIME.count("'TIME'") == 0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    client = Redis(host="127.0.0.1", port=server.port)
    yield client
    client.close()
    server.kill()


SECOND = 1_000_000
YEAR = 8784 * 3600
NOW = 1_790_000_000 * SECOND
rules = st.builds(
    Rule,
    requests=st.integers(1, 1_000_000) | st.integers(1, 10),
    period=st.integers(1, YEAR) | st.integers(1, 10),
    burst=st.integers(1, 1_000_000) | st.integers(1, 5),
)
calls = st.lists(
    st.tuples(
        st.integers(0, 3 * SECOND) | st.just(0) | st.integers(0, YEAR * SECOND),
        st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True), min_size=1, max_size=20),
    ),
    max_size=12,
)


@settings(max_examples=100)
@given(st.lists(rules, min_size=4, max_size=4), calls)
def test_every_request_is_answered_as_in_a_store_that_counts_in_whole_numbers(
    redis: Redis, rules: list[Rule], calls: list[tuple[int, list[list[int]]]]
) -> None:
    redis.flushdb()
    local = LocalStore()
    buckets = [Bucket(f"owner-{n}", rule) for n, rule in enumerate(rules)]
    now = NOW
    for pause, wanted in calls:
        now += pause
        requests = [[buckets[one] for one in request] for request in wanted]
        expected = [local.take(request, _seconds(now)) for request in requests]
        for told, exact in zip(_ask(redis, requests, now), expected, strict=True):
            assert exact == told


def test_a_burst_of_thirds_of_a_second_is_let_through_whole(redis: Redis) -> None:
    redis.flushdb()
    thirds = Bucket("thirds", Rule(3, 1.0, 100_000))
    answers = [answer for _ in range(101) for answer in _ask(redis, [[thirds]] * 1000, NOW)]
    assert [True] * 100_000 + [False] * 1000 == [answer.allowed for answer in answers]


def test_a_clock_that_goes_back_denies_no_longer_than_an_empty_bucket_would(redis: Redis) -> None:
    redis.flushdb()
    minute = Bucket("minute", Rule(60, 60.0, 10))
    _ask(redis, [[minute]] * 10, NOW)
    earlier = NOW - 3600 * SECOND
    first, second = (_ask(redis, [[minute]], earlier + n * SECOND)[0] for n in (0, 1))
    empty = Standing(minute.rule, remaining=0, full_at=_seconds(earlier) + 10, retry_after=1.0)
    assert (False, (empty,)) == (first.allowed, first.standings)
    assert second.allowed


def _ask(redis: Redis, requests: list[list[Bucket]], now: int) -> list[Taken]:
    redis.delete("clock")
    redis.rpush("clock", now // SECOND, now % SECOND)
    count, words = arguments(requests)
    answer = redis.eval(_AT_ANY_TIME, count, *words)
    assert isinstance(answer, bytes)
    return list(parse(answer, requests, _seconds(now)))


def _seconds(micros: int) -> float:
    return micros / SECOND
