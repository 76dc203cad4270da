"""Deleting an ApiKey revokes its keys first, for good, whoever deletes it and however."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.team import REGENERATE, ROTATE, condition, generations, ready
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api, Object
    from harness.history import History
    from harness.kubectl import Kubectl
    from harness.operator import Operator
    from harness.team import Team

BY_HAND = {"policy": "Never", "overlap": "1h"}

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
def two_keys(team: Team) -> list[Object]:
    """The generations of `checkout`: the current one, one still valid beside it and one revoked long ago."""
    team.minted(rotation=BY_HAND, expiresAfter="24h")
    team.annotate({REGENERATE: "a"})
    team.until_revision(2)
    team.annotate({ROTATE: "b"})
    key = team.until_revision(3)
    assert ["Active", "Retiring", "Revoked"] == [one["state"] for one in generations(key)]
    return generations(key)


def test_each_valid_key_is_recorded_as_revoked_then_the_secret_goes_then_the_api_key(
    admin: Api, team: Team, two_keys: list[Object], system_namespace: str, record: Callable[..., History]
) -> None:
    uid = team.get()["metadata"]["uid"]
    ours, records = record(team.namespace, "ApiKey", "Secret"), record(system_namespace, "Revocation")
    team.delete()
    team.until_gone()
    secret_gone, api_key_gone = (
        until(
            lambda kind=kind: [one.at for one in ours.versions(kind) if one.deleted],  # type: ignore[misc]
            bool,
            what=f"the end of the {kind} is recorded",
        )[0]
        for kind in ("Secret", "ApiKey")
    )
    assert secret_gone < api_key_gone
    records.caught_up()
    for generation in two_keys[:2]:
        name = f"k-{generation['id']}"
        assert records.versions("Revocation", name)[0].at < secret_gone
        made = until(
            lambda name=name: admin.get("Revocation", name, system_namespace),  # type: ignore[misc]
            lambda obj: ready(obj) == "InForce",
        )
        assert (made["spec"]["keyID"], made["spec"]["reason"]) == (generation["id"], "Deleted")
        assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "keywright"
        annotations = made["metadata"]["annotations"]
        assert annotations["keywright.dev/api-key"] == f"{team.namespace}/checkout"
        assert annotations["keywright.dev/project"] == f"{team.namespace}/payments"
        assert annotations["keywright.dev/until"] == generation["expiresAt"]
        assert made["status"]["apiKeyUID"] == uid
    superseded = admin.get("Revocation", f"k-{two_keys[2]['id']}", system_namespace)
    assert superseded["spec"]["reason"] == "Superseded", "what was revoked before keeps its reason"


def test_while_it_goes_it_says_so(team: Team, record: Callable[..., History]) -> None:
    team.minted()
    history = record(team.namespace, "ApiKey")
    team.delete()
    team.until_gone()
    until(lambda: history.versions("ApiKey"), lambda versions: versions and versions[-1].deleted)
    said = [ready(one.obj) for one in history.versions("ApiKey")]
    assert "Deleting" in said
    assert condition(history.versions("ApiKey")[-1].obj, "Ready")["status"] == "False"


def test_what_was_never_minted_goes_without_a_record(admin: Api, team: Team, system_namespace: str) -> None:
    team.create(suspend=True)
    team.until_ready(reason="Suspended")
    team.delete()
    team.until_gone()
    named = [one["metadata"].get("annotations", {}) for one in admin.list("Revocation", system_namespace)]
    assert f"{team.namespace}/checkout" not in {each.get("keywright.dev/api-key") for each in named}


@pytest.mark.parametrize("policy", ["Background", "Orphan", "Foreground"])
def test_no_way_of_deleting_leaves_the_secret_behind(
    admin: Api, team: Team, system_namespace: str, policy: str
) -> None:
    key_id = team.minted()["status"]["currentKeyID"]
    team.delete(propagationPolicy=policy)
    team.until_gone()
    assert admin.find("Secret", "checkout", team.namespace) is None
    assert admin.get("Revocation", f"k-{key_id}", system_namespace)["spec"]["reason"] == "Deleted"


def test_a_new_one_of_that_name_is_a_new_one(team: Team) -> None:
    old = team.minted()["status"]["currentKeyID"]
    value = team.value()
    team.delete()
    team.until_gone()
    key = team.minted()
    assert key["status"]["currentKeyID"] != old
    assert team.value() != value


def test_a_secret_that_is_not_ours_survives(admin: Api, team: Team) -> None:
    admin.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "checkout", "namespace": team.namespace}}
    )
    team.create()
    team.until_ready(reason="SecretConflict")
    before = team.secret()
    team.delete()
    team.until_gone()
    assert team.secret() == before


def test_a_whole_namespace_goes_and_its_records_stay(admin: Api, team: Team, system_namespace: str) -> None:
    ids = [team.minted(f"key-{number}")["status"]["currentKeyID"] for number in range(5)]
    admin.delete("Namespace", team.namespace)
    until(lambda: admin.find("Namespace", team.namespace), lambda found: found is None)
    for key_id in ids:
        assert admin.get("Revocation", f"k-{key_id}", system_namespace)["spec"]["reason"] == "Deleted"


def test_in_a_namespace_that_is_terminating_nothing_is_minted(
    admin: Api, team: Team, record: Callable[..., History]
) -> None:
    names = [f"key-{number}" for number in range(5)]
    ids = {team.minted(name)["status"]["currentKeyID"] for name in names}
    ours = record(team.namespace, "ApiKey")
    admin.delete("Namespace", team.namespace)
    until(
        lambda: {one.obj["metadata"]["name"] for one in ours.versions("ApiKey") if one.deleted},
        lambda gone: gone == set(names),
    )
    assert {one["id"] for version in ours.versions("ApiKey") for one in generations(version.obj)} == ids


def test_with_the_operator_down_a_deletion_waits_and_is_completed_later(
    admin: Api, operator: Operator, team: Team, system_namespace: str
) -> None:
    key_id = team.minted()["status"]["currentKeyID"]
    operator.kill()
    team.delete()
    waiting = team.get()
    assert waiting["metadata"]["finalizers"] == ["keywright.dev/revoke"]
    assert "deletionTimestamp" in waiting["metadata"], "from here on the verifier denies it"
    operator.start().until_ready()
    team.until_gone()
    assert admin.find("Secret", "checkout", team.namespace) is None
    assert admin.get("Revocation", f"k-{key_id}", system_namespace)["spec"]["reason"] == "Deleted"


def test_without_its_project_an_api_key_can_still_be_deleted(admin: Api, team: Team) -> None:
    team.minted()
    admin.delete("Project", "payments", team.namespace)
    team.until_ready(reason="ProjectNotFound")
    team.delete()
    team.until_gone()
    assert admin.find("Secret", "checkout", team.namespace) is None


def test_with_sealing_keys_that_cannot_be_read_an_api_key_can_still_be_deleted(
    admin: Api, operator: Operator, team: Team, kubectl_as_admin: Kubectl, system_namespace: str
) -> None:
    key_id = team.minted()["status"]["currentKeyID"]
    operator.kill()
    with _spoilt(admin, "keywright-sealing", system_namespace):
        operator.start().until_ready()
        until(
            lambda: [line for line in operator.lines() if line.get("event") == "reconcile failed"],
            bool,
            what="an operator that cannot read them says so",
        )
        command = ("delete", "apikey", "checkout", "-n", team.namespace, "--wait", "--timeout=120s")
        assert "deleted" in kubectl_as_admin(*command)
        assert admin.find("Secret", "checkout", team.namespace) is None
        assert admin.get("Revocation", f"k-{key_id}", system_namespace)["spec"]["reason"] == "Deleted"
        operator.kill()
    operator.start().until_ready()
    team.minted()


@contextmanager
def _spoilt(admin: Api, name: str, namespace: str) -> Iterator[None]:
    """Replace the data of a Secret by what makes no sense, for a while."""
    kept = admin.get("Secret", name, namespace)["data"]
    spoilt = dict.fromkeys(kept, base64.b64encode(b"no key").decode())
    admin.patch("Secret", name, namespace, {"data": spoilt})
    try:
        yield
    finally:
        admin.patch("Secret", name, namespace, {"data": kept})
