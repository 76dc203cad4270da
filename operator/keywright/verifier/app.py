"""/authz as an ASGI application: one request in, one verdict out.

No routing framework and no middleware stand on this way, and nothing on it waits, except for a store of rate
limits that verifiers share. Whatever goes wrong in here denies with 403, which each proxy passes on: a 5xx
would be taken for a verifier that is away, and some proxies can be told to let requests pass then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import structlog

from keywright.decision.code import Code
from keywright.decision.decide import decide
from keywright.decision.limits import Taken
from keywright.decision.outcome import PUBLIC, Allowed
from keywright.verifier.answers import UNFORESEEN, Answer, Answers, Refusals
from keywright.verifier.asgi import raw_target, respond
from keywright.verifier.dialects import Proxies, Reader, Reading, readers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from keywright.decision.index import Index
    from keywright.decision.limits import Store
    from keywright.decision.outcome import Denied
    from keywright.decision.request import Request
    from keywright.verifier.asgi import Receive, Scope, Send
    from keywright.verifier.metrics import Metrics
    from keywright.verifier.readiness import Readiness
    from keywright.verifier.usage import Usage

log = structlog.get_logger("keywright.verifier")

_SECONDS_BETWEEN_LINES = 1.0


class _Way(NamedTuple):
    reader: Reader
    answers: Answers


class Verifier:
    """Decides about what proxies ask.

    `clock` tells epoch seconds, `monotonic` the seconds that `Readiness` counts in.
    """

    def __init__(  # noqa: PLR0913  what it is made of, by name
        self,
        *,
        index: Index,
        readiness: Readiness,
        store: Store,
        metrics: Metrics,
        proxies: Proxies,
        usage: Usage,
        allow_preflight: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._readiness = readiness
        self._store = store
        self._metrics = metrics
        self._usage = usage
        self._allow_preflight = allow_preflight
        self._clock = clock
        self._monotonic = monotonic
        self._ways = {name: _Way(reader, Answers(name.decode())) for name, reader in readers(proxies).items()}
        self._refusals = Refusals()
        self._next_line = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as any ASGI application does."""
        answer = self.answer(scope)
        await respond(answer, scope, receive, send)

    def answer(self, scope: Scope) -> Answer | Awaitable[Answer]:
        """Answer a request, whose body nobody asks for; an awaitable where the rate limits are elsewhere."""
        begun = self._monotonic()
        try:
            return self._answer(scope, begun)
        except Exception as error:  # noqa: BLE001  whatever it is, the request is denied
            return self._unforeseen(error, begun)

    def malformed(self, status: int) -> Answer:
        """Answer what is no request at all."""
        self._metrics.malformed += 1
        return self._refusals.malformed(status)

    def _answer(self, scope: Scope, begun: float) -> Answer | Awaitable[Answer]:
        path, _, query = raw_target(scope).partition(b"?")
        parts = path.split(b"/", 5)
        way = self._ways.get(parts[2]) if len(parts) > 2 and parts[1] == b"authz" and not parts[0] else None
        if way is None:
            return self._refusals.not_found()
        reading = self._read(way.reader, scope, parts, query, begun)
        if not isinstance(reading, Reading):
            self._metrics.count("", reading, self._monotonic() - begun)
            return way.answers.refuse(reading)
        now = self._clock()
        request = reading.request
        decision = decide(self._index, request, now)
        if not isinstance(decision, Allowed):
            if decision.entry is not None and decision.generation is not None:
                self._usage.count(decision.entry, decision.generation, now, request.client, decision.code)
            return self._denied(way, decision, reading, begun)
        if not decision.buckets:
            return self._allowed(way, decision, request, now, begun)
        taken = self._store.take(decision.buckets, now)
        if isinstance(taken, Taken):
            return self._limited(way, decision, request, taken, begun)
        return self._when_taken(way, decision, request, taken, begun)

    def _read(
        self, reader: Reader, scope: Scope, parts: list[bytes], query: bytes, now: float
    ) -> Reading | Code:
        if now > self._readiness.trusted_until:
            return Code.NOT_READY
        if len(parts) < 5:
            return Code.PROJECT_NOT_FOUND
        # Whatever bytes these are: a name that is none is the name of no Project.
        project = (parts[3] + b"/" + parts[4]).decode("latin-1")
        rest = b"/" + parts[5] if len(parts) == 6 else b"/"
        peer = scope["client"]
        reading = reader.read(
            project, scope["method"], rest, query, scope["headers"], peer[0] if peer else ""
        )
        if isinstance(reading, Reading) and reading.overridden and self._has_routes(project):
            return Code.INVALID_REQUEST
        return reading

    def _has_routes(self, project: str) -> bool:
        terms = self._index.projects.get(project)
        return terms is not None and terms.has_routes

    def _denied(self, way: _Way, denied: Denied, reading: Reading, begun: float) -> Answer:
        project = reading.request.project
        if self._allow_preflight and reading.preflight and denied.code is Code.UNAUTHORIZED:
            self._metrics.count(project, "allowed", self._monotonic() - begun)
            return way.answers.allow(PUBLIC, None)
        known = "" if denied.code is Code.PROJECT_NOT_FOUND else project
        self._metrics.count(known, denied.code, self._monotonic() - begun)
        return way.answers.deny(denied, project)

    def _allowed(
        self,
        way: _Way,
        allowed: Allowed,
        request: Request,
        now: float,
        begun: float,
        taken: Taken | None = None,
    ) -> Answer:
        if allowed.entry is not None and allowed.generation is not None:
            self._usage.count(allowed.entry, allowed.generation, now, request.client)
        self._metrics.count(request.project, "allowed", self._monotonic() - begun)
        return way.answers.allow(allowed, taken)

    def _limited(self, way: _Way, allowed: Allowed, request: Request, taken: Taken, begun: float) -> Answer:
        if taken.allowed:
            return self._allowed(way, allowed, request, taken.now, begun, taken)
        code = Code.RATE_LIMITED
        if allowed.entry is not None and allowed.generation is not None:
            self._usage.count(allowed.entry, allowed.generation, taken.now, request.client, code)
        self._metrics.count(request.project, code, self._monotonic() - begun)
        return way.answers.limit(allowed, taken)

    async def _when_taken(
        self,
        way: _Way,
        allowed: Allowed,
        request: Request,
        taken: Awaitable[Taken],
        begun: float,
    ) -> Answer:
        try:
            return self._limited(way, allowed, request, await taken, begun)
        except Exception as error:  # noqa: BLE001  as above
            return self._unforeseen(error, begun)

    def _unforeseen(self, error: Exception, begun: float) -> Answer:
        self._metrics.count("", UNFORESEEN, self._monotonic() - begun)
        moment = self._monotonic()
        if moment >= self._next_line:
            # Who finds a way to provoke it must not fill the disk with it.
            self._next_line = moment + _SECONDS_BETWEEN_LINES
            log.error("a request was denied because of an unforeseen error", exc_info=error)
        return self._refusals.unforeseen()
