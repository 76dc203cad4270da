"""Killed at any moment, the operator goes on where it was: no key lost, none changed, none dead.

A replay of a failure's plan: KEYWRIGHT_SEED=<the seed it printed>.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from harness.api import Api
from harness.team import Team, digest_of, generations, ready, value_in
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.history import History, Version
    from harness.operator import Operator

KEYS = 200
KILLS = 3
NAMES = [f"key-{number}" for number in range(KEYS)]


@pytest.fixture
def mortal(start_operator: Callable[..., Operator]) -> Iterator[Operator]:
    """An operator that the test may kill."""
    running = start_operator().until_ready()
    yield running
    running.stop()


@pytest.fixture
def chance() -> random.Random:
    """Chance by a seed that a failure shows."""
    seed = int(os.environ.get("KEYWRIGHT_SEED") or random.SystemRandom().randrange(10**6))
    print(f"KEYWRIGHT_SEED={seed}")
    return random.Random(seed)


def test_a_burst_of_keys_survives_three_kills(
    mortal: Operator, team: Team, record: Callable[..., History], chance: random.Random, kubeconfig: Path
) -> None:
    history = record(team.namespace, "ApiKey", "Secret")
    with ThreadPoolExecutor(2) as pool:
        burst = pool.submit(_create_all, Team(Api(kubeconfig), team.namespace))
        for number in range(KILLS):
            _kill_in_the_middle(mortal, history, number, chance)
            mortal.start().until_ready()
        burst.result()
    keys = until(
        lambda: team.api.list("ApiKey", team.namespace),
        lambda keys: len(keys) == KEYS and all(ready(key) == "Active" for key in keys),
    )
    history.caught_up()
    secrets = {one["metadata"]["name"]: one for one in team.api.list("Secret", team.namespace)}
    for key in keys:
        (active,) = generations(key, "Active")
        assert digest_of(value_in(secrets[key["metadata"]["name"]])) == active["digest"]
        assert (active["revision"], active["cause"], key["status"]["revision"]) == (1, "First", 1)
        assert active["id"] == key["status"]["currentKeyID"]
    left = sum(len(generations(key, "Pending")) for key in keys)
    print(f"Pending generations left behind by the kills: {left}")
    _no_value_ever_changed(history)
    _what_was_readable_was_accepted(history)
    _generations_were_in_order(history)


def test_rotations_survive_a_kill(
    mortal: Operator, team: Team, record: Callable[..., History], chance: random.Random
) -> None:
    names = NAMES[:40]
    for name in names:
        team.create(name, rotation={"policy": "Never", "overlap": "1h"})
    first = {name: team.until_ready(name)["status"]["currentKeyID"] for name in names}
    history = record(team.namespace, "ApiKey", "Secret")
    for name in names:
        team.annotate({"keywright.dev/rotate": "now"}, name)
    time.sleep(chance.uniform(0, 0.15))
    mortal.kill()
    mortal.start().until_ready()
    for name in names:
        key = team.until_revision(2, name)
        (active,), (retiring,) = generations(key, "Active"), generations(key, "Retiring")
        assert (active["cause"], retiring["id"]) == ("Requested", first[name])
        assert digest_of(team.value(name)) == active["digest"]
        assert key["status"]["handledTokens"] == ["now"]
    _what_was_readable_was_accepted(history.caught_up())
    _generations_were_in_order(history)
    values = {name: {value_in(one.obj) for one in history.versions("Secret", name)} for name in names}
    assert {1} == {len(found) for found in values.values()}, "one token, one new value"


def _create_all(team: Team) -> None:
    for name in NAMES:
        team.create(name)


def _kill_in_the_middle(operator: Operator, history: History, number: int, chance: random.Random) -> None:
    """Kill it a moment after a part of the Secrets stands, so that there always is work half done."""
    part = KEYS * (number + chance.random()) / (KILLS + 0.5)
    until(
        lambda: len({one.obj["metadata"]["name"] for one in history.versions("Secret")}), lambda n: n >= part
    )
    time.sleep(chance.uniform(0, 0.02))
    operator.kill()


def _no_value_ever_changed(history: History) -> None:
    values = defaultdict(set)
    for _, _, secret in history.versions("Secret"):
        values[secret["metadata"]["name"]].add(value_in(secret))
    assert {} == {name: len(found) for name, found in values.items() if len(found) > 1}
    assert len(values) == KEYS


def _what_was_readable_was_accepted(history: History) -> None:
    """Whenever a Secret was written, the ApiKey's status already had its digest as one to accept."""
    for name, versions in _by_name(history, "Secret"):
        for at, deleted, secret in versions:
            before = [one.obj for one in history.versions("ApiKey", name) if one.at < at]
            accepted = {g["digest"] for g in generations(before[-1]) if g["state"] in {"Pending", "Active"}}
            assert deleted or digest_of(value_in(secret)) in accepted, name


def _generations_were_in_order(history: History) -> None:
    for name, versions in _by_name(history, "ApiKey"):
        states = [Counter(g["state"] for g in generations(one.obj)) for one in versions]
        assert all(count["Pending"] <= 3 and count["Active"] <= 1 for count in states), name
        revisions = [one.obj["status"].get("revision") or 0 for one in versions]
        assert revisions == sorted(revisions), name


def _by_name(history: History, kind: str) -> Iterator[tuple[str, list[Version]]]:
    versions = sorted(history.versions(kind), key=lambda one: one.obj["metadata"]["name"])
    for name, group in itertools.groupby(versions, key=lambda one: one.obj["metadata"]["name"]):
        yield name, list(group)
