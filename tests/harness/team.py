"""A team: one namespace with a Project, its ApiKeys and Secrets, as somebody with kubectl sees them."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness import manifests
from harness.waiting import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Api, Object

FINALIZER = "keywright.dev/revoke"
ROTATE = "keywright.dev/rotate"
REGENERATE = "keywright.dev/regenerate"


def condition(obj: Object, kind: str) -> Object:
    """Return a condition of an object, empty if it has none of that type."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((dict(one) for one in conditions if one["type"] == kind), {})


def ready(obj: Object) -> str | None:
    """Return the reason of the Ready condition of the present spec."""
    found = condition(obj, "Ready")
    return found["reason"] if found.get("observedGeneration") == obj["metadata"]["generation"] else None


def generations(api_key: Object, state: str | None = None) -> list[Object]:
    """Return the generations in status, newest first; those in one state only, if it is named."""
    keys = (api_key.get("status") or {}).get("keys") or []
    return [dict(generation) for generation in keys if state in {None, generation["state"]}]


def digest_of(value: str) -> str:
    """Return how status names a raw value."""
    return "sha256:" + hashlib.sha256(value.encode()).hexdigest()


def value_in(secret: Object, key: str = "apiKey") -> str:
    """Return the text of a data entry of a Secret."""
    return base64.b64decode(secret["data"][key]).decode()


def seconds_between(begin: str, end: str) -> float:
    """Return the seconds from one time of a status to another."""
    length: timedelta = datetime.fromisoformat(end) - datetime.fromisoformat(begin)
    return length.total_seconds()


class Team:
    """The ApiKeys of one namespace; where no name is given the ApiKey is `checkout`."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def project(self, name: str = "payments", **spec: Any) -> Object:
        """Create a Project."""
        return self.api.create(manifests.project(self.namespace, name, **spec))

    def create(self, name: str = "checkout", **spec: Any) -> Object:
        """Create an ApiKey."""
        return self.api.create(manifests.api_key(self.namespace, name, **spec))

    def get(self, name: str = "checkout") -> Object:
        """Read an ApiKey, without the managedFields that would bury all else in a failure's message."""
        found = self.api.get("ApiKey", name, self.namespace)
        found["metadata"].pop("managedFields", None)
        return found

    def find(self, name: str = "checkout") -> Object | None:
        """Read an ApiKey, or nothing."""
        return self.api.find("ApiKey", name, self.namespace)

    def until(
        self, holds: Callable[[Object], object], name: str = "checkout", *, seconds: float = PATIENCE
    ) -> Object:
        """Wait until an ApiKey is as wanted, and return it."""
        return until(lambda: self.get(name), holds, seconds=seconds)

    def until_ready(
        self, name: str = "checkout", *, reason: str = "Active", seconds: float = PATIENCE
    ) -> Object:
        """Wait until Ready says so of the present spec."""
        return self.until(lambda obj: ready(obj) == reason, name, seconds=seconds)

    def until_revision(self, revision: int, name: str = "checkout", *, seconds: float = PATIENCE) -> Object:
        """Wait until so many generations were revealed."""
        return self.until(lambda obj: obj["status"].get("revision") == revision, name, seconds=seconds)

    def until_gone(self, name: str = "checkout", *, seconds: float = PATIENCE) -> None:
        """Wait until an ApiKey is no more."""
        until(lambda: self.find(name), lambda obj: obj is None, seconds=seconds)

    def minted(self, name: str = "checkout", **spec: Any) -> Object:
        """Create an ApiKey and wait for its first key."""
        self.create(name, **spec)
        return self.until_ready(name)

    def edit(self, name: str = "checkout", **spec: Any) -> Object:
        """Merge fields into the spec of an ApiKey."""
        return self.api.patch("ApiKey", name, self.namespace, {"spec": spec})

    def annotate(self, annotations: dict[str, str | None], name: str = "checkout") -> Object:
        """Set annotations of an ApiKey; None removes one."""
        return self.api.patch("ApiKey", name, self.namespace, {"metadata": {"annotations": annotations}})

    def looked_at(self, name: str = "checkout") -> Object:
        """Touch the spec and return the ApiKey once the operator has seen that."""
        stamp = f"look {self.get(name)['metadata']['resourceVersion']}"
        generation = self.edit(name, displayName=stamp)["metadata"]["generation"]
        return self.until(lambda obj: obj["status"]["observedGeneration"] == generation, name)

    def delete(self, name: str = "checkout", **options: Any) -> None:
        """Delete an ApiKey."""
        self.api.delete("ApiKey", name, self.namespace, **options)

    def revoke(self, name: str, **spec: Any) -> Object:
        """Create a Revocation in this namespace."""
        return self.api.create(
            {
                "apiVersion": manifests.API_VERSION,
                "kind": "Revocation",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": spec,
            }
        )

    def revocation(self, name: str, reason: str) -> Object:
        """Wait until the Ready condition of a Revocation of this namespace has a reason."""
        return until(
            lambda: self.api.get("Revocation", name, self.namespace), lambda obj: ready(obj) == reason
        )

    def secret(self, name: str = "checkout") -> Object:
        """Read a Secret."""
        return self.api.get("Secret", name, self.namespace)

    def until_secret(self, holds: Callable[[Object], object], *, seconds: float = PATIENCE) -> Object:
        """Wait until the Secret `checkout` is as wanted, and return it; a failure does not show its value."""
        until(lambda: bool(holds(self.secret())), bool, seconds=seconds, what="the Secret is as wanted")
        return self.secret()

    def value(self, name: str = "checkout") -> str:
        """Return the raw key in a Secret."""
        return value_in(self.secret(name))

    def events(self, reason: str, name: str = "checkout") -> list[Object]:
        """Return the Events of an ApiKey with a reason."""
        events = self.api.list("Event", self.namespace)
        return [one for one in events if one["reason"] == reason and one["regarding"]["name"] == name]

    def until_event(self, reason: str, name: str = "checkout") -> Object:
        """Wait for an Event of an ApiKey."""
        return until(lambda: self.events(reason, name), bool, what=f"the Event {reason}")[0]
