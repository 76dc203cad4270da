"""What is to be looked at, and when: one queue of names for all three kinds.

A name is worked on by one worker at a time; added meanwhile, it is looked at once more. Objects
are not queued, names are: whoever works on one reads the newest state.

What is urgent (revocation, deletion) goes before all else, what was in order when last seen after it.

A name that failed waits out its backoff whatever happens to the object, except that `urgent`
(revocation, deletion) goes at once and `forget` (a new spec) ends it; but neither before the time for which
the API server asked to be left alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from keywright.controller import backoff
from keywright.controller.agenda import Agenda
from keywright.errors import KeywrightError
from keywright.kube.errors import ApiError
from keywright.logs import origin_of

if TYPE_CHECKING:
    from keywright.controller.metrics import Metrics

log = structlog.get_logger("keywright.queue")

Worker = Callable[[str], Awaitable[float | None]]
STUCK = 300.0  # no pass should take this long: each request in it ends after 30 s


@dataclass(slots=True)
class _Entry:
    """A name that is ready, being worked on, or failing; of the others only the agenda knows."""

    ready: float | None = None
    started: float | None = None
    urgent: bool = False
    last: bool = False
    again: bool = False
    failures: int = 0
    asked: float = 0.0  # until when the API server wants to be left alone


class Queue:
    """Names that are due, and those that will be."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._entries: dict[str, _Entry] = {}
        self._urgent: deque[str] = deque()
        self._others: deque[str] = deque()
        self._last: deque[str] = deque()
        self._agenda = Agenda(self._due)
        self._idle: deque[asyncio.Future[None]] = deque()
        self._stopping = False
        self.started = asyncio.Event()
        """Set once every worker is a task of its own."""

    def add(self, key: str, *, urgent: bool = False, last: bool = False) -> None:
        """Have a name looked at as soon as a worker is free; adding it twice is adding it once."""
        entry = self._entries.get(key)
        if entry is None or not self._backing_off(key, entry):
            self._make_ready(key, urgent=urgent, last=last)
        elif urgent:
            self._hasten(key, entry, urgent=True)

    def forget(self, key: str) -> None:
        """Forget that a name failed; if it waits for that, it is due now."""
        entry = self._entries.get(key)
        if entry is None:
            return
        waiting = self._backing_off(key, entry)
        entry.failures = 0
        if waiting:
            self._hasten(key, entry, urgent=False)

    def depth(self) -> int:
        """Return how many names are due and wait for a worker."""
        return sum(entry.ready is not None for entry in self._entries.values())

    def oldest(self) -> float:
        """Return for how many seconds the longest-waiting of them has been due."""
        waiting = [entry.ready for entry in self._entries.values() if entry.ready is not None]
        return _now() - min(waiting) if waiting else 0.0

    def stuck(self) -> list[str]:
        """Return the names that a worker has been busy with for implausibly long."""
        limit = _now() - STUCK
        return [key for key, entry in self._entries.items() if entry.started and entry.started < limit]

    async def run(self, worker: Worker, workers: int = 8, *, gate: asyncio.Event | None = None) -> None:
        """Work until stopped, while `gate` is set; `worker` returns the seconds until a name is due."""
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(worker, gate), name=f"keywright worker {number}")
            self.started.set()

    def stop(self) -> None:
        """Hand out no more names; `run` returns once the passes in progress are over."""
        self._stopping = True
        self._agenda.stop()
        while self._idle:
            self._wake_one()

    async def _work(self, worker: Worker, gate: asyncio.Event | None) -> None:
        while (key := await self._next(gate)) is not None:
            await self._look_at(key, worker)
            # A pass that finds all in order awaits nothing; thousands of them must not hold up the Lease.
            await asyncio.sleep(0)

    async def _next(self, gate: asyncio.Event | None) -> str | None:
        while not self._stopping:
            if gate is not None and not gate.is_set():
                await gate.wait()
                continue  # it may have been stopped meanwhile
            while lane := self._urgent or self._others or self._last:
                key = lane.popleft()
                entry = self._entries.get(key)
                # A name that moved ahead while it waited stands in two lanes.
                if entry is not None and entry.ready is not None:
                    return key
            free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(free)
            await free
        return None

    async def _look_at(self, key: str, worker: Worker) -> None:
        entry = self._entries[key]
        self._agenda.drop(key)
        entry.ready, entry.urgent, entry.last = None, False, False
        entry.started = began = _now()
        kind = key.partition(":")[0]
        wait: float | None = None
        try:
            wait = await worker(key)
            entry.failures = 0
        except Exception as error:  # noqa: BLE001  one poisoned object must not stop the others
            entry.failures += 1
            entry.asked = _now() + backoff.asked_for(error)
            wait = backoff.delay(error, entry.failures)
            self._report(key, kind, error, entry.failures, wait)
        finally:
            self._metrics.reconcile_duration.labels(kind=kind).observe(_now() - began)
            entry.started = None
        if wait is not None:
            self._agenda.put(key, _now() + wait)
        again, entry.again = entry.again, False
        if again and not entry.failures:
            self._make_ready(key, urgent=entry.urgent)
        elif again and entry.urgent:
            self._hasten(key, entry, urgent=True)
        elif not entry.failures:
            del self._entries[key]

    def _due(self, key: str) -> None:
        entry = self._entries.get(key)
        self._make_ready(key, urgent=entry is not None and entry.urgent)

    def _hasten(self, key: str, entry: _Entry, *, urgent: bool) -> None:
        """End a backoff, as soon as the API server may be asked again."""
        if entry.asked <= _now():
            self._make_ready(key, urgent=urgent)
        else:
            entry.urgent = entry.urgent or urgent
            self._agenda.put(key, entry.asked)

    def _make_ready(self, key: str, *, urgent: bool, last: bool = False) -> None:
        entry = self._entries.setdefault(key, _Entry())
        if entry.started is not None:
            entry.again, entry.urgent = True, entry.urgent or urgent
            return
        ahead = (urgent and not entry.urgent) or (entry.last and not last)
        if entry.ready is not None and not ahead:
            return
        entry.ready = _now() if entry.ready is None else entry.ready
        entry.urgent, entry.last = urgent, last
        (self._urgent if urgent else self._last if last else self._others).append(key)
        self._wake_one()

    def _backing_off(self, key: str, entry: _Entry) -> bool:
        idle = entry.started is None and entry.ready is None
        failed = entry.failures > 0 or entry.asked > _now()
        return idle and failed and key in self._agenda

    def _wake_one(self) -> None:
        while self._idle:
            free = self._idle.popleft()
            if not free.done():
                free.set_result(None)
                return

    def _report(self, key: str, kind: str, error: Exception, failures: int, wait: float) -> None:
        details = {"key": key, "failures": failures, "retry_in": round(wait, 2)}
        if isinstance(error, KeywrightError):
            code = str(error.status) if isinstance(error, ApiError) else error.code
            log.warning("reconcile failed", error=str(error), **details)
        else:
            # The message of an unforeseen error may quote the data that it stumbled over.
            code = "internal"
            log.error("reconcile failed", error=type(error).__name__, origin=origin_of(error), **details)
        self._metrics.reconcile_errors.labels(kind=kind, code=code).inc()


def _now() -> float:
    return asyncio.get_running_loop().time()
