"""How many generations may be valid at once: five, of which rotations use four and emergencies the fifth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keywright.api.apikey import Cause, GenerationState
from keywright.keys import generations as gens

if TYPE_CHECKING:
    from keywright.keys.causes import Due
    from keywright.keys.facts import Facts
    from keywright.keys.generations import Generations

_PATIENT = frozenset({Cause.REQUESTED, Cause.SCHEDULED})


def waits_for_room(facts: Facts, due: Due) -> bool:
    """Whether the rotation that is due has to wait until an older generation has ended.

    Four beside the new one are enough for any overlap. Regenerating waits for nothing: it ends the others.
    """
    valid = tuple(g for g in facts.generations if facts.bounds.valid(g, facts.now))
    revealed = tuple(g for g in valid if g.state is not GenerationState.PENDING)
    return patient(due) and len(revealed) >= gens.MAX_BESIDE


def patient(due: Due) -> bool:
    """Whether a generation that is due waits for room, instead of ending older ones early."""
    return due.cause in _PATIENT and not due.regenerate


def may_publish(facts: Facts, due: Due) -> bool:
    """Whether another Pending generation fits now; those of a crashed process need 120 s to go."""
    if len(facts.pending) >= gens.MAX_PENDING:
        return False
    return not patient(due) or len(_valid(facts, facts.generations)) < gens.MAX_VALID


def make_room(facts: Facts) -> Generations:
    """Return the generations with the oldest Retiring ones ended early, so that one more fits."""
    room = facts.generations
    while len(_valid(facts, room)) >= gens.MAX_VALID:
        ended = gens.retire_oldest(room, facts.bounds, facts.now)
        if ended == room:
            break
        room = ended
    return room


def _valid(facts: Facts, generations: Generations) -> Generations:
    return tuple(g for g in generations if facts.bounds.valid(g, facts.now))
