"""Several replicas and one Lease: one acts, another takes over, and nobody does what it may not any more."""

from __future__ import annotations

import signal
import time
import urllib.error
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from harness import audit
from harness.account import ACCOUNT, write_kubeconfig
from harness.operator import Operator
from harness.proxy import Proxy
from harness.team import ROTATE, digest_of, generations, ready
from harness.waiting import PATIENCE, until
from harness.writes import WRITING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.api import Api, Object
    from harness.history import History
    from harness.leaks import Leaks
    from harness.team import Team

LEASE = "keywright-operator"
TAKEOVER = 20.0
"""Seconds within which another one acts when the leader was killed."""
HANDOVER = 5.0
"""Seconds within which another one acts when the leader has ended, as it was told: standbys look each second.

Without a release it would take the rest of a term, 7 at least.
"""
TERM = 10.0
"""Seconds for which nobody else takes a Lease that is not renewed."""


class Replica(NamedTuple):
    """One operator of several."""

    operator: Operator
    token: str

    def leads(self) -> bool:
        """Whether it says that it acts."""
        return self.operator.metric("keywright_leader") == 1

    def logged(self, event: str) -> list[Object]:
        """Return its log lines that begin like this."""
        return [line for line in self.operator.lines() if line["event"].startswith(event)]

    def ready(self) -> tuple[int, str]:
        """Return what a kubelet gets from /readyz."""
        try:
            return 200, self.operator.get("/readyz")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def replica(
    admin: Api, system_namespace: str, logs: Path, leaks: Leaks, tmp_path: Path
) -> Iterator[Callable[..., Replica]]:
    """Start replicas, each with a token of its own; none is left over, nor their Lease."""
    started: list[Replica] = []

    def start(*arguments: str, via: Proxy | None = None) -> Replica:
        file = tmp_path / f"kubeconfig-{len(started)}"
        server = via.url if via else None
        token = write_kubeconfig(file, admin, system_namespace, ACCOUNT, server=server)
        log = logs / f"{tmp_path.name}-{len(started)}.log"
        started.append(Replica(Operator(file, log, ("--leader-elect", *arguments)), token))
        return started[-1]

    yield start
    for one in started:
        one.operator.process.send_signal(signal.SIGCONT)
        one.operator.kill()
    admin.delete("Lease", LEASE, system_namespace)


@pytest.fixture
def pair(replica: Callable[..., Replica]) -> tuple[Replica, Replica]:
    """Two replicas: the one that leads, and the other."""
    both = [replica(), replica()]
    for one in both:
        one.operator.until_ready()
    until(lambda: sum(one.leads() for one in both), lambda count: count == 1, what="one of them leads")
    leader, standby = sorted(both, key=Replica.leads, reverse=True)
    return leader, standby


@pytest.fixture
def proxy(admin: Api) -> Iterator[Proxy]:
    """A way to the API server that can be cut."""
    made = Proxy(admin)
    yield made
    made.stop()


def test_one_of_two_acts_and_told_to_end_hands_over_at_once(
    admin: Api, system_namespace: str, pair: tuple[Replica, Replica], team: Team, audit_log: Path | None
) -> None:
    leader, standby = pair
    assert standby.operator.metric("keywright_queue_depth") == 0
    team.minted()
    lease = admin.get("Lease", LEASE, system_namespace)["spec"]
    assert (lease["leaseDurationSeconds"], lease["leaseTransitions"]) == (10, 0)
    assert [lease["holderIdentity"]] == [line["identity"] for line in leader.logged("leading")]
    assert [lease["holderIdentity"]] == [line["leader"] for line in standby.logged("standing by")]
    if audit_log:
        until(lambda: _writes(audit_log, leader), bool, what="the audit log tells of the leader's writes")
        assert [] == _writes(audit_log, standby)

    assert leader.operator.stop() == 0
    ended = datetime.now(UTC)
    team.create("next")
    team.until_ready("next")
    (leading,) = standby.logged("leading")
    assert (datetime.fromisoformat(leading["timestamp"]) - ended).total_seconds() < HANDOVER
    assert admin.get("Lease", LEASE, system_namespace)["spec"]["leaseTransitions"] == 1


