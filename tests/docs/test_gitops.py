"""What examples/gitops tells kustomize, Argo CD and Flux is true of real objects in every state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from lupa import lua51

from docs.markdown import ROOT
from harness import manifests
from harness.api import GROUP, RefusedError
from harness.conditions import condition, reason
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.api import Api, Object
    from harness.kubectl import Kubectl
    from harness.operator import Operator

GITOPS = ROOT / "examples" / "gitops"
OURS, THEIRS = "gitops-ours", "gitops-theirs"
NAME = "flux-asks"

# name: kind, reason, Argo CD's health, Flux's answer (examples/gitops asks it of ApiKeys only)
STATES = {
    "active": ("ApiKey", "Active", "Healthy", "Current"),
    "no-project": ("ApiKey", "ProjectNotFound", "Progressing", "InProgress"),
    "invalid": ("ApiKey", "InvalidSpec", "Degraded", "Failed"),
    "expired": ("ApiKey", "Expired", "Degraded", "Failed"),
    "revoked": ("ApiKey", "Revoked", "Degraded", "Failed"),
    "suspended": ("ApiKey", "Suspended", "Suspended", "Current"),
    "asleep": ("ApiKey", "ProjectSuspended", "Suspended", "Current"),
    "deleting": ("ApiKey", "Deleting", "Progressing", "InProgress"),
    "elsewhere": ("ApiKey", "NamespaceNotAllowed", "Progressing", "InProgress"),  # for its first 30 s
    "unseen": ("ApiKey", "", "Progressing", "InProgress"),
    "payments": ("Project", "Accepted", "Healthy", ""),
    "bad-default": ("Project", "InvalidSpec", "Degraded", ""),
    "in-force": ("Revocation", "InForce", "Healthy", ""),
    "not-theirs": ("Revocation", "NotAuthorized", "Degraded", ""),
    "unknown-key": ("Revocation", "KeyNotFound", "Progressing", ""),
}

REFERRING = """
{apiVersion: keywright.dev/v1alpha1, kind: Project, metadata: {name: here}}
---
apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata: {name: here}
spec:
  projectRef: {name: here}
  secret: {name: here}
  rolloutRestart:
  - {kind: Deployment, name: here}
  - {kind: StatefulSet, name: here}
  - {kind: DaemonSet, name: here}
---
apiVersion: keywright.dev/v1alpha1
kind: Revocation
metadata: {name: here}
spec: {apiKeyRef: {name: here}}
"""

CONTAINERS = """
- name: one
  env: [{name: KEY, valueFrom: {secretKeyRef: {name: here, key: apiKey}}}]
  envFrom: [{secretRef: {name: here}}]
"""

VOLUMES = """
- {name: one, secret: {secretName: here}}
- {name: two, projected: {sources: [{secret: {name: here}}]}}
"""


def referring() -> list[Object]:
    """Return objects that refer to one another, and to the ApiKey's Secret in every way that a Pod can."""
    containers = yaml.safe_load(CONTAINERS)
    pod = {"containers": containers, "initContainers": containers, "volumes": yaml.safe_load(VOLUMES)}
    template = {"template": {"spec": pod}}
    specs = {
        ("apps/v1", "Deployment"): template,
        ("apps/v1", "StatefulSet"): template,
        ("apps/v1", "DaemonSet"): template,
        ("batch/v1", "Job"): template,
        ("batch/v1", "CronJob"): {"jobTemplate": {"spec": template}},
    }
    workloads = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": "here"}, "spec": spec}
        for (version, kind), spec in specs.items()
    ]
    return [*yaml.safe_load_all(REFERRING), *workloads]


def test_every_reference_follows_a_suffix(kubectl_as_admin: Kubectl, tmp_path: Path) -> None:
    config = GITOPS / "base" / "kustomizeconfig.yaml"
    (tmp_path / config.name).write_text(config.read_text())
    written = json.dumps(referring())  # without the anchors that YAML makes of what is the same
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(json.loads(written)))
    kustomization = {"resources": ["all.yaml"], "configurations": [config.name], "nameSuffix": "-there"}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    rendered = yaml.safe_load_all(kubectl_as_admin("kustomize", str(tmp_path)))
    renamed = json.loads(written.replace('"here"', '"here-there"'))
    assert {obj["kind"]: obj for obj in renamed} == {obj["kind"]: obj for obj in rendered}


