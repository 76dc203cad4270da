"""A real API server takes what the chart renders, and Pod Security takes it at its strictest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.api import Api, RefusedError
from harness.cluster import ROOT
from harness.helm import NAMESPACE, Helm

if TYPE_CHECKING:
    from harness.kubectl import Kubectl

    Values = dict[str, Any]

VERIFYING: Values = {"enabled": True, "trustedProxies": ["10.42.0.0/16"]}
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
    "with a verifier": {"verifier": VERIFYING},
    "with a verifier and all that it has": {
        "usage": {"tokenSecret": "usage"},
        "imagePullSecrets": [{"name": "registry"}],
        "verifier": VERIFYING
        | {
            "clientIP": {"header": "X-Real-IP", "hops": 2},
            "allowCORSPreflight": True,
            "limitsStore": {"secretName": "limits"},
            "autoscaling": {"enabled": True},
            "bindAddress": "::",
            "service": {"annotations": {"a": "b"}},
            "networkPolicy": {
                "enabled": True,
                "from": [{"namespaceSelector": {"matchLabels": {"gateways": "yes"}}}],
                "opsFrom": [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}],
                "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
            },
            "serviceAccount": {"annotations": {"a": "b"}},
            "podDisruptionBudget": {"maxUnavailable": "50%"},
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
        },
    },
    "with a verifier, namespaced": {"verifier": VERIFYING, "namespaces": ["shop"]},
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
    for one in pods(offline, values):
        create(admin, one)


def test_a_pod_with_less_would_be_refused(admin: Api, offline: Helm, namespaces: None) -> None:
    less = {"securityContext": {"allowPrivilegeEscalation": True}}
    with pytest.raises(RefusedError, match='violates PodSecurity "restricted:latest"'):
        create(admin, pods(offline, less)[0])


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


def verifying(helm: Helm, values: Values | None = None, **of_verifier: Any) -> dict[str, Any]:
    """Return the spec of each of the verifier's objects, by kind, and by name where there are two."""
    made = helm.objects(**(values or {}), verifier=VERIFYING | of_verifier)
    labelled = "app.kubernetes.io/component"
    own = [obj for obj in made if obj["metadata"].get("labels", {}).get(labelled) == "verifier"]
    return {
        obj["metadata"]["name"] if obj["kind"] == "Service" else obj["kind"]: obj["spec"]
        for obj in own
        if "spec" in obj
    }


def test_without_proxies_to_trust_there_is_no_verifier(offline: Helm) -> None:
    kinds = [obj["metadata"]["name"] for obj in offline.objects()]
    assert [] == [name for name in kinds if "verifier" in name]


def test_what_selects_verifiers_selects_those_of_the_release_and_no_operator(offline: Helm) -> None:
    off_and_on: Values = {name: {"enabled": True} for name in ("networkPolicy", "autoscaling")}
    values: Values = {"metrics": {"serviceMonitor": {"enabled": True}}}
    spec = verifying(offline, values, **off_and_on, podLabels={"app.kubernetes.io/name": "x"})
    labels = spec["Deployment"]["template"]["metadata"]["labels"]
    [operators] = offline.rendered()["deployment.yaml"]
    for selector in (
        spec["Deployment"]["selector"]["matchLabels"],
        spec["PodDisruptionBudget"]["selector"]["matchLabels"],
        spec["NetworkPolicy"]["podSelector"]["matchLabels"],
        spec["keywright-verifier"]["selector"],
        spec["keywright-verifier-usage"]["selector"],
        *(
            each["labelSelector"]["matchLabels"]
            for each in spec["Deployment"]["template"]["spec"]["topologySpreadConstraints"]
        ),
    ):
        assert selector.items() <= labels.items()
        assert not selector.items() <= operators["spec"]["template"]["metadata"]["labels"].items()
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "keywright-verifier"}
    assert target == spec["HorizontalPodAutoscaler"]["scaleTargetRef"]
    assert ["ops"] == [each["port"] for each in spec["ServiceMonitor"]["endpoints"]]


