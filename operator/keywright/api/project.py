"""Project: who may have keys, and what they may do."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from keywright.api.meta import Condition, Duration, LabelSelector, Model, ObjectMeta
from keywright.api.policy import RateLimit, Rotation


class KeyType(StrEnum):
    """Where a key is used; part of its prefix."""

    DEVELOPMENT = "Development"
    PRODUCTION = "Production"
    CLIENT = "Client"


class NamespacesFrom(StrEnum):
    """How `allowedNamespaces` chooses (as in the Gateway API)."""

    SAME = "Same"
    ALL = "All"
    SELECTOR = "Selector"


class AllowedNamespaces(Model):
    """Whose ApiKeys may refer to the Project."""

    from_: NamespacesFrom = Field(default=NamespacesFrom.SAME, alias="from")
    selector: LabelSelector | None = None


class Scope(Model):
    """One entry of the catalogue of scopes."""

    name: str
    description: str | None = None
    allowed_types: tuple[KeyType, ...] | None = None
    allowed_namespaces: AllowedNamespaces | None = None


class Route(Model):
    """Which scopes a request needs."""

    methods: tuple[str, ...] | None = None
    path: str
    scopes: tuple[str, ...] | None = None
    any_scopes: tuple[str, ...] | None = None
    public: bool | None = None


class UnmatchedRoutes(StrEnum):
    """What happens to a request that no route matches."""

    DENY = "Deny"
    ALLOW = "Allow"


class ProjectDefaults(Model):
    """Each replaces an absent field of an ApiKey as a whole."""

    expires_after: Duration | None = None
    rotation: Rotation | None = None
    rate_limits: tuple[RateLimit, ...] | None = None


class ProjectLimits(Model):
    """What no ApiKey of the Project may exceed; absent: no limit."""

    max_keys: int | None = Field(default=None, ge=0)
    max_keys_per_namespace: int | None = Field(default=None, ge=0)
    max_expires_after: Duration | None = None
    allowed_types: tuple[KeyType, ...] | None = None


class DefaultKey(Model):
    """The one ApiKey that the operator keeps for the Project itself."""

    secret_name: str | None = None
    scopes: tuple[str, ...] | None = None


class ProjectSpec(Model):
    """What the platform team decides."""

    display_name: str | None = Field(default=None, max_length=128)
    description: str | None = Field(default=None, max_length=1024)
    suspend: bool = False
    key_prefix: str = "kw"
    allowed_namespaces: AllowedNamespaces = AllowedNamespaces()
    scopes: tuple[Scope, ...] | None = None
    routes: tuple[Route, ...] | None = None
    unmatched_routes: UnmatchedRoutes | None = None
    defaults: ProjectDefaults | None = None
    limits: ProjectLimits | None = None
    rate_limits: tuple[RateLimit, ...] | None = None
    default_key: DefaultKey | None = None


class ProjectKeys(Model):
    """How many ApiKeys refer here, how many are Ready, how many hold a retiring generation."""

    total: int = 0
    ready: int = 0
    retiring: int = 0


class ProjectStatus(Model):
    """What the operator says of a Project; never dependent on its keys."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    keys: ProjectKeys | None = None


class Project(Model):
    """Who may have keys, and what they may do."""

    metadata: ObjectMeta
    spec: ProjectSpec = ProjectSpec()
    status: ProjectStatus = ProjectStatus()
