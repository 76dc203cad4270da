"""Whether this process acts: at most one replica does, the others stand by with warm caches.

It competes for the Lease only once all that exists is known, so that whoever holds it can act at once. Losing
it to another one ends the process: what a pass in progress believes may be out of date, and a new process
begins from what the API server says. While the API server is away nobody can take over: then the process
waits at the gate and goes on when the Lease turns out to be its own still.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING

import structlog

from keywright.controller.backoff import asked_for
from keywright.kube.errors import ApiError, TransportError
from keywright.kube.lease import DURATION, LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywright.kube.lease import Lease

log = structlog.get_logger("keywright.leadership")

RENEW_EVERY = 3.0
RETRY_EVERY = 1.0
LOOK_EVERY = 1.0  # a standby, at most: this is how late it notices a release
ANSWER_WITHIN = 4.0  # longer, and a renewal could not be tried twice before the deadline
RELEASE_WITHIN = 1.0
_FORBIDDEN = 403


class Leadership:
    """Competes for a Lease and keeps it; without one (None) it leads from the first."""

    def __init__(
        self, lease: Lease | None, *, begin: Callable[[], None], stand_by: Callable[[], None]
    ) -> None:
        self._lease = lease
        self._begin = begin
        self._stand_by = stand_by
        self._known_at = float("-inf")
        self._problem: str | None = None
        self._followed: str | None = None
        self.acting = asyncio.Event()
        """Set while this process is to act."""

    def leads(self) -> bool:
        """Return whether this process may act at this moment."""
        return self.acting.is_set() and (self._lease is None or self._lease.held())

    def problems(self) -> list[str]:
        """Return why it can neither lead nor follow; nothing where it does."""
        if self._lease is None or time.monotonic() - self._known_at <= DURATION:
            return []
        return [self._problem or "it is not known yet which replica acts"]

    async def run(self, warm: asyncio.Event) -> None:
        """Compete for ever, from when the caches are `warm`; raises LostError."""
        await warm.wait()
        if self._lease is None:
            self._act()
            await asyncio.get_running_loop().create_future()
            return
        while True:
            wait = await self._turn(self._lease)
            await asyncio.sleep(wait)

    async def release(self) -> None:
        """Let another replica act; called once nothing here does."""
        self.acting.clear()
        if self._lease is None:
            return
        with contextlib.suppress(ApiError, TransportError, LostError, TimeoutError):
            async with asyncio.timeout(RELEASE_WITHIN):
                await self._lease.release()

    async def _turn(self, lease: Lease) -> float:
        """Try once; return the seconds until the next time."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                leads = await lease.attempt()
        except LostError as error:
            self.acting.clear()
            log.error("lost the Lease: this process ends, to start anew as a standby", error=str(error))  # noqa: TRY400
            raise
        except (ApiError, TransportError, TimeoutError) as error:
            self._failed(lease, error)
            return max(RETRY_EVERY, min(asked_for(error), float(DURATION)))
        self._known_at, self._problem = time.monotonic(), None
        if leads:
            self._lead(lease)
            return RENEW_EVERY
        self._follow(lease)
        jittered = LOOK_EVERY * random.uniform(0.5, 1)  # noqa: S311  spreads load, hides nothing
        return max(0.05, min(jittered, lease.expires_in()))

    def _lead(self, lease: Lease) -> None:
        if not self.acting.is_set():
            log.info("leading", lease=lease.name, identity=lease.identity)
            self._act()

    def _act(self) -> None:
        self.acting.set()
        self._begin()

    def _follow(self, lease: Lease) -> None:
        self._stand_by()
        if lease.holder != self._followed:
            self._followed = lease.holder
            log.info("standing by", lease=lease.name, leader=lease.holder)

    def _failed(self, lease: Lease, error: ApiError | TransportError | TimeoutError) -> None:
        problem = _described(lease, error)
        if problem != self._problem:
            self._problem = problem
            log.warning(problem, lease=lease.name)
        if self.acting.is_set() and not lease.held():
            self.acting.clear()
            log.warning("acting no more until the Lease is renewed", lease=lease.name)


def _described(lease: Lease, error: ApiError | TransportError | TimeoutError) -> str:
    if isinstance(error, TimeoutError):
        return f"the Lease {lease.name}: no answer within {ANSWER_WITHIN:.0f} s"
    if isinstance(error, ApiError) and error.status == _FORBIDDEN and not error.causes:
        return (
            f"the Lease {lease.name} may not be used: grant create, get and update of leases in the system "
            "namespace, or give --lease-name the name that is granted; one replica alone needs none "
            "with --no-leader-elect"
        )
    return f"the Lease {lease.name}: {error}"
