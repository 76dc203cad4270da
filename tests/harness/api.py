"""A small client for the tests: the API server as JSON, with the administrator's credentials."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import requests
from kubernetes.client import Configuration
from kubernetes.config import load_kube_config

from harness.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Object = dict[str, Any]

GROUP = "/apis/keywright.dev/v1alpha1"
_PLURALS = {
    "ApiKey": (GROUP, "apikeys"),
    "Project": (GROUP, "projects"),
    "Revocation": (GROUP, "revocations"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Namespace": ("/api/v1", "namespaces"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "DaemonSet": ("/apis/apps/v1", "daemonsets"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
}


class RefusedError(Exception):
    """The API server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Api:
    """Requests to the API server of a kubeconfig; every answer is a dict, every refusal an error."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        configuration = Configuration()
        load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
        self.server: str = configuration.host
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = configuration.ssl_ca_cert or True
        if configuration.cert_file and configuration.key_file:
            self.session.cert = (configuration.cert_file, configuration.key_file)
        if token := configuration.api_key.get("BearerToken"):
            self.session.headers["Authorization"] = token

    def another(self) -> Api:
        """Return one with connections of its own, for another thread."""
        return Api(self._kubeconfig)

    def request(self, method: str, path: str, body: Object | None = None, **extra: Any) -> Object:
        """Send one request; raise RefusedError for 4xx and 5xx."""
        headers = {"Content-Type": extra.pop("content_type", "application/json")}
        data = json.dumps(body) if body is not None else None
        answer = self.session.request(
            method, self.server + path, data=data, headers=headers, timeout=PATIENCE, **extra
        )
        if answer.status_code >= 400:
            raise RefusedError(answer.status_code, _message(answer))
        return dict(answer.json())

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """Read one object."""
        return self.request("GET", f"{_collection(kind, namespace)}/{name}")

    def find(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Read one object, or nothing."""
        try:
            return self.get(kind, name, namespace)
        except RefusedError as error:
            if error.status != 404:
                raise
            return None

    def list(self, kind: str, namespace: str | None = None, **query: str) -> list[Object]:
        """Read all objects of a kind."""
        return list(self.request("GET", _collection(kind, namespace), params=query)["items"])

    def resource_version(self, kind: str) -> int:
        """Return the resourceVersion up to which everything of a kind has happened."""
        listed = self.request("GET", _collection(kind, None), params={"limit": "1"})
        return int(listed["metadata"]["resourceVersion"])

    def create(self, obj: Object, **query: str) -> Object:
        """Create an object, strictly: an unknown field is refused."""
        namespace = obj["metadata"].get("namespace")
        query = {"fieldValidation": "Strict", **query}
        return self.request("POST", _collection(obj["kind"], namespace), obj, params=query)

    def replace(self, obj: Object, subresource: str = "") -> Object:
        """Replace an object."""
        metadata = obj["metadata"]
        path = f"{_collection(obj['kind'], metadata.get('namespace'))}/{metadata['name']}"
        return self.request("PUT", path + (f"/{subresource}" if subresource else ""), obj)

    def patch(
        self, kind: str, name: str, namespace: str | None, patch: Object, subresource: str = ""
    ) -> Object:
        """Merge-patch an object."""
        path = f"{_collection(kind, namespace)}/{name}" + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, patch, content_type="application/merge-patch+json")

    def delete(self, kind: str, name: str, namespace: str | None = None, **options: Any) -> None:
        """Delete an object; one that is gone is gone."""
        try:
            self.request("DELETE", f"{_collection(kind, namespace)}/{name}", options or None)
        except RefusedError as error:
            if error.status != 404:
                raise

    def watch(self, kind: str, **query: str) -> Iterator[Object]:
        """Yield watch events of a kind, in every namespace, until the server ends the watch."""
        url = self.server + _collection(kind, None)
        with self.session.get(
            url, params={"watch": "true", **query}, stream=True, timeout=(PATIENCE, 600)
        ) as answer:
            for line in answer.iter_lines():
                yield json.loads(line)


def _message(answer: requests.Response) -> str:
    """Return why; a path that is not served yet is answered in plain text."""
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text


def _collection(kind: str, namespace: str | None) -> str:
    root, plural = _PLURALS[kind]
    return f"{root}/namespaces/{namespace}/{plural}" if namespace is not None else f"{root}/{plural}"
