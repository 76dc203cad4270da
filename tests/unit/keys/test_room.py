"""How many generations may be valid beside one another."""

from __future__ import annotations

from keywright.api.revocation import RevocationReason
from keywright.keys.actions import WriteStatus
from world import Operator, Store, new_store, seconds


def with_valid(count: int) -> tuple[Store, Operator]:
    store = new_store({"rotation": {"policy": "Never", "overlap": "24h"}})
    operator = Operator(store)
    operator.run()
    for number in range(count - 1):
        store.annotate("keywright.dev/rotate", f"t{number}")
        store.now += seconds(1)
        operator.run()
    return store, operator


def with_five_valid() -> tuple[Store, Operator]:
    store, operator = with_valid(4)
    store.put_secret(None)
    operator.verified = None
    operator.run()
    assert ["Active", "Retiring", "Retiring", "Retiring", "Retiring"] == store.states()
    return store, operator


def test_four_are_valid_at_once_and_a_fifth_rotation_waits() -> None:
    store, operator = with_valid(4)
    store.annotate("keywright.dev/rotate", "more")

    operator.run()

    assert ["Active", "Retiring", "Retiring", "Retiring"] == store.states()
    assert ("True", "OverlapFull") == (
        store.condition("Rotating")["status"],
        store.condition("Rotating")["reason"],
    )
    assert "Active" == store.ready()


def test_it_goes_on_when_the_oldest_has_ended() -> None:
    store, operator = with_valid(4)
    store.annotate("keywright.dev/rotate", "more")
    operator.run()

    while operator.plan.due is not None and store.status["revision"] == 4:
        store.now = operator.plan.due
        operator.run()

    assert store.keys[-1]["retiresAt"] <= store.keys[0]["createdAt"]


def test_a_loss_does_not_wait_and_makes_five() -> None:
    store, _ = with_five_valid()

    assert "SecretLost" == store.keys[0]["cause"]


def test_a_loss_beyond_five_retires_the_oldest_early() -> None:
    store, operator = with_five_valid()
    oldest = store.keys[-1]["id"]
    store.put_secret(None)
    operator.verified = None

    operator.run()

    assert ["Active", "Retiring", "Retiring", "Retiring", "Retiring", "Retired"] == store.states()
    assert oldest == store.keys[-1]["id"]


def test_a_revocation_needs_no_room() -> None:
    store, operator = with_five_valid()
    store.revoked[store.keys[0]["id"]] = RevocationReason.KEY_COMPROMISE

    operator.run()

    assert ["Active", "Revoked", *["Retiring"] * 4] == store.states()


def test_regenerating_waits_for_nothing() -> None:
    store, operator = with_five_valid()
    store.annotate("keywright.dev/regenerate", "now")

    operator.run()

    assert 6 == store.status["revision"]
    assert "Active" == store.keys[0]["state"]
    assert not {"Active", "Retiring"} & set(store.states()[1:])


def test_of_those_that_ended_three_are_kept() -> None:
    store = new_store({"rotation": {"policy": "Never", "overlap": "0s"}})
    operator = Operator(store)
    operator.run()
    for number in range(6):
        store.annotate("keywright.dev/rotate", f"t{number}")
        operator.run()

    assert ["Active", "Retired", "Retired", "Retired"] == store.states()


def test_pending_ones_of_crashed_processes_leave_room_for_five_valid_ones() -> None:
    store, _ = with_five_valid()
    for number in range(5):
        store.put_secret(None)
        crashed = Operator(store, number=number)
        for _ in range(8):
            crashed.step()
            if isinstance(crashed.plan.action, WriteStatus):
                break

    valid = [state for state in store.states() if state in {"Pending", "Active", "Retiring"}]
    assert 5 == len(valid)
    assert 3 == valid.count("Pending")
