"""Limits that replicas share: exact while the store is there, never in the way when it is not."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import structlog

from harness.waiting import PATIENCE
from keywright.verifier import limit_store
from keywright.verifier.limit_script import Bucket
from keywright.verifier.limit_store import FAILURES, LimitStore, StoreUrlError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from structlog.typing import EventDict

    from harness.redis import RedisServer

NEVER = 3600 * 1000.0  # seconds; nothing comes back while a test runs


class Tally:
    """What was counted."""

    def __init__(self) -> None:
        self.failed: Counter[str] = Counter()
        self.up: list[bool] = []

    def store_failed(self, code: str) -> None:
        """Count one failure."""
        self.failed[code] += 1

    def store_up(self, *, up: bool) -> None:
        """Note a transition."""
        if self.up[-1:] != [up]:
            self.up.append(up)


def bucket(name: str, burst: int) -> Bucket:
    return Bucket.of(name, requests=1, period=NEVER, burst=burst)


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
async def store(server: RedisServer, tally: Tally) -> AsyncIterator[LimitStore]:
    store = LimitStore.at(server.url, tally)
    store.start()
    await becomes(store, up=True)
    yield store
    await store.close()


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is slow must not make the store seem away; tests of that say so themselves."""
    monkeypatch.setattr(limit_store, "BUDGET", 10.0)
    monkeypatch.setattr(limit_store, "PROBE_EVERY", 0.05)


async def becomes(store: LimitStore, *, up: bool) -> None:
    async with asyncio.timeout(PATIENCE):
        while store.up is not up:  # noqa: ASYNC110  what a user could see, and no more
            await asyncio.sleep(0.01)


async def allowed(store: LimitStore, *buckets: Bucket, times: int) -> int:
    answers = await asyncio.gather(*(store.take(buckets) for _ in range(times)))
    return sum(answer is not None and answer.denied_by is None for answer in answers)


async def test_a_burst_is_let_through_to_the_last_request_and_no_further(store: LimitStore) -> None:
    assert 1000 == await allowed(store, bucket("a", 1000), times=1500)


async def test_a_request_that_one_limit_denies_is_charged_to_none(store: LimitStore) -> None:
    key, project = bucket("key", 100), bucket("project", 5)
    assert 5 == await allowed(store, key, project, times=40)
    assert 95 == await allowed(store, key, times=120)


async def test_requests_of_one_call_share_the_bucket_of_their_project(store: LimitStore) -> None:
    project = bucket("project", 7)
    answers = await asyncio.gather(*(store.take((bucket(f"key-{n}", 3), project)) for n in range(20)))
    assert [None] * 7 + [1] * 13 == [answer and answer.denied_by for answer in answers]


async def test_what_remains_and_when_more_comes_back_is_told(store: LimitStore) -> None:
    minute = Bucket.of("minute", requests=3, period=60.0, burst=2)
    told = []
    for _ in range(3):
        answer = await store.take([minute])
        assert answer is not None
        told.append((answer.denied_by, answer.levels[0].remaining, round(answer.levels[0].retry_in / 20)))
    assert [(None, 1, 0), (None, 0, 1), (0, 0, 1)] == told


async def test_a_bucket_that_is_full_again_takes_up_no_memory(store: LimitStore, server: RedisServer) -> None:
    assert 2 == await allowed(store, Bucket.of("short", requests=100, period=1.0, burst=2), times=2)
    await asyncio.sleep(0.2)
    assert "$-1\r\n" == server.command("GET", "short")


