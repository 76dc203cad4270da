"""Which Secrets and Namespaces are watched, and what is known where they may not be."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from keywright.controller.cache import NAMESPACE, SECRET, Cache
from keywright.controller.ports import Realm
from keywright.controller.watches import Watches
from keywright.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVED = Realm(namespaces=("open", "closed"), system_namespace="system")


class Guarded:
    """A client of which each list is empty and each watch silent, but where it is forbidden."""

    def __init__(self, *forbidden: str) -> None:
        self.forbidden = set(forbidden)
        self.broken = asyncio.Event()

    async def pages(self, path: str, _query: object) -> AsyncIterator[dict[str, Any]]:
        self._guard(path)
        yield {"metadata": {"resourceVersion": "7"}, "items": []}

    async def watch(self, path: str, _query: object, *, silence: float) -> AsyncIterator[dict[str, Any]]:
        await self.broken.wait()
        self._guard(path)
        await asyncio.sleep(silence)
        yield {}

    def _guard(self, path: str) -> None:
        if any(f"/{name}/" in path or path.endswith(name) for name in self.forbidden):
            raise ApiError(verb="list", resource="secrets", status=403)


class Lost(list[str | None]):
    """Of which namespaces it was told that their Secrets are watched no more."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()

    def __call__(self, namespace: str | None) -> None:
        self.append(namespace)
        self.told.set()


def make(client: Guarded, realm: Realm, lost: Lost | None = None, *, secrets: bool = True) -> Watches:
    lost = Lost() if lost is None else lost
    return Watches(client, Cache(), realm, lambda *_: None, secrets=secrets, lost=lost)  # type: ignore[arg-type]


@asynccontextmanager
async def running(watches: Watches) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(watches.run())
    try:
        async with asyncio.timeout(10):
            await watches.settled()
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_closed_namespace_takes_the_watch_from_no_other() -> None:
    watches = make(Guarded("closed"), SERVED)
    async with running(watches):
        assert (True, False) == (watches.listed(SECRET, "open"), watches.listed(SECRET, "closed"))
        assert not watches.listed(SECRET, "another")
        assert not watches.listed(NAMESPACE, "open"), "they are watched only where all may be"


@pytest.mark.parametrize("kind", [SECRET, NAMESPACE])
async def test_one_watch_of_all_namespaces_is_the_watch_of_each(kind: str) -> None:
    watches = make(Guarded(), Realm())
    async with running(watches):
        assert watches.listed(kind, "any")


async def test_a_right_that_is_taken_away_is_told_of_once_and_in_that_namespace_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client, lost = Guarded(), Lost()
    watches = make(client, SERVED, lost)
    async with running(watches):
        assert lost == []
        client.forbidden.add("closed")
        client.broken.set()
        await lost.told.wait()
        assert lost == ["closed"]
        assert (True, False) == (watches.listed(SECRET, "open"), watches.listed(SECRET, "closed"))
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "may not be listed" in line]
    assert "closed" in warning


async def test_where_namespaces_may_not_be_watched_secrets_are_all_the_same() -> None:
    lost = Lost()
    watches = make(Guarded("namespaces"), Realm(), lost)
    async with running(watches):
        assert (True, False) == (watches.listed(SECRET, "shop"), watches.listed(NAMESPACE, "shop"))
        assert lost == []


async def test_with_nothing_to_watch_it_does_not_end() -> None:
    async with running(make(Guarded(), SERVED, secrets=False)) as task:
        _, pending = await asyncio.wait({task}, timeout=0.1)
        assert pending == {task}
