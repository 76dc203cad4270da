"""Two listeners in the caller's event loop, traffic and operations: uvicorn on httptools.

uvicorn takes SIGTERM and SIGINT for itself; here they stay the caller's, who also fills the index in this
loop and knows what is to end first. A verifier that goes accepts nothing more, answers what has arrived, and
closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn

from keywright.verifier.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keywright.verifier.app import Verifier
    from keywright.verifier.ops import Ops

log = structlog.get_logger("keywright.verifier")

# Longer than any proxy keeps an idle connection (Envoy an hour): of two ends that close at once, the one that
# has just sent a request sees it fail, and a proxy whose authorizer fails denies it.
_IDLE = 3700
_IDLE_OPS = 75
_MOST_SECONDS_A_MESSAGE = 15.0


class Server:
    """Serves both applications until it is closed."""

    def __init__(self, *, traffic: Verifier, ops: Ops) -> None:
        self._listeners = {
            "traffic": _Listener(
                traffic, _IDLE, partial(Connection, at_once=traffic.answer, malformed=traffic.malformed)
            ),
            "ops": _Listener(ops, _IDLE_OPS, partial(Connection, malformed=traffic.malformed)),
        }
        self._serving: list[asyncio.Task[None]] = []

    def start(self, host: str, *, port: int, ops_port: int) -> tuple[int, int]:
        """Listen; return both ports, which are free ones for 0. Raises OSError where it cannot."""
        with contextlib.ExitStack() as undo:
            bound = []
            for wanted in (port, ops_port):
                bound.append(_bind(host, wanted))
                undo.callback(bound[-1].close)
            undo.pop_all()
        for (name, listener), listening in zip(self._listeners.items(), bound, strict=True):
            log.info("listening", what=name, address=host, port=listening.getsockname()[1])
            self._serving.append(asyncio.create_task(listener.serve(sockets=[listening])))
        return bound[0].getsockname()[1], bound[1].getsockname()[1]

    def problems(self) -> list[str]:
        """Say which listener has ended without being asked to."""
        return [
            f"the listener for {name} has ended"
            for name, serving in zip(self._listeners, self._serving, strict=True)
            if serving.done()
        ]

    async def close(self) -> None:
        """Stop listening, answer what has arrived, and close every connection; operations go last."""
        for listener, serving in zip(self._listeners.values(), self._serving, strict=True):
            listener.should_exit = True
            await serving


class _Listener(uvicorn.Server):
    def __init__(self, app: Any, idle: int, connection: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=idle,
                timeout_graceful_shutdown=10,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Close, once a second, what has been sending one message for too long."""
        if counter % 10 == 0:
            latest = asyncio.get_running_loop().time() - _MOST_SECONDS_A_MESSAGE
            for connection in list(self.server_state.connections):
                since = connection.unfinished_since  # type: ignore[union-attr]
                if since is not None and since < latest:
                    connection.transport.close()
        return await super().on_tick(counter)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=host == "::")
