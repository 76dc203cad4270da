"""Why an ApiKey is not Ready: an ordered chain of small policies, each a verdict or nothing.

The shape is cert-manager's: a policy looks at the facts and says what is wrong and what to write instead.
The first objection is the one that is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keywright.api.apikey import GenerationState, OnLoss
from keywright.api.meta import format_time
from keywright.api.reasons import ReadyReason
from keywright.keys import generations as gens
from keywright.keys.causes import next_rotation
from keywright.keys.conditions import Verdict
from keywright.keys.grants import Denial, Grant, admission, scope_denial, suspension, type_denial
from keywright.keys.loss import lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywright.keys.causes import Due
    from keywright.keys.facts import Facts

    Policy = Callable[[Facts], Verdict | None]

# What stops every mint. The rest stops only the first one: what is in use keeps rotating.
STOPPING = frozenset(
    {
        ReadyReason.REVOKED,
        ReadyReason.PROJECT_NOT_FOUND,
        ReadyReason.PROJECT_INVALID,
        ReadyReason.NAMESPACE_NOT_ALLOWED,
        ReadyReason.SUSPENDED,
        ReadyReason.PROJECT_SUSPENDED,
        ReadyReason.SECRET_CONFLICT,
    }
)


def _invalid_spec(facts: Facts) -> Verdict | None:
    problem = facts.problem
    return Verdict(ReadyReason.INVALID_SPEC, f"{problem.field}: {problem.message}") if problem else None


def _revoked(facts: Facts) -> Verdict | None:
    if not facts.revoked_whole:
        return None
    message = "A Revocation of this ApiKey is in force for good: delete the ApiKey and create another one"
    return Verdict(ReadyReason.REVOKED, message)


def _expired(facts: Facts) -> Verdict | None:
    end = facts.api_key.spec.expires_at
    if end is not None and end <= facts.now:
        message = f"spec.expiresAt: {format_time(end)} has passed: write a later time, or delete the ApiKey"
        return Verdict(ReadyReason.EXPIRED, message)
    current, end = facts.current, facts.current_expiry
    if current is None or end is None or facts.current_holds or current.state is GenerationState.REVOKED:
        return None
    next_time = next_rotation(facts)
    remedy = (
        "no rotation is due: write spec.rotation, or ask for a new key with the annotation "
        "keywright.dev/rotate"
        if next_time is None
        else f"the next rotation is at {format_time(next_time)}: write a longer spec.expiresAfter"
    )
    message = f"The {gens.spoken(current)} ended at {format_time(end)} and {remedy}"
    return Verdict(ReadyReason.EXPIRED, message)


def _project_invalid(facts: Facts) -> Verdict | None:
    if facts.seen.project_readable:
        return None
    message = f"spec.projectRef: the Project {facts.api_key.project} cannot be read: apply it anew"
    return Verdict(ReadyReason.PROJECT_INVALID, message)


def _not_granted(facts: Facts) -> Verdict | None:
    """Report a Project that is not there, or does not allow the namespace."""
    if isinstance(facts.granted, Denial) and facts.seen.project_readable:
        return Verdict(facts.granted.reason, facts.granted.message)
    return None


def _not_admitted(facts: Facts) -> Verdict | None:
    """Report what refuses the first generation; of a key in use only what it is no longer allowed."""
    project, granted = facts.seen.project, facts.granted
    if project is None or not isinstance(granted, Grant):
        return None
    if facts.revision:
        denial = type_denial(project, facts.api_key) or scope_denial(project, facts.api_key, granted)
    else:
        denial = admission(project, facts.api_key, granted, *facts.seen.siblings)
    return Verdict(denial.reason, denial.message) if denial else None


def _suspended(facts: Facts) -> Verdict | None:
    project = facts.seen.project
    denial = suspension(project, facts.api_key) if project is not None else None
    return Verdict(denial.reason, denial.message) if denial else None


def _secret_conflict(facts: Facts) -> Verdict | None:
    if not facts.foreign_secret:
        return None
    name, holder = facts.api_key.secret_name, facts.rival
    if holder is not None:
        # To advise deleting the Secret would be to advise taking a key from somebody who uses it.
        message = (
            f"The Secret {name} belongs to the ApiKey {holder}: delete this ApiKey and create it with "
            "another spec.secret.name"
        )
    else:
        message = (
            f"The Secret {name} exists and does not belong to this ApiKey: delete that Secret, or delete the "
            "ApiKey and create it with another spec.secret.name"
        )
    return Verdict(ReadyReason.SECRET_CONFLICT, message)


def _secret_lost(facts: Facts) -> Verdict | None:
    if not lost(facts):
        return None
    name = facts.api_key.secret_name
    if facts.api_key.spec.secret.on_loss is OnLoss.ALERT:
        message = (
            f"The value in the Secret {name} is gone or was changed (spec.secret.onLoss is Alert): "
            "restore it, or ask for a new key with the annotation keywright.dev/rotate"
        )
        return Verdict(ReadyReason.SECRET_LOST, message, alert=True)
    if facts.seen.namespace_terminating:
        message = f"The Secret {name} is gone with its namespace, which is terminating"
    else:
        message = f"The value in the Secret {name} is gone or was changed: a new key is minted (3 an hour)"
    return Verdict(ReadyReason.SECRET_LOST, message)


CHAIN: tuple[Policy, ...] = (
    _invalid_spec,
    _revoked,
    _expired,
    _project_invalid,
    _not_granted,
    _not_admitted,
    _suspended,
    _secret_conflict,
    _secret_lost,
)


def objections(facts: Facts) -> tuple[Verdict, ...]:
    """Return everything that is wrong, in order of precedence."""
    return tuple(verdict for policy in CHAIN if (verdict := policy(facts)) is not None)


def may_mint(facts: Facts) -> bool:
    """Whether a generation that is due may be minted now."""
    if facts.seen.namespace_terminating:
        return False
    end = facts.api_key.spec.expires_at
    if end is not None and end <= facts.now:
        return False
    reasons = {verdict.reason for verdict in objections(facts)}
    return not (reasons & STOPPING if facts.revision else reasons)


def verdict(facts: Facts, due: Due | None) -> Verdict:
    """Return what the Ready condition says."""
    wrong = objections(facts)
    if due is not None and may_mint(facts):
        # An ended key whose successor is on its way is not Expired in anybody's eyes.
        wrong = tuple(v for v in wrong if v.reason is not ReadyReason.EXPIRED)
    if wrong:
        return wrong[0]
    if facts.current_holds and facts.current is not None:
        message = f"The Secret {facts.api_key.secret_name} holds the {gens.spoken(facts.current)}"
        return Verdict(ReadyReason.ACTIVE, message)
    refusal = facts.seen.refusal
    if refusal is not None and refusal.generation == facts.api_key.metadata.generation:
        return Verdict(
            ReadyReason.MINTING,
            f"The API server refuses the Secret {facts.api_key.secret_name}: {refusal.explanation}",
        )
    return Verdict(ReadyReason.MINTING, f"A key is being minted into the Secret {facts.api_key.secret_name}")
