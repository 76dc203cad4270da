"""The crash table of the architecture: what a pass that remembers nothing does with what it finds.

Each state is written by an operator that ended there; another one, with no memory, goes on.
"""

from __future__ import annotations

import base64
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from keywright.api.revocation import RevocationReason
from keywright.keys.actions import (
    Action,
    AddFinalizer,
    CreateRecord,
    DeleteSecret,
    RemoveFinalizer,
    RestartWorkload,
    WriteSecret,
    WriteStatus,
)
from world import Entropy, Fate, Operator, Store, digest, new_store, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = {"expiresAfter": "90m", "rotation": {"interval": "60m", "overlap": "10m"}}


def publishes(action: Action) -> bool:
    return isinstance(action, WriteStatus) and action.publishes is not None


def reveals(action: Action) -> bool:
    return isinstance(action, WriteSecret) and action.reveals is not None


def activates(action: Action) -> bool:
    return isinstance(action, WriteStatus) and action.activates is not None


def mends(action: Action) -> bool:
    return isinstance(action, WriteSecret) and action.reveals is None


def deletes(action: Action) -> bool:
    return isinstance(action, DeleteSecret)


def records(action: Action) -> bool:
    return isinstance(action, CreateRecord)


def reports(action: Action) -> bool:
    return isinstance(action, WriteStatus) and not publishes(action) and not activates(action)


def restarts(action: Action) -> bool:
    return isinstance(action, RestartWorkload)


def minted(store: Store) -> Operator:
    operator = Operator(store)
    operator.run()
    return operator


def nothing() -> Store:
    store = new_store(SPEC)
    Operator(store).run_until(lambda action: isinstance(action, AddFinalizer))
    return store


def published() -> Store:
    store = new_store(SPEC)
    Operator(store).run_until(publishes)
    return store


def revealed() -> Store:
    store = new_store(SPEC)
    Operator(store).run_until(reveals)
    return store


def converged() -> Store:
    store = new_store(SPEC)
    minted(store)
    return store


def published_beside_an_active_one() -> Store:
    store = converged()
    store.now += seconds(3600)
    Operator(store).run_until(publishes)
    return store


def revealed_beside_an_active_one() -> Store:
    store = converged()
    store.now += seconds(3600)
    Operator(store).run_until(reveals)
    return store


def status_gone() -> Store:
    store = converged()
    store.wipe_status()
    return store


def status_gone_and_the_seal_broken() -> Store:
    store = status_gone()
    secret = deepcopy(store.secret)
    assert secret is not None
    secret["metadata"]["annotations"]["keywright.dev/seal"] = "v1:k1:AAAA"
    store.put_secret(secret)
    return store


def secret_gone() -> Store:
    store = converged()
    store.put_secret(None)
    return store


def secret_changed() -> Store:
    store = converged()
    secret = deepcopy(store.secret)
    assert secret is not None
    secret["data"]["apiKey"] = base64.b64encode(b"something else").decode()
    store.put_secret(secret)
    return store


def rolled_back() -> Store:
    store = converged()
    old = deepcopy(store.secret)
    store.now += seconds(3600)
    Operator(store).run()
    store.put_secret(old)
    return store


def entries_drifted() -> Store:
    store = new_store(SPEC | {"secret": {"data": {"env": "K=$(API_KEY)"}, "labels": {"team": "a"}}})
    minted(store)
    secret = deepcopy(store.secret)
    assert secret is not None
    del secret["data"]["env"]
    del secret["metadata"]["labels"]["team"]
    store.put_secret(secret)
    return store


def immutable() -> Store:
    store = converged()
    store.put_secret({**deepcopy(store.secret or {}), "immutable": True})
    return store


def of_another_type() -> Store:
    store = converged()
    store.put_secret({**deepcopy(store.secret or {}), "type": "Opaque"})
    return store


def deleted() -> Store:
    store = converged()
    store.delete()
    return store


def rotated_with_workloads(done: Callable[[Action], bool]) -> Store:
    workloads = [{"kind": "Deployment", "name": name} for name in ("web", "api")]
    store = new_store(SPEC | {"rolloutRestart": workloads})
    minted(store)
    for name in ("web", "api"):
        store.add_workload(name)
    store.now += seconds(3600)
    Operator(store).run_until(done)
    return store