def test_the_rendered_overlays_refer_to_nothing_that_is_not_there(kubectl_as_admin: Kubectl) -> None:
    rendered = list(yaml.safe_load_all(kubectl_as_admin("kustomize", str(GITOPS))))
    names = {(obj["kind"], obj["metadata"]["name"]) for obj in rendered}
    for obj in rendered:
        spec = obj.get("spec", {})
        if obj["kind"] == "ApiKey":
            assert ("Project", spec["projectRef"]["name"]) in names
            assert {(one["kind"], one["name"]) for one in spec["rolloutRestart"]} <= names
        if obj["kind"] == "Deployment":
            reference = spec["template"]["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]
            assert ("ApiKey", reference["name"]) in names  # the Secret has the ApiKey's name
    assert 2 == len([kind for kind, _ in names if kind == "ApiKey"])


def test_argo_cd_and_flux_are_pointed_at_what_there_is(kubectl_as_admin: Kubectl) -> None:
    application = yaml.safe_load((GITOPS / "argocd" / "application.yaml").read_text())
    crds, keys = yaml.safe_load_all((GITOPS / "flux" / "kustomizations.yaml").read_text())
    assert GITOPS == ROOT / application["spec"]["source"]["path"] == ROOT / keys["spec"]["path"]
    assert (ROOT / crds["spec"]["path"]).is_dir()
    assert [{"name": crds["metadata"]["name"]}] == keys["spec"]["dependsOn"]
    rendered = yaml.safe_load_all(kubectl_as_admin("kustomize", str(GITOPS)))
    waited_for = [
        {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": obj["metadata"]["name"],
            "namespace": obj["metadata"]["namespace"],
        }
        for obj in rendered
        if obj["kind"] == "ApiKey"
    ]
    assert waited_for == keys["spec"]["healthChecks"]


@pytest.fixture(scope="module")
def states(admin: Api, restarting_operator: Operator) -> Iterator[dict[str, Object]]:
    """One real object in every state, as it was seen."""
    for name in (OURS, THEIRS):
        admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in _written():
        admin.create(obj)
    _seen(admin, "deleting", "Active")
    admin.delete("ApiKey", "deleting", OURS)
    found = {name: _seen(admin, name) for name in STATES if name not in {"elsewhere", "unseen"}}
    admin.create(manifests.api_key(OURS, "elsewhere", projectRef={"name": "payments", "namespace": THEIRS}))
    found["elsewhere"] = _seen(admin, "elsewhere")
    untouched = admin.create(manifests.api_key(OURS, "unseen"), dryRun="All")
    found["unseen"] = {**found["active"], "status": untouched["status"]}
    yield found
    admin.patch("ApiKey", "deleting", OURS, {"metadata": {"finalizers": None}})
    for name in (OURS, THEIRS):
        admin.delete("Namespace", name)
    until(
        lambda: [admin.find("Namespace", name) for name in (OURS, THEIRS)],
        lambda seen: not any(seen),
    )


def _written() -> Iterator[Object]:
    yield manifests.project(OURS)
    yield manifests.project(OURS, "sleeping", suspend=True)
    yield manifests.project(OURS, "bad-default", defaults={"rotation": {"schedule": "61 * * * *"}})
    yield manifests.project(THEIRS)
    yield manifests.api_key(THEIRS, "active")
    yield manifests.api_key(OURS, "active")
    yield manifests.api_key(OURS, "no-project", project="missing")
    yield manifests.api_key(OURS, "invalid", rotation={"schedule": "61 * * * *"})
    yield manifests.api_key(OURS, "expired", expiresAt="2026-01-01T00:00:00Z")
    yield manifests.api_key(OURS, "revoked")
    yield manifests.api_key(OURS, "suspended", suspend=True)
    yield manifests.api_key(OURS, "asleep", project="sleeping")
    held = manifests.api_key(OURS, "deleting")
    held["metadata"]["finalizers"] = ["example.com/hold"]  # so that it can be looked at
    yield held
    for name, spec in {
        "in-force": {"apiKeyRef": {"name": "revoked"}},
        "not-theirs": {"apiKeyRef": {"name": "active", "namespace": THEIRS}},
        "unknown-key": {"keyID": "0" * 16},
    }.items():
        metadata = {"name": name, "namespace": OURS}
        yield {"apiVersion": manifests.API_VERSION, "kind": "Revocation", "metadata": metadata, "spec": spec}


def _seen(admin: Api, name: str, wanted: str = "") -> Object:
    kind = STATES[name][0]
    return until(
        lambda: admin.get(kind, name, OURS),
        lambda obj: reason(obj) == (wanted or STATES[name][1]),
        what=f"{kind} {name} is {wanted or STATES[name][1]}",
    )


def argo_cd_health(obj: Object) -> Object:
    """Run the script of the ConfigMap as Argo CD does: Lua 5.1, the object in `obj`, hardly a library."""
    config = yaml.safe_load((GITOPS / "argocd" / "argocd-cm.yaml").read_text())
    script = config["data"][f"resource.customizations.health.keywright.dev_{obj['kind']}"]
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute("debug.setmetatable('', nil) string, math, io, os, debug, coroutine, package, require = nil")
    lua.globals().obj = lua.table_from(obj, recursive=True)
    return dict(lua.execute(script))


@pytest.mark.parametrize("name", STATES)
def test_argo_cd_is_told_the_health_of_every_state(states: dict[str, Object], name: str) -> None:
    health = argo_cd_health(states[name])
    assert STATES[name][2] == health["status"]
    ready = condition(states[name])
    if reason(states[name]):
        assert ready["message"] == health["message"]


def test_argo_cd_says_progressing_of_what_has_no_status_at_all() -> None:
    obj = manifests.api_key("anywhere")
    assert "Progressing" == argo_cd_health(obj)["status"]


@pytest.fixture(scope="module")
def flux(admin: Api, states: dict[str, Object]) -> Iterator[Callable[[Object], str]]:
    """Ask the API server, which speaks CEL as Flux does, which of Flux's expressions holds for an ApiKey."""
    documents = yaml.safe_load_all((GITOPS / "flux" / "kustomizations.yaml").read_text())
    (asked,) = next(one["spec"]["healthCheckExprs"] for one in documents if "healthCheckExprs" in one["spec"])
    assert (manifests.API_VERSION, "ApiKey") == (asked["apiVersion"], asked["kind"])
    answer = (
        f"({asked['inProgress']}) ? 'InProgress' : ({asked['failed']}) ? 'Failed' : "
        f"({asked['current']}) ? 'Current' : 'Unknown'"
    )
    # The names that Flux gives to the parts of an object are bound by macros.
    bound = f"[object.metadata].map(metadata, [object.status].map(status, {answer})[0])[0]"
    policy = {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["keywright.dev"],
                    "apiVersions": ["v1alpha1"],
                    "operations": ["UPDATE"],
                    "resources": ["apikeys/status"],
                }
            ]
        },
        "matchConditions": [{"name": "only-asked", "expression": "has(request.dryRun) && request.dryRun"}],
        "validations": [{"expression": "false", "messageExpression": f"'Flux: ' + {bound}"}],
    }
    binding = {"policyName": NAME, "validationActions": ["Deny"]}
    group = "/apis/admissionregistration.k8s.io/v1"
    made = {
        f"{group}/validatingadmissionpolicies": ("ValidatingAdmissionPolicy", policy),
        f"{group}/validatingadmissionpolicybindings": ("ValidatingAdmissionPolicyBinding", binding),
    }
    for path, (kind, spec) in made.items():
        body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": NAME}}
        admin.request("POST", path, {**body, "spec": spec})

    def ask(obj: Object) -> str:
        live = admin.get("ApiKey", obj["metadata"]["name"], OURS)
        body = {**live, "status": obj["status"]}
        path = f"{GROUP}/namespaces/{OURS}/apikeys/{live['metadata']['name']}/status"
        try:
            admin.request("PUT", path, body, params={"dryRun": "All"})
        except RefusedError as error:
            return error.message.rpartition("Flux: ")[2]
        return ""

    until(lambda: ask(states["active"]), bool, what="the policy is in force")
    yield ask
    for path in made:
        admin.request("DELETE", f"{path}/{NAME}")


@pytest.mark.parametrize("name", [name for name, (*_, answer) in STATES.items() if answer])
def test_flux_is_told_the_health_of_every_state(
    states: dict[str, Object], flux: Callable[[Object], str], name: str
) -> None:
    assert STATES[name][3] == flux(states[name])


def test_argo_cds_own_settings_stay(argocd: None, admin: Api, kubectl_as_admin: Kubectl) -> None:
    patch = str(GITOPS / "argocd" / "argocd-cm.yaml")
    kubectl_as_admin("patch", "-n", "argocd", "configmap", "argocd-cm", "--patch-file", patch)
    data = admin.get("ConfigMap", "argocd-cm", "argocd")["data"]
    assert "https://cd.example.com" == data.pop("url")
    kinds = ("ApiKey", "Project", "Revocation")
    assert {f"resource.customizations.health.keywright.dev_{kind}" for kind in kinds} == set(data)
    assert 1 == len(set(data.values()))
