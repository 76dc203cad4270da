"""The chart's rights: the least that operator and verifier need, and the same in every form."""

from __future__ import annotations

from typing import Any

import pytest

from rbac import UnknownConstructError, rbac, render

Rules = dict[tuple[str, str], set[str]]


def rules_of(role: dict[str, Any]) -> Rules:
    found: Rules = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                named = "/".join([resource, *rule.get("resourceNames", ())])
                found.setdefault((group, named), set()).update(rule["verbs"])
    return found


def one(kind: str, name: str, objects: list[dict[str, Any]], namespace: str | None = None) -> dict[str, Any]:
    found = [
        each
        for each in objects
        if each["kind"] == kind
        and each["metadata"]["name"] == name
        and namespace in {None, each["metadata"].get("namespace")}
    ]
    assert len(found) == 1
    return found[0]


SERVED: Rules = {
    ("keywright.dev", "apikeys"): {"get", "list", "watch", "patch", "create", "delete"},
    ("keywright.dev", "projects"): {"get", "list", "watch"},
    ("keywright.dev", "revocations"): {"get", "list", "watch", "delete"},
    ("keywright.dev", "apikeys/status"): {"update"},
    ("keywright.dev", "projects/status"): {"update"},
    ("keywright.dev", "revocations/status"): {"update"},
    ("keywright.dev", "apikeys/finalizers"): {"update"},
    ("keywright.dev", "projects/finalizers"): {"update"},
    ("", "secrets"): {"get", "list", "watch", "create", "update", "delete"},
    ("events.k8s.io", "events"): {"create"},
}


def test_cluster_wide_it_has_these_rights_and_no_more() -> None:
    cluster = {
        ("", "namespaces"): {"get", "list", "watch"},
        ("apiextensions.k8s.io", "customresourcedefinitions"): {"list", "watch"},
    }
    assert rules_of(one("ClusterRole", "keywright-operator", rbac())) == SERVED | cluster


def test_for_listed_namespaces_it_has_the_same_rights_there_and_nothing_cluster_wide() -> None:
    objects = rbac(values={"namespaces": ["a", "b"]})
    for namespace in ("a", "b"):
        assert rules_of(one("Role", "keywright-operator", objects, namespace)) == SERVED
        subject = one("RoleBinding", "keywright-operator", objects, namespace)["subjects"][0]
        assert (subject["name"], subject["namespace"]) == ("keywright-operator", "keywright-system")
    assert not [each for each in objects if each["kind"].startswith("ClusterRole")]


@pytest.mark.parametrize("namespaces", [[], ["a"]])
def test_what_is_switched_off_needs_no_rights(namespaces: list[str]) -> None:
    kind = "Role" if namespaces else "ClusterRole"
    off = {"namespaces": namespaces, "secrets": {"watch": False}}
    rules = rules_of(one(kind, "keywright-operator", rbac(values=off)))
    assert rules["", "secrets"] == {"get", "create", "update", "delete"}
    on = {"namespaces": namespaces, "rolloutRestart": True}
    rules = rules_of(one(kind, "keywright-operator", rbac(values=on)))
    assert {
        rules["apps", name] == {"get", "patch"} for name in ("deployments", "statefulsets", "daemonsets")
    } == {True}


def test_records_and_the_lease_are_written_in_the_system_namespace_only() -> None:
    objects = rbac(values={"systemNamespace": "elsewhere"})
    role = one("Role", "keywright-system", objects, "elsewhere")
    assert rules_of(role) == {
        ("keywright.dev", "revocations"): {"create"},
        ("", "secrets"): {"create"},
        ("", "secrets/keywright-sealing"): {"get"},
        ("coordination.k8s.io", "leases"): {"create"},
        ("coordination.k8s.io", "leases/keywright-operator"): {"get", "update"},
    }
    assert (
        "create"
        not in rules_of(one("ClusterRole", "keywright-operator", objects))["keywright.dev", "revocations"]
    )


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"enabled": False}, set()),
        ({"leaseName": "another"}, {"leases", "leases/another"}),
    ],
)
def test_only_the_lease_that_it_is_elected_by_can_be_taken(
    chosen: dict[str, Any], expected: set[str]
) -> None:
    rules = rules_of(one("Role", "keywright-system", rbac(values={"leaderElection": chosen})))
    assert expected == {name for group, name in rules if group == "coordination.k8s.io"}