def test_gateways_reach_it_where_the_examples_say_and_the_operator_by_the_port_ops(offline: Helm) -> None:
    spec = verifying(offline)
    example = (ROOT / "examples" / "gateways" / "envoy" / "envoy.yaml").read_text()
    [port] = spec["keywright-verifier"]["ports"]
    assert f"http://keywright-verifier.{NAMESPACE}.svc:{port['port']}" in example
    usage = spec["keywright-verifier-usage"]
    assert ("None", "ops") == (usage["clusterIP"], usage["ports"][0]["name"])
    [container] = spec["Deployment"]["template"]["spec"]["containers"]
    targets = [
        spec[name]["ports"][0]["targetPort"] for name in ("keywright-verifier", "keywright-verifier-usage")
    ]
    assert targets == [each["name"] for each in container["ports"]]


def test_only_the_operator_and_who_is_named_reach_the_ops_port(offline: Helm) -> None:
    gateways, monitoring = ({"namespaceSelector": {"matchLabels": {"a": name}}} for name in ("gw", "mon"))
    policy = {"enabled": True, "from": [gateways], "opsFrom": [monitoring]}
    traffic, ops = verifying(offline, networkPolicy=policy)["NetworkPolicy"]["ingress"]
    assert ("http", [gateways]) == (traffic["ports"][0]["port"], traffic["from"])
    [operators] = offline.rendered()["deployment.yaml"]
    operator, other = ops["from"]
    assert operators["spec"]["selector"] == operator["podSelector"]
    assert ("ops", monitoring) == (ops["ports"][0]["port"], other)


def test_with_an_autoscaler_nobody_else_says_how_many_there_are(offline: Helm) -> None:
    assert 2 == verifying(offline)["Deployment"]["replicas"]
    scaled = verifying(offline, autoscaling={"enabled": True, "minReplicas": 3})
    assert "replicas" not in scaled["Deployment"]
    assert 3 == scaled["HorizontalPodAutoscaler"]["minReplicas"]


def test_one_verifier_alone_holds_up_no_drain(offline: Helm) -> None:
    assert "PodDisruptionBudget" not in verifying(offline, replicas=1)
    alone = verifying(offline, autoscaling={"enabled": True, "minReplicas": 1})
    assert "PodDisruptionBudget" not in alone


def test_an_old_verifier_goes_after_a_new_one_is_ready_and_answers_on_meanwhile(offline: Helm) -> None:
    deployment = verifying(offline)["Deployment"]
    assert {"maxSurge": 1, "maxUnavailable": 0} == deployment["strategy"]["rollingUpdate"]
    pod = deployment["template"]["spec"]
    [container] = pod["containers"]
    assert "/readyz" == container["readinessProbe"]["httpGet"]["path"]
    # What has arrived by then it has ten seconds to answer.
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] + 10 < pod["terminationGracePeriodSeconds"]


def test_no_secret_value_stands_in_a_pod(offline: Helm) -> None:
    values: Values = {"usage": {"tokenSecret": "usage"}}
    pod = verifying(offline, values, limitsStore={"secretName": "limits"})["Deployment"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["env"] == [
        {
            "name": "KEYWRIGHT_LIMITS_STORE",
            "valueFrom": {"secretKeyRef": {"name": "limits", "key": "url"}},
        }
    ]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert f"--usage-token-file={mounted['usage-token']}/token" in container["args"]
    named = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"][1:]}
    assert {"usage-token": "usage"} == named


def pods(helm: Helm, values: Values) -> list[dict[str, Any]]:
    """Return a Pod of each Deployment as it would make it, but with an account and a class that are there."""
    made = []
    for deployment in helm.objects(**values):
        if deployment["kind"] == "Deployment":
            template = deployment["spec"]["template"]
            template["spec"] |= {"serviceAccountName": "default", "priorityClassName": ""}
            metadata = template["metadata"] | {
                "name": deployment["metadata"]["name"],
                "namespace": NAMESPACE,
            }
            made.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    return made


def create(admin: Api, obj: dict[str, Any]) -> None:
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    admin.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", obj, params=query)
