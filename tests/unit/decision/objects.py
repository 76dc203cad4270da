"""Objects as the API server sends them, and requests for them."""

from __future__ import annotations

from typing import Any

from keywright.api.project import KeyType
from keywright.decision.index import Index
from keywright.decision.request import Request
from keywright.keys import raw

Object = dict[str, Any]

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
PAST, SOON, CREATED = "2027-01-15T07:00:00Z", "2027-01-15T09:00:00Z", "2027-01-01T00:00:00Z"
KEY, OTHER = (raw.mint("kw", KeyType.PRODUCTION) for _ in range(2))
PROJECT, API_KEY = "platform/payments", "shop/checkout"


def metadata(name: str, **more: Any) -> Object:
    namespace, plain = name.split("/")
    about = {"name": plain, "namespace": namespace, "uid": f"uid-{plain}", "resourceVersion": "1"}
    return about | {"creationTimestamp": CREATED} | more


def project(name: str = PROJECT, *, about: Object | None = None, **spec: Any) -> Object:
    return {"metadata": metadata(name, **about or {}), "spec": {"allowedNamespaces": {"from": "All"}} | spec}


def generation(key: raw.RawKey = KEY, **more: Any) -> Object:
    told = {"id": key.id, "revision": 1, "digest": key.digest, "hint": key.hint, "cause": "First"}
    return told | {"state": "Active", "createdAt": CREATED} | more


def api_key(
    name: str = API_KEY,
    *keys: Object,
    about: Object | None = None,
    status: Object | None = None,
    **spec: Any,
) -> Object:
    return {
        "metadata": metadata(name, **about or {}),
        "spec": {"projectRef": {"name": "payments", "namespace": "platform"}} | spec,
        "status": {"keys": list(keys or (generation(),))} | (status or {}),
    }


def revocation(name: str, *, about: Object | None = None, **spec: Any) -> Object:
    return {"metadata": metadata(name, **about or {}), "spec": spec}


def namespace(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": labels}}


def index_of(**kinds: list[Object]) -> Index:
    index = Index()
    for kind, objects in kinds.items():
        for obj in objects:
            index.put(kind, obj)
    return index


def request(key: raw.RawKey = KEY, **more: Any) -> Request:
    plain = Request(PROJECT, "GET", "/", "", (b"Bearer " + key.value.encode(),), (), (), None)
    return plain._replace(**more)
