"""A collection kept up by list and watch, through whatever a server may answer."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from keywright.kube import informer, paths
from keywright.kube.informer import Collection, Informer

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywright.kube.client import Client

Json = dict[str, Any]


def secret(name: str, version: int) -> Json:
    return {"metadata": {"namespace": "shop", "name": name, "uid": name, "resourceVersion": str(version)}}


def listed(version: int, *items: Json, more: str | None = None) -> Json:
    return {"metadata": {"resourceVersion": str(version), "continue": more}, "items": list(items)}


def watched(*events: tuple[str, Json]) -> bytes:
    return b"".join(json.dumps({"type": kind, "object": obj}).encode() + b"\n" for kind, obj in events)


GONE = {"kind": "Status", "code": 410, "reason": "Expired", "metadata": {}}


@dataclass
class Store:
    """What an informer told."""

    known: dict[str, str] = field(default_factory=dict)
    lists: list[tuple[set[str], int]] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)
    closures: int = 0

    def listing(self, version: int) -> None:
        self.begun.append(version)

    def receive(self, event_type: str | None, obj: Json) -> None:
        name = obj["metadata"]["name"]
        if event_type == "DELETED":
            self.known.pop(name, None)
        else:
            self.known[name] = obj["metadata"]["resourceVersion"]

    def replace(self, names: set[str], version: int) -> None:
        self.lists.append((names, version))

    def closed(self) -> None:
        self.closures += 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_WAIT", "_LAST_WAIT", "_REFUSED_WAIT", "_SHORT"):
        monkeypatch.setattr(informer, name, 0.001)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it has waited, 0.25 s at first, while no watch is long enough to count as one."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def hurried(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(informer, "_FIRST_WAIT", 0.25)
    monkeypatch.setattr(informer, "_LAST_WAIT", 5.0)
    monkeypatch.setattr(informer, "_SHORT", 100.0)
    monkeypatch.setattr(asyncio, "sleep", hurried)
    return slept


async def run(client: Client, server: Any, done: Callable[[], object]) -> tuple[Informer, Store]:
    """Let an informer run until it has asked enough: it asks again only once it is done with an answer."""
    store = Store()
    under_test = Informer(client, Collection(paths.secrets(), {"fieldSelector": "type=x"}), store)
    task = asyncio.create_task(under_test.run())
    try:
        async with asyncio.timeout(60):
            while server.answers or not done():  # noqa: ASYNC110  the server knows no events
                await asyncio.sleep(0.005)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return under_test, store


async def test_it_lists_page_by_page_and_watches_from_there(client: Client, server: Any) -> None:
    server.answer(body=listed(7, secret("a", 3), more="next"))
    server.answer(body=listed(7, secret("b", 5)))
    server.answer(body=watched(("MODIFIED", secret("a", 9)), ("DELETED", secret("b", 10))))
    under_test, store = await run(client, server, lambda: len(server.asked) >= 4)
    assert store.known == {"a": "9"}
    assert store.lists == [({"shop/a", "shop/b"}, 7)]
    assert under_test.listed
    for asked in server.asked[:3]:
        assert "as=PartialObjectMetadata" in asked.headers["Accept"], "never the data"
        assert asked.query["fieldSelector"] == "type=x"
    assert server.asked[2].query["resourceVersion"] == "7"
    assert server.asked[2].query["allowWatchBookmarks"] == "true"
    assert server.asked[3].query["resourceVersion"] == "10", "the next watch goes on where this one ended"


async def test_a_bookmark_moves_it_on_and_tells_nothing(client: Client, server: Any) -> None:
    server.answer(body=listed(7))
    server.answer(body=watched(("BOOKMARK", {"metadata": {"resourceVersion": "70"}})))
    _, store = await run(client, server, lambda: len(server.asked) >= 3)
    assert server.asked[2].query["resourceVersion"] == "70"
    assert store.known == {}


@pytest.mark.parametrize("where", ["in the stream", "as an answer"])
async def test_where_the_thread_is_lost_it_lists_anew(client: Client, server: Any, where: str) -> None:
    server.answer(body=listed(7, secret("a", 3)))
    if where == "in the stream":
        server.answer(body=watched(("ERROR", GONE)))
    else:
        server.answer(410, GONE)
    server.answer(body=listed(20, secret("b", 15)))
    server.answer(body=watched(("ADDED", secret("c", 21))))
    _, store = await run(client, server, lambda: len(server.asked) >= 5)
    assert store.lists == [({"shop/a"}, 7), ({"shop/b"}, 20)]
    assert set(store.known) == {"a", "b", "c"}, "what vanished is for the store to say"


async def test_a_list_that_takes_too_long_is_begun_anew_whole(client: Client, server: Any) -> None:
    server.answer(body=listed(7, secret("a", 3), more="next"))
    server.answer(410, GONE)
    server.answer(body=listed(9, secret("b", 8)))
    _, store = await run(client, server, lambda: store_told(server))
    assert store.lists == [({"shop/b"}, 9)]


def store_told(server: Any) -> bool:
    return len(server.asked) >= 4


@pytest.mark.parametrize("trouble", [(500, b"oops"), (429, b"{}"), (200, b'{"type": "ADDED", "obj')])
async def test_trouble_is_waited_out_and_the_watch_goes_on(
    client: Client, server: Any, trouble: tuple[int, bytes]
) -> None:
    server.answer(body=listed(7))
    server.answer(*trouble)
    server.answer(body=watched(("ADDED", secret("c", 8))))
    _, store = await run(client, server, lambda: len(server.asked) >= 4)
    assert store.known == {"c": "8"}
    assert server.asked[2].query["resourceVersion"] == "7"


async def test_where_it_may_not_list_it_says_so_and_goes_on_asking(client: Client, server: Any) -> None:
    server.answer(403, {"kind": "Status", "reason": "Forbidden"})
    under_test, store = await run(client, server, lambda: len(server.asked) >= 2)
    assert under_test.settled.is_set()
    assert not under_test.listed
    assert store.lists == []


@pytest.mark.parametrize("answer", ["to each list", "to each watch"])
async def test_a_server_to_which_everything_is_too_old_is_asked_less_and_less_often(
    client: Client, server: Any, pauses: list[float], answer: str
) -> None:
    for _ in range(4):
        if answer == "to each watch":
            server.answer(body=listed(7))
        server.answer(410, GONE)
    server.answer(body=listed(8))
    task = asyncio.create_task(Informer(client, Collection(paths.secrets()), Store()).run())
    async with asyncio.timeout(10):
        while server.answers:
            await asyncio.wait({task}, timeout=0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for pause, expected in zip(pauses[:4], (0.25, 0.5, 1, 2), strict=True):
        assert 0.8 * expected <= pause <= 1.2 * expected


async def test_a_watch_that_has_held_ends_the_long_waits(
    client: Client, server: Any, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informer, "_SHORT", 0.0)
    server.answer(body=listed(7))
    for _ in range(4):
        server.answer(body=watched(("ERROR", GONE)))
        server.answer(body=listed(8))
    server.answer(body=b"")
    task = asyncio.create_task(Informer(client, Collection(paths.secrets()), Store()).run())
    async with asyncio.timeout(10):
        while server.answers:
            await asyncio.wait({task}, timeout=0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all(pause <= 0.3 for pause in pauses[:4])


@pytest.mark.parametrize("when", ["at the start", "later"])
async def test_that_it_may_not_read_is_said_once(client: Client, server: Any, when: str) -> None:
    if when == "later":
        server.answer(body=listed(7))
    for _ in range(3):
        server.answer(403, {"kind": "Status", "reason": "Forbidden"})
    server.answer(body=listed(8))
    server.answer(403, {"kind": "Status", "reason": "Forbidden"})
    answers = len(server.answers)
    _, store = await run(client, server, lambda: len(server.asked) > answers)
    assert 2 == store.closures, "and once more when it had been listed since"


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"1",
        b'{"type": "ADDED"}',
        b'{"type": "ADDED", "object": []}',
        b'{"type": "ADDED", "object": {"metadata": {"name": "a"}}}',
        b'{"type": "BOOKMARK", "object": {"metadata": {}}}',
        b'{"type": "ERROR", "object": 1}',
        b'{"object": {"metadata": {"name": "a", "resourceVersion": "9"}}}',
    ],
)
async def test_a_line_that_is_no_event_breaks_the_watch_and_nothing_else(
    client: Client, server: Any, line: bytes
) -> None:
    server.answer(body=listed(7))
    server.answer(body=watched(("ADDED", secret("c", 8))) + line + b"\n")
    server.answer(body=watched(("ADDED", secret("d", 10))))
    _, store = await run(client, server, lambda: len(server.asked) >= 4)
    assert store.known == {"c": "8", "d": "10"}
    assert server.asked[2].query["resourceVersion"] == "8"


async def test_a_silent_watch_is_given_up(
    client: Client, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informer, "SILENCE", 0.05)
    silent = asyncio.Event()
    server.answer(body=listed(7))
    server.answer(body=silent)
    server.answer(body=b"")
    _, _ = await run(client, server, lambda: len(server.asked) >= 3)
    silent.set()
    assert server.asked[2].query["resourceVersion"] == "7"
