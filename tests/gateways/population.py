"""The Project that the gateways ask for, and keys in every state that matters, as the API server has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from keywright.api.project import KeyType
from keywright.keys import raw

if TYPE_CHECKING:
    from keywright.keys.raw import RawKey

Object = dict[str, Any]

PROJECT = ("platform", "payments")  # as in examples/gateways
OTHER = ("platform", "search")

IDENTITY = (
    "X-Auth-Key-Id",
    "X-Auth-Api-Key",
    "X-Auth-Project",
    "X-Auth-Scopes",
    "X-Auth-Type",
    "X-Auth-Service-Account",
    "X-Auth-Expires-At",
)

_ROUTES: list[Object] = [
    {"path": "/healthz", "public": True},
    {"path": "/v1/items", "methods": ["GET"], "scopes": ["items:read"]},
    {"path": "/v1/items/{id}", "methods": ["GET"], "scopes": ["items:read"]},
    {"path": "/v1/items", "methods": ["POST"], "scopes": ["items:write"]},
    {"path": "/v1/items/{id}", "methods": ["DELETE"], "scopes": ["items:write"]},
    {"path": "/admin/*", "scopes": ["items:admin"]},
]


class Population:
    """All objects, and the raw keys by the name of their ApiKey."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._keys: dict[str, RawKey] = {}
        self.namespaces = [_object("Namespace", "", name) for name in ("platform", "shop")]
        self.projects = [self._project(PROJECT, _ROUTES), self._project(OTHER, [])]
        self.apikeys = [
            self._apikey("good", owner="checkout-bot", scopes=["items:read"]),
            self._apikey("writer", scopes=["items:read", "items:write"]),
            self._apikey("foreign", project=OTHER, scopes=["items:read"]),
            self._apikey("revoked", scopes=["items:read"]),
            self._apikey("expired", scopes=["items:read"], life=-timedelta(hours=1)),
            self._apikey("limited", scopes=["items:read"], limits=[{"requests": 1, "period": "1h"}]),
            self._apikey("told", scopes=["items:read"], limits=[{"requests": 1, "period": "1h"}]),
            self._apikey("elsewhere", scopes=["items:read"], restrictions={"cidrs": ["203.0.113.0/24"]}),
            self._apikey("anywhere", scopes=["items:read"], restrictions={"cidrs": ["0.0.0.0/0", "::/0"]}),
            self._apikey("page", scopes=["items:read"], restrictions={"origins": ["https://shop.example"]}),
        ]
        revocation = _object("Revocation", "platform", "leaked")
        self.revocations = [{**revocation, "spec": {"keyID": self.id("revoked"), "reason": "KeyCompromise"}}]

    def id(self, name: str) -> str:
        """Return the public id of a key."""
        return self._keys[name].id

    def fill(self, text: str) -> str:
        """Put the raw keys where a case names them: `<good>`."""
        for name, key in self._keys.items():
            text = text.replace(f"<{name}>", key.value)
        return text

    def hide(self, text: str) -> str:
        """Put the names back: no raw key gets into what a failing test prints."""
        for name, key in self._keys.items():
            text = text.replace(key.value, f"<{name}>")
        return text

    def identity(self, name: str) -> dict[str, str]:
        """Return the identity headers that stand for a key, "" for those without a value."""
        apikey = next(one for one in self.apikeys if one["metadata"]["name"] == name)
        values = (
            self.id(name),
            f"shop/{name}",
            "/".join(PROJECT),
            " ".join(apikey["spec"]["scopes"]),
            "Production",
            apikey["spec"].get("owner", ""),
            apikey["status"]["expiresAt"],
        )
        return dict(zip(IDENTITY, values, strict=True))

    def _project(self, key: tuple[str, str], routes: list[Object]) -> Object:
        spec = {"allowedNamespaces": {"from": "All"}, "routes": routes}
        return {**_object("Project", *key), "spec": spec, "status": {"observedGeneration": 1}}

    def _apikey(
        self,
        name: str,
        *,
        project: tuple[str, str] = PROJECT,
        scopes: list[str],
        life: timedelta = timedelta(days=30),
        owner: str | None = None,
        limits: list[Object] | None = None,
        restrictions: Object | None = None,
    ) -> Object:
        key = self._keys[name] = raw.mint("kw", KeyType.PRODUCTION)
        spec: Object = {
            "projectRef": {"namespace": project[0], "name": project[1]},
            "scopes": scopes,
            "owner": owner,
            "rateLimits": limits,
            "restrictions": restrictions,
        }
        expires = _time(self._now + life)
        generation = {
            "id": key.id,
            "revision": 1,
            "digest": key.digest,
            "hint": key.hint,
            "state": "Active",
            "cause": "First",
            "createdAt": _time(self._now - timedelta(days=1)),
            "expiresAt": expires,
        }
        return {
            **_object("ApiKey", "shop", name),
            "spec": {field: value for field, value in spec.items() if value is not None},
            "status": {
                "observedGeneration": 1,
                "currentKeyID": key.id,
                "expiresAt": expires,
                "keys": [generation],
            },
        }


def _object(kind: str, namespace: str, name: str) -> Object:
    metadata = {
        "name": name,
        "uid": f"uid-{kind}-{namespace}-{name}".lower(),
        "resourceVersion": "100",
        "generation": 1,
        "creationTimestamp": "2026-11-01T00:00:00Z",
    }
    if kind == "Namespace":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    metadata["namespace"] = namespace
    return {"apiVersion": "keywright.dev/v1alpha1", "kind": kind, "metadata": metadata}


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
