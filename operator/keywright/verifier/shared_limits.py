"""Rate limits that replicas share, in a store that may be slow or gone at any moment.

While it is, each replica counts for itself: that costs accuracy and nothing else. What the store allows is
counted here as well, so that losing it refills nothing that this replica has let through.

Requests that arrive while the store is being asked go together in the next call: one call at a time, on one
connection. A call has a budget of a few milliseconds, so no request waits longer than two budgets. After
several failures in a row nothing is asked any more: the store is away, until a probe of our own, which has
more time (a connection may need a TLS handshake), has seen a bucket written again. No request is sacrificed
to find out.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from keywright.decision.limits import Bucket, LocalStore, Rule
from keywright.errors import KeywrightError
from keywright.verifier.limit_script import LUA, arguments, parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from urllib.parse import SplitResult

    from keywright.decision.limits import Taken

log = structlog.get_logger("keywright.limits")

BUDGET = 0.005
"""Seconds for one call."""
FAILURES = 3
"""How many calls in a row may fail before the store counts as away: one slow answer is no outage."""
PROBE_EVERY = 1.0
_PROBE_BUDGET = 1.0
_MOST = 64  # requests in one call: the store does nothing else meanwhile
_PROBE = (Bucket("probe", Rule(requests=1, period=1, burst=1)),)


class _Request(NamedTuple):
    buckets: Sequence[Bucket]
    answer: asyncio.Future[Taken | None]


class StoreUrlError(KeywrightError):
    """No address of a store."""

    code = "limits_store"


class Tally(Protocol):
    """Counts what becomes of the store."""

    def store_failed(self, code: str) -> None:
        """Count one call that was not answered, or with an error."""

    def store_up(self, *, up: bool) -> None:
        """Note whether limits are shared."""


class SharedLimits:
    """Counts requests in the store, and here where that cannot be had."""

    def __init__(self, redis: Redis, tally: Tally, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._tally = tally
        self._clock = clock
        self._local = LocalStore()
        self._sha = ""
        self._up = False
        self._told: bool | None = None
        self._failures = 0
        self._waiting: list[_Request] = []
        self._sender: asyncio.Task[None] | None = None
        self._prober: asyncio.Task[None] | None = None
        tally.store_up(up=False)

    @classmethod
    def at(cls, url: str, tally: Tally, *, clock: Callable[[], float] = time.time) -> SharedLimits:
        """Return limits that are shared at `redis://`, `rediss://` or `unix://`, once `start` has found it.

        Raises StoreUrlError, which does not quote the URL: it may hold a password.
        """
        try:
            _require_number(urlsplit(url))
            # One call at a time, and a probe beside it.
            redis: Redis = Redis.from_url(url, max_connections=2, retry=Retry(NoBackoff(), 0))
        except (ValueError, TypeError):
            raise StoreUrlError(
                "--limits-store: write local, redis://:password@host:6379/0, rediss://… or unix:///path?db=0"
            ) from None
        return cls(redis, tally, clock)

    @property
    def up(self) -> bool:
        """Whether limits are shared."""
        return self._up

    def start(self) -> None:
        """Begin to look for the store; until it is found, it is away."""
        if self._prober is None:
            self._prober = asyncio.create_task(self._probe(), name="limits store probe")

    async def close(self) -> None:
        """End every task and connection."""
        self._up = False
        tasks = [task for task in (self._prober, self._sender) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._give_up(self._waiting)
        self._waiting = []
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    def take(self, buckets: Sequence[Bucket], now: float) -> Taken | Awaitable[Taken]:
        """Count one request in every bucket, or in none if one of them has no room."""
        if not self._up:
            return self._local.take(buckets, now)
        return self._shared(buckets, now)

    async def _shared(self, buckets: Sequence[Bucket], now: float) -> Taken:
        request = _Request(buckets, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send(), name="limits store")
        taken = await request.answer
        if taken is None or taken.allowed:
            counted_here = self._local.take(buckets, now)
        return taken or counted_here

    async def _send(self) -> None:
        """Ask for all that waits, until nothing does."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                try:
                    await self._ask(batch)
                finally:
                    self._give_up(batch)
        finally:
            self._sender = None

    async def _ask(self, batch: Sequence[_Request]) -> None:
        if not self._up:
            return
        try:
            async with asyncio.timeout(BUDGET):
                answers = await self._call([request.buckets for request in batch])
        except Exception as error:  # noqa: BLE001  whatever the store or its client comes up with, requests go on
            self._failures += 1
            self._tally.store_failed(_code(error))
            if self._failures >= FAILURES:
                self._away(error)
                self._prober = asyncio.create_task(self._probe(), name="limits store probe")
            return
        self._failures = 0
        for request, answer in zip(batch, answers, strict=True):
            if not request.answer.done():  # who asked may have gone
                request.answer.set_result(answer)

    async def _call(self, requests: Sequence[Sequence[Bucket]]) -> list[Taken]:
        count, words = arguments(requests)
        try:
            answer = await self._run(count, words)
        except NoScriptError:  # another server, or the same one started anew
            self._sha = await self._redis.script_load(LUA)
            answer = await self._run(count, words)
        return list(parse(answer, requests, self._clock()))

    async def _run(self, count: int, words: Sequence[bytes]) -> bytes:
        # The client's types are those of its two kinds at once, and of an answer that is decoded.
        return await cast("Awaitable[bytes]", self._redis.evalsha(self._sha, count, *words))

    async def _probe(self) -> None:
        """Look for the store until it answers."""
        while True:
            try:
                async with asyncio.timeout(_PROBE_BUDGET):
                    await self._call([_PROBE])
            except Exception as error:  # noqa: BLE001  as above: what is looked for may be anything by now
                self._tally.store_failed(_code(error))
                self._away(error)
            else:
                self._failures, self._up = 0, True
                self._tally.store_up(up=True)
                self._told = True
                log.info("limits are shared between replicas")
                return
            await asyncio.sleep(PROBE_EVERY)

    def _away(self, error: Exception) -> None:
        """Ask for nothing more; say so once."""
        self._up = False
        self._tally.store_up(up=False)
        if self._told is not False:
            log.warning(
                "the store of shared limits is away: each replica counts for itself", error=_code(error)
            )
        self._told = False

    @staticmethod
    def _give_up(requests: Sequence[_Request]) -> None:
        """Tell those who have no answer that there is none."""
        for request in requests:
            if not request.answer.done():
                request.answer.set_result(None)


def _require_number(parts: SplitResult) -> None:
    """Refuse a database that is no number: the client would take number 0 without a word."""
    if parts.scheme != "unix" and parts.path not in {"", "/"}:
        int(parts.path.removeprefix("/"))


def _code(error: Exception) -> str:
    """Name an error by its type: a message may quote what was sent."""
    return "timeout" if isinstance(error, TimeoutError) else type(error).__name__
