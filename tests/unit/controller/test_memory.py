"""What a process remembers of an ApiKey between passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from keywright.api.apikey import ApiKey
from keywright.api.project import KeyType
from keywright.controller.memory import Memory
from keywright.keys.raw import mint
from keywright.keys.seen import Refusal
from world import new_api_key

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RAW = mint("kw", KeyType.PRODUCTION)


def waits(memory: Memory, *, generation: int = 1, key_id: str | None = None) -> int:
    memory.refuse(key_id, "exceeded quota", generation, NOW)
    assert memory.refusal is not None
    return round((memory.refusal.retry_at - NOW).total_seconds())


def test_each_refusal_of_the_same_spec_waits_longer_up_to_five_minutes() -> None:
    memory = Memory()
    assert [5, 10, 20, 40, 80, 160, 300, 300] == [waits(memory) for _ in range(8)]


def test_another_spec_begins_with_a_short_wait() -> None:
    memory = Memory()
    assert [5, 10] == [waits(memory), waits(memory)]
    assert [5, 10] == [waits(memory, generation=2), waits(memory, generation=2)]


def test_a_refusal_says_why_and_of_which_spec() -> None:
    memory = Memory()
    memory.refuse(RAW.id, "exceeded quota", 7, NOW)
    assert Refusal("exceeded quota", NOW + timedelta(seconds=5), 7) == memory.refusal
    assert {RAW.id} == memory.refused


def test_a_refused_repair_concerns_no_value() -> None:
    memory = Memory()
    memory.refuse(None, "no tiers here", 1, NOW)
    assert set() == memory.refused


def test_a_value_that_may_still_land_is_not_taken_for_refused() -> None:
    memory = Memory(sent={RAW.id})
    memory.refuse(RAW.id, "exceeded quota", 1, NOW)
    assert set() == memory.refused


def test_what_was_accepted_after_all_ends_the_waits() -> None:
    memory = Memory()
    waits(memory)
    waits(memory)
    memory.accepted()
    assert memory.refusal is None
    assert 5 == waits(memory)


def test_a_revealed_value_is_let_go_of() -> None:
    memory = Memory(held={RAW.id: RAW})
    waits(memory)
    memory.revealed(RAW.id)
    assert {} == memory.held
    assert memory.refusal is None


def test_a_value_whose_generation_is_in_status_no_more_is_let_go_of() -> None:
    memory = Memory(held={RAW.id: RAW}, sent={RAW.id}, refused={RAW.id})
    memory.forget_settled(ApiKey.model_validate(new_api_key()))
    assert ({}, set(), set()) == (memory.held, memory.sent, memory.refused)


def test_its_own_writes_tell_it_nothing_and_what_comes_while_it_is_busy_is_looked_at_later() -> None:
    memory = Memory(written=10)
    assert [True, True, False] == [memory.tells_nothing(version) for version in (9, 10, 11)]
    memory.busy = True
    assert memory.tells_nothing(12)
    assert 12 == memory.observed


def test_what_was_told_of_the_secret_in_one_pass_makes_for_one_more_only() -> None:
    memory = Memory()
    memory.begin()
    assert memory.secret_tells_nothing(7), "the pass in progress will see to it"
    assert memory.overtaken
    memory.begin()
    assert not memory.overtaken, "it was read, or need not be"
