"""A real API server takes what the chart renders, and Pod Security takes it at its strictest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.api import Api, RefusedError
from harness.helm import NAMESPACE, Helm

if TYPE_CHECKING:
    from harness.kubectl import Kubectl

    Values = dict[str, Any]

CHOICES: dict[str, Values] = {
    "as it comes": {},
    "everything on": {
        "image": {"digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "registry"}],
        "finalizerPolicy": {"enabled": True},
        "networkPolicy": {
            "enabled": True,
            "from": [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}],
            "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
        },
        "rolloutRestart": True,
        "usage": {"urls": ["http://verifier:8082"], "tokenSecret": "usage"},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "platform"},
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"topologyKey": "rack", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"},
        ],
        "metrics": {"service": {"annotations": {"a": "b"}}},
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "serviceAccount": {"annotations": {"a": "b"}},
    },
    "namespaced": {"namespaces": ["shop"], "finalizerPolicy": {"enabled": True}},
    "alone": {"replicas": 1, "leaderElection": {"enabled": False}, "networkPolicy": {"enabled": True}},
    "off": {
        "crds": {"install": False},
        "aggregatedRoles": {"create": False},
        "metrics": {"service": {"enabled": False}},
        "podDisruptionBudget": {"enabled": False},
        "resources": {"limits": None, "requests": None},
    },
}


@pytest.fixture(scope="module")
def namespaces(admin: Api) -> None:
    """The system namespace, with Pod Security at its strictest, and one that is served."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    for name, labels in ((NAMESPACE, restricted), ("shop", {})):
        if admin.find("Namespace", name) is None:
            metadata = {"name": name, "labels": labels}
            admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        admin.patch("Namespace", name, None, {"metadata": {"labels": labels}})


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_the_api_server_takes_every_object(
    offline: Helm, kubectl_as_admin: Kubectl, namespaces: None, values: Values
) -> None:
    objects = {"apiVersion": "v1", "kind": "List", "items": offline.objects(**values)}
    kubectl_as_admin(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f-", stdin=json.dumps(objects)
    )


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_its_pods_pass_the_strictest_pod_security(
    admin: Api, offline: Helm, namespaces: None, values: Values
) -> None:
    assert admin.find("ServiceAccount", "default", NAMESPACE) is not None
    create(admin, pod(offline, values))


def test_a_pod_with_less_would_be_refused(admin: Api, offline: Helm, namespaces: None) -> None:
    less = {"securityContext": {"allowPrivilegeEscalation": True}}
    with pytest.raises(RefusedError, match='violates PodSecurity "restricted:latest"'):
        create(admin, pod(offline, less))


def test_a_service_monitor_finds_the_service(offline: Helm) -> None:
    rendered = offline.rendered(metrics={"serviceMonitor": {"enabled": True, "labels": {"release": "prom"}}})
    [monitor], [service] = rendered["servicemonitor.yaml"], rendered["service.yaml"]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert [monitor["spec"]["endpoints"][0]["port"]] == [port["name"] for port in service["spec"]["ports"]]
    assert "prom" == monitor["metadata"]["labels"]["release"]


def test_what_selects_pods_selects_those_of_the_release(offline: Helm) -> None:
    rendered = offline.rendered(networkPolicy={"enabled": True}, podLabels={"app.kubernetes.io/name": "x"})
    spec = {path: made[0]["spec"] for path, made in rendered.items() if "spec" in made[0]}
    labels = spec["deployment.yaml"]["template"]["metadata"]["labels"]
    for selector in (
        spec["deployment.yaml"]["selector"]["matchLabels"],
        spec["poddisruptionbudget.yaml"]["selector"]["matchLabels"],
        spec["networkpolicy.yaml"]["podSelector"]["matchLabels"],
        spec["service.yaml"]["selector"],
    ):
        assert selector.items() <= labels.items()
        assert "keywright" == selector["app.kubernetes.io/instance"]


def pod(helm: Helm, values: Values) -> dict[str, Any]:
    """Return a Pod as the Deployment would make it, but with an account and a class that are there."""
    [deployment] = helm.rendered(**values)["deployment.yaml"]
    template = deployment["spec"]["template"]
    template["spec"] |= {"serviceAccountName": "default", "priorityClassName": ""}
    metadata = template["metadata"] | {"name": "operator", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def create(admin: Api, obj: dict[str, Any]) -> None:
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    admin.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", obj, params=query)
