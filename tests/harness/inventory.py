"""Objects as an API server sends them, and an index filled with some: what verifiers are tried on."""

from __future__ import annotations

import itertools
from typing import Any

from keywright.api.project import KeyType
from keywright.decision.index import Index
from keywright.keys.raw import RawKey, mint

Json = dict[str, Any]

SINCE = "2026-01-01T00:00:00Z"
_VERSIONS = itertools.count(1)


def metadata(namespace: str, name: str) -> Json:
    return {
        "namespace": namespace,
        "name": name,
        "uid": f"uid-of-{namespace}-{name}",
        "resourceVersion": str(next(_VERSIONS)),
        "generation": 1,
        "creationTimestamp": SINCE,
    }


def project(name: str = "payments", namespace: str = "platform", **spec: Any) -> Json:
    return {
        "apiVersion": "keywright.dev/v1alpha1",
        "kind": "Project",
        "metadata": metadata(namespace, name),
        "spec": {"allowedNamespaces": {"from": "All"}, **spec},
    }


def api_key(key: RawKey, name: str = "checkout", namespace: str = "shop", **spec: Any) -> Json:
    """Return an ApiKey of platform/payments whose one generation is active."""
    generation = {
        "id": key.id,
        "revision": 1,
        "digest": key.digest,
        "hint": key.hint,
        "state": "Active",
        "cause": "First",
        "createdAt": SINCE,
    }
    return {
        "apiVersion": "keywright.dev/v1alpha1",
        "kind": "ApiKey",
        "metadata": metadata(namespace, name),
        "spec": {"projectRef": {"name": "payments", "namespace": "platform"}, **spec},
        "status": {"observedGeneration": 1, "keys": [generation], "currentKeyID": key.id},
    }


def new_key() -> RawKey:
    return mint("kw", KeyType.PRODUCTION)


def index_of(*objects: Json) -> Index:
    index = Index()
    for obj in objects:
        assert index.put(obj["kind"].lower(), obj), obj["kind"]
    return index
