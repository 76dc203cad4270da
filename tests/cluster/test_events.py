"""What happens to a key is told in Events: with its id and revision, and never more of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from harness.team import REGENERATE, ROTATE, generations
from harness.waiting import until

if TYPE_CHECKING:
    from harness.operator import Operator
    from harness.team import Team

pytestmark = pytest.mark.usefixtures("operator")


def test_the_first_key_and_each_one_after_it(team: Team) -> None:
    first = generations(team.minted(rotation={"policy": "Never", "overlap": "1h"}))[0]
    minted = team.until_event("Minted")
    assert minted["note"] == f"Minted the key {first['id']} (revision 1), cause First"
    assert (minted["type"], minted["action"]) == ("Normal", "Mint")
    team.annotate({ROTATE: "a"})
    second = generations(team.until_revision(2))[0]
    assert team.until_event("Rotated")["note"] == (
        f"Rotated to the key {second['id']} (revision 2), cause Requested"
    )


def test_an_old_key_that_retires(team: Team) -> None:
    first = generations(team.minted(rotation={"policy": "Never", "overlap": "0s"}))[0]
    team.annotate({ROTATE: "a"})
    team.until_revision(2)
    assert f"{first['id']} (revision 1)" in team.until_event("Retired")["note"]
    assert f"{first['id']} (revision 1)" in team.until_event("NoOverlap")["note"]


def test_an_old_key_whose_overlap_is_over_retires_a_minute_later(team: Team) -> None:
    first = generations(team.minted(rotation={"policy": "Never", "overlap": "1s"}))[0]
    team.annotate({ROTATE: "a"})
    team.until_revision(2)
    key = team.until(lambda key: generations(key, "Retired"))
    assert generations(key, "Retired")[0]["id"] == first["id"]
    assert f"{first['id']} (revision 1)" in team.until_event("Retired")["note"]


def test_the_loss_of_a_fifth_key_retires_the_oldest_early(team: Team) -> None:
    first = generations(team.minted(rotation={"policy": "Never", "overlap": "1h"}))[0]
    for number in range(3):
        team.annotate({ROTATE: f"token-{number}"})
        team.until_revision(2 + number)
    for revision in (5, 6):
        team.api.delete("Secret", "checkout", team.namespace)
        team.annotate({"example.com/look": str(revision)})
        team.looked_at()
        key = team.until_revision(revision)
    assert [one["id"] for one in generations(key, "Retired")] == [first["id"]]
    assert len(generations(key, "Retiring")) == 4
    assert f"{first['id']} (revision 1)" in team.until_event("Retired")["note"]


def test_a_key_that_ends_is_told_of_before_and_then(team: Team) -> None:
    team.create(expiresAfter="10s", rotation={"policy": "Never"})
    soon, expired = team.until_event("ExpiringSoon"), team.until_event("Expired")
    status = team.get()["status"]
    key_id, ends = status["currentKeyID"], status["expiresAt"]
    assert soon["note"] == f"The key {key_id} (revision 1) ends at {ends} and no rotation comes first"
    assert soon["type"] == "Warning"
    moments = [datetime.fromisoformat(text) for text in (soon["eventTime"], ends, expired["eventTime"])]
    assert moments == sorted(moments)
    assert expired["note"] == f"The key {key_id} (revision 1) ended at {ends}"
    assert [len(team.events(reason)) for reason in ("ExpiringSoon", "Expired")] == [1, 1]


def test_what_is_revoked(team: Team) -> None:
    first = generations(team.minted())[0]
    team.annotate({REGENERATE: "a"})
    team.until_revision(2)
    assert f"{first['id']} (revision 1)" in team.until_event("Revoked")["note"]


def test_each_token_of_another_form_is_told_once_also_by_the_next_process(
    team: Team, operator: Operator
) -> None:
    team.minted(rotation={"policy": "Never", "overlap": "1h"})
    for count, token in enumerate(("two words", "and three words"), 1):
        team.annotate({ROTATE: token})
        until(lambda: len(team.events("InvalidToken")), lambda told, count=count: told == count)  # type: ignore[misc]
    operator.kill()
    operator.start().until_ready()
    team.looked_at()
    until(
        lambda: [line for line in operator.lines() if line.get("event_reason") == "InvalidToken"],
        bool,
        what="the new process has seen the token",
    )
    team.annotate({ROTATE: "fine"})
    team.until_event("Rotated")  # Events are sent in order
    assert len(team.events("InvalidToken")) == 2
