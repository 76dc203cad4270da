"""When each name is due: whatever becomes of it meanwhile, nothing of it piles up."""

from __future__ import annotations

import asyncio

from keywright.controller.agenda import Agenda


class Bell(list[str]):
    """What has rung, and a wait for the next."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = asyncio.Event()

    def __call__(self, key: str) -> None:
        self.append(key)
        self._heard.set()

    async def next(self) -> str:
        await asyncio.wait_for(self._heard.wait(), 10)
        self._heard.clear()
        return self[-1]


async def test_a_name_rings_once_at_the_earliest_time_it_was_put_for() -> None:
    bell = Bell()
    agenda, now = Agenda(bell), asyncio.get_running_loop().time()
    agenda.put("b", now + 3600)
    agenda.put("b", now + 0.1)
    agenda.put("a", now + 0.01)
    agenda.put("a", now + 3600)
    agenda.put("dropped", now + 0.01)
    agenda.drop("dropped")
    assert "a" == await bell.next()
    assert "b" == await bell.next()
    assert ["a", "b"] == bell
    assert "a" not in agenda
    agenda.stop()


async def test_what_is_put_again_and_again_takes_no_more_room_while_another_is_due_before_it() -> None:
    bell = Bell()
    agenda, now = Agenda(bell), asyncio.get_running_loop().time()
    agenda.put("next", now + 3600)
    for number in range(10_000):
        agenda.put(f"apikey:{number % 10}", now + 7200 + number)
        agenda.drop(f"apikey:{number % 10}")
    assert len(agenda._heap) < 100
    assert "next" in agenda
    agenda.put("now", now)
    assert "now" == await bell.next()
    agenda.stop()
