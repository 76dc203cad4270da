"""Revocation: never valid again."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from keywright.api.meta import Condition, Model, ObjectMeta, Ref, Time


class RevocationReason(StrEnum):
    """Why a key was revoked."""

    UNSPECIFIED = "Unspecified"
    KEY_COMPROMISE = "KeyCompromise"
    POLICY_VIOLATION = "PolicyViolation"
    SUPERSEDED = "Superseded"
    DELETED = "Deleted"


class RevocationSpec(Model):
    """What is revoked: one generation, or an ApiKey with all of them. Immutable."""

    key_id: str | None = Field(default=None, alias="keyID")
    api_key_ref: Ref | None = None
    reason: RevocationReason = RevocationReason.UNSPECIFIED
    message: str | None = Field(default=None, max_length=1024)


class RevocationStatus(Model):
    """Whether it is in force, and what it was found to act on."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    revoked_at: Time | None = None
    api_key: str | None = None
    api_key_uid: str | None = Field(default=None, alias="apiKeyUID")
    project: str | None = None
    recorded_at: Time | None = None


class Revocation(Model):
    """Never valid again."""

    metadata: ObjectMeta
    spec: RevocationSpec
    status: RevocationStatus = RevocationStatus()
