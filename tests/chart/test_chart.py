"""What helm makes of the chart: nothing to complain of, and the rights that tests/rbac.py returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from rbac import CHART, rbac

if TYPE_CHECKING:
    from harness.helm import Helm

    Values = dict[str, Any]

ROOT = CHART.parents[1]

VERIFYING: Values = {"enabled": True, "trustedProxies": ["10.42.0.0/16"]}
CHOICES: dict[str, Values] = {
    "cluster-wide": {},
    "cluster-wide, no watch of Secrets": {"secrets": {"watch": False}},
    "cluster-wide, restarting": {"rolloutRestart": True},
    "cluster-wide, records elsewhere": {"systemNamespace": "elsewhere"},
    "namespaced": {"namespaces": ["a", "b"]},
    "namespaced, no watch of Secrets": {"namespaces": ["a"], "secrets": {"watch": False}},
    "namespaced, restarting": {"namespaces": ["a", "b"], "rolloutRestart": True},
    "namespaced, records elsewhere": {"namespaces": ["a"], "systemNamespace": "elsewhere"},
    "alone": {"replicas": 1, "leaderElection": {"enabled": False}},
    "another lease": {"leaderElection": {"leaseName": "mine"}},
    "with a verifier": {"verifier": VERIFYING},
    "with a verifier, namespaced": {"verifier": VERIFYING, "namespaces": ["a", "b"]},
    "with a verifier, records elsewhere": {
        "verifier": VERIFYING,
        "namespaces": ["a"],
        "systemNamespace": "elsewhere",
    },
    "with a verifier and an account of one's own": {
        "verifier": VERIFYING | {"serviceAccount": {"create": False, "name": "mine"}},
    },
    "an account of one's own": {"serviceAccount": {"create": False, "name": "mine"}},
    "an account with annotations": {"serviceAccount": {"annotations": {"example.com/role": "a"}}},
}

each_choice = pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    named = {(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")): one for one in objects}
    assert len(named) == len(objects)
    return named


@each_choice
def test_helm_finds_no_fault(offline: Helm, values: Values) -> None:
    assert "0 chart(s) failed" in offline("lint", "--strict", values=values)


@each_choice
def test_helm_renders_the_rights_that_tests_and_demo_render_without_it(offline: Helm, values: Values) -> None:
    rendered = offline.rendered(**values)
    rights = [obj for path, made in rendered.items() if path.startswith("rbac/") for obj in made]
    assert by_name(rbac(values=values)) == by_name(rights)


def test_every_object_but_the_resources_bears_the_name_of_its_release(offline: Helm) -> None:
    switches = ("finalizerPolicy", "networkPolicy")
    everything: Values = {name: {"enabled": True} for name in switches} | {"namespaces": ["a"]}
    everything["verifier"] = VERIFYING | {
        name: {"enabled": True} for name in ("networkPolicy", "autoscaling")
    }
    everything["metrics"] = {"serviceMonitor": {"enabled": True}}
    named = by_name(offline.objects("another", **everything))
    kinds = {kind for kind, name, _ in named if not name.startswith("another-")}
    assert {"CustomResourceDefinition"} == kinds


def test_the_resources_are_those_of_the_tree_and_are_kept(offline: Helm) -> None:
    brought = {obj["metadata"]["name"]: obj for obj in offline.rendered()["crds.yaml"]}
    tree = [yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))]
    assert {crd["metadata"]["name"]: crd["spec"] for crd in tree} == {
        name: crd["spec"] for name, crd in brought.items()
    }
    kept = {"helm.sh/resource-policy": "keep"}
    assert [kept] * 3 == [crd["metadata"]["annotations"] for crd in brought.values()]


def test_somebody_else_may_bring_the_resources(offline: Helm) -> None:
    assert "crds.yaml" not in offline.rendered(crds={"install": False})


def test_whoever_may_only_work_in_namespaces_can_install_it(offline: Helm) -> None:
    values: Values = {"crds": {"install": False}, "aggregatedRoles": {"create": False}, "namespaces": ["a"]}
    assert all("namespace" in obj["metadata"] for obj in offline.objects(**values))
