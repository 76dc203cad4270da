"""Passes against an API server in memory: what a process does with what it was, and was not, told."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keywright.api.apikey import Cause
from keywright.controller.cache import Cache
from keywright.controller.ports import Realm
from keywright.controller.reconcile import Reconciler
from keywright.controller.sight import UnreadableStatusError
from keywright.keys.raw import digest_of
from keywright.kube import paths
from keywright.kube.errors import ApiError, TransportError
from tiny_api import Object, TinyApi, Told, refusal
from world import new_api_key, new_project

NAME = "apikey:shop/checkout"
API_KEY, SECRET = paths.api_key("shop", "checkout"), paths.secret("shop", "checkout")
STATUS = paths.api_key_status("shop", "checkout")
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BY_HAND = {"rotation": {"policy": "Never", "overlap": "1h"}}


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=10)
        return self.now


@dataclass
class Process:
    """One operator: a cache of its own, and no watch but what it is told."""

    api: TinyApi
    clock: Clock
    cache: Cache = field(default_factory=Cache)
    told: Told = field(default_factory=Told)
    minted: list[Cause] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(
            self.api,  # type: ignore[arg-type]
            self.cache,
            self.told,  # type: ignore[arg-type]
            realm=Realm(system_namespace="system"),
            wake=lambda *_key, **_how: None,
            clock=self.clock,
            minted=self.minted.append,
        )

    def hear(self) -> None:
        """Take in all that is there, as by its watches."""
        for kind, name, path in (
            ("project", "payments", paths.project("shop", "payments")),
            ("apikey", "checkout", API_KEY),
        ):
            obj = self.api.objects.get(path)
            known = self.cache.get(kind, f"shop/{name}")
            if obj is not None:
                self.cache.put(kind, obj)
                self.reconciler.observe(kind, "MODIFIED", obj)
            elif known is not None:
                self.cache.remove(kind, f"shop/{name}")
                self.reconciler.observe(kind, "DELETED", known)

    async def act(self) -> None:
        await self.reconciler.reconcile(NAME)


@pytest.fixture
def api() -> TinyApi:
    api = TinyApi()
    project = new_project()
    project["metadata"]["generation"] = 1
    api.put(paths.project("shop", "payments"), project)
    api.put(API_KEY, new_api_key(BY_HAND))
    return api


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def process(api: TinyApi, clock: Clock) -> Process:
    return started(api, clock)


def started(api: TinyApi, clock: Clock) -> Process:
    process = Process(api, clock)
    process.hear()
    return process


def value(api: TinyApi) -> str:
    return base64.b64decode(api.objects[SECRET]["data"]["apiKey"]).decode()


def edit(api: TinyApi, **changes: Any) -> None:
    obj = api.objects[API_KEY]
    api.put(API_KEY, {**obj, **{part: {**obj.get(part, {}), **change} for part, change in changes.items()}})


def fail_once(api: TinyApi, verb: str, path: str, error: Exception) -> None:
    def before(asked: str, where: str) -> None:
        if (asked, where) == (verb, path):
            api.before = lambda _verb, _path: None
            raise error

    api.before = before


async def test_a_key_is_minted(process: Process, api: TinyApi) -> None:
    await process.act()

    (generation,) = api.objects[API_KEY]["status"]["keys"]
    assert ("Active", digest_of(value(api))) == (generation["state"], generation["digest"])
    assert [Cause.FIRST] == process.minted


async def test_a_held_value_is_not_revealed_over_one_that_another_process_has_revealed(
    process: Process, api: TinyApi, clock: Clock
) -> None:
    fail_once(api, "create", SECRET, TransportError("no answer"))
    with pytest.raises(TransportError):
        await process.act()
    assert SECRET not in api.objects, "published, and never heard of again"

    other = started(api, clock)
    await other.act()
    revealed, status = value(api), api.objects[API_KEY]["status"]
    assert [Cause.FIRST] == other.minted

    await process.act()  # its watch has told it nothing of that

    assert revealed == value(api)
    assert status["currentKeyID"] == api.objects[API_KEY]["status"]["currentKeyID"]
    assert [] == process.minted


async def test_a_held_value_of_a_rotation_is_not_revealed_over_another_one_either(
    process: Process, api: TinyApi, clock: Clock
) -> None:
    await process.act()
    edit(api, metadata={"annotations": {"keywright.dev/rotate": "now"}})
    process.hear()
    fail_once(api, "update", SECRET, TransportError("no answer"))
    with pytest.raises(TransportError):
        await process.act()

    other = started(api, clock)
    await other.act()
    revealed = value(api)
    assert [Cause.REQUESTED] == other.minted

    await process.act()

    assert revealed == value(api)
    assert 2 == api.objects[API_KEY]["status"]["revision"]
    assert "SecretLost" not in {one["cause"] for one in api.objects[API_KEY]["status"]["keys"]}


async def test_the_api_key_is_read_after_the_secret_while_a_value_is_held(
    process: Process, api: TinyApi
) -> None:
    fail_once(api, "create", SECRET, TransportError("no answer"))
    with pytest.raises(TransportError):
        await process.act()
    del api.requests[:]

    await process.act()

    assert [("get", SECRET), ("get", API_KEY), ("create", SECRET)] == api.requests[:3]


async def test_a_secret_that_was_read_before_another_process_rotated_is_not_taken_for_lost(
    process: Process, api: TinyApi, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await process.act()
    edit(api, metadata={"annotations": {"keywright.dev/rotate": "now"}})
    process.hear()
    other, get = started(api, clock), api.get

    async def overtaken(path: str) -> Object:
        answer = await get(path)
        if path == SECRET:
            monkeypatch.setattr(api, "get", get)
            await other.act()
            process.hear()
        return answer

    monkeypatch.setattr(api, "get", overtaken)
    await process.act()

    assert [Cause.REQUESTED] == other.minted
    written = [path for verb, path in api.requests if (verb, path) == ("update", STATUS)]
    assert 4 == len(written), "publish and activate, of the first and of the second, and nothing more"


async def test_a_process_that_holds_nothing_does_not_read_the_api_key(process: Process, api: TinyApi) -> None:
    await process.act()
    assert ("get", API_KEY) not in api.requests


async def test_a_repair_that_was_refused_is_tried_again_in_a_while_and_whatever_the_spec_says_is_reported(
    process: Process, api: TinyApi, clock: Clock
) -> None:
    await process.act()
    before = value(api)
    edit(api, spec={"secret": {"labels": {"tier": "gold"}}}, metadata={"generation": 2})
    process.hear()

    def refuse(verb: str, path: str) -> None:
        if (verb, path) == ("update", SECRET):
            raise refusal(verb, path, 422)

    api.before = refuse
    await process.act()
    assert 2 == api.objects[API_KEY]["status"]["observedGeneration"]
    del api.requests[:]
    clock.now += timedelta(seconds=4)
    await process.act()
    assert ("update", SECRET) not in api.requests, "not so soon"
    clock.now += timedelta(seconds=1)
    await process.act()
    assert ("update", SECRET) in api.requests

    api.before = lambda _verb, _path: None
    clock.now += timedelta(seconds=10)
    await process.act()

    assert "gold" == api.objects[SECRET]["metadata"]["labels"]["tier"]
    assert before == value(api)
    del api.requests[:]
    clock.now += timedelta(seconds=20)
    await process.act()
    assert [] == api.requests, "all is in place"


async def deleting(process: Process, api: TinyApi) -> None:
    await process.act()
    edit(api, metadata={"deletionTimestamp": "2026-11-23T12:30:00Z"})
    process.hear()


@pytest.mark.parametrize("status", [403, 413, 422])
async def test_a_status_that_is_refused_does_not_hold_up_a_deletion(
    process: Process, api: TinyApi, status: int
) -> None:
    await deleting(process, api)
    (generation,) = api.objects[API_KEY]["status"]["keys"]

    def refuse(verb: str, path: str) -> None:
        if path == STATUS:
            raise refusal(verb, path, status)

    api.before = refuse
    await process.act()

    assert API_KEY not in api.objects
    assert SECRET not in api.objects
    assert paths.revocation("system", f"k-{generation['id']}") in api.objects


async def test_a_status_that_is_refused_is_an_error_of_an_api_key_that_stays(
    process: Process, api: TinyApi
) -> None:
    fail_once(api, "update", STATUS, refusal("update", STATUS, 422))
    with pytest.raises(ApiError, match="422"):
        await process.act()


async def test_an_unreadable_entry_of_the_status_does_not_hold_up_a_deletion(
    process: Process, api: TinyApi
) -> None:
    await process.act()
    (generation,) = api.objects[API_KEY]["status"]["keys"]
    unreadable: Object = {"id": "?", "state": "Imaginary"}
    keys = {"keys": [unreadable, generation]}
    edit(api, metadata={"deletionTimestamp": "2026-11-23T12:30:00Z"}, status=keys)
    process.hear()

    await process.act()

    assert API_KEY not in api.objects
    assert SECRET not in api.objects
    assert paths.revocation("system", f"k-{generation['id']}") in api.objects


async def test_a_status_that_cannot_be_read_is_not_written_over(process: Process, api: TinyApi) -> None:
    await process.act()
    edit(api, status={"keys": [{"id": "?", "state": "Imaginary"}]})
    process.hear()
    del api.requests[:]

    with pytest.raises(UnreadableStatusError):
        await process.act()

    assert [] == api.requests


async def test_lost_sealing_keys_do_not_hold_up_a_deletion(
    process: Process, api: TinyApi, clock: Clock
) -> None:
    await deleting(process, api)
    sealing = paths.secret("system", "keywright-sealing")
    spoilt = {**api.objects[sealing], "data": {"current": "?"}}
    api.put(sealing, spoilt)

    await started(api, clock).act()

    assert API_KEY not in api.objects


async def test_an_api_key_that_vanished_has_its_records_written(process: Process, api: TinyApi) -> None:
    await process.act()
    (generation,) = api.objects[API_KEY]["status"]["keys"]
    del api.objects[API_KEY]
    process.hear()

    await process.act()

    record = api.objects[paths.revocation("system", f"k-{generation['id']}")]
    assert (generation["id"], "Deleted") == (record["spec"]["keyID"], record["spec"]["reason"])


async def test_records_of_one_that_vanished_are_tried_again(process: Process, api: TinyApi) -> None:
    await process.act()
    (generation,) = api.objects[API_KEY]["status"]["keys"]
    del api.objects[API_KEY]
    process.hear()
    record = paths.revocation("system", f"k-{generation['id']}")
    fail_once(api, "create", record, TransportError("no answer"))
    with pytest.raises(TransportError):
        await process.act()

    await process.act()

    assert record in api.objects


async def test_one_that_a_watch_calls_gone_and_that_is_there_is_not_recorded(
    process: Process, api: TinyApi
) -> None:
    await process.act()
    obj = api.objects[API_KEY]
    process.cache.remove("apikey", "shop/checkout")
    process.reconciler.observe("apikey", "DELETED", obj)

    await process.act()

    assert [] == [path for path in api.objects if path.startswith(paths.revocations("system"))]


async def test_each_malformed_token_is_told_once_while_it_stands(process: Process, api: TinyApi) -> None:
    await process.act()

    async def told_of(token: str | None) -> int:
        edit(api, metadata={"annotations": {"keywright.dev/rotate": token} if token else {}})
        process.hear()
        await process.act()
        return [reason for reason, _ in process.told.events].count("InvalidToken")

    assert 1 == await told_of("two words")
    assert 1 == await told_of("two words")
    assert 2 == await told_of("three words or more")
    assert 2 == await told_of(None)
    assert 3 == await told_of("two words")
