"""What is watched, and where: our own kinds whole, Secrets and Namespaces by their metadata alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from keywright.controller.cache import KINDS, NAMESPACE, SECRET
from keywright.keys.secret import SECRET_TYPE
from keywright.kube import paths
from keywright.kube.informer import Collection, Informer

if TYPE_CHECKING:
    from keywright.controller.cache import Cache
    from keywright.controller.ports import Realm
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.watches")

Receive = Callable[[str, str | None, dict[str, Any]], None]


@dataclass(frozen=True)
class _Store:
    """The cache behind one informer: a kind, everywhere or in one namespace."""

    kind: str
    namespace: str | None
    cache: Cache
    tell: Receive
    lost: Callable[[str | None], None]

    def listing(self, version: int) -> None:
        """Take each object as it comes: an older state never replaces a newer one."""

    def receive(self, event_type: str | None, obj: dict[str, Any]) -> None:
        """Pass an event on."""
        self.tell(self.kind, event_type, obj)

    def replace(self, listed: set[str], version: int) -> None:
        """Tell of what vanished while no watch was there to say so."""
        for key, uid in self.cache.outdated(self.kind, listed, version):
            namespace, _, name = key.partition("/")
            if self.namespace in {None, namespace}:
                log.info("vanished without an event", kind=self.kind, key=key)
                # Of our own kinds as it was last known: that tells which keys a lost ApiKey had.
                last = (self.cache.get(self.kind, key) if self.kind in KINDS else None) or {}
                known = last.get("metadata", {"namespace": namespace, "name": name, "uid": uid})
                self.tell(
                    self.kind, "DELETED", {**last, "metadata": {**known, "resourceVersion": str(version)}}
                )

    def closed(self) -> None:
        """Tell of Secrets that their loss will not be told of; Namespaces are then read where it matters."""
        if self.kind == "apikey":
            log.warning(
                "--namespaces: nothing may be listed in a namespace: correct its name, "
                "or install the chart for it",
                namespace=self.namespace,
            )
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
        watched: dict[tuple[str, str | None], Collection] = {}
        for kind in KINDS:
            for namespace in realm.namespaces_of(kind):
                # One team's namespace that is closed or gone must not keep the others waiting.
                required = namespace in {None, realm.system_namespace}
                path = paths.collection(kind, namespace)
                watched[kind, namespace] = Collection(path, whole=True, required=required)
        for namespace in realm.namespaces_of(SECRET) if secrets else ():
            selector = {"fieldSelector": f"type={SECRET_TYPE}"}
            watched[SECRET, namespace] = Collection(paths.secrets(namespace), selector)
        if not realm.namespaces:
            watched[NAMESPACE, None] = Collection(paths.namespaces())
        self._informers = {
            (kind, namespace): Informer(client, collection, _Store(kind, namespace, cache, receive, lost))
            for (kind, namespace), collection in watched.items()
        }

    def listed(self, kind: str, namespace: str) -> bool:
        """Whether everything of a kind is known in a namespace, and every change of it will be."""
        informer = self._informers.get((kind, None)) or self._informers.get((kind, namespace))
        return informer is not None and informer.listed

    async def settled(self) -> None:
        """Wait until everything is listed, or known to be forbidden."""
        for informer in self._informers.values():
            await informer.settled.wait()

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers.values():
                group.create_task(informer.run())
