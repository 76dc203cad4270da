"""What is told, once each, and never the value."""

from __future__ import annotations

from typing import Any

import pytest

from world import Operator, Store, foreign_secret, new_store, seconds

SPEC = {"expiresAfter": "90m", "rotation": {"interval": "60m", "overlap": "10m"}}


def settled(spec: dict[str, Any] | None = None) -> tuple[Store, Operator]:
    store = new_store(SPEC if spec is None else spec)
    operator = Operator(store)
    operator.run()
    return store, operator


def heard(store: Store, operator: Operator, *, after: float = 0) -> list[str]:
    operator.told = []
    store.now += seconds(after)
    operator.run()
    return operator.told


def test_the_first_key_is_minted_and_the_next_are_rotated_to() -> None:
    store, operator = settled()
    assert ["Minted"] == operator.told

    assert ["Rotated"] == heard(store, operator, after=3600)
    assert [] == heard(store, operator, after=601)
    assert ["Retired"] == heard(store, operator, after=60)


def test_without_overlap_that_is_told_too() -> None:
    store, operator = settled({"rotation": {"policy": "Never", "overlap": "0s"}})
    store.annotate("keywright.dev/rotate", "a")

    assert ["Rotated", "NoOverlap", "Retired"] == heard(store, operator)


def test_a_revocation_is_told_with_the_write_that_latches_it() -> None:
    store, operator = settled()
    store.revoked[store.keys[0]["id"]] = "KeyCompromise"  # type: ignore[assignment]

    assert ["Revoked", "Rotated"] == heard(store, operator)


def test_an_end_is_told_once_when_ready_turns() -> None:
    store, operator = settled({"expiresAfter": "10m", "rotation": {"policy": "Never"}})

    assert ["Expired"] == heard(store, operator, after=600)
    assert [] == heard(store, operator, after=61)


def test_an_adoption_is_a_restoration() -> None:
    store, _ = settled()
    store.wipe_status()
    operator = Operator(store, number=1)

    assert ["SecretRestored"] == heard(store, operator)


def test_a_conflict_is_told_once() -> None:
    store, operator = settled()
    store.put_secret(foreign_secret())
    operator.verified = None

    assert ["SecretConflict"] == heard(store, operator)
    assert [] == heard(store, operator, after=10)


@pytest.mark.parametrize(
    ("lifetime", "warned_after"),
    [("100h", 90 * 3600), ("5h", 4 * 3600), ("90m", 45 * 60)],
)
def test_a_key_that_nothing_will_rotate_is_announced_to_end(lifetime: str, warned_after: int) -> None:
    store, operator = settled({"expiresAfter": lifetime, "rotation": {"policy": "Never"}})

    assert "ExpiringSoon" not in heard(store, operator, after=warned_after - 5)
    assert "ExpiringSoon" in heard(store, operator, after=6)


def test_it_is_not_announced_where_a_rotation_comes_first() -> None:
    store, operator = settled({"expiresAfter": "100h", "rotation": {"beforeExpiry": "1h"}})

    assert "ExpiringSoon" not in heard(store, operator, after=98.9 * 3600)


def test_notes_name_key_and_revision_and_no_value() -> None:
    store, operator = settled()
    store.now += seconds(3600)
    notes = []
    for _ in range(12):
        operator.step()
        notes += list(operator.plan.happenings)

    value = store.value()
    assert value is not None
    assert any(note.key_id == store.keys[0]["id"] and note.revision == 2 for note in notes)
    assert all(value.rsplit("_", 1)[1] not in note.note for note in notes)
