"""The status of an ApiKey: its generations, by digest and never by value.

No rule stands here: the operator alone writes it, at every mint, and each rule would cost at each write.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from keywright.api.meta import Condition, Duration, Model, Time
from keywright.api.policy import RateLimits, Rotation
from keywright.api.rules import ListMap
from keywright.api.workload import Workload

Token = Annotated[str, Field(max_length=64)]


class GenerationState(StrEnum):
    """The life of a generation, in this order; the last three are ends."""

    PENDING = "Pending"
    ACTIVE = "Active"
    RETIRING = "Retiring"
    RETIRED = "Retired"
    EXPIRED = "Expired"
    REVOKED = "Revoked"


class Cause(StrEnum):
    """Why a generation was minted (or adopted)."""

    FIRST = "First"
    SCHEDULED = "Scheduled"
    REQUESTED = "Requested"
    SECRET_LOST = "SecretLost"  # noqa: S105  a reason, not a password
    REVOKED = "Revoked"
    ADOPTED = "Adopted"


class Generation(Model):
    """One minted value: what may be known of it (an entry of `status.keys`)."""

    id: Annotated[str, Field(max_length=16)]
    """The public id, part of the key itself."""
    revision: int
    """The number of the key, counted from 1."""
    digest: Annotated[str, Field(max_length=71)]
    """The SHA-256 of the whole key, as "sha256:" and lower-case hex."""
    hint: Annotated[str, Field(max_length=64)]
    """Everything before the secret part of the key."""
    state: GenerationState
    """Pending, Active, Retiring, or ended: Retired, Expired, Revoked."""
    cause: Cause
    """Why it was minted."""
    tokens: Annotated[tuple[Token, ...], Field(max_length=2)] | None = None
    """While Pending: the rotate and regenerate tokens that caused it."""
    regenerate: bool | None = None
    """While Pending: whether the older keys end at once."""
    created_at: Time
    """When it was minted."""
    expires_at: Time | None = None
    """Its own end, stamped when it was minted. Absent: none."""
    retiring_since: Time | None = None
    """When its successor was revealed."""
    retires_at: Time | None = None
    """When its overlap ends."""
    last_used_at: Time | None = None
    """When it was last presented, as far as verifiers have reported."""


class Effective(Model):
    """What really applies, after defaults and policy."""

    expires_after: Duration | None = None
    """The life of each new key. Absent: none."""
    rotation: Rotation | None = None
    """When it is replaced."""
    rate_limits: RateLimits | None = None
    """Its rate limits."""
    scopes: Annotated[tuple[Annotated[str, Field(max_length=128)], ...], Field(max_length=128)] | None = None
    """The scopes that the Project grants of those asked for."""


class ApiKeyStatus(Model):
    """What the operator says of an ApiKey: digests, times and reasons, never a value."""

    observed_generation: int = -1
    """The generation of the spec that this was found for; -1 before the first time."""
    conditions: Annotated[tuple[Condition, ...], ListMap("type"), Field(max_length=8)] = ()
    """Ready and Rotating, and where they are true Revoked (as a whole, for good), Reconciling, Stalled."""
    effective: Effective | None = None
    """What really applies, after the Project's defaults and limits."""
    secret_name: Annotated[str, Field(max_length=63)] | None = None
    """The Secret that carries the key."""
    current_key_id: Annotated[str, Field(max_length=16)] | None = Field(default=None, alias="currentKeyID")
    """The id of the key in the Secret."""
    expires_at: Time | None = None
    """When the current key ends, by its own life, spec.expiresAt or the Project's limit. Absent: never."""
    last_used_at: Time | None = None
    """When any of its keys was last presented, as far as verifiers have reported."""
    revision: int | None = None
    """How many keys were revealed so far."""
    keys: Annotated[tuple[Generation, ...], ListMap("id"), Field(max_length=16)] = ()
    """At most 5 keys that are valid (Pending, Active, Retiring), and the last 3 that no longer are."""
    last_rotation_time: Time | None = None
    """When the current key replaced an older one."""
    next_rotation_time: Time | None = None
    """When the next rotation is due. Absent: none is."""
    restarting: Annotated[tuple[Workload, ...], ListMap("kind", "name"), Field(max_length=16)] = ()
    """Workloads whose restart for the current key is not over."""
    handled_tokens: Annotated[tuple[Token, ...], Field(max_length=16)] = ()
    """Rotate and regenerate tokens that have acted, or were there before the first key; they act no more."""

    def wire(self) -> dict[str, Any]:
        """Return it as JSON without lists that are empty: `kubectl describe` would show bare headings."""
        return {name: value for name, value in super().wire().items() if value != []}
