"""The status says what is: effective values, times, and nothing that changes by itself."""

from __future__ import annotations

from typing import Any

import pytest

from world import Operator, Store, new_project, new_store, seconds, stamp


def settled(spec: dict[str, Any] | None = None, project: dict[str, Any] | None = None) -> Store:
    store = new_store(spec, project)
    Operator(store).run()
    return store


def test_effective_is_what_applies_after_defaults_and_limits() -> None:
    store = settled(
        {"scopes": ["data:*"]},
        {
            "defaults": {"expiresAfter": "8760h", "rotation": {"interval": "720h"}},
            "limits": {"maxExpiresAfter": "2160h"},
            "scopes": [{"name": "data:read"}, {"name": "data:write"}, {"name": "other"}],
        },
    )

    assert {
        "expiresAfter": "2160h",
        "rotation": {"policy": "Scheduled", "interval": "720h", "overlap": "24h"},
        "scopes": ["data:read", "data:write"],
    } == store.status["effective"]


def test_by_lifetime_alone_it_rotates_a_third_before_the_end() -> None:
    store = settled({"expiresAfter": "90m"})

    assert "30m" == store.status["effective"]["rotation"]["beforeExpiry"]
    assert "2026-11-23T13:00:00Z" == store.status["nextRotationTime"]


def test_without_lifetime_it_never_rotates() -> None:
    store = settled({})

    assert "Never" == store.status["effective"]["rotation"]["policy"]
    assert "nextRotationTime" not in store.status
    assert "expiresAt" not in store.status


def test_a_client_key_without_limits_gets_some() -> None:
    store = settled({"type": "Client", "restrictions": {"anyOrigin": True}})

    assert [{"requests": 100, "period": "1m"}] == store.status["effective"]["rateLimits"]


@pytest.mark.parametrize("limits", [[], [{"requests": 5, "period": "1s"}]])
def test_own_limits_replace_every_default(limits: list[Any]) -> None:
    store = settled(
        {"type": "Client", "restrictions": {"anyOrigin": True}, "rateLimits": limits},
        {"defaults": {"rateLimits": [{"requests": 7, "period": "1s"}]}},
    )

    assert limits == store.status["effective"]["rateLimits"]


def test_the_end_is_that_of_the_current_key_by_all_that_bounds_it() -> None:
    store = settled({"expiresAfter": "24h", "rotation": {"policy": "Never"}})
    assert "2026-11-24T12:00:00Z" == store.status["expiresAt"]
    operator = Operator(store, number=1)

    store.edit({"expiresAt": stamp(store.now + seconds(7200))})
    operator.run()
    assert stamp(store.now + seconds(7200))[:16] == store.status["expiresAt"][:16]
    store.project = new_project({"limits": {"maxExpiresAfter": "90m"}})
    operator.run()

    assert "2026-11-23T13:30:00Z" == store.status["expiresAt"]
    assert "2026-11-24T12:00:00Z" == store.keys[0]["expiresAt"]


def test_every_condition_has_the_generation_it_was_found_for() -> None:
    store = settled()
    store.edit({"suspend": True})

    Operator(store, number=1).run()

    assert 2 == store.status["observedGeneration"]
    assert {2} == {condition["observedGeneration"] for condition in store.status["conditions"]}


def test_rotating_says_overlap_while_an_old_key_is_valid() -> None:
    store = settled({"expiresAfter": "90m", "rotation": {"interval": "60m", "overlap": "10m"}})
    assert ("False", "Idle") == (
        store.condition("Rotating")["status"],
        store.condition("Rotating")["reason"],
    )
    store.now += seconds(3600)

    Operator(store, number=1).run()

    rotating = store.condition("Rotating")
    assert ("True", "Overlap") == (rotating["status"], rotating["reason"])
    assert store.keys[1]["retiresAt"] in rotating["message"]
    assert {"Ready", "Rotating"} == {condition["type"] for condition in store.status["conditions"]}


def test_times_are_whole_seconds_and_utc() -> None:
    store = settled({"expiresAfter": "1500ms", "rotation": {"policy": "Never"}})

    assert "2026-11-23T12:00:00Z" == store.keys[0]["createdAt"]
    assert "2026-11-23T12:00:02Z" == store.keys[0]["expiresAt"]


def test_last_rotation_is_of_the_second_key_on() -> None:
    store = settled({"expiresAfter": "90m", "rotation": {"interval": "60m"}})
    assert "lastRotationTime" not in store.status
    store.now += seconds(3600)

    Operator(store, number=1).run()

    assert "lastRotationTime" in store.status


def test_a_status_without_meaning_keeps_what_applied_last() -> None:
    store = settled({"expiresAfter": "90m"})
    before = store.status["effective"]
    store.edit({"rotation": {"schedule": "x"}})

    Operator(store, number=1).run()

    assert "InvalidSpec" == store.ready()
    assert before == store.status["effective"]
