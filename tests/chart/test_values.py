"""The chart's values: all are explained, the wrong ones refused, and each flag of the programs has one."""

from __future__ import annotations

import json
import re
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from keywright.cli.operator import operator
from keywright.cli.verifier import verifier
from rbac import CHART

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.helm import Helm

    Values = dict[str, Any]

OF_KUBERNETES = {"resources", "podSecurityContext", "securityContext", "verifier.resources"}
"""Values that are handed on as they are; what may stand in them is Kubernetes' to say."""

VALUES: Values = yaml.safe_load((CHART / "values.yaml").read_text())
ROW = re.compile(r"^\| `([\w.]+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
VERIFYING: Values = {"enabled": True, "trustedProxies": ["10.42.0.0/16"]}
EVERY_FLAG: Values = {
    "namespaces": ["a", "b"],
    "systemNamespace": "elsewhere",
    "leaderElection": {"leaseName": "mine"},
    "secrets": {"watch": False},
    "rolloutRestart": True,
    "usage": {
        "tokenSecret": "usage",
        "service": "verifiers",
        "urls": ["http://a:8082", "http://b:8082"],
        "interval": "1m",
    },
    "ops": {"bindAddress": "::", "port": 9000},
    "log": {"format": "console", "level": "debug"},
}


def single(values: Values, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value by its path."""
    for name, value in values.items():
        here = f"{path}.{name}" if path else name
        if isinstance(value, dict) and value and here not in OF_KUBERNETES:
            yield from single(value, here)
        else:
            yield here, value


def test_the_readme_explains_every_value_with_its_default() -> None:
    explained = {path: default for path, default, _ in ROW.findall((CHART / "README.md").read_text())}
    assert explained == {
        path: "see values.yaml" if path in OF_KUBERNETES else f"`{json.dumps(value)}`"
        for path, value in single(VALUES)
    }


def test_the_schema_knows_every_value_and_no_other() -> None:
    def known(schema: dict[str, Any], path: str = "") -> Iterator[str]:
        for name, below in schema["properties"].items():
            here = f"{path}.{name}" if path else name
            if "properties" in below:
                assert below["additionalProperties"] is False
                yield from known(below, here)
            else:
                yield here

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert schema["additionalProperties"] is False
    # Helm itself puts `global` among the values of a chart that another one depends on.
    assert {path for path, _ in single(VALUES)} | {"global"} == set(known(schema))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replcias": 3}, "additional properties 'replcias' not allowed"),
        ({"crds": {"instal": True}}, "at '/crds': additional properties 'instal' not allowed"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"namespaces": "shop"}, "at '/namespaces': got string, want array"),
        ({"namespaces": ["Shop"]}, "at '/namespaces/0': 'Shop' does not match pattern"),
        ({"systemNamespace": "a b"}, "at '/systemNamespace': 'a b' does not match pattern"),
        ({"image": {"digest": "latest"}}, "at '/image/digest': 'latest' does not match pattern"),
        ({"log": {"level": "loud"}}, "value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"ops": {"port": 0}}, "at '/ops/port': minimum: got 0, want 1"),
        ({"usage": {"interval": "often"}}, "at '/usage/interval': 'often' does not match pattern"),
        ({"usage": {"urls": ["http://v:1"]}}, "name the Secret that holds it in usage.tokenSecret"),
        ({"leaderElection": {"enabled": False}}, "allows one replica only: set replicas to 1"),
        ({"verifier": {"replicsa": 3}}, "at '/verifier': additional properties 'replicsa' not allowed"),
        ({"verifier": {"enabled": True}}, "verifier.trustedProxies is empty: name the networks from which"),
        (
            {"verifier": {"trustedProxies": ["gateways"]}},
            "at '/verifier/trustedProxies/0': 'gateways' does not match pattern",
        ),
        (
            {"verifier": {"maxStaleness": "soon"}},
            "at '/verifier/maxStaleness': 'soon' does not match pattern",
        ),
        ({"verifier": VERIFYING | {"preStopSeconds": 30}}, "must be above verifier.preStopSeconds"),
        (
            {"verifier": VERIFYING | {"autoscaling": {"enabled": True, "minReplicas": 11}}},
            "minReplicas is above maxReplicas: raise maxReplicas",
        ),
        (
            {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}},
            "metrics.serviceMonitor.enabled needs metrics.service.enabled: true",
        ),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_name(offline: Helm, values: Values, said: str) -> None:
    done = offline.run("template", "keywright", values=values)
    assert done.code != 0
    assert said in done.output


def test_the_finalizer_policy_says_which_kubernetes_it_needs(offline: Helm) -> None:
    enabled = {"finalizerPolicy": {"enabled": True}}
    done = offline.run("template", "keywright", "--kube-version", "1.35.4", values=enabled)
    assert done.code != 0
    assert (
        "needs Kubernetes 1.36 (MutatingAdmissionPolicy v1), this is v1.35.4: set it to false" in done.output
    )


def test_a_chart_that_depends_on_this_one_may_have_global_values(offline: Helm) -> None:
    values: Values = {"global": {"imageRegistry": "registry.example.com"}}
    assert offline.objects(**values)


def arguments(
    helm: Helm, values: Values, program: click.Command = operator, *, mounted: Path = Path("/var/run/secrets")
) -> dict[str, Any]:
    """Return what a program makes of its container's arguments, with its Secrets `mounted`."""
    name = str(program.name)
    path = "deployment.yaml" if program is operator else f"{name}/deployment.yaml"
    [deployment] = helm.rendered(**values)[path]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert ["keywright", name] == container["command"]
    given_in_a_pod = [one.replace("=/var/run/secrets", f"={mounted}") for one in container["args"]]
    context = program.make_context(name, given_in_a_pod)
    given = click.core.ParameterSource.COMMANDLINE
    return {
        name: value for name, value in context.params.items() if context.get_parameter_source(name) is given
    }


def test_without_values_the_operator_serves_the_cluster(offline: Helm) -> None:
    assert arguments(offline, {}) == {
        "system_namespace": "keywright-system",
        "leader_elect": True,
        "lease_name": "keywright-operator",
        "watch_secrets": True,
        "rollout_restart": False,
        "bind_address": "0.0.0.0",
        "ops_port": 8081,
        "log_format": "json",
        "log_level": "info",
    }


def test_every_flag_of_the_operator_has_its_value(offline: Helm) -> None:
    given = arguments(offline, EVERY_FLAG)
    assert given == {
        "namespaces": ("a", "b"),
        "system_namespace": "elsewhere",
        "leader_elect": True,
        "lease_name": "mine",
        "watch_secrets": False,
        "rollout_restart": True,
        "usage_url": ("http://a:8082", "http://b:8082"),
        "usage_service": "keywright-system/verifiers",
        "usage_token_file": "/var/run/secrets/keywright/usage/token",
        "usage_interval": 60.0,
        "bind_address": "::",
        "ops_port": 9000,
        "log_format": "console",
        "log_level": "debug",
    }
    in_a_pod_it_is_the_account = {"kubeconfig"}
    assert {flag.name for flag in operator.params} - set(given) == in_a_pod_it_is_the_account


def test_a_verifier_with_nothing_but_its_proxies_serves_the_cluster(offline: Helm) -> None:
    assert arguments(offline, {"verifier": VERIFYING}, verifier) == {
        "system_namespace": "keywright-system",
        "trusted_proxies": (ip_network("10.42.0.0/16"),),
        "client_ip_header": "x-forwarded-for",
        "client_ip_hops": 1,
        "nginx_path_header": "X-Original-URI",
        "max_staleness": 300.0,
        "allow_cors_preflight": False,
        "bind_address": "0.0.0.0",
        "port": 8080,
        "ops_port": 8082,
        "log_format": "json",
        "log_level": "info",
    }


EVERY_FLAG_OF_VERIFIER: Values = {
    "namespaces": ["a", "b"],
    "systemNamespace": "elsewhere",
    "usage": {"tokenSecret": "usage"},
    "log": {"format": "console", "level": "debug"},
    "verifier": {
        "enabled": True,
        "trustedProxies": ["10.42.0.0/16", "fd00::/8"],
        "clientIP": {"header": "X-Real-IP", "hops": 2},
        "nginxPathHeader": "X-Original-URL",
        "maxStaleness": "1m30s",
        "allowCORSPreflight": True,
        "bindAddress": "::",
        "port": 9080,
        "opsPort": 9082,
    },
}


def test_every_flag_of_the_verifier_has_its_value(offline: Helm, tmp_path: Path) -> None:
    token = tmp_path / "keywright" / "usage" / "token"
    token.parent.mkdir(parents=True)
    token.touch()
    given = arguments(offline, EVERY_FLAG_OF_VERIFIER, verifier, mounted=tmp_path)
    assert given == {
        "namespaces": ("a", "b"),
        "system_namespace": "elsewhere",
        "trusted_proxies": (ip_network("10.42.0.0/16"), ip_network("fd00::/8")),
        "client_ip_header": "x-real-ip",
        "client_ip_hops": 2,
        "nginx_path_header": "X-Original-URL",
        "max_staleness": 90.0,
        "allow_cors_preflight": True,
        "bind_address": "::",
        "port": 9080,
        "ops_port": 9082,
        "usage_token_file": str(token),
        "log_format": "console",
        "log_level": "debug",
    }
    in_a_pod_it_is_the_account, in_the_environment = {"kubeconfig"}, {"limits_store"}
    left = {flag.name for flag in verifier.params} - set(given)
    assert left == in_a_pod_it_is_the_account | in_the_environment


def test_the_store_of_limits_is_read_where_the_chart_puts_it(offline: Helm) -> None:
    values = VERIFYING | {"limitsStore": {"secretName": "limits"}}
    [deployment] = offline.rendered(verifier=values)["verifier/deployment.yaml"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    [flag] = [flag for flag in verifier.params if flag.name == "limits_store"]
    assert [flag.envvar] == [variable["name"] for variable in container["env"]]


def test_verifiers_are_found_by_the_service_that_this_chart_gives_them(offline: Helm) -> None:
    given = arguments(offline, {"usage": {"tokenSecret": "usage"}, "systemNamespace": "elsewhere"})
    assert "keywright-system/keywright-verifier-usage" == given["usage_service"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "keywright:0.1.0"),
        ({"repository": "r.example.com/kw", "tag": "1.2.3"}, "r.example.com/kw:1.2.3"),
        ({"tag": "1.2.3", "digest": "sha256:" + "a" * 64}, "keywright@sha256:" + "a" * 64),
    ],
    ids=str,
)
def test_the_image_is_the_one_that_is_named(offline: Helm, image: Values, expected: str) -> None:
    [deployment] = offline.rendered(image=image)["deployment.yaml"]
    assert expected == deployment["spec"]["template"]["spec"]["containers"][0]["image"]
