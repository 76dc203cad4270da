"""An API server in memory and an operator that drives `plan` against it, one request at a time.

`Store` keeps one ApiKey with its Project, Secret, Namespace, Revocations and workloads, and refuses what the
real API server refuses: a stale resourceVersion, another uid, a name that is taken, a change of what is
immutable. `Operator` is one process: it plans, sends one request, and looks at the answer. What happens to a
request on its way (`Fate`) is up to the test.
"""

from __future__ import annotations

import base64
import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from keywright.api.apikey import ApiKey
from keywright.api.project import KeyType, Project
from keywright.api.revocation import RevocationReason
from keywright.api.workload import Workload, WorkloadKind
from keywright.keys import plan as planning
from keywright.keys import raw as raw_keys
from keywright.keys.actions import (
    Action,
    AddFinalizer,
    CreateRecord,
    DeleteSecret,
    ReadNamespace,
    ReadSecret,
    ReadWorkloads,
    RemoveFinalizer,
    RestartWorkload,
    WriteSecret,
    WriteStatus,
)
from keywright.keys.deletion import FINALIZER
from keywright.keys.seal import SealingKeys
from keywright.keys.secret import SECRET_TYPE, SecretView
from keywright.keys.seen import Absent, Refusal, Seen, Unread, Verified, Watched
from keywright.keys.usage import NEVER, LastUsed
from keywright.keys.workload import Found, Missing, WorkloadView

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywright.keys.raw import RawKey

Json = dict[str, Any]

START = datetime(2026, 11, 23, 12, 0, 0, 500_000, tzinfo=UTC)
SEALING = SealingKeys("k1", {"k1": bytes(range(32))})
UID = "5a1e0c3e-0000-4000-8000-000000000001"
LEASE = timedelta(seconds=10)
RETRY = timedelta(minutes=5)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


class Fate(StrEnum):
    """What happens to a request on its way."""

    ANSWERED = "answered"
    LOST = "lost"  # never arrives; the sender sees a timeout
    UNANSWERED = "unanswered"  # committed, but the sender sees a timeout
    DELAYED = "delayed"  # the sender sees a timeout; it lands later, with its old preconditions
    REFUSED = "refused"  # 403, as by a quota


