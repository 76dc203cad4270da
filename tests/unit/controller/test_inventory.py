"""The barrier and the sweep: what the API server lists against what the watches told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from keywright.controller import inventory as module
from keywright.controller.cache import Cache
from keywright.controller.inventory import Inventory
from keywright.controller.ports import Realm
from keywright.kube.errors import ApiError, TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.usefixtures("skipped_time")


def obj(name: str, version: int, uid: str = "u1") -> dict[str, Any]:
    return {"metadata": {"namespace": "a", "name": name, "uid": uid, "resourceVersion": str(version)}}


class Listing:
    """A client that lists the same ApiKeys each time, and has them one by one."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = list(objects)
        self.asked: list[str] = []
        self.failures: list[Exception] = []

    async def pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(path)
        if self.failures:
            raise self.failures.pop(0)
        yield {"items": self.objects if path.endswith("apikeys") else []}

    async def get(self, path: str) -> dict[str, Any]:
        for one in self.objects:
            if path.endswith("/" + one["metadata"]["name"]):
                return one
        raise ApiError(verb="get", resource="apikeys", status=404)


class Told(list[tuple[str | None, str]]):
    def __call__(self, kind: str, event_type: str | None, one: dict[str, Any]) -> None:
        assert kind == "apikey"
        self.append((event_type, one["metadata"]["name"]))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLE", 0.0)
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.002)
    monkeypatch.setattr(module, "_LIST_AGAIN_EVERY", 0.01)


def make(client: Listing, cache: Cache, told: Told | None = None, realm: Realm | None = None) -> Inventory:
    return Inventory(client, cache, realm or Realm(), Told() if told is None else told)  # type: ignore[arg-type]


async def opens(inventory: Inventory, seconds: float = 0.1) -> bool:
    served = asyncio.Event()
    served.set()
    task = asyncio.create_task(inventory.run(served))
    try:
        await asyncio.wait_for(inventory.complete.wait(), seconds)
    except TimeoutError:
        return False
    else:
        return True
    finally:
        task.cancel()


async def test_it_opens_once_everything_listed_is_cached() -> None:
    cache, client = Cache(), Listing(obj("k1", 5), obj("k2", 6))
    cache.put("apikey", obj("k1", 5))
    assert not await opens(make(client, cache), 0.03)
    cache.put("apikey", obj("k2", 7))
    assert await opens(make(client, cache))


async def test_an_older_state_than_listed_does_not_open_it() -> None:
    cache = Cache()
    cache.put("apikey", obj("k1", 4))
    assert not await opens(make(Listing(obj("k1", 5)), cache), 0.03)


async def test_what_was_replaced_or_deleted_since_does_not_keep_it_shut() -> None:
    cache, client = Cache(), Listing(obj("replaced", 5), obj("deleted", 6))
    cache.put("apikey", obj("replaced", 9, uid="u2"))
    inventory = make(client, cache)
    task = asyncio.create_task(opens(inventory, 0.2))
    await asyncio.sleep(0.005)
    client.objects.pop()
    assert await task


async def test_it_lists_again_after_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Listing()
    client.failures = [TransportError("no answer"), ApiError(verb="list", resource="apikeys", status=410)]
    sleep = asyncio.sleep

    async def brief(_seconds: float) -> None:
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", brief)
    assert await opens(make(client, Cache()))


async def test_it_lists_no_sooner_again_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    client, cache, slept = Listing(obj("x", 5)), Cache(), []
    client.failures.append(ApiError(verb="list", resource="apikeys", status=429, retry_after=7.0))
    cache.put("apikey", obj("x", 5))
    sleep = asyncio.sleep

    async def hurried(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", hurried)
    assert await opens(make(client, cache), 1)
    assert slept[0] == 7.0


async def test_a_realm_of_namespaces_is_listed_namespace_by_namespace() -> None:
    client = Listing()
    realm = Realm(namespaces=("a", "b"), system_namespace="s")
    assert await opens(make(client, Cache(), realm=realm))
    asked = sorted(path.removeprefix("/apis/keywright.dev/v1alpha1/namespaces/") for path in client.asked)
    expected = ["a/apikeys", "a/projects", "a/revocations", "b/apikeys", "b/projects", "b/revocations"]
    assert asked == [*expected, "s/revocations"]


async def test_a_namespace_that_is_closed_is_warned_of_once_and_keeps_no_other_waiting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Closed(Listing):
        async def pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
            if "/namespaces/misspelt/" in path:
                raise ApiError(verb="list", resource="apikeys", status=403)
            async for page in super().pages(path):
                yield page

    realm = Realm(namespaces=("a", "misspelt"), system_namespace="s")
    assert await opens(make(Closed(), Cache(), realm=realm))
    warnings = [line for line in capsys.readouterr().out.splitlines() if "misspelt" in line]
    assert len(warnings) == 1
    assert "--namespaces" in warnings[0]


async def test_without_the_system_namespace_it_stays_shut() -> None:
    class Closed(Listing):
        async def pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
            if "/namespaces/s/" in path:
                raise ApiError(verb="list", resource="revocations", status=403)
            async for page in super().pages(path):
                yield page

    assert not await opens(make(Closed(), Cache(), realm=Realm(namespaces=("a",), system_namespace="s")))


async def test_a_sweep_does_not_take_a_closed_namespace_for_an_empty_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class ClosedOnce(Listing):
        async def pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
            if path.endswith("/a/apikeys") and path not in self.asked:
                self.asked.append(path)
                raise ApiError(verb="list", resource="apikeys", status=403)
            async for page in super().pages(path):
                yield page

    cache, told, client = Cache(), Told(), ClosedOnce(obj("kept", 3))
    cache.put("apikey", obj("kept", 3))
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _seconds: sleep(0))
    await make(client, cache, told, Realm(namespaces=("a",), system_namespace="s")).sweep()
    assert told == []


async def test_a_sweep_tells_of_what_vanished_and_of_what_was_missed() -> None:
    cache, told = Cache(), Told()
    cache.put("apikey", obj("vanished", 3))
    cache.put("apikey", obj("stale", 4))
    cache.put("apikey", obj("known", 5))
    await make(Listing(obj("stale", 8), obj("known", 5), obj("new", 9)), cache, told).sweep()
    assert sorted(told, key=str) == [("DELETED", "vanished"), ("MODIFIED", "new"), ("MODIFIED", "stale")]


async def test_a_sweep_leaves_alone_what_was_created_while_it_listed() -> None:
    cache, told = Cache(), Told()
    inventory = make(Listing(), cache, told)
    sweep = asyncio.create_task(inventory.sweep())
    await asyncio.sleep(0)
    cache.put("apikey", obj("created", 3))
    await sweep
    assert told == []
