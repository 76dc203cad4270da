"""Where each resource lives in the REST API, and what a path is called in metrics and errors.

Names reach a path only percent-encoded: one that came from a spec can never point elsewhere.
"""

from __future__ import annotations

from urllib.parse import quote

from keywright.api.meta import GROUP, VERSION

DISCOVERY = f"/apis/{GROUP}/{VERSION}"
SERVER_VERSION = "/version"

PLURALS = {"project": "projects", "apikey": "apikeys", "revocation": "revocations"}
_WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}

_NAMESPACED = "namespaces"
_SUBRESOURCE_AT = 3  # [plural, name, subresource]


def collection(kind: str, namespace: str | None = None) -> str:
    """Return the list of one of our kinds ("project", "apikey", "revocation"), in one namespace or all."""
    return _within(DISCOVERY, namespace, PLURALS[kind])


def of(kind: str, namespace: str, name: str) -> str:
    """Return one object of one of our kinds."""
    return f"{collection(kind, namespace)}/{quote(name, safe='')}"


def projects(namespace: str | None = None) -> str:
    """Return the Projects of one namespace, or of all."""
    return collection("project", namespace)


def project(namespace: str, name: str) -> str:
    """Return one Project."""
    return of("project", namespace, name)


def api_keys(namespace: str | None = None) -> str:
    """Return the ApiKeys of one namespace, or of all."""
    return collection("apikey", namespace)


def api_key(namespace: str, name: str) -> str:
    """Return one ApiKey."""
    return of("apikey", namespace, name)


def api_key_status(namespace: str, name: str) -> str:
    """Return the status of one ApiKey."""
    return f"{api_key(namespace, name)}/status"


def revocations(namespace: str | None = None) -> str:
    """Return the Revocations of one namespace, or of all."""
    return collection("revocation", namespace)


def revocation(namespace: str, name: str) -> str:
    """Return one Revocation."""
    return of("revocation", namespace, name)


def secrets(namespace: str | None = None) -> str:
    """Return the Secrets of one namespace, or of all."""
    return _within("/api/v1", namespace, "secrets")


def secret(namespace: str, name: str) -> str:
    """Return one Secret."""
    return f"{secrets(namespace)}/{quote(name, safe='')}"


def workload(namespace: str, kind: str, name: str) -> str:
    """Return one workload ("Deployment", "StatefulSet", "DaemonSet")."""
    return f"{_within('/apis/apps/v1', namespace, _WORKLOADS[kind])}/{quote(name, safe='')}"


def namespaces() -> str:
    """Return all Namespaces."""
    return "/api/v1/namespaces"


def namespace(name: str) -> str:
    """Return one Namespace."""
    return f"{namespaces()}/{quote(name, safe='')}"


def events(namespace: str) -> str:
    """Return the Events (events.k8s.io/v1) of one namespace."""
    return _within("/apis/events.k8s.io/v1", namespace, "events")


def leases(namespace: str) -> str:
    """Return the Leases of one namespace."""
    return _within("/apis/coordination.k8s.io/v1", namespace, "leases")


def lease(namespace: str, name: str) -> str:
    """Return one Lease."""
    return f"{leases(namespace)}/{quote(name, safe='')}"


def endpoint_slices(namespace: str) -> str:
    """Return the EndpointSlices of one namespace."""
    return _within("/apis/discovery.k8s.io/v1", namespace, "endpointslices")


def resource_of(path: str) -> str:
    """Return what a path addresses, without names: "apikeys", "apikeys/status", "namespaces", "version"."""
    parts = [part for part in path.partition("?")[0].split("/") if part]
    rest = parts[3:] if parts[:1] == ["apis"] else parts[2:] if parts[:1] == ["api"] else parts
    if rest[:1] == [_NAMESPACED] and len(rest) >= _SUBRESOURCE_AT:
        rest = rest[2:]
    if not rest:
        return "discovery"
    return f"{rest[0]}/{rest[2]}" if len(rest) >= _SUBRESOURCE_AT else rest[0]


def _within(root: str, namespace: str | None, plural: str) -> str:
    if namespace is None:
        return f"{root}/{plural}"
    return f"{root}/{_NAMESPACED}/{quote(namespace, safe='')}/{plural}"
