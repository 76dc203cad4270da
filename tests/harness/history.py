"""Every version of every object of some kinds, watched from the side.

Keywright's resources, Secrets and Revocations lie in one etcd, so their resourceVersions tell the order of
writes across kinds: what a verifier or a workload could have seen at any moment can be worked out later.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import requests

from harness.waiting import until

if TYPE_CHECKING:
    from harness.api import Api, Object


class Version(NamedTuple):
    """One state of one object; `deleted`: its last, at the resourceVersion of its end."""

    at: int
    deleted: bool
    obj: Object


class History:
    """Records what happens in one namespace (or, None, in all) from its creation on, until `stop`."""

    def __init__(self, api: Api, namespace: str | None, *kinds: str) -> None:
        self._api = api
        self._namespace = namespace
        self._versions: dict[str, list[Version]] = {kind: [] for kind in kinds}
        self._begun = {kind: api.resource_version(kind) for kind in kinds}
        self._failures: list[str] = []
        self._ended = threading.Event()
        for kind in kinds:
            threading.Thread(target=self._watch, args=(kind,), daemon=True).start()

    def stop(self) -> None:
        """Record no more."""
        self._ended.set()

    def versions(self, kind: str, name: str | None = None) -> list[Version]:
        """Return the versions of a kind, or of one object, so far, in the order of their writes."""
        seen = sorted(self._versions[kind], key=lambda version: version.at)
        return [one for one in seen if name in {None, one.obj["metadata"]["name"]}]

    def caught_up(self) -> History:
        """Wait until all is recorded that exists now."""
        for kind in self._versions:
            until(
                partial(self._missing, kind), lambda missing: not missing, what=f"all of {kind} is recorded"
            )
        return self

    def _missing(self, kind: str) -> set[str]:
        if self._failures:
            raise AssertionError(self._failures)
        recorded = {one.obj["metadata"]["resourceVersion"] for one in self._versions[kind]}
        existing = (obj["metadata"]["resourceVersion"] for obj in self._api.list(kind, self._namespace))
        return {at for at in existing if int(at) > self._begun[kind]} - recorded

    def _watch(self, kind: str) -> None:
        since = str(self._begun[kind])
        while not self._ended.is_set():
            try:
                for event in self._api.watch(kind, resourceVersion=since, timeoutSeconds="60"):
                    if event.get("type", "ERROR") == "ERROR":  # a refusal has no type
                        self._failures.append(f"the watch of {kind} ended: {event}")
                        return
                    metadata = event["object"]["metadata"]
                    since = metadata["resourceVersion"]
                    if self._namespace in {None, metadata.get("namespace")}:
                        version = Version(int(since), event["type"] == "DELETED", event["object"])
                        self._versions[kind].append(version)
                    if self._ended.is_set():
                        return
            except requests.RequestException:
                self._ended.wait(0.2)
