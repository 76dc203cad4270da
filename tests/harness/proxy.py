"""A way to the real API server that can be cut, and that can answer in its place.

It forwards the token that it is given, so that rights, admission and preconditions are the real ones.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from aiohttp import web

from harness.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Api

_ONE_HOP = frozenset({"connection", "host", "keep-alive", "transfer-encoding", "upgrade"})


class Answer(NamedTuple):
    """What is answered instead of the API server."""

    status: int
    body: str = ""
    headers: dict[str, str] = {}  # noqa: RUF012  never changed


class Proxy:
    """Listens on `url` until `stop`."""

    def __init__(self, api: Api) -> None:
        self._server = api.server
        self._ca = str(api.session.verify)
        self.instead: Callable[[str, str], Answer | None] = lambda _method, _path: None
        """Told (method, path) of each request; returns what to answer without asking the API server."""
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._up.wait(PATIENCE):
            raise AssertionError("the proxy does not start")

    def cut(self) -> None:
        """Answer nothing any more, neither what is asked nor what is being watched."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def heal(self) -> None:
        """Forward what is asked from now on; whatever hung until now is reset."""
        self._loop.call_soon_threadsafe(self._open.set)

    def stop(self) -> None:
        """Close the port and every connection."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # which ends what still hangs
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._open, self._over = asyncio.Event(), asyncio.Event()
        self._open.set()
        app = web.Application(client_max_size=2**22)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        trust = ssl.create_default_context(cafile=self._ca)
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._up.set()
            await self._over.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await self._hang_while_cut(request)
        if (answer := self.instead(request.method, request.path)) is not None:
            return web.Response(status=answer.status, text=answer.body, headers=answer.headers)
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _ONE_HOP}
        async with self._session.request(
            request.method,
            self._server + request.raw_path,
            headers=headers,
            data=await request.read() or None,  # an empty one would be given a media type
            timeout=aiohttp.ClientTimeout(total=None),
        ) as received:
            passed = {name: text for name, text in received.headers.items() if name.lower() not in _ONE_HOP}
            response = web.StreamResponse(status=received.status, headers=passed)
            await response.prepare(request)
            async for chunk in received.content.iter_any():
                await self._hang_while_cut(request)
                await response.write(chunk)
            await self._hang_while_cut(request)
            await response.write_eof()
            return response

    async def _hang_while_cut(self, request: web.Request) -> None:
        if self._open.is_set():
            return
        await self._open.wait()
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError  # an end of the request that aiohttp does not answer or report
