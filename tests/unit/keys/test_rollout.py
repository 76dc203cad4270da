"""Restarts: once for each new value, said until they are over, and never for a key that nobody got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keywright.api.revocation import RevocationReason
from keywright.keys.actions import Action, ReadWorkloads, RestartWorkload, WriteStatus
from world import ApiError, Fate, Operator, Store, new_store, seconds

if TYPE_CHECKING:
    from keywright.api.workload import Workload

WEB = {"kind": "Deployment", "name": "web"}
DB = {"kind": "StatefulSet", "name": "db"}
SPEC = {"rotation": {"policy": "Never", "overlap": "10m"}, "rolloutRestart": [WEB]}


def restarts(action: Action) -> bool:
    return isinstance(action, RestartWorkload)


def activates(action: Action) -> bool:
    return isinstance(action, WriteStatus) and action.activates is not None


def minted(*listed: dict[str, str], **spec: Any) -> tuple[Store, Operator]:
    """Return an ApiKey that is in use, and its operator."""
    store = new_store(SPEC | {"rolloutRestart": list(listed or (WEB,))} | spec)
    operator = Operator(store)
    operator.run()
    return store, operator


def rotated(*listed: dict[str, str], **spec: Any) -> tuple[Store, Operator, Workload]:
    """Return one whose value was just replaced while a Deployment of the name uses it."""
    store, operator = minted(*listed, **spec)
    web = store.add_workload()
    rotate(store, operator)
    return store, operator, web


def rotate(store: Store, operator: Operator, token: str = "a") -> None:
    store.annotate("keywright.dev/rotate", token)
    operator.run()


def later(store: Store, operator: Operator, count: float) -> list[Action]:
    store.now += seconds(count)
    return operator.run()


def rotating(store: Store) -> str:
    return str(store.condition("Rotating")["reason"])


def current(store: Store) -> str:
    return f"{store.status['revision']}.{store.status['currentKeyID']}"


def test_a_first_key_restarts_who_runs_without_one() -> None:
    store = new_store(SPEC)
    web = store.add_workload()
    operator = Operator(store)

    operator.run()

    assert [(web, current(store))] == store.restarts
    assert 1 == store.status["revision"]
    assert "RestartingWorkloads" == rotating(store)
    store.roll_out(web)
    later(store, operator, 3)
    assert "Idle" == rotating(store)
    assert 1 == len(store.restarts)


def test_one_that_comes_after_the_first_key_has_it_and_nobody_is_told() -> None:
    store, operator = minted()
    store.add_workload()

    later(store, operator, 3)

    assert ("Active", "Idle") == (store.ready(), rotating(store))
    assert "restarting" not in store.status
    assert [] == store.restarts
    assert "WorkloadNotRestarted" not in operator.told


def test_a_rotation_restarts_once_and_says_so_until_the_pods_are_new() -> None:
    store, operator, web = rotated()
    assert [(web, current(store))] == store.restarts
    assert "RestartingWorkloads" == rotating(store)
    assert (
        f"Being restarted for the key {store.status['currentKeyID']} (revision 2): Deployment web"
        == (store.condition("Rotating")["message"])
    )

    assert [] == later(store, operator, 3)
    store.roll_out(web)
    (report,) = later(store, operator, 3)

    assert isinstance(report, WriteStatus)
    assert "Overlap" == rotating(store)
    assert "restarting" not in store.status
    assert 1 == len(store.restarts)


@pytest.mark.parametrize("cause", ["regenerate", "loss", "revocation"])
def test_whatever_replaces_the_value_restarts(cause: str) -> None:
    store, operator = minted()
    web = store.add_workload()
    if cause == "regenerate":
        store.annotate("keywright.dev/regenerate", "a")
    elif cause == "loss":
        store.put_secret(None)
        operator.verified = None
    else:
        store.revoked[store.status["currentKeyID"]] = RevocationReason.KEY_COMPROMISE

    operator.run()

    assert [(web, current(store))] == store.restarts


def test_each_generation_restarts_once_though_the_last_restart_is_not_over() -> None:
    store, operator, web = rotated()
    first = current(store)

    rotate(store, operator, "b")

    assert [(web, first), (web, current(store))] == store.restarts


@pytest.mark.parametrize("rotations", [0, 1])
def test_an_adopted_value_has_not_changed_and_restarts_nothing(rotations: int) -> None:
    store, operator = minted()
    for number in range(rotations):
        rotate(store, operator, f"token-{number}")
    store.add_workload()
    store.wipe_status()

    Operator(store, number=1).run()

    assert "Adopted" == store.keys[0]["cause"]
    assert rotations + 1 == store.status["revision"]
    assert [] == store.restarts


def test_a_value_that_is_minted_anew_because_the_status_is_lost_with_the_seal_restarts() -> None:
    store, _, web = rotated()
    store.put_secret(None)
    store.wipe_status()

    Operator(store, number=1).run()

    assert 1 == store.status["revision"]
    assert (web, current(store)) == store.restarts[-1]


def test_every_listed_workload_is_restarted_and_the_condition_names_those_that_are_left() -> None:
    store, operator = minted(WEB, DB)
    web, db = store.add_workload(), store.add_workload("db", "StatefulSet")
    rotate(store, operator)
    assert [(web, current(store)), (db, current(store))] == store.restarts

    store.roll_out(web)
    later(store, operator, 3)

    assert [DB] == store.status["restarting"]
    assert store.condition("Rotating")["message"].endswith("(revision 2): StatefulSet db")


def test_two_api_keys_restart_the_same_workload_for_themselves() -> None:
    store, operator, web = rotated()
    annotations = store.workloads[web]["spec"]["template"]["metadata"]["annotations"]
    annotations["restart.keywright.dev/another"] = "7.0123456789abcdef"

    rotate(store, operator, "b")

    assert {
        "restart.keywright.dev/another": "7.0123456789abcdef",
        "restart.keywright.dev/checkout": current(store),
    } == annotations


def test_listing_another_workload_restarts_nothing_until_the_next_reveal() -> None:
    store, operator, web = rotated()
    db = store.add_workload("db", "StatefulSet")

    store.edit({"rolloutRestart": [WEB, DB]})
    operator.run()
    assert [web] == [workload for workload, _ in store.restarts]

    rotate(store, operator, "b")
    assert [web, web, db] == [workload for workload, _ in store.restarts]


def test_one_that_is_no_longer_listed_is_no_longer_waited_for() -> None:
    store, operator, _ = rotated()

    store.edit({"rolloutRestart": []})
    operator.run()

    assert "Overlap" == rotating(store)


def test_while_nothing_is_restarting_no_workload_is_read() -> None:
    store, operator, web = rotated()
    store.roll_out(web)
    later(store, operator, 3)

    fresh = Operator(store, number=1)
    for _ in range(6):
        fresh.step()
        assert not isinstance(fresh.plan.action, ReadWorkloads)


def test_it_is_looked_after_ever_more_seldom_and_given_up_after_an_hour() -> None:
    store, operator, _ = rotated()
    begun = store.now
    waits: list[float] = []
    operator.told = []
    while rotating(store) == "RestartingWorkloads" and len(waits) < 200:
        assert operator.plan.due is not None
        waits.append((operator.plan.due - store.now).total_seconds())
        store.now = max(store.now, operator.plan.due)
        operator.run()

    assert 1.5 < waits[0] < 2.5
    assert 60 >= max(waits) > 50
    assert 3590 < (store.now - begun).total_seconds() < 3610
    assert "WorkloadNotRestarted" in operator.told
    assert 1 == len(store.restarts)


def test_one_that_does_not_exist_is_told_and_not_waited_for() -> None:
    store, operator = minted()
    operator.told = []

    rotate(store, operator)

    assert ["Rotated", "WorkloadNotRestarted"] == operator.told
    assert ("Active", "Overlap") == (store.ready(), rotating(store))


def test_one_that_goes_while_it_is_restarted_is_not_waited_for() -> None:
    store, operator, web = rotated()
    del store.workloads[web]

    later(store, operator, 3)

    assert "Overlap" == rotating(store)


def test_what_hinders_it_is_shown() -> None:
    store, operator, web = rotated()
    store.workloads[web]["spec"]["paused"] = True

    later(store, operator, 3)

    assert store.condition("Rotating")["message"].endswith("Deployment web (it is paused)")


def test_without_the_flag_nothing_is_restarted_and_the_remedy_is_told() -> None:
    store = new_store(SPEC)
    store.add_workload()
    operator = Operator(store, rollout_restart=False)
    operator.run()
    operator.told = []

    rotate(store, operator)

    assert [] == store.restarts
    assert "Overlap" == rotating(store)
    assert ["Rotated", "WorkloadNotRestarted"] == operator.told
    (told,) = operator.plan.happenings
    assert told.note.endswith("install the chart with rolloutRestart: true")
    assert (told.key_id, told.revision) == (store.status["currentKeyID"], 2)


def test_a_flag_that_was_taken_back_ends_what_was_under_way() -> None:
    store, _, _ = rotated()

    Operator(store, number=1, rollout_restart=False).run()

    assert "Overlap" == rotating(store)


def test_what_was_told_names_workload_key_and_revision_and_no_value() -> None:
    store, operator = minted()
    store.add_workload(kind="StatefulSet", name="db", updateStrategy={"type": "OnDelete"})
    store.edit({"rolloutRestart": [DB]})
    store.annotate("keywright.dev/rotate", "a")
    operator.run_until(activates)
    operator.step()  # reads
    operator.step()  # restarts

    (told,) = operator.plan.happenings
    key_id = store.status["currentKeyID"]
    assert ("WorkloadRestarted", key_id, 2) == (told.reason, told.key_id, told.revision)
    restarted = f"Restarted the StatefulSet db for the key {key_id} (revision 2)"
    assert f"{restarted}: its pods change when they are deleted (OnDelete)" == told.note


# Crashes, and two at once.


def test_after_an_outage_of_hours_it_is_restarted_all_the_same() -> None:
    store, operator = minted()
    web = store.add_workload()
    store.annotate("keywright.dev/rotate", "a")
    operator.run_until(activates)
    store.now += seconds(3 * 3600)

    after = Operator(store, number=1)
    after.run()
    assert [(web, current(store))] == store.restarts
    later(store, after, 59 * 60)
    assert "RestartingWorkloads" == rotating(store), "the hour counts from the late restart"
    assert "WorkloadNotRestarted" not in after.told

    later(store, after, 60)

    assert "Idle" == rotating(store)
    assert 1 == len(store.restarts)


def test_whoever_comes_after_a_late_restart_waits_an_hour_too() -> None:
    store, operator = minted()
    web = store.add_workload()
    store.annotate("keywright.dev/rotate", "a")
    operator.run_until(activates)
    store.now += seconds(3 * 3600)
    Operator(store, number=1).run_until(restarts)
    second = Operator(store, number=2)

    second.run()
    assert "RestartingWorkloads" == rotating(store)
    store.roll_out(web)
    later(store, second, 3)

    assert "restarting" not in store.status
    assert "WorkloadNotRestarted" not in second.told
    assert 1 == len(store.restarts)


@pytest.mark.parametrize("done", [activates, restarts], ids=["activated", "restarted"])
def test_whoever_comes_after_a_crash_restarts_what_is_left(done: Any) -> None:
    store, operator = minted(WEB, DB)
    web, db = store.add_workload(), store.add_workload("db", "StatefulSet")
    store.annotate("keywright.dev/rotate", "a")
    operator.run_until(done)

    Operator(store, number=1).run()

    assert [(web, current(store)), (db, current(store))] == store.restarts


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.UNANSWERED, Fate.DELAYED])
def test_a_restart_whose_answer_is_lost_is_one_restart(fate: Fate) -> None:
    store, operator = minted()
    web = store.add_workload()
    store.annotate("keywright.dev/rotate", "a")
    operator.run_until(activates)
    operator.step()
    late = operator.step(fate)
    assert isinstance(operator.plan.action, RestartWorkload)

    operator.run()
    if late is not None:
        with pytest.raises(ApiError, match="409"):
            store.commit(late, late=True)

    assert [(web, current(store))] == store.restarts


def test_of_two_operators_the_second_finds_it_done() -> None:
    store, first = minted()
    second = Operator(store, number=1)
    web = store.add_workload()
    store.annotate("keywright.dev/rotate", "a")
    first.run_until(activates)
    second.step()
    second.step()
    while not isinstance(second.plan.action, ReadWorkloads):
        second.step()
    first.run()

    second.run()

    assert [(web, current(store))] == store.restarts


def test_one_that_has_slept_does_not_restart_for_a_key_that_is_no_longer_current() -> None:
    store, sleeper = minted()
    web = store.add_workload()
    store.annotate("keywright.dev/rotate", "a")
    sleeper.run_until(activates)
    other = Operator(store, number=1)
    rotate(store, other, "b")
    done = list(store.restarts)

    sleeper.run()

    assert (web, current(store)) == done[-1]
    assert done == store.restarts


def test_what_was_read_for_one_key_does_not_count_for_the_next() -> None:
    store, operator, web = rotated()
    gone = store.workloads.pop(web)
    store.now += seconds(3)
    store.annotate("keywright.dev/rotate", "b")
    operator.begin(live=False)
    while not isinstance(operator.plan.action, ReadWorkloads):
        operator.step()
    store.workloads[web] = gone

    operator.run()

    assert (web, current(store)) == store.restarts[-1]
    assert 3 == store.status["revision"]


def test_an_annotation_that_somebody_removes_is_not_written_again() -> None:
    store, operator, web = rotated()
    template = store.workloads[web]["spec"]["template"]

    for _ in range(3):
        template["metadata"]["annotations"].clear()
        store.workloads[web]["metadata"]["generation"] += 1
        later(store, operator, 3)
    store.roll_out(web)
    later(store, operator, 3)

    assert 1 == len(store.restarts)
    assert "Overlap" == rotating(store)


def test_nothing_is_restarted_into_a_key_that_has_ended() -> None:
    store, operator = minted()
    store.add_workload()
    store.annotate("keywright.dev/rotate", "a")
    operator.run_until(activates)
    store.revoked[store.status["currentKeyID"]] = RevocationReason.KEY_COMPROMISE
    store.edit({"suspend": True})

    Operator(store, number=1).run()
    assert [] == store.restarts
    assert [WEB] == store.status["restarting"], "it is still owed"

    store.edit({"suspend": False})
    operator.run()
    assert [3] == [int(value.partition(".")[0]) for _, value in store.restarts]


def test_nothing_is_restarted_while_the_api_key_goes() -> None:
    store, operator = minted()
    store.add_workload()
    store.annotate("keywright.dev/rotate", "a")
    operator.run_until(activates)
    store.delete()

    Operator(store, number=1).run()

    assert store.api_key is None
    assert [] == store.restarts
