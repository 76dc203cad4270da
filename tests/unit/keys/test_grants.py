"""What a Project grants, example by example and against a slow and obvious reading of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keywright.api.apikey import ApiKey
from keywright.api.project import KeyType, Project
from keywright.api.reasons import ReadyReason
from keywright.keys.grants import (
    Denial,
    Grant,
    admission,
    grant,
    quota_denial,
    rank,
    scope_denial,
    suspension,
    type_denial,
)


def a_project(**spec: Any) -> Project:
    return Project.model_validate({"metadata": {"name": "payments", "namespace": "shop"}, "spec": spec})


def an_api_key(*scopes: str, namespace: str = "shop", **spec: Any) -> ApiKey:
    return ApiKey.model_validate(
        {
            "metadata": {"name": "checkout", "namespace": namespace, "uid": "uid"},
            "spec": {"projectRef": {"name": "payments", "namespace": "shop"}, "scopes": scopes, **spec},
        }
    )


def catalogue(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


def granted(project: Project, api_key: ApiKey, labels: dict[str, str] | None = None) -> Grant:
    answer = grant(project, api_key, labels)
    assert isinstance(answer, Grant)
    return answer


def denied(project: Project | None, api_key: ApiKey, labels: dict[str, str] | None = None) -> Denial:
    answer = grant(project, api_key, labels)
    assert isinstance(answer, Denial)
    return answer


def test_no_project_is_denied() -> None:
    denial = denied(None, an_api_key())
    assert denial.reason is ReadyReason.PROJECT_NOT_FOUND
    assert denial.message.startswith("spec.projectRef: there is no Project shop/payments: create it")


def test_of_a_namespace_that_is_not_served_it_is_not_said_that_there_is_no_project() -> None:
    denial = grant(None, an_api_key(), None, served=False)
    assert isinstance(denial, Denial)
    assert denial.reason is ReadyReason.PROJECT_NOT_FOUND
    assert "the operator does not serve the namespace shop" in denial.message
    assert "--namespaces" in denial.message
    assert "there is no" not in denial.message


def test_by_default_only_the_projects_own_namespace_is_allowed() -> None:
    assert granted(a_project(), an_api_key()) == Grant((), ())
    denial = denied(a_project(), an_api_key(namespace="other"), {})
    assert denial.reason is ReadyReason.NAMESPACE_NOT_ALLOWED
    assert (
        "its own namespace only, not of other: change the Project's spec.allowedNamespaces" in denial.message
    )


def test_all_allows_any_namespace() -> None:
    project = a_project(allowedNamespaces={"from": "All"})
    assert granted(project, an_api_key(namespace="other")) == Grant((), ())


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({"matchLabels": {"team": "b"}}, True),
        ({"matchLabels": {"team": "c"}}, False),
        ({"matchLabels": {"team": "b", "tier": "1"}}, False),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["b"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["b"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        (
            {"matchLabels": {"team": "b"}, "matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]},
            False,
        ),
        ({}, False),
        (None, False),
    ],
)
def test_a_selector_matches_labels_as_in_kubernetes_but_opens_nothing_when_empty(
    selector: dict[str, Any] | None,
    matches: bool,  # noqa: FBT001
) -> None:
    project = a_project(allowedNamespaces={"from": "Selector", "selector": selector})
    answer = grant(project, an_api_key(namespace="other"), {"team": "b"})
    assert matches is isinstance(answer, Grant)
    if isinstance(answer, Denial):
        assert "other does not match: label the namespace" in answer.message


def test_a_selector_without_known_labels_is_denied_with_a_message_that_says_so() -> None:
    project = a_project(allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"team": "b"}}})
    denial = denied(project, an_api_key(namespace="other"), None)
    assert denial.reason is ReadyReason.NAMESPACE_NOT_ALLOWED
    assert "the labels of other are not known here" in denial.message


def test_without_a_catalogue_any_scope_is_granted_as_written_but_no_reserved_one() -> None:
    api_key = an_api_key("x:*", "data:read", "*", "keywright:authorizer", "keywright:*")
    assert granted(a_project(), api_key) == Grant(
        ("*", "data:read", "x:*"), ("keywright:authorizer", "keywright:*")
    )


def test_with_a_catalogue_wildcards_become_its_names() -> None:
    project = a_project(scopes=catalogue("data", "data:read", "data:a:b", "keywright:authorizer"))
    assert granted(project, an_api_key("data:*")).scopes == ("data:a:b", "data:read")
    assert granted(project, an_api_key("*")).scopes == ("data", "data:a:b", "data:read")
    assert granted(project, an_api_key("data:*", "data:read")).scopes == ("data:a:b", "data:read")


def test_a_reserved_scope_is_granted_by_its_exact_name_in_the_catalogue() -> None:
    project = a_project(scopes=catalogue("keywright:authorizer"))
    assert granted(project, an_api_key("keywright:authorizer")) == Grant(("keywright:authorizer",), ())
    assert granted(project, an_api_key("keywright:*", "keywright:keys")) == Grant(
        (), ("keywright:*", "keywright:keys")
    )


def test_a_client_gets_no_admin_and_not_everything() -> None:
    project = a_project(scopes=catalogue("data:read", "data:admin", "admin:read"))
    api_key = an_api_key("*", "data:*", "data:admin", "admin:*", type="Client")
    assert granted(project, api_key) == Grant(("data:read",), ("*", "data:admin", "admin:*"))
    assert granted(a_project(), api_key) == Grant(("data:*",), ("*", "data:admin", "admin:*"))


def test_a_scope_may_be_for_some_types_only() -> None:
    project = a_project(
        scopes=[{"name": "data:write", "allowedTypes": ["Production"]}, {"name": "data:read"}]
    )
    assert granted(project, an_api_key("data:*")).scopes == ("data:read", "data:write")
    assert granted(project, an_api_key("data:*", "data:write", type="Development")) == Grant(
        ("data:read",), ("data:write",)
    )


def test_a_scope_may_be_for_some_namespaces_only_but_never_for_more_than_the_projects() -> None:
    scopes = [{"name": "own", "allowedNamespaces": {"from": "Same"}}, {"name": "any"}]
    project = a_project(scopes=scopes, allowedNamespaces={"from": "All"})
    assert granted(project, an_api_key("own", "any", namespace="other")) == Grant(("any",), ("own",))
    project = a_project(scopes=[{"name": "any", "allowedNamespaces": {"from": "All"}}])
    assert denied(project, an_api_key("any", namespace="other")).reason is ReadyReason.NAMESPACE_NOT_ALLOWED


def test_a_scope_by_selector_needs_known_labels() -> None:
    by_team = {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}
    project = a_project(scopes=[{"name": "x", "allowedNamespaces": by_team}])
    assert granted(project, an_api_key("x"), {"team": "b"}).scopes == ("x",)
    assert granted(project, an_api_key("x"), None).refused == ("x",)


def test_a_type_that_the_project_does_not_allow_is_denied() -> None:
    project = a_project(limits={"allowedTypes": ["Production", "Client"]})
    assert type_denial(project, an_api_key()) is None
    denial = type_denial(project, an_api_key(type="Development"))
    assert denial is not None
    assert denial == Denial(
        ReadyReason.TYPE_NOT_ALLOWED,
        "spec.type: the Project shop/payments allows Production and Client, not Development: "
        "add it to the Project's spec.limits.allowedTypes, or create an ApiKey of another type",
    )
    assert denial == admission(project, an_api_key("x", type="Development"), Grant((), ()), 9, 9)


def test_what_is_outside_the_catalogue_is_not_admitted() -> None:
    project = a_project(scopes=catalogue("data:read"))
    api_key = an_api_key("data:read", "x")
    assert admission(project, api_key, granted(project, api_key), 0, 0) == Denial(
        ReadyReason.SCOPE_NOT_ALLOWED,
        'spec.scopes: the Project shop/payments does not list "x": '
        "add it to the Project's spec.scopes, or ask for another one",
    )


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("x:*", 'spec.scopes: the Project shop/payments lists nothing that "x:*" covers: add it'),
        ("keywright:*", 'spec.scopes: "keywright:*" grants nothing: ask for scopes of keywright by name'),
        ("keywright:keys", 'spec.scopes: the Project shop/payments does not list "keywright:keys": add it'),
    ],
)
def test_the_message_says_what_is_wrong_with_the_scope(scope: str, message: str) -> None:
    for project in (a_project(scopes=catalogue("data:read")), a_project()):
        api_key = an_api_key(scope)
        denial = admission(project, api_key, granted(project, api_key), 0, 0)
        if project.spec.scopes or scope != "x:*":
            assert denial is not None
            assert denial.message.startswith(message)
        else:
            assert denial is None


def test_what_the_catalogue_lists_for_others_is_admitted_without_it_and_shown() -> None:
    project = a_project(scopes=[{"name": "x", "allowedTypes": ["Production"]}])
    api_key = an_api_key("x", type="Development")
    answer = granted(project, api_key)
    assert admission(project, api_key, answer, 0, 0) is None
    assert scope_denial(project, api_key, answer) == Denial(
        ReadyReason.SCOPE_NOT_ALLOWED,
        'spec.scopes: the Project shop/payments does not grant "x" to Development keys '
        "of the namespace shop: change allowedTypes or allowedNamespaces of that scope, "
        "or ask for another one",
    )


def test_a_client_is_told_that_it_cannot_have_admin() -> None:
    api_key = an_api_key("admin", type="Client")
    denial = scope_denial(a_project(), api_key, granted(a_project(), api_key))
    assert denial is not None
    assert 'a Client key is public and cannot have "admin"' in denial.message


def test_nothing_refused_is_no_denial() -> None:
    assert scope_denial(a_project(), an_api_key("x"), Grant(("x",), ())) is None


@pytest.mark.parametrize(
    ("limits", "siblings", "siblings_in_namespace", "field"),
    [
        (None, 99, 99, None),
        ({}, 99, 99, None),
        ({"maxKeys": 2}, 1, 1, None),
        ({"maxKeys": 2}, 2, 0, "limits.maxKeys"),
        ({"maxKeys": 0}, 0, 0, "limits.maxKeys"),
        ({"maxKeysPerNamespace": 2}, 9, 1, None),
        ({"maxKeysPerNamespace": 2}, 9, 2, "limits.maxKeysPerNamespace"),
    ],
)
def test_a_quota_is_used_up_by_those_that_come_before(
    limits: dict[str, Any] | None,
    siblings: int,
    siblings_in_namespace: int,
    field: str | None,
) -> None:
    project = a_project(limits=limits)
    denial = quota_denial(project, an_api_key(), siblings, siblings_in_namespace)
    assert denial == admission(project, an_api_key(), Grant((), ()), siblings, siblings_in_namespace)
    if field is None:
        assert denial is None
    else:
        assert denial is not None
        assert denial.reason is ReadyReason.QUOTA_EXCEEDED
        assert denial.message.endswith(f"delete one, or raise the Project's spec.{field}")


def test_its_own_suspend_comes_before_the_projects() -> None:
    assert suspension(a_project(), an_api_key()) is None
    both = suspension(a_project(suspend=True), an_api_key(suspend=True))
    assert both is not None
    assert both.reason is ReadyReason.SUSPENDED
    project = suspension(a_project(suspend=True), an_api_key())
    assert project is not None
    assert project.reason is ReadyReason.PROJECT_SUSPENDED


@dataclass(frozen=True)
class OneOfMany:
    uid: str
    revision: int = 0
    created: str = "2026-01-01T00:00:00Z"


def test_keys_that_exist_come_first_then_the_older_then_the_smaller_uid() -> None:
    in_order = [
        OneOfMany("z", revision=1, created="2025-12-31T00:00:00Z"),
        OneOfMany("y", revision=7),
        OneOfMany("x", created="2025-12-30T00:00:00Z"),
        OneOfMany("a"),
        OneOfMany("b"),
    ]
    for siblings in permutations(in_order):
        assert in_order == sorted(siblings, key=rank)


NAMES = [
    "data",
    "data:read",
    "data:admin",
    "data:a:b",
    "admin",
    "admin:x",
    "keywright:keys",
    "keywright",
    "x",
]
PATTERNS = [*NAMES, "*", "data:*", "data:a:*", "admin:*", "keywright:*", "none:*"]
WHERE: dict[str, dict[str, Any]] = {
    "Same": {"from": "Same"},
    "All": {"from": "All"},
    "Selector": {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}},
}


def is_open(where: str, namespace: str, labels: dict[str, str] | None) -> bool:
    if where == "Same":
        return namespace == "shop"
    if where == "Selector":
        return labels is not None and "team" in labels and labels["team"] == "b"
    return True


def has(scope: str, pattern: str) -> bool:
    """Compare segment by segment, which the code under test does not."""
    if pattern in {"*", scope}:
        return pattern == scope or not scope.startswith("keywright:")
    *head, last = pattern.split(":")
    segments = scope.split(":")
    return (
        last == "*" and head != ["keywright"] and len(segments) > len(head) and segments[: len(head)] == head
    )


@given(
    entries=st.dictionaries(
        st.sampled_from(NAMES),
        st.tuples(
            st.none() | st.sets(st.sampled_from(list(KeyType)), min_size=1),
            st.none() | st.sampled_from(list(WHERE)),
        ),
    ),
    where=st.sampled_from(list(WHERE)),
    namespace=st.sampled_from(["shop", "other"]),
    labels=st.none() | st.dictionaries(st.just("team"), st.sampled_from(["a", "b"])),
    key_type=st.sampled_from(list(KeyType)),
    requested=st.sets(st.sampled_from(PATTERNS)),
)
def test_a_grant_is_what_the_contract_says(
    entries: dict[str, tuple[set[KeyType] | None, str | None]],
    where: str,
    namespace: str,
    labels: dict[str, str] | None,
    key_type: KeyType,
    requested: set[str],
) -> None:
    project = a_project(
        allowedNamespaces=WHERE[where],
        scopes=[
            {
                "name": name,
                "allowedTypes": types and sorted(types),
                "allowedNamespaces": WHERE[place] if place else None,
            }
            for name, (types, place) in entries.items()
        ],
    )
    answer = grant(project, an_api_key(*requested, namespace=namespace, type=key_type), labels)
    if not is_open(where, namespace, labels):
        assert isinstance(answer, Denial)
        return

    expected: set[str] = set()
    refused = set(requested)
    for pattern in requested:
        for name in entries or {pattern: (None, None)}:
            types, place = entries.get(name, (None, None))
            segments = name.split(":")
            if (
                has(name, pattern)
                and (entries or segments[0] != "keywright" or len(segments) == 1)
                and (types is None or key_type in types)
                and (place is None or is_open(place, namespace, labels))
                and not (
                    key_type == "Client" and ("admin" in segments or "admin" in pattern or pattern == "*")
                )
            ):
                expected.add(name)
                refused.discard(pattern)
    assert isinstance(answer, Grant)
    assert answer.scopes == tuple(sorted(expected))
    assert set(answer.refused) == refused
    assert len(answer.refused) == len(refused)