ROWS: dict[str, tuple[Callable[[], Store], list[Callable[[Action], bool]]]] = {
    "nothing in status, no Secret: publishes": (nothing, [publishes, reveals, activates]),
    "Pending, Secret does not carry it: publishes another": (published, [publishes, reveals, activates]),
    "Pending, Secret carries it: activates": (revealed, [activates]),
    "converged: nothing": (converged, []),
    "Pending beside an Active one: publishes another": (
        published_beside_an_active_one,
        [publishes, reveals, activates],
    ),
    "Pending beside an Active one, Secret carries it: activates": (
        revealed_beside_an_active_one,
        [activates],
    ),
    "status gone, sealed Secret: adopts": (status_gone, [activates]),
    "status gone, no valid seal: mints anew": (
        status_gone_and_the_seal_broken,
        [publishes, reveals, activates],
    ),
    "Active, Secret gone: mints anew": (secret_gone, [publishes, reveals, activates]),
    "Active, its digest unknown: mints anew": (secret_changed, [publishes, reveals, activates]),
    "Secret rolled back: a loss": (rolled_back, [publishes, reveals, activates]),
    "entries drifted: repaired": (entries_drifted, [mends]),
    "made immutable: deleted and created anew": (immutable, [publishes, deletes, reveals, activates]),
    "another type: deleted and created anew": (of_another_type, [publishes, deletes, reveals, activates]),
    "activated, no workload restarted: restarts each": (
        lambda: rotated_with_workloads(activates),
        [restarts, restarts],
    ),
    "activated, one workload restarted: restarts the other": (
        lambda: rotated_with_workloads(restarts),
        [restarts],
    ),
    "deleted: records, Secret, finalizer": (
        deleted,
        [records, reports, deletes, lambda action: isinstance(action, RemoveFinalizer)],
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_pass_that_remembers_nothing_does_what_the_table_says(row: str) -> None:
    found, expected = ROWS[row]
    store = found()
    operator = Operator(store, number=1)

    writes = operator.run()

    assert len(expected) == len(writes), writes
    assert all(matches(action) for matches, action in zip(expected, writes, strict=True)), writes
    assert Operator(store, number=2).run() == []


@pytest.mark.parametrize("row", [row for row in ROWS if not row.startswith("deleted")])
def test_every_row_ends_with_a_value_that_is_accepted(row: str) -> None:
    store = ROWS[row][0]()

    Operator(store, number=1).run()

    assert "Active" == store.ready()
    assert 1 == store.states().count("Active")
    active = next(generation for generation in store.keys if generation["state"] == "Active")
    assert active["digest"] == digest(store.value())
    assert "Pending" not in store.states()


def test_adoption_keeps_value_and_times_and_records_the_tokens_that_are_there() -> None:
    store = converged()
    (before,), value = store.keys, store.value()
    store.annotate("keywright.dev/rotate", "old-token")
    store.wipe_status()
    store.now += seconds(300)

    Operator(store, number=1).run()

    (adopted,) = store.keys
    assert before | {"cause": "Adopted"} == adopted
    assert value == store.value()
    assert ["old-token"] == store.status["handledTokens"]


def test_adoption_does_not_depend_on_what_is_pending() -> None:
    store = status_gone()
    other = new_store(SPEC)
    other.entropy = Entropy("other")
    Operator(other).run_until(publishes)
    assert store.api_key is not None
    store.api_key["status"] = other.status
    store.touch()
    value = store.value()

    Operator(store, number=1).run()

    assert ["Active", "Pending"] == store.states()
    assert value == store.value()


@pytest.mark.parametrize("why", ["revoked", "recorded", "expired"])
def test_a_sealed_value_that_is_not_valid_is_not_adopted(why: str) -> None:
    store = status_gone()
    value = store.value()
    assert value is not None
    key_id = value.split("_")[2]
    if why == "revoked":
        store.revoked[key_id] = RevocationReason.KEY_COMPROMISE
    elif why == "recorded":
        store.records[key_id] = CreateRecord(key_id, "", RevocationReason.DELETED)
    else:
        store.now += seconds(90 * 60)

    Operator(store, number=1).run()

    assert value != store.value()
    assert ["First"] == [generation["cause"] for generation in store.keys]


def test_a_loss_in_a_terminating_namespace_mints_nothing() -> None:
    store = secret_gone()
    store.terminating = True

    writes = Operator(store, number=1).run()

    assert all(reports(action) for action in writes)
    assert store.secret is None
    assert "SecretLost" == store.ready()


def test_a_loss_with_alert_mints_nothing() -> None:
    store = new_store(SPEC | {"secret": {"onLoss": "Alert"}})
    minted(store)
    store.put_secret(None)

    writes = Operator(store, number=1).run()

    assert [True] == [reports(action) for action in writes]
    assert "True" == store.condition("Stalled")["status"]


def test_a_value_that_was_put_back_is_never_made_current_again() -> None:
    store = rolled_back()
    old = digest(store.value())

    Operator(store, number=1).run()

    assert "Retiring" == next(g["state"] for g in store.keys if g["digest"] == old)
    assert "SecretLost" == store.keys[0]["cause"]


# The rules below the protocol: when a Pending generation may leave the status.


def test_activating_another_one_drops_the_older_pending_ones() -> None:
    store = published_beside_an_active_one()

    Operator(store, number=1).run()

    assert ["Active", "Retiring"] == store.states()


def test_a_younger_pending_one_goes_when_an_older_one_turns_out_to_be_revealed() -> None:
    store = new_store(SPEC)
    first = Operator(store)
    first.run_until(publishes)
    reveal = first.step(Fate.DELAYED)
    assert reveal is not None
    second = Operator(store, number=1)
    second.run_until(publishes)
    store.commit(reveal, late=True)

    second.run()

    assert ["Active"] == store.states(), "its own create was refused, so nobody will ever read it"
    assert store.keys[0]["digest"] == digest(store.value())


@pytest.mark.parametrize("age", [119, 121])
def test_one_that_nobody_revealed_goes_120_seconds_after_its_creation(age: int) -> None:
    store = published_beside_an_active_one()
    store.edit({"suspend": True})
    operator = Operator(store, number=1)
    operator.run()
    created = store.now.replace(microsecond=0)
    store.now = created + seconds(age)

    operator.run()

    assert (["Pending", "Active"] if age < 120 else ["Active"]) == store.states()


def test_one_that_was_never_revealed_is_looked_at_when_its_time_is_over() -> None:
    store = published_beside_an_active_one()
    store.edit({"suspend": True})
    operator = Operator(store, number=1)
    operator.run()

    assert operator.plan.due is not None
    store.now = operator.plan.due
    operator.run()

    assert ["Active"] == store.states()


def test_a_pending_one_that_the_secret_carries_is_activated_however_old() -> None:
    store = revealed()
    store.now += seconds(3000)

    Operator(store, number=1).run()

    assert ["Active"] == store.states()


def test_a_definite_refusal_of_the_only_reveal_drops_it_in_the_write_that_says_so() -> None:
    store = new_store(SPEC)
    store.quota = True

    writes = Operator(store).run()

    assert publishes(writes[1])
    assert [] == store.states()
    assert "Minting" == store.ready()
    assert "exceeded quota" in store.condition("Ready")["message"]
    assert 3 == len(writes)


def test_after_a_refusal_it_is_tried_again_when_the_refusal_is_over() -> None:
    store = new_store(SPEC)
    store.quota = True
    operator = Operator(store)
    operator.run()
    store.quota = False
    assert operator.plan.due is not None

    store.now = operator.plan.due
    operator.run()

    assert ["Active"] == store.states()


def test_a_refusal_after_a_reveal_that_may_still_land_keeps_it() -> None:
    store = new_store(SPEC)
    operator = Operator(store)
    operator.run_until(publishes)
    late = operator.step(Fate.DELAYED)
    assert late is not None
    store.quota = True
    operator.run()
    assert ["Pending"] == store.states()

    store.quota = False
    store.commit(late, late=True)
    operator.run()

    assert "Active" in store.states()
    assert next(g["digest"] for g in store.keys if g["state"] == "Active") == digest(store.value())


def test_a_process_that_holds_the_value_repeats_the_same_reveal() -> None:
    store = new_store(SPEC)
    operator = Operator(store)
    operator.run_until(publishes)
    (pending,) = store.keys
    operator.step(Fate.LOST)

    operator.run()

    (active,) = store.keys
    assert pending["id"] == active["id"]
    assert [] == [change for change in store.changes[3:] if publishes(change.request.action)]


def test_a_reveal_whose_answer_was_lost_is_found_and_activated() -> None:
    store = new_store(SPEC)
    operator = Operator(store)
    operator.run_until(publishes)
    value_before = store.value()
    operator.step(Fate.UNANSWERED)
    revealed_value = store.value()

    operator.run()

    assert value_before is None
    assert revealed_value == store.value()
    assert ["Active"] == store.states()


def test_at_most_three_are_pending() -> None:
    store = new_store(SPEC)
    for number in range(6):
        operator = Operator(store, number=number)
        for _ in range(8):
            operator.step()
            if operator.plan.action is None or publishes(operator.plan.action):
                break

    assert ["Pending"] * 3 == store.states()


def test_a_pending_one_that_is_revoked_before_its_activation_is_latched_and_minted_anew() -> None:
    store = revealed()
    (pending,) = store.keys
    store.revoked[pending["id"]] = RevocationReason.KEY_COMPROMISE

    Operator(store, number=1).run()

    assert ["Active", "Revoked"] == store.states()
    assert pending["digest"] != digest(store.value())


def test_the_finalizer_is_put_back_when_it_was_stripped() -> None:
    store = converged()
    assert store.api_key is not None
    store.api_key["metadata"]["finalizers"] = []
    store.touch()

    writes = Operator(store, number=1).run()

    assert [AddFinalizer()] == writes


def test_a_value_that_is_revealed_after_its_forerunner_expired_is_alive() -> None:
    store = new_store({"expiresAfter": "10m", "rotation": {"beforeExpiry": "3m"}})
    operator = minted(store)
    store.now += seconds(601)
    operator.run_until(publishes)
    late = operator.step(Fate.DELAYED)
    assert late is not None
    store.edit({"suspend": True})
    operator.run()
    assert "Expired" == store.ready()

    store.commit(late, late=True)
    operator.run()

    assert "Active" == store.keys[0]["state"]
    assert store.keys[0]["digest"] == digest(store.value())


def test_a_value_whose_time_is_over_when_it_is_found_says_its_own_end() -> None:
    store = new_store({"expiresAfter": "30s", "rotation": {"schedule": "*/10 * * * *"}})
    minted(store)
    store.now += seconds(600)
    operator = Operator(store, number=1)
    operator.run_until(reveals)
    store.now += seconds(200)

    Operator(store, number=2).run()

    assert ["Expired", "Expired"] == store.states()
    assert store.keys[0]["expiresAt"] == store.status["expiresAt"]
    assert ("Expired", 2) == (store.ready(), store.status["revision"])


def test_a_reveal_that_might_land_after_its_generation_was_dropped_is_not_sent() -> None:
    store = converged()
    store.now += seconds(3600)
    operator = Operator(store, number=1)
    operator.run_until(publishes)
    operator.step(Fate.LOST)
    (pending, _) = store.keys
    store.now += seconds(100)

    writes = operator.run()

    assert [True, True, True] == [publishes(writes[0]), reveals(writes[1]), activates(writes[2])]
    assert pending["id"] not in {generation["id"] for generation in store.keys}


def test_a_held_value_that_was_overtaken_is_not_revealed_for_another_cause() -> None:
    store = new_store(SPEC)
    first, second = Operator(store), Operator(store, number=1)
    first.run_until(publishes)
    late = first.step(Fate.DELAYED)
    assert late is not None
    second.run_until(publishes)
    store.commit(late, late=True)
    second.run()
    assert ["Active"] == store.states()
    store.annotate("keywright.dev/rotate", "a")

    second.run()

    assert 2 == store.status["revision"]
    assert ("Requested", ["a"]) == (store.keys[0]["cause"], store.status["handledTokens"])
