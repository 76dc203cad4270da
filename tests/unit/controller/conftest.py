"""Time that passes only while nobody has anything to do, so that no test depends on the machine's speed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from selectors import SelectorKey

    import pytest


@pytest_asyncio.fixture
async def skipped_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the loop of the test skip to the next timer instead of waiting for it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, asyncio.SelectorEventLoop)
    now, select = loop.time(), loop._selector.select  # type: ignore[attr-defined]

    def skip(timeout: float | None) -> list[tuple[SelectorKey, int]]:
        nonlocal now
        ready: list[tuple[SelectorKey, int]] = select(None if timeout is None else 0)
        if not ready:
            now += timeout or 0
        return ready

    monkeypatch.setattr(loop, "time", lambda: now)
    monkeypatch.setattr(loop._selector, "select", skip)  # type: ignore[attr-defined]
