"""Where the index comes from: an informer for each kind, and the proof that none of them is behind.

A watch that is stuck looks like one with nothing to say, and bookmarks come only once a minute. So each is
asked after every 15 s: a list of one object says, consistently, which version the API server is at. Where
the watch has not come so far, a second, short watch from where it stands shows whether it has missed
anything; what it has missed it must bring within 5 s, or everything is listed anew.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any

import structlog

from keywright.decision.index import KINDS
from keywright.kube import paths
from keywright.kube.errors import ApiError, TransportError
from keywright.kube.informer import Collection, Informer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from keywright.decision.index import Index, Listing
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.source")

PROVE_EVERY = 15.0
GRACE = 5.0
_LOOK = 2  # seconds that the short watch lasts


class _Store:
    """The index behind one informer; a list goes in object by object, as it comes."""

    def __init__(self, kind: str, namespace: str | None, index: Index) -> None:
        self._kind = kind
        self._namespace = namespace
        self._index = index
        self._listing: Listing | None = None
        self.lists = 0
        self.rollbacks = 0

    def listing(self, version: int) -> None:
        self._listing = self._index.listing(self._kind, namespace=self._namespace, version=version)
        self.lists += 1
        if self._listing.restored:
            self.rollbacks += 1
            log.warning("the API server is behind what it has said before: was it restored?", kind=self._kind)

    def receive(self, event_type: str | None, obj: dict[str, Any]) -> None:
        if event_type is None and self._listing is not None:
            self._listing.put(obj)
        elif event_type == "DELETED":
            metadata = obj["metadata"]
            self._index.remove(
                self._kind,
                _name(metadata),
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        elif not self._index.put(self._kind, obj):
            log.warning("cannot be read, so it only denies", kind=self._kind, name=_name(obj["metadata"]))

    def replace(self, listed: set[str], version: int) -> None:
        del listed, version
        if self._listing is not None:
            self._listing.close()
            self._listing = None

    def closed(self) -> None:
        """Without rights it waits, and says so itself."""


class _Watched:
    """One collection: what is told of it, and since when that is known to be all there is."""

    def __init__(self, client: Client, collection: Collection, store: _Store) -> None:
        self._client = client
        self._collection = collection
        self.store = store
        self.informer = Informer(client, collection, store)
        self.synced_at = -math.inf

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.informer.run())
            await self.informer.settled.wait()
            self.synced_at = time.monotonic()
            while True:
                await asyncio.sleep(PROVE_EVERY)
                try:
                    await self._prove()
                except (ApiError, TransportError) as error:
                    log.warning("no proof of being up to date", path=self._collection.path, error=str(error))

    async def _prove(self) -> None:
        asked, path = time.monotonic(), self._collection.path
        async for page in self._client.pages(path, limit=1):
            there = int(page["metadata"]["resourceVersion"])
            break
        stands = self.informer.version
        missed = 0 if stands >= there else await self._newest_since(stands)
        deadline = asked + GRACE
        while self.informer.version < missed:
            if time.monotonic() > deadline:
                log.warning("the watch is behind; listing anew", path=path)
                self.informer.begin_anew()
                return
            await asyncio.sleep(0.05)
        if self.informer.version:
            self.synced_at = asked

    async def _newest_since(self, version: int) -> int:
        """Return the version of the last change after one, as another watch tells it; 0 for none."""
        query = {"resourceVersion": str(version), "timeoutSeconds": str(_LOOK)}
        newest = 0
        async for event in self._client.watch(self._collection.path, query, silence=GRACE):
            newest = int(event["object"]["metadata"]["resourceVersion"])
        return newest


class Source:
    """Fills an index, and knows how far it can be trusted."""

    def __init__(
        self,
        client: Client,
        index: Index,
        *,
        namespaces: tuple[str, ...],
        system_namespace: str,
        max_staleness: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._max_staleness = max_staleness
        self._monotonic = monotonic
        self._watched: dict[str, list[_Watched]] = {kind: [] for kind in KINDS}
        for kind in KINDS:
            for namespace in _where(kind, namespaces, system_namespace):
                path = paths.namespaces() if kind == "namespace" else paths.collection(kind, namespace)
                collection = Collection(path, whole=kind != "namespace", required=True)
                self._watched[kind].append(_Watched(client, collection, _Store(kind, namespace, index)))

    async def run(self) -> None:
        """Keep the index up to date, for ever."""
        async with asyncio.TaskGroup() as group:
            for one in self._all():
                group.create_task(one.run())

    @property
    def trusted_until(self) -> float:
        """The last moment of the monotonic clock at which the index may be believed."""
        return min(one.synced_at for one in self._all()) + self._max_staleness

    def problems(self) -> list[str]:
        """Say why it may not, if so."""
        staleness = self.staleness()
        if staleness == math.inf:
            return ["not everything that exists is known yet"]
        if staleness > self._max_staleness:
            return [f"the API server has not been heard of for {staleness:.0f} s"]
        return []

    def staleness(self) -> float:
        """Return for how many seconds the collection that lags most has not been proven up to date."""
        return self._monotonic() - min(one.synced_at for one in self._all())

    def sizes(self) -> Mapping[str, int]:
        """Return how many objects of each kind are known."""
        return {kind: self._index.size(kind) for kind in KINDS}

    def relists(self) -> Mapping[str, int]:
        """Return how many lists were taken after the first, of each kind."""
        return {
            kind: sum(max(0, one.store.lists - 1) for one in watched)
            for kind, watched in self._watched.items()
        }

    def rollbacks(self) -> Mapping[str, int]:
        """Return how many lists were below a version seen before, of each kind."""
        return {kind: sum(one.store.rollbacks for one in watched) for kind, watched in self._watched.items()}

    def _all(self) -> Iterable[_Watched]:
        return (one for watched in self._watched.values() for one in watched)


def _where(kind: str, namespaces: tuple[str, ...], system_namespace: str) -> tuple[str | None, ...]:
    if not namespaces:
        return (None,)
    if kind == "namespace":
        return ()  # Roles cannot let anybody read them; a Project that chooses by label then allows nobody
    if kind == "revocation":
        return tuple(dict.fromkeys((*namespaces, system_namespace)))
    return namespaces


def _name(metadata: dict[str, Any]) -> str:
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])
