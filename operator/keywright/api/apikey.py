"""ApiKey: one credential, kept valid."""

from typing import Annotated

from pydantic import Field

from keywright.api.apikey_status import (
    ApiKeyStatus,
    Cause,
    Effective,
    Generation,
    GenerationState,
)
from keywright.api.forms import Cidr, Origin, Owner, RequestedScopes
from keywright.api.meta import Model, ObjectMeta, Ref, WrittenTime
from keywright.api.policy import LIFETIME_RULES, Lifetime, RateLimits, Rotation
from keywright.api.project import KeyType
from keywright.api.rules import ListMap, ListSet, Rule
from keywright.api.secret import OnLoss, SecretTemplate
from keywright.api.workload import Workload, WorkloadKind

__all__ = [
    "ApiKey",
    "ApiKeySpec",
    "ApiKeyStatus",
    "Cause",
    "Effective",
    "Generation",
    "GenerationState",
    "OnLoss",
    "Restrictions",
    "SecretTemplate",
    "Workload",
    "WorkloadKind",
]


class Restrictions(Model):
    """From where a key may be used."""

    cel = (
        Rule(
            cel="!self.anyOrigin || !has(self.origins) || size(self.origins) == 0",
            message="write either origins or anyOrigin: true, not both",
        ),
    )

    cidrs: Annotated[tuple[Cidr, ...], ListSet(), Field(max_length=64)] | None = None
    """The networks that requests may come from, such as "10.0.0.0/8"."""
    origins: Annotated[tuple[Origin, ...], ListSet(), Field(max_length=64)] | None = None
    """The origins of pages and apps that may use it, such as "https://app.example.com" or
    "https://*.example.com" for one label before the name (not for the name itself)."""
    any_origin: bool = False
    """True: a Client key from any page or app, also one that sends no origin."""


class ApiKeySpec(Model):
    """What a team asks for."""

    cel = (
        *LIFETIME_RULES,
        Rule(
            cel="self.type != 'Client' || (has(self.restrictions) && (self.restrictions.anyOrigin || "
            "(has(self.restrictions.origins) && size(self.restrictions.origins) > 0)))",
            message="a Client key is public: write restrictions.origins, or restrictions.anyOrigin: true",
        ),
        Rule(
            cel="self.type != 'Client' || !has(self.scopes) || "
            "!self.scopes.exists(scope, scope == '*' || scope.matches(r'(^|:)admin(:|$)'))",
            message='a Client key is public: write scopes without "*" and without a segment "admin"',
            field_path=".scopes",
        ),
    )

    project_ref: Annotated[
        Ref,
        Rule(
            cel="self == oldSelf",
            message="projectRef is immutable as written: delete the ApiKey and create another one",
        ),
    ]
    """The Project that grants the key. Immutable as written."""
    display_name: Annotated[str, Field(max_length=128)] | None = None
    """A name for people."""
    description: Annotated[str, Field(max_length=1024)] | None = None
    """What the key is for, for people."""
    type: Annotated[
        KeyType,
        Rule(
            cel="self == oldSelf",
            message="type is immutable, as it is part of the key: delete the ApiKey and create another one",
        ),
    ] = KeyType.PRODUCTION
    """Where the key is used: Production, Development, or Client for one that the public sees. Immutable."""
    owner: Owner | None = None
    """The service account or team behind it; groups keys for listing, rotation and audit."""
    scopes: RequestedScopes | None = None
    """What the key may do, such as "data:read", "data:*" for everything below it, or "*" for all that the
    Project grants. Default: nothing that needs a scope."""
    suspend: bool = False
    """True: the key is denied, and nothing is minted or rotated; expiry and revocation go on."""
    expires_after: Lifetime | None = None
    """The life of each key from its minting on, such as "2160h" for 90 days; "0s": no end.
    Default: the Project's."""
    expires_at: WrittenTime | None = None
    """The end of the ApiKey as a whole: no key outlives it, and rotation stops."""
    rotation: Rotation | None = None
    """When the key is replaced. Default: the Project's; else, where a key has an end, before it by a third
    of its life; else never."""
    secret: SecretTemplate = SecretTemplate()
    """The Secret that carries the key."""
    rollout_restart: Annotated[tuple[Workload, ...], ListMap("kind", "name"), Field(max_length=16)] | None = (
        None
    )
    """Workloads that are restarted after each reveal, the first included, where the chart enables that."""
    restrictions: Restrictions | None = None
    """From where the key may be used."""
    rate_limits: RateLimits | None = None
    """Its rate limits; [] for none. Default: the Project's; else, for a Client key, 100 requests a minute."""


_SECRET_NAME = ".spec.secret.name"  # noqa: S105  a path


def _effective(instance: str) -> str:
    """CEL: the name of the Secret, written out or not."""
    return f"(has({instance}{_SECRET_NAME}) ? {instance}{_SECRET_NAME} : self.metadata.name)"


class ApiKey(Model):
    """An ApiKey is one credential: minted into a Secret, rotated with overlap, revoked when it is deleted."""

    cel = (
        # At the root, where metadata.name is; writing the default out, or removing it, changes nothing.
        Rule(
            cel=f"{_effective('self')} == {_effective('oldSelf')}",
            message="secret.name is immutable (absent it is the ApiKey's name): delete the ApiKey and create "
            "another one",
            field_path=_SECRET_NAME,
        ),
    )

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
