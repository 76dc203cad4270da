"""Project: who may have keys, and what they may do."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from keywright.api.forms import (
    LABEL_KEYS,
    KeyPrefix,
    LabelValue,
    Method,
    Name,
    RequestedScopes,
    RoutePath,
    ScopeName,
)
from keywright.api.meta import (
    Condition,
    Duration,
    LabelSelector,
    LabelSelectorRequirement,
    Model,
    ObjectMeta,
)
from keywright.api.policy import LIFETIME_RULES, Lifetime, RateLimits, Rotation, at_least
from keywright.api.rules import ListMap, ListSet, Rule


class KeyType(StrEnum):
    """Where a key is used; part of its prefix."""

    DEVELOPMENT = "Development"
    PRODUCTION = "Production"
    CLIENT = "Client"


KeyTypes = Annotated[tuple[KeyType, ...], ListSet(), Field(min_length=1, max_length=3)]


class NamespacesFrom(StrEnum):
    """How `allowedNamespaces` chooses (as in the Gateway API)."""

    SAME = "Same"
    ALL = "All"
    SELECTOR = "Selector"


class AllowedNamespaces(Model):
    """Whose ApiKeys may refer to the Project."""

    cel = (
        Rule(
            cel="self.from == 'Selector' || !has(self.selector)",
            message="a selector counts only with from: Selector: write that, or leave selector out",
        ),
        Rule(
            cel="self.from != 'Selector' || has(self.selector)",
            message="write a selector of namespaces; for every namespace write from: All",
        ),
    )

    from_: NamespacesFrom = Field(default=NamespacesFrom.SAME, alias="from")
    """Same: the Project's own namespace. All: every namespace. Selector: those that `selector` chooses."""
    selector: LabelSelector | None = None
    """The labels of the namespaces, with `from: Selector` only."""


class ScopeSelectorRequirement(LabelSelectorRequirement):
    """One expression of a scope's label selector."""

    values: Annotated[tuple[LabelValue, ...], Field(max_length=8)] = ()
    """The values for In and NotIn."""


class ScopeSelector(LabelSelector):
    """A label selector with bounds that let a Project hold one for each scope."""

    match_labels: Annotated[dict[str, LabelValue], LABEL_KEYS, Field(max_length=8)] = {}  # noqa: RUF012  pydantic copies it
    """Labels that the namespace has, with these values."""
    match_expressions: Annotated[tuple[ScopeSelectorRequirement, ...], Field(max_length=4)] = ()
    """Further expressions that hold."""


class ScopeNamespaces(AllowedNamespaces):
    """Whose ApiKeys may have a scope. `from` is written out: an item of a list has no defaults."""

    from_: NamespacesFrom = Field(alias="from")
    """Same: the Project's own namespace. All: every namespace. Selector: those that `selector` chooses."""
    selector: ScopeSelector | None = None
    """The labels of the namespaces, with `from: Selector` only."""


class Scope(Model):
    """One entry of the catalogue of scopes."""

    name: ScopeName
    """The scope, such as "payments:refund"."""
    description: Annotated[str, Field(max_length=256)] | None = None
    """What it lets a key do, for people."""
    allowed_types: KeyTypes | None = None
    """The types of ApiKey that may have it. Default: all."""
    allowed_namespaces: ScopeNamespaces | None = None
    """Whose ApiKeys may have it. Default: as for the Project."""


RouteScopes = Annotated[tuple[ScopeName, ...], Field(min_length=1, max_length=16)]


class Route(Model):
    """Which scopes a request needs."""

    cel = (
        Rule(
            cel="!has(self.public) || !self.public || (!has(self.scopes) && !has(self.anyScopes))",
            message="a public route needs no key: leave out scopes and anyScopes, or public",
        ),
    )

    methods: Annotated[tuple[Method, ...], Field(max_length=16)] | None = None
    """The HTTP methods, such as GET. Default: any."""
    path: RoutePath
    """The path: literal segments, {x} for any one segment, and a final /* for one or more."""
    scopes: RouteScopes | None = None
    """Scopes that the key must have, all of them."""
    any_scopes: RouteScopes | None = None
    """Scopes of which the key must have one."""
    public: bool | None = None
    """True: no key is needed."""


class UnmatchedRoutes(StrEnum):
    """What happens to a request that no route matches."""

    DENY = "Deny"
    ALLOW = "Allow"


