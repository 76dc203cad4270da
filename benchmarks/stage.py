"""What do the contenders meet? A cluster of the benchmark's own, Keywright's resources, an account for each.

The cluster is made afresh, so that nothing of an earlier run weighs on it, and goes with the benchmark.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

import rbac
from controlplane import cluster
from controlplane.local import AUTHORITY
from controlplane.paths import cluster_directory, clusters_root
from harness import manifests
from harness.api import Api
from harness.waiting import until

if TYPE_CHECKING:
    from harness.api import Object

CLUSTER = "bench"
SYSTEM = "keywright-system"
KEYWRIGHT = "keywright-operator"
TEXTBOOK = "textbook-operator"
FINALIZER = "keywright.dev/revoke"

_ROOT = Path(__file__).parent.parent
_REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
_ADMITTED = {"keywright.dev/benchmark": "finalizer-by-admission"}


class Stage:
    """A running cluster with the shipped CRDs and the chart's RBAC."""

    def __init__(self) -> None:
        self.directory = clusters_root().parent / "bench"
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        cluster.down(CLUSTER)
        self.kubeconfig = cluster.up(CLUSTER)
        try:
            self.audit_log = cluster.audit_path(CLUSTER)
            self.apiserver = self._pid("kube-apiserver")
            self.api = Api(self.kubeconfig)
            self._install()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the cluster."""
        cluster.down(CLUSTER)

    def kubeconfig_of(self, account: str) -> Path:
        """Write a kubeconfig with a fresh token of a ServiceAccount of the system namespace."""
        path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 24 * 3600},
        }
        token = self.api.request("POST", path, request)["status"]["token"]
        authority = str(cluster_directory(CLUSTER) / AUTHORITY)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [
                {"name": "it", "cluster": {"server": self.api.server, "certificate-authority": authority}}
            ],
            "users": [{"name": account, "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": account}}],
        }
        file = self.directory / f"{account}.kubeconfig"
        file.touch(mode=0o600)
        file.write_text(json.dumps(content))
        return file

    def open_namespace(self, name: str, *, admission: bool = False) -> None:
        """Create a namespace with a Project; with `admission`, its new ApiKeys get their finalizer there."""
        labels = _ADMITTED if admission else {}
        metadata = {"name": name, "labels": labels}
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self.api.create(manifests.project(name))
        if admission:
            until(lambda: self._admitted(name), bool, what="the admission policy is in force")

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace, whose ApiKeys no finalizer may hold any more, and wait for its end."""
        self.api.delete("Namespace", name)
        until(lambda: self.api.find("Namespace", name), lambda found: found is None, seconds=600)

    @staticmethod
    def _pid(program: str) -> int:
        record = cluster.read_record(cluster_directory(CLUSTER))
        assert record is not None
        return next(process.pid for process in record.processes if process.name == program)

    def _install(self) -> None:
        for file in sorted((_ROOT / "crds").glob("*.yaml")):
            name = self.api.create(yaml.safe_load(file.read_text()))["metadata"]["name"]
            until(partial(self.api.get, "CustomResourceDefinition", name), _established)
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
        for obj in (*rbac.rbac(namespace=SYSTEM), *_textbook_account()):
            self.api.create(obj)
        self.api.request("POST", f"{_REGISTRATION}/mutatingadmissionpolicies", _policy())
        self.api.request("POST", f"{_REGISTRATION}/mutatingadmissionpolicybindings", _binding())

    def _admitted(self, namespace: str) -> bool:
        tried = self.api.create(manifests.api_key(namespace), dryRun="All")
        return FINALIZER in tried["metadata"].get("finalizers", ())


def user(account: str) -> str:
    """Return a ServiceAccount's name as the audit log has it."""
    return f"system:serviceaccount:{SYSTEM}:{account}"


def _established(definition: Object) -> bool:
    conditions = definition.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _textbook_account() -> list[Object]:
    """Return the textbook operator's account with what kopf and its handlers need."""
    rules = [
        {"apiGroups": ["keywright.dev"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
        {
            "apiGroups": ["apiextensions.k8s.io"],
            "resources": ["customresourcedefinitions"],
            "verbs": ["list", "watch"],
        },
    ]
    group = "rbac.authorization.k8s.io"
    metadata = {"name": TEXTBOOK}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**metadata, "namespace": SYSTEM}},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": TEXTBOOK},
            "subjects": [{"kind": "ServiceAccount", "name": TEXTBOOK, "namespace": SYSTEM}],
        },
    ]


def _policy() -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "apikey-finalizer"},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["keywright.dev"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE"],
                        "resources": ["apikeys"],
                    }
                ]
            },
            "mutations": [
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {
                        "expression": f'Object{{metadata: Object.metadata{{finalizers: ["{FINALIZER}"]}}}}'
                    },
                }
            ],
        },
    }


def _binding() -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "apikey-finalizer"},
        "spec": {
            "policyName": "apikey-finalizer",
            "matchResources": {"namespaceSelector": {"matchLabels": _ADMITTED}},
        },
    }
