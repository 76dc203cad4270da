"""What exists according to the API server: metadata lists, compared with what the watches told.

kopf never says when its first lists are complete, and does not report what vanished while a watch
was away. So the barrier takes one list per kind at start and holds the workers back until each
listed object is in the cache, as new as listed, or gone; and the sweep takes one every ten minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from keywright.controller.backoff import asked_for
from keywright.controller.cache import KINDS, key_of, version_of
from keywright.kube import paths
from keywright.kube.errors import ApiError, TransportError

if TYPE_CHECKING:
    from keywright.controller.cache import Cache
    from keywright.controller.ports import Realm
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.inventory")

Receive = Callable[[str, str | None, dict[str, Any]], None]
Listed = dict[tuple[str, str], tuple[str, int]]  # (kind, namespace/name) → (uid, resourceVersion)

SWEEP_EVERY = 600.0
_SETTLE = 5.0  # what a list knows and a watch not yet will be told within this
_LOOK_EVERY = 0.05
_LIST_AGAIN_EVERY = 2.0
_FORBIDDEN, _NOT_FOUND = 403, 404


class Inventory:
    """Compares the API server's lists with the cache."""

    def __init__(self, client: Client, cache: Cache, realm: Realm, receive: Receive) -> None:
        self._client = client
        self._cache = cache
        self._realm = realm
        self._receive = receive
        self._closed: set[str | None] = set()
        self.complete = asyncio.Event()
        """Set once everything that existed at start is known."""

    async def run(self, served: asyncio.Event) -> None:
        """Open the barrier once our kinds are served and known, then sweep for ever."""
        await served.wait()
        await self._await_cache()
        log.info("everything listed is known", **{kind: len(self._cache.keys(kind)) for kind in KINDS})
        self.complete.set()
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            await self.sweep()

    async def sweep(self) -> None:
        """Tell of what vanished, appeared or changed without a watch event."""
        before = self._cached()
        listed = await self._list()
        await asyncio.sleep(_SETTLE)
        for (kind, key), (uid, _) in before.items():
            now = self._cache.version(kind, key)
            obj = self._cache.get(kind, key)
            if (kind, key) not in listed and obj is not None and now is not None and now[0] == uid:
                log.info("vanished without an event", kind=kind, key=key)
                self._receive(kind, "DELETED", obj)
        for (kind, key), (_, version) in listed.items():
            if not self._known(kind, key, version):
                await self._look_up(kind, key)

    async def _await_cache(self) -> None:
        missing = await self._list(starting=True)
        clock = asyncio.get_running_loop().time
        again = clock() + _LIST_AGAIN_EVERY
        while missing := {at: seen for at, seen in missing.items() if not self._known(*at, seen[1])}:
            await asyncio.sleep(_LOOK_EVERY)
            if clock() >= again:
                # What was deleted before kopf listed it never comes.
                listed = await self._list(starting=True)
                missing = {at: seen for at, seen in missing.items() if listed.get(at, ("", 0))[0] == seen[0]}
                again = clock() + _LIST_AGAIN_EVERY

    async def _look_up(self, kind: str, key: str) -> None:
        namespace, _, name = key.partition("/")
        try:
            obj = await self._client.get(paths.of(kind, namespace, name))
        except ApiError as error:
            if error.status != _NOT_FOUND:
                log.warning("sweep incomplete", kind=kind, key=key, error=str(error))
        except TransportError as error:
            log.warning("sweep incomplete", kind=kind, key=key, error=str(error))
        else:
            log.info("changed without an event", kind=kind, key=key)
            self._receive(kind, "MODIFIED", obj)

    async def _list(self, *, starting: bool = False) -> Listed:
        wait = 0.25
        while True:
            try:
                return await self._list_once(starting=starting)
            except (ApiError, TransportError) as error:
                pause = max(wait, asked_for(error))
                log.warning("cannot list", error=str(error), retry_in=pause)
                await asyncio.sleep(pause)
                wait = min(wait * 2, 5.0)

    async def _list_once(self, *, starting: bool) -> Listed:
        listed: Listed = {}
        for kind in KINDS:
            for namespace in self._realm.namespaces_of(kind):
                listed |= await self._listed(kind, namespace, starting=starting)
        return listed

    async def _listed(self, kind: str, namespace: str | None, *, starting: bool) -> Listed:
        """List one kind in one namespace. At the start a closed one must not keep all others waiting.

        Later it would be wrong to take what may not be listed just now for gone.
        """
        listed: Listed = {}
        try:
            # Page by page: what is remembered of an object is a hundredth of its metadata.
            async for page in self._client.pages(paths.collection(kind, namespace)):
                for item in page["items"]:
                    listed[kind, key_of(item)] = (item["metadata"]["uid"], version_of(item))
        except ApiError as error:
            closed = error.status == _FORBIDDEN and namespace not in {None, self._realm.system_namespace}
            if not (starting and closed):
                raise
            if namespace not in self._closed:
                self._closed.add(namespace)
                log.warning(
                    "--namespaces: nothing may be listed in a namespace: correct its name, "
                    "or install the chart for it",
                    namespace=namespace,
                )
        return listed

    def _cached(self) -> Listed:
        versions = {
            (kind, key): self._cache.version(kind, key) for kind in KINDS for key in self._cache.keys(kind)
        }
        return {at: version for at, version in versions.items() if version is not None}

    def _known(self, kind: str, key: str, version: int) -> bool:
        known = self._cache.version(kind, key)
        # Of another UID and newer: the listed object is gone, and its successor known.
        return known is not None and known[1] >= version
