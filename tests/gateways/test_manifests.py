"""The manifests are what the projects' own schemas allow, and say what the tried configurations say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gateways.modules import ENVOY_GATEWAY, GATEWAY_API, ISTIO, TRAEFIK, files
from gateways.population import IDENTITY
from gateways.proxies import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.kubectl import Kubectl

Object = dict[str, Any]

_GATEWAY_API_CRDS = "config/crd/experimental/gateway.networking.k8s.io_"
_ENVOY_GATEWAY_CRDS = "charts/gateway-crds-helm/templates/generated/gateway.envoyproxy.io_"
_TRAEFIK_CRDS = "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"
_ISTIO_CRDS = "kubernetes/customresourcedefinitions.gen.yaml"

KINDS = {
    "HTTPRoute",
    "ReferenceGrant",
    "SecurityPolicy",
    "ClientTrafficPolicy",
    "AuthorizationPolicy",
    "EnvoyFilter",
    "Middleware",
    "IngressRoute",
}

MANIFESTS = [
    "envoy-gateway/securitypolicy.yaml",
    "gateway-api/httproute.yaml",
    "ingress-nginx/ingress.yaml",
    "istio/authorizationpolicy.yaml",
    "traefik/middleware.yaml",
]


def shipped(path: str) -> list[Object]:
    """Return the objects of a file of examples/gateways."""
    return list(yaml.safe_load_all((SHIPPED / path).read_text()))


def crds() -> Iterator[Object]:
    """Return the projects' own definitions of the kinds that the manifests use."""
    documents = [
        *(
            files(GATEWAY_API) / f"{_GATEWAY_API_CRDS}{kind}.yaml"
            for kind in ("httproutes", "referencegrants")
        ),
        *(
            files(ENVOY_GATEWAY) / f"{_ENVOY_GATEWAY_CRDS}{kind}.yaml"
            for kind in ("securitypolicies", "clienttrafficpolicies")
        ),
        files(ISTIO) / _ISTIO_CRDS,
        files(TRAEFIK) / _TRAEFIK_CRDS,
    ]
    for document in documents:
        # Envoy Gateway's are templates of a chart, with a condition around the whole.
        text = re.sub(r"^\{\{.*\}\}$", "", document.read_text(), flags=re.MULTILINE)
        for crd in yaml.safe_load_all(text):
            if crd and crd["spec"]["names"]["kind"] in KINDS:
                yield crd