def test_verifiers_are_looked_for_only_where_usage_is_read_and_none_is_named() -> None:
    def roles(**usage: object) -> list[dict[str, Any]]:
        objects = rbac(values={"usage": usage, "systemNamespace": "elsewhere"})
        return [
            one for one in objects if one["kind"] == "Role" and one["metadata"]["name"].endswith("-usage")
        ]

    [role] = roles(tokenSecret="usage")
    assert {("discovery.k8s.io", "endpointslices"): {"list"}} == rules_of(role)
    assert "keywright-system" == role["metadata"]["namespace"]
    assert [] == roles() == roles(tokenSecret="usage", urls=["http://v:8082"])


def test_an_account_of_ones_own_gets_the_rights_and_is_not_made() -> None:
    objects = rbac(values={"serviceAccount": {"create": False, "name": "mine"}})
    assert {"mine"} == {each["subjects"][0]["name"] for each in objects if "subjects" in each}
    assert not [each for each in objects if each["kind"] == "ServiceAccount"]


READ = {"get", "list", "watch"}
READ_BY_VERIFIER: Rules = {
    ("keywright.dev", "apikeys"): READ,
    ("keywright.dev", "projects"): READ,
    ("keywright.dev", "revocations"): READ,
}


def verifying(**values: Any) -> list[dict[str, Any]]:
    return rbac(values={"verifier": {"enabled": True, **values.pop("verifier", {})}, **values})


def test_without_a_verifier_nobody_has_its_rights() -> None:
    assert not [each for each in rbac() if "verifier" in each["metadata"]["name"]]


def test_cluster_wide_the_verifier_reads_these_and_writes_nothing() -> None:
    rules = rules_of(one("ClusterRole", "keywright-verifier", verifying()))
    assert rules == READ_BY_VERIFIER | {("", "namespaces"): READ}
    assert not [each for each in verifying() if each["metadata"]["name"] == "keywright-verifier-system"]


def test_for_listed_namespaces_the_verifier_reads_there_and_revocations_of_the_system_namespace() -> None:
    objects = verifying(namespaces=["a", "b"], systemNamespace="elsewhere")
    for namespace in ("a", "b"):
        assert rules_of(one("Role", "keywright-verifier", objects, namespace)) == READ_BY_VERIFIER
    system = one("Role", "keywright-verifier-system", objects, "elsewhere")
    assert rules_of(system) == {("keywright.dev", "revocations"): READ}
    assert not [each for each in objects if each["kind"].startswith("ClusterRole")]


def test_operator_and_verifier_have_nothing_of_each_other() -> None:
    for objects in (verifying(), verifying(namespaces=["a"])):
        subjects = {
            each["metadata"]["name"]: [subject["name"] for subject in each["subjects"]]
            for each in objects
            if "subjects" in each
        }
        for name, accounts in subjects.items():
            assert accounts == ["keywright-verifier" if "verifier" in name else "keywright-operator"]


def test_a_verifiers_account_of_ones_own_gets_the_rights_and_is_not_made() -> None:
    objects = verifying(verifier={"serviceAccount": {"create": False, "name": "mine"}})
    assert [{"mine"}] == [
        {subject["name"] for subject in each["subjects"]}
        for each in objects
        if "subjects" in each and "verifier" in each["metadata"]["name"]
    ]
    accounts = [each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"]
    assert ["keywright-operator"] == accounts


def test_no_right_is_a_wildcard() -> None:
    for each in verifying(namespaces=["a"]) + verifying():
        for rule in each.get("rules", ()):
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]


@pytest.mark.parametrize(
    "line", ['{{ include "x" . }}', "{{- with .Values }}", "{{ .Values.a | quote }}", "{{/* x */}}"]
)
def test_the_renderer_refuses_what_it_does_not_know(line: str) -> None:
    with pytest.raises(UnknownConstructError):
        render(f"a: {line}\n", {"Release": {}, "Values": {"a": "b"}})