class ApiError(Exception):
    """The API server's no."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Request:
    """One write on its way, with what it stands on."""

    action: Action
    uid: str
    resource_version: str
    sent_at: datetime
    sender: int = 0


@dataclass(frozen=True)
class Change:
    """A committed write, with the objects before and after it."""

    request: Request
    at: datetime
    api_key_before: Json | None
    api_key: Json | None
    secret_before: Json | None
    secret: Json | None
    late: bool


class Entropy:
    """Random bytes that are the same in every run."""

    def __init__(self, seed: str = "") -> None:
        self._seed = seed
        self._count = 0

    def __call__(self, length: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(f"{self._seed}/{self._count}".encode()).digest(length)


@dataclass
class Store:
    """What the API server has."""

    api_key: Json | None
    project: Json | None
    now: datetime = START
    secret: Json | None = None
    terminating: bool = False
    quota: bool = False
    revoked: dict[str, RevocationReason] = field(default_factory=dict)
    revoked_whole: RevocationReason | None = None
    records: dict[str, CreateRecord] = field(default_factory=dict)
    workloads: dict[Workload, Json] = field(default_factory=dict)
    restarts: list[tuple[Workload, str]] = field(default_factory=list)
    version: int = 1
    entropy: Entropy = field(default_factory=Entropy)
    changes: list[Change] = field(default_factory=list)
    watch: Callable[[Change], None] | None = None

    def edit(self, spec: Json) -> None:
        """Change the spec of the ApiKey, as a person does; an absent value removes the field."""
        assert self.api_key is not None
        before = deepcopy(self.api_key["spec"])
        self.api_key["spec"] = {k: v for k, v in (before | spec).items() if v is not None}
        if self.api_key["spec"] != before:
            self.api_key["metadata"]["generation"] += 1
        self.touch()

    def annotate(self, name: str, value: str | None) -> None:
        """Set or remove an annotation of the ApiKey."""
        assert self.api_key is not None
        annotations = self.api_key["metadata"]["annotations"]
        annotations.pop(name, None)
        if value is not None:
            annotations[name] = value
        self.touch()

    def touch(self) -> None:
        """Give the ApiKey a new resourceVersion."""
        assert self.api_key is not None
        self.api_key["metadata"]["resourceVersion"] = self._next()

    def wipe_status(self) -> None:
        """Lose the status, as a restore from backup does."""
        assert self.api_key is not None
        self.api_key.pop("status", None)
        self.touch()

    def delete(self) -> None:
        """Ask for the deletion of the ApiKey."""
        if self.api_key is None:
            return
        if not self.api_key["metadata"]["finalizers"]:
            self.api_key = None
            return
        self.api_key["metadata"].setdefault("deletionTimestamp", stamp(self.now))
        self.touch()

    def put_secret(self, obj: Json | None) -> None:
        """Write or delete the Secret past the operator."""
        if obj is not None:
            obj = deepcopy(obj)
            obj["metadata"]["resourceVersion"] = self._next()
            obj["metadata"].setdefault("uid", f"secret-{self.version}")
        self.secret = obj

    def add_workload(self, name: str = "web", kind: str = "Deployment", **spec: Any) -> Workload:
        """Create a workload whose pods are as it wants them."""
        workload = Workload(kind=WorkloadKind(kind), name=name)
        metadata = {"name": name, "namespace": "shop", "generation": 1, "resourceVersion": self._next()}
        template: Json = {"metadata": {"annotations": {}}}
        self.workloads[workload] = {"metadata": metadata, "spec": {"template": template, **spec}}
        self.roll_out(workload)
        return workload

    def roll_out(self, workload: Workload) -> None:
        """Have all pods of a workload replaced."""
        obj = self.workloads[workload]
        numbers = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        obj["status"] = {**numbers, "observedGeneration": obj["metadata"]["generation"]}
        obj["metadata"]["resourceVersion"] = self._next()

    def commit(self, request: Request, *, late: bool = False) -> Json | None:
        """Carry out a write, or raise ApiError; returns the object as it then is."""
        before = deepcopy(self.api_key), deepcopy(self.secret)
        answer = self._carry_out(request)
        after = deepcopy(self.api_key), deepcopy(self.secret)
        change = Change(request, self.now, before[0], after[0], before[1], after[1], late)
        self.changes.append(change)
        if self.watch is not None:
            self.watch(change)
        return deepcopy(answer)

    def _carry_out(self, request: Request) -> Json | None:  # noqa: PLR0911  an answer for each action
        match request.action:
            case WriteStatus(status=status):
                obj = self._current(request)
                obj["status"] = json.loads(json.dumps(status.wire()))
                self.touch()
                return obj
            case AddFinalizer():
                obj = self._current(request)
                obj["metadata"]["finalizers"] = [FINALIZER]
                self.touch()
                return obj
            case RemoveFinalizer():
                obj = self._current(request)
                obj["metadata"]["finalizers"] = []
                self.touch()
                if "deletionTimestamp" in obj["metadata"]:
                    self.api_key = None
                return obj
            case WriteSecret(manifest=manifest):
                return self._write_secret(json.loads(json.dumps(manifest)))
            case DeleteSecret(uid=uid, resource_version=version):
                self._delete_secret(uid, version)
                return None
            case CreateRecord(key_id=key_id) as record:
                self.records.setdefault(key_id, record)
                return None
            case RestartWorkload() as restart:
                return self._restart(restart)
        raise AssertionError(request.action)

    def _current(self, request: Request) -> Json:
        if self.api_key is None:
            raise ApiError(404)
        metadata = self.api_key["metadata"]
        if (metadata["uid"], metadata["resourceVersion"]) != (request.uid, request.resource_version):
            raise ApiError(409)
        return self.api_key

    def _write_secret(self, manifest: Json) -> Json:
        metadata = manifest["metadata"]
        if self.quota:
            raise ApiError(403)
        if "uid" not in metadata:
            if self.secret is not None:
                raise ApiError(409)
            if self.terminating:
                raise ApiError(403)
            metadata["uid"] = f"secret-{self.version + 1}"
        elif self.secret is None:
            raise ApiError(404)
        else:
            live = self.secret["metadata"]
            if (live["uid"], live["resourceVersion"]) != (metadata["uid"], metadata["resourceVersion"]):
                raise ApiError(409)
            if self.secret.get("immutable") or self.secret["type"] != manifest["type"]:
                raise ApiError(422)
        metadata["resourceVersion"] = self._next()
        self.secret = manifest
        return manifest

    def _restart(self, action: RestartWorkload) -> Json:
        obj = self.workloads.get(action.workload)
        if obj is None:
            raise ApiError(404)
        if obj["metadata"]["resourceVersion"] != action.resource_version:
            raise ApiError(409)
        annotations = obj["spec"]["template"]["metadata"]["annotations"]
        if annotations.get(action.annotation) != action.value:
            annotations[action.annotation] = action.value
            obj["metadata"]["generation"] += 1
            obj["metadata"]["resourceVersion"] = self._next()
            self.restarts.append((action.workload, action.value))
        return obj

    def _delete_secret(self, uid: str, version: str) -> None:
        if self.secret is None:
            raise ApiError(404)
        live = self.secret["metadata"]
        if (live["uid"], live["resourceVersion"]) != (uid, version):
            raise ApiError(409)
        self.secret = None

    def _next(self) -> str:
        self.version += 1
        return str(self.version)

    # What tests ask about.

    @property
    def spec(self) -> Json:
        assert self.api_key is not None
        spec: Json = self.api_key["spec"]
        return spec

    @property
    def status(self) -> Json:
        status: Json = (self.api_key or {}).get("status", {})
        return status

    @property
    def keys(self) -> list[Json]:
        keys: list[Json] = self.status.get("keys", [])
        return keys

    def states(self) -> list[str]:
        return [generation["state"] for generation in self.keys]

    def ready(self) -> str:
        return str(self.condition("Ready").get("reason", ""))

    def condition(self, kind: str) -> Json:
        return next((c for c in self.status.get("conditions", []) if c["type"] == kind), {})

    def value(self) -> str | None:
        return value_of(self.secret, self.spec.get("secret", {}).get("key", "apiKey"))


def value_of(secret: Json | None, key: str = "apiKey") -> str | None:
    """Return the raw value in a Secret."""
    data = (secret or {}).get("data", {}).get(key)
    return base64.b64decode(data).decode() if data else None


def digest(value: str | None) -> str | None:
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}" if value else None


def new_api_key(spec: Json | None = None, **metadata: Any) -> Json:
    return {
        "apiVersion": "keywright.dev/v1alpha1",
        "kind": "ApiKey",
        "metadata": {
            "name": "checkout",
            "namespace": "shop",
            "uid": UID,
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": stamp(START),
            "annotations": {},
            "finalizers": [],
            **metadata,
        },
        "spec": {"projectRef": {"name": "payments"}, **(spec or {})},
    }


def new_project(spec: Json | None = None) -> Json:
    return {
        "metadata": {"name": "payments", "namespace": "shop", "uid": "project-1"},
        "spec": spec or {},
    }


def new_store(spec: Json | None = None, project: Json | None = None, **metadata: Any) -> Store:
    return Store(api_key=new_api_key(spec, **metadata), project=new_project(project))


def foreign_secret(name: str = "checkout") -> Json:
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": {"owner": "somebody-else"}},
        "type": "Opaque",
        "data": {"apiKey": base64.b64encode(b"theirs").decode()},
    }


@dataclass
class Operator:
    """One process. What it remembers between passes is lost with it, and with it only."""

    store: Store
    number: int = 0
    step_time: timedelta = timedelta(milliseconds=37)
    watching: bool = False

    held: dict[str, RawKey] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    refusal: Refusal | None = None
    verified: Verified | None = None
    reveals_sent: dict[str, int] = field(default_factory=dict)
    secret_version: str | None = None
    reads: int = 0
    restarted: dict[Workload, str] = field(default_factory=dict)
    reading_for: dict[str, datetime] = field(default_factory=dict)

    view: Json | None = None
    secret: SecretView | Absent | Unread = field(default_factory=Unread)
    terminating: bool | None = None
    workloads: dict[Workload, Found] = field(default_factory=dict)
    begun_at: datetime | None = None
    plan: planning.Plan = field(default_factory=planning.Plan)
    fresh_reads: bool = True
    rollout_restart: bool = True
    last_used: LastUsed = NEVER
    told: list[str] = field(default_factory=list)

    def crash(self) -> None:
        """End the process and start another one in its place."""
        self.held, self.refused, self.reveals_sent = {}, set(), {}
        self.restarted, self.reading_for = {}, {}
        self.refusal, self.verified = None, None
        self.last_used = NEVER
        self.view = None
        self._end_pass()

    def begin(self, *, live: bool = True) -> None:
        """Begin a pass: with what the API server has now, or with what is in the cache."""
        if live or self.view is None:
            self._read_api_key()
            self._hear_of_secret(self.store.secret)
        self._end_pass()
        self.begun_at = self.store.now
        new = self.view is not None and not (self.view.get("status") or {}).get("conditions")
        if new and self.watching and self.secret_version is None:
            self.secret = Absent()

    def _end_pass(self) -> None:
        self.secret, self.terminating, self.workloads, self.begun_at = Unread(), None, {}, None

    def _read_api_key(self) -> None:
        self.view = deepcopy(self.store.api_key)

    def _hear_of_secret(self, secret: Json | None) -> None:
        """Be told by a watch, which sees Secrets of our own type only."""
        ours = secret is not None and secret["type"] == SECRET_TYPE
        self.secret_version = secret["metadata"]["resourceVersion"] if secret and ours else None

    def seen(self) -> Seen:
        """Gather what this process knows."""
        assert self.view is not None
        store = self.store
        project = Project.model_validate(store.project) if store.project is not None else None
        records = dict.fromkeys(store.records, RevocationReason.UNSPECIFIED)
        return Seen(
            api_key=ApiKey.model_validate(self.view),
            project=project,
            sealing=SEALING,
            secret=self.secret,
            namespace_terminating=self.terminating,
            verified=self.verified,
            watched=Watched(self.secret_version) if self.watching else None,
            held=self.held,
            refused=frozenset(self.refused),
            refusal=self.refusal,
            revoked=store.revoked | records,
            revoked_whole=store.revoked_whole,
            recorded=frozenset(store.records),
            rollout_restart=self.rollout_restart,
            workloads=self.workloads,
            restarted=self.restarted,
            restarting_since=self.reading_for.get(self._current_id()),
            last_used=self.last_used,
        )

    def look(self) -> Seen:
        """Gather what a pass knows that has just read everything."""
        self.begin()
        secret = deepcopy(self.store.secret)
        self.secret = SecretView.of(secret) if secret else Absent()
        self.terminating = self.store.terminating
        self._read_workloads(ApiKey.model_validate(self.view).status.restarting)
        seen = self.seen()
        self._end_pass()
        return seen

    def _current_id(self) -> str:
        assert self.view is not None
        return str((self.view.get("status") or {}).get("currentKeyID"))

    def _read_workloads(self, workloads: tuple[Workload, ...]) -> None:
        self.reading_for.setdefault(self._current_id(), self.store.now)
        for workload in workloads:
            obj = self.store.workloads.get(workload)
            self.workloads[workload] = WorkloadView.of(workload.kind, deepcopy(obj)) if obj else Missing()

    def mint(self, prefix: str, key_type: KeyType) -> RawKey:
        return raw_keys.mint(prefix, key_type, entropy=self.store.entropy)

    def step(self, fate: Fate = Fate.ANSWERED, *, live: bool = True) -> Request | None:
        """Plan and carry out one action; returns a write that is still on its way."""
        now = self.store.now
        if self.begun_at is None or now - self.begun_at > LEASE:
            self.begin(live=live or self.begun_at is not None)
        if self.view is None:  # the ApiKey is gone
            self.plan = planning.Plan()
            self._end_pass()
            return None
        seen = self.seen()
        self.plan = planning.plan(seen, now, self.mint)
        self.store.now += self.step_time
        action = self.plan.action
        if action is None:
            if not isinstance(self.secret, Unread):
                self.verified = self.plan.verified
            self.told += [f"{h.reason}" for h in self.plan.happenings]
            self._end_pass()
            return None
        if isinstance(action, (ReadSecret, ReadNamespace, ReadWorkloads)):
            self._read(action)
            return None
        return self._send(action, fate)

    def _read(self, action: ReadSecret | ReadNamespace | ReadWorkloads) -> None:
        if isinstance(action, ReadSecret):
            self.reads += 1
            live_secret = self.store.secret
            self.secret = SecretView.of(deepcopy(live_secret)) if live_secret else Absent()
            self._hear_of_secret(live_secret)
            # A held value may only be revealed on the word of an ApiKey that was read after the Secret:
            # whoever revealed another one meanwhile has changed the Secret too.
            if self.held and self.fresh_reads:
                self._read_api_key()
        elif isinstance(action, ReadNamespace):
            self.terminating = self.store.terminating
        else:
            self._read_workloads(action.workloads)
            before = self.view
            if self.fresh_reads:
                self._read_api_key()
            if self.view != before:
                self.secret = Unread()  # what it was before somebody else's write tells nothing

    def _send(self, action: Action, fate: Fate) -> Request | None:
        assert self.view is not None
        metadata = self.view["metadata"]
        if isinstance(action, WriteStatus) and action.publishes is not None:
            self.held[action.publishes.id] = action.publishes
        if isinstance(action, WriteSecret) and action.reveals is not None:
            self.reveals_sent[action.reveals] = self.reveals_sent.get(action.reveals, 0) + 1
        planned_at = self.store.now - self.step_time
        request = Request(
            action, metadata["uid"], metadata["resourceVersion"], planned_at, sender=self.number
        )
        try:
            if fate is Fate.REFUSED and isinstance(action, WriteSecret):
                raise ApiError(403)  # noqa: TRY301
            if fate in {Fate.LOST, Fate.DELAYED}:
                self._abandon()
                return request if fate is Fate.DELAYED else None
            answer = self.store.commit(request)
        except ApiError as error:
            self._failed(action, error.code)
            return None
        if fate is Fate.UNANSWERED:
            self._abandon()
            return None
        self.told += [f"{h.reason}" for h in self.plan.happenings]
        self._done(action, answer)
        return None

    def _done(self, action: Action, answer: Json | None) -> None:
        if isinstance(action, WriteSecret):
            assert answer is not None
            self.secret, self.refusal = SecretView.of(answer), None
            self._hear_of_secret(answer)
        elif isinstance(action, DeleteSecret):
            self.secret = Absent()
        elif isinstance(action, RestartWorkload):
            assert answer is not None
            self.workloads[action.workload] = WorkloadView.of(action.workload.kind, answer)
            self.restarted[action.workload] = action.value
        elif answer is not None:
            self.view = answer
            if isinstance(action, WriteStatus) and action.activates is not None:
                self.workloads = {}

    def _failed(self, action: Action, code: int) -> None:
        if isinstance(action, DeleteSecret) and code == 404:
            self.secret = Absent()
        elif isinstance(action, RestartWorkload):
            self.workloads.pop(action.workload)
        elif isinstance(action, WriteSecret) and code in {403, 422}:
            if action.reveals is not None and self.reveals_sent[action.reveals] == 1:
                self.refused.add(action.reveals)
            assert self.view is not None
            generation = self.view["metadata"]["generation"]
            self.refusal = Refusal("exceeded quota", self.store.now + RETRY, generation)
        else:
            created = isinstance(action, WriteSecret) and "uid" not in action.manifest["metadata"]
            if created and isinstance(action, WriteSecret) and action.reveals is not None and code == 409:
                self.refused |= {action.reveals} if self.reveals_sent[action.reveals] == 1 else set()
            self._abandon()

    def _abandon(self) -> None:
        """Nobody knows what came of it: begin anew with live reads."""
        self._read_api_key()
        self._end_pass()

    def run(self, limit: int = 40) -> list[Action]:
        """Go on undisturbed until there is nothing to do; returns the writes."""
        before = len(self.store.changes)
        for _ in range(limit):
            self.step()
            if self.plan.action is None:
                return [change.request.action for change in self.store.changes[before:]]
        raise AssertionError(f"it does not come to rest: {self.plan.action}")

    def run_until(self, done: Callable[[Action], bool], limit: int = 20) -> Action:
        """Go on until it has sent the action that is meant; returns it."""
        for _ in range(limit):
            before = len(self.store.changes)
            self.step()
            for change in self.store.changes[before:]:
                if done(change.request.action):
                    return change.request.action
        raise AssertionError(f"it never comes: {self.plan.action}")


__all__ = [
    "LEASE",
    "SEALING",
    "SECRET_TYPE",
    "START",
    "UID",
    "ApiError",
    "Change",
    "Entropy",
    "Fate",
    "Operator",
    "Request",
    "Store",
    "digest",
    "foreign_secret",
    "new_api_key",
    "new_project",
    "new_store",
    "seconds",
    "stamp",
    "value_of",
]