def test_killed_it_is_succeeded_within_twenty_seconds_and_nothing_is_lost(
    admin: Api, system_namespace: str, pair: tuple[Replica, Replica], team: Team
) -> None:
    leader, standby = pair
    before = team.minted()
    leader.operator.kill()
    killed = datetime.now(UTC)
    renewed = admin.get("Lease", LEASE, system_namespace)["spec"]["renewTime"]
    team.create("next")
    team.annotate({ROTATE: "now"})
    team.until_ready("next")
    (leading,) = standby.logged("leading")
    began = datetime.fromisoformat(leading["timestamp"])
    assert (began - killed).total_seconds() < TAKEOVER
    assert (began - datetime.fromisoformat(renewed)).total_seconds() >= TERM, "the dead one's term was over"
    team.until_revision(2)
    assert team.get()["status"]["keys"][1]["id"] == before["status"]["currentKeyID"]


def test_stopped_past_its_term_it_writes_nothing_more_and_ends(
    pair: tuple[Replica, Replica], team: Team, record: Callable[..., History], audit_log: Path | None
) -> None:
    leader, standby = pair
    names = [f"key-{number}" for number in range(20)]
    history = record(team.namespace, "ApiKey", "Secret")
    for name in names:
        team.create(name, rotation={"policy": "Never", "overlap": "2s"})
    leader.operator.process.send_signal(signal.SIGSTOP)  # in the middle of them
    for name in names:
        team.annotate({ROTATE: "now"}, name)
    until(lambda: _leads(standby), bool, what="the other one leads")
    resumed = datetime.now(UTC)
    leader.operator.process.send_signal(signal.SIGCONT)
    assert leader.operator.process.wait(timeout=PATIENCE) not in {0, -signal.SIGKILL}
    assert leader.logged("lost the Lease")
    for name in names:
        key = team.until(
            lambda key: ready(key) == "Active" and "now" in key["status"].get("handledTokens", []), name
        )
        assert [digest_of(team.value(name))] == [g["digest"] for g in generations(key, "Active")]
    history.caught_up()
    for name in names:
        revisions = [one.obj.get("status", {}).get("revision", 0) for one in history.versions("ApiKey", name)]
        assert revisions == sorted(revisions)
    if audit_log:
        late = [write for write in _writes(audit_log, leader) if write.at > resumed]
        assert [] == [write for write in late if write.code < 400]


def test_what_people_do_to_the_lease(
    admin: Api, system_namespace: str, pair: tuple[Replica, Replica], team: Team
) -> None:
    leader, standby = pair
    holder = admin.get("Lease", LEASE, system_namespace)["spec"]["holderIdentity"]

    admin.delete("Lease", LEASE, system_namespace)
    lease = until(lambda: admin.find("Lease", LEASE, system_namespace), bool, what="there is a Lease again")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == holder
    team.minted()
    assert (leader.leads(), standby.leads()) == (True, False)

    admin.patch("Lease", LEASE, system_namespace, {"spec": {"holderIdentity": "somebody else"}})
    assert leader.operator.process.wait(timeout=PATIENCE) not in {0, -signal.SIGKILL}
    (line,) = leader.logged("lost the Lease")
    assert "somebody else" in line["error"]
    assert leader.logged("the operator ends")
    team.create("next")
    team.until_ready("next")
    assert standby.leads()


def test_without_the_right_to_use_the_lease_it_is_not_ready_and_says_what_to_grant(
    replica: Callable[..., Replica], team: Team
) -> None:
    one = replica("--lease-name=not-granted")
    team.create()
    status, problems = until(lambda: _ready(one), lambda ready: "grant" in ready[1])
    assert status == 503
    for word in ("Lease not-granted", "leases", "system namespace", "--lease-name", "--no-leader-elect"):
        assert word in problems
    assert len(one.logged("the Lease not-granted may not be used")) == 1
    assert one.operator.get("/healthz") == "ok\n"
    assert "keys" not in (team.get()["status"])
    assert one.operator.stop() == 0


