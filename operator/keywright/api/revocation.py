"""Revocation: never valid again."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from keywright.api.forms import KeyID
from keywright.api.meta import Condition, Model, ObjectMeta, Ref, Time
from keywright.api.rules import ListMap, Rule


class RevocationReason(StrEnum):
    """Why a key was revoked."""

    UNSPECIFIED = "Unspecified"
    KEY_COMPROMISE = "KeyCompromise"
    POLICY_VIOLATION = "PolicyViolation"
    SUPERSEDED = "Superseded"
    DELETED = "Deleted"


class RevocationSpec(Model):
    """What is revoked: one generation, or an ApiKey with all of them. Immutable."""

    cel = (
        Rule(
            cel="has(self.keyID) != has(self.apiKeyRef)",
            message="write exactly one of keyID (that key only) and apiKeyRef (every key of the ApiKey)",
        ),
        Rule(
            cel="self == oldSelf",
            message="a Revocation is immutable: create another one",
        ),
    )

    key_id: KeyID | None = Field(default=None, alias="keyID")
    """The id of the key that is never valid again. A current one is replaced at once, without overlap."""
    api_key_ref: Ref | None = None
    """The ApiKey of which no key is ever valid again."""
    reason: RevocationReason = RevocationReason.UNSPECIFIED
    """Why it is revoked."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """What happened, for people."""


class RevocationStatus(Model):
    """Whether it is in force, and what it was found to act on."""

    observed_generation: int = -1
    """The generation of the spec that this was found for; -1 before the first time."""
    conditions: Annotated[tuple[Condition, ...], ListMap("type"), Field(max_length=8)] = ()
    """Ready, with the reason InForce, NotAuthorized or KeyNotFound."""
    revoked_at: Time | None = None
    """Since when: its creationTimestamp."""
    api_key: Annotated[str, Field(max_length=127)] | None = None
    """The ApiKey, as namespace/name."""
    api_key_uid: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="apiKeyUID")
    """The UID of that ApiKey; another one of the same name is not meant."""
    project: Annotated[str, Field(max_length=127)] | None = None
    """Its Project, as namespace/name."""
    recorded_at: Time | None = None
    """When the operator had its own copy in the system namespace; from then on it may be deleted."""


class Revocation(Model):
    """A Revocation makes one key, or every key of an ApiKey, invalid for good, from its creation on."""

    metadata: ObjectMeta
    spec: RevocationSpec
    status: RevocationStatus = RevocationStatus()
