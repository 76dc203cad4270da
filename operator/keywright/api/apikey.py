"""ApiKey: one credential, kept valid."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from keywright.api.meta import Condition, Duration, Model, ObjectMeta, Ref, Time
from keywright.api.policy import RateLimit, Rotation
from keywright.api.project import KeyType


class OnLoss(StrEnum):
    """What to do when the Secret or its value is gone or was changed by hand."""

    REMINT = "Remint"
    ALERT = "Alert"


class SecretTemplate(Model):
    """The Secret that carries the raw value."""

    name: str | None = None
    key: str = "apiKey"
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    data: dict[str, str] | None = None
    on_loss: OnLoss = OnLoss.REMINT


class WorkloadKind(StrEnum):
    """What can be restarted after a reveal."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"


class Workload(Model):
    """A workload of the same namespace that is restarted after a reveal."""

    kind: WorkloadKind
    name: str


class Restrictions(Model):
    """From where a key may be used."""

    cidrs: tuple[str, ...] | None = None
    origins: tuple[str, ...] | None = None
    any_origin: bool = False


class ApiKeySpec(Model):
    """What a team asks for."""

    project_ref: Ref
    display_name: str | None = Field(default=None, max_length=128)
    description: str | None = Field(default=None, max_length=1024)
    type: KeyType = KeyType.PRODUCTION
    owner: str | None = None
    scopes: tuple[str, ...] | None = None
    suspend: bool = False
    expires_after: Duration | None = None
    expires_at: Time | None = None
    rotation: Rotation | None = None
    secret: SecretTemplate = SecretTemplate()
    rollout_restart: tuple[Workload, ...] | None = None
    restrictions: Restrictions | None = None
    rate_limits: tuple[RateLimit, ...] | None = None


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
    SECRET_LOST = "SecretLost"
    REVOKED = "Revoked"
    ADOPTED = "Adopted"


class Generation(Model):
    """One minted value: what may be known of it (an entry of `status.keys`)."""

    id: str
    revision: int
    digest: str
    hint: str
    state: GenerationState
    cause: Cause
    tokens: tuple[str, ...] | None = None
    regenerate: bool | None = None
    created_at: Time
    expires_at: Time | None = None
    retiring_since: Time | None = None
    retires_at: Time | None = None
    last_used_at: Time | None = None


class Effective(Model):
    """What really applies, after defaults and policy."""

    expires_after: Duration | None = None
    rotation: Rotation | None = None
    rate_limits: tuple[RateLimit, ...] | None = None
    scopes: tuple[str, ...] | None = None


class ApiKeyStatus(Model):
    """What the operator says of an ApiKey: digests, times and reasons, never a value."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    effective: Effective | None = None
    secret_name: str | None = None
    current_key_id: str | None = Field(default=None, alias="currentKeyID")
    expires_at: Time | None = None
    last_used_at: Time | None = None
    revision: int | None = None
    keys: tuple[Generation, ...] = ()
    last_rotation_time: Time | None = None
    next_rotation_time: Time | None = None
    handled_tokens: tuple[str, ...] = ()


class ApiKey(Model):
    """One credential, kept valid."""

    metadata: ObjectMeta
    spec: ApiKeySpec
    status: ApiKeyStatus = ApiKeyStatus()

    @property
    def name(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def project(self) -> str:
        """`namespace/name` of the Project it refers to."""
        return self.spec.project_ref.within(self.metadata.namespace)

    @property
    def secret_name(self) -> str:
        """The name of its Secret: `spec.secret.name`, absent it is the ApiKey's own."""
        return self.spec.secret.name or self.metadata.name
