"""Two operators at once, as while one takes over from another: no key lost, none changed, none dead.

Each is now and then stopped in the middle of whatever it does, so that the other one overtakes it. A replay
of a failure's plan: KEYWRIGHT_SEED=<the seed it printed>.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.team import REGENERATE, ROTATE, Team, digest_of, generations, ready, value_in
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api, Object
    from harness.history import History
    from harness.operator import Operator

NAMES = [f"key-{number}" for number in range(20)]
ROUNDS = 5
SPEC = {"rotation": {"policy": "Never", "overlap": "2s"}}


@pytest.fixture
def both(start_operator: Callable[..., Operator]) -> Iterator[list[Operator]]:
    """Two operators, each of which acts."""
    running = [start_operator(), start_operator()]
    try:
        for operator in running:
            operator.until_ready()
        yield running
    finally:
        codes = [operator.stop() for operator in running]
    assert [0, 0] == codes


def test_a_storm_of_rotations_under_two_operators(
    both: list[Operator], team: Team, record: Callable[..., History]
) -> None:
    history = record(team.namespace, "ApiKey", "Secret")
    for name in NAMES:
        team.create(name, **SPEC)
    for name in NAMES:
        team.until_ready(name)
    with _taking_turns(both):
        for number in range(ROUNDS):
            for name in NAMES:
                team.annotate({ROTATE if number % 2 else REGENERATE: f"token-{number}"}, name)
            if number % 2:
                time.sleep(0.5)  # now and then a token is overtaken by the next one
            else:
                _until_handled(team, f"token-{number}")
    _until_handled(team, f"token-{ROUNDS - 1}")
    time.sleep(3)  # the overlaps end, and whatever one of the two has yet to say is said
    for name in NAMES:
        team.until_ready(name)
    history.caught_up()

    for key in team.api.list("ApiKey", team.namespace):
        (active,) = generations(key, "Active")
        assert digest_of(team.value(key["metadata"]["name"])) == active["digest"]
        assert active["id"] == key["status"]["currentKeyID"]
    for name in NAMES:
        _one_is_active_at_most_and_revisions_only_grow(history, name)
        _every_value_was_published_before_it_was_readable(history, name)
        _no_value_came_back_or_was_overwritten_before_it_was_current(history, name)
        _each_new_value_had_its_cause(history, name)
    assert all(operator.metric('keywright_mints_total{cause="Requested"}') > 0 for operator in both), (
        "both took part"
    )


def test_mints_rotations_and_deletions_at_once_under_two_operators(
    both: list[Operator], admin: Api, system_namespace: str, team: Team, record: Callable[..., History]
) -> None:
    history = record(team.namespace, "ApiKey", "Secret")
    staying, going = NAMES[::2], NAMES[1::2]
    with _taking_turns(both):
        for name in NAMES:
            team.create(name, **SPEC)  # both find out at once that each of them has no key
        for name in NAMES:
            team.until_ready(name)
        for name in NAMES:
            team.annotate({ROTATE: "token"}, name)
            if name in going:
                team.delete(name)  # with a rotation on its way
        for name in going:
            team.until_gone(name)
        _until_handled(team, "token")
    for name in staying:
        team.until_ready(name)
    history.caught_up()

    for name in NAMES:
        _one_is_active_at_most_and_revisions_only_grow(history, name)
        _every_value_was_published_before_it_was_readable(history, name, deleted=name in going)
        _there_was_one_secret_with_one_name(history, name)
    for name in staying:
        _no_value_came_back_or_was_overwritten_before_it_was_current(history, name)
        (active,) = generations(team.get(name), "Active")
        assert (digest_of(team.value(name)), active["revision"]) == (active["digest"], 2)
    assert {secret["metadata"]["name"] for secret in team.api.list("Secret", team.namespace)} == set(staying)
    recorded = {one["spec"].get("keyID") for one in admin.list("Revocation", system_namespace)}
    for name in going:
        last = history.versions("ApiKey", name)[-1].obj
        valid = {g["id"] for g in generations(last) if g["state"] in {"Pending", "Active"}}
        assert valid, name
        assert valid <= recorded, f"{name}: what was valid is revoked for good"


@contextmanager
def _taking_turns(operators: list[Operator]) -> Iterator[None]:
    """Stop one of them for a moment, then another one, and so on; at the end both run."""
    seed = int(os.environ.get("KEYWRIGHT_SEED") or random.SystemRandom().randrange(10**6))
    print(f"KEYWRIGHT_SEED={seed}")
    chance, over = random.Random(seed), threading.Event()

    def stop_and_go() -> None:
        while not over.wait(chance.uniform(0.01, 0.1)):
            process = chance.choice(operators).process
            process.send_signal(signal.SIGSTOP)
            over.wait(chance.uniform(0.05, 0.4))
            process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _until_handled(team: Team, token: str) -> None:
    def waiting() -> list[str]:
        keys = team.api.list("ApiKey", team.namespace)
        return [
            key["metadata"]["name"] for key in keys if token not in key["status"].get("handledTokens", [])
        ]

    until(waiting, lambda names: not names, what=f"{token} is handled")


def _one_is_active_at_most_and_revisions_only_grow(history: History, name: str) -> None:
    revisions = [0]
    for one in history.versions("ApiKey", name):
        assert len(generations(one.obj, "Active")) <= 1, name
        revisions.append(one.obj["status"].get("revision", 0))
    assert revisions == sorted(revisions), name


def _there_was_one_secret_with_one_name(history: History, name: str) -> None:
    (owner,) = {one.obj["metadata"]["uid"] for one in history.versions("ApiKey", name)}
    owned = [
        secret.obj["metadata"]
        for secret in history.versions("Secret")
        if owner in {reference["uid"] for reference in secret.obj["metadata"].get("ownerReferences", ())}
    ]
    assert {(secret["name"], secret["uid"]) for secret in owned} == {(name, owned[0]["uid"])}


def _every_value_was_published_before_it_was_readable(
    history: History, name: str, *, deleted: bool = False
) -> None:
    for at, gone, secret in history.versions("Secret", name):
        if gone and deleted:
            continue
        before = [one.obj for one in history.versions("ApiKey", name) if one.at < at]
        accepted = {g["digest"] for g in generations(before[-1]) if g["state"] in {"Pending", "Active"}}
        assert not gone, name
        assert digest_of(value_in(secret)) in accepted, name


def _no_value_came_back_or_was_overwritten_before_it_was_current(history: History, name: str) -> None:
    """A value, once readable, goes only for the next generation's, and that when it was itself Active."""
    secrets = history.versions("Secret", name)
    values = [value for value, _ in itertools.groupby(value_in(one.obj) for one in secrets)]
    assert len(values) == len(set(values)), f"{name}: a value came back"
    revised = [_revision_of(history, name, value) for value in values]
    assert revised == list(range(1, len(values) + 1)), f"{name}: {revised}"


def _revision_of(history: History, name: str, value: str) -> int | None:
    """Return the revision as which a value was Active; None: it never was."""
    for one in history.versions("ApiKey", name):
        for generation in generations(one.obj, "Active"):
            if generation["digest"] == digest_of(value):
                return int(generation["revision"])
    return None


def _each_new_value_had_its_cause(history: History, name: str) -> None:
    activated: dict[str, Object] = {}
    for one in history.versions("ApiKey", name):
        activated.update((g["id"], g) for g in generations(one.obj, "Active"))
        assert ready(one.obj) != "SecretLost", name
        assert "SecretLost" not in {g["cause"] for g in generations(one.obj)}, name
    causes = [generation["cause"] for generation in activated.values()]
    assert causes[:1] == ["First"], name
    assert set(causes[1:]) == {"Requested"}, name
    assert 2 <= len(causes) <= 1 + ROUNDS, f"{name}: at most one value a token"
