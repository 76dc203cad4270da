"""What fills the index: it lists, it watches, and it asks whether the watches say everything."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from keywright.decision.index import Index
from keywright.kube.errors import TransportError
from keywright.verifier import source as module
from keywright.verifier.source import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Json = dict[str, Any]


def project(version: int) -> Json:
    metadata = {"namespace": "shop", "name": "payments", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"displayName": str(version)}}


class Server:
    """An API server with one Project at `version`; what watches are told is up to the test."""

    def __init__(self) -> None:
        self.version = 7
        self.listed: list[str] = []
        self.mute = False
        self.unreachable = False

    async def pages(
        self, path: str, _query: object = None, *, limit: int = 500, whole: bool = False
    ) -> AsyncIterator[Json]:
        if self.unreachable:
            raise TransportError("no answer")
        if limit > 1:
            self.listed.append(path)
        items = [project(self.version)] if path.endswith("projects") and whole else []
        yield {"metadata": {"resourceVersion": str(self.version)}, "items": items}

    async def watch(self, path: str, query: dict[str, str], **_settings: object) -> AsyncIterator[Json]:
        stands = int(query["resourceVersion"])
        main = "allowWatchBookmarks" in query
        while True:
            if stands < self.version and path.endswith("projects") and not (main and self.mute):
                stands = self.version
                yield {"type": "MODIFIED", "object": project(stands)}
            if not main:
                return
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROVE_EVERY", 0.1)
    monkeypatch.setattr(module, "GRACE", 0.3)


@asynccontextmanager
async def running(server: Server, **more: Any) -> AsyncIterator[tuple[Source, Index]]:
    index = Index()
    settings: Json = {"namespaces": (), "system_namespace": "system", "max_staleness": 1.0, **more}
    source = Source(server, index, **settings)  # type: ignore[arg-type]
    task = asyncio.create_task(source.run())
    try:
        async with asyncio.timeout(20):
            while source.staleness() == math.inf:  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.01)
            yield source, index
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_before_everything_is_listed_nothing_is_to_be_believed() -> None:
    source = Source(Server(), Index(), namespaces=(), system_namespace="system", max_staleness=300)  # type: ignore[arg-type]
    assert -math.inf == source.trusted_until
    assert ["not everything that exists is known yet"] == source.problems()


async def test_a_change_that_its_watch_does_not_tell_of_is_noticed_and_everything_listed_anew() -> None:
    server = Server()
    server.mute = True
    async with running(server) as (source, index):
        server.version = 9
        while index._seen["project"]["shop/payments"].version < 9:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert {"apikey": 0, "namespace": 0, "project": 1, "revocation": 0} == source.relists()


async def test_a_change_elsewhere_is_no_reason_to_list_anew() -> None:
    server = Server()
    async with running(server) as (source, _):
        server.version = 9  # of the ApiKeys' watch nothing comes, for nothing of theirs has changed
        await asyncio.sleep(0.8)
        assert 0 == sum(source.relists().values())
        assert source.staleness() < 0.5
        assert source.trusted_until > time.monotonic()


async def test_without_answers_it_grows_stale_and_with_them_it_recovers() -> None:
    server = Server()
    async with running(server, max_staleness=0.5) as (source, _):
        server.unreachable = True
        await asyncio.sleep(0.9)
        (problem,) = source.problems()
        assert "has not been heard of" in problem
        assert source.trusted_until < time.monotonic()
        server.unreachable = False
        while source.problems():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_restored_api_server_is_believed_and_counted() -> None:
    server = Server()
    server.version = 100
    async with running(server) as (source, index):
        server.version = 50
        for one in source._all():
            one.informer.begin_anew()
        while source.rollbacks()["project"] < 1 or index.size("project") < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert 50 == index._seen["project"]["shop/payments"].version


@pytest.mark.parametrize(
    ("kind", "where"),
    [("apikey", ("a", "b")), ("revocation", ("a", "b", "system")), ("namespace", ())],
)
def test_of_listed_namespaces_it_reads_what_counts_there(kind: str, where: tuple[str, ...]) -> None:
    assert where == module._where(kind, ("a", "b"), "system")
