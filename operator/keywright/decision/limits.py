"""Rate limits: token buckets by GCRA, one number each, all of a request's or none.

A bucket is known by the moment at which it is full again. Each request moves that moment on by the time that
one request takes to come back; it may not lie further ahead than a whole burst takes.

The number is an integer, in microseconds times `requests`: in that unit both the period and the time of one
request are whole. Floats of epoch time tell 0.24 microseconds apart, which at a million requests a second
would let 5 % too many through.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

_MICROSECONDS = 1_000_000


class Rule(NamedTuple):
    """`requests` per `period` (seconds), at most `burst` at once."""

    requests: int
    period: float
    burst: int


class Bucket:
    """The quota of one owner under one rule.

    The owner is the UID of an ApiKey or of a Project, so that a new generation, or an object read again,
    finds its bucket as it was.
    """

    __slots__ = ("capacity", "cost", "full_at", "owner", "rule")

    def __init__(self, owner: str, rule: Rule) -> None:
        self.owner = owner
        self.rule = rule
        self.cost = round(rule.period * _MICROSECONDS)
        self.capacity = rule.burst * self.cost
        self.full_at = 0

    @property
    def name(self) -> str:
        """What a store that is shared calls it: the same in every process, and no secret."""
        return f"{self.owner}:{self.rule.requests}/{self.rule.period:g}s/{self.rule.burst}"


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
    """What became of a request: whether all its buckets had room, and where each of them stands now."""

    allowed: bool
    standings: tuple[Standing, ...]

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
        micros = int(now * _MICROSECONDS)
        allowed = True
        for bucket in buckets:
            moment = micros * bucket.rule.requests
            if bucket.full_at < moment:
                bucket.full_at = moment
            elif bucket.full_at > moment + bucket.capacity:
                # The clock was set back: an empty bucket, and not one that stays so until then.
                bucket.full_at = moment + bucket.capacity
            if bucket.full_at + bucket.cost > moment + bucket.capacity:
                allowed = False
        if allowed:
            for bucket in buckets:
                bucket.full_at += bucket.cost
        return Taken(allowed, tuple([_standing(bucket, micros) for bucket in buckets]))


def _standing(bucket: Bucket, micros: int) -> Standing:
    rule = bucket.rule
    room = micros * rule.requests + bucket.capacity - bucket.full_at
    missing = bucket.cost - room
    return Standing(
        rule,
        room // bucket.cost,
        bucket.full_at / rule.requests / _MICROSECONDS,
        math.ceil(missing / rule.requests) / _MICROSECONDS if missing > 0 else 0.0,
    )
