"""Reading verifiers' usage, by HTTP: what is asked, what is believed, what no verifier can do."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import ClientTimeout

from harness.usage import TOKEN, Given, UsagePort
from keywright.controller import usage, usage_reader
from keywright.controller.cache import Cache
from keywright.controller.metrics import Metrics
from keywright.controller.ports import Service, UsageOptions
from keywright.controller.usage import Scraper
from keywright.controller.usage_document import MAX_BYTES
from keywright.keys.usage import Budget, Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY_ID = "7f3k2m9q0r4t6v8x"


def api_key(name: str = "checkout", uid: str = "u1") -> dict[str, Any]:
    key = {
        "id": KEY_ID,
        "revision": 1,
        "digest": "sha256:0",
        "hint": "kw_prod_7f3k2m9q0r4t6v8x",
        "state": "Active",
        "cause": "First",
        "createdAt": "2026-11-23T11:00:00Z",
    }
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": "7"},
        "spec": {"projectRef": {"name": "payments"}},
        "status": {"currentKeyID": KEY_ID, "keys": [key]},
    }


class Desk:
    """A scraper with what is around it."""

    def __init__(self, tmp_path: Path, *urls: str) -> None:
        self.token_file = tmp_path / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self.cache = Cache()
        self.cache.put("apikey", api_key())
        self.ledger = Ledger(Budget(1000, 1000))
        self.metrics = Metrics()
        self.woken: list[str] = []
        self.acting = asyncio.Event()
        options = UsageOptions(
            token_file=self.token_file, service=Service("system", "v"), urls=urls, interval=0.05
        )
        # Where verifiers are named the API server is not asked.
        self.scraper = Scraper(
            None,  # type: ignore[arg-type]
            self.cache,
            self.ledger,
            options=options,
            wake=self._wake,
            clock=lambda: NOW,
            metrics=self.metrics,
        )

    def _wake(self, key: str, *, urgent: bool = False, last: bool = False) -> None:
        assert (urgent, last) == (False, True)
        self.woken.append(key)

    def count(self, outcome: str) -> float:
        value = self.metrics.registry.get_sample_value("keywright_usage_reads_total", {"outcome": outcome})
        return value or 0.0

    async def until(self, outcome: str, times: int = 1) -> None:
        """Wait until verifiers were read, or not, with an outcome, so many times more."""
        wanted = self.count(outcome) + times
        async with asyncio.timeout(20):
            while self.count(outcome) < wanted:  # noqa: ASYNC110  a counter tells nobody
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let it act until the end."""
        self.acting.set()
        task = asyncio.create_task(self.scraper.run(self.acting))
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def port() -> Iterator[UsagePort]:
    serving = UsagePort()
    yield serving
    serving.stop()


