"""The verifier as a process: what it is made of, in which order it starts, and how it ends.

It listens before it knows anything, and says `not_ready`: a proxy that asks too early gets an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from keywright.decision.index import Index
from keywright.decision.limits import LocalStore
from keywright.errors import KeywrightError
from keywright.kube.client import Client
from keywright.verifier.app import Verifier
from keywright.verifier.dialects import Proxies
from keywright.verifier.metrics import Metrics
from keywright.verifier.ops import Ops
from keywright.verifier.server import Server
from keywright.verifier.shared_limits import SharedLimits
from keywright.verifier.source import Source
from keywright.verifier.usage import Usage
from keywright.verifier.usage_page import UsagePage

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger("keywright.verifier")

_FORGET_EVERY = 600.0  # seconds; a scrape has long seen the last use by then


class RefusedError(KeywrightError):
    """The verifier cannot start like this; the message says what to change."""

    code = "refused"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the verifier was started; `max_staleness` in seconds."""

    kubeconfig: str | None = None
    namespaces: tuple[str, ...] = ()
    system_namespace: str = "keywright-system"
    bind_address: str = "127.0.0.1"
    port: int = 8080
    ops_port: int = 8082
    proxies: Proxies = field(default_factory=Proxies)
    max_staleness: float = 300.0
    allow_preflight: bool = False
    limits_store: str = "local"
    usage_token_file: Path | None = None


async def serve(options: Options) -> None:
    """Run the verifier until SIGTERM or SIGINT.

    Raises RefusedError, ConfigurationError, and StoreUrlError.
    """
    usage = Usage()
    client = await Client.connect(options.kubeconfig)
    index = Index(system_namespace=options.system_namespace)
    source = Source(
        client,
        index,
        namespaces=options.namespaces,
        system_namespace=options.system_namespace,
        max_staleness=options.max_staleness,
    )
    metrics = Metrics(source, usage)
    shared = SharedLimits.at(options.limits_store, metrics) if options.limits_store != "local" else None
    traffic = Verifier(
        index=index,
        readiness=source,
        store=shared or LocalStore(),
        metrics=metrics,
        usage=usage,
        proxies=options.proxies,
        allow_preflight=options.allow_preflight,
    )
    filling: list[asyncio.Task[None]] = []

    def alive() -> list[str]:
        ended = ["nothing fills the index any more"] if any(task.done() for task in filling) else []
        return [*ended, *server.problems()]

    pages = {"/usage": UsagePage(usage, options.usage_token_file)} if options.usage_token_file else {}
    ops = Ops(alive=alive, ready=source.problems, registry=metrics.registry, pages=pages)
    server = Server(traffic=traffic, ops=ops)
    main = asyncio.current_task()
    assert main is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, main.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            _listen(server, options)
            if shared is not None:
                shared.start()
            async with asyncio.TaskGroup() as group:
                filling.append(group.create_task(source.run()))
                group.create_task(_forget(usage, index))
        finally:
            await server.close()
            if shared is not None:
                await shared.close()
            await client.close()


async def _forget(usage: Usage, index: Index) -> None:
    """Let go of what was counted of keys that are no more."""
    while True:
        await asyncio.sleep(_FORGET_EVERY)
        usage.forget(index)


def _listen(server: Server, options: Options) -> None:
    try:
        server.start(options.bind_address, port=options.port, ops_port=options.ops_port)
    except OSError as error:
        unknown = isinstance(error, socket.gaierror)
        why = "no such address" if unknown else os.strerror(error.errno or 0)
        raise RefusedError(
            f"--bind-address, --port, --ops-port: cannot listen on {options.bind_address}: {why}; "
            "choose others, or 0 for a free port"
        ) from None
