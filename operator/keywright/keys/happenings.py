"""What happened between two statuses: read off their difference, so that no write can forget to tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keywright.api.apikey import Cause, GenerationState
from keywright.api.meta import format_time
from keywright.api.reasons import EventReason, ReadyReason
from keywright.keys.actions import Happening
from keywright.keys.conditions import find, ready_reason
from keywright.keys.generations import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keywright.api.apikey import ApiKeyStatus, Generation
    from keywright.keys.generations import Generations

_ENDS = {
    GenerationState.RETIRED: EventReason.RETIRED,
    GenerationState.EXPIRED: EventReason.EXPIRED,
    GenerationState.REVOKED: EventReason.REVOKED,
}


def happenings(old: ApiKeyStatus, new: ApiKeyStatus, generations: Generations) -> tuple[Happening, ...]:
    """Tell what led from the old status to the new one.

    `generations` are the new ones before the oldest were trimmed: one may end and go in the same write.
    """
    before = {generation.id: generation for generation in old.keys}
    return (*_revealed(before, generations), *_ended(old, before, generations), *_reasons(old, new))


def _revealed(before: dict[str, Generation], generations: Generations) -> Iterator[Happening]:
    for generation in generations:
        old = before.get(generation.id)
        if generation.state is not GenerationState.ACTIVE or (old and old.state is GenerationState.ACTIVE):
            continue
        if generation.cause is Cause.ADOPTED:
            note = f"Adopted the {spoken(generation)} from its sealed Secret"
            yield Happening(EventReason.SECRET_RESTORED, note, generation.id, generation.revision)
            continue
        first = generation.cause is Cause.FIRST
        reason = EventReason.MINTED if first else EventReason.ROTATED
        verb = "Minted" if first else "Rotated to"
        note = f"{verb} the {spoken(generation)}, cause {generation.cause}"
        yield Happening(reason, note, generation.id, generation.revision)
        yield from _without_overlap(before, generations)


def _without_overlap(before: dict[str, Generation], generations: Generations) -> Iterator[Happening]:
    for generation in generations:
        old = before.get(generation.id)
        if old and old.state is GenerationState.ACTIVE and generation.state is GenerationState.RETIRED:
            note = f"The {spoken(generation)} ended at the moment of rotation: its overlap is 0s"
            yield Happening(EventReason.NO_OVERLAP, note, generation.id, generation.revision)


def _ended(old: ApiKeyStatus, before: dict[str, Generation], generations: Generations) -> Iterator[Happening]:
    for generation in generations:
        reason, was = _ENDS.get(generation.state), before.get(generation.id)
        if reason is None or was is None or was.state is generation.state:
            continue
        shown = ready_reason(old.conditions) == ReadyReason.EXPIRED and generation.id == old.current_key_id
        if reason is EventReason.EXPIRED and shown:
            continue  # told when Ready turned, a minute before the state
        note = f"The {spoken(generation)} is {generation.state.lower()}"
        yield Happening(reason, note, generation.id, generation.revision)


def _reasons(old: ApiKeyStatus, new: ApiKeyStatus) -> Iterator[Happening]:
    reason, ready = ready_reason(new.conditions), find(new.conditions, "Ready")
    if ready is None or reason == ready_reason(old.conditions):
        return
    if reason == ReadyReason.EXPIRED and new.current_key_id and new.expires_at:
        revision = new.revision or 0
        note = f"The key {new.current_key_id} (revision {revision}) ended at {format_time(new.expires_at)}"
        yield Happening(EventReason.EXPIRED, note, new.current_key_id, revision)
    if reason == ReadyReason.SECRET_CONFLICT:
        yield Happening(EventReason.SECRET_CONFLICT, ready.message)
