"""What a Project grants to an ApiKey: one pure function, for the operator and the verifier alike.

`grant` is what holds now, for every key at all times. `admission` is asked once, before the first
generation: what was admitted keeps rotating with what is still granted. The denials that it consists of
stand alone too, because a key that would no longer be admitted shows the reason.

A Project that cannot be read at all, and both kinds of `suspend`, are no part of the grant: the first
never becomes a `Project`, for the others see `suspension`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from keywright.api.meta import SelectorOperator
from keywright.api.project import NamespacesFrom
from keywright.api.reasons import ReadyReason
from keywright.keys.scopes import covers, is_reserved, is_wildcard, may_hold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keywright.api.apikey import ApiKey
    from keywright.api.meta import LabelSelector, LabelSelectorRequirement
    from keywright.api.project import AllowedNamespaces, Project, Scope


class Denial(NamedTuple):
    """Why something is denied, with a message that names the field and the remedy."""

    reason: ReadyReason
    message: str


class Grant(NamedTuple):
    """What an ApiKey may do.

    `scopes` are granted, sorted: names of the catalogue; where there is none, what was asked for,
    wildcards included. `refused` are requested scopes, as written and in their order, of which
    nothing is granted.
    """

    scopes: tuple[str, ...]
    refused: tuple[str, ...]


def grant(
    project: Project | None,
    api_key: ApiKey,
    namespace_labels: Mapping[str, str] | None,
    *,
    served: bool = True,
) -> Grant | Denial:
    """Return what the Project grants to an ApiKey now.

    `project` is None if there is none of that name, or if its namespace is not `served`: then nobody
    here can know. `namespace_labels` are those of the ApiKey's namespace, None if they are not known: no
    selector matches then.
    """
    if project is None:
        return _no_project(api_key, served=served)
    denial = _namespace_denial(project, api_key, namespace_labels)
    if denial is not None:
        return denial
    requested = api_key.spec.scopes or ()
    granted = {pattern: _granted(pattern, project, api_key, namespace_labels) for pattern in requested}
    return Grant(
        scopes=tuple(sorted({name for names in granted.values() for name in names})),
        refused=tuple(pattern for pattern, names in granted.items() if not names),
    )


def admission(
    project: Project,
    api_key: ApiKey,
    granted: Grant,
    siblings: int,
    siblings_in_namespace: int,
) -> Denial | None:
    """Return why an ApiKey that has no generation yet gets none.

    The siblings are the ApiKeys of the Project, and those of them in the same namespace, that come
    before this one (`rank`), what is being deleted not counted.
    """
    return (
        type_denial(project, api_key)
        or _outside_denial(project, api_key, granted)
        or quota_denial(project, api_key, siblings, siblings_in_namespace)
    )


def type_denial(project: Project, api_key: ApiKey) -> Denial | None:
    """Return why the Project has no ApiKeys of this type."""
    limits = project.spec.limits
    if limits is None or limits.allowed_types is None or api_key.spec.type in limits.allowed_types:
        return None
    return Denial(
        ReadyReason.TYPE_NOT_ALLOWED,
        f"spec.type: the Project {api_key.project} allows {' and '.join(limits.allowed_types)}, "
        f"not {api_key.spec.type}: add it to the Project's spec.limits.allowedTypes, "
        "or create an ApiKey of another type",
    )


def scope_denial(project: Project, api_key: ApiKey, granted: Grant) -> Denial | None:
    """Return why requested scopes are refused: what a key that has generations shows while it goes on."""
    return _scope_denial(project, api_key, granted.refused)


def quota_denial(
    project: Project, api_key: ApiKey, siblings: int, siblings_in_namespace: int
) -> Denial | None:
    """Return which quota is used up by the ApiKeys that come before this one."""
    limits = project.spec.limits
    if limits is None:
        return None
    for field, limit, count, place in (
        ("maxKeys", limits.max_keys, siblings, ""),
        (
            "maxKeysPerNamespace",
            limits.max_keys_per_namespace,
            siblings_in_namespace,
            f" in the namespace {api_key.metadata.namespace}",
        ),
    ):
        if limit is not None and count >= limit:
            return Denial(
                ReadyReason.QUOTA_EXCEEDED,
                f"spec.projectRef: the Project {api_key.project} allows {limit} "
                f"{'ApiKey' if limit == 1 else 'ApiKeys'}{place}, and {count} came first: "
                f"delete one, or raise the Project's spec.limits.{field}",
            )
    return None


def suspension(project: Project, api_key: ApiKey) -> Denial | None:
    """Return which `suspend` stops an ApiKey: its own before the Project's."""
    if api_key.spec.suspend:
        return Denial(ReadyReason.SUSPENDED, "spec.suspend: the ApiKey is suspended: set it to false")
    if project.spec.suspend:
        return Denial(
            ReadyReason.PROJECT_SUSPENDED,
            f"spec.projectRef: the Project {api_key.project} is suspended: "
            "set the Project's spec.suspend to false",
        )
    return None


def chooses_by_label(project: Project | None) -> bool:
    """Whether the labels of an ApiKey's namespace decide about anything that the Project grants."""
    if project is None:
        return False
    catalogue = project.spec.scopes or ()
    allowed = [project.spec.allowed_namespaces, *(scope.allowed_namespaces for scope in catalogue)]
    return any(a is not None and a.from_ is NamespacesFrom.SELECTOR for a in allowed)


class Contender(Protocol):
    """What decides the order in which the ApiKeys of a Project count."""

    @property
    def uid(self) -> str: ...
    @property
    def created(self) -> str: ...
    @property
    def revision(self) -> int: ...


