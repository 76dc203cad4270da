"""The parts that a Project sets by default and an ApiKey may set itself: rotation and rate limits."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from keywright.api.meta import Duration, Model


class RotationPolicy(StrEnum):
    """Whether generations are replaced by time."""

    SCHEDULED = "Scheduled"
    NEVER = "Never"


class Rotation(Model):
    """When the next generation comes, and how long the old one stays valid beside it."""

    policy: RotationPolicy = RotationPolicy.SCHEDULED
    interval: Duration | None = None
    schedule: str | None = Field(default=None, min_length=1, max_length=128)
    time_zone: str | None = Field(default=None, min_length=1, max_length=64)
    before_expiry: Duration | None = None
    overlap: Duration | None = None


class RateLimit(Model):
    """A token bucket: `requests` per `period`, at most `burst` at once (absent: `requests`)."""

    requests: int = Field(ge=1, le=1_000_000)
    period: Duration
    burst: int | None = Field(default=None, ge=1, le=1_000_000)