def test_two_processes_share_one_limit_exactly_even_if_their_clocks_differ(server: RedisServer) -> None:
    program = f"""
import asyncio, sys, time
real = time.time
time.time = lambda: real() + float(sys.argv[1])
from keywright import logs
from keywright.verifier import limit_store
from keywright.verifier.limit_script import Bucket
logs.configure("console", "error")
limit_store.BUDGET = 10.0

class Tally:
    def store_failed(self, code): print(code, file=sys.stderr)
    def store_up(self, *, up): pass

async def main():
    store = limit_store.LimitStore.at({server.url!r}, Tally())
    store.start()
    while not store.up:
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    sys.stdin.readline()
    allowed = 0
    bucket = Bucket.of("shared", requests=7, period=3600_000.0, burst=1000)
    for _ in range(40):
        answers = await asyncio.gather(*(store.take([bucket]) for _ in range(20)))
        allowed += sum(answer.denied_by is None for answer in answers)
    print(allowed)
    await store.close()

asyncio.run(main())
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, skew],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for skew in ("0", "-86400")
    ]
    for child in children:
        assert child.stdout is not None
        assert "ready\n" == child.stdout.readline()
    counts = [child.communicate("\n", timeout=PATIENCE) for child in children]
    assert ["", ""] == [errors for _, errors in counts]
    shares = [int(output) for output, _ in counts]
    assert 1000 == sum(shares)
    assert all(shares), f"one of them came too late for the test to mean anything: {shares}"


async def test_a_store_that_is_killed_makes_no_request_fail_and_is_told_once(
    store: LimitStore, server: RedisServer, tally: Tally, lines: list[EventDict]
) -> None:
    one = bucket("one", 10_000)
    assert 50 == await allowed(store, one, times=50)
    server.kill()
    for _ in range(10):
        assert 0 == await allowed(store, one, times=50)
    await asyncio.sleep(0.3)  # some probes later
    told = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert ["the store of shared limits is away: each replica counts for itself"] == told
    assert [False, True, False] == tally.up


async def test_a_store_that_is_back_is_shared_again_though_it_has_forgotten_the_script(
    store: LimitStore, server: RedisServer, tally: Tally
) -> None:
    one = bucket("one", 10)
    server.kill()
    assert 0 == await allowed(store, one, times=FAILURES * 64)
    server.start()
    await becomes(store, up=True)
    assert 10 == await allowed(store, one, times=50)
    assert [False, True, False, True] == tally.up


async def test_a_store_that_hangs_costs_a_request_no_more_than_two_budgets(
    store: LimitStore, server: RedisServer, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    monkeypatch.setattr(limit_store, "BUDGET", 0.2)
    server.hold_up()
    try:
        waits = await asyncio.gather(*(_seconds(store, 0.1 * n) for n in range(20)))
    finally:
        server.go_on()
    # Half a second more for a machine that has other things to do.
    assert max(waits) < 2 * 0.2 + 0.5
    assert max(waits[-5:]) < 0.2, "once it counts as away, nobody waits"
    assert {"timeout"} == set(tally.failed)


async def test_late_answers_are_not_taken_for_those_of_later_requests(
    store: LimitStore, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 1 == await allowed(store, bucket("full", 1), times=5)
    monkeypatch.setattr(limit_store, "BUDGET", 0.05)
    server.hold_up()
    for n in range(FAILURES):
        assert 0 == await allowed(store, bucket(f"late-{n}", 5), times=5)
    monkeypatch.setattr(limit_store, "BUDGET", 10.0)
    server.go_on()
    await becomes(store, up=True)
    assert 0 == await allowed(store, bucket("full", 1), times=5)
    assert 3 == await allowed(store, bucket("new", 3), times=5)


async def test_a_store_that_refuses_to_write_counts_as_away(
    store: LimitStore, server: RedisServer, tally: Tally
) -> None:
    server.command("CONFIG", "SET", "maxmemory", "1")
    for _ in range(FAILURES):
        assert 0 == await allowed(store, bucket("one", 10), times=1)
    assert not store.up
    server.command("CONFIG", "SET", "maxmemory", "0")
    await becomes(store, up=True)
    assert 10 == await allowed(store, bucket("one", 10), times=20)


async def test_one_failure_is_no_outage(store: LimitStore, server: RedisServer, tally: Tally) -> None:
    for n in range(FAILURES + 1):
        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        server.command("CONFIG", "SET", "maxmemory", "1")
        assert 0 == await allowed(store, bucket("one", 10), times=1)
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert 1 == await allowed(store, bucket(f"one-{n}", 10), times=1)
    assert [False, True] == tally.up


async def test_who_is_gone_before_the_answer_disturbs_nobody(store: LimitStore) -> None:
    one = bucket("one", 100)
    gone = [asyncio.create_task(store.take([one])) for _ in range(5)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    assert 20 == await allowed(store, one, times=20)


async def test_closing_leaves_nobody_waiting(store: LimitStore, server: RedisServer) -> None:
    server.hold_up()
    try:
        waiting = [asyncio.create_task(store.take([bucket("one", 1)])) for _ in range(200)]
        await asyncio.sleep(0)
        await store.close()
        async with asyncio.timeout(PATIENCE):
            assert {None} == set(await asyncio.gather(*waiting))
    finally:
        server.go_on()


async def test_a_store_that_is_not_there_yet_is_used_once_it_is(
    server: RedisServer, tally: Tally, lines: list[EventDict]
) -> None:
    server.kill()
    store = LimitStore.at(server.url, tally)
    store.start()
    assert 0 == await allowed(store, bucket("one", 10), times=20)
    await asyncio.sleep(0.3)
    server.start()
    await becomes(store, up=True)
    assert 10 == await allowed(store, bucket("one", 10), times=20)
    await store.close()
    assert ["warning", "info"] == [line["log_level"] for line in lines]


async def test_a_socket_of_the_machine_will_do(server: RedisServer, tally: Tally) -> None:
    store = LimitStore.at(f"unix://:s3same@{server.socket}?db=3", tally)
    store.start()
    await becomes(store, up=True)
    assert 2 == await allowed(store, bucket("one", 2), times=5)
    await store.close()


async def test_a_wrong_password_is_away_and_never_shown(
    server: RedisServer, tally: Tally, lines: list[EventDict], capsys: pytest.CaptureFixture[str]
) -> None:
    store = LimitStore.at(server.url.replace("s3same", "wr0ng"), tally)
    store.start()
    await until_told(lines)
    await store.close()
    assert {"AuthenticationError"} == set(tally.failed)
    assert "wr0ng" not in f"{lines}{store!r}{vars(store)}{capsys.readouterr()}"


@pytest.mark.parametrize(
    "url", ["http://:s3cret@store:6379", "store:6379", "redis://:s3cret@store:port", "redis://:s3cret@h/db"]
)
def test_an_address_without_meaning_is_refused_without_quoting_it(url: str, tally: Tally) -> None:
    with pytest.raises(StoreUrlError, match=re.escape("write local, redis://")) as refused:
        LimitStore.at(url, tally)
    assert "s3cret" not in f"{refused.value!r}{refused.value}{refused.value.__cause__!r}"


def test_with_rediss_the_server_must_prove_who_it_is(tally: Tally) -> None:
    store = LimitStore.at("rediss://store:6380", tally)
    connection = store._redis.connection_pool.make_connection()
    assert ssl.CERT_REQUIRED == connection.ssl_context.get().verify_mode
    assert connection.ssl_context.get().check_hostname


async def until_told(lines: list[EventDict]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not lines:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)


async def _seconds(store: LimitStore, delay: float) -> float:
    await asyncio.sleep(delay)
    began = time.monotonic()
    assert await store.take([bucket("one", 10)]) is None
    return time.monotonic() - began
