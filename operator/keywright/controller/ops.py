"""/healthz, /readyz and /metrics: what a kubelet and Prometheus ask; a failure says what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

log = structlog.get_logger("keywright.ops")


class OpsServer:
    """Serves the three on one port; each check returns its problems, none meaning well."""

    def __init__(
        self,
        *,
        alive: Callable[[], list[str]],
        ready: Callable[[], list[str]],
        registry: CollectorRegistry,
    ) -> None:
        self._checks = {"/healthz": alive, "/readyz": ready}
        self._registry = registry
        app = web.Application()
        app.router.add_get("/healthz", self._check)
        app.router.add_get("/readyz", self._check)
        app.router.add_get("/metrics", self._metrics)
        # A scraper's idle connection must not hold up the end of the process.
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which is a free one for 0. Raises OSError where it cannot."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound: int = self._runner.addresses[0][1]
        log.info("serving /healthz, /readyz and /metrics", address=host, port=bound)
        return bound

    async def close(self) -> None:
        """Close the port and every connection."""
        await self._runner.cleanup()

    async def _check(self, request: web.Request) -> web.Response:
        problems = self._checks[request.path]()
        if not problems:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="".join(f"{problem}\n" for problem in problems))

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
