"""The first key: YAML in, a working API key in a Secret."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from harness.team import FINALIZER, condition, digest_of, generations, ready, value_in
from keywright.keys import raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Api
    from harness.history import History
    from harness.team import Team

pytestmark = pytest.mark.usefixtures("operator")


def test_a_key_is_minted_and_its_digest_matches(team: Team) -> None:
    key = team.minted()
    value = team.value()
    assert [digest_of(value)] == [generation["digest"] for generation in generations(key, "Active")]
    assert raw.parse(value).id == key["status"]["currentKeyID"]


def test_the_raw_key_has_the_form_that_scanners_know(team: Team) -> None:
    team.minted()
    team.minted("dev", type="Development")
    team.minted("app", type="Client", restrictions={"anyOrigin": True})
    for name, part in (("checkout", "prod"), ("dev", "dev"), ("app", "client")):
        assert re.fullmatch(rf"kw_{part}_[a-z0-9]{{16}}_[0-9A-Za-z]{{49}}", team.value(name))


def test_the_status_says_what_the_key_is_but_not_the_key(team: Team) -> None:
    key = team.minted(expiresAfter="2160h")
    status, (generation,) = key["status"], generations(key)
    value = team.value()
    assert status["secretName"] == "checkout"
    assert status["revision"] == 1
    assert status["effective"]["expiresAfter"] == "2160h"
    assert generation["hint"] == value.rpartition("_")[0]
    assert (generation["cause"], generation["revision"]) == ("First", 1)
    assert status["expiresAt"] == generation["expiresAt"]
    created = datetime.fromisoformat(generation["createdAt"])
    assert datetime.fromisoformat(generation["expiresAt"]) == created + timedelta(hours=2160)
    assert datetime.fromisoformat(key["metadata"]["creationTimestamp"]) <= created <= datetime.now(UTC)
    assert condition(key, "Rotating")["reason"] == "Idle"
    assert {"Ready", "Rotating"} == {one["type"] for one in status["conditions"]}
    assert [FINALIZER] == key["metadata"]["finalizers"]
    assert "1" in team.until_event("Minted")["note"]


def test_the_secret_is_exactly_as_promised(team: Team) -> None:
    key = team.minted(expiresAfter="24h")
    secret, (generation,) = team.secret(), generations(key)
    metadata = secret["metadata"]
    assert secret["type"] == "keywright.dev/api-key"
    assert {"apiKey"} == set(secret["data"])
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "keywright",
        "keywright.dev/api-key": "checkout",
        "keywright.dev/api-key-uid": key["metadata"]["uid"],
        "keywright.dev/project": "payments",
        "keywright.dev/project-namespace": team.namespace,
        "keywright.dev/key-id": generation["id"],
    }
    annotations = metadata["annotations"]
    assert json.loads(annotations.pop("keywright.dev/entries"))["data"] == ["apiKey"]
    assert re.fullmatch(r"v1:[0-9a-f]+:[A-Za-z0-9_-]{43}", annotations.pop("keywright.dev/seal"))
    assert annotations == {
        "keywright.dev/revision": "1",
        "keywright.dev/created-at": generation["createdAt"],
        "keywright.dev/expires-at": generation["expiresAt"],
    }
    (owner,) = metadata["ownerReferences"]
    assert (owner["apiVersion"], owner["kind"]) == ("keywright.dev/v1alpha1", "ApiKey")
    assert (owner["name"], owner["uid"]) == ("checkout", key["metadata"]["uid"])
    assert owner["controller"] is True


def test_the_sealing_keys_stand_in_the_system_namespace(
    admin: Api, team: Team, system_namespace: str
) -> None:
    team.minted()
    data = admin.get("Secret", "keywright-sealing", system_namespace)["data"]
    assert value_in({"data": data}, "current") in data


def test_the_secret_carries_what_its_template_asks_for(team: Team) -> None:
    template = {
        "name": "checkout-key",
        "key": "token",
        "labels": {"app.kubernetes.io/part-of": "shop", "tier": "gold"},
        "annotations": {"example.com/contact": "checkout@example.com"},
        "data": {
            ".env": "KEY=$(API_KEY)\nID=$(KEY_ID)\nPROJECT=$(PROJECT)\nENDS=$(EXPIRES_AT)\n",
            "plain": "$$(API_KEY) costs $5, $$$(KEY_ID)",
        },
    }
    key = team.minted(secret=template, expiresAfter="24h")
    secret, status = team.secret("checkout-key"), key["status"]
    value, key_id = value_in(secret, "token"), status["currentKeyID"]
    assert {"token", ".env", "plain"} == set(secret["data"])
    assert digest_of(value) == generations(key)[0]["digest"]
    assert value_in(secret, ".env") == (
        f"KEY={value}\nID={key_id}\nPROJECT=payments\nENDS={status['expiresAt']}\n"
    )
    assert value_in(secret, "plain") == "$(API_KEY) costs $5, $$(KEY_ID)"
    labels, annotations = secret["metadata"]["labels"], secret["metadata"]["annotations"]
    assert {"app.kubernetes.io/part-of": "shop", "tier": "gold"}.items() <= labels.items()
    assert annotations["example.com/contact"] == "checkout@example.com"
    assert status["secretName"] == "checkout-key"


def test_without_an_end_the_variable_is_empty_and_no_annotation_tells_one(team: Team) -> None:
    key = team.minted(secret={"data": {"ends": "<$(EXPIRES_AT)>"}})
    secret = team.secret()
    assert value_in(secret, "ends") == "<>"
    assert "keywright.dev/expires-at" not in secret["metadata"]["annotations"]
    assert "expiresAt" not in key["status"]


def test_a_digest_is_published_before_its_value_can_be_read(
    team: Team, record: Callable[..., History]
) -> None:
    history = record(team.namespace, "ApiKey", "Secret")
    team.minted()
    history.caught_up()
    created = history.versions("Secret")[0]
    before = [one.obj for one in history.versions("ApiKey") if one.at < created.at][-1]
    (published,) = generations(before)
    assert published["state"] == "Pending"
    assert published["digest"] == digest_of(value_in(created.obj))
    assert before["metadata"]["finalizers"] == [FINALIZER]
    assert ready(before) == "Minting"


def test_created_suspended_nothing_is_minted_until_it_is_resumed(admin: Api, team: Team) -> None:
    team.create(suspend=True)
    key = team.until_ready(reason="Suspended")
    assert generations(key) == []
    assert admin.find("Secret", "checkout", team.namespace) is None
    team.edit(suspend=False)
    key = team.until_ready()
    assert digest_of(team.value()) == generations(key, "Active")[0]["digest"]


def test_nothing_is_minted_for_an_end_in_the_past(admin: Api, team: Team) -> None:
    team.create(expiresAt="2020-01-01T00:00:00Z")
    key = team.until_ready(reason="Expired")
    assert generations(key) == []
    assert condition(key, "Stalled")["status"] == "True"
    assert admin.find("Secret", "checkout", team.namespace) is None
    team.edit(expiresAt="2999-01-01T00:00:00Z")
    team.until_ready()
