"""When did each ApiKey come to be as awaited, as somebody sees it who watches and has no part in it?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from benchmarks.progress import Progress
    from harness.api import Object


_LATER = 429  # while the API server still reads in what it is to watch


class NotReachedError(Exception):
    """What was waited for did not come."""


class Watch:
    """Follows the ApiKeys of one namespace."""

    def __init__(self, holds: Callable[[Object], bool]) -> None:
        self._holds = holds
        self._news = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.at: dict[str, float] = {}
        """When (time.monotonic) each ApiKey first was as awaited."""

    async def until(
        self, count: int, *, seconds: float, alive: Callable[[], None], progress: Progress
    ) -> None:
        """Wait for so many of them; `alive` raises where waiting is in vain."""
        deadline = time.monotonic() + seconds
        while len(self.at) < count:
            alive()
            if self.task is not None and self.task.done():
                self.task.result()
            progress.count(len(self.at), count)
            if time.monotonic() > deadline:
                raise NotReachedError(f"only {len(self.at)} of {count} ApiKeys within {seconds:.0f} s")
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout=1)

    def await_instead(self, holds: Callable[[Object], bool]) -> None:
        """Wait for something else from now on."""
        self._holds, self.at = holds, {}

    async def follow(self, session: aiohttp.ClientSession, namespace: str) -> None:
        """Watch for ever, from what exists now; whenever the API server ends the watch, anew."""
        path = f"/apis/keywright.dev/v1alpha1/namespaces/{namespace}/apikeys"
        timeout = aiohttp.ClientTimeout(total=None)
        while True:
            async with session.get(
                path, params={"watch": "true"}, timeout=timeout, raise_for_status=False
            ) as answer:
                if answer.status == _LATER:
                    await asyncio.sleep(0.2)
                else:
                    answer.raise_for_status()
                    await self._read(answer.content)

    async def _read(self, lines: aiohttp.StreamReader) -> None:
        async for line in lines:
            now = time.monotonic()
            obj = json.loads(line)["object"]
            name = obj["metadata"]["name"]
            if name not in self.at and self._holds(obj):
                self.at[name] = now
                self._news.set()


@contextlib.asynccontextmanager
async def watching(
    session: aiohttp.ClientSession, namespace: str, holds: Callable[[Object], bool]
) -> AsyncIterator[Watch]:
    """Follow a namespace for as long as the block lasts."""
    watch = Watch(holds)
    watch.task = asyncio.create_task(watch.follow(session, namespace))
    try:
        yield watch
    finally:
        watch.task.cancel()
        await asyncio.wait([watch.task])


def ready(obj: Object) -> bool:
    """Whether an ApiKey is Ready."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
