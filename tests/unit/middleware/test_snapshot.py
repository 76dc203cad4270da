"""The snapshot of a Project, from the verifier that signs it to the index that decides by it."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from joserfc.jwk import OKPKey

from keywright import srl
from keywright.decision.decide import Allowed, decide
from keywright.decision.request import Request
from keywright.middleware.snapshot import SNAPSHOT_PATH, Snapshot
from keywright.revocations import JWKS_PATH, Answer, FetchError, Outcome, RefusedListError
from keywright.verifier.key_rotation import create, promote
from keywright.verifier.revocation_list import NotSyncedError
from keywright.verifier.signing_keys import SETTLED, SigningKeys
from keywright.verifier.snapshots import Snapshots
from unit.decision.objects import KEY, NOW, OTHER, api_key, generation, index_of, project, revocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PROJECT, ISSUER = "platform/payments", "https://keywright.example.com"
STALE = timedelta(minutes=5)


class World:
    """A verifier with an index, and an application that fetches from it."""

    def __init__(self, directory: Path) -> None:
        create(directory / "keys")
        (directory / "key").write_text("a-key-of-the-test\n")
        self.directory = directory
        self.now = datetime.fromtimestamp(NOW, UTC)
        self.monotonic = 0.0
        self.synced_at: datetime | None = self.now
        self.seq, self.changes = 100, 0
        self.index = index_of(project=[project()], apikey=[api_key("shop/checkout")])
        self.keys = SigningKeys(directory / "keys", clock=lambda: self.monotonic)
        self.verifier = self.replica()
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.instead: Answer | None = None
        self.source = self.application()

    def entries(self, project: str) -> Iterable[srl.Revoked]:
        raise AssertionError(project)

    def replica(self) -> Snapshots:
        return Snapshots(
            self.index, self, self.keys, issuer=ISSUER, max_staleness=STALE, clock=lambda: self.now
        )

    def application(self, *, project: str = PROJECT, issuer: str = ISSUER, every: float = 10.0) -> Snapshot:
        return Snapshot(
            "https://verifier.example.com/",
            project=project,
            issuer=issuer,
            key_file=self.directory / "key",
            every=every,
            fetch=self.fetch,
            clock=lambda: self.now.timestamp(),  # noqa: PLW0108  now is another one later
            monotonic=lambda: self.monotonic,
        )

    async def fetch(self, url: str, headers: Mapping[str, str]) -> Answer:
        path = url.removeprefix("https://verifier.example.com")
        self.asked.append((path, headers))
        if path == JWKS_PATH:
            return Answer(200, self.keys.jwks)
        assert (SNAPSHOT_PATH, "Bearer a-key-of-the-test") == (path, headers["Authorization"])
        if self.instead is not None:
            return self.instead
        signed = self.verifier.of(PROJECT)
        assert signed is not None
        known = headers.get("If-None-Match") == signed.etag
        return Answer(304 if known else 200, b"" if known else signed.token, signed.etag)

    def passes(self, seconds: float, *, in_step: bool = True) -> None:
        self.now += timedelta(seconds=seconds)
        self.monotonic += seconds
        if in_step:
            self.synced_at = self.now

    def told(self, kind: str, obj: Any) -> None:
        self.seq += 1
        obj["metadata"]["resourceVersion"] = str(self.seq)
        self.index.put(kind, obj)

    def allows(self, key: Any = KEY) -> bool:
        request = Request(PROJECT, "GET", "/", "", (b"Bearer " + key.value.encode(),), (), (), None)
        return isinstance(decide(self.source.index, request, self.now.timestamp()), Allowed)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_key_is_good_once_the_snapshot_is_there(world: World) -> None:
    assert -math.inf == world.source.trusted_until
    assert not world.allows()
    assert Outcome.ACCEPTED is await world.source.poll()
    assert world.allows()
    assert STALE.total_seconds() == world.source.trusted_until


async def test_what_has_not_changed_is_not_sent_again(world: World) -> None:
    await world.source.poll()
    world.passes(10)
    assert Outcome.UNCHANGED is await world.source.poll()
    assert 3 == len(world.asked), "the snapshot, the JWKS, the snapshot"


async def test_a_snapshot_is_signed_anew_before_it_grows_old(world: World) -> None:
    await world.source.poll()
    world.passes(60)
    assert Outcome.ACCEPTED is await world.source.poll()
    assert 60 + STALE.total_seconds() == world.source.trusted_until


async def test_a_revocation_comes_with_the_next_one_and_stays(world: World) -> None:
    await world.source.poll()
    world.told("revocation", revocation("shop/leaked", keyID=KEY.id))
    assert Outcome.ACCEPTED is await world.source.poll()
    assert not world.allows()
    world.index = index_of(project=[project()], apikey=[api_key("shop/checkout")])  # forgets it
    world.seq += 1
    world.verifier = world.replica()
    assert Outcome.ACCEPTED is await world.source.poll()
    assert not world.allows(), "seen once, it is remembered as long as the process lives"


async def test_what_was_deleted_and_what_is_new_comes_with_the_next_one(world: World) -> None:
    await world.source.poll()
    world.index.remove("apikey", "shop/checkout")
    world.told("apikey", api_key("shop/other", generation(OTHER), about={"uid": "uid-other"}))
    await world.source.poll()
    assert [False, True] == [world.allows(KEY), world.allows(OTHER)]


async def test_the_quota_that_was_used_is_not_filled_by_a_new_snapshot(world: World) -> None:
    limits = [{"requests": 1, "period": "1m"}]
    world.told("apikey", api_key("shop/checkout", rateLimits=limits))
    await world.source.poll()
    before = _bucket(world)
    world.told("apikey", api_key("shop/checkout", rateLimits=limits, suspend=False, owner="new"))
    await world.source.poll()
    assert before is _bucket(world)


def _bucket(world: World) -> Any:
    assert world.allows()
    entry = world.source.index.entry("shop/checkout")
    assert entry is not None
    return entry.buckets[0]


async def test_an_older_one_takes_nothing_back(world: World) -> None:
    old = world.verifier.of(PROJECT)
    assert old is not None
    world.told("revocation", revocation("shop/leaked", keyID=KEY.id))
    await world.source.poll()
    until = world.source.trusted_until
    world.instead = Answer(200, old.token, old.etag)
    assert Outcome.OLDER is await world.source.poll()
    assert not world.allows()
    assert until == world.source.trusted_until


async def test_a_higher_epoch_overtakes_whatever_came_before(world: World) -> None:
    await world.source.poll()
    world.seq = 1
    (world.directory / "keys" / "epoch").write_text("2")
    world.keys.reread()
    world.index.remove("apikey", "shop/checkout")
    assert Outcome.ACCEPTED is await world.source.poll()
    assert not world.allows()


async def test_keys_are_promoted_without_a_gap(world: World) -> None:
    await world.source.poll()
    for _ in range(3):
        world.passes(SETTLED)
        promote(world.directory / "keys")
        world.keys.reread()
        assert Outcome.ACCEPTED is await world.source.poll()


async def refused(world: World, token: bytes, source: Snapshot | None = None) -> str:
    world.instead = Answer(200, token, None)
    with pytest.raises(RefusedListError) as caught:
        await (source or world.source).poll()
    return caught.value.code


def signed(world: World) -> bytes:
    one = world.verifier.of(PROJECT)
    assert one is not None
    return one.token


async def test_what_is_not_meant_for_this_application_is_refused(world: World) -> None:
    token = signed(world)
    assert "wrong_project" == await refused(world, token, world.application(project="platform/other"))
    assert "wrong_issuer" == await refused(world, token, world.application(issuer="https://elsewhere"))
    head, body, signature = token.split(b".")
    assert "bad_signature" == await refused(world, b".".join([head, body, signature[::-1]]))
    assert "malformed" == await refused(world, b"nonsense")


async def test_a_revocation_list_is_no_snapshot_and_a_strangers_key_signs_none(world: World) -> None:
    signer = next(iter(world.keys._files.published()))
    assert "wrong_type" == await refused(world, srl.sign(b"{}", signer.key, signer.kid).encode())
    stranger = OKPKey.generate_key("Ed25519")
    foreign = srl.sign(b"{}", stranger, "srl-x", typ=srl.SNAPSHOT_TYP).encode()
    assert "unknown_key" == await refused(world, foreign)
    empty = srl.sign(b"{}", signer.key, signer.kid, typ=srl.SNAPSHOT_TYP).encode()
    assert "malformed" == await refused(world, empty)
    assert not world.allows()


async def test_one_that_has_expired_is_refused_and_none_is_believed_beyond_its_end(world: World) -> None:
    token = signed(world)
    world.passes(STALE.total_seconds())
    assert "expired" == await refused(world, token)
    world.passes(-3600)  # a clock that is late does not make it live longer
    world.instead = Answer(200, token, None)
    begun = world.monotonic
    await world.source.poll()
    assert begun + STALE.total_seconds() == world.source.trusted_until


async def test_what_is_no_answer_changes_nothing(world: World) -> None:
    await world.source.poll()
    world.instead = Answer(503)
    with pytest.raises(FetchError):
        await world.source.poll()
    assert world.allows()


def test_a_verifier_that_lags_signs_nothing(world: World) -> None:
    world.passes(STALE.total_seconds() + 1, in_step=False)
    with pytest.raises(NotSyncedError):
        world.verifier.of(PROJECT)
    world.synced_at = None
    with pytest.raises(NotSyncedError):
        world.verifier.of(PROJECT)


def test_of_a_project_that_is_not_there_nothing_is_signed(world: World) -> None:
    assert world.verifier.of("platform/other") is None


def test_two_replicas_sign_the_same_bytes(world: World) -> None:
    assert signed(world) == getattr(world.replica().of(PROJECT), "token", None)


def test_nothing_of_another_project_stands_in_it(world: World) -> None:
    ref = {"name": "other", "namespace": "platform"}
    world.told("apikey", api_key("shop/secret", generation(OTHER), about={"uid": "x"}, projectRef=ref))
    world.told("project", project("platform/other"))
    public = {key.kid: key.key for key in world.keys._files.published()}
    payload = srl.opened(signed(world), public, typ=srl.SNAPSHOT_TYP)
    assert OTHER.digest.encode() not in payload
    assert b"secret" not in payload
    assert KEY.digest.encode() in payload


async def test_over_http_the_key_goes_to_the_verifier_and_nowhere_else(world: World) -> None:
    token, sent = signed(world), []

    async def serve(request: web.Request) -> web.Response:
        sent.append((request.path, request.headers.get("Authorization")))
        if request.path == JWKS_PATH:
            return web.Response(body=world.keys.jwks)
        if request.path == "/moved" + SNAPSHOT_PATH:
            return web.Response(status=302, headers={"Location": SNAPSHOT_PATH})
        return web.Response(body=token, headers={"ETag": '"1"'})

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    about: dict[str, Any] = {"project": PROJECT, "issuer": ISSUER, "key_file": world.directory / "key"}
    world.source = Snapshot(url, **about, clock=lambda: NOW)
    assert Outcome.ACCEPTED is await world.source.poll()
    assert [(SNAPSHOT_PATH, "Bearer a-key-of-the-test"), (JWKS_PATH, None)] == sent
    with pytest.raises(FetchError):
        await Snapshot(url + "/moved", **about).poll()
    assert "/moved" + SNAPSHOT_PATH == sent[-1][0], "a redirect is not followed"
    await runner.cleanup()


async def test_while_it_runs_it_fetches_and_goes_on_after_failures(world: World, caplog: Any) -> None:
    world.source = world.application(every=0.01)
    (world.directory / "key").rename(world.directory / "away")
    await world.source.start()
    await asyncio.sleep(0.05)
    assert not world.allows()
    (world.directory / "away").rename(world.directory / "key")
    async with asyncio.timeout(10):
        while not world.allows():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await world.source.stop()
    asked = len(world.asked)
    await asyncio.sleep(0.05)
    assert asked == len(world.asked)
    assert "FileNotFoundError" in caplog.text
