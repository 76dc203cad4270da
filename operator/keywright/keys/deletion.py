"""How an ApiKey goes: records of its revocation first, then the Secret, then the finalizer.

The verifier denies from the deletionTimestamp on; the records make that hold for whoever missed it, and
against a namesake. Nothing here needs the Project, the schedule or a readable spec.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from keywright.api.meta import format_time
from keywright.api.reasons import EventReason, ReadyReason
from keywright.api.revocation import RevocationReason
from keywright.keys.actions import (
    Action,
    CreateRecord,
    DeleteSecret,
    Happening,
    ReadSecret,
    RemoveFinalizer,
    WriteStatus,
)
from keywright.keys.conditions import Verdict, condition, progress, ready_reason
from keywright.keys.generations import ENDED, spoken
from keywright.keys.seen import Unread

if TYPE_CHECKING:
    from keywright.api.apikey import ApiKeyStatus, Generation
    from keywright.keys.facts import Facts

FINALIZER = "keywright.dev/revoke"

Step = tuple[Action | None, tuple[Happening, ...], datetime | None]


def next_step(facts: Facts) -> Step:
    """Return the next step of a deletion: each is safe to repeat, and none waits for another object.

    The records come first, and also where somebody has taken the finalizer away.
    """
    for missing in records(facts):
        generation = next(g for g in facts.generations if g.id == missing.key_id)
        note = f"Revoked the {spoken(generation)}: its ApiKey is being deleted"
        told = Happening(EventReason.REVOKED, note, generation.id, generation.revision)
        return missing, (told,), None
    if FINALIZER not in facts.api_key.metadata.finalizers:
        return None, (), None
    if facts.seen.reporting_possible and ready_reason(facts.status.conditions) != ReadyReason.DELETING:
        return WriteStatus(_deleting(facts)), (), None
    if isinstance(facts.seen.secret, Unread):
        return ReadSecret(), (), None
    if (secret := facts.owned_secret) is not None:
        return DeleteSecret(secret.uid, secret.resource_version), (), None
    return RemoveFinalizer(), (), None


def records(facts: Facts) -> tuple[CreateRecord, ...]:
    """Return the records that are missing: of each generation that is valid as far as its own times go.

    With a wrong clock, one record too many is the lesser harm.
    """
    seen = facts.seen
    if not seen.records_possible:
        return ()
    return tuple(
        record(generation, RevocationReason.DELETED)
        for generation in facts.generations
        if generation.id not in seen.recorded
        and generation.state not in ENDED
        and (not seen.clock_trusted or facts.bounds.valid(generation, facts.now))
    )


def record(generation: Generation, reason: RevocationReason) -> CreateRecord:
    """Return the record of a generation's revocation, kept until its own stamp (empty: it has none)."""
    until = format_time(generation.expires_at) if generation.expires_at else ""
    return CreateRecord(generation.id, until, reason)


def _deleting(facts: Facts) -> ApiKeyStatus:
    old, generation = facts.status, facts.api_key.metadata.generation
    verdict = Verdict(ReadyReason.DELETING, ReadyReason.DELETING.sentence.removesuffix("."))
    made, _ = progress(old.conditions, verdict, now=facts.now, generation=generation)
    ready = condition(
        old.conditions,
        "Ready",
        holds=False,
        reason=verdict.reason,
        message=verdict.message,
        now=facts.now,
        generation=generation,
    )
    others = tuple(c for c in old.conditions if c.type in {"Rotating", "Revoked"})
    conditions = (ready, *others, *((made,) if made else ()))
    return old.model_copy(update={"observed_generation": generation, "conditions": conditions})
