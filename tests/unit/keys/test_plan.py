"""The plan as a whole: how many writes a life takes, and what it decides where several things meet."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from keywright.api.revocation import RevocationReason
from keywright.keys.actions import AddFinalizer, WriteSecret, WriteStatus
from world import Operator, Store, digest, foreign_secret, new_project, new_store, seconds, stamp, value_of

SPEC: dict[str, Any] = {"expiresAfter": "90m", "rotation": {"interval": "60m", "overlap": "10m"}}


def kinds(writes: list[object]) -> list[str]:
    return [type(write).__name__ for write in writes]


def settled(
    spec: dict[str, Any] | None = None, project: dict[str, Any] | None = None
) -> tuple[Store, Operator]:
    store = new_store(spec if spec is not None else SPEC, project)
    operator = Operator(store)
    operator.run()
    return store, operator


def test_an_undisturbed_mint_takes_exactly_four_writes() -> None:
    store = new_store(SPEC)

    writes = Operator(store).run()

    assert ["AddFinalizer", "WriteStatus", "WriteSecret", "WriteStatus"] == kinds([*writes])


def test_where_the_finalizer_is_there_at_creation_it_takes_three() -> None:
    store = new_store(SPEC, finalizers=["keywright.dev/revoke"])

    assert ["WriteStatus", "WriteSecret", "WriteStatus"] == kinds([*Operator(store).run()])


def test_a_rotation_takes_three_writes_and_one_when_its_overlap_is_over() -> None:
    store, operator = settled()
    store.now += seconds(3600)

    assert ["WriteStatus", "WriteSecret", "WriteStatus"] == kinds([*operator.run()])
    store.now += seconds(600)
    assert [] == operator.run()
    store.now += seconds(61)
    assert ["WriteStatus"] == kinds([*operator.run()])
    assert ["Active", "Retired"] == store.states()


def test_what_is_converged_is_left_alone() -> None:
    _, operator = settled()

    assert [[], [], []] == [operator.run() for _ in range(3)]


@pytest.mark.parametrize(
    "spec",
    [
        {"rotation": {"schedule": "0 3 * * *"}, "suspend": True},
        {"rotation": {"schedule": "0 3 * * *"}, "scopes": ["keywright:admin"]},
        {"rotation": {"schedule": "* * * * *", "timeZone": "Europe/Berlin"}, "suspend": True},
    ],
)
def test_before_the_first_key_a_schedule_is_no_reason_to_write_again_and_again(
    spec: dict[str, Any],
) -> None:
    store, operator = settled(spec)

    for _ in range(5):
        store.now += seconds(5.3)
        assert [] == operator.run()
    assert store.status["effective"]["rotation"]["overlap"]


def test_created_suspended_nothing_is_minted_until_it_is_resumed() -> None:
    store, operator = settled(SPEC | {"suspend": True})
    assert "Suspended" == store.ready()
    assert [] == store.states()
    assert store.secret is None

    store.edit({"suspend": False})
    operator.run()

    assert ["Active"] == store.states()


def test_loss_and_a_missed_rotation_while_suspended_make_one_mint_on_resume() -> None:
    store, operator = settled()
    store.edit({"suspend": True})
    operator.run()
    store.put_secret(None)
    store.annotate("keywright.dev/rotate", "t1")
    store.now += seconds(4000)
    operator.run()
    assert ["Active"] == store.states()

    store.edit({"suspend": False})
    operator.run()

    assert ["Active", "Retiring"] == store.states()
    assert "SecretLost" == store.keys[0]["cause"]
    assert ["t1"] == store.status["handledTokens"]
    assert 2 == store.status["revision"]


def test_an_expires_at_in_the_past_mints_nothing() -> None:
    store, _ = settled(SPEC | {"expiresAt": "2026-01-01T00:00:00Z"})

    assert ("Expired", []) == (store.ready(), store.states())
    assert "True" == store.condition("Stalled")["status"]
    assert store.secret is None


@pytest.mark.parametrize("after", [1, 59, 61, 3600])
def test_expires_at_moved_on_after_expiry_is_a_new_generation(after: int) -> None:
    end = stamp(new_store().now + seconds(600))
    store, operator = settled({"rotation": {"policy": "Never"}, "expiresAt": end})
    value = store.value()
    store.now += seconds(600)
    operator.run()
    assert "Expired" == store.ready()
    store.now += seconds(after)
    operator.run()

    store.edit({"expiresAt": stamp(store.now + seconds(86400))})
    operator.run()

    assert ("Active", ["Active", "Expired"]) == (store.ready(), store.states())
    assert value != store.value()
    assert "Scheduled" == store.keys[0]["cause"]


@pytest.mark.parametrize("after", [1, 59, 61, 3600])
@pytest.mark.parametrize("what", ["expiresAt", "maxExpiresAfter"])
def test_an_end_that_passed_while_nobody_looked_stands_though_it_was_moved_on(what: str, after: int) -> None:
    store, operator = settled({"expiresAfter": "48h", "rotation": {"policy": "Never"}})
    if what == "expiresAt":
        store.edit({"expiresAt": stamp(store.now + seconds(600))})
    else:
        store.project = new_project({"limits": {"maxExpiresAfter": "10m"}})
    operator.run()
    told, key_id, value = store.status["expiresAt"], store.keys[0]["id"], store.value()
    store.now = datetime.fromisoformat(told) + seconds(after)

    if what == "expiresAt":
        store.edit({"expiresAt": stamp(store.now + seconds(86400))})
    else:
        store.project = new_project({"limits": {"maxExpiresAfter": "24h"}})
    operator.crash()
    operator.run()

    assert (key_id, "Expired") == (store.keys[1]["id"], store.keys[1]["state"])
    assert ("Active", "Active") == (store.ready(), store.keys[0]["state"])
    assert value != store.value()
    assert "Expired" in operator.told


def test_an_end_that_the_project_moves_is_no_edit_by_hand() -> None:
    entry = {"secret": {"data": {"end": "$(EXPIRES_AT)"}}}
    store, operator = settled({"expiresAfter": "48h", "rotation": {"policy": "Never"}} | entry)
    operator.told = []
    store.project = new_project({"limits": {"maxExpiresAfter": "24h"}})
    operator.run()

    assert store.status["expiresAt"] == value_of(store.secret, "end")
    assert [] == operator.told


def test_expires_at_moved_before_it_passes_mints_nothing() -> None:
    end = stamp(new_store().now + seconds(600))
    store, operator = settled({"rotation": {"policy": "Never"}, "expiresAt": end})
    value = store.value()
    store.now += seconds(590)

    store.edit({"expiresAt": None})
    operator.run()
    store.now += seconds(600)
    operator.run()

    assert (value, ["Active"]) == (store.value(), store.states())


def test_ready_flips_at_the_time_itself_and_the_state_60_seconds_later() -> None:
    store, operator = settled({"expiresAfter": "10m", "rotation": {"policy": "Never"}})
    end = datetime.fromisoformat(store.status["expiresAt"])

    store.now = end - seconds(1)
    operator.run()
    assert "Active" == store.ready()
    assert operator.plan.due == end
    store.now = end
    operator.run()
    assert ("Expired", ["Active"]) == (store.ready(), store.states())
    store.now = end + seconds(59)
    operator.run()
    assert ["Active"] == store.states()
    store.now = end + seconds(60)
    operator.run()
    assert ["Expired"] == store.states()


def test_a_maximum_that_is_lowered_below_the_age_of_a_key_ends_it_at_once() -> None:
    store, operator = settled({"expiresAfter": "24h", "rotation": {"policy": "Never"}})
    created = store.keys[0]["createdAt"]
    store.now += seconds(7200)

    store.project = new_project({"limits": {"maxExpiresAfter": "1h"}})
    operator.run()

    assert ("Expired", ["Expired"]) == (store.ready(), store.states())
    assert created.replace("T12", "T13") == store.status["expiresAt"]


def test_a_foreign_secret_is_left_alone_and_the_message_says_what_to_do() -> None:
    store = new_store(SPEC)
    store.put_secret(foreign_secret())
    before = store.secret
    operator = Operator(store)

    operator.run()
    assert "SecretConflict" == store.ready()
    assert before == store.secret
    assert "spec.secret.name" in store.condition("Ready")["message"]

    store.put_secret(None)
    operator.run()
    assert "Active" == store.ready()


@pytest.mark.parametrize(
    "edit",
    [
        {"scopes": ["a"]},
        {"displayName": "x"},
        {"owner": "o"},
        {"rateLimits": []},
        {"secret": {"data": {"e": "$(KEY_ID)"}}},
        {"secret": {"labels": {"a": "b"}}},
        {"expiresAfter": "24h"},
        {"rotation": {"schedule": "0 3 * * *"}},
    ],
)
def test_editing_anything_else_never_mints(edit: dict[str, Any]) -> None:
    store, operator = settled()
    value = store.value()

    store.edit(edit)
    operator.run()

    assert (value, ["Active"], "Active") == (store.value(), store.states(), store.ready())


def test_regenerating_revokes_the_old_ones_after_the_reveal_and_before_the_activation() -> None:
    store, operator = settled()
    store.now += seconds(3600)
    operator.run()
    old = {generation["id"] for generation in store.keys}
    store.annotate("keywright.dev/regenerate", "now")

    writes = operator.run()

    assert ["WriteStatus", "WriteSecret", "CreateRecord", "CreateRecord", "WriteStatus"] == kinds([*writes])
    assert ["Active", "Revoked", "Revoked"] == store.states()
    assert old == set(store.records)
    assert {"Superseded"} == {record.reason for record in store.records.values()}


def test_a_revoked_current_key_is_replaced_at_once_without_overlap() -> None:
    store, operator = settled()
    store.revoked[store.keys[0]["id"]] = "KeyCompromise"  # type: ignore[assignment]

    operator.run()

    assert ["Active", "Revoked"] == store.states()
    assert "Revoked" == store.keys[0]["cause"]
    assert store.keys[0]["digest"] == digest(store.value())


def test_a_revocation_of_the_whole_ends_every_key_and_mints_none() -> None:
    store, operator = settled()
    store.revoked_whole = RevocationReason.KEY_COMPROMISE
    value = store.value()

    operator.run()

    assert ("Revoked", ["Revoked"], value) == (store.ready(), store.states(), store.value())
    store.revoked_whole = None  # somebody deleted it: it was decided once
    store.annotate("keywright.dev/rotate", "t")
    assert [] == operator.run()


def test_a_revocation_of_the_whole_is_latched_whatever_else_is_wrong() -> None:
    store, operator = settled()
    store.edit({"rotation": {"schedule": "never"}})
    store.revoked_whole = RevocationReason.KEY_COMPROMISE
    operator.run()
    assert "InvalidSpec" == store.ready()
    assert ("True", "KeyCompromise") == (
        store.condition("Revoked")["status"],
        store.condition("Revoked")["reason"],
    )

    store.revoked_whole = None
    store.annotate("keywright.dev/rotate", "t")
    operator.run()
    assert 1 == store.status["revision"], "what is InvalidSpec and was revoked mints nothing either"
    store.edit({"rotation": {"policy": "Never"}})
    operator.run()

    assert ("Revoked", ["Revoked"]) == (store.ready(), store.states())
    assert "KeyCompromise" == store.condition("Revoked")["reason"]


def test_the_project_without_which_an_api_key_was_applied_is_waited_for() -> None:
    store = new_store({"rotation": {"beforeExpiry": "72h"}})
    project, store.project = store.project, None
    operator = Operator(store)

    operator.run()
    assert "ProjectNotFound" == store.ready()
    assert {} == store.condition("Stalled")

    assert project is not None
    project["spec"] = {"defaults": {"expiresAfter": "2160h"}}
    store.project = project
    operator.run()
    assert "Active" == store.ready()


def test_raw_values_are_in_no_repr() -> None:
    store = new_store(SPEC)
    operator = Operator(store)
    writes = operator.run()

    value = store.value()
    assert value is not None
    secret_part = value.rsplit("_", 1)[1]
    assert isinstance(writes[0], AddFinalizer)
    assert isinstance(writes[1], WriteStatus)
    assert isinstance(writes[2], WriteSecret)
    assert all(secret_part not in repr(write) for write in writes)
    assert secret_part not in str(store.status)


def test_a_leader_that_was_overtaken_does_not_write_over_the_successors_value() -> None:
    store, first = settled()
    store.now += seconds(3600)
    first.run_until(lambda action: isinstance(action, WriteStatus))
    stale = dict(first.view or {})
    second = Operator(store, number=1)
    second.run()
    value = store.value()

    first.begin()
    first.view = stale
    first.run()

    assert value == store.value()
    assert ["Active", "Retiring"] == store.states()
