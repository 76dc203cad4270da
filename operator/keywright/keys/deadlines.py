"""When an ApiKey has to be looked at again though nothing about it changes, and what to tell by then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from keywright.api.apikey import GenerationState
from keywright.api.meta import format_time
from keywright.api.reasons import EventReason, ReadyReason
from keywright.keys import generations as gens
from keywright.keys import tokens
from keywright.keys.actions import Happening
from keywright.keys.causes import due, next_rotation
from keywright.keys.conditions import progress
from keywright.keys.grants import chooses_by_label
from keywright.keys.loss import lost, next_remint
from keywright.keys.policies import verdict
from keywright.keys.seen import Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keywright.keys.facts import Facts

RECHECK = timedelta(minutes=10)
POLL = timedelta(seconds=10)
# What heals by an object that nobody tells us about: a Secret, or the labels of a Namespace.
_POLLED = frozenset({ReadyReason.SECRET_CONFLICT, ReadyReason.SECRET_LOST})
_BY_LABEL = frozenset({ReadyReason.NAMESPACE_NOT_ALLOWED, ReadyReason.SCOPE_NOT_ALLOWED})
SOON_AT_LEAST = timedelta(hours=1)


def deadline(facts: Facts) -> datetime:
    """Return the next time at which the plan may come out differently."""
    return min((moment for moment in _moments(facts) if moment > facts.now), default=facts.now + RECHECK)


def happenings_now(facts: Facts) -> tuple[Happening, ...]:
    """Return what is to be told as of now, without any change of the status behind it."""
    told = [
        Happening(
            EventReason.INVALID_TOKEN,
            f"The annotation {name}: write 1 to 64 of A-Z a-z 0-9 . _ : + -",
            subject=f"{name}={digest}",
        )
        for name, digest in tokens.malformed(facts.api_key).items()
    ]
    soon, current = _expiring_soon(facts), facts.current
    expiry = facts.current_expiry
    if soon is not None and soon <= facts.now and current is not None and expiry and facts.current_holds:
        note = f"The {gens.spoken(current)} ends at {format_time(expiry)} and no rotation comes first"
        told.append(Happening(EventReason.EXPIRING_SOON, note, current.id, current.revision))
    return tuple(told)


def _moments(facts: Facts) -> Iterator[datetime]:
    """All times that matter, those already past included."""
    for generation in facts.generations:
        end = facts.bounds.end(generation)
        if end is not None and generation.state not in gens.ENDED:
            yield end
            yield end + gens.GRACE
        if generation.state is GenerationState.PENDING:
            yield generation.created_at + gens.PENDING_LIFE
    for moment in (next_rotation(facts), facts.bounds.api_key_ends_at, _expiring_soon(facts)):
        if moment is not None:
            yield moment
    yield from _waits(facts)


def _waits(facts: Facts) -> Iterator[datetime]:
    shown = verdict(facts, due(facts))
    generation = facts.api_key.metadata.generation
    _, turns = progress(facts.status.conditions, shown, now=facts.now, generation=generation)
    if turns is not None:
        yield turns
    if facts.seen.refusal is not None:
        yield facts.seen.refusal.retry_at
    if lost(facts):
        yield next_remint(facts)
    polled = shown.reason in _POLLED or (shown.reason in _BY_LABEL and chooses_by_label(facts.seen.project))
    if polled or not facts.seen.clock_trusted:
        yield facts.now + POLL
    verified = facts.seen.verified
    checked = verified.at if verified and isinstance(facts.seen.secret, Unread) else facts.now
    yield checked + RECHECK


def _expiring_soon(facts: Facts) -> datetime | None:
    """Return when to warn: at 10 % of life left, at least 1 h, but not before half of it."""
    current, expiry, rotation = facts.current, facts.current_expiry, next_rotation(facts)
    if current is None or expiry is None or (rotation is not None and rotation <= expiry):
        return None
    life = expiry - current.created_at
    return max(expiry - max(life / 10, SOON_AT_LEAST), current.created_at + life / 2)
