"""The parts that a Project sets by default and an ApiKey may set itself: lifetime, rotation, rate limits."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from keywright.api.meta import DURATION_PATTERN, Duration, Model
from keywright.api.rules import Rule, Rules, matches


def _lengths(*paths: str) -> str:
    """CEL: all of these are durations; `duration()` of anything else would be an error without a message."""
    return " && ".join(matches(path, DURATION_PATTERN) for path in paths)


def at_least(shortest: str, message: str) -> Rule:
    """Return the rule of a duration field that may not be shorter."""
    return Rule(cel=f"!{_lengths('self')} || duration(self) >= duration('{shortest}')", message=message)


Lifetime = Annotated[
    Duration,
    Rule(
        cel=f"self == '0s' || !{_lengths('self')} || duration(self) >= duration('1s')",
        message='write at least "1s", or exactly "0s" for no end',
    ),
]

_INTERVAL, _BEFORE, _AFTER = "self.rotation.interval", "self.rotation.beforeExpiry", "self.expiresAfter"

# On the object that holds both `expiresAfter` and `rotation`.
LIFETIME_RULES: Rules = (
    Rule(
        cel=f"!has({_AFTER}) || !has(self.rotation) || !has({_INTERVAL}) || {_AFTER} == '0s' || "
        f"!({_lengths(_INTERVAL, _AFTER)}) || duration({_INTERVAL}) < duration({_AFTER})",
        message="write a rotation.interval shorter than expiresAfter: a key must be replaced before it ends",
        field_path=".rotation.interval",
    ),
    Rule(
        cel=f"!has({_AFTER}) || !has(self.rotation) || !has({_BEFORE}) || {_AFTER} == '0s' || "
        f"!({_lengths(_BEFORE, _AFTER)}) || duration({_BEFORE}) + duration('10s') <= duration({_AFTER})",
        message="write a rotation.beforeExpiry at least 10s shorter than expiresAfter",
        field_path=".rotation.beforeExpiry",
    ),
)


class RotationPolicy(StrEnum):
    """Whether generations are replaced by time."""

    SCHEDULED = "Scheduled"
    NEVER = "Never"


class Rotation(Model):
    """When the next generation comes, and how long the old one stays valid beside it."""

    cel = (
        Rule(
            cel="self.policy == 'Never' || (has(self.interval) ? 1 : 0) + (has(self.schedule) ? 1 : 0) "
            "+ (has(self.beforeExpiry) ? 1 : 0) == 1",
            message="write exactly one of interval, schedule and beforeExpiry, or policy: Never",
        ),
        Rule(
            cel="self.policy != 'Never' || !(has(self.interval) || has(self.schedule) || has(self.timeZone) "
            "|| has(self.beforeExpiry))",
            message="with policy: Never leave out interval, schedule, timeZone and beforeExpiry",
        ),
        Rule(
            cel="self.policy == 'Never' || !has(self.timeZone) || has(self.schedule)",
            message="timeZone is the time zone of schedule: write schedule too, or leave timeZone out",
        ),
        Rule(
            cel="!has(self.overlap) || !has(self.interval) "
            f"|| !({_lengths('self.overlap', 'self.interval')}) || "
            "duration(self.overlap) <= duration(self.interval)",
            message="write an overlap no longer than interval",
            field_path=".overlap",
        ),
    )

    policy: RotationPolicy = RotationPolicy.SCHEDULED
    """Scheduled: by exactly one of `interval`, `schedule` and `beforeExpiry`. Never: only by hand, after a
    loss or after a revocation."""
    interval: Annotated[Duration, at_least("10s", 'write an interval of at least "10s"')] | None = None
    """The time from one key to the next, such as "720h" for 30 days; shorter than `expiresAfter`."""
    schedule: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """When to rotate, as a cron expression, such as "0 3 * * 1" for Mondays at 3."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The IANA time zone of `schedule`, such as "Europe/Berlin". Default: UTC."""
    before_expiry: Annotated[Duration, at_least("1s", 'write at least "1s"')] | None = None
    """How long before its end a key is replaced, such as "72h"; at least 10s shorter than `expiresAfter`."""
    overlap: Duration | None = None
    """How long the old key stays valid after the new one is in the Secret; "0s" ends it at once.
    Default: "24h", but never more than `interval` or the gap to the next scheduled run."""


class RateLimit(Model):
    """A token bucket: `requests` per `period`, at most `burst` at once (absent: `requests`)."""

    requests: Annotated[int, Field(ge=1, le=1_000_000)]
    """How many requests are let through in a `period`."""
    period: Annotated[
        Duration,
        Rule(
            cel=f"!{_lengths('self')} || "
            "(duration(self) >= duration('1s') && duration(self) <= duration('8784h'))",
            message='write a period from "1s" to "8784h"',
        ),
    ]
    """The time in which `requests` come back, such as "1m"."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many requests may come at once. Default: `requests`."""


RateLimits = Annotated[tuple[RateLimit, ...], Field(max_length=4)]
