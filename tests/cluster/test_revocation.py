"""A person revokes: one generation or a whole ApiKey, from a place that may, and for good."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from harness.team import ROTATE, Team, condition, digest_of, generations, ready
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Api
    from harness.operator import Operator

pytestmark = pytest.mark.usefixtures("operator")

BY_HAND = {"policy": "Never", "overlap": "1h"}


def test_a_revoked_key_is_replaced_at_once(admin: Api, team: Team, system_namespace: str) -> None:
    key = team.minted(rotation=BY_HAND)
    key_id, value = key["status"]["currentKeyID"], team.value()
    team.revoke("leaked", keyID=key_id, reason="KeyCompromise", message="seen in a public repository")
    key = team.until_revision(2)
    new, old = generations(key)
    assert (old["id"], old["state"]) == (key_id, "Revoked")
    assert (new["state"], new["cause"]) == ("Active", "Revoked")
    assert team.value() != value
    assert digest_of(team.value()) == new["digest"]
    assert key_id in team.until_event("Revoked")["note"]
    status = team.revocation("leaked", "InForce")["status"]
    assert status["apiKey"] == f"{team.namespace}/checkout"
    assert status["apiKeyUID"] == key["metadata"]["uid"]
    assert status["project"] == f"{team.namespace}/payments"
    assert status["revokedAt"] <= status["recordedAt"]
    copy = Team(admin, system_namespace).revocation(f"k-{key_id}", "InForce")
    assert (copy["spec"]["keyID"], copy["spec"]["reason"]) == (key_id, "KeyCompromise")
    team.until_ready()


def test_an_old_key_in_its_overlap_is_revoked_without_a_new_one(team: Team) -> None:
    key_id = team.minted(rotation=BY_HAND)["status"]["currentKeyID"]
    team.annotate({ROTATE: "a"})
    team.until_revision(2)
    value = team.value()
    team.revoke("old-one", keyID=key_id)
    key = team.until(lambda key: generations(key, "Revoked"))
    assert generations(key, "Revoked")[0]["id"] == key_id
    assert condition(team.until_ready(), "Rotating")["reason"] == "Idle"
    assert (team.looked_at()["status"]["revision"], team.value()) == (2, value)


def test_a_key_stays_revoked_when_the_first_record_is_deleted(
    admin: Api, team: Team, system_namespace: str
) -> None:
    key_id = team.minted(rotation=BY_HAND)["status"]["currentKeyID"]
    team.revoke("leaked", keyID=key_id)
    team.until_revision(2)
    team.revocation("leaked", "InForce")
    admin.delete("Revocation", "leaked", team.namespace)
    until(lambda: admin.find("Revocation", "leaked", team.namespace), lambda found: found is None)
    assert ready(Team(admin, system_namespace).revocation(f"k-{key_id}", "InForce")) == "InForce"
    assert generations(team.looked_at(), "Revoked")[0]["id"] == key_id


def test_a_revoked_key_is_not_adopted_when_the_status_is_lost(
    admin: Api, team: Team, operator: Operator
) -> None:
    key = team.minted()
    key_id, value = key["status"]["currentKeyID"], team.value()
    operator.kill()
    team.revoke("leaked", keyID=key_id)
    wiped = team.get()
    wiped["status"] = {}
    admin.replace(wiped, subresource="status")
    operator.start().until_ready()
    key = team.until_revision(1)
    assert generations(key)[0]["cause"] != "Adopted"
    assert team.value() != value


def test_an_api_key_is_revoked_as_a_whole_and_for_good(
    admin: Api, team: Team, system_namespace: str, operator: Operator
) -> None:
    uid = team.minted(rotation=BY_HAND)["metadata"]["uid"]
    team.annotate({ROTATE: "a"})
    team.until_revision(2)
    value = team.value()
    team.revoke("gone", apiKeyRef={"name": "checkout"}, reason="PolicyViolation")
    key = team.until_ready(reason="Revoked")
    assert {"Revoked"} == {one["state"] for one in generations(key)}
    assert condition(key, "Stalled")["status"] == "True"
    team.revocation("gone", "InForce")
    copy = Team(admin, system_namespace).revocation(f"a-{uid}", "InForce")
    assert copy["spec"]["reason"] == "PolicyViolation"
    admin.delete("Revocation", "gone", team.namespace)
    team.annotate({ROTATE: "b"})
    assert ready(team.looked_at()) == "Revoked"
    operator.kill()
    operator.start().until_ready()
    assert ready(team.looked_at()) == "Revoked"
    assert team.value() == value, "the Secret stays, its value is dead"
    assert team.get()["status"]["revision"] == 2


def test_a_new_api_key_of_the_name_is_a_new_one_unless_the_first_record_still_stands(
    admin: Api, team: Team
) -> None:
    team.minted()
    team.revoke("gone", apiKeyRef={"name": "checkout"})
    team.until_ready(reason="Revoked")
    team.revocation("gone", "InForce")
    team.delete()
    team.until_gone()
    team.create()
    team.until_ready(reason="Revoked")
    assert generations(team.get()) == []
    team.delete()
    team.until_gone()
    admin.delete("Revocation", "gone", team.namespace)
    team.minted()


def test_revoked_as_a_whole_it_stays_so_whatever_else_is_wrong_and_whatever_record_goes(
    admin: Api, team: Team, system_namespace: str
) -> None:
    uid = team.minted()["metadata"]["uid"]
    team.edit(rotation={"schedule": "61 3 * * 1"})
    team.until_ready(reason="InvalidSpec")
    team.revoke("gone", apiKeyRef={"name": "checkout"}, reason="KeyCompromise")
    key = team.until(lambda key: condition(key, "Revoked"))
    assert ready(key) == "InvalidSpec", "it comes first"
    assert (condition(key, "Revoked")["status"], condition(key, "Revoked")["reason"]) == (
        "True",
        "KeyCompromise",
    )
    team.revocation("gone", "InForce")
    admin.delete("Revocation", "gone", team.namespace)
    Team(admin, system_namespace).revocation(f"a-{uid}", "InForce")
    admin.delete("Revocation", f"a-{uid}", system_namespace)
    team.looked_at()
    team.edit(rotation={"schedule": None, "policy": "Never"})
    key = team.until_ready(reason="Revoked")
    assert [one["state"] for one in generations(key)] == ["Revoked"]
    assert key["status"]["revision"] == 1


def test_a_revoked_key_stays_revoked_when_every_record_of_it_is_deleted(
    admin: Api, team: Team, system_namespace: str, operator: Operator
) -> None:
    key_id = team.minted(rotation=BY_HAND)["status"]["currentKeyID"]
    team.revoke("leaked", keyID=key_id)
    team.until_revision(2)
    team.revocation("leaked", "InForce")
    operator.kill()
    admin.delete("Revocation", "leaked", team.namespace)
    admin.delete("Revocation", f"k-{key_id}", system_namespace)
    operator.start().until_ready()
    key = team.looked_at()
    assert [(one["id"], one["state"]) for one in generations(key)][1] == (key_id, "Revoked")
    assert key["status"]["revision"] == 2


def test_the_reason_is_unspecified_where_none_is_given(admin: Api, team: Team, system_namespace: str) -> None:
    key_id = team.minted()["status"]["currentKeyID"]
    assert team.revoke("leaked", keyID=key_id)["spec"]["reason"] == "Unspecified"
    team.revocation("leaked", "InForce")
    copy = Team(admin, system_namespace).revocation(f"k-{key_id}", "InForce")
    assert copy["spec"]["reason"] == "Unspecified"


def test_a_revoked_key_has_no_overlap(team: Team) -> None:
    key_id = team.minted(rotation={"policy": "Never", "overlap": "24h"})["status"]["currentKeyID"]
    team.revoke("leaked", keyID=key_id)
    old = generations(team.until_revision(2))[1]
    assert (old["id"], old["state"]) == (key_id, "Revoked")
    assert {"retiringSince", "retiresAt"}.isdisjoint(old)
    assert condition(team.until_ready(), "Rotating")["reason"] == "Idle"


def test_revoked_comes_before_expired(team: Team) -> None:
    team.create(expiresAt="2025-01-01T00:00:00Z")
    team.until_ready(reason="Expired")
    team.revoke("gone", apiKeyRef={"name": "checkout"})
    team.until_ready(reason="Revoked")


def test_what_falls_due_while_suspended_is_one_key_on_resume(admin: Api, team: Team) -> None:
    spec = {"interval": "10s", "overlap": "0s"}
    key = team.minted(rotation=spec, secret={"name": "checkout"})
    team.edit(suspend=True)
    key = team.until_ready(reason="Suspended")
    revision, key_id = key["status"]["revision"], key["status"]["currentKeyID"]
    team.revoke("leaked", keyID=key_id)
    team.annotate({ROTATE: "a"})
    admin.delete("Secret", "checkout", team.namespace)
    team.until(lambda key: generations(key)[0]["state"] == "Revoked")
    due = datetime.fromisoformat(key["status"]["keys"][0]["createdAt"]) + timedelta(seconds=11)
    until(lambda: datetime.now(UTC), lambda now: now > due, what="the rotation is missed")
    suspended = team.looked_at()
    assert (ready(suspended), suspended["status"]["revision"]) == ("Suspended", revision)

    team.edit(suspend=False, rotation={"interval": None, "policy": "Never"})
    key = team.until_revision(revision + 1)
    assert generations(key)[0]["cause"] == "Revoked"
    assert key["status"]["handledTokens"] == ["a"]
    assert digest_of(team.value()) == generations(key)[0]["digest"]
    assert team.looked_at()["status"]["revision"] == revision + 1


def test_from_another_namespace_it_revokes_nothing_and_says_where_it_should_stand(
    team: Team, make_team: Callable[[], Team], system_namespace: str
) -> None:
    platform, stranger = make_team(), make_team()
    platform.project("secretive", allowedNamespaces={"from": "All"})
    team.create(projectRef={"name": "secretive", "namespace": platform.namespace})
    key_id = team.until_ready()["status"]["currentKeyID"]
    stranger.revoke("by-id", keyID=key_id)
    stranger.revoke("by-name", apiKeyRef={"name": "checkout", "namespace": team.namespace})
    for name in ("by-id", "by-name"):
        revocation = stranger.revocation(name, "NotAuthorized")
        message = condition(revocation, "Ready")["message"]
        assert stranger.namespace in message
        assert system_namespace in message, "the message names a remedy"
        # Whose key it is, is none of a stranger's business: the Project's name and namespace above all.
        told = json.dumps({**revocation["status"], "message": message})
        for private in ("checkout", "secretive", platform.namespace, team.namespace):
            assert private not in told, private
    key = team.looked_at()
    assert (ready(key), key["status"]["currentKeyID"], key["status"]["revision"]) == ("Active", key_id, 1)


def test_the_projects_namespace_and_the_system_namespace_may_revoke(
    admin: Api, team: Team, make_team: Callable[[], Team], system_namespace: str
) -> None:
    platform = make_team()
    platform.project("shared", allowedNamespaces={"from": "All"})
    for name in ("by-project", "by-system"):
        ref = {"name": "shared", "namespace": platform.namespace}
        team.api.create(
            {
                "apiVersion": "keywright.dev/v1alpha1",
                "kind": "ApiKey",
                "metadata": {"name": name, "namespace": team.namespace},
                "spec": {"projectRef": ref},
            }
        )
    for place, name in ((platform, "by-project"), (Team(admin, system_namespace), "by-system")):
        key_id = team.until_ready(name)["status"]["currentKeyID"]
        record = f"{name}-{team.namespace}"
        place.revoke(record, keyID=key_id)
        assert generations(team.until_revision(2, name))[1]["state"] == "Revoked"
        place.revocation(record, "InForce")
        admin.delete("Revocation", record, place.namespace)


def test_what_nobody_knows_is_not_found_until_it_is(team: Team) -> None:
    team.revoke("typo", keyID="a" * 16)
    team.revocation("typo", "KeyNotFound")
    team.revoke("early", apiKeyRef={"name": "checkout"})
    team.revocation("early", "KeyNotFound")
    team.create()
    key = team.until_ready(reason="Revoked")
    assert generations(key) == []
    team.revocation("early", "InForce")


def test_a_key_that_appears_later_is_found_and_revoked(admin: Api, team: Team, operator: Operator) -> None:
    """As after a restore: the Revocation came first, the ApiKey with its status after it."""
    key = team.minted(rotation=BY_HAND)
    known = generations(key)[0]
    early = "e" * 16
    team.revoke("early", keyID=early)
    team.revocation("early", "KeyNotFound")
    operator.kill()
    restored = team.get()
    older = {**known, "id": early, "digest": "sha256:" + "e" * 64, "state": "Retiring", "revision": 1}
    older |= {"retiringSince": "2026-01-01T00:00:00Z", "retiresAt": "2099-01-01T00:00:00Z"}
    restored["status"]["keys"].append(older)
    admin.replace(restored, subresource="status")
    operator.start().until_ready()
    key = team.until(lambda key: generations(key, "Revoked"))
    assert generations(key, "Revoked")[0]["id"] == early
    team.revocation("early", "InForce")


def test_a_person_cannot_change_what_was_revoked(team: Team) -> None:
    key_id = team.minted()["status"]["currentKeyID"]
    team.revoke("leaked", keyID=key_id)
    team.until_revision(2)
    with pytest.raises(Exception, match="immutable"):
        team.api.patch("Revocation", "leaked", team.namespace, {"spec": {"keyID": "b" * 16}})


def test_what_was_revoked_while_the_operator_was_down_is_replaced_once_it_is_back(
    team: Team, operator: Operator
) -> None:
    key_id = team.minted()["status"]["currentKeyID"]
    operator.kill()
    team.revoke("leaked", keyID=key_id)
    operator.start().until_ready()
    key = team.until_revision(2)
    assert generations(key)[1]["state"] == "Revoked"
    assert generations(key)[1]["id"] == key_id
