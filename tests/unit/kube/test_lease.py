"""Two candidates and one Lease: who may act, and when nobody may."""

from __future__ import annotations

from typing import Any

import pytest

from keywright.kube import paths
from keywright.kube.errors import ApiError, NotLeadingError, TransportError
from keywright.kube.lease import DURATION, MARGIN, Lease, LostError
from tiny_api import TinyApi, refusal

PATH = paths.lease("system", "it")
TERM = DURATION - MARGIN


class World:
    """An API server and a clock; `lag` passes between the sending of a write and its answer."""

    def __init__(self) -> None:
        self.api = TinyApi()
        self.now = 1000.0

    def candidate(self, name: str) -> Lease:
        return Lease(self.api, "system", "it", name, clock=lambda: self.now)  # type: ignore[arg-type]

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.api.objects[PATH]["spec"]
        return spec

    def overwrite(self, **spec: Any) -> None:
        self.api.put(PATH, {**self.api.objects[PATH], "spec": {**self.spec, **spec}})

    def lose_the_answer_of_the_next_write(self) -> None:
        replace = self.api.replace

        async def replaced(path: str, body: dict[str, Any]) -> dict[str, Any]:
            self.api.replace = replace  # type: ignore[method-assign]
            await replace(path, body)
            raise TransportError("no answer")

        self.api.replace = replaced  # type: ignore[method-assign]


@pytest.fixture
def world() -> World:
    return World()


