"""A running server, and bytes sent to it as nothing but bytes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import CollectorRegistry

from keywright.verifier.answers import Answer, Refusals
from keywright.verifier.asgi import raw_target, respond
from keywright.verifier.metrics import Metrics
from keywright.verifier.ops import Ops
from keywright.verifier.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from keywright.verifier.asgi import Receive, Scope, Send


class Reply(NamedTuple):
    """One response, read from the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Echo:
    """Answers with the raw target; paths under /later are answered a moment later, in a task."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or Metrics()
        self.release = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(self.answer(scope), scope, receive, send)

    def malformed(self, status: int) -> Answer:
        self._metrics.malformed += 1
        return Refusals().malformed(status)

    def answer(self, scope: Scope) -> Answer | Awaitable[Answer]:
        body = raw_target(scope)
        answer = Answer(200, b"content-length: %d\r\n" % len(body), body)
        return self._later(answer) if body.startswith(b"/later") else answer

    async def _later(self, answer: Answer) -> Answer:
        await self.release.wait()
        return answer


def quiet_ops() -> Ops:
    return Ops(alive=list, ready=list, registry=CollectorRegistry())


class Running(NamedTuple):
    server: Server
    port: int
    ops_port: int


@contextlib.asynccontextmanager
async def running(traffic: Any, ops: Ops | None = None) -> AsyncIterator[Running]:
    server = Server(traffic=traffic, ops=ops or quiet_ops())
    ports = server.start("127.0.0.1", port=0, ops_port=0)
    try:
        yield Running(server, *ports)
    finally:
        await server.close()


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def reply(self, *, to_head: bool = False) -> Reply:
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            assert head.startswith("HTTP/1.1 ")
            first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            length = 0 if to_head else int(headers.get("content-length", 0))
            return Reply(int(first.split()[1]), headers, await self._reader.readexactly(length))

    async def rest(self) -> bytes:
        """Read until the other end closes."""
        async with asyncio.timeout(10):
            return await self._reader.read()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def get(target: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: verifier", *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


async def ask(port: int, data: bytes, *, to_head: bool = False) -> Reply:
    async with connected(port) as wire:
        await wire.send(data)
        return await wire.reply(to_head=to_head)
