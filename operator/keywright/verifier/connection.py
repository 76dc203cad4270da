"""One connection of the verifier: uvicorn's, with the bounds that it lacks and a shorter way to an answer.

uvicorn's httptools protocol reads a head of any size and waits for the end of a message for ever; both
are bounded here. It makes a task for each request, for an application may wait; a decision does not, so its
answer is written without one. That is done at the end of the loop's turn, after everything has been read
that has arrived: decisions made between system calls were measured to take an eighth more (13 %, six
interleaved pairs). Who does not read the answers takes the ordinary way, which waits for the reader.

The raw target is handed on as it was received, in `scope["raw_target"]`: `raw_path` has been through a
URL parser, which drops a fragment, or the host of an absolute form, without a word.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from keywright.verifier.answers import Answer
from keywright.verifier.asgi import respond

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from keywright.verifier.asgi import Scope

    AtOnce = Callable[[Scope], Answer | Awaitable[Answer]]

MOST_HEAD = 65_536
"""Bytes of a request line with its headers; Envoy's own bound is 60 KiB."""


class Connection(HttpToolsProtocol):
    """Writes an answer at once where there is one, and leaves the rest to the application."""

    def __init__(
        self,
        *,
        at_once: AtOnce | None = None,
        malformed: Callable[[int], Answer],
        **of_uvicorn: Any,
    ) -> None:
        super().__init__(**of_uvicorn)
        self._at_once = at_once
        self._malformed = malformed
        self._in_head = True
        self._head_size = 0
        self._arrived = 0.0
        self.unfinished_since: float | None = None
        """When the message began that has not been received in full; None between messages."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.unfinished_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._arrived = self.loop.time()
        if self.unfinished_since is None:
            self.unfinished_since = self._arrived
        self._head_size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request has been answered as any other; what follows is in a protocol that nobody agreed to.
            self.shutdown()
        except httptools.HttpParserError:
            self._refuse(400)
        else:
            if self._in_head and self._head_size > MOST_HEAD:
                self._refuse(431)

    def on_message_begin(self) -> None:
        self.unfinished_since = self._arrived
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        # A chunk may hold a head with its body, or several heads: only then is each measured.
        if self._head_size > MOST_HEAD and _size(self.headers) + len(self.url) > MOST_HEAD:
            self._refuse(431)
            return
        self.scope["raw_target"] = self.url  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_size = 0
        self.unfinished_since = None
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._at_once is None or self.flow.write_paused:
            super()._start_asgi_task(cycle, app)
        else:
            self.loop.call_soon(self._settle, cycle, self._at_once)

    def _settle(self, cycle: RequestResponseCycle, at_once: AtOnce) -> None:
        if cycle.disconnected:
            return
        scope: Scope = cycle.scope  # type: ignore[assignment]
        answer = at_once(scope)
        if not isinstance(answer, Answer):
            super()._start_asgi_task(cycle, partial(respond, answer))
            return
        keep = cycle.keep_alive
        self.transport.write(_encoded(answer, keep_alive=keep, body=scope["method"] != "HEAD"))
        cycle.response_started = cycle.response_complete = True
        if not keep:
            self.transport.close()
        self.on_response_complete()

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        # An answer that is still being worked out comes first; this one would be taken for it.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_encoded(self._malformed(status), keep_alive=False, body=True))
        self.transport.close()


def _encoded(answer: Answer, *, keep_alive: bool, body: bool) -> bytes:
    return b"%b%b%b%b" % (
        STATUS_LINE[answer.status],
        answer.head,
        b"\r\n" if keep_alive else b"connection: close\r\n\r\n",
        answer.body if body else b"",
    )


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)