async def test_the_first_takes_it_and_the_second_does_not(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    assert await first.attempt()
    assert not await second.attempt()
    assert (first.held(), second.held(), second.holder) == (True, False, "first")
    assert (world.spec["holderIdentity"], world.spec["leaseDurationSeconds"]) == ("first", 10)
    assert world.spec["leaseTransitions"] == 0
    second_writes = pytest.raises(NotLeadingError)
    with second_writes:
        second.require()
    first.require()


async def test_its_term_ends_before_anybody_else_may_take_over_and_counts_from_before_the_write(
    world: World,
) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    await second.attempt()
    world.api.before = lambda verb, _: setattr(world, "now", world.now + (1.5 if verb == "update" else 0))
    begun = world.now
    await first.attempt()
    world.api.before = lambda *_: None
    world.now = begun + TERM - 0.01
    assert first.held()
    world.now = begun + TERM
    assert not first.held()
    assert not await second.attempt()


async def test_a_candidate_waits_from_when_it_saw_the_last_change(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    world.now += 9
    assert not await second.attempt()  # the first time that it sees it
    world.now += 9.9
    assert not await second.attempt()
    assert 0.1 == pytest.approx(second.expires_in())
    world.now += 0.1
    assert await second.attempt()
    assert (world.spec["holderIdentity"], world.spec["leaseTransitions"]) == ("second", 1)


async def test_a_renewal_makes_it_wait_anew_whatever_the_times_in_the_record_say(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    await second.attempt()
    for wall_clock in ("1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"):
        world.now += 9
        world.overwrite(renewTime=wall_clock, acquireTime=wall_clock)
        assert not await second.attempt()
    world.now += 9
    assert not await second.attempt()
    world.now += 1
    assert await second.attempt()


async def test_of_two_that_find_it_expired_one_gets_it(world: World) -> None:
    first, second, third = (world.candidate(name) for name in ("first", "second", "third"))
    for one in (first, second, third):
        await one.attempt()
    world.now += DURATION
    await second._read()
    await third._read()
    assert await third._claim()
    with pytest.raises(ApiError):
        await second._claim()
    assert not await second.attempt()
    assert [False, True] == [second.held(), third.held()]


async def test_whoever_was_overtaken_learns_it_and_says_by_whom(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    await second.attempt()
    world.now += DURATION
    assert await second.attempt()
    with pytest.raises(LostError, match="second"):
        await first.attempt()
    assert not first.held()
    assert world.spec["holderIdentity"] == "second"


async def test_nobody_took_it_meanwhile_so_the_term_goes_on(world: World) -> None:
    first = world.candidate("first")
    await first.attempt()
    world.now += 900
    assert not first.held()
    assert await first.attempt()
    assert first.held()
    assert world.spec["leaseTransitions"] == 0


async def test_an_unanswered_renewal_prolongs_nothing_and_does_no_harm(world: World) -> None:
    first = world.candidate("first")
    await first.attempt()
    world.now += 5
    world.lose_the_answer_of_the_next_write()
    with pytest.raises(TransportError):
        await first.attempt()
    world.now += TERM - 5
    assert not first.held()
    assert await first.attempt()


async def test_an_unanswered_takeover_is_found_to_be_ones_own(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    await second.attempt()
    world.now += DURATION
    world.lose_the_answer_of_the_next_write()
    with pytest.raises(TransportError):
        await second.attempt()
    assert not second.held()
    assert await second.attempt()
    assert world.spec["leaseTransitions"] == 1


async def test_released_it_is_free_at_once(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    await second.attempt()
    await first.release()
    assert not first.held()
    assert (world.spec["holderIdentity"], world.spec["leaseDurationSeconds"]) == ("", 1)
    assert await second.attempt()
    assert world.spec["leaseTransitions"] == 1


async def test_a_release_finds_its_way_past_an_unanswered_renewal(world: World) -> None:
    first = world.candidate("first")
    await first.attempt()
    world.lose_the_answer_of_the_next_write()
    with pytest.raises(TransportError):
        await first.attempt()
    await first.release()
    assert world.spec["holderIdentity"] == ""


async def test_who_does_not_hold_it_releases_nothing(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    await second.attempt()
    await second.release()
    assert world.spec["holderIdentity"] == "first"
    world.now += DURATION
    await second.attempt()
    with pytest.raises(LostError):
        await first.release()
    assert world.spec["holderIdentity"] == "second"


async def test_a_release_that_failed_is_not_tried_again(world: World) -> None:
    first = world.candidate("first")
    await first.attempt()

    def refuse(verb: str, path: str) -> None:
        raise refusal(verb, path, 500)

    world.api.before = refuse
    with pytest.raises(ApiError):
        await first.release()
    await first.release()
    assert not first.held()


async def test_deleted_it_is_made_anew_by_its_holder_who_has_its_term_for_it(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    await second.attempt()
    del world.api.objects[PATH]
    world.now += DURATION - 0.1
    assert not await second.attempt()
    assert await first.attempt()
    assert (world.spec["holderIdentity"], world.spec["leaseTransitions"]) == ("first", 0)
    del world.api.objects[PATH]
    assert not await second.attempt()
    world.now += DURATION
    assert await second.attempt()
    with pytest.raises(LostError):
        await first.attempt()


async def test_what_others_keep_in_the_record_stays(world: World) -> None:
    first = world.candidate("first")
    await first.attempt()
    labelled = {**world.api.objects[PATH]["metadata"], "labels": {"app": "it"}}
    world.api.put(PATH, {**world.api.objects[PATH], "metadata": labelled})
    world.overwrite(preferredHolder="nobody")
    assert await first.attempt()
    assert world.api.objects[PATH]["metadata"]["labels"] == {"app": "it"}
    assert world.spec["preferredHolder"] == "nobody"


async def test_the_duration_in_the_record_counts_for_whoever_waits(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    world.overwrite(leaseDurationSeconds=30)
    assert not await second.attempt()
    world.now += 29
    assert not await second.attempt()
    world.now += 1
    assert await second.attempt()


async def test_where_no_lease_can_be_any_more_its_holder_goes_on_and_nobody_else_begins(world: World) -> None:
    first, second = world.candidate("first"), world.candidate("second")
    await first.attempt()
    del world.api.objects[PATH]

    def terminating(verb: str, path: str) -> None:
        if verb == "create":
            raise ApiError(verb=verb, resource="leases", status=403, causes=("NamespaceTerminating",))

    def gone(verb: str, path: str) -> None:
        raise refusal(verb, path, 404)

    for before in (terminating, gone):
        world.api.before = before
        world.now += TERM
        assert await first.attempt()
        assert first.held()
        with pytest.raises(ApiError):
            await second.attempt()


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_refusal_changes_nothing_and_is_told(world: World, status: int) -> None:
    first = world.candidate("first")
    await first.attempt()

    def refuse(verb: str, path: str) -> None:
        raise refusal(verb, path, status)

    world.api.before = refuse
    with pytest.raises(ApiError):
        await first.attempt()
    assert first.held()
    world.now += TERM
    assert not first.held()
