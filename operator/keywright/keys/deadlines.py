"""When an ApiKey has to be looked at again though nothing about it changes, and what to tell by then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from keywright.api.apikey import GenerationState
from keywright.api.meta import format_time
from keywright.api.reasons import EventReason, ReadyReason
from keywright.keys import generations as gens
from keywright.keys import rollout, tokens
from keywright.keys.actions import Happening
from keywright.keys.causes import due, next_rotation
from keywright.keys.conditions import progress
from keywright.keys.loss import lost, next_remint
from keywright.keys.policies import verdict
from keywright.keys.schedule import jitter
from keywright.keys.seen import Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keywright.keys.facts import Facts

RECHECK = timedelta(minutes=10)
POLL = timedelta(seconds=10)
SOON_AT_LEAST = timedelta(hours=1)


def recheck(facts: Facts) -> timedelta:
    """Return how long a check of the Secret is believed where no watch tells of it.

    8 to 10 minutes, by UID: what was checked together, after a start, is so not checked together for ever.
    """
    return RECHECK * (1 - 4 * jitter(facts.api_key.metadata.uid))


def deadline(facts: Facts) -> datetime | None:
    """Return the next time at which the plan may come out differently; None: only by a change."""
    return min((moment for moment in _moments(facts) if moment > facts.now), default=None)


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
    return (*told, *rollout.hindrances(facts))


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
    yield from rollout.moments(facts)


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
    watched = facts.seen.watched is not None
    # A watch sees Secrets of our own type: those in the way may be of any.
    unseen = (
        {ReadyReason.SECRET_CONFLICT} if watched else {ReadyReason.SECRET_CONFLICT, ReadyReason.SECRET_LOST}
    )
    if shown.reason in unseen or not facts.seen.clock_trusted:
        yield facts.now + POLL
    if watched:
        return
    verified = facts.seen.verified
    checked = verified.at if verified and isinstance(facts.seen.secret, Unread) else facts.now
    yield checked + recheck(facts)


def _expiring_soon(facts: Facts) -> datetime | None:
    """Return when to warn: at 10 % of life left, at least 1 h, but not before half of it."""
    current, expiry, rotation = facts.current, facts.current_expiry, next_rotation(facts)
    if current is None or expiry is None or (rotation is not None and rotation <= expiry):
        return None
    life = expiry - current.created_at
    return max(expiry - max(life / 10, SOON_AT_LEAST), current.created_at + life / 2)
