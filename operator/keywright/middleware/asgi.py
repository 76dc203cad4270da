"""The middleware: one decision for each request and each WebSocket, before the application sees it.

Whatever goes wrong in here denies with 403, as in the verifier. Rate limits are counted in this process.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from keywright.decision.code import Code
from keywright.decision.decide import decide
from keywright.decision.limits import LocalStore
from keywright.decision.outcome import PUBLIC, Allowed, Denied
from keywright.errors import KeywrightError
from keywright.middleware.identity import Identity, identity_of
from keywright.middleware.reading import Scopes
from keywright.middleware.scopes import HANDLE
from keywright.verifier.answers import Answer, Answers, Refusals
from keywright.verifier.dialects import IDENTITY, Reading, spellings

if TYPE_CHECKING:
    from keywright.decision.limits import Taken
    from keywright.middleware.source import Source

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

log = logging.getLogger("keywright.middleware")

STATE = "keywright"
"""Where the application finds the Identity: `request.state.keywright`, `scope["state"]["keywright"]`."""

_PROJECT = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9]{0,53}[a-z0-9])?")
_SPOOFED = frozenset(spellings(IDENTITY))
_POLICY_VIOLATION = 1008
_SECONDS_BETWEEN_LINES = 1.0
_SECONDS_BETWEEN_TRIES = 5.0


class KeywrightMiddleware:
    """Lets in who holds a good key of one Project, and tells the application who that is."""

    def __init__(  # noqa: PLR0913  each is a fact of how the application is run
        self,
        app: App,
        *,
        project: str,
        source: Source,
        trusted_proxies: Iterable[str] = (),
        client_ip_header: str = "X-Forwarded-For",
        client_ip_hops: int = 1,
        allow_cors_preflight: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`project` is `namespace/name`.

        `trusted_proxies`: networks of the proxies whose header says from where a request comes, in the
        `client_ip_hops`th entry from the right; of who is not in them, the address itself counts.
        `clock` tells epoch seconds, `monotonic` the seconds that the source counts in.
        """
        if not _PROJECT.fullmatch(project):
            raise ValueError("project: write the Project as namespace/name")
        if client_ip_hops < 1:
            raise ValueError("client_ip_hops: write 1 for the last entry, 2 for the one before it")
        self._app = app
        self._project = project
        self._source = source
        self._scopes = Scopes(
            project, trusted_proxies=trusted_proxies, header=client_ip_header, hops=client_ip_hops
        )
        self._allow_preflight = allow_cors_preflight
        self._clock = clock
        self._monotonic = monotonic
        self._store = LocalStore()
        self._answers = Answers("asgi")
        self._refusals = Refusals()
        self._next_line = -math.inf
        self._next_try = -math.inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as any ASGI application does."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] not in {"http", "websocket"}:
            raise NotImplementedError("a protocol that nobody decides about is not let in")
        passage = await self._judge(scope)
        if isinstance(passage, Answer):
            await _refuse(passage, scope, receive, send)
            return
        inner = {**scope, HANDLE: passage, "headers": _told(scope["headers"], passage.allowed)}
        # The state is shared with whoever stands outside, such as a log of requests.
        inner["state"] = scope.setdefault("state", {})
        inner["state"][STATE] = passage.identity
        await self._app(inner, receive, passage.sending(send))

    async def _begin(self) -> None:
        """Begin with the first request, where nobody speaks the lifespan protocol."""
        if self._monotonic() < self._next_try:
            return
        try:
            await self._source.start()
        except KeywrightError as error:
            self._next_try = self._monotonic() + _SECONDS_BETWEEN_TRIES
            log.warning("nothing is let in, for nothing tells of the keys: %s", error)

    async def _judge(self, scope: Scope) -> Passage | Answer:
        try:
            await self._begin()
            return self._decide(scope)
        except Exception as error:  # noqa: BLE001  whatever it is, the request is denied
            return self._unforeseen(error)

    def _decide(self, scope: Scope) -> Passage | Answer:
        reading = self._read(scope)
        if not isinstance(reading, Reading):
            return self._answers.refuse(reading)
        now = self._clock()
        decision = decide(self._source.index, reading.request, now)
        if not isinstance(decision, Allowed):
            if self._allow_preflight and reading.preflight and decision.code is Code.UNAUTHORIZED:
                return Passage(PUBLIC, None, self._answers, self._project)
            return self._answers.deny(decision, self._project)
        taken = self._store.take(decision.buckets, now) if decision.buckets else None
        if taken is not None and not taken.allowed:
            return self._answers.limit(decision, taken)
        return Passage(decision, taken, self._answers, self._project)

    def _read(self, scope: Scope) -> Reading | Code:
        if self._monotonic() > self._source.trusted_until:
            return Code.NOT_READY
        reading = self._scopes.read(scope)
        if isinstance(reading, Reading) and reading.overridden and self._has_routes():
            return Code.INVALID_REQUEST
        return reading

    def _has_routes(self) -> bool:
        terms = self._source.index.projects.get(self._project)
        return terms is not None and terms.has_routes

    def _unforeseen(self, error: Exception) -> Answer:
        moment = self._monotonic()
        if moment >= self._next_line:
            # Who finds a way to provoke it must not fill the disk with it.
            self._next_line = moment + _SECONDS_BETWEEN_LINES
            log.error("a request was denied because of an unforeseen error", exc_info=error)
        return self._refusals.unforeseen()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin before the application, end after it."""
        first = await receive()
        try:
            await self._source.start()
        except KeywrightError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        told = [first]

        async def receive_all() -> Message:
            return told.pop() if told else await receive()

        try:
            await self._app(scope, receive_all, send)
        finally:
            await self._source.stop()


class Passage:
    """A request that was let in, and what its response is to say besides."""

    def __init__(self, allowed: Allowed, taken: Taken | None, answers: Answers, project: str) -> None:
        self.allowed = allowed
        self.identity: Identity | None = None
        if allowed.entry is not None:
            self.identity = identity_of(allowed.headers)
        self._answers = answers
        self._project = project
        self._limits = answers.limits(allowed, taken) if taken is not None else []
        self._instead: Answer | None = None

    def deny(self, denied: Denied) -> None:
        """Answer with this instead of whatever the application answers."""
        self._instead = self._answers.deny(denied, self._project)

    def sending(self, send: Send) -> Send:
        """Return what the application sends by."""

        async def sending(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.start":
                answer = self._instead
                if answer is not None:
                    headers = [*answer.headers, *self._limits]
                    await send({"type": kind, "status": answer.status, "headers": headers})
                    return
                message = {**message, "headers": [*message.get("headers", ()), *self._limits]}
            elif kind == "http.response.body" and self._instead is not None:
                if message.get("more_body", False):
                    return
                message = {"type": kind, "body": self._instead.body, "more_body": False}
            elif kind == "websocket.accept":
                message = {**message, "headers": [*message.get("headers", ()), *self._limits]}
            await send(message)

        return sending


def _told(headers: Iterable[tuple[bytes, bytes]], allowed: Allowed) -> list[tuple[bytes, bytes]]:
    """Return the headers with the identity in the place of what the client sent under its names."""
    return [*(header for header in headers if header[0] not in _SPOOFED), *allowed.headers]


async def _refuse(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await _respond("http.response", answer, send)
        return
    await receive()  # websocket.connect
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _respond("websocket.http.response", answer, send)
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})


async def _respond(kind: str, answer: Answer, send: Send) -> None:
    await send({"type": f"{kind}.start", "status": answer.status, "headers": answer.headers})
    await send({"type": f"{kind}.body", "body": answer.body, "more_body": False})
