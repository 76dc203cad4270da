"""The status that says what is: a function of the facts alone, so nothing changed means nothing to write."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from keywright.api.apikey import ApiKeyStatus, Effective, GenerationState
from keywright.api.meta import Condition, format_duration, format_time, parse_duration, round_up
from keywright.api.reasons import ReadyReason, RotatingReason
from keywright.keys import generations as gens
from keywright.keys import rollout
from keywright.keys.causes import due as due_now
from keywright.keys.causes import next_rotation
from keywright.keys.conditions import condition, find, progress
from keywright.keys.grants import Grant
from keywright.keys.policies import verdict as verdict_of
from keywright.keys.room import waits_for_room

if TYPE_CHECKING:
    from keywright.api.apikey import Generation
    from keywright.keys.causes import Due
    from keywright.keys.facts import Facts


def compose(facts: Facts) -> ApiKeyStatus:
    """Return the status that the facts call for."""
    old, current = facts.status, facts.current
    due = due_now(facts)
    expiry = facts.current_expiry
    next_time = next_rotation(facts) if _goes_on(facts) else None
    return old.model_copy(
        update={
            "observed_generation": facts.api_key.metadata.generation,
            "conditions": _conditions(facts, due),
            "effective": _effective(facts) or old.effective,
            "secret_name": facts.api_key.secret_name,
            "current_key_id": current.id if current else None,
            "expires_at": round_up(expiry) if expiry else None,
            "keys": gens.trim(facts.generations, facts.bounds, facts.now),
            "next_rotation_time": next_time,
            "restarting": rollout.remaining(facts),
        }
    )


def _goes_on(facts: Facts) -> bool:
    """Whether a schedule may replace the current generation; one that expired may be replaced as well.

    Without a Project `effective` stands still, and a time beside it would be that of another schedule.
    """
    states = {GenerationState.ACTIVE, GenerationState.EXPIRED}
    replaceable = facts.current is not None and facts.current.state in states
    return replaceable and facts.seen.project is not None and not facts.revoked_whole


def _effective(facts: Facts) -> Effective | None:
    """Return what applies; while the spec has no meaning, what applied last goes on."""
    if facts.problem is not None or facts.seen.project is None:
        return None
    # The gap to the next run of a schedule depends on the moment: take one that stands still.
    since = facts.current.created_at if facts.current else facts.api_key.metadata.creation_timestamp
    overlap = format_duration(max(facts.overlap(since), timedelta())) if since else None
    return Effective(
        expires_after=_lifetime(facts),
        rotation=facts.rotation.model_copy(update={"overlap": facts.rotation.overlap or overlap}),
        rate_limits=facts.rate_limits,
        scopes=facts.granted.scopes if isinstance(facts.granted, Grant) else (),
    )


def _lifetime(facts: Facts) -> str | None:
    """Write the lifetime as whoever decided it wrote it."""
    if facts.lifetime is None:
        return None
    project = facts.seen.project
    defaults, limits = (project.spec.defaults, project.spec.limits) if project else (None, None)
    sources = (
        facts.api_key.spec.expires_after,
        defaults.expires_after if defaults else None,
        limits.max_expires_after if limits else None,
    )
    written = (text for text in sources if text is not None and parse_duration(text) == facts.lifetime)
    return next(written, format_duration(facts.lifetime))


def _conditions(facts: Facts, due: Due | None) -> tuple[Condition, ...]:
    old, generation = facts.status.conditions, facts.api_key.metadata.generation
    verdict = verdict_of(facts, due)
    reason, message = _rotating(facts, due)
    ready = condition(
        old,
        "Ready",
        holds=verdict.reason is ReadyReason.ACTIVE,
        reason=verdict.reason,
        message=verdict.message,
        now=facts.now,
        generation=generation,
    )
    rotating = condition(
        old,
        "Rotating",
        holds=reason is not RotatingReason.IDLE,
        reason=reason,
        message=message,
        now=facts.now,
        generation=generation,
    )
    made, _ = progress(old, verdict, now=facts.now, generation=generation)
    return tuple(one for one in (ready, rotating, _revoked(facts), made) if one is not None)


def _revoked(facts: Facts) -> Condition | None:
    """Return the latch of a revocation as a whole: Ready may say something else that is wrong, this stays.

    It carries the reason of the first Revocation, and is there only once there was one.
    """
    old = find(facts.status.conditions, "Revoked")
    reason = facts.seen.revoked_whole if old is None else old.reason
    if reason is None:
        return None
    return condition(
        facts.status.conditions,
        "Revoked",
        holds=True,
        reason=reason,
        message="None of its keys is valid again, and none is minted",
        now=facts.now,
        generation=facts.api_key.metadata.generation,
    )


def _rotating(facts: Facts, due: Due | None) -> tuple[RotatingReason, str]:
    if restarting := rollout.remaining(facts):
        return RotatingReason.RESTARTING_WORKLOADS, rollout.message(facts, restarting)
    retiring = gens.in_state(facts.generations, GenerationState.RETIRING)
    if due is not None and waits_for_room(facts, due):
        return (
            RotatingReason.OVERLAP_FULL,
            f"A rotation waits for one of these keys to end: {_ends(facts, retiring)}",
        )
    if retiring:
        return RotatingReason.OVERLAP, f"Still valid beside the new key: {_ends(facts, retiring)}"
    return RotatingReason.IDLE, "No rotation is under way"


def _ends(facts: Facts, generations: tuple[Generation, ...]) -> str:
    return ", ".join(
        f"{generation.id} (revision {generation.revision}) until {_end(facts, generation)}"
        for generation in generations
    )


def _end(facts: Facts, generation: Generation) -> str:
    end = facts.bounds.end(generation)
    return format_time(round_up(end)) if end else "it is revoked"
