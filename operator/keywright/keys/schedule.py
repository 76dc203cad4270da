"""When the current generation is replaced, and how long the old one stays valid beside the new.

Everything here is arithmetic on times that are passed in. Durations come as the text of the spec and
leave as timedelta; times are aware, and leave in UTC.

Cron is Debian's, by cronsim: a fixed time that a change to summer time skips runs as the new time
begins, one that the change back repeats runs once, and a job for every hour or minute goes by elapsed
time. One that is missed is a time in the past: the caller runs it once, and counts on from there.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from keywright.api.meta import format_duration, parse_duration, round_down, round_up
from keywright.api.policy import Rotation, RotationPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MINIMUM_AGE = timedelta(seconds=10)
"""No scheduled rotation comes earlier than this after the current generation's createdAt."""

DEFAULT_OVERLAP = timedelta(hours=24)
"""The overlap where neither the spec nor the next rotation says less."""

_MAXIMUM_JITTER = 0.05

# Names of the IANA database begin with a capital. What else lies beside them in /usr/share/zoneinfo
# does not: localtime is this machine's own, right/… counts leap seconds.
_TIME_ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")

# Weekdays and leap years repeat so that no date that comes at all stays away for 50 years: whether
# an expression has a run can be asked of any one moment.
_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


class Problem(NamedTuple):
    """What is wrong with a rotation: the path of the field, and what to write instead."""

    field: str
    message: str


def effective_lifetime(
    expires_after: str | None, default: str | None, maximum: str | None
) -> timedelta | None:
    """Return how long a generation minted now lives; None is without end.

    An absent `expires_after` is the Project's default, and "0s" is no lifetime. The Project's
    maximum then is the lifetime of what has none, and cuts what is longer.
    """
    chosen = _length(expires_after if expires_after is not None else default)
    limit = _length(maximum)
    # Neither absent nor zero.
    return min((length for length in (chosen, limit) if length), default=None)


def effective_rotation(
    rotation: Rotation | None, default: Rotation | None, lifetime: timedelta | None
) -> Rotation:
    """Return the rotation that applies: the ApiKey's as a whole, else the Project's, else by lifetime.

    By lifetime: before expiry by a third of it, and never without one. An absent overlap stays
    absent; see `overlap`.
    """
    return rotation or default or _implied(lifetime)


def problem(
    rotation: Rotation, lifetime: timedelta | None, *, prefix: str = "spec.rotation"
) -> Problem | None:
    """Return the first thing that only the operator can see to be wrong with a rotation that applies.

    `lifetime` is the effective one and `prefix` the path of the rotation. What `effective_rotation`
    makes up itself is never wrong, however short the lifetime.
    """
    if rotation == _implied(lifetime):
        return None
    found = next(_problems(rotation, lifetime), None)
    return found and Problem(f"{prefix}.{found.field}", found.message)


def next_run(schedule: str, time_zone: str | None, after: datetime) -> datetime:
    """Return the first run of a cron expression strictly after a moment, in UTC.

    Raises ValueError where there is none before the year 10000, and for what `problem` names.
    """
    try:
        runs = _runs(schedule, after.astimezone(_zone(time_zone)))
        # In the hour that comes twice a fixed time means the first one, which may be past.
        return next(run for local in runs if (run := local.astimezone(UTC)) > after)
    except (StopIteration, OverflowError):
        raise ValueError("no date matches") from None


def jitter(uid: str) -> float:
    """Return by how much of its interval an ApiKey rotates early, 0 to 0.05: always the same for a UID.

    Keys that were created together so do not rotate together.
    """
    number = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8], "big")
    return _MAXIMUM_JITTER * number / (2**64 - 1)


def next_rotation(
    rotation: Rotation,
    *,
    uid: str,
    created_at: datetime,
    ends_at: datetime | None,
    outlives: Callable[[datetime], bool],
    now: datetime,
) -> datetime | None:
    """Return when the current generation is to be replaced by schedule, in whole seconds; None is never.

    A time in the past was missed: the rotation is due now. `created_at` and `ends_at` are the
    current generation's, `uid` is the ApiKey's, and `outlives(t)` says whether a generation minted
    at t would end after the current one: where it would not, a rotation by beforeExpiry gains
    nothing. A time beyond the year 9999, and one of a rotation that has a `problem`, is never.
    """
    try:
        moment = _due(rotation, uid, created_at, ends_at)
        if moment is None:
            return None
        moment = max(round_down(moment), round_up(created_at + MINIMUM_AGE)).astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    if rotation.before_expiry is not None and not outlives(max(moment, now)):
        return None
    return moment


def overlap(rotation: Rotation, lifetime: timedelta | None, since: datetime) -> timedelta:
    """Return how long a generation that is replaced at `since` stays valid beside the new one.

    What the rotation says; else 24 h, but no more than the interval or the time until the next
    scheduled run.
    """
    if rotation.overlap is not None:
        return parse_duration(rotation.overlap)
    return max(min(DEFAULT_OVERLAP, _gap(rotation, lifetime, since)), timedelta(0))


