"""Where the middleware's index comes from: the port to whoever fills it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from keywright.decision.index import Index

log = logging.getLogger("keywright.middleware")

_PAUSE = 5.0


class Source(Protocol):
    """Fills an index, from `start` to `stop`. One source may serve several middlewares of one event loop."""

    @property
    def index(self) -> Index:
        """What it fills; always the same one, for what was seen revoked is remembered in it."""

    @property
    def trusted_until(self) -> float:
        """The last moment of `time.monotonic` at which the index may be believed."""

    async def start(self) -> None:
        """Begin, unless it has begun. Raises KeywrightError where it can never succeed like this."""

    async def stop(self) -> None:
        """End."""


class Filling:
    """A task that fills an index, and is begun anew when it fails; until then the index grows stale."""

    def __init__(self, run: Callable[[], Awaitable[None]]) -> None:
        self._run = run
        self._task: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether it runs in this event loop: one that is gone has taken its tasks with it."""
        return self._task is not None and self._task.get_loop() is asyncio.get_running_loop()

    def begin(self) -> None:
        """Run until `end`."""
        self._task = asyncio.get_running_loop().create_task(self._forever())

    async def end(self) -> None:
        """Stop, and wait until it has."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _forever(self) -> None:
        while True:
            try:
                await self._run()
            except Exception:
                log.exception("what fills the index failed; it begins anew in %.0f s", _PAUSE)
            await asyncio.sleep(_PAUSE)
