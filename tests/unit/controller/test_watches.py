"""What is watched, and what is known where it may not be."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from keywright.controller.cache import NAMESPACE, SECRET, Cache
from keywright.controller.ports import Realm
from keywright.controller.watches import Watches
from keywright.kube import informer
from keywright.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVED = Realm(namespaces=("open", "closed"), system_namespace="system")


class Guarded:
    """A client of which each list is empty and each watch silent, but where it is forbidden."""

    def __init__(self, *forbidden: str) -> None:
        self.forbidden = set(forbidden)
        self.broken = asyncio.Event()

    async def pages(self, path: str, _query: object, *, whole: bool) -> AsyncIterator[dict[str, Any]]:
        assert whole is ("keywright.dev" in path), "of Secrets never more than the metadata"
        self._guard(path)
        yield {"metadata": {"resourceVersion": "7"}, "items": []}

    async def watch(
        self, path: str, _query: object, *, silence: float, whole: bool
    ) -> AsyncIterator[dict[str, Any]]:
        assert whole is ("keywright.dev" in path)
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


async def test_a_namespace_in_which_nothing_may_be_listed_keeps_no_other_waiting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with running(make(Guarded("closed"), SERVED, secrets=False)):
        (warning,) = [line for line in capsys.readouterr().out.splitlines() if "--namespaces" in line]
        assert "closed" in warning


@pytest.mark.parametrize(
    ("realm", "forbidden"),
    [(Realm(), "apikeys"), (Realm(), "revocations"), (SERVED, "system")],
    ids=["the ApiKeys", "the Revocations", "the Revocations of the system namespace"],
)
async def test_without_what_it_cannot_do_without_it_waits(
    realm: Realm, forbidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informer, "_FIRST_WAIT", 0.01)
    client = Guarded(forbidden)
    watches = make(client, realm)
    task = asyncio.create_task(watches.run())
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watches.settled(), 0.2)
        client.forbidden.clear()
        await asyncio.wait_for(watches.settled(), 10)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_api_key_that_vanished_is_told_of_as_it_was_last_known() -> None:
    cache, told = Cache(), []
    metadata = {"namespace": "shop", "name": "checkout", "uid": "u1", "resourceVersion": "5"}
    cache.put("apikey", {"metadata": metadata, "status": {"keys": [{"id": "a" * 16}]}})
    watches = Watches(
        Guarded(),  # type: ignore[arg-type]
        cache,
        Realm(),
        lambda kind, event, obj: told.append((kind, event, obj)),
        secrets=False,
        lost=Lost(),
    )
    async with running(watches):
        ((kind, event, obj),) = told
        assert ("apikey", "DELETED", "u1") == (kind, event, obj["metadata"]["uid"])
        assert [{"id": "a" * 16}] == obj["status"]["keys"]
        assert obj["metadata"]["resourceVersion"] == "7", "what is older than the list cannot bring it back"
