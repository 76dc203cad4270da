"""The transitions of status.keys, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keywright.api.apikey import ApiKeyStatus, Generation, GenerationState
from keywright.keys import generations as gens
from keywright.keys.generations import Bounds
from world import Operator, new_project, new_store, seconds

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def generation(key_id: str, state: str, **more: Any) -> Generation:
    return Generation.model_validate(
        {
            "id": key_id,
            "revision": 1,
            "digest": f"sha256:{key_id}",
            "hint": "kw",
            "state": state,
            "cause": "First",
            "created_at": NOW - timedelta(hours=1),
            **more,
        }
    )


def retiring(key_id: str, until: datetime, **more: Any) -> Generation:
    since = NOW - 10 * MINUTE
    return generation(key_id, "Retiring", retiring_since=since, retires_at=until, **more)


def test_it_expires_at_the_earliest_of_stamp_api_key_and_maximum() -> None:
    one = generation("a", "Active", expires_at=NOW + 3 * MINUTE)

    assert NOW + 3 * MINUTE == Bounds().expiry(one)
    assert NOW + 2 * MINUTE == Bounds(NOW + 2 * MINUTE).expiry(one)
    assert NOW + MINUTE == Bounds(NOW + 2 * MINUTE, timedelta(minutes=61)).expiry(one)
    assert Bounds().expiry(generation("b", "Active")) is None


@pytest.mark.parametrize(("state", "valid"), [("Pending", True), ("Active", True), ("Retired", False)])
def test_validity_is_judged_by_the_times(state: str, valid: bool) -> None:  # noqa: FBT001
    one = generation("a", state, expires_at=NOW + MINUTE)

    assert valid == Bounds().valid(one, NOW)
    assert not Bounds().valid(one, NOW + MINUTE)


def test_a_length_beyond_the_calendar_ends_with_the_calendar() -> None:
    assert 9999 == gens.later(NOW, timedelta(hours=99_999_999)).year


@pytest.mark.parametrize(("age", "state"), [(59, "Retiring"), (60, "Retired")])
def test_what_retires_is_retired_sixty_seconds_later(age: int, state: str) -> None:
    (after,) = gens.end_by_time((retiring("a", NOW),), Bounds(), NOW + timedelta(seconds=age))

    assert state == after.state


def test_what_expires_during_its_overlap_is_expired() -> None:
    one = retiring("a", NOW, expires_at=NOW)

    assert GenerationState.EXPIRED is gens.end_by_time((one,), Bounds(), NOW + MINUTE)[0].state


def test_a_pending_one_does_not_end_by_time() -> None:
    one = generation("a", "Pending", expires_at=NOW - 10 * MINUTE)

    assert (one,) == gens.end_by_time((one,), Bounds(), NOW)


def test_an_end_that_came_before_a_revocation_stays_what_it_was() -> None:
    both = (generation("a", "Active"), generation("b", "Retired"))

    assert ["Revoked", "Retired"] == [g.state for g in gens.latch(both, {"a", "b"}, GenerationState.REVOKED)]


@pytest.mark.parametrize(
    ("overlap", "until"),
    [(5, NOW), (15, NOW + 5 * MINUTE), (20, NOW + 10 * MINUTE), (300, NOW + 290 * MINUTE)],
)
def test_an_edit_of_the_overlap_moves_the_end_but_never_before_now(overlap: int, until: datetime) -> None:
    one = retiring("a", NOW + 5 * MINUTE)

    (after,) = gens.move_ends((one,), Bounds(), lambda _: overlap * MINUTE, NOW)

    assert until == after.retires_at


def test_an_end_that_has_passed_does_not_move() -> None:
    one = retiring("a", NOW)

    assert (one,) == gens.move_ends((one,), Bounds(), lambda _: 300 * MINUTE, NOW)


@pytest.mark.parametrize("moved", [timedelta(hours=1), None])
def test_an_end_that_the_status_told_and_that_has_passed_revives_by_no_edit(moved: timedelta | None) -> None:
    one = generation("a", "Active")
    bounds = Bounds(None if moved is None else NOW + moved)
    status = ApiKeyStatus(current_key_id="a", expires_at=NOW)

    assert gens.accepted(one, status, bounds, NOW - timedelta(seconds=1))
    assert not gens.accepted(one, status, bounds, NOW)
    assert frozenset({"a"}) == gens.outlived((one,), status, bounds, NOW)


def test_the_end_of_another_key_tells_nothing() -> None:
    one = generation("b", "Active")
    status = ApiKeyStatus(current_key_id="a", expires_at=NOW)

    assert gens.accepted(one, status, Bounds(), NOW)
    assert frozenset() == gens.outlived((one,), status, Bounds(), NOW)


def test_an_end_that_was_not_moved_has_its_grace() -> None:
    one = generation("a", "Active", expires_at=NOW)
    status = ApiKeyStatus(current_key_id="a", expires_at=NOW)

    assert not gens.accepted(one, status, Bounds(), NOW)
    assert frozenset() == gens.outlived((one,), status, Bounds(), NOW)


def test_while_nobody_knows_the_overlap_an_earlier_expiry_counts() -> None:
    one = retiring("a", NOW + 5 * MINUTE)

    assert NOW + 5 * MINUTE == gens.move_ends((one,), Bounds(NOW + 9 * MINUTE), None, NOW)[0].retires_at
    assert NOW + 2 * MINUTE == gens.move_ends((one,), Bounds(NOW + 2 * MINUTE), None, NOW)[0].retires_at


def test_no_overlap_outlasts_the_keys_own_end() -> None:
    one = retiring("a", NOW + MINUTE, expires_at=NOW + 3 * MINUTE)

    assert NOW + 3 * MINUTE == gens.move_ends((one,), Bounds(), lambda _: 300 * MINUTE, NOW)[0].retires_at


def test_an_edit_of_the_overlap_reaches_the_status() -> None:
    store = new_store({"expiresAfter": "90m", "rotation": {"interval": "60m", "overlap": "10m"}})
    operator = Operator(store)
    operator.run()
    store.now += seconds(3600)
    operator.run()
    since = datetime.fromisoformat(store.keys[1]["retiringSince"])

    store.edit({"rotation": {"interval": "60m", "overlap": "20m"}})
    operator.run()
    assert since + 20 * MINUTE == datetime.fromisoformat(store.keys[1]["retiresAt"])
    store.edit({"rotation": {"interval": "60m", "overlap": "0s"}})
    operator.run()
    assert datetime.fromisoformat(store.keys[1]["retiresAt"]) - store.now < timedelta(seconds=1)


@pytest.mark.parametrize("matter", ["no Project", "bad schedule"])
def test_while_nobody_knows_what_applies_no_end_moves(matter: str) -> None:
    store = new_store(
        {"expiresAfter": "90m"}, {"defaults": {"rotation": {"interval": "60m", "overlap": "10m"}}}
    )
    operator = Operator(store)
    operator.run()
    store.now += seconds(3600)
    operator.run()
    before = store.keys[1]["retiresAt"]

    store.project = (
        None if matter == "no Project" else new_project({"defaults": {"rotation": {"schedule": "x"}}})
    )
    operator.run()

    assert before == store.keys[1]["retiresAt"]


def test_activation_retires_the_one_before_and_drops_older_pending_ones() -> None:
    younger, revealed, older = (generation(key_id, "Pending", tokens=("t",)) for key_id in "xyz")
    before = (younger, revealed, older, generation("a", "Active"), retiring("b", NOW + MINUTE))

    after = gens.activate(before, revealed, revision=2, overlap=MINUTE, bounds=Bounds(), now=NOW)

    assert [("x", "Pending"), ("y", "Active"), ("a", "Retiring"), ("b", "Retiring")] == [
        (g.id, g.state) for g in after
    ]
    assert (2, None, None) == (after[1].revision, after[1].tokens, after[1].regenerate)
    assert (NOW, NOW + MINUTE) == (after[2].retiring_since, after[2].retires_at)


def test_without_overlap_the_one_before_ends_at_once() -> None:
    revealed = generation("y", "Pending")
    before = (revealed, generation("a", "Active"))

    after = gens.activate(before, revealed, revision=2, overlap=timedelta(), bounds=Bounds(), now=NOW)

    assert ["Active", "Retired"] == [g.state for g in after]


def test_with_regenerate_every_older_one_is_revoked() -> None:
    revealed = generation("y", "Pending", regenerate=True)
    before = (revealed, generation("a", "Active"), retiring("b", NOW + MINUTE))

    after = gens.activate(before, revealed, revision=2, overlap=MINUTE, bounds=Bounds(), now=NOW)

    assert ["Active", "Revoked", "Revoked"] == [g.state for g in after]


def test_status_times_are_whole_seconds_since_and_until_rounded_up() -> None:
    revealed = generation("y", "Pending")
    moment = NOW + timedelta(milliseconds=1)

    after = gens.activate(
        (revealed, generation("a", "Active")),
        revealed,
        revision=2,
        overlap=timedelta(milliseconds=1500),
        bounds=Bounds(),
        now=moment,
    )

    assert NOW + timedelta(seconds=1) == after[1].retiring_since
    assert NOW + timedelta(seconds=3) == after[1].retires_at


def test_of_the_ended_ones_three_stay_and_pending_ones_do_not_count() -> None:
    pending = generation("p", "Pending", expires_at=NOW)
    ended = tuple(generation(str(number), "Retired") for number in range(5))

    assert ["p", "0", "1", "2"] == [g.id for g in gens.trim((pending, *ended), Bounds(), NOW)]