def rank(contender: Contender) -> tuple[bool, str, str]:
    """Return by what the ApiKeys of a Project are ordered for its quotas; the lesser comes first.

    First come those with a revealed generation, so that a key that exists never loses to one that does
    not; then the older (`created` is RFC 3339 in UTC, whose order is that of time), then the smaller UID.
    """
    return not contender.revision, contender.created, contender.uid


def _no_project(api_key: ApiKey, *, served: bool) -> Denial:
    if served:
        why = f"there is no Project {api_key.project}: create it, or name another in a new ApiKey"
    else:
        namespace = api_key.project.partition("/")[0]
        why = (
            f"the operator does not serve the namespace {namespace}, so it does not know the Project "
            f"{api_key.project}: add {namespace} to the operator's --namespaces, or name a Project of a "
            "served namespace in a new ApiKey"
        )
    return Denial(ReadyReason.PROJECT_NOT_FOUND, f"spec.projectRef: {why}")


def _namespace_denial(project: Project, api_key: ApiKey, labels: Mapping[str, str] | None) -> Denial | None:
    allowed = project.spec.allowed_namespaces
    namespace = api_key.metadata.namespace
    if _allows(allowed, project, namespace, labels):
        return None
    if allowed.from_ is NamespacesFrom.SAME:
        why = (
            f"allows ApiKeys of its own namespace only, not of {namespace}: "
            "change the Project's spec.allowedNamespaces, or create the ApiKey there"
        )
    elif labels is None:
        why = (
            f"chooses namespaces by label, and the labels of {namespace} are not known here: "
            "set the Project's spec.allowedNamespaces to from: Same or All, "
            "or install the operator for the whole cluster"
        )
    else:
        why = (
            f"chooses namespaces by label, and {namespace} does not match: "
            "label the namespace, or change the Project's spec.allowedNamespaces"
        )
    return Denial(ReadyReason.NAMESPACE_NOT_ALLOWED, f"spec.projectRef: the Project {api_key.project} {why}")


def _granted(
    pattern: str, project: Project, api_key: ApiKey, labels: Mapping[str, str] | None
) -> frozenset[str]:
    """Return what one requested scope comes to."""
    key_type = api_key.spec.type
    if not may_hold(key_type, pattern):
        return frozenset()
    if not project.spec.scopes:
        return frozenset() if is_reserved(pattern) else frozenset({pattern})
    return frozenset(
        scope.name
        for scope in _covered(pattern, project)
        if may_hold(key_type, scope.name)
        and (scope.allowed_types is None or key_type in scope.allowed_types)
        # Absent it is the Project's, which let this namespace pass before.
        and (
            scope.allowed_namespaces is None
            or _allows(scope.allowed_namespaces, project, api_key.metadata.namespace, labels)
        )
    )


def _covered(pattern: str, project: Project) -> tuple[Scope, ...]:
    """Return the entries of the catalogue that a requested scope stands for, whoever may have them."""
    return tuple(scope for scope in project.spec.scopes or () if covers(pattern, scope.name))


def _outside_catalogue(pattern: str, project: Project) -> bool:
    return not _covered(pattern, project) and (bool(project.spec.scopes) or is_reserved(pattern))


def _outside_denial(project: Project, api_key: ApiKey, granted: Grant) -> Denial | None:
    outside = tuple(pattern for pattern in granted.refused if _outside_catalogue(pattern, project))
    return _scope_denial(project, api_key, outside)


def _scope_denial(project: Project, api_key: ApiKey, refused: Iterable[str]) -> Denial | None:
    reasons = "; ".join(_refusal(pattern, project, api_key) for pattern in refused)
    return Denial(ReadyReason.SCOPE_NOT_ALLOWED, f"spec.scopes: {reasons}") if reasons else None


def _refusal(pattern: str, project: Project, api_key: ApiKey) -> str:
    """Return why nothing of a requested scope is granted, and what to do about it."""
    key_type = api_key.spec.type
    if not may_hold(key_type, pattern):
        return (
            f'a Client key is public and cannot have "{pattern}": ask by name for scopes that are not admin'
        )
    if is_reserved(pattern) and is_wildcard(pattern):
        return f'"{pattern}" grants nothing: ask for scopes of keywright by name'
    if _outside_catalogue(pattern, project):
        missing = (
            f'lists nothing that "{pattern}" covers' if is_wildcard(pattern) else f'does not list "{pattern}"'
        )
        remedy = "add it to the Project's spec.scopes, or ask for another one"
        return f"the Project {api_key.project} {missing}: {remedy}"
    return (
        f'the Project {api_key.project} does not grant "{pattern}" to {key_type} keys of the namespace '
        f"{api_key.metadata.namespace}: change allowedTypes or allowedNamespaces of that scope, "
        "or ask for another one"
    )


def _allows(
    allowed: AllowedNamespaces,
    project: Project,
    namespace: str,
    labels: Mapping[str, str] | None,
) -> bool:
    if allowed.from_ is NamespacesFrom.SAME:
        return namespace == project.metadata.namespace
    if allowed.from_ is NamespacesFrom.ALL:
        return True
    return allowed.selector is not None and labels is not None and _matches(allowed.selector, labels)


def _matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    # Kubernetes lets an empty selector match everything. Ours is refused when written, so one that is
    # empty all the same opens nothing.
    if not selector.match_labels and not selector.match_expressions:
        return False
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(expression, labels) for expression in selector.match_expressions
    )


def _holds(expression: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression.key)
    match expression.operator:
        case SelectorOperator.IN:
            return value in expression.values
        case SelectorOperator.NOT_IN:
            # As in Kubernetes: also where the label is absent.
            return value not in expression.values
        case SelectorOperator.EXISTS:
            return value is not None
        case SelectorOperator.DOES_NOT_EXIST:
            return value is None
