"""What kopf cannot watch: Secrets and Namespaces by their metadata alone, each change told like any other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from keywright.controller.cache import NAMESPACE, SECRET
from keywright.keys.secret import SECRET_TYPE
from keywright.kube import paths
from keywright.kube.informer import Informer

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywright.controller.cache import Cache
    from keywright.controller.inventory import Receive
    from keywright.controller.ports import Realm
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.watches")


@dataclass(frozen=True)
class _Store:
    """The cache behind one informer: a kind, everywhere or in one namespace."""

    kind: str
    namespace: str | None
    cache: Cache
    tell: Receive
    lost: Callable[[str | None], None]

    def receive(self, event_type: str | None, obj: dict[str, Any]) -> None:
        """Pass an event on."""
        self.tell(self.kind, event_type, obj)

    def replace(self, listed: set[str], version: int) -> None:
        """Tell of what vanished while no watch was there to say so."""
        for key, uid in self.cache.outdated(self.kind, listed, version):
            namespace, _, name = key.partition("/")
            if self.namespace in {None, namespace}:
                metadata = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": str(version)}
                self.tell(self.kind, "DELETED", {"metadata": metadata})

    def closed(self) -> None:
        """Tell of Secrets that their loss will not be told of; Namespaces are then read where it matters."""
        if self.kind == SECRET:
            where = {"namespace": self.namespace} if self.namespace is not None else {}
            log.warning(
                "Secrets may not be listed and watched: lost ones are noticed within ten minutes only; "
                "grant it (chart: secrets.watch=true), or say --no-watch-secrets",
                **where,
            )
            self.lost(self.namespace)


class Watches:
    """The informers of a realm. Only where Namespaces may be read, all of them, they are watched.

    `lost` is told of each namespace (None: of all) whose Secrets can be watched no more.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        realm: Realm,
        receive: Receive,
        *,
        secrets: bool,
        lost: Callable[[str | None], None],
    ) -> None:
        self._informers: dict[tuple[str, str | None], Informer] = {}
        for namespace in realm.namespaces_of(SECRET) if secrets else ():
            store = _Store(SECRET, namespace, cache, receive, lost)
            selector = {"fieldSelector": f"type={SECRET_TYPE}"}
            self._informers[SECRET, namespace] = Informer(client, paths.secrets(namespace), store, selector)
        if not realm.namespaces:
            store = _Store(NAMESPACE, None, cache, receive, lost)
            self._informers[NAMESPACE, None] = Informer(client, paths.namespaces(), store)

    def listed(self, kind: str, namespace: str) -> bool:
        """Whether everything of a kind is known in a namespace, and every change of it will be."""
        informer = self._informers.get((kind, None)) or self._informers.get((kind, namespace))
        return informer is not None and informer.listed

    async def settled(self) -> None:
        """Wait until everything is listed, or known to be forbidden."""
        for informer in self._informers.values():
            await informer.settled.wait()

    async def run(self) -> None:
        """Watch, for ever, even where there is nothing to watch: whoever ends is taken for broken."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers.values():
                group.create_task(informer.run())
            await asyncio.Event().wait()