@pytest_asyncio.fixture
async def desk(tmp_path: Path, port: UsagePort, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(usage, "TICK", 0.02)
    return Desk(tmp_path, port.url)


async def test_an_api_key_that_was_used_is_looked_at_after_all_others(desk: Desk, port: UsagePort) -> None:
    port.use(api_key(), NOW)
    async with desk.running():
        await desk.until("ok")
        await asyncio.sleep(0.1)
    assert ["apikey:shop/checkout"] == desk.woken
    assert (1, 0) == (desk.scraper.verifiers(), desk.metrics.usage_records_ignored._value.get())


async def test_nobody_is_asked_by_a_process_that_does_not_act(desk: Desk, port: UsagePort) -> None:
    port.use(api_key(), NOW)
    task = asyncio.create_task(desk.scraper.run(desk.acting))
    await asyncio.sleep(0.3)
    assert ([], 0) == (port.asked, port.refused)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_page_after_page_is_read_and_then_only_what_is_new(tmp_path: Path) -> None:
    port = UsagePort(per_page=2)
    desk = Desk(tmp_path, port.url)
    for number in range(5):
        desk.cache.put("apikey", api_key(f"key-{number}", f"uid-{number}"))
        port.use(api_key(f"key-{number}", f"uid-{number}"), NOW)
    async with desk.running():
        await desk.until("ok", 2)
    port.stop()
    assert [(0, 0), (0, 2), (0, 4), (1, 0), (1, 2), (1, 4)] == port.asked[:6]
    assert 5 == len(desk.ledger)


async def test_another_process_at_the_address_is_asked_for_all_that_it_has(
    desk: Desk, port: UsagePort
) -> None:
    async with desk.running():
        await desk.until("ok", 3)
        port.restart()
        port.use(api_key(), NOW)
        asked = len(port.asked)
        await desk.until("ok", 2)
    assert (0, 0) in port.asked[asked:]
    assert ["apikey:shop/checkout"] == desk.woken[:1]


async def test_a_key_that_is_gone_or_another_ones_namesake_is_not_kept(desk: Desk, port: UsagePort) -> None:
    port.use(api_key(uid="u0"), NOW)
    port.use(api_key(name="gone"), NOW)
    async with desk.running():
        await desk.until("ok")
    assert 0 == len(desk.ledger)


async def test_the_token_is_read_anew_when_it_changes(desk: Desk, port: UsagePort) -> None:
    desk.token_file.write_text("another")
    async with desk.running():
        await desk.until("unauthorized", 2)
        desk.token_file.unlink()
        await asyncio.sleep(0.2)
        refused = port.refused
        await asyncio.sleep(0.2)
        assert port.refused == refused, "nothing is asked without a token"
        desk.token_file.write_text(TOKEN)
        await desk.until("ok")


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"a" * 5000, "é".encode(), b"\x00"])
def test_what_is_no_token_is_refused_unquoted(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(usage.TokenError) as refused:
        usage.read_token(file)
    assert "--usage-token-file holds no token: write one line of visible ASCII" in str(refused.value)
    assert "two" not in str(refused.value)


async def test_where_nobody_can_be_asked_the_time_since_then_is_told(desk: Desk) -> None:
    desk.token_file.unlink()
    async with desk.running():
        await asyncio.sleep(0.3)
        assert desk.scraper.oldest() > 0.2
        desk.token_file.write_text(TOKEN)
        await desk.until("ok", 2)
        assert desk.scraper.oldest() < 0.2


ELSEWHERE = ("Location", "http://127.0.0.1:9/usage")
BREAKING: dict[str, tuple[Given, str]] = {
    "an error": (Given(500), "refused"),
    "no such page": (Given(404), "refused"),
    "a redirect": (Given(302, headers=(ELSEWHERE,)), "refused"),
    "HTML": (Given(body=b"<html>"), "malformed"),
    "nothing": (Given(), "malformed"),
    "a circle": (Given(body=b'{"boot":"b","mark":1,"next":0,"keys":[]}'), "malformed"),
    "compressed": (
        Given(body=b"\x1f\x8b\x08" + b"\x00" * 99, headers=(("Content-Encoding", "gzip"),)),
        "malformed",
    ),
    "too much": (Given(body=b" " * (MAX_BYTES + 1)), "too_large"),
    "slow": (Given(body=b" " * 64, pause=0.5), "unreachable"),
    "cut off": (Given(body=b"{}", headers=(("Content-Length", "999"),)), "unreachable"),
    "headers without end": (Given(headers=(("X", "y" * 100_000),)), "unreachable"),
}


@pytest.mark.parametrize(("given", "outcome"), BREAKING.values(), ids=BREAKING)
async def test_a_verifier_that_does_not_keep_to_it_hinders_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: UsagePort, given: Given, outcome: str
) -> None:
    monkeypatch.setattr(usage, "TICK", 0.02)
    monkeypatch.setattr(usage_reader, "TIMEOUT", ClientTimeout(total=1))
    bad = UsagePort()
    bad.misbehaves = lambda: given
    desk = Desk(tmp_path, bad.url, port.url)
    port.use(api_key(), NOW)
    async with desk.running():
        await desk.until(outcome)
        await desk.until("ok", 2)
        bad.misbehaves = None
        await desk.until("ok", 4)
        assert desk.scraper.oldest() < 1
    bad.stop()
    assert ["apikey:shop/checkout"] == desk.woken


async def test_pages_without_end_are_not_read_to_the_end(
    desk: Desk, port: UsagePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MAX_PAGES", 5)
    numbers = iter(range(1, 10_000))
    port.misbehaves = lambda: Given(body=b'{"boot":"b","mark":1,"next":%d,"keys":[]}' % next(numbers))
    async with desk.running():
        await desk.until("too_large")


async def test_all_pages_of_one_have_a_time_limit(
    desk: Desk, port: UsagePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "ALLOWED", 0.3)
    numbers = iter(range(1, 10_000))
    port.misbehaves = lambda: Given(
        body=b'{"boot":"b","mark":1,"next":%d,"keys":[]}' % next(numbers), pause=0.01
    )
    async with desk.running():
        await desk.until("unreachable")


async def test_records_that_make_no_sense_are_skipped_and_counted(desk: Desk, port: UsagePort) -> None:
    port.use(api_key(), "never")
    port.use(api_key(), NOW)
    async with desk.running():
        await desk.until("ok")
        await asyncio.sleep(0.1)
    assert 1 == desk.metrics.usage_records_ignored._value.get()
    assert ["apikey:shop/checkout"] == desk.woken


async def test_what_begins_and_what_ceases_to_work_is_one_line_each_without_the_token(
    desk: Desk, port: UsagePort, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk.running():
        await desk.until("ok", 3)
        port.misbehaves = lambda: Given(401, body=TOKEN.encode())
        await desk.until("unauthorized", 3)
        port.misbehaves = None
        await desk.until("ok", 3)
    said = capsys.readouterr().out + caplog.text
    assert 2 == said.count("reading the usage of a verifier")
    assert 1 == said.count("the usage of a verifier cannot be read")
    assert "give both the same --usage-token-file" in said
    assert TOKEN not in said


async def test_how_long_a_verifier_has_not_been_read_is_told(desk: Desk, port: UsagePort) -> None:
    port.misbehaves = lambda: Given(500)
    async with desk.running():
        await desk.until("refused")
        before = desk.scraper.oldest()
        await desk.until("refused", 3)
        assert desk.scraper.oldest() > before > 0
        port.misbehaves = None
        await desk.until("ok")
        assert desk.scraper.oldest() < before + 0.2
