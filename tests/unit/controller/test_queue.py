"""The queue: who is looked at, when, and what happens when that fails."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from keywright.controller.metrics import Metrics
from keywright.controller.queue import Queue
from keywright.kube.errors import ApiError, TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from keywright.controller.queue import Worker

pytestmark = pytest.mark.usefixtures("skipped_time")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def queue(metrics: Metrics) -> Queue:
    return Queue(metrics)


@asynccontextmanager
async def working(queue: Queue, worker: Worker, workers: int = 1) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run(worker, workers))
    await queue.started.wait()
    yield
    queue.stop()
    await asyncio.wait_for(task, 1)


class Seen(list[str]):
    """A worker that notes what it was given; fails or waits as told."""

    def __init__(self, *outcomes: Exception | float | None) -> None:
        super().__init__()
        self.outcomes = list(outcomes)

    async def __call__(self, key: str) -> float | None:
        self.append(key)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def refused(status: int) -> ApiError:
    return ApiError(verb="update", resource="secrets", status=status)


async def test_a_name_added_twice_is_looked_at_once(queue: Queue) -> None:
    queue.add("apikey:a/b")
    queue.add("apikey:a/b")
    seen = Seen()
    async with working(queue, seen):
        await asyncio.sleep(0.01)
    assert seen == ["apikey:a/b"]


async def test_what_is_urgent_goes_first(queue: Queue) -> None:
    for key in ("apikey:a/1", "apikey:a/2", "apikey:a/3"):
        queue.add(key)
    queue.add("revocation:a/4", urgent=True)
    queue.add("apikey:a/3", urgent=True)
    seen = Seen()
    async with working(queue, seen):
        await asyncio.sleep(0.01)
    assert seen == ["revocation:a/4", "apikey:a/3", "apikey:a/1", "apikey:a/2"]


async def test_what_was_in_order_goes_last_unless_something_happens_to_it(queue: Queue) -> None:
    for key in ("apikey:a/1", "apikey:a/2", "apikey:a/3"):
        queue.add(key, last=True)
    queue.add("apikey:a/4")
    queue.add("apikey:a/2")
    queue.add("apikey:a/3", urgent=True)
    queue.add("apikey:a/4", last=True)
    seen = Seen()
    async with working(queue, seen):
        await asyncio.sleep(0.01)
    assert seen == ["apikey:a/3", "apikey:a/4", "apikey:a/2", "apikey:a/1"]


async def test_a_name_is_with_one_worker_at_a_time_and_looked_at_again_if_added_meanwhile(
    queue: Queue,
) -> None:
    inside, most, passes = 0, 0, 0

    async def slow(_key: str) -> None:
        nonlocal inside, most, passes
        inside += 1
        passes += 1
        most = max(most, inside)
        await asyncio.sleep(0.02)
        inside -= 1

    async with working(queue, slow, workers=4):
        queue.add("apikey:a/b")
        await asyncio.sleep(0.005)
        queue.add("apikey:a/b")
        queue.add("apikey:a/b")
        await asyncio.sleep(0.06)
    assert (most, passes) == (1, 2)


async def test_what_a_pass_returns_is_when_the_next_one_comes(queue: Queue) -> None:
    seen = Seen(0.03)
    async with working(queue, seen):
        queue.add("apikey:a/b")
        await asyncio.sleep(0.015)
        assert seen == ["apikey:a/b"]
        await asyncio.sleep(0.03)
    assert seen == ["apikey:a/b"] * 2


async def test_the_newest_plan_replaces_an_earlier_time(queue: Queue) -> None:
    seen = Seen(0.03, None)
    async with working(queue, seen):
        queue.add("apikey:a/b")
        await asyncio.sleep(0.01)
        queue.add("apikey:a/b")
        await asyncio.sleep(0.05)
    assert len(seen) == 2


async def test_after_an_error_it_tries_again(queue: Queue, metrics: Metrics) -> None:
    seen = Seen(refused(409), refused(409))
    async with working(queue, seen):
        queue.add("apikey:a/b")
        await asyncio.sleep(0.25)
    assert len(seen) == 3
    labels = {"kind": "apikey", "code": "409"}
    assert metrics.registry.get_sample_value("keywright_reconcile_errors_total", labels) == 2


async def test_one_poisoned_object_does_not_stop_the_others(queue: Queue, metrics: Metrics) -> None:
    seen = Seen(KeyError("kw_prod_secret"), None)
    async with working(queue, seen):
        queue.add("apikey:a/poisoned")
        queue.add("apikey:a/good")
        await asyncio.sleep(0.02)
    assert seen == ["apikey:a/poisoned", "apikey:a/good"]
    labels = {"kind": "apikey", "code": "internal"}
    assert metrics.registry.get_sample_value("keywright_reconcile_errors_total", labels) == 1


async def test_an_event_does_not_cut_a_backoff_short(queue: Queue) -> None:
    seen = Seen(refused(403))
    async with working(queue, seen):
        queue.add("apikey:a/b")
        await asyncio.sleep(0.01)
        queue.add("apikey:a/b")
        await asyncio.sleep(0.02)
    assert len(seen) == 1


@pytest.mark.parametrize("how", ["forget", "urgent"])
async def test_a_new_spec_and_what_is_urgent_end_a_backoff(queue: Queue, how: str) -> None:
    seen = Seen(TransportError("no answer"))
    async with working(queue, seen):
        queue.add("apikey:a/b")
        await asyncio.sleep(0.01)
        queue.forget("apikey:a/b") if how == "forget" else queue.add("apikey:a/b", urgent=True)
        await asyncio.sleep(0.02)
    assert len(seen) == 2


@pytest.mark.parametrize("how", ["forget", "urgent", "again"])
async def test_nothing_ends_the_wait_that_the_api_server_asked_for(queue: Queue, how: str) -> None:
    busy = ApiError(verb="update", resource="secrets", status=429, retry_after=0.1)
    began, passes = asyncio.get_running_loop().time, []

    async def worker(key: str) -> None:
        passes.append((key, began()))
        if len(passes) == 1:
            if how == "again":
                queue.add(key, urgent=True)
            raise busy

    async with working(queue, worker):
        queue.add("apikey:a/b")
        await asyncio.sleep(0.02)
        for _ in range(3):
            queue.forget("apikey:a/b") if how == "forget" else queue.add("apikey:a/b", urgent=how == "urgent")
            queue.add("apikey:a/b")
        queue.add("apikey:a/c")
        await asyncio.sleep(0.3)
    assert [key for key, _ in passes] == ["apikey:a/b", "apikey:a/c", "apikey:a/b"]
    assert round(passes[2][1] - passes[0][1], 6) >= 0.1
    assert queue._entries == {}


async def test_workers_wait_at_the_gate(queue: Queue) -> None:
    gate, seen = asyncio.Event(), Seen()
    task = asyncio.create_task(queue.run(seen, 2, gate=gate))
    queue.add("apikey:a/b")
    await asyncio.sleep(0.01)
    assert (seen, queue.depth()) == ([], 1)
    assert queue.oldest() > 0
    gate.set()
    await asyncio.sleep(0.01)
    assert (seen, queue.depth(), queue.oldest()) == (["apikey:a/b"], 0, 0.0)
    queue.stop()
    await asyncio.wait_for(task, 1)


async def test_the_gate_may_close_again_and_what_came_meanwhile_waits(queue: Queue) -> None:
    gate, seen = asyncio.Event(), Seen()
    gate.set()
    task = asyncio.create_task(queue.run(seen, 2, gate=gate))
    await asyncio.sleep(0.01)  # both are idle
    gate.clear()
    for number in range(3):
        queue.add(f"apikey:a/{number}")
    await asyncio.sleep(0.01)
    assert (seen, queue.depth()) == ([], 3)
    gate.set()
    await asyncio.sleep(0.01)
    assert seen == ["apikey:a/0", "apikey:a/1", "apikey:a/2"]
    queue.stop()
    await asyncio.wait_for(task, 1)


async def test_once_stopped_an_open_gate_lets_nobody_through(queue: Queue) -> None:
    gate, seen = asyncio.Event(), Seen()
    task = asyncio.create_task(queue.run(seen, 2, gate=gate))
    queue.add("apikey:a/b")
    await asyncio.sleep(0.01)
    queue.stop()
    gate.set()
    await asyncio.wait_for(task, 1)
    assert seen == []


async def test_nothing_is_kept_of_names_that_are_done(queue: Queue) -> None:
    seen = Seen()
    async with working(queue, seen):
        for number in range(100):
            queue.add(f"apikey:a/{number}")
        await asyncio.sleep(0.02)
        assert (len(seen), queue._entries) == (100, {})


async def test_a_pass_that_takes_implausibly_long_is_named(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keywright.controller.queue.STUCK", 0.01)
    release = asyncio.Event()

    async def hang(_key: str) -> None:
        await release.wait()

    async with working(queue, hang):
        queue.add("apikey:a/b")
        await asyncio.sleep(0.03)
        assert queue.stuck() == ["apikey:a/b"]
        release.set()


async def test_ten_thousand_names_pass_in_order(queue: Queue) -> None:
    keys = [f"apikey:a/{number}" for number in range(10_000)]
    for key in keys:
        queue.add(key)
    seen: list[str] = []
    done = asyncio.Event()

    async def note(key: str) -> None:
        seen.append(key)
        if len(seen) == len(keys):
            done.set()

    async with working(queue, note):
        await asyncio.wait_for(done.wait(), 10)
    assert seen == keys


async def test_passes_that_await_nothing_do_not_hold_up_the_loop(queue: Queue) -> None:
    async def nothing(_key: str) -> None:
        return None

    for number in range(3000):
        queue.add(f"apikey:a/{number}")
    turns = 0
    async with working(queue, nothing):
        while queue.depth():
            turns += 1
            await asyncio.sleep(0)
    assert turns > 100, "others have their turn in between"
