"""Whether the value of the current key is lost: gone from its Secret, or changed there by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from keywright.api.apikey import Cause, GenerationState, OnLoss
from keywright.keys.facts import once
from keywright.keys.seen import Absent

if TYPE_CHECKING:
    from datetime import datetime

    from keywright.keys.facts import Facts

REMINTS_PER_HOUR = 3
HOUR = timedelta(hours=1)


@once
def lost(facts: Facts) -> bool:
    """Whether a key that should be readable is not.

    An older value that was put back is a loss as well: it is never made current again. A Pending
    generation's value is none: that one is about to be activated.
    """
    if not facts.current_holds:
        return False
    if isinstance(facts.seen.secret, Absent):
        return True
    if facts.owned_secret is None:
        return False
    if not facts.owned_secret.replaceable:
        return True
    carried = facts.carried
    return carried is None or (carried.state is not GenerationState.PENDING and carried != facts.current)


def may_remint(facts: Facts) -> bool:
    """Whether a loss may be answered by a new value now."""
    wanted = facts.api_key.spec.secret.on_loss is OnLoss.REMINT
    return wanted and not facts.seen.namespace_terminating and next_remint(facts) <= facts.now


def next_remint(facts: Facts) -> datetime:
    """Return when a loss may be answered: at most three times an hour.

    A Pending generation answers nothing yet. Counted, the third would forbid its own reveal.
    """
    recent = [
        generation.created_at
        for generation in facts.generations
        if generation.cause is Cause.SECRET_LOST
        and generation.state is not GenerationState.PENDING
        and facts.now < generation.created_at + HOUR
    ]
    return facts.now if len(recent) < REMINTS_PER_HOUR else recent[REMINTS_PER_HOUR - 1] + HOUR
