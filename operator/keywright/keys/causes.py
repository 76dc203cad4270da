"""Why a new generation is due, and whether one may be minted at all.

One generation satisfies every cause that is due at that moment; the first in order is recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from keywright.api.apikey import Cause, GenerationState
from keywright.keys import schedule, tokens
from keywright.keys.facts import once
from keywright.keys.loss import lost, may_remint

if TYPE_CHECKING:
    from datetime import datetime

    from keywright.api.apikey import Generation
    from keywright.api.policy import Rotation
    from keywright.keys.facts import Facts


class Due(NamedTuple):
    """A new generation is wanted: why, for which tokens, and whether the older ones are revoked with it."""

    cause: Cause
    tokens: tuple[str, ...] = ()
    regenerate: bool = False


@once
def due(facts: Facts) -> Due | None:
    """Return what makes a new generation due now."""
    current = facts.current
    if current is None:
        return Due(Cause.FIRST, tokens.present(facts.api_key))
    asked = tokens.asked(facts.api_key)
    cause = _cause(facts, current, asked)
    if cause is None:
        return None
    return Due(cause, asked.tokens[: tokens.MAX_PER_GENERATION], regenerate=asked.regenerate)


def _cause(facts: Facts, current: Generation, asked: tokens.Asked) -> Cause | None:
    if current.state is GenerationState.REVOKED:
        return Cause.REVOKED
    if lost(facts) and may_remint(facts):
        return Cause.SECRET_LOST
    if asked.tokens:
        return Cause.REQUESTED
    if _scheduled(facts) or _end_was_moved_on(facts, current):
        return Cause.SCHEDULED
    return None


def _scheduled(facts: Facts) -> bool:
    rotation_time = next_rotation(facts)
    return rotation_time is not None and rotation_time <= facts.now


def _end_was_moved_on(facts: Facts, current: Generation) -> bool:
    """Whether the generation ended with its ApiKey, before its own time: both go on together."""
    told = facts.told_expiry
    if current.state is not GenerationState.EXPIRED or told is None:
        return False
    own = facts.bounds._replace(api_key_ends_at=None).expiry(current)
    return own is None or told < own


@once
def next_rotation(facts: Facts) -> datetime | None:
    """Return when the schedule replaces the current generation; a time in the past was missed and is due.

    Editing a cron expression rotates nothing by itself: the new one counts from the edit.
    """
    current, rotation = facts.current, _rotation(facts)
    if current is None or rotation is None:
        return None
    ends_at = facts.bounds.expiry(current)
    when = _rescheduled(facts, current, rotation) or schedule.next_rotation(
        rotation,
        uid=facts.api_key.metadata.uid,
        created_at=current.created_at,
        ends_at=ends_at,
        outlives=lambda minted: _outlives(facts, ends_at, minted),
        now=facts.now,
    )
    last = facts.bounds.api_key_ends_at
    return None if when is None or (last is not None and last <= max(when, facts.now)) else when


def _rotation(facts: Facts) -> Rotation | None:
    """Return the rotation that applies; while the spec has no meaning, the one that applied last.

    Where that has none with the lifetime of today either, the one that a lifetime implies: a key in use must
    not run out because somebody has edited the Project.
    """
    if facts.problem is None:
        return facts.rotation
    told = facts.status.effective.rotation if facts.status.effective else None
    if told is None or facts.seen.unreadable is not None:
        return None
    if schedule.problem(told, facts.lifetime, prefix="") is None:
        return told
    return schedule.effective_rotation(None, None, facts.lifetime)


def _rescheduled(facts: Facts, current: Generation, rotation: Rotation) -> datetime | None:
    """Return the run of a cron expression that status has planned; where it has none, the first from now.

    So neither an edit nor the mending of one is a run that was missed.
    """
    expression = rotation.schedule
    told = facts.status.effective.rotation if facts.status.effective else None
    if expression is None or told is None or facts.status.current_key_id != current.id:
        return None
    same = (told.schedule, told.time_zone) == (expression, rotation.time_zone)
    if same and facts.status.next_rotation_time is not None:
        return facts.status.next_rotation_time
    earliest = max(facts.now, current.created_at + schedule.MINIMUM_AGE)
    return schedule.next_run(expression, rotation.time_zone, earliest)


def _outlives(facts: Facts, ends_at: datetime | None, minted: datetime) -> bool:
    """Whether a generation minted at that time would end after the current one."""
    stamp = minted + facts.lifetime if facts.lifetime is not None else None
    end = facts.bounds.expiry_of(minted, stamp)
    return ends_at is not None and (end is None or end > ends_at)
