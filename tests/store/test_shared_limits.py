"""Limits that replicas share: exact while the store is there, never in the way when it is not."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from harness.waiting import PATIENCE
from keywright.decision.limits import Bucket, Rule, Taken
from keywright.verifier import shared_limits
from keywright.verifier.shared_limits import FAILURES, SharedLimits, StoreUrlError

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
    return Bucket(name, Rule(1, NEVER, burst))


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
async def store(server: RedisServer, tally: Tally) -> AsyncIterator[SharedLimits]:
    store = SharedLimits.at(server.url, tally)
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
    monkeypatch.setattr(shared_limits, "BUDGET", 10.0)
    monkeypatch.setattr(shared_limits, "PROBE_EVERY", 0.05)


async def becomes(store: SharedLimits, *, up: bool) -> None:
    async with asyncio.timeout(PATIENCE):
        while store.up is not up:  # noqa: ASYNC110  what a user could see, and no more
            await asyncio.sleep(0.01)


async def take(store: SharedLimits, *buckets: Bucket) -> Taken:
    taken = store.take(buckets, time.time())
    return taken if isinstance(taken, Taken) else await taken


async def allowed(store: SharedLimits, *buckets: Bucket, times: int) -> int:
    return sum(
        taken.allowed for taken in await asyncio.gather(*(take(store, *buckets) for _ in range(times)))
    )


async def test_a_burst_is_let_through_to_the_last_request_and_no_further(store: SharedLimits) -> None:
    assert 1000 == await allowed(store, bucket("a", 1000), times=1500)


async def test_a_request_that_one_limit_denies_is_charged_to_none(store: SharedLimits) -> None:
    key, project = bucket("key", 100), bucket("project", 5)
    assert 5 == await allowed(store, key, project, times=40)
    assert 95 == await allowed(store, key, times=120)


async def test_requests_of_one_call_share_the_bucket_of_their_project(store: SharedLimits) -> None:
    project = bucket("project", 7)
    answers = await asyncio.gather(*(take(store, bucket(f"key-{n}", 3), project) for n in range(20)))
    assert [True] * 7 + [False] * 13 == [answer.allowed for answer in answers]
    assert [3] == list({answer.standings[0].remaining for answer in answers if not answer.allowed})


async def test_what_remains_and_when_more_comes_back_is_told(store: SharedLimits) -> None:
    minute = Bucket("minute", Rule(3, 60.0, 2))
    began = time.time()
    told = []
    for _ in range(3):
        answer = await take(store, minute)
        (standing,) = answer.standings
        told.append((answer.allowed, standing.remaining, round(standing.retry_after / 20)))
    assert [(True, 1, 0), (True, 0, 1), (False, 0, 1)] == told
    assert minute.rule is standing.rule
    assert standing.full_at == pytest.approx(began + 40, abs=10)


async def test_a_bucket_that_is_full_again_takes_up_no_memory(
    store: SharedLimits, server: RedisServer
) -> None:
    short = Bucket("short", Rule(100, 10.0, 2))
    assert 2 == await allowed(store, short, times=2)
    assert "$-1\r\n" != server.command("GET", f"keywright:limit:{short.name}")
    await asyncio.sleep(0.3)
    assert "$-1\r\n" == server.command("GET", f"keywright:limit:{short.name}")


def test_two_processes_share_one_limit_exactly_even_if_their_clocks_differ(server: RedisServer) -> None:
    program = f"""
import asyncio, sys, time
real = time.time
time.time = lambda: real() + float(sys.argv[1])
from keywright import logs
from keywright.verifier import shared_limits
from keywright.decision.limits import Bucket, Rule
logs.configure("console", "error")
shared_limits.BUDGET = 10.0

class Tally:
    def store_failed(self, code): print(code, file=sys.stderr)
    def store_up(self, *, up): pass

async def main():
    store = shared_limits.SharedLimits.at({server.url!r}, Tally())
    store.start()
    while not store.up:
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    sys.stdin.readline()
    allowed = 0
    bucket = Bucket("shared", Rule(7, 3600_000.0, 1000))
    for _ in range(40):
        answers = await asyncio.gather(*(store.take([bucket], time.time()) for _ in range(20)))
        allowed += sum(answer.allowed for answer in answers)
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
    store: SharedLimits, server: RedisServer, tally: Tally, lines: list[EventDict]
) -> None:
    one = bucket("one", 200)
    assert 50 == await allowed(store, one, times=50)
    server.kill()
    shares = [await allowed(store, one, times=50) for _ in range(10)]
    assert [50, 50, 50, *[0] * 7] == shares, "what was allowed before is not given a second time"
    await asyncio.sleep(0.3)  # some probes later
    told = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert ["the store of shared limits is away: each replica counts for itself"] == told
    assert [False, True, False] == tally.up