class ProjectDefaults(Model):
    """Each replaces an absent field of an ApiKey as a whole."""

    cel = LIFETIME_RULES

    expires_after: Lifetime | None = None
    """The life of each key where the ApiKey says nothing, such as "2160h" for 90 days; "0s": none."""
    rotation: Rotation | None = None
    """The rotation of ApiKeys that have none of their own."""
    rate_limits: RateLimits | None = None
    """The rate limits of ApiKeys that have none of their own."""


class ProjectLimits(Model):
    """What no ApiKey of the Project may exceed; absent: no limit."""

    max_keys: Annotated[int, Field(ge=0)] | None = None
    """How many ApiKeys may refer to the Project."""
    max_keys_per_namespace: Annotated[int, Field(ge=0)] | None = None
    """How many of them may be in one namespace."""
    max_expires_after: Annotated[Duration, at_least("1s", 'write at least "1s"')] | None = None
    """The longest life of a key, and that of a key without one. Acts on existing keys at once."""
    allowed_types: KeyTypes | None = None
    """The types that an ApiKey may have. Default: all."""


class DefaultKey(Model):
    """The one ApiKey that the operator keeps for the Project itself."""

    secret_name: Name | None = None
    """The name of its Secret. Default: "<project>-default". Never changes while defaultKey stays."""
    scopes: RequestedScopes | None = None
    """What it may do. Default: nothing that needs a scope."""


class ProjectSpec(Model):
    """What the platform team decides."""

    display_name: Annotated[str, Field(max_length=128)] | None = None
    """A name for people."""
    description: Annotated[str, Field(max_length=1024)] | None = None
    """What the Project is, for people."""
    suspend: bool = False
    """True: every key of the Project is denied, and nothing is minted or rotated."""
    key_prefix: KeyPrefix = "kw"
    """What every key begins with, so that a scanner finds it. A change counts from the next generation."""
    allowed_namespaces: AllowedNamespaces = AllowedNamespaces()
    """Whose ApiKeys may refer to the Project. Default: those of its own namespace."""
    scopes: Annotated[tuple[Scope, ...], ListMap("name"), Field(max_length=128)] | None = None
    """The catalogue of scopes. Empty: any scope but those that begin with "keywright:"."""
    routes: Annotated[tuple[Route, ...], Field(max_length=128)] | None = None
    """Which scopes a request needs, by method and path."""
    unmatched_routes: UnmatchedRoutes | None = None
    """Deny or Allow a request that no route matches. Default: Deny where there are routes, else Allow."""
    defaults: ProjectDefaults | None = None
    """What applies where an ApiKey says nothing."""
    limits: ProjectLimits | None = None
    """What no ApiKey may exceed."""
    rate_limits: RateLimits | None = None
    """Rate limits that all keys of the Project share."""
    default_key: DefaultKey | None = None
    """Present: the operator keeps one ApiKey "<project>-default". Removed: that is deleted and so revoked."""


class ProjectKeys(Model):
    """How many ApiKeys refer here, how many are Ready, how many hold a retiring generation."""

    total: int = 0
    """How many ApiKeys refer to the Project."""
    ready: int = 0
    """How many of them are Ready."""
    retiring: int = 0
    """How many of them hold an old key that is still valid."""


class ProjectStatus(Model):
    """What the operator says of a Project; never dependent on its keys."""

    observed_generation: int = -1
    """The generation of the spec that this was found for; -1 before the first time."""
    conditions: Annotated[tuple[Condition, ...], ListMap("type"), Field(max_length=8)] = ()
    """Ready, with the reason Accepted or InvalidSpec, and Stalled while it is the second."""
    keys: ProjectKeys | None = None
    """How many ApiKeys refer here."""


_SECRET_NAME = ".spec.defaultKey.secretName"  # noqa: S105  a path


def _effective(instance: str) -> str:
    """CEL: the name of the default key's Secret, written out or not."""
    return f"(has({instance}{_SECRET_NAME}) ? {instance}{_SECRET_NAME} : self.metadata.name + '-default')"


class Project(Model):
    """A Project says who may have API keys and what they may do: scopes, routes, defaults and limits."""

    cel = (
        # At the root, where metadata.name is; writing the default out, or removing it, changes nothing.
        Rule(
            cel="!has(self.spec.defaultKey) || !has(oldSelf.spec.defaultKey) || "
            f"{_effective('self')} == {_effective('oldSelf')}",
            message='defaultKey.secretName is immutable (absent it is "<project>-default"): remove '
            "defaultKey, which revokes the default key, then write it anew",
            field_path=_SECRET_NAME,
        ),
    )

    metadata: ObjectMeta
    spec: ProjectSpec = ProjectSpec()
    status: ProjectStatus = ProjectStatus()
