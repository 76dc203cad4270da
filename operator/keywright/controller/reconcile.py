"""Which object a name in the queue means, and whom a watch event concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keywright.api.reasons import ReadyReason
from keywright.controller.acting import Acting
from keywright.controller.apikeys import ApiKeys
from keywright.controller.cache import key_of, summarise
from keywright.controller.projects import Projects
from keywright.controller.revocations import Revocations
from keywright.controller.sealing import Sealing
from keywright.controller.sight import Sight
from keywright.controller.vanished import Vanished
from keywright.keys.default_key import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from keywright.api.apikey import Cause
    from keywright.controller.cache import Cache
    from keywright.controller.ports import Realm, Wake
    from keywright.kube.client import Client
    from keywright.kube.events import Recorder


class Reconciler:
    """Brings any of our objects in line, and wakes those that another one's change concerns."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        recorder: Recorder,
        *,
        realm: Realm,
        wake: Wake,
        clock: Callable[[], datetime],
        minted: Callable[[Cause], None],
    ) -> None:
        self._cache = cache
        self._wake = wake
        self._project_generations: dict[str, tuple[str, int]] = {}
        self._leaving: set[str] = set()
        self._revocations = Revocations(client, cache, realm=realm, wake=wake, clock=clock)
        sealing = Sealing(client, realm.system_namespace)
        sight = Sight(client, cache, self._revocations, sealing, realm)
        acting = Acting(
            client,
            cache,
            sight,
            self._revocations,
            system_namespace=realm.system_namespace,
            clock=clock,
            minted=minted,
        )
        vanished = Vanished(client, sight, acting, clock=clock)
        self._api_keys = ApiKeys(cache, recorder, sight, acting, vanished, clock=clock)
        self._projects = Projects(client, cache, recorder, clock=clock)

    async def reconcile(self, key: str) -> float | None:
        """Bring one object in line; return the seconds until it is due again."""
        kind, _, name = key.partition(":")
        reconcilers = {
            "apikey": self._api_keys.reconcile,
            "project": self._projects.reconcile,
            "revocation": self._revocations.reconcile,
        }
        return await reconcilers[kind](name)

    def observe(self, kind: str, event_type: str | None, obj: dict[str, Any]) -> None:
        """Take note of a watch event, after the cache has, and wake whom it concerns."""
        if kind == "apikey":
            self._api_key_changed(event_type, obj)
        elif kind == "project":
            self._project_changed(event_type, obj)
        else:
            self._revocations.observe(event_type, obj)
            self._wake(f"revocation:{key_of(obj)}")

    def _api_key_changed(self, event_type: str | None, obj: dict[str, Any]) -> None:
        summary = summarise(obj)
        self._wake(f"project:{summary.project}")
        if event_type == "DELETED":
            if self._api_keys.gone(obj):
                self._wake(f"apikey:{summary.key}", urgent=True)
        else:
            self._revocations.appeared(obj)
            if not self._api_keys.tells_nothing(obj):
                self._wake(f"apikey:{summary.key}")
        gone = event_type == "DELETED"
        if gone or (summary.deleting and summary.uid not in self._leaving):
            self._wake_waiting(summary.project)
        (self._leaving.add if summary.deleting and not gone else self._leaving.discard)(summary.uid)
        if event_type == "DELETED" and summary.key.endswith(SUFFIX):
            # Whosever it was, the name is free now for the Project's own.
            self._wake(f"project:{summary.key.removesuffix(SUFFIX)}")

    def _wake_waiting(self, project: str) -> None:
        """Wake the ApiKeys beyond a quota: one of them may now be within."""
        for sibling in self._cache.summaries_of(project):
            if sibling.reason == ReadyReason.QUOTA_EXCEEDED:
                self._wake(f"apikey:{sibling.key}")

    def _project_changed(self, event_type: str | None, obj: dict[str, Any]) -> None:
        """Wake the Project, and its ApiKeys where more than its status changed."""
        name, metadata = key_of(obj), obj["metadata"]
        self._wake(f"project:{name}")
        gone = event_type == "DELETED" or "deletionTimestamp" in metadata
        generation = ("", -1) if gone else (metadata["uid"], metadata["generation"])
        if self._project_generations.get(name) != generation:
            self._project_generations[name] = generation
            for api_key in self._cache.api_keys_of(name):
                self._wake(f"apikey:{api_key}")