def test_cut_off_alone_it_stops_acting_before_another_one_begins_and_ends_once_it_learns_of_it(
    replica: Callable[..., Replica], proxy: Proxy, team: Team
) -> None:
    leader = replica(via=proxy)
    until(lambda: _leads(leader), bool, what="it leads")
    standby = replica()
    standby.operator.until_ready()
    team.minted()
    proxy.cut()
    until(standby.leads, bool, what="the other one leads")
    assert not leader.leads()
    team.create("next")
    team.until_ready("next")
    status, _ = until(leader.ready, lambda ready: ready[0] == 503)
    assert status == 503
    proxy.heal()
    assert leader.operator.process.wait(timeout=PATIENCE) not in {0, -signal.SIGKILL}
    assert leader.logged("lost the Lease")


def test_when_nobody_can_reach_the_api_server_it_lives_on_and_goes_on_afterwards(
    replica: Callable[..., Replica], proxy: Proxy, team: Team
) -> None:
    only = replica(via=proxy)
    only.operator.until_ready()
    until(only.leads, bool)
    process = only.operator.process
    team.minted()
    proxy.cut()
    team.create("next")
    until(only.leads, lambda leads: not leads, what="its term is over")
    until(only.ready, lambda ready: ready[0] == 503)
    assert only.operator.get("/healthz") == "ok\n"
    proxy.heal()
    team.until_ready("next")
    assert only.leads()
    assert (process.poll(), len(only.logged("lost the Lease"))) == (None, 0)

    proxy.cut()
    begun = time.monotonic()
    assert only.operator.stop() == 0
    assert time.monotonic() - begun < 15, "a release that is not answered, for 30 s, holds nothing up"


@pytest.mark.usefixtures("leaks")
def test_while_the_system_namespace_goes_and_no_lease_can_be_the_last_leader_goes_on(
    admin: Api, kubeconfig: Path, logs: Path, team: Team
) -> None:
    """As the administrator: whoever has its rights from Roles there loses them with the namespace."""
    going = f"{team.namespace}-system"
    holding = {"name": "holding", "namespace": going, "finalizers": ["tests/hold"]}
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": going}})
    admin.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": holding})
    one = Operator(kubeconfig, logs / f"{going}.log", ("--leader-elect", f"--system-namespace={going}"))
    try:
        one.until_ready()
        team.minted()
        admin.delete("Namespace", going)
        refused = 'keywright_api_requests_total{code="403",resource="leases",verb="create"}'
        until(lambda: one.metric(refused), lambda count: count >= 4, what="its term is over")
        assert one.metric("keywright_leader") == 1
        team.delete()
        team.until_gone()
    finally:
        admin.patch("ConfigMap", "holding", going, {"metadata": {"finalizers": None}})
        assert one.stop() == 0


class _Write(NamedTuple):
    at: datetime
    what: str
    code: int


def _writes(audit_log: Path, replica: Replica) -> list[_Write]:
    """Return the writes of one replica, those of Leases aside."""
    found = []
    for entry in audit.entries(audit_log):
        tokens = entry["user"].get("extra", {}).get("authentication.kubernetes.io/credential-id", [])
        resource = entry.get("objectRef", {}).get("resource")
        if replica.token in tokens and entry["verb"] in WRITING and resource != "leases":
            at = datetime.fromisoformat(entry["requestReceivedTimestamp"])
            found.append(_Write(at, f"{entry['verb']} {resource}", entry["responseStatus"]["code"]))
    return found


def _leads(replica: Replica) -> bool:
    """Whether a replica leads that may only just be starting."""
    with suppress(OSError, StopIteration):
        return replica.leads()
    return False


def _ready(replica: Replica) -> tuple[int, str]:
    with suppress(OSError, StopIteration):
        return replica.ready()
    return 0, ""
