"""Workloads are restarted once for each key, the first included, whatever becomes of the operator.

There are no nodes: a workload of no replicas is rolled out as soon as its controller has seen the change, one
of one replica never.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from harness.team import ROTATE, Team, condition, ready
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.api import Object
    from harness.history import History
    from harness.operator import Operator

    Start = Callable[..., Operator]

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
BY_HAND = {"policy": "Never", "overlap": "1h"}
AT_ONCE = {"policy": "Never", "overlap": "0s"}


@pytest.fixture
def start(start_operator: Callable[..., Operator], restarting_kubeconfig: Path) -> Iterator[Start]:
    """Start operators that serve one team only, as the chart does with rolloutRestart: true or false."""
    running: list[Operator] = []

    def begin(team: Team, *, flag: bool = True, granted: bool = True) -> Operator:
        arguments = [f"--namespaces={team.namespace}", *(["--rollout-restart"] if flag else [])]
        account = {"kubeconfig": restarting_kubeconfig} if granted else {}
        running.append(start_operator(*arguments, **account))
        return running[-1].until_ready()

    yield begin
    for operator in running:
        operator.stop()


@pytest.fixture(scope="module")
def shop(
    make_team: Callable[[], Team], start_operator: Callable[..., Operator], restarting_kubeconfig: Path
) -> Iterator[Team]:
    """A team whose operator may restart workloads."""
    team = make_team()
    arguments = (f"--namespaces={team.namespace}", "--rollout-restart")
    operator = start_operator(*arguments, kubeconfig=restarting_kubeconfig).until_ready()
    yield team
    assert operator.stop() == 0


def deploy(team: Team, name: str, kind: str = "Deployment", *, replicas: int = 0) -> dict[str, str]:
    """Create a workload and wait until it is as it will be; return how an ApiKey lists it."""
    labels = {"app": name}
    container = {"name": "main", "image": "example.com/none"}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    if kind != "DaemonSet":
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec["serviceName"] = name
    metadata = {"name": name, "namespace": team.namespace}
    team.api.create({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec})
    until(
        lambda: team.api.get(kind, name, team.namespace)["status"].get("observedGeneration"),
        bool,
        what=f"the controller manager has seen the {kind}",
    )
    return {"kind": kind, "name": name}


def restarts(team: Team, listed: dict[str, str]) -> int:
    """Return how often the spec of a workload has changed since its creation."""
    found = team.api.get(listed["kind"], listed["name"], team.namespace)
    return int(found["metadata"]["generation"]) - 1


def rotating(key: Object) -> str:
    return str(condition(key, "Rotating").get("reason", ""))


def rotate(team: Team, token: str, name: str) -> None:
    team.annotate({ROTATE: token}, name)


def test_each_kind_is_restarted_once_for_each_key(shop: Team, record: Callable[..., History]) -> None:
    listed = [deploy(shop, "each", kind) for kind in KINDS]
    history = record(shop.namespace, "ApiKey")
    shop.minted("each", rotation=BY_HAND, rolloutRestart=listed)
    shop.until(lambda key: rotating(key) == "Idle", "each")
    assert [restarts(shop, one) for one in listed] == [1, 1, 1], "their pods may run without the Secret"
    for revision in (2, 3):
        rotate(shop, f"token-{revision}", "each")
        key = shop.until_revision(revision, "each")
        key = shop.until(lambda key: rotating(key) == "Overlap", "each")
        assert [restarts(shop, one) for one in listed] == [revision] * 3

    assert ready(key) == "Active"
    assert "restarting" not in key["status"]
    said = [rotating(one.obj) for one in history.caught_up().versions("ApiKey", "each")]
    assert [reason for reason, _ in itertools.groupby(said)] == [
        "",
        "Idle",
        "RestartingWorkloads",
        "Idle",
        "RestartingWorkloads",
        "Overlap",
        "RestartingWorkloads",
        "Overlap",
    ]
    key_id = key["status"]["currentKeyID"]
    notes = until(
        lambda: [event["note"] for event in shop.events("WorkloadRestarted", "each")],
        lambda notes: len(notes) >= 9,
        what="an Event for each",
    )
    wanted = {f"Restarted the {kind} each for the key {key_id} (revision 3)" for kind in KINDS}
    assert wanted == {note for note in notes if note.endswith("(revision 3)")}
    assert len(notes) == 9


def test_it_is_said_until_the_pods_are_new_and_an_edit_of_the_list_restarts_nothing(shop: Team) -> None:
    slow, other = deploy(shop, "slow", replicas=1), deploy(shop, "other")
    shop.minted("slow", rotation=AT_ONCE, rolloutRestart=[slow])
    shop.until(lambda key: rotating(key) == "RestartingWorkloads", "slow")
    until(lambda: restarts(shop, slow), bool, what="it is restarted")
    generation = shop.edit("slow", rolloutRestart=[slow, other])["metadata"]["generation"]
    key = shop.until(lambda key: key["status"]["observedGeneration"] == generation, "slow")
    assert rotating(key) == "RestartingWorkloads"
    assert condition(key, "Rotating")["message"].endswith("(revision 1): Deployment slow")

    shop.api.patch("Deployment", "slow", shop.namespace, {"spec": {"replicas": 0}})

    shop.until(lambda key: rotating(key) == "Idle", "slow")
    assert (restarts(shop, slow), restarts(shop, other)) == (2, 0), "restarted, and scaled"


def test_one_that_does_not_exist_leaves_the_key_ready_and_is_told(shop: Team) -> None:
    absent = {"kind": "StatefulSet", "name": "absent"}
    shop.minted("alone", rotation=BY_HAND, rolloutRestart=[absent])
    shop.until(lambda key: rotating(key) == "Idle", "alone")
    assert shop.events("WorkloadNotRestarted", "alone") == [], "it may be created a moment after its ApiKey"
    rotate(shop, "a", "alone")

    key = shop.until(lambda key: key["status"]["revision"] == 2 and rotating(key) == "Overlap", "alone")
    assert ready(key) == "Active"
    note = shop.until_event("WorkloadNotRestarted", "alone")["note"]
    assert note.startswith("The StatefulSet absent is not restarted: it does not exist")


def test_without_the_flag_nothing_is_restarted_and_the_remedy_is_told(team: Team, start: Start) -> None:
    start(team, flag=False, granted=False)
    listed = deploy(team, "web")
    team.minted(rotation=BY_HAND, rolloutRestart=[listed])
    note = team.until_event("WorkloadNotRestarted")["note"]
    assert note.endswith("install the chart with rolloutRestart: true")

    rotate(team, "a", "checkout")
    key = team.until_revision(2)

    assert (ready(key), rotating(key)) == ("Active", "Overlap")
    assert restarts(team, listed) == 0


def test_what_a_killed_operator_has_left_the_next_one_restarts_once(team: Team, start: Start) -> None:
    """Without the chart's rights it stops where a kill between activate and restart would stop it."""
    listed = [deploy(team, "web"), deploy(team, "db", "StatefulSet")]
    operator = start(team, granted=False)
    team.minted(rotation=AT_ONCE, rolloutRestart=listed)
    refused = "install the chart with rolloutRestart: true"
    key = team.until(lambda key: refused in condition(key, "Rotating")["message"])
    assert (ready(key), rotating(key)) == ("Active", "RestartingWorkloads")
    assert key["status"]["restarting"] == listed
    assert refused in team.until_event("WorkloadNotRestarted")["note"]
    operator.kill()
    assert [restarts(team, one) for one in listed] == [0, 0]

    second = start(team)
    until(lambda: restarts(team, listed[0]), bool, what="the first is restarted")
    second.kill()
    start(team)

    team.until(lambda key: rotating(key) == "Idle")
    assert [restarts(team, one) for one in listed] == [1, 1]


def test_two_operators_restart_once(team: Team, start: Start) -> None:
    both = [start(team), start(team)]
    names = [f"key-{number}" for number in range(4)]
    listed = {name: deploy(team, name) for name in names}
    shared = deploy(team, "shared")
    for name in names:
        team.minted(name, rotation=BY_HAND, rolloutRestart=[listed[name], shared])
    for name in names:  # a key that is rotated before that is restarted for once, for both
        team.until(lambda key: rotating(key) == "Idle", name)

    for revision in (2, 3):
        for name in names:
            rotate(team, f"token-{revision}", name)
        for name in names:
            team.until_revision(revision, name)
            team.until(lambda key: rotating(key) == "Overlap", name)

    assert [restarts(team, listed[name]) for name in names] == [3] * 4
    assert restarts(team, shared) == 12, "once for each key of each ApiKey"
    assert all(operator.process.poll() is None for operator in both)
