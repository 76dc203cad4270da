"""Any history at all: edits, losses, crashes, two operators at once, requests that land late.

Every write is judged by the ledger as it is committed; whenever the operator is left in peace the ApiKey
must come to rest where the contract says, and stay there until the time that the plan itself names.

HYPOTHESIS_PROFILE=long runs for an hour; `quick` looks for a failure and does not shrink it.
"""

from __future__ import annotations

import base64
import os
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import ledger as book
from keywright.api.revocation import RevocationReason
from keywright.api.workload import Workload
from keywright.keys.plan import plan
from keywright.keys.usage import LastUsed
from world import (
    SECRET_TYPE,
    ApiError,
    Fate,
    Operator,
    Request,
    Store,
    digest,
    foreign_secret,
    new_project,
    new_store,
    seconds,
    stamp,
    value_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from world import Json

LANDS_WITHIN = seconds(30)

LIFETIMES = st.sampled_from([None, "0s", "30s", "10m", "90m", "24h"])
ROTATIONS = st.sampled_from(
    [
        None,
        {"policy": "Never"},
        {"policy": "Never", "overlap": "5m"},
        {"interval": "10m"},
        {"interval": "10m", "overlap": "0s"},
        {"interval": "10m", "overlap": "5m"},
        {"interval": "60m", "overlap": "60m"},
        {"interval": "60m", "overlap": "5m"},
        {"interval": "60m"},
        {"beforeExpiry": "3m"},
        {"beforeExpiry": "3m", "overlap": "30s"},
        {"schedule": book.CRON},
        {"schedule": book.CRON, "overlap": "60m"},
        {"schedule": "never"},
    ]
)
ENDS = st.sampled_from([None, None, -10, 5, 45, 600, 5400, 86400])
SECRETS = st.sampled_from(
    [
        {},
        {"onLoss": "Alert"},
        {"data": {"env": "KEY=$(API_KEY) UNTIL=$(EXPIRES_AT)"}},
        {"data": {"other": "$(KEY_ID)"}, "labels": {"team": "a"}, "annotations": {"note": "b"}},
    ]
)
JUMPS = st.sampled_from(
    [0.2, 1, 5, 9, 11, 29, 31, 61, 90, 119, 121, 301, 600, 1800, 3600, 5400, 86400, 400000]
)
FATES = st.sampled_from(
    [Fate.ANSWERED] * 6 + [Fate.LOST, Fate.UNANSWERED, Fate.DELAYED, Fate.DELAYED, Fate.REFUSED]
)
TOKENS = st.sampled_from(["a", "b", "c", "d", "no token", ""])
WORK = st.lists(FATES, max_size=8)
PROCESSES = st.sampled_from([0, 1])
EDITS = st.sampled_from(
    ["expiresAfter", "expiresAt", "rotation", "suspend", "secret", "scopes", "rolloutRestart"]
)
RESTARTS = st.lists(
    st.sampled_from(["web", "api", "absent"]).map(lambda name: {"kind": "Deployment", "name": name}),
    max_size=3,
    unique_by=lambda workload: workload["name"],
)


class Keys(RuleBasedStateMachine):
    """One ApiKey in a hostile world."""

    store: Store
    ledger: book.Ledger
    operators: list[Operator]

    @initialize(
        spec=st.fixed_dictionaries({}, optional={"expiresAfter": LIFETIMES, "rotation": ROTATIONS}),
        restarts=RESTARTS,
        minted=st.booleans(),
        watching=st.tuples(st.booleans(), st.booleans()),
    )
    def create(self, spec: Json, restarts: list[Json], watching: tuple[bool, bool], *, minted: bool) -> None:
        spec = {name: value for name, value in spec.items() if value is not None}
        self.store = new_store((spec if accepted(spec) else {}) | {"rolloutRestart": restarts})
        for name in ("web", "api"):
            self.store.add_workload(name)
        self.ledger = book.Ledger(self.store)
        self.operators = [
            Operator(self.store, number=number, watching=watches) for number, watches in enumerate(watching)
        ]
        self.late: list[Request] = []
        self.values: list[str] = []
        self.touched = False
        for _ in range(12 if minted else 0):
            self._step(self.operators[0], Fate.ANSWERED)

    # The operators.

    @rule(number=PROCESSES, fates=WORK, live=st.booleans())
    def work(self, number: int, fates: list[Fate], *, live: bool) -> None:
        for fate in fates:
            self._step(self.operators[number], fate, live=live)

    def _then(self, fates: list[Fate]) -> None:
        """Let the operator go on after a disturbance."""
        for fate in fates:
            self._step(self.operators[0], fate)

    @rule(number=PROCESSES, steps=st.integers(0, 7), fate=FATES, after=st.booleans())
    def crash(self, number: int, steps: int, fate: Fate, *, after: bool) -> None:
        operator = self.operators[number]
        for _ in range(steps):
            self._step(operator, Fate.ANSWERED)
        if after:
            self._step(operator, fate)
        operator.crash()

    def _step(self, operator: Operator, fate: Fate, *, live: bool = True) -> None:
        request = operator.step(fate, live=live)
        self.ledger.refused |= operator.refused
        if request is not None:
            self.late.append(request)
        value = self.store.value() if self.store.api_key else None
        if value and value.startswith("kw_") and value not in self.values:
            self.values.append(value)
        self.ledger.check()

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        request = self.late.pop(data.draw(st.integers(0, len(self.late) - 1)))
        try:
            self.store.commit(request, late=True)
        except ApiError:
            return
        self.ledger.check()

    @rule(jump=JUMPS, then=WORK)
    def wait(self, jump: float, then: list[Fate]) -> None:
        self._pass_time(seconds(jump))
        self._then(then)

    @rule(then=WORK)
    def wait_until_due(self, then: list[Fate]) -> None:
        due = self.operators[0].plan.due
        if due is not None and due > self.store.now:
            self._pass_time(due - self.store.now)
        self._then(then)

    @rule(then=WORK)
    def wait_for_the_rotation(self, then: list[Fate]) -> None:
        due = self.store.status.get("nextRotationTime")
        if due is not None and book.time_of(due) > self.store.now:
            self._pass_time(book.time_of(due) - self.store.now)
        self._then(then)

    def _pass_time(self, length: timedelta) -> None:
        self.store.now += length
        self.late = [r for r in self.late if self.store.now <= r.sent_at + LANDS_WITHIN]

    # The people.

    def _alive(self) -> bool:
        return self.store.api_key is not None and "deletionTimestamp" not in self.store.api_key["metadata"]

    @precondition(_alive)
    @rule(field=EDITS, data=st.data(), then=WORK)
    def edit(self, field: str, data: st.DataObject, then: list[Fate]) -> None:
        value: Any
        if field == "expiresAt":
            end = data.draw(ENDS)
            value = None if end is None else stamp(self.store.now + seconds(end))
            self.ledger.moved_on = True
        else:
            value = data.draw(
                {
                    "expiresAfter": LIFETIMES,
                    "rotation": ROTATIONS,
                    "suspend": st.sampled_from([False, False, True]),
                    "secret": SECRETS,
                    "scopes": st.sampled_from([None, ["data:read"], ["data:*"], ["other"]]),
                    "rolloutRestart": RESTARTS,
                }[field]
            )
        spec = {k: v for k, v in (self.store.spec | {field: value}).items() if v is not None}
        if accepted(spec):
            self.store.edit({field: value})
            self.ledger.observe()
        self._then(then)

    @precondition(_alive)
    @rule(
        annotation=st.sampled_from(book.TOKEN_ANNOTATIONS),
        token=st.none() | TOKENS,
        then=WORK,
    )
    def annotate(self, annotation: str, token: str | None, then: list[Fate]) -> None:
        self.store.annotate(annotation, token)
        self._then(then)

    @precondition(_alive)
    @rule(
        change=st.sampled_from(["suspend", "resume", "delete", "maximum", "defaults", "catalogue"]),
        maximum=st.sampled_from([None, "5m", "60m"]),
        lifetime=LIFETIMES,
        rotation=ROTATIONS,
    )
    def edit_project(
        self, change: str, maximum: str | None, lifetime: str | None, rotation: Json | None
    ) -> None:
        if self.store.project is None:
            self.store.project = new_project(deepcopy(self.ledger.last_project))
            self.ledger.observe()
            return
        spec = deepcopy(self.store.project["spec"])
        if spec.pop("suspend", False):
            change = "resume"
        if change == "delete":
            self.ledger.observe()
            self.store.project = None
            return
        if change == "suspend":
            spec["suspend"] = True
        elif change == "maximum":
            spec["limits"] = {"maxExpiresAfter": maximum} if maximum else {}
            self.ledger.moved_on = True
        elif change == "defaults":
            given = {"expiresAfter": lifetime, "rotation": rotation}
            defaults = {name: value for name, value in given.items() if value is not None}
            spec["defaults"] = defaults if accepted(defaults) else {}
        elif change == "catalogue":
            spec["scopes"] = [] if spec.get("scopes") else [{"name": "data:read"}]
        self.store.project["spec"] = spec
        self.ledger.observe()

    @precondition(_alive)
    @rule(
        kind=st.sampled_from(["delete", "edit", "entries", "back", "immutable", "type", "foreign"]),
        data=st.data(),
        then=WORK,
    )
    def tamper(self, kind: str, data: st.DataObject, then: list[Fate]) -> None:
        self._tamper(kind, data)
        if self.touched and not self.operators[0].watching:
            self.operators[0].verified = None
        self._then(then)

    def _tamper(self, kind: str, data: st.DataObject) -> None:
        secret = deepcopy(self.store.secret)
        self.touched = True
        if kind == "delete":
            secret = None
        elif secret is None:
            return
        elif secret["type"] != SECRET_TYPE:
            secret = None
        elif kind == "foreign":
            secret = foreign_secret()
        elif kind == "entries":
            secret["data"]["theirs"] = "eA=="
            secret["data"].pop("env", None)
            secret["metadata"]["labels"].pop("team", None)
            self.store.put_secret(secret)
            return
        elif kind == "immutable":
            secret["immutable"] = True
        elif kind == "type":
            secret["type"] = "Opaque"
        else:
            old = data.draw(st.sampled_from([*self.values, "by hand"])) if kind == "back" else "by hand"
            secret["data"]["apiKey"] = base64.b64encode(old.encode()).decode()
        self.store.put_secret(secret)
        self.ledger.tampered = self.ledger.losable = True

    @precondition(lambda self: self._alive() and self.store.keys)
    @rule(data=st.data(), then=WORK)
    def revoke(self, data: st.DataObject, then: list[Fate]) -> None:
        key_id = data.draw(st.sampled_from([generation["id"] for generation in self.store.keys]))
        self.store.revoked[key_id] = RevocationReason.KEY_COMPROMISE
        self.ledger.losable = True
        self._then(then)

    @precondition(lambda self: self._alive() and self.store.keys)
    @rule(number=PROCESSES, data=st.data(), ago=st.integers(0, 4000), due=st.booleans(), then=WORK)
    def use(self, number: int, data: st.DataObject, ago: int, then: list[Fate], *, due: bool) -> None:
        key_id = data.draw(st.sampled_from([generation["id"] for generation in self.store.keys]))
        operator = self.operators[number]
        times = {**operator.last_used.times, key_id: self.store.now - seconds(ago)}
        operator.last_used = LastUsed(times, due=due)
        self._then(then)

    @precondition(lambda self: self._alive() and self.store.status.get("revision"))
    @rule(luck=st.integers(0, 4))
    def wipe_status(self, luck: int) -> None:
        if luck != 3:
            return
        self.store.wipe_status()
        self.ledger.wipe()
        self.late = []
        for operator in self.operators:
            operator.crash()

    @precondition(_alive)
    @rule(luck=st.integers(0, 30))
    def delete(self, luck: int) -> None:
        if luck == 7:
            self.store.delete()

    @precondition(_alive)
    @rule(luck=st.integers(0, 40))
    def revoke_whole(self, luck: int) -> None:
        if luck == 7:
            self.store.revoked_whole = RevocationReason.KEY_COMPROMISE

    # The workloads.

    @precondition(lambda self: self.store.workloads)
    @rule(data=st.data(), gone=st.sampled_from([False] * 5 + [True]), then=WORK)
    def workload(self, data: st.DataObject, then: list[Fate], *, gone: bool) -> None:
        workload = data.draw(st.sampled_from(sorted(self.store.workloads, key=str)))
        if gone:
            del self.store.workloads[workload]
        else:
            self.store.roll_out(workload)
        self._then(then)

    # What must be so when nothing disturbs.

    @rule(number=PROCESSES, ticks=st.lists(st.floats(0.001, 0.999), max_size=3))
    def settle(self, number: int, ticks: list[float]) -> None:
        operator = self.operators[number]
        operator.begin()
        operator.refusal = None
        if self.touched and not operator.watching:  # ten minutes have passed
            operator.verified = None
        for _ in range(30):
            self._step(operator, Fate.ANSWERED)
            if operator.plan.action is None:
                break
        else:
            raise AssertionError(f"I12 it does not come to rest: {operator.plan.action}")
        if self.store.api_key is None:
            assert self.store.secret is None or not book.owned(self.store.secret)
            return
        assert "deletionTimestamp" not in self.store.api_key["metadata"], "I8 deletion does not complete"
        due, before = operator.plan.due, len(self.store.changes)
        assert due is not None or operator.watching
        due = due or self.store.now + timedelta(hours=1)
        assert due > self.store.now - operator.step_time, due
        for _ in range(4):
            if self.store.now < due:
                self._step(operator, Fate.ANSWERED)
        assert before == len(self.store.changes), ("I12", self.store.changes[-1].request)
        if self.store.now < due:
            self._rests_until(operator, due, ticks)
            self._as_the_contract_says()

    def _rests_until(self, operator: Operator, due: datetime, ticks: list[float]) -> None:
        seen, now = operator.look(), self.store.now
        for tick in [*ticks, 0.9999]:
            moment = now + (due - now) * tick
            if now <= moment < due:
                then = plan(seen, moment, operator.mint)
                assert then.action is None, ("nothing is due before its time", moment, due, then.action)

    def _as_the_contract_says(self) -> None:
        store, policy = self.store, self.ledger.policy
        assert store.api_key is not None
        now, keys, ready = store.now, store.keys, store.ready()
        expected = self._reasons()
        assert ready in expected, (ready, expected, keys)
        status = store.status
        assert status["observedGeneration"] == store.api_key["metadata"]["generation"]
        assert all(c["observedGeneration"] == status["observedGeneration"] for c in status["conditions"])
        kinds = {c["type"] for c in status["conditions"]}
        if ready in {"Active", "Suspended", "ProjectSuspended"}:
            assert {"Ready", "Rotating"} == kinds
        for generation in keys:
            end = policy.end(generation)
            if self.store.project is not None and generation["state"] in {"Active", "Retiring"}:
                assert now - seconds(61) < end, ("the state says it 60 s later", generation)
            if generation["state"] == "Pending":
                assert now < book.time_of(generation["createdAt"]) + seconds(121), "120 s"
        if ready == "Active":
            self._is_in_order(keys)

    def _is_in_order(self, keys: list[Json]) -> None:
        store, policy = self.store, self.ledger.policy
        active = [generation for generation in keys if generation["state"] == "Active"]
        assert 1 == len(active), ("I2", keys)
        assert digest(store.value()) == active[0]["digest"], "I4"
        assert active[0]["id"] == store.status["currentKeyID"]
        assert active[0]["revision"] == store.status["revision"]
        assert active[0]["id"] not in store.revoked
        assert active[0]["id"] not in store.records
        rotating = store.condition("Rotating").get("reason")
        self._restarts(active[0], rotating)
        beside = [g for g in keys if g["state"] != "Pending" and policy.valid(g, store.now)]
        full = rotating == "OverlapFull" or (rotating == "RestartingWorkloads" and len(beside) >= 4)
        crowded = [g["state"] for g in keys if policy.valid(g, store.now)].count("Pending") >= 1
        if not (full or crowded):
            assert store.api_key is not None
            annotations = store.api_key["metadata"]["annotations"]
            asked = {annotations.get(name, "") for name in book.TOKEN_ANNOTATIONS}
            handled = set(store.status.get("handledTokens", []))
            assert {token for token in asked if book.well_formed(token)} <= handled, "I19 a token is due"
            last = store.spec.get("expiresAt")
            if not policy.invalid and (last is None or book.time_of(last) > store.now):
                due = policy.rotation_due(active[0], store.now - seconds(2))
                assert not due or "schedule" in policy.rotation, "I19 a rotation is due"
        secret = store.secret
        assert secret is not None
        wanted = store.spec.get("secret", {})
        assert set(wanted.get("data", {})) | {"apiKey"} == set(secret["data"]) - {"theirs"}
        assert set(wanted.get("labels", {})) <= set(secret["metadata"]["labels"])
        if "env" in wanted.get("data", {}):
            expiry = policy.expiry(active[0])
            until = "" if expiry.year == 9999 else stamp(expiry)
            assert f"KEY={store.value()} UNTIL={until}" == value_of(secret, "env")

    def _restarts(self, active: Json, rotating: str | None) -> None:
        """What is said to be restarting was restarted for the current key, once, and not yet rolled out."""
        restarting = self.store.status.get("restarting", [])
        assert (rotating == "RestartingWorkloads") == bool(restarting)
        assert rotating in {"Idle", "Overlap", "OverlapFull", "RestartingWorkloads"}
        for named in restarting:
            assert named in self.store.spec["rolloutRestart"]
            workload = self.store.workloads[Workload.model_validate(named)]
            annotations = workload["spec"]["template"]["metadata"]["annotations"]
            assert f"{active['revision']}.{active['id']}" in annotations.values()
            assert workload["status"]["observedGeneration"] < workload["metadata"]["generation"]

    def _reasons(self) -> set[str]:  # noqa: C901, PLR0911, PLR0912  the table of the contract, row by row
        """Which Ready reasons the contract allows: the first that applies, where that can be told."""
        store, policy = self.store, self.ledger.policy
        now, keys = store.now, store.keys
        current = next((g for g in keys if g["id"] == store.status.get("currentKeyID")), None)
        ends_at = store.spec.get("expiresAt")
        ended = ends_at is not None and book.time_of(ends_at) <= now
        alive = current is not None and current["state"] == "Active" and policy.valid(current, now)
        if store.project is not None and policy.invalid:
            return {"InvalidSpec"}
        if store.project is None and (store.spec.get("rotation") or {}).get("schedule") == "never":
            return {"InvalidSpec"}
        if store.revoked_whole is not None:
            return {"Revoked"}
        if ended:
            return {"Expired"}
        expired = {"Expired"} if current and not alive and current["state"] != "Revoked" else set()
        if store.project is None:
            return {"ProjectNotFound"} | expired
        scopes = store.spec.get("scopes", [])
        if store.project["spec"].get("scopes") and scopes == ["other"]:
            return {"ScopeNotAllowed"} | expired
        if store.spec.get("suspend"):
            return {"Suspended"} | expired
        if store.project["spec"].get("suspend"):
            return {"ProjectSuspended"} | expired
        if store.secret is not None and not book.owned(store.secret):
            return {"SecretConflict"} | expired
        if alive and digest(store.value()) != (current or {})["digest"]:
            return {"SecretLost"}
        if alive and (store.secret or {}).get("immutable"):
            return {"SecretLost"}
        if alive and (store.secret or {}).get("type") != SECRET_TYPE:
            return {"SecretLost"}
        pending = sum(g["state"] == "Pending" for g in keys)
        if expired and not pending:
            return {"Expired"}
        if alive:
            return {"Active"}
        assert pending == 3 or expired, ("why is nothing minted?", keys, store.ready())
        return {"Minting"} | expired


def accepted(spec: Json) -> bool:
    """Whether the API server takes these two fields together."""
    lifetime = book.LENGTHS[spec.get("expiresAfter") or "0s"]
    rotation = spec.get("rotation") or {}
    if not lifetime:
        return True
    before, interval = rotation.get("beforeExpiry"), rotation.get("interval")
    if before and book.LENGTHS[before] + seconds(10) > lifetime:
        return False
    return not interval or book.LENGTHS[interval] < lifetime


COMMON = settings(stateful_step_count=50, deadline=None, print_blob=True)
PROFILES = {
    "ci": settings(COMMON, max_examples=150, derandomize=True),
    # Only whether something is wrong: for seeded bugs, whose smallest history nobody needs.
    "quick": settings(
        COMMON, max_examples=300, database=None, report_multiple_bugs=False, phases=[Phase.generate]
    ),
    "same": settings(
        COMMON, max_examples=300, derandomize=True, report_multiple_bugs=False, phases=[Phase.generate]
    ),
    "long": settings(COMMON, max_examples=10_000),
}

TestKeys = Keys.TestCase
TestKeys.settings = PROFILES[os.environ.get("HYPOTHESIS_PROFILE", "ci")]
