"""The verifier as gateways meet it: the real application on its real server.

Its index is filled from plain objects; what fills it from an API server has tests of its own.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Literal

from harness.waiting import PATIENCE
from keywright.decision.index import Index
from keywright.decision.limits import LocalStore
from keywright.verifier.app import Verifier
from keywright.verifier.dialects import Proxies
from keywright.verifier.metrics import Metrics
from keywright.verifier.ops import Ops
from keywright.verifier.server import Server
from keywright.verifier.usage import Usage

if TYPE_CHECKING:
    from gateways.population import Population


class AlwaysReady:
    """An index that is filled by hand is never stale."""

    trusted_until = float("inf")

    def problems(self) -> list[str]:
        """Nothing keeps it from being ready."""
        return []


class RunningVerifier:
    """Listens on `port` of 127.0.0.1 until `stop`."""

    def __init__(
        self, population: Population, *, path_header: Literal["x-original-uri", "x-original-url"]
    ) -> None:
        index = Index()
        index.replace("namespace", population.namespaces)
        index.replace("project", population.projects)
        index.replace("apikey", population.apikeys)
        index.replace("revocation", population.revocations)
        metrics = Metrics()
        verifier = Verifier(
            index=index,
            readiness=AlwaysReady(),
            store=LocalStore(),
            metrics=metrics,
            proxies=Proxies(nginx_path_header=path_header),
            usage=Usage(),
            allow_preflight=True,
        )
        self.port = 0
        ops = Ops(alive=list, ready=list, registry=metrics.registry)
        self._server = Server(traffic=verifier, ops=ops)
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._up.wait(PATIENCE), "the verifier does not start"

    def stop(self) -> None:
        """Close the port and every connection."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        self.port, _ = self._server.start("127.0.0.1", port=0, ops_port=0)
        self._up.set()
        await self._over.wait()
        await self._server.close()
