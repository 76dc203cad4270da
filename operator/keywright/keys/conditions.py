"""The conditions of an ApiKey: Ready, Rotating and, only where True, Revoked, Reconciling and Stalled.

kstatus (and through it Flux and Argo CD) waits on an object while Reconciling is True and gives up on
it once Stalled is. Reasons that a person must mend are given 30 s first: a Project, a namespace label or
another's deletion is often applied in the same breath.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from keywright.api.meta import Condition, round_down
from keywright.api.reasons import ReadyReason

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

PATIENCE = timedelta(seconds=30)

_PASSING = {ReadyReason.DELETING, ReadyReason.PROJECT_NOT_FOUND, ReadyReason.SECRET_LOST, ReadyReason.MINTING}
_SETTLING = {
    ReadyReason.PROJECT_INVALID,
    ReadyReason.NAMESPACE_NOT_ALLOWED,
    ReadyReason.TYPE_NOT_ALLOWED,
    ReadyReason.SCOPE_NOT_ALLOWED,
    ReadyReason.QUOTA_EXCEEDED,
    ReadyReason.SECRET_CONFLICT,
}
_STUCK = {ReadyReason.INVALID_SPEC, ReadyReason.REVOKED, ReadyReason.EXPIRED}


class Verdict(NamedTuple):
    """A reason with the message that names field and remedy; `alert` where nothing more is tried."""

    reason: ReadyReason
    message: str
    alert: bool = False


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of that type."""
    return next((condition for condition in conditions if condition.type == kind), None)


def ready_reason(conditions: Iterable[Condition]) -> str:
    """Return the reason of the Ready condition, or nothing."""
    ready = find(conditions, "Ready")
    return ready.reason if ready else ""


def condition(
    old: Iterable[Condition],
    kind: str,
    *,
    holds: bool,
    reason: str,
    message: str,
    now: datetime,
    generation: int,
) -> Condition:
    """Return a condition whose transition time is the old one's unless its status changed."""
    status = "True" if holds else "False"
    before = find(old, kind)
    kept = before is not None and before.status == status
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=before.last_transition_time if before and kept else round_down(now),
        observed_generation=generation,
    )


def progress(
    old: tuple[Condition, ...],
    verdict: Verdict,
    *,
    now: datetime,
    generation: int,
) -> tuple[Condition | None, datetime | None]:
    """Return Reconciling or Stalled, if one holds, and when the first turns into the second.

    Both begin anew when the reason changes, so their transition time is "since this reason".
    """
    if verdict.reason in _PASSING and not verdict.alert:
        kind, turns = "Reconciling", None
    elif verdict.reason in _SETTLING:
        same = tuple(c for c in old if c.reason == verdict.reason)
        stalled, reconciling = find(same, "Stalled"), find(same, "Reconciling")
        since = reconciling.last_transition_time if reconciling else round_down(now)
        patient = stalled is None and now < since + PATIENCE
        kind, turns = ("Reconciling", since + PATIENCE) if patient else ("Stalled", None)
    elif verdict.reason in _STUCK or verdict.alert:
        kind, turns = "Stalled", None
    else:
        return None, None
    same = tuple(c for c in old if c.reason == verdict.reason)
    made = condition(
        same, kind, holds=True, reason=verdict.reason, message=verdict.message, now=now, generation=generation
    )
    return made, turns