@pytest.fixture(scope="module")
def others_resources(kubectl_as_admin: Kubectl) -> Iterator[None]:
    """The kinds of the other projects, as long as this file's tests run."""
    definitions = list(crds())
    assert sorted(KINDS) == sorted(crd["spec"]["names"]["kind"] for crd in definitions)
    text = yaml.safe_dump_all(definitions)
    kubectl_as_admin("apply", "--server-side", "-f", "-", stdin=text)
    kubectl_as_admin("wait", "--for=condition=Established", "--timeout=60s", "-f", "-", stdin=text)
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in ("keywright-system", "istio-system")
    ]
    kubectl_as_admin("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(namespaces))
    yield
    kubectl_as_admin("delete", "-f", "-", "--wait=false", stdin=text)
    kubectl_as_admin("delete", "namespace", "istio-system", "--wait=false")


def connection_manager() -> Object:
    """Return the part of examples/gateways/envoy that the tables of verdicts try."""
    (bootstrap,) = shipped("envoy/envoy.yaml")
    (chain,) = bootstrap["static_resources"]["listeners"][0]["filter_chains"]
    return dict(chain["filters"][0]["typed_config"])


def mutations() -> list[Object]:
    """Return what Envoy takes from a client's request before anything else."""
    (early,) = connection_manager()["early_header_mutation_extensions"]
    return list(early["typed_config"]["mutations"])


def authorizer() -> Object:
    """Return the filter that asks the verifier."""
    return dict(connection_manager()["http_filters"][0]["typed_config"])


def asked_with() -> list[str]:
    """Return the headers that Envoy sends the verifier because it is told to."""
    return [pattern["exact"] for pattern in authorizer()["allowed_headers"]["patterns"]]


def of_kind(path: str, kind: str) -> Object:
    """Return the one object of a kind in a file."""
    (found,) = (obj for obj in shipped(path) if obj["kind"] == kind)
    return found


@pytest.mark.parametrize("path", MANIFESTS)
def test_a_manifest_is_what_the_schema_of_its_project_allows(
    path: str, others_resources: None, kubectl_as_admin: Kubectl
) -> None:
    kubectl_as_admin("create", "--dry-run=server", "--validate=strict", "-f", str(SHIPPED / path))


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        ("envoy-gateway/securitypolicy.yaml", "failOpen: false", "failOpne: false"),
        ("gateway-api/httproute.yaml", "protocol: HTTP", "protocol: GRPC"),
        ("istio/authorizationpolicy.yaml", "action: CUSTOM", "action: ASK"),
        ("traefik/middleware.yaml", "trustForwardHeader: false", "trustForwardHeaders: false"),
    ],
)
def test_a_manifest_with_a_mistake_is_refused(
    path: str, right: str, wrong: str, others_resources: None, kubectl_as_admin: Kubectl
) -> None:
    text = (SHIPPED / path).read_text()
    assert text.count(right) == 1
    mistaken = text.replace(right, wrong)
    done = kubectl_as_admin.run("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=mistaken)
    assert done.code != 0


def test_istio_knows_every_field_of_the_extension_provider() -> None:
    proto = (files(ISTIO) / "mesh" / "v1alpha1" / "config.proto").read_text()
    body = proto.partition("message EnvoyExternalAuthorizationHttpProvider {")[2].partition("\n    }")[0]
    fields = re.findall(r"^ +[\w.<>, ]+ (\w+) = \d+(?! \[deprecated)", body, re.MULTILINE)
    known = {re.sub(r"_(\w)", lambda found: found[1].upper(), field) for field in fields}
    (config,) = shipped("istio/meshconfig.yaml")
    (provider,) = config["extensionProviders"]
    assert {"name", "envoyExtAuthzHttp"} == set(provider)
    assert set(provider["envoyExtAuthzHttp"]) - known == set()


def test_istio_is_told_what_envoy_is_told() -> None:
    (config,) = shipped("istio/meshconfig.yaml")
    (provider,) = config["extensionProviders"]
    policy = of_kind("istio/authorizationpolicy.yaml", "AuthorizationPolicy")
    assert provider["name"] == policy["spec"]["provider"]["name"]
    asking = provider["envoyExtAuthzHttp"]
    assert ["authorization", *asked_with()] == asking["includeRequestHeadersInCheck"]
    assert ["x-auth-*"] == asking["headersToUpstreamOnAllow"]
    assert authorizer()["failure_mode_allow"] is asking["failOpen"] is False
    (patch,) = of_kind("istio/authorizationpolicy.yaml", "EnvoyFilter")["spec"]["configPatches"]
    patched = patch["patch"]["value"]["typed_config"]
    assert {name: connection_manager()[name] for name in patched} == patched


def test_envoy_gateway_is_told_what_envoy_is_told() -> None:
    asking = of_kind("envoy-gateway/securitypolicy.yaml", "SecurityPolicy")["spec"]["extAuth"]
    assert asked_with() == asking["headersToExtAuth"]
    assert [name.lower() for name in IDENTITY] == asking["http"]["headersToBackend"]
    assert authorizer()["failure_mode_allow"] is asking["failOpen"] is False
    early = of_kind("envoy-gateway/securitypolicy.yaml", "ClientTrafficPolicy")["spec"]["headers"]
    prefixes = [one["remove_on_match"]["key_matcher"]["prefix"] for one in mutations() if "remove" not in one]
    names = [one["remove"] for one in mutations() if "remove" in one]
    taken = early["earlyRequestHeaders"]
    assert [{"type": "Prefix", "value": prefix} for prefix in prefixes] == taken["removeOnMatch"]
    assert names == taken["remove"]
    assert early["withUnderscoresAction"] == "RejectRequest"


def test_the_gateway_api_is_told_what_envoy_is_told() -> None:
    (rule,) = of_kind("gateway-api/httproute.yaml", "HTTPRoute")["spec"]["rules"]
    http = rule["filters"][0]["externalAuth"]["http"]
    assert asked_with() == [name.lower() for name in http["allowedHeaders"]]
    assert list(IDENTITY) == http["allowedResponseHeaders"]


def test_traefiks_resources_say_what_its_file_says() -> None:
    (dynamic,) = shipped("traefik/dynamic.yaml")
    resources = {obj["metadata"]["name"]: obj["spec"] for obj in shipped("traefik/middleware.yaml")}
    route = resources.pop("api")["routes"][0]
    assert dynamic["http"]["middlewares"] == resources
    order = [one["name"] for one in route["middlewares"]]
    assert dynamic["http"]["routers"]["api"]["middlewares"] == order == ["claims", "keywright"]


def test_every_gateway_asks_about_the_same_project() -> None:
    configurations = [path for path in SHIPPED.glob("*/*") if "keywright-verifier" in path.read_text()]
    assert len({path.parent for path in configurations}) == 8
    for path in configurations:
        asked = re.findall(r"/authz/\w+/([\w-]+/[\w-]+)", path.read_text())
        assert asked == ["platform/payments"], path
