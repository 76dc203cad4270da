"""What is kept of the use of keys, and the page that tells it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from harness.inventory import api_key, index_of, new_key, project
from harness.wire import Echo, Reply, ask, get, running
from keywright.verifier.ops import Ops
from keywright.verifier.usage import MINUTES, NETWORKS, Usage, network_of
from keywright.verifier.usage_page import UsagePage

if TYPE_CHECKING:
    from pathlib import Path

    from keywright.decision.entry import Entry, Generation
    from keywright.decision.index import Index

KEY = new_key()
NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z
TOKEN = "a-token-for-usage"


@pytest.fixture
def index() -> Index:
    return index_of(project(), api_key(KEY))


@pytest.fixture
def used(index: Index) -> tuple[Entry, Generation]:
    [entry] = {generation.entry for holders in index.holders.values() for generation in holders}
    return entry, entry.generations[0]


def test_requests_and_denials_are_counted_by_key(used: tuple[Entry, Generation]) -> None:
    usage = Usage()
    for code in (None, None, "insufficient_scope", "rate_limited", "rate_limited"):
        usage.count(*used, NOON, None, code)
    [record] = usage
    assert (5, {"insufficient_scope": 1, "rate_limited": 2}) == (record.requests, record.denied)
    assert (NOON, ()) == (record.last, record.networks)


def test_networks_are_a_bounded_set(used: tuple[Entry, Generation]) -> None:
    usage = Usage()
    for number in range(NETWORKS):
        usage.count(*used, NOON, f"10.0.{number}.1")
        usage.count(*used, NOON, f"10.0.{number}.2")
    [record] = usage
    assert (NETWORKS, False) == (len(record.networks), record.more_networks)
    usage.count(*used, NOON, "10.1.0.1")
    assert (NETWORKS, True) == (len(record.networks), record.more_networks)


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::7", "2001:db8:1::/48"),
        ("nobody", None),
    ],
)
def test_a_client_is_kept_as_its_network(client: str, network: str | None) -> None:
    assert network == network_of(client)


def test_minutes_are_those_that_are_over_and_had_requests(used: tuple[Entry, Generation]) -> None:
    usage = Usage()
    for seconds in (0, 59, 60, 200):
        usage.count(*used, NOON + seconds, None)
    [record] = usage
    assert [(NOON, 2), (NOON + 60, 1)] == [*record.minutes(NOON + 200)]
    assert (NOON + 180, 1) == record.minutes(NOON + 240)[-1]
    assert () == record.minutes(NOON + 240 + 60 * (MINUTES + 1))


def test_what_was_used_since_a_mark_is_told_again_and_nothing_else(used: tuple[Entry, Generation]) -> None:
    usage = Usage()
    usage.count(*used, NOON, None)
    mark = usage.mark()
    assert [] == usage.page(since=mark, most=10).records
    usage.count(*used, NOON - 3600, None)  # a clock that was set back hides nothing
    assert [2] == [record.requests for record in usage.page(since=mark, most=10).records]


def test_what_is_no_more_is_let_go_of(index: Index, used: tuple[Entry, Generation]) -> None:
    usage = Usage()
    usage.count(*used, NOON, None)
    usage.forget(index)
    assert 1 == len(usage)
    usage.forget(index_of(project()))
    assert 0 == len(usage)


async def asked(usage: Usage, file: Path, query: str = "", token: str | None = TOKEN) -> Reply:
    page = UsagePage(usage, file, clock=lambda: NOON + 120)
    ops = Ops(alive=list, ready=list, registry=CollectorRegistry(), pages={"/usage": page})
    async with running(Echo(), ops) as at:
        headers = [] if token is None else [f"Authorization: Bearer {token}"]
        return await ask(at.ops_port, get(f"/usage{query}", *headers))


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


async def test_the_page_tells_who_holds_the_token(used: tuple[Entry, Generation], token_file: Path) -> None:
    usage = Usage()
    usage.count(*used, NOON + 0.25, "192.0.2.77")
    reply = await asked(usage, token_file)
    document: dict[str, Any] = json.loads(reply.body)
    assert (200, 1, None) == (reply.status, document["mark"], document["next"])
    entry, generation = used
    assert document["keys"] == [
        {
            "apiKey": entry.name,
            "uid": entry.uid,
            "project": entry.project,
            "keyId": generation.id,
            "requests": 1,
            "denied": {},
            "lastUsedAt": "2026-11-23T12:00:00.250Z",
            "networks": ["192.0.2.0/24"],
            "moreNetworks": False,
            "minutes": [[NOON, 1]],
        }
    ]
    assert KEY.value not in reply.body.decode()


@pytest.mark.parametrize("token", [None, "another", TOKEN[:-1], TOKEN + "x", ""])
async def test_the_page_tells_nobody_else(
    used: tuple[Entry, Generation], token_file: Path, token: str | None
) -> None:
    usage = Usage()
    usage.count(*used, NOON, None)
    reply = await asked(usage, token_file, token=token)
    assert 401 == reply.status
    assert b"checkout" not in reply.body


async def test_a_token_that_is_replaced_or_gone_is_good_no_more(token_file: Path) -> None:
    await asyncio.to_thread(token_file.write_text, "the-next-one")
    assert [401, 200] == [
        (await asked(Usage(), token_file, token=token)).status for token in (TOKEN, "the-next-one")
    ]
    await asyncio.to_thread(token_file.write_text, "")
    assert 401 == (await asked(Usage(), token_file, token="")).status
    await asyncio.to_thread(token_file.unlink)
    assert 401 == (await asked(Usage(), token_file)).status


@pytest.mark.parametrize("query", ["?since=-1", "?since=x", "?after=1e3", "?mark=1", "?since=" + "9" * 16])
async def test_what_no_answer_has_said_is_refused(token_file: Path, query: str) -> None:
    assert 400 == (await asked(Usage(), token_file, query)).status
