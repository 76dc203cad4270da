"""How much the operator writes: four for a mint, three for a rotation and one at its end, else nothing.

Counted is what the promise counts: not Events, Leases and Project status, which the tests at rest and after
a restart count all the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.team import FINALIZER, REGENERATE, ROTATE, condition, generations, ready
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Api
    from harness.operator import Operator
    from harness.team import Team
    from harness.writes import Write, Writes

MINT = ["patch apikeys", "update apikeys/status", "create secrets", "update apikeys/status"]
ROTATION = ["update apikeys/status", "update secrets", "update apikeys/status"]
END_OF_OVERLAP = ["update apikeys/status"]
TOLD = ["create events", "update projects/status"]
"""What tells others of the end of an overlap."""
GIVEN_30_SECONDS = ("uninvited", "conflict")
"""What a person must mend counts as stalled after 30 s: one write more."""
DEBOUNCE = 7.0
"""The Project status is written no more often than every 5 s."""


@pytest.fixture(scope="module")
def shop(admin: Api, operator: Operator, make_team: Callable[[], Team]) -> Team:
    """A team whose operator has nothing else left to do."""
    until(lambda: _going(admin), lambda names: not names, what="nothing is left to be revoked")
    team = make_team()
    team.minted("warm-up")  # the operator's first mint of all makes the sealing keys
    assert operator.process.poll() is None
    return team


def test_a_mint_is_four_writes(
    operator: Operator, shop: Team, count_writes: Callable[[Operator], Writes]
) -> None:
    writes = count_writes(operator)
    shop.minted()
    assert sorted(MINT) == sorted(_at_least(len(MINT), writes))


def test_a_rotation_is_three_writes(
    operator: Operator, shop: Team, count_writes: Callable[[Operator], Writes]
) -> None:
    shop.edit(rotation={"policy": "Never", "overlap": "1h"})
    shop.looked_at()
    writes = count_writes(operator)
    shop.annotate({ROTATE: "now"})
    shop.until_revision(2)
    assert sorted(ROTATION) == sorted(_at_least(len(ROTATION), writes))


def test_many_mints_at_once_are_four_writes_each(
    operator: Operator, shop: Team, count_writes: Callable[[Operator], Writes]
) -> None:
    writes = count_writes(operator)
    for number in range(25):
        shop.create(f"many-{number}")
    for number in range(25):
        shop.until_ready(f"many-{number}")
    assert sorted(MINT * 25) == sorted(_at_least(len(MINT) * 25, writes))


def test_at_rest_only_what_falls_due_is_written(
    admin: Api,
    operator: Operator,
    shop: Team,
    make_team: Callable[[], Team],
    count_writes: Callable[[Operator], Writes],
) -> None:
    shop.minted("retiring", rotation={"policy": "Never", "overlap": "20s"})
    team = make_team()
    _one_of_every_sort(admin, team)
    for name in GIVEN_30_SECONDS:
        team.until(lambda key: condition(key, "Stalled"), name)
    shop.annotate({ROTATE: "now"}, "retiring")
    shop.until_revision(2, "retiring")
    _come_to_rest(lambda: count_writes(operator))
    assert generations(shop.get("retiring"), "Retiring"), "its end is to fall into the time that is counted"
    writes = count_writes(operator)
    time.sleep(60)
    due = [*END_OF_OVERLAP, *TOLD]
    written = until(writes.all, lambda seen: len(seen) >= len(due))
    assert generations(shop.get("retiring"), "Retired")
    assert sorted(due) == sorted(write.what for write in written), written


def test_a_restart_writes_nothing(
    operator: Operator, shop: Team, count_writes: Callable[[Operator], Writes]
) -> None:
    _come_to_rest(lambda: count_writes(operator))
    assert operator.stop() == 0
    operator.start().until_ready()
    writes = count_writes(operator)
    time.sleep(10)
    assert writes.all() == []
    assert ready(shop.get("warm-up")) == "Active"


def _at_least(number: int, writes: Writes) -> list[str]:
    """Wait until so many writes are told of, and return all."""
    return until(writes.counted, lambda seen: len(seen) >= number)


def _come_to_rest(count: Callable[[], Writes]) -> None:
    """Wait for a while in which nothing is written."""

    def written() -> list[Write]:
        writes = count()
        time.sleep(DEBOUNCE)
        return writes.all()

    until(written, lambda seen: not seen, what="nothing is left to be written")


def _going(admin: Api) -> list[str]:
    """Name the ApiKeys that the tests before this one left to be deleted, with or by their namespace."""
    namespaces = (one["metadata"] for one in admin.list("Namespace"))
    ending = {namespace["name"] for namespace in namespaces if "deletionTimestamp" in namespace}
    ours = (
        one["metadata"] for one in admin.list("ApiKey") if FINALIZER in one["metadata"].get("finalizers", ())
    )
    return [one["name"] for one in ours if "deletionTimestamp" in one or one["namespace"] in ending]


def _one_of_every_sort(admin: Api, team: Team) -> None:
    """Make ApiKeys and Revocations in every state that lasts, and wait until each has come to it."""
    team.project(
        "closed", allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"no": "such"}}}
    )
    team.project("suspended", suspend=True)
    team.project("with-default", defaultKey={"scopes": ["*"]})
    foreign = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "conflict", "namespace": team.namespace},
    }
    admin.create(foreign)
    sorts: dict[str, tuple[dict[str, Any], str]] = {
        "plain": ({}, "Active"),
        "interval": ({"rotation": {"interval": "1h"}}, "Active"),
        "lifetime": ({"expiresAfter": "24h"}, "Active"),
        "cron": ({"rotation": {"schedule": "0 3 1 1 *"}}, "Active"),
        "template": ({"secret": {"data": {".env": "K=$(API_KEY)"}, "labels": {"a": "b"}}}, "Active"),
        "default": ({"project": "with-default"}, "Active"),
        "rotated": ({"rotation": {"policy": "Never", "overlap": "1h"}}, "Active"),
        "regenerated": ({}, "Active"),
        "suspended": ({"suspend": True}, "Suspended"),
        "project-suspended": ({"project": "suspended"}, "ProjectSuspended"),
        "expired": ({"expiresAt": "2020-01-01T00:00:00Z"}, "Expired"),
        "orphan": ({"project": "nowhere"}, "ProjectNotFound"),
        "uninvited": ({"project": "closed"}, "NamespaceNotAllowed"),
        "nonsense": ({"rotation": {"schedule": "never"}}, "InvalidSpec"),
        "conflict": ({}, "SecretConflict"),
        "revoked": ({}, "Active"),
        "alert": ({"secret": {"onLoss": "Alert"}}, "Active"),
    }
    for name, (spec, _) in sorts.items():
        team.create(name, **spec)
    for name, (_, reason) in sorts.items():
        team.until_ready(name, reason=reason)
    team.annotate({ROTATE: "a"}, "rotated")
    team.annotate({REGENERATE: "a"}, "regenerated")
    team.revoke("of-a-key", apiKeyRef={"name": "revoked"})
    team.revoke("of-nothing", keyID="a" * 16)
    admin.delete("Secret", "alert", team.namespace)
    team.edit("alert", displayName="look")
    for name, reason in {"revoked": "Revoked", "alert": "SecretLost"}.items():
        team.until_ready(name, reason=reason)
    team.until_revision(2, "rotated")
    team.until_revision(2, "regenerated")