def _length(text: str | None) -> timedelta | None:
    return None if text is None else parse_duration(text)


def _implied(lifetime: timedelta | None) -> Rotation:
    if lifetime is None:
        return Rotation(policy=RotationPolicy.NEVER)
    return Rotation(before_expiry=format_duration(lifetime / 3))


def _problems(rotation: Rotation, lifetime: timedelta | None) -> Iterator[Problem]:
    if rotation.schedule is not None:
        yield from _schedule_problems(rotation.schedule, rotation.time_zone)
    if rotation.interval is not None:
        yield from _interval_problems(rotation.interval, rotation.overlap, lifetime)
    if rotation.before_expiry is not None:
        yield from _before_expiry_problems(rotation.before_expiry, lifetime)


def _schedule_problems(schedule: str, time_zone: str | None) -> Iterator[Problem]:
    fault = _fault(schedule)
    if fault is not None:
        yield Problem(
            "schedule",
            f"{json.dumps(schedule)}: {fault}: write five cron fields that some date matches "
            '(minute, hour, day of month, month, day of week), such as "0 3 * * 1"',
        )
    try:
        _zone(time_zone)
    except ValueError:
        yield Problem(
            "timeZone",
            f"{json.dumps(time_zone)}: write a name of the IANA time zone database, "
            'such as "Europe/Berlin", or none for UTC',
        )


def _interval_problems(interval: str, overlap: str | None, lifetime: timedelta | None) -> Iterator[Problem]:
    length = parse_duration(interval)
    if lifetime is not None and length >= lifetime:
        yield Problem(
            "interval",
            f'"{interval}": a key lives {format_duration(lifetime)}: '
            "write a shorter interval, or a longer expiresAfter if maxExpiresAfter of the Project lets it",
        )
    if overlap is not None and parse_duration(overlap) > length:
        yield Problem("overlap", f'"{overlap}": write at most the interval, "{interval}"')


def _before_expiry_problems(before_expiry: str, lifetime: timedelta | None) -> Iterator[Problem]:
    if lifetime is None:
        yield Problem(
            "beforeExpiry",
            f'"{before_expiry}": there is no lifetime to count back from: '
            "write expiresAfter, or interval or schedule instead",
        )
    elif parse_duration(before_expiry) + MINIMUM_AGE > lifetime:
        yield Problem(
            "beforeExpiry",
            f'"{before_expiry}": a key lives {format_duration(lifetime)}: '
            "write a time at least 10s shorter than that, or a longer expiresAfter "
            "if maxExpiresAfter of the Project lets it",
        )


def _due(rotation: Rotation, uid: str, created_at: datetime, ends_at: datetime | None) -> datetime | None:
    if rotation.policy is RotationPolicy.NEVER:
        return None
    if rotation.interval is not None:
        return created_at + parse_duration(rotation.interval) * (1 - jitter(uid))
    if rotation.schedule is not None:
        # `next_run` is strictly after, and a run exactly at the minimum age is late enough.
        earliest = created_at + MINIMUM_AGE - timedelta.resolution
        return next_run(rotation.schedule, rotation.time_zone, earliest)
    if rotation.before_expiry is not None and ends_at is not None:
        return ends_at - parse_duration(rotation.before_expiry)
    return None


def _gap(rotation: Rotation, lifetime: timedelta | None, since: datetime) -> timedelta:
    """Return the time from a rotation at `since` to the next one, as far as it is scheduled."""
    if rotation.interval is not None:
        return parse_duration(rotation.interval)
    if rotation.schedule is not None:
        try:
            return next_run(rotation.schedule, rotation.time_zone, since) - since
        except ValueError:
            return timedelta.max
    if rotation.before_expiry is not None and lifetime is not None:
        return lifetime - parse_duration(rotation.before_expiry)
    return timedelta.max


@lru_cache(maxsize=1024)
def _fault(schedule: str) -> str | None:
    """Return in a few words why a cron expression never runs; None if it does.

    Remembered, because to find that no date matches takes tens of milliseconds.
    """
    try:
        next_run(schedule, None, _ANY_MOMENT)
    except ValueError as error:
        return str(error)
    return None


def _runs(schedule: str, after: datetime) -> Iterator[datetime]:
    """Iterate over the runs of a cron expression, in the time zone of `after`; raises ValueError."""
    fields = len(schedule.split())
    # cronsim would take a sixth as seconds.
    if fields != 5:
        raise ValueError(f"{fields} {'field' if fields == 1 else 'fields'}")
    try:
        return CronSim(schedule, after)
    except CronSimError as error:
        raise ValueError(str(error).lower()) from None


@cache
def _zone(name: str | None) -> tzinfo:
    """Return a time zone by its IANA name, UTC without one; raises ValueError."""
    if name is None:
        return UTC
    if not _TIME_ZONE.fullmatch(name):
        raise ValueError("not a time zone")
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError):
        # A directory, a name that is too long, no such file, a file of another kind.
        raise ValueError("not a time zone") from None
