"""Passes against an API server in memory: what a process does with what it was, and was not, told."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keywright.api.apikey import Cause
from keywright.controller.cache import Cache
from keywright.controller.ports import Options, Realm
from keywright.controller.reconcile import Reconciler
from keywright.controller.sight import UnreadableStatusError
from keywright.keys.raw import digest_of
from keywright.kube import paths
from keywright.kube.errors import ApiError, TransportError
from tiny_api import Counted, Object, TinyApi, Told, refusal
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
    tally: Counted = field(default_factory=Counted)
    woken: list[tuple[str, str]] = field(default_factory=list)
    rollout_restart: bool = True

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(
            self.api,  # type: ignore[arg-type]
            self.cache,
            self.told,  # type: ignore[arg-type]
            options=Options(realm=Realm(system_namespace="system"), rollout_restart=self.rollout_restart),
            watching=lambda _kind, _namespace: False,
            wake=self._wake,
            clock=self.clock,
            tally=self.tally,
        )

    def _wake(self, key: str, *, urgent: bool = False, last: bool = False) -> None:
        self.woken.append((key, "urgent" if urgent else "last" if last else ""))

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
    assert [Cause.FIRST] == process.tally.causes


@pytest.mark.parametrize(
    ("step", "verb", "path", "error", "code"),
    [
        ("publish", "update", STATUS, refusal("update", STATUS, 500), "500"),
        ("reveal", "create", SECRET, refusal("create", SECRET, 403), "403"),
        ("reveal", "create", SECRET, TransportError("no answer"), "transport"),
    ],
)
async def test_a_step_of_a_mint_that_fails_is_counted(
    process: Process, api: TinyApi, step: str, verb: str, path: str, error: Exception, code: str
) -> None:
    fail_once(api, verb, path, error)
    with contextlib.suppress(ApiError, TransportError):
        await process.act()
    assert [(step, code)] == process.tally.failures


async def test_an_activation_that_fails_is_counted(process: Process, api: TinyApi) -> None:
    def before(verb: str, path: str) -> None:
        if (verb, path) == ("update", STATUS) and SECRET in api.objects:
            raise refusal(verb, path, 503)

    api.before = before
    with pytest.raises(ApiError):
        await process.act()
    assert [("activate", "503")] == process.tally.failures


async def test_what_somebody_else_did_first_is_no_failure_and_neither_is_a_repair(
    process: Process, api: TinyApi
) -> None:
    fail_once(api, "create", SECRET, refusal("create", SECRET, 409))
    await process.act()
    edit(api, spec={"secret": {"labels": {"tier": "gold"}}}, metadata={"generation": 2})
    process.hear()
    fail_once(api, "update", SECRET, refusal("update", SECRET, 422))
    await process.act()
    assert [] == process.tally.failures


async def test_the_first_key_is_timed_and_no_later_one(process: Process, api: TinyApi, clock: Clock) -> None:
    clock.now += timedelta(seconds=2)
    await process.act()
    (seconds,) = process.tally.waits
    assert 2 <= seconds < 3
    edit(api, metadata={"annotations": {"keywright.dev/rotate": "now"}})
    process.hear()
    await process.act()
    assert [Cause.FIRST, Cause.REQUESTED] == process.tally.causes
    assert 1 == len(process.tally.waits)


async def test_an_adopted_key_is_not_timed(process: Process, api: TinyApi, clock: Clock) -> None:
    await process.act()
    del api.objects[API_KEY]["status"]
    other = started(api, clock)
    await other.act()
    assert ([Cause.ADOPTED], []) == (other.tally.causes, other.tally.waits)


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
    assert [Cause.FIRST] == other.tally.causes

    await process.act()  # its watch has told it nothing of that

    assert revealed == value(api)
    assert status["currentKeyID"] == api.objects[API_KEY]["status"]["currentKeyID"]
    assert [] == process.tally.causes


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
    assert [Cause.REQUESTED] == other.tally.causes

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

    assert [Cause.REQUESTED] == other.tally.causes
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


async def test_of_two_of_a_name_that_vanished_one_after_the_other_both_have_their_records_written(
    process: Process, api: TinyApi, clock: Clock
) -> None:
    standby = started(api, clock)
    ids = []
    for uid in ("uid-1", "uid-2"):
        api.put(API_KEY, new_api_key(BY_HAND, uid=uid))
        process.hear()
        await process.act()
        standby.hear()
        ids += [generation["id"] for generation in api.objects[API_KEY]["status"]["keys"]]
        del api.objects[API_KEY], api.objects[SECRET]
        standby.hear()  # and the other process does not
    assert 2 == len(set(ids))

    await standby.act()

    assert [True, True] == [paths.revocation("system", f"k-{key_id}") in api.objects for key_id in ids]


async def test_one_that_vanished_before_its_first_key_was_revealed_is_recorded_whatever_the_quota(
    process: Process, api: TinyApi
) -> None:
    project = api.objects[paths.project("shop", "payments")]
    api.put(paths.project("shop", "payments"), {**project, "spec": {"limits": {"maxKeys": 1}}})
    process.hear()
    fail_once(api, "create", SECRET, TransportError("no answer"))
    with pytest.raises(TransportError):
        await process.act()
    (generation,) = api.objects[API_KEY]["status"]["keys"]
    process.hear()
    del api.objects[API_KEY]
    process.hear()

    await process.act()

    assert paths.revocation("system", f"k-{generation['id']}") in api.objects


def beside(process: Process, *names: str, namespace: str = "shop", reason: str) -> None:
    """Have more ApiKeys of the Project known."""
    for name in names:
        metadata = {"name": name, "namespace": namespace, "uid": f"uid-of-{name}", "resourceVersion": "50"}
        ready = {"type": "Ready", "status": "False", "reason": reason}
        ref = {"projectRef": {"name": "payments", "namespace": "shop"}}
        process.cache.put("apikey", {"metadata": metadata, "spec": ref, "status": {"conditions": [ready]}})


async def test_a_deletion_wakes_those_beyond_the_quota_and_looks_at_no_other(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside(process, "settled", reason="Suspended")
    beside(process, "waiting", "waiting-too", reason="QuotaExceeded")
    gone = process.cache.get("apikey", "shop/checkout")
    assert gone is not None
    process.woken.clear()
    monkeypatch.delattr(Cache, "summaries_of")
    process.reconciler.observe("apikey", "DELETED", gone)
    expected = {"project:shop/payments", NAME, "apikey:shop/waiting", "apikey:shop/waiting-too"}
    assert expected == {key for key, _ in process.woken}


async def test_new_labels_of_a_namespace_wake_its_api_keys_and_look_at_no_other(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside(process, "theirs", namespace="other", reason="NamespaceNotAllowed")
    process.woken.clear()
    monkeypatch.delattr(Cache, "keys")
    for name, labels in (("other", {"team": "a"}), ("other", {"team": "a"}), ("empty", {})):
        process.reconciler.observe("namespace", "MODIFIED", {"metadata": {"name": name, "labels": labels}})
    assert [("apikey:other/theirs", "")] == process.woken


async def test_one_that_a_watch_calls_gone_and_that_is_there_is_not_recorded(
    process: Process, api: TinyApi
) -> None:
    await process.act()
    obj = api.objects[API_KEY]
    process.cache.remove("apikey", "shop/checkout")
    process.reconciler.observe("apikey", "DELETED", obj)

    await process.act()

    assert [] == [path for path in api.objects if path.startswith(paths.revocations("system"))]


async def test_taking_over_it_looks_at_all_it_knows_first_at_what_goes_and_last_at_what_is_in_order(
    process: Process, api: TinyApi
) -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Active"}]}
    missed = {**ready, "nextRotationTime": "2026-11-23T11:00:00Z"}
    for name, status in (("settled", ready), ("overdue", missed)):
        metadata = {**_going(name)}
        del metadata["deletionTimestamp"]
        process.cache.put("apikey", {**new_api_key(), "metadata": metadata, "status": status})
    process.cache.put("apikey", {**new_api_key(), "metadata": _going("leaving"), "status": ready})
    process.cache.put("revocation", {"metadata": {**_going("leaked"), "deletionTimestamp": None}})
    process.woken.clear()
    process.reconciler.wake_all()
    assert {
        ("project:shop/payments", ""),
        (NAME, ""),
        ("apikey:shop/settled", "last"),
        ("apikey:shop/overdue", ""),
        ("apikey:shop/leaving", "urgent"),
        ("revocation:shop/leaked", "urgent"),
    } == dict(process.woken).items()


def _going(name: str) -> Object:
    gone = {"deletionTimestamp": "2026-11-23T12:00:00Z"}
    return {"namespace": "shop", "name": name, "uid": f"u-{name}", "resourceVersion": "5", **gone}


async def test_what_vanished_when_the_leader_did_is_settled_by_the_next_one(
    process: Process, api: TinyApi, clock: Clock
) -> None:
    standby = Process(api, clock)
    standby.hear()
    await process.act()
    standby.hear()
    (generation,) = api.objects[API_KEY]["status"]["keys"]
    del api.objects[API_KEY]
    standby.hear()  # and the leader is gone
    standby.reconciler.stand_by()
    clock.now += timedelta(seconds=20)
    standby.woken.clear()
    standby.reconciler.wake_all()
    assert (NAME, "urgent") in standby.woken
    await standby.act()
    assert paths.revocation("system", f"k-{generation['id']}") in api.objects


async def test_a_standby_keeps_nothing_of_what_the_leader_has_seen_to(
    process: Process, api: TinyApi, clock: Clock
) -> None:
    standby = Process(api, clock)
    standby.hear()
    await process.act()
    standby.hear()
    del api.objects[API_KEY]
    standby.hear()
    clock.now += timedelta(seconds=61)
    standby.reconciler.stand_by()
    standby.woken.clear()
    standby.reconciler.wake_all()
    assert NAME not in {key for key, _ in standby.woken}


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


def deploy(api: TinyApi, *names: str) -> None:
    """Have Deployments of these names, and list them in the ApiKey."""
    for name in names:
        metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": 1}
        spec = {"replicas": 0, "template": {"metadata": {}}}
        api.put(paths.workload("shop", "Deployment", name), {"metadata": metadata, "spec": spec})
    listed = [{"kind": "Deployment", "name": name} for name in names]
    edit(api, spec={"rolloutRestart": listed}, metadata={"generation": 2})


def rotate(api: TinyApi, process: Process, token: str = "now") -> None:
    edit(api, metadata={"annotations": {"keywright.dev/rotate": token}})
    process.hear()


def generation_of(api: TinyApi, name: str) -> int:
    return int(api.objects[paths.workload("shop", "Deployment", name)]["metadata"]["generation"])


async def test_sixteen_workloads_are_restarted_in_one_pass(process: Process, api: TinyApi) -> None:
    await process.act()
    names = [f"web-{number}" for number in range(16)]
    for token in ("a", "b", "c"):
        rotate(api, process, token)
        await process.act()
    deploy(api, *names)
    edit(api, metadata={"annotations": {"keywright.dev/regenerate": "now"}})
    process.hear()

    await process.act()

    assert {2} == {generation_of(api, name) for name in names}
    notes = [note for reason, note in process.told.events if reason == "WorkloadRestarted"]
    key_id = api.objects[API_KEY]["status"]["currentKeyID"]
    assert [f"Restarted the Deployment {name} for the key {key_id} (revision 5)" for name in names] == notes


async def test_the_api_key_is_read_after_the_workloads(process: Process, api: TinyApi) -> None:
    await process.act()
    deploy(api, "web")
    rotate(api, process)
    await process.act()

    reads = [path for verb, path in api.requests if verb == "get"]
    web = paths.workload("shop", "Deployment", "web")
    assert [web, API_KEY] == reads[reads.index(web) :]


async def test_a_workload_that_changes_between_read_and_restart_is_read_again(
    process: Process, api: TinyApi
) -> None:
    await process.act()
    deploy(api, "web")
    rotate(api, process)
    web = paths.workload("shop", "Deployment", "web")

    def before(verb: str, path: str) -> None:
        if (verb, path) == ("patch", web):
            api.before = lambda _verb, _path: None
            api.put(web, api.objects[web])

    api.before = before
    await process.act()

    assert 2 == generation_of(api, "web")
    assert 1 == len([reason for reason, _ in process.told.events if reason == "WorkloadRestarted"])


async def test_a_restart_that_is_not_granted_is_said_and_tried_again_until_it_is(
    process: Process, api: TinyApi, clock: Clock
) -> None:
    await process.act()
    deploy(api, "web")
    rotate(api, process)
    web = paths.workload("shop", "Deployment", "web")

    def before(verb: str, path: str) -> None:
        if path == web:
            raise refusal(verb, path, 403)

    api.before = before
    await process.act()
    status = api.objects[API_KEY]["status"]
    ready, rotating = status["conditions"][:2]
    assert ("Active", "RestartingWorkloads") == (ready["reason"], rotating["reason"])
    assert "install the chart with rolloutRestart: true" in rotating["message"]
    for _ in range(3):
        clock.now += timedelta(seconds=5)
        await process.act()
    assert status == api.objects[API_KEY]["status"], "nothing new to say"
    assert 1 == len([reason for reason, _ in process.told.events if reason == "WorkloadNotRestarted"])

    api.before = lambda _verb, _path: None
    await process.act()

    assert 2 == generation_of(api, "web")


async def test_one_that_never_rolls_out_is_waited_for_an_hour(
    process: Process, api: TinyApi, clock: Clock
) -> None:
    deploy(api, "web")
    process.hear()
    for _ in range(2):
        await process.act()
        clock.now += timedelta(minutes=59)
    assert "restarting" in api.objects[API_KEY]["status"]

    await process.act()

    assert "restarting" not in api.objects[API_KEY]["status"]
    (note,) = [note for reason, note in process.told.events if reason == "WorkloadNotRestarted"]
    assert "The Deployment web has not rolled out after an hour: see kubectl rollout status" == note
    assert 2 == generation_of(api, "web")


async def test_each_key_has_an_hour_of_its_own(process: Process, api: TinyApi, clock: Clock) -> None:
    deploy(api, "web")
    process.hear()
    await process.act()
    clock.now += timedelta(minutes=50)
    rotate(api, process)
    await process.act()
    assert 3 == generation_of(api, "web")

    clock.now += timedelta(minutes=50)
    await process.act()

    assert "restarting" in api.objects[API_KEY]["status"]


def lose_secret(api: TinyApi, process: Process) -> None:
    """Have the process told that its Secret has just been deleted, in a namespace that stays."""
    api.put(paths.namespace("shop"), {"metadata": {"name": "shop"}})
    gone = api.put(SECRET, api.objects[SECRET])
    del api.objects[SECRET]
    process.cache.remove("secret", "shop/checkout", resource_version=gone["metadata"]["resourceVersion"])
    process.reconciler.observe("secret", "DELETED", gone)


async def test_what_was_told_of_a_secret_counts_though_it_is_watched_no_more(
    process: Process, api: TinyApi
) -> None:
    await process.act()
    before = value(api)
    process.woken.clear()
    lose_secret(api, process)
    assert [(NAME, "")] == process.woken

    await process.act()

    assert before != value(api)
    assert "SecretLost" == api.objects[API_KEY]["status"]["keys"][0]["cause"]


async def test_what_is_told_of_a_secret_during_a_pass_counts_in_the_next_one(
    process: Process, api: TinyApi
) -> None:
    await process.act()
    edit(api, metadata={"annotations": {"keywright.dev/rotate": "now"}})
    process.hear()

    def delete_late(verb: str, path: str) -> None:
        revealed = api.objects[SECRET]["metadata"]["annotations"] if SECRET in api.objects else {}
        if (verb, path) == ("update", STATUS) and revealed.get("keywright.dev/revision") == "2":
            lose_secret(api, process)

    api.before = delete_late
    assert 0.0 == await process.reconciler.reconcile(NAME)
    assert SECRET not in api.objects

    await process.act()

    assert "SecretLost" == api.objects[API_KEY]["status"]["keys"][0]["cause"]


async def test_a_deletion_that_is_told_during_a_pass_is_not_looked_at_for_ever(
    process: Process, api: TinyApi
) -> None:
    await process.act()
    edit(api, spec={**api.objects[API_KEY]["spec"], "secret": {"onLoss": "Alert"}})
    process.hear()

    def delete_first(verb: str, path: str) -> None:
        if (verb, path) == ("get", SECRET) and SECRET in api.objects:
            lose_secret(api, process)

    api.before = delete_first
    await process.act()
    due = await process.reconciler.reconcile(NAME)
    assert due is not None
    assert due > 0
