"""The Secret: somebody else's is left alone, a lost value is replaced, a sealed one is taken up again."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from harness.team import ROTATE, condition, digest_of, generations, ready, value_in
from harness.waiting import until
from keywright.api.project import KeyType
from keywright.keys import raw

if TYPE_CHECKING:
    from harness.api import Api, Object
    from harness.operator import Operator
    from harness.team import Team

pytestmark = pytest.mark.usefixtures("operator")

BY_HAND = {"policy": "Never", "overlap": "1h"}


def test_a_foreign_secret_is_not_changed_by_a_byte(admin: Api, team: Team) -> None:
    admin.create(_foreign(team))
    before = team.secret()
    team.create()
    key = team.until_ready(reason="SecretConflict")
    assert "checkout" in condition(key, "Ready")["message"]
    assert "delete" in condition(key, "Ready")["message"], "the message names the remedy"
    assert generations(key) == []
    assert team.until_event("SecretConflict")["type"] == "Warning"
    for token in ("now", "again"):
        team.annotate({ROTATE: token})
        team.looked_at()
    assert team.secret() == before
    admin.delete("Secret", "checkout", team.namespace)
    team.until_ready()
    assert team.secret()["metadata"]["uid"] != before["metadata"]["uid"]


def test_another_api_keys_secret_is_foreign_too(team: Team) -> None:
    team.minted("first", secret={"name": "shared"})
    before = team.secret("shared")
    team.create("second", secret={"name": "shared"})
    message = condition(team.until_ready("second", reason="SecretConflict"), "Ready")["message"]
    assert "belongs to the ApiKey first" in message
    assert "delete that Secret" not in message, "somebody uses it"
    assert team.secret("shared") == before
    assert ready(team.looked_at("first")) == "Active"


def test_a_namesakes_secret_is_foreign_to_a_new_api_key(admin: Api, team: Team) -> None:
    """Ownership is the UID: the labels of an earlier ApiKey of that name count for nothing."""
    forged = _foreign(team)
    forged["type"] = "keywright.dev/api-key"
    forged["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "keywright",
        "keywright.dev/api-key": "checkout",
        "keywright.dev/api-key-uid": "00000000-0000-0000-0000-000000000000",
    }
    admin.create(forged)
    before = team.secret()
    team.create()
    team.until_ready(reason="SecretConflict")
    assert team.secret() == before


def test_a_quota_refuses_the_secret_and_its_reason_is_shown_until_it_goes(admin: Api, team: Team) -> None:
    metadata = {"name": "none", "namespace": team.namespace}
    spec = {"hard": {"count/secrets": "0"}}
    admin.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})
    until(
        lambda: admin.get("ResourceQuota", "none", team.namespace), lambda quota: quota["status"].get("hard")
    )
    team.create()
    key = team.until(lambda key: "exceeded quota: none" in condition(key, "Ready").get("message", ""))
    assert ready(key) == "Minting"
    assert condition(key, "Reconciling")["status"] == "True"
    admin.delete("ResourceQuota", "none", team.namespace)
    key = team.until_ready()
    assert key["status"]["revision"] == 1
    assert [digest_of(team.value())] == [one["digest"] for one in generations(key, "Active")]


def test_a_deleted_secret_is_minted_anew(admin: Api, team: Team) -> None:
    team.minted(rotation=BY_HAND)
    lost = team.value()
    admin.delete("Secret", "checkout", team.namespace)
    key = team.until_revision(2)
    new, old = generations(key)
    assert (new["cause"], new["state"]) == ("SecretLost", "Active")
    assert (old["digest"], old["state"]) == (digest_of(lost), "Retiring"), "who holds the old value may go on"
    assert digest_of(team.value()) == new["digest"]
    team.until_ready()


@pytest.mark.parametrize("value", ["", "not-a-key", "another key"])
def test_a_value_that_was_changed_by_hand_is_minted_anew(team: Team, value: str) -> None:
    team.minted(rotation=BY_HAND)
    value = raw.mint("kw", KeyType.PRODUCTION).value if value == "another key" else value
    _write(team, {"apiKey": value})
    key = team.until_revision(2)
    assert generations(key)[0]["cause"] == "SecretLost"
    assert digest_of(team.value()) == generations(key)[0]["digest"]
    assert digest_of(value) not in {one["digest"] for one in generations(key)}


def test_a_secret_that_was_made_immutable_is_replaced(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    before = team.secret()
    team.api.patch("Secret", "checkout", team.namespace, {"immutable": True})
    key = team.until_revision(2)
    after = team.secret()
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert not after.get("immutable")
    assert generations(key)[0]["cause"] == "SecretLost"
    assert digest_of(value_in(after)) == generations(key)[0]["digest"]


def test_a_value_that_is_put_back_heals_an_alert(admin: Api, team: Team) -> None:
    team.minted(secret={"onLoss": "Alert"}, rotation=BY_HAND)
    kept = team.secret()
    admin.delete("Secret", "checkout", team.namespace)
    team.until_ready(reason="SecretLost")
    admin.create(
        {
            **kept,
            "metadata": {k: v for k, v in kept["metadata"].items() if k not in {"uid", "resourceVersion"}},
        }
    )
    assert team.until_ready()["status"]["revision"] == 1
    assert team.value() == value_in(kept)


def test_an_old_value_that_was_put_back_is_a_loss(team: Team) -> None:
    team.minted(rotation=BY_HAND)
    old = team.value()
    team.annotate({ROTATE: "a"})
    team.until_revision(2)
    _write(team, {"apiKey": old})
    key = team.until_revision(3)
    assert generations(key)[0]["cause"] == "SecretLost"
    assert team.value() != old


def test_with_alert_a_loss_is_only_reported(admin: Api, team: Team) -> None:
    team.minted(secret={"onLoss": "Alert"}, rotation=BY_HAND)
    admin.delete("Secret", "checkout", team.namespace)
    key = team.until_ready(reason="SecretLost")
    assert condition(key, "Stalled")["status"] == "True"
    assert ROTATE in condition(key, "Ready")["message"], "the message names the remedy"
    assert key["status"]["revision"] == 1
    assert admin.find("Secret", "checkout", team.namespace) is None
    team.annotate({ROTATE: "now"})
    key = team.until_revision(2)
    assert generations(key)[0]["cause"] == "Requested"
    team.until_ready()


def test_the_fourth_loss_within_an_hour_waits_and_says_so(admin: Api, team: Team) -> None:
    team.minted(rotation=BY_HAND)
    for revision in (2, 3, 4):
        admin.delete("Secret", "checkout", team.namespace)
        team.edit(displayName=f"look {revision}")
        team.until_revision(revision)
    admin.delete("Secret", "checkout", team.namespace)
    team.edit(displayName="look again")
    key = team.until_ready(reason="SecretLost")
    assert condition(key, "Reconciling")["status"] == "True", "the next one comes within the hour"
    assert key["status"]["revision"] == 4
    assert admin.find("Secret", "checkout", team.namespace) is None


def test_a_rotate_token_finds_a_loss(admin: Api, team: Team) -> None:
    team.minted(rotation=BY_HAND)
    admin.delete("Secret", "checkout", team.namespace)
    team.annotate({ROTATE: "now"})
    key = team.until_revision(2)
    assert generations(key)[0]["cause"] == "SecretLost"
    assert key["status"]["handledTokens"] == ["now"], "one new key satisfies both"
    assert team.looked_at()["status"]["revision"] == 2


def test_entries_are_brought_in_place_around_the_value(team: Team) -> None:
    team.minted(secret={"data": {"a": "1", "b": "2"}, "labels": {"tier": "gold", "x": "y"}})
    value = team.value()
    _write(team, {"not-ours": "kept", "a": "by hand"})
    template = {"data": {"a": "1", "b": None, "c": "$(KEY_ID)"}, "labels": {"tier": "silver", "x": None}}
    team.edit(secret=template)
    secret = team.until_secret(lambda secret: "c" in secret["data"])
    key = team.until_ready()
    assert (value_in(secret), key["status"]["revision"]) == (value, 1)
    assert {"apiKey", "a", "c", "not-ours"} == set(secret["data"])
    assert value_in(secret, "a") == "1", "a listed entry is restored"
    assert value_in(secret, "c") == key["status"]["currentKeyID"]
    assert secret["metadata"]["labels"]["tier"] == "silver"
    assert "x" not in secret["metadata"]["labels"]


def test_entries_and_labels_changed_by_hand_are_restored_and_an_event_says_so(team: Team) -> None:
    team.minted(secret={"data": {"a": "1"}, "labels": {"tier": "gold"}})
    value = team.value()
    by_hand = {"labels": {"tier": "lead", "keywright.dev/project": None, "theirs": "kept"}}
    team.api.patch("Secret", "checkout", team.namespace, {"metadata": by_hand})
    restored = team.until_secret(lambda secret: secret["metadata"]["labels"]["tier"] == "gold")
    labels = restored["metadata"]["labels"]
    assert (labels["keywright.dev/project"], labels["theirs"]) == ("payments", "kept")
    _write(team, {"a": "by hand"})
    secret = team.until_secret(lambda secret: value_in(secret, "a") == "1")
    assert value_in(secret) == value
    assert team.until_event("SecretRestored")["type"] == "Normal"
    assert team.until_ready()["status"]["revision"] == 1


def test_a_secret_of_another_type_is_replaced_by_a_new_one_with_a_new_key(admin: Api, team: Team) -> None:
    team.minted(rotation=BY_HAND)
    before = team.secret()
    admin.delete("Secret", "checkout", team.namespace)
    metadata = {name: before["metadata"][name] for name in ("name", "namespace", "labels", "ownerReferences")}
    admin.create({**before, "metadata": metadata, "type": "Opaque", "immutable": True})
    key = team.until_revision(2)
    after = team.secret()
    assert (after["type"], after.get("immutable", False)) == ("keywright.dev/api-key", False)
    assert digest_of(value_in(after)) == generations(key)[0]["digest"]
    assert generations(key)[0]["cause"] == "SecretLost"


def test_a_wiped_status_is_adopted_from_the_sealed_secret(team: Team) -> None:
    before = team.minted(expiresAfter="24h")
    secret = team.secret()
    _wipe(team)
    key = team.until_revision(1)
    (adopted,), (known,) = generations(key), generations(before)
    assert adopted["cause"] == "Adopted"
    for field in ("id", "digest", "createdAt", "expiresAt", "revision"):
        assert adopted[field] == known[field], field
    assert team.secret() == secret
    team.until_ready()
    assert known["id"] in team.until_event("SecretRestored")["note"]


def test_a_forged_secret_is_not_adopted(admin: Api, team: Team) -> None:
    """Whoever may write Secrets cannot choose a key: without the seal its value is replaced."""
    uid = team.create(suspend=True)["metadata"]["uid"]
    team.minted("other", secret={"name": "other"})
    sealed = team.secret("other")["metadata"]
    chosen = raw.mint("kw", KeyType.PRODUCTION)
    forged = _foreign(team)
    forged["type"] = "keywright.dev/api-key"
    forged["data"] = {"apiKey": base64.b64encode(chosen.value.encode()).decode()}
    owner = {"apiVersion": "keywright.dev/v1alpha1", "kind": "ApiKey", "name": "checkout", "uid": uid}
    forged["metadata"]["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    forged["metadata"]["annotations"] = sealed["annotations"]
    labels = {"api-key": "checkout", "api-key-uid": uid, "key-id": chosen.id}
    ours = {f"keywright.dev/{name}": value for name, value in labels.items()}
    forged["metadata"]["labels"] = {**sealed["labels"], **ours}
    admin.create(forged)
    team.edit(suspend=False)
    key = team.until_ready()
    assert [("First", "Active")] == [(one["cause"], one["state"]) for one in generations(key)]
    assert chosen.digest not in {one["digest"] for one in generations(key)}
    assert team.value() != chosen.value


def test_another_keys_sealed_secret_is_not_adopted(team: Team, operator: Operator) -> None:
    team.minted("other")
    team.minted(rotation=BY_HAND)
    operator.kill()  # so that it sees both at once
    sealed = team.secret("other")
    secret = team.secret()
    secret["data"] = sealed["data"]
    secret["metadata"]["annotations"] = sealed["metadata"]["annotations"]
    secret["metadata"]["labels"]["keywright.dev/key-id"] = sealed["metadata"]["labels"][
        "keywright.dev/key-id"
    ]
    team.api.replace(secret)
    _wipe(team)
    operator.start().until_ready()
    key = team.until_revision(1)
    assert [("First", "Active")] == [(one["cause"], one["state"]) for one in generations(key)]
    assert team.value() != value_in(sealed)


def test_what_is_lost_while_the_operator_is_down_is_found_when_it_is_back(
    admin: Api, operator: Operator, team: Team
) -> None:
    for name in ("lost", "wiped", "both", "edited"):
        team.minted(name, rotation=BY_HAND)
    values = {name: team.value(name) for name in ("lost", "wiped", "both", "edited")}
    operator.kill()
    admin.delete("Secret", "lost", team.namespace)
    admin.delete("Secret", "both", team.namespace)
    _write(team, {"apiKey": "something else"}, "edited")
    _wipe(team, "wiped")
    _wipe(team, "both")
    operator.start().until_ready()
    for name, revision, cause in (
        ("lost", 2, "SecretLost"),
        ("wiped", 1, "Adopted"),
        ("both", 1, "First"),
        ("edited", 2, "SecretLost"),
    ):
        key = team.until_revision(revision, name)
        assert generations(key)[0]["cause"] == cause
        assert digest_of(team.value(name)) == generations(key)[0]["digest"]
        assert (team.value(name) == values[name]) is (name == "wiped")


def _foreign(team: Team) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "checkout", "namespace": team.namespace},
        "data": {"apiKey": base64.b64encode(b"somebody else's").decode()},
    }


def _write(team: Team, data: dict[str, str], name: str = "checkout") -> None:
    patch: dict[str, Any] = {
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    }
    team.api.patch("Secret", name, team.namespace, patch)


def _wipe(team: Team, name: str = "checkout") -> None:
    team.api.patch("ApiKey", name, team.namespace, {"status": None}, "status")
