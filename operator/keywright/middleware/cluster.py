"""The API server as the source: the verifier's own watches, in the application's event loop.

The index then holds every ApiKey of the cluster, or of the namespaces that are listed, and the application's
ServiceAccount needs the verifier's right to read them. Where that is too much, `snapshot` is for.
"""

from __future__ import annotations

import asyncio
import math

from keywright.decision.index import Index
from keywright.kube.client import Client
from keywright.middleware.source import Filling
from keywright.verifier import source


class Cluster:
    """Watches ApiKeys, Projects, Revocations and Namespaces."""

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        namespaces: tuple[str, ...] = (),
        system_namespace: str = "keywright-system",
        max_staleness: float = 300.0,
    ) -> None:
        """Without `kubeconfig`: in a cluster its ServiceAccount, else the usual rules for KUBECONFIG.

        `namespaces`: those of Projects and ApiKeys; empty: all. `max_staleness`: for how many seconds the
        index is believed without a word from the API server.
        """
        self.index = Index(system_namespace=system_namespace)
        self._kubeconfig = kubeconfig
        self._namespaces = namespaces
        self._system_namespace = system_namespace
        self._max_staleness = max_staleness
        self._client: Client | None = None
        self._source: source.Source | None = None
        self._filling = Filling(self._fill)
        self._starting = asyncio.Lock()

    @property
    def trusted_until(self) -> float:
        """The last moment of `time.monotonic` at which the index may be believed."""
        return self._source.trusted_until if self._source is not None else -math.inf

    async def start(self) -> None:
        """Begin, unless it has begun. Raises ConfigurationError where no credentials are found."""
        if self._filling.begun:
            return
        async with self._starting:
            if not self._filling.begun:
                self._client = await Client.connect(self._kubeconfig)
                self._filling.begin()

    async def stop(self) -> None:
        """End the watches and every connection."""
        await self._filling.end()
        self._source = None
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _fill(self) -> None:
        assert self._client is not None
        self._source = source.Source(
            self._client,
            self.index,
            namespaces=self._namespaces,
            system_namespace=self._system_namespace,
            max_staleness=self._max_staleness,
        )
        await self._source.run()
