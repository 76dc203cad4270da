"""Rate limits: token buckets by GCRA, one number each, all of a request's or none.

A bucket is known by the moment at which it is full again. Each request moves that moment on by the time that
one request takes to come back; it may not lie further ahead than a whole burst takes.

The number is an integer, in microseconds times `requests`: in that unit both the period and the time of one
request are whole. Floats of epoch time tell 0.24 microseconds apart, which at a million requests a second
would let 5 % too many through.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from keywright.api.meta import parse_duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from keywright.api.policy import RateLimit

_MICROSECONDS = 1_000_000
_KEPT = 8


class Rule(NamedTuple):
    """`requests` per `period` (seconds), at most `burst` at once."""

    requests: int
    period: float
    burst: int


@lru_cache(maxsize=4096)  # thousands of ApiKeys share a few rules
def rule_of(limit: RateLimit) -> Rule:
    """Return the rule that a rate limit states. Raises ValueError where it states none."""
    period = parse_duration(limit.period).total_seconds()
    if period <= 0:
        raise ValueError("write a period that is longer than nothing")
    return Rule(limit.requests, period, limit.requests if limit.burst is None else limit.burst)


class Bucket:
    """The quota of one owner under one rule.

    The owner is the UID of an ApiKey or of a Project, so that a new generation, or an object read again,
    finds its bucket as it was.
    """

    __slots__ = ("capacity", "cost", "full_at", "most", "owner", "requests", "rule")

    def __init__(self, owner: str, rule: Rule) -> None:
        self.owner = owner
        self.rule = rule
        self.requests = rule.requests
        self.cost = round(rule.period * _MICROSECONDS)
        self.capacity = rule.burst * self.cost
        self.most = self.capacity - self.cost
        """What may be missing where one more request is let through."""
        self.full_at = 0

    @property
    def name(self) -> str:
        """What a store that is shared calls it: the same in every process, and no secret."""
        return f"{self.owner}:{self.rule.requests}/{self.cost}us/{self.rule.burst}"


def buckets_of(
    owner: str, rules: Iterable[Rule], kept: tuple[Bucket, ...]
) -> tuple[tuple[Bucket, ...], tuple[Bucket, ...]]:
    """Return the buckets of these rules, those kept where there are such, and all that are to be kept.

    What no rule asks for at present is kept too: taking a rule away and bringing it back refills nothing.
    """
    known = {bucket.rule: bucket for bucket in kept}
    used = tuple(known.pop(rule) if rule in known else Bucket(owner, rule) for rule in dict.fromkeys(rules))
    return used, (*used, *known.values())[:_KEPT]


class Standing(NamedTuple):
    """Where one bucket stands after a request."""

    rule: Rule
    remaining: int
    """How many requests would be let through at once now."""
    full_at: float
    """When the whole burst is there again, in epoch seconds."""
    retry_after: float
    """In how many seconds one more request is let through; 0 if one is now."""


class Taken(NamedTuple):
    """What became of a request: whether all its buckets had room, and what each of them lacks now."""

    allowed: bool
    now: float
    buckets: Sequence[Bucket]
    missing: Sequence[int]
    """How far each bucket is from being full, in its own unit: `cost` for each request that it lacks."""

    @property
    def standings(self) -> tuple[Standing, ...]:
        """Where each bucket stands."""
        return tuple(
            _standing(bucket, missing, self.now)
            for bucket, missing in zip(self.buckets, self.missing, strict=True)
        )

    @property
    def retry_after(self) -> float:
        """In how many seconds a request that was refused would be let through, if nobody else sends one."""
        return max((standing.retry_after for standing in self.standings), default=0.0)


class Store(Protocol):
    """Where buckets are kept. One that verifiers share answers with an awaitable of the same."""

    def take(self, buckets: Sequence[Bucket], now: float) -> Taken | Awaitable[Taken]:
        """Count one request in every bucket, or in none if one of them has no room."""
        ...


class LocalStore:
    """The buckets of this process: each holds its own number, so there is nothing to look up."""

    def take(self, buckets: Sequence[Bucket], now: float) -> Taken:
        """Count one request in every bucket, or in none if one of them has no room."""
        micros = round(now * _MICROSECONDS)
        allowed = True
        missing = []
        for bucket in buckets:
            moment = micros * bucket.requests
            lacks = bucket.full_at - moment
            if lacks < 0:
                lacks = 0
            elif lacks > bucket.capacity:
                # The clock was set back: the bucket is empty now, and not until that time comes again.
                lacks = bucket.capacity
                bucket.full_at = moment + lacks
            if lacks > bucket.most:
                allowed = False
            missing.append(lacks)
        if allowed:
            for i, bucket in enumerate(buckets):
                missing[i] += bucket.cost
                bucket.full_at = micros * bucket.requests + missing[i]
        return Taken(allowed, now, buckets, missing)


def _standing(bucket: Bucket, missing: int, now: float) -> Standing:
    requests = bucket.requests
    return Standing(
        bucket.rule,
        (bucket.capacity - missing) // bucket.cost,
        now + missing / requests / _MICROSECONDS,
        -(-max(missing - bucket.most, 0) // requests) / _MICROSECONDS,
    )
