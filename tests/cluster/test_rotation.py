"""A key is replaced beside the old one: by schedule, before its end, or when somebody asks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from harness.team import (
    REGENERATE,
    ROTATE,
    condition,
    digest_of,
    generations,
    ready,
    seconds_between,
)
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Api, Object
    from harness.history import History
    from harness.team import Team

BY_HAND = {"policy": "Never", "overlap": "1h"}

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture(scope="module", autouse=True)
def slow(operator: object, make_team: Callable[[], Team]) -> dict[str, Team]:
    """Keys that something happens to after a while, each `checkout` of a team: made at once, to wait once."""
    assert operator
    specs: dict[str, dict[str, Any]] = {
        "interval": {"rotation": {"interval": "30s", "overlap": "20s"}},
        "lifetime": {"expiresAfter": "80s", "rotation": {"beforeExpiry": "40s", "overlap": "1h"}},
        "never": {"expiresAfter": "12s", "rotation": {"policy": "Never", "overlap": "5s"}},
        "cron": {"rotation": {"schedule": "* * * * *", "overlap": "30s"}},
    }
    teams = {name: make_team() for name in specs}
    for name, spec in specs.items():
        teams[name].create(**spec)
    return teams


def test_an_interval_replaces_the_key_beside_the_old_one(slow: dict[str, Team]) -> None:
    team = slow["interval"]
    first = team.until_ready()
    old_value = team.value()
    key = team.until_revision(2)
    (new,), (old,) = generations(key, "Active"), generations(key, "Retiring")
    assert old["id"] == first["status"]["currentKeyID"]
    assert old["digest"] == digest_of(old_value)
    assert (new["cause"], new["revision"]) == ("Scheduled", 2)
    assert key["status"]["currentKeyID"] == new["id"]
    assert digest_of(team.value()) == new["digest"]
    assert seconds_between(old["retiringSince"], old["retiresAt"]) == 20
    assert 28 <= seconds_between(old["createdAt"], new["createdAt"]) <= 50
    assert (condition(key, "Rotating")["status"], condition(key, "Rotating")["reason"]) == ("True", "Overlap")
    assert ready(key) == "Active"


def test_a_lifetime_is_renewed_before_its_end(slow: dict[str, Team]) -> None:
    key = slow["lifetime"].until_revision(2)
    new, old = generations(key)
    assert (new["state"], old["state"], new["cause"]) == ("Active", "Retiring", "Scheduled")
    assert 40 <= seconds_between(old["createdAt"], new["createdAt"]) <= 60
    assert old["retiresAt"] == old["expiresAt"], "an overlap does not prolong a life"
    assert seconds_between(new["createdAt"], new["expiresAt"]) == 80


def test_never_means_never_but_a_token_still_acts(slow: dict[str, Team]) -> None:
    team = slow["never"]
    key = team.until_ready(reason="Expired")
    assert key["status"]["revision"] == 1
    assert "nextRotationTime" not in key["status"]
    assert condition(key, "Stalled")["status"] == "True"
    team.edit(expiresAfter="1h")
    team.annotate({ROTATE: "after-all"})
    assert generations(team.until_revision(2))[0]["cause"] == "Requested"
    team.until_ready()


def test_an_interval_comes_early_by_up_to_a_twentieth_and_never_late(team: Team) -> None:
    early = set()
    for name in ("a", "b", "c", "d"):
        key = team.minted(name, rotation={"interval": "1000s"})
        (generation,) = generations(key)
        length = seconds_between(generation["createdAt"], key["status"]["nextRotationTime"])
        assert 949 <= length <= 1000
        early.add(length)
    assert len(early) > 1, "keys that were created together do not rotate together"


def test_a_token_rotates_with_overlap(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    team.annotate({ROTATE: "2026-11-a"})
    key = team.until_revision(2)
    new, old = generations(key)
    assert (new["state"], old["state"], new["cause"]) == ("Active", "Retiring", "Requested")
    assert seconds_between(old["retiringSince"], old["retiresAt"]) == 3600
    assert condition(key, "Rotating")["reason"] == "Overlap"
    assert key["status"]["handledTokens"] == ["2026-11-a"]
    assert "tokens" not in new
    assert key["status"]["lastRotationTime"] >= old["createdAt"]
    assert digest_of(team.value()) == new["digest"]
    assert team.secret()["metadata"]["labels"]["keywright.dev/key-id"] == new["id"]
    assert team.secret()["metadata"]["annotations"]["keywright.dev/revision"] == "2"
    note = team.until_event("Rotated")["note"]
    assert new["id"] in note
    assert "2" in note


def test_a_token_acts_once_whatever_becomes_of_the_annotations(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    team.annotate({ROTATE: "once"})
    team.until_revision(2)
    for rotate, regenerate in ((None, None), ("once", None), (None, "once")):
        team.annotate({ROTATE: rotate, REGENERATE: regenerate})
        assert team.looked_at()["status"]["revision"] == 2
    team.annotate({ROTATE: "twice"})
    key = team.until_revision(3)
    assert key["status"]["handledTokens"] == ["once", "twice"]


def test_a_token_that_was_there_before_the_first_key_never_acts(admin: Api, team: Team) -> None:
    team.create(suspend=True)
    team.annotate({ROTATE: "from-git"})
    team.edit(suspend=False)
    key = team.until_ready()
    assert key["status"]["handledTokens"] == ["from-git"]
    assert team.looked_at()["status"]["revision"] == 1
    assert admin.get("ApiKey", "checkout", team.namespace)["status"]["keys"][0]["cause"] == "First"


def test_without_overlap_the_old_key_ends_at_once_and_an_event_says_so(team: Team) -> None:
    first = team.minted(rotation={"policy": "Never", "overlap": "0s"})
    team.annotate({ROTATE: "now"})
    key = team.until_revision(2)
    new, old = generations(key)
    assert (new["state"], old["state"]) == ("Active", "Retired")
    assert condition(key, "Rotating")["reason"] == "Idle"
    assert first["status"]["currentKeyID"] in team.until_event("NoOverlap")["note"]


def test_regenerating_revokes_every_older_key_and_records_it_before_it_says_so(
    admin: Api, team: Team, system_namespace: str, record: Callable[..., History]
) -> None:
    team.minted(rotation=BY_HAND, expiresAfter="24h")
    team.annotate({ROTATE: "a"})
    older = generations(team.until_revision(2))
    ours, records = record(team.namespace, "ApiKey", "Secret"), record(system_namespace, "Revocation")
    team.annotate({REGENERATE: "leaked"})
    key = team.until_revision(3)
    new, *ended = generations(key)
    assert (new["state"], new["cause"]) == ("Active", "Requested")
    assert [(one["id"], one["state"]) for one in ended] == [(one["id"], "Revoked") for one in older]
    revealed = ours.caught_up().versions("Secret")[-1].at
    activated = next(one.at for one in ours.versions("ApiKey") if one.obj["status"]["revision"] == 3)
    records.caught_up()
    for generation in older:
        name = f"k-{generation['id']}"
        made = records.versions("Revocation", name)[0]
        assert revealed < made.at < activated
        assert made.obj["spec"]["keyID"] == generation["id"]
        assert made.obj["spec"]["reason"] == "Superseded"
        assert made.obj["metadata"]["annotations"]["keywright.dev/until"] == generation["expiresAt"]
        until(lambda name=name: _standing(admin, system_namespace, name), lambda is_: is_ == "InForce")  # type: ignore[misc]
    assert key["status"]["handledTokens"] == ["a", "leaked"]


def test_both_annotations_at_once_make_one_key_and_regenerate(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    team.annotate({ROTATE: "gently", REGENERATE: "at-once"})
    key = team.until_revision(2)
    new, old = generations(key)
    assert (new["state"], old["state"]) == ("Active", "Revoked")
    assert {"gently", "at-once"} == set(key["status"]["handledTokens"])
    assert team.looked_at()["status"]["revision"] == 2


def test_a_token_of_another_form_is_told_of_and_rotates_nothing(team: Team) -> None:
    team.minted()
    for annotation, token in ((ROTATE, "two words"), (REGENERATE, "x" * 65)):
        team.annotate({annotation: token})
        until(lambda name=annotation: _notes(team, name), bool)  # type: ignore[misc]
    assert team.looked_at()["status"]["revision"] == 1


def test_an_edit_of_the_overlap_moves_the_end_of_the_old_key(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    team.annotate({ROTATE: "a"})
    (old,) = generations(team.until_revision(2), "Retiring")
    time.sleep(2.5)
    assert _overlap(team.looked_at()) == 3600, "an edit of anything else does not move it"
    team.edit(rotation={"policy": "Never", "overlap": "2h"})
    assert _overlap(team.until(lambda key: _overlap(key) != 3600)) == 7200
    team.edit(rotation={"policy": "Never", "overlap": "1s"})
    (moved,) = generations(team.until(lambda key: _overlap(key) != 7200))[1:]
    end, since = datetime.fromisoformat(moved["retiresAt"]), datetime.fromisoformat(old["retiringSince"])
    assert since + timedelta(seconds=1) <= end <= datetime.now(UTC) + timedelta(seconds=1), "at once"
    until(lambda: datetime.now(UTC), lambda now: now > end)
    team.edit(rotation={"policy": "Never", "overlap": "3h"})
    assert generations(team.looked_at())[1]["retiresAt"] == moved["retiresAt"], "an end that passed stays"


def test_a_rotation_waits_while_four_keys_are_valid(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    for number in range(2, 5):
        team.annotate({ROTATE: f"token-{number}"})
        team.until_revision(number)
    team.annotate({ROTATE: "one-too-many"})
    key = team.until(lambda key: condition(key, "Rotating")["reason"] == "OverlapFull")
    assert (key["status"]["revision"], len(generations(key, "Retiring"))) == (4, 3)
    assert condition(key, "Rotating")["status"] == "True"
    assert ready(key) == "Active"
    oldest = generations(key)[-1]
    team.edit(rotation={"policy": "Never", "overlap": "1s"})
    key = team.until_revision(5)
    assert "one-too-many" in key["status"]["handledTokens"]
    assert oldest["id"] not in {one["id"] for one in generations(key, "Active")}


def test_regenerating_waits_for_no_room(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    for number in range(2, 5):
        team.annotate({ROTATE: f"token-{number}"})
        team.until_revision(number)
    team.annotate({REGENERATE: "now"})
    key = team.until_revision(5)
    assert {"Revoked"} == {one["state"] for one in generations(key)[1:]}


def test_a_token_waits_while_suspended(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    team.edit(suspend=True)
    team.annotate({ROTATE: "later"})
    assert team.looked_at()["status"]["revision"] == 1
    team.edit(suspend=False)
    assert team.until_revision(2)["status"]["handledTokens"] == ["later"]


def test_editing_anything_else_mints_nothing(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    value = team.value()
    team.edit(
        scopes=["data:read"],
        owner="checkout-bot",
        description="the till",
        restrictions={"cidrs": ["10.0.0.0/8"]},
        rateLimits=[{"requests": 5, "period": "1s"}],
        expiresAfter="24h",
    )
    team.annotate({"example.com/note": "x"})
    key = team.looked_at()
    assert (key["status"]["revision"], team.value()) == (1, value)
    assert key["status"]["effective"]["scopes"] == ["data:read"]


def test_a_cron_schedule_rotates_at_its_minute(slow: dict[str, Team]) -> None:
    team = slow["cron"]
    key = team.until(lambda key: (key["status"].get("revision") or 0) >= 2)
    new, old = generations(key)[:2]
    assert (new["state"], new["cause"]) == ("Active", "Scheduled")
    assert datetime.fromisoformat(new["createdAt"]).second <= 30
    until(
        lambda: (generations(team.get(), "Active")[0]["digest"], digest_of(team.value())),
        lambda digests: digests[0] == digests[1],
        what="the Secret holds the newest key",
    )
    assert seconds_between(old["retiringSince"], old["retiresAt"]) == 30
    assert datetime.fromisoformat(key["status"]["nextRotationTime"]).second == 0


def _overlap(api_key: Object) -> float:
    old = generations(api_key)[1]
    return seconds_between(old["retiringSince"], old["retiresAt"])


def _standing(admin: Api, namespace: str, name: str) -> str | None:
    return ready(admin.get("Revocation", name, namespace))


def _notes(team: Team, annotation: str) -> list[str]:
    return [one["note"] for one in team.events("InvalidToken") if annotation in one["note"]]
