"""One replica acts: when it begins, when it stops, and what it says of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from keywright.controller import leadership as module
from keywright.controller.leadership import Leadership
from keywright.kube.errors import ApiError, TransportError
from keywright.kube.lease import LostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


pytestmark = pytest.mark.usefixtures("skipped_time")

OURS, OTHERS = True, False


class Scripted:
    """A Lease whose next outcomes are given; the last one repeats."""

    name, identity, holder = "it", "me", "other"

    def __init__(self, *outcomes: bool | Exception) -> None:
        self.outcomes = list(outcomes)
        self.attempts = 0
        self.released = 0
        self.is_held = False

    async def attempt(self) -> bool:
        self.attempts += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        self.is_held = outcome
        return outcome

    def held(self) -> bool:
        return self.is_held

    def expires_in(self) -> float:
        return 0.01

    async def release(self) -> None:
        self.released += 1
        await asyncio.sleep(60)


class Told(list[str]):
    def begin(self) -> None:
        self.append("begin")

    def stand_by(self) -> None:
        if self[-1:] != ["stand by"]:
            self.append("stand by")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RENEW_EVERY", "RETRY_EVERY", "LOOK_EVERY", "ANSWER_WITHIN", "RELEASE_WITHIN"):
        monkeypatch.setattr(module, name, 0.01)


def make(lease: Scripted | None, told: Told | None = None) -> Leadership:
    told = Told() if told is None else told
    return Leadership(lease, begin=told.begin, stand_by=told.stand_by)  # type: ignore[arg-type]


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  what is waited for is a plain state
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(leadership: Leadership, *, warm: bool = True) -> AsyncIterator[asyncio.Task[None]]:
    event = asyncio.Event()
    if warm:
        event.set()
    task = asyncio.create_task(leadership.run(event))
    yield task
    task.cancel()
    await asyncio.wait([task])


async def test_without_a_lease_it_acts_as_soon_as_it_knows_everything() -> None:
    told = Told()
    leadership = make(None, told)
    async with running(leadership, warm=False):
        await asyncio.sleep(0.02)
        assert not leadership.leads()
    async with running(leadership):
        await until(leadership.leads)
        assert (told, leadership.problems()) == (["begin"], [])


async def test_with_cold_caches_it_does_not_even_compete() -> None:
    lease = Scripted(OURS)
    async with running(make(lease), warm=False):
        await asyncio.sleep(0.05)
    assert lease.attempts == 0


async def test_a_standby_is_well_and_acts_once_it_gets_the_lease() -> None:
    told, lease = Told(), Scripted(OTHERS, OTHERS, OURS)
    leadership = make(lease, told)
    assert leadership.problems() == ["it is not known yet which replica acts"]
    async with running(leadership):
        await until(leadership.leads)
    assert (told, leadership.problems()) == (["stand by", "begin"], [])


async def test_it_begins_once_however_often_it_renews() -> None:
    told, lease = Told(), Scripted(OURS)
    async with running(make(lease, told)):
        await until(lambda: lease.attempts > 5)
    assert told == ["begin"]


async def test_a_failed_renewal_stops_nothing_before_the_deadline_and_everything_after_it() -> None:
    told, lease = Told(), Scripted(OURS, TransportError("no answer"))
    leadership = make(lease, told)
    async with running(leadership):
        await until(lambda: lease.attempts > 3)
        assert leadership.acting.is_set()
        lease.is_held = False
        assert not leadership.leads()
        await until(lambda: not leadership.acting.is_set())
        lease.outcomes = [True]
        await until(leadership.leads)
    assert told == ["begin", "begin"], "what came while it did not act is looked at"


async def test_losing_it_to_another_one_ends_the_task() -> None:
    lease = Scripted(OURS, LostError("another one holds the Lease", holder="other"))
    leadership = make(lease)
    async with running(leadership) as task:
        with pytest.raises(LostError):
            await task
    assert not leadership.acting.is_set()


async def test_what_hinders_it_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DURATION", 0)
    forbidden = ApiError(verb="get", resource="leases", status=403, reason="Forbidden")
    lease = Scripted(forbidden)
    leadership = make(lease)
    async with running(leadership):
        await until(lambda: lease.attempts > 1)
        (problem,) = leadership.problems()
    for word in ("Lease it", "grant", "--lease-name", "--no-leader-elect"):
        assert word in problem


async def test_it_waits_as_long_as_the_api_server_asks_for() -> None:
    busy = ApiError(verb="update", resource="leases", status=429, retry_after=5.0)
    assert await make(None)._turn(Scripted(busy)) == 5.0  # type: ignore[arg-type]


async def test_a_release_that_is_not_answered_holds_nothing_up() -> None:
    lease = Scripted(OURS)
    leadership = make(lease)
    async with asyncio.timeout(5):
        await leadership.release()
    assert lease.released == 1
