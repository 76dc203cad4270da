"""Which object a name in the queue means, and whom a watch event concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keywright.api.reasons import RevocationReadyReason
from keywright.controller.acting import Acting
from keywright.controller.apikeys import ApiKeys
from keywright.controller.arrivals import Arrivals
from keywright.controller.cache import NAMESPACE, SECRET, key_of, summarise
from keywright.controller.projects import Projects
from keywright.controller.revocations import Revocations
from keywright.controller.sealing import Sealing
from keywright.controller.sight import Sight
from keywright.controller.vanished import Vanished
from keywright.keys.default_key import SUFFIX
from keywright.keys.usage import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from keywright.controller.cache import Cache
    from keywright.controller.ports import Options, Tally, Wake, Watching
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
        options: Options,
        watching: Watching,
        wake: Wake,
        clock: Callable[[], datetime],
        tally: Tally,
    ) -> None:
        system_namespace = options.realm.system_namespace
        self._cache = cache
        self._clock = clock
        self._wake = wake
        self._watching = watching
        self._project_generations: dict[str, tuple[str, int]] = {}
        self._leaving: set[str] = set()
        self._labels: dict[str, dict[str, str]] = {}
        self._arrivals = Arrivals(clock)
        self._revocations = Revocations(client, cache, realm=options.realm, wake=wake, clock=clock)
        sealing = Sealing(client, system_namespace)
        self.usage = Ledger()
        sight = Sight(client, cache, self._revocations, sealing, options, watching, self.usage)
        acting = Acting(
            client,
            cache,
            sight,
            self._revocations,
            system_namespace=system_namespace,
            clock=clock,
            arrivals=self._arrivals,
            tally=tally,
        )
        self._vanished = Vanished(client, sight, acting, clock=clock)
        self._api_keys = ApiKeys(cache, recorder, sight, acting, self._vanished, clock=clock)
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
        elif kind == SECRET:
            self._secret_changed(obj)
        elif kind == NAMESPACE:
            self._namespace_changed(event_type, obj)
        else:
            self._revocations.observe(event_type, obj)
            self._wake(f"revocation:{key_of(obj)}")

    def wake_all(self) -> None:
        """Wake everything that is known, because waking had no effect until now: what is in order, last."""
        now = self._clock().timestamp()
        for one in self._cache.summaries():
            due = one.next_rotation is not None and one.next_rotation <= now
            lost = self._watching(SECRET, one.namespace) and self._cache.version(SECRET, one.secret) is None
            last = one.converged and not due and not lost
            self._wake(f"apikey:{one.key}", urgent=one.deleting, last=last and not one.deleting)
        for name in self._cache.keys("project"):
            self._wake(f"project:{name}")
        for name in self._cache.keys("revocation"):
            if not self._revocations.is_copy(name):
                self._revocations.observe(None, self._cache.get("revocation", name) or {})
            in_force = self._cache.reason("revocation", name) == RevocationReadyReason.IN_FORCE
            self._wake(f"revocation:{name}", urgent=not in_force, last=in_force)
        for name in self._vanished.names():
            self._wake(f"apikey:{name}", urgent=True)

    def stand_by(self) -> None:
        """Let go of what is kept to be acted on, where another replica has had time to act on it."""
        self._vanished.forget_handed_over()

    def _api_key_changed(self, event_type: str | None, obj: dict[str, Any]) -> None:
        summary, gone = summarise(obj), event_type == "DELETED"
        self._arrivals.observe(summary, gone=gone)
        self._wake(f"project:{summary.project}")
        if gone:
            self.usage.forget(summary.uid)
            if self._api_keys.gone(obj):
                self._wake(f"apikey:{summary.key}", urgent=True)
        else:
            self._revocations.appeared(obj)
            if not self._api_keys.tells_nothing(obj):
                self._wake(f"apikey:{summary.key}")
        if gone or (summary.deleting and summary.uid not in self._leaving):
            self._wake_waiting(summary.project)
        (self._leaving.add if summary.deleting and not gone else self._leaving.discard)(summary.uid)
        if gone and summary.key.endswith(SUFFIX):
            # Whosever it was, the name is free now for the Project's own.
            self._wake(f"project:{summary.key.removesuffix(SUFFIX)}")

    def _secret_changed(self, obj: dict[str, Any]) -> None:
        for api_key in self._cache.api_keys_with(key_of(obj)):
            if not self._api_keys.secret_tells_nothing(api_key, obj):
                self._wake(f"apikey:{api_key}")

    def _namespace_changed(self, event_type: str | None, obj: dict[str, Any]) -> None:
        """Wake the ApiKeys of a Namespace whose labels changed: a Project may choose by them."""
        name = obj["metadata"]["name"]
        labels = {} if event_type == "DELETED" else obj["metadata"].get("labels") or {}
        if self._labels.get(name) != labels:
            self._labels[name] = labels
            for api_key in self._cache.api_keys_in(name):
                self._wake(f"apikey:{api_key}")
        if event_type == "DELETED":
            del self._labels[name]

    def _wake_waiting(self, project: str) -> None:
        """Wake the ApiKeys beyond a quota: one of them may now be within."""
        for api_key in self._cache.api_keys_over_quota(project):
            self._wake(f"apikey:{api_key}")

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
