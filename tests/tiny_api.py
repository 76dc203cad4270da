"""An API server in memory for the operator's controllers: objects by their path, with the real preconditions.

It has no schema, no quota and no watches: what a process is told, and when, is up to the test.
"""

from __future__ import annotations

import itertools
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from keywright.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywright.api.apikey import Cause
    from keywright.api.reasons import EventReason

Object = dict[str, Any]


class TinyApi:
    """What a Client can do, against a dict; `before` is told of each request and may raise instead."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda _verb, _path: None
        self.skew: timedelta | None = timedelta()
        self._versions = itertools.count(100)

    def put(self, path: str, obj: Object) -> Object:
        """Have an object there as somebody else wrote it."""
        obj = deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[path] = obj
        return deepcopy(obj)

    async def get(self, path: str) -> Object:
        """Read one object."""
        self._asked("get", path)
        return deepcopy(self._there("get", path))

    async def create(self, path: str, body: Object) -> Object:
        """Create an object in a collection."""
        where = f"{path}/{body['metadata']['name']}"
        self._asked("create", where)
        if where in self.objects:
            raise refusal("create", where, 409)
        namespace = path.split("/")[-2]
        metadata = {"uid": f"uid-{next(self._versions)}", "namespace": namespace, "generation": 1}
        metadata["creationTimestamp"] = "2026-11-23T12:00:00Z"
        return self.put(where, {**body, "metadata": {**metadata, **body["metadata"]}})

    async def replace(self, path: str, body: Object) -> Object:
        """Replace an object, or its status only."""
        self._asked("update", path)
        where, _, subresource = path.partition("/status")
        live = self._there("update", where)
        self._check("update", where, body["metadata"], live)
        if path.endswith("/status") and not subresource:
            return self.put(where, {**live, "status": body["status"]})
        return self.put(where, {**body, "metadata": {**live["metadata"], **body["metadata"]}})

    async def merge_patch(self, path: str, body: Object) -> Object:
        """Patch an object; where the rest is as it was, only its spec makes a new generation."""
        self._asked("patch", path)
        live = self._there("patch", path)
        self._check("patch", path, body["metadata"], live)
        merged = _merged(live, body)
        if merged.get("spec") != live.get("spec"):
            merged["metadata"]["generation"] += 1
        patched = self.put(path, merged)
        if "deletionTimestamp" in patched["metadata"] and not patched["metadata"].get("finalizers"):
            del self.objects[path]
        return patched

    async def delete(
        self, path: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> Object:
        """Delete an object at once."""
        self._asked("delete", path)
        live = self._there("delete", path)
        self._check("delete", path, {"uid": uid, "resourceVersion": resource_version}, live)
        del self.objects[path]
        return {"kind": "Status"}

    def _asked(self, verb: str, path: str) -> None:
        self.requests.append((verb, path))
        self.before(verb, path)

    def _there(self, verb: str, path: str) -> Object:
        if path not in self.objects:
            raise refusal(verb, path, 404)
        return self.objects[path]

    def _check(self, verb: str, path: str, wanted: Object, live: Object) -> None:
        for field in ("uid", "resourceVersion"):
            if wanted.get(field) not in {None, live["metadata"][field]}:
                raise refusal(verb, path, 409)


def _merged(live: Object, patch: Object) -> Object:
    return live | {
        name: _merged(live.get(name) or {}, value) if isinstance(value, dict) else value
        for name, value in patch.items()
    }


class Told:
    """A Recorder that only notes what it is to tell."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def emit(self, *, reason: EventReason, note: str, **_more: object) -> None:
        """Note an Event."""
        self.events.append((str(reason.value), note))


class Counted:
    """A Tally that remembers what it was told, in order."""

    def __init__(self) -> None:
        self.causes: list[Cause] = []
        self.waits: list[float] = []
        self.failures: list[tuple[str, str]] = []

    def minted(self, cause: Cause) -> None:
        """Note why a key was revealed."""
        self.causes.append(cause)

    def waited(self, seconds: float) -> None:
        """Note how long a first key took."""
        self.waits.append(seconds)

    def mint_failed(self, step: str, code: str) -> None:
        """Note a step that failed."""
        self.failures.append((step, code))


def refusal(verb: str, path: str, status: int) -> ApiError:
    """Return the error of a request that the API server refused."""
    return ApiError(verb=verb, resource=path.rsplit("/", 2)[-2], status=status, reason="Refused")


__all__ = ["Counted", "Object", "TinyApi", "Told", "refusal"]