async def test_a_store_that_is_back_is_shared_again_though_it_has_forgotten_the_script(
    store: SharedLimits, server: RedisServer, tally: Tally
) -> None:
    server.kill()
    await allowed(store, bucket("one", 10), times=FAILURES * 64)
    server.start()
    await becomes(store, up=True)
    assert 10 == await allowed(store, bucket("one", 10), times=50)
    assert 0 == await allowed(store, bucket("one", 10), times=50), "a bucket that this process does not know"
    assert [False, True, False, True] == tally.up


async def test_a_store_that_hangs_costs_a_request_no_more_than_two_budgets(
    store: SharedLimits, server: RedisServer, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    monkeypatch.setattr(shared_limits, "BUDGET", 0.2)
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
    store: SharedLimits, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 1 == await allowed(store, bucket("full", 1), times=5)
    monkeypatch.setattr(shared_limits, "BUDGET", 0.05)
    server.hold_up()
    for n in range(FAILURES):
        assert 5 == await allowed(store, bucket(f"late-{n}", 5), times=5)
    monkeypatch.setattr(shared_limits, "BUDGET", 10.0)
    server.go_on()
    await becomes(store, up=True)
    assert 0 == await allowed(store, bucket("full", 1), times=5)
    assert 3 == await allowed(store, bucket("new", 3), times=5)


async def test_a_store_that_refuses_to_write_counts_as_away(
    store: SharedLimits, server: RedisServer, tally: Tally
) -> None:
    server.command("CONFIG", "SET", "maxmemory", "1")
    for _ in range(FAILURES):
        assert 1 == await allowed(store, bucket("one", 10), times=1)
    assert not store.up
    assert {"OutOfMemoryError"} == set(tally.failed)
    server.command("CONFIG", "SET", "maxmemory", "0")
    await becomes(store, up=True)
    assert 10 == await allowed(store, bucket("one", 10), times=20)


async def test_one_failure_is_no_outage(store: SharedLimits, server: RedisServer, tally: Tally) -> None:
    for _ in range(FAILURES + 1):
        server.command("CONFIG", "SET", "maxmemory", "1")
        assert 1 == await allowed(store, bucket("one", 10), times=1)
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert 1 == await allowed(store, bucket("one", 10), times=1)
    assert FAILURES + 1 == tally.failed.total()
    assert [False, True] == tally.up


async def test_a_connection_that_the_store_has_closed_is_made_anew(
    store: SharedLimits, server: RedisServer, tally: Tally
) -> None:
    for _ in range(FAILURES + 1):
        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await allowed(store, bucket("one", 10), times=3)
    assert 0 == await allowed(store, bucket("one", 10), times=20)
    assert [False, True] == tally.up


async def test_who_is_gone_before_the_answer_disturbs_nobody(store: SharedLimits) -> None:
    one = bucket("one", 100)
    gone = [asyncio.create_task(take(store, one)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    assert 20 == await allowed(store, one, times=20)


async def test_closing_leaves_nobody_waiting(store: SharedLimits, server: RedisServer) -> None:
    server.hold_up()
    try:
        waiting = asyncio.create_task(allowed(store, bucket("one", 7), times=200))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await store.close()
        async with asyncio.timeout(PATIENCE):
            assert 7 == await waiting
    finally:
        server.go_on()


async def test_a_store_that_is_not_there_yet_is_used_once_it_is(
    server: RedisServer, tally: Tally, lines: list[EventDict]
) -> None:
    server.kill()
    store = SharedLimits.at(server.url, tally)
    store.start()
    assert 10 == await allowed(store, bucket("one", 10), times=20)
    await asyncio.sleep(0.3)
    server.start()
    await becomes(store, up=True)
    assert 10 == await allowed(store, bucket("one", 10), times=20)
    assert 0 == await allowed(store, bucket("one", 10), times=20)
    await store.close()
    assert ["warning", "info"] == [line["log_level"] for line in lines]


async def test_a_socket_of_the_machine_will_do(server: RedisServer, tally: Tally) -> None:
    store = SharedLimits.at(f"unix://:s3same@{server.socket}?db=3", tally)
    store.start()
    await becomes(store, up=True)
    assert 2 == await allowed(store, bucket("one", 2), times=5)
    await store.close()


async def test_a_wrong_password_is_away_and_never_shown(
    server: RedisServer, tally: Tally, lines: list[EventDict], capsys: pytest.CaptureFixture[str]
) -> None:
    store = SharedLimits.at(server.url.replace("s3same", "wr0ng"), tally)
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
        SharedLimits.at(url, tally)
    assert "s3cret" not in f"{refused.value!r}{refused.value}{refused.value.__cause__!r}"


def test_with_rediss_the_server_must_prove_who_it_is(tally: Tally) -> None:
    store = SharedLimits.at("rediss://store:6380", tally)
    pool: Any = store._redis.connection_pool
    connection = pool.make_connection()
    assert ssl.CERT_REQUIRED == connection.ssl_context.get().verify_mode
    assert connection.ssl_context.get().check_hostname


async def until_told(lines: list[EventDict]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not lines:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)


async def _seconds(store: SharedLimits, delay: float) -> float:
    await asyncio.sleep(delay)
    began = time.monotonic()
    await take(store, bucket("one", 10))
    return time.monotonic() - began
