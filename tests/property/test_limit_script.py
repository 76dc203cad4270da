"""The script of shared limits does what exact arithmetic says, whatever comes when."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from harness.redis import RedisServer
from keywright.verifier.limit_script import LUA, MICROSECONDS, Answer, Bucket, Level, arguments, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

# The clock of the test instead of the store's; and nothing expires by a time that has not passed in it.
_AT_ANY_TIME = LUA.replace("redis.call('TIME')", "redis.call('LRANGE', 'clock', 0, 1)").replace(
    ", 'PX', string.format('%d', expires)", ""
)
assert _AT_ANY_TIME.count("'PX'") == _AT_ANY_TIME.count("'TIME'") == 0


class Limit(NamedTuple):
    requests: int
    period: int
    burst: int

    @property
    def step(self) -> Fraction:
        return Fraction(self.period * MICROSECONDS, self.requests)


class Reference:
    """The generic cell rate algorithm as it is written down, in fractions: one time for each bucket."""

    def __init__(self, limits: list[Limit]) -> None:
        self.limits = limits
        self.full_at = [Fraction(0)] * len(limits)

    def take(self, wanted: list[int], now: int) -> tuple[int | None, list[tuple[int, Fraction, Fraction]]]:
        after = {}
        denied = None
        for place, one in enumerate(wanted):
            limit = self.limits[one]
            after[one] = max(self.full_at[one], Fraction(now)) + limit.step
            if denied is None and after[one] - now > limit.step * limit.burst:
                denied = place
        if denied is None:
            for one, full_at in after.items():
                self.full_at[one] = full_at
        return denied, [self._level(one, now) for one in wanted]

    def _level(self, one: int, now: int) -> tuple[int, Fraction, Fraction]:
        limit = self.limits[one]
        missing = max(self.full_at[one] - now, Fraction(0))
        room = limit.step * limit.burst
        return int((room - missing) // limit.step), missing, max(missing + limit.step - room, Fraction(0))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    client = Redis(host="127.0.0.1", port=server.port)
    yield client
    client.close()
    server.kill()


NOW = 1_790_000_000_000_000
limits = st.builds(
    Limit,
    requests=st.integers(1, 1_000_000) | st.integers(1, 10),
    period=st.integers(1, 8784 * 3600) | st.integers(1, 10),
    burst=st.integers(1, 1_000_000) | st.integers(1, 5),
)
calls = st.lists(
    st.tuples(
        st.integers(0, 3 * MICROSECONDS) | st.just(0) | st.integers(0, 8784 * 3600 * MICROSECONDS),
        st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True), min_size=1, max_size=20),
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(st.lists(limits, min_size=4, max_size=4), calls)
def test_every_request_is_answered_as_exact_arithmetic_would(
    redis: Redis, limits: list[Limit], calls: list[tuple[int, list[list[int]]]]
) -> None:
    redis.flushdb()
    reference = Reference(limits)
    buckets = [
        Bucket.of(f"b{n}", requests=one.requests, period=float(one.period), burst=one.burst)
        for n, one in enumerate(limits)
    ]
    now = NOW
    for pause, requests in calls:
        now += pause
        expected = [reference.take(wanted, now) for wanted in requests]
        for answer, (denied, levels) in zip(_ask(redis, buckets, requests, now), expected, strict=True):
            assert denied == answer.denied_by
            for level, (remaining, full_in, retry_in) in zip(answer.levels, levels, strict=True):
                assert remaining == level.remaining
                assert _near(full_in, level.full_in)
                assert _near(retry_in, level.retry_in)


def test_a_burst_of_thirds_of_a_second_is_let_through_whole(redis: Redis) -> None:
    redis.flushdb()
    thirds = Bucket.of("thirds", requests=3, period=1.0, burst=100_000)
    answers = [answer for _ in range(101) for answer in _ask(redis, [thirds], [[0]] * 1000, NOW)]
    assert [None] * 100_000 + [0] * 1000 == [answer.denied_by for answer in answers]


def test_a_clock_that_goes_back_denies_no_longer_than_an_empty_bucket_would(redis: Redis) -> None:
    redis.flushdb()
    minute = Bucket.of("minute", requests=60, period=60.0, burst=10)
    _ask(redis, [minute], [[0]] * 10, NOW)
    earlier = NOW - 3600 * MICROSECONDS
    first, second = (_ask(redis, [minute], [[0]], earlier + n * MICROSECONDS)[0] for n in (0, 1))
    assert (0, Level(remaining=0, full_in=10.0, retry_in=1.0)) == (first.denied_by, first.levels[0])
    assert second.denied_by is None


def _ask(redis: Redis, buckets: list[Bucket], requests: list[list[int]], now: int) -> list[Answer]:
    redis.delete("clock")
    redis.rpush("clock", now // MICROSECONDS, now % MICROSECONDS)
    wanted = [[buckets[one] for one in request] for request in requests]
    return list(parse(redis.eval(_AT_ANY_TIME, *arguments(wanted))))


def _near(exact: Fraction, told: float) -> bool:
    """Whether a time is told to the microsecond; of a year, to what a float of that many holds."""
    return abs(exact - Fraction(told) * MICROSECONDS) <= 2 + exact / 10**12
