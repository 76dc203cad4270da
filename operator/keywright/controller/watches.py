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


class Watches:
    """The informers of a realm. Only where Namespaces may be read, all of them, they are watched."""

    def __init__(
        self, client: Client, cache: Cache, realm: Realm, receive: Receive, *, secrets: bool
    ) -> None:
        selector = {"fieldSelector": f"type={SECRET_TYPE}"}
        self._informers: dict[str, list[Informer]] = {SECRET: [], NAMESPACE: []}
        if secrets:
            self._informers[SECRET] = [
                Informer(
                    client, paths.secrets(namespace), _Store(SECRET, namespace, cache, receive), selector
                )
                for namespace in realm.namespaces_of(SECRET)
            ]
        if not realm.namespaces:
            store = _Store(NAMESPACE, None, cache, receive)
            self._informers[NAMESPACE] = [Informer(client, paths.namespaces(), store)]

    def listed(self, kind: str) -> bool:
        """Whether everything of a kind is known, and every change of it will be."""
        informers = self._informers[kind]
        return bool(informers) and all(informer.listed for informer in informers)

    async def settled(self) -> None:
        """Wait until everything is listed, or known to be forbidden."""
        for informer in self._all():
            await informer.settled.wait()
        if self._informers[SECRET] and not self.listed(SECRET):
            log.warning(
                "Secrets may not be listed and watched: lost ones are noticed within ten minutes only; "
                "grant it (chart: secrets.watch=true), or say --no-watch-secrets",
            )

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            for informer in self._all():
                group.create_task(informer.run())

    def _all(self) -> list[Informer]:
        return [informer for informers in self._informers.values() for informer in informers]
