"""Projects: what their status says, and the one ApiKey that a Project keeps for itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from harness import manifests
from harness.conditions import condition, reason, until_reason
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Api, Object
    from harness.history import History
    from harness.operator import Operator


def counts(admin: Api, namespace: str) -> Object:
    return dict(admin.get("Project", "payments", namespace)["status"].get("keys", {}))


def until_counts(admin: Api, namespace: str, **wanted: int) -> None:
    until(lambda: counts(admin, namespace), lambda seen: seen == wanted, what=f"the counts are {wanted}")


def until_gone(admin: Api, kind: str, name: str, namespace: str) -> None:
    until(lambda: admin.find(kind, name, namespace), lambda obj: obj is None)


def edit(admin: Api, namespace: str, **spec: Any) -> None:
    admin.patch("Project", "payments", namespace, {"spec": spec})


def test_a_project_is_accepted(admin: Api, operator: Operator, namespace: str) -> None:
    admin.create(manifests.project(namespace))
    project = until_reason(admin, "Accepted", "payments", namespace, kind="Project")
    assert condition(project)["status"] == "True"
    assert condition(project)["message"] == "ApiKeys may refer to this Project"
    assert project["status"]["observedGeneration"] == 1
    assert project["status"]["keys"] == {"total": 0, "ready": 0, "retiring": 0}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"defaults": {"rotation": {"schedule": "61 3 * * 1"}}},
            'spec.defaults.rotation.schedule: "61 3 * * 1": bad minute: write five cron fields',
        ),
        (
            {"defaults": {"rotation": {"schedule": "0 3 * * 1", "timeZone": "Europe/Atlantis"}}},
            'spec.defaults.rotation.timeZone: "Europe/Atlantis": write a name of the IANA time zone database',
        ),
        (
            {"defaults": {"rotation": {"interval": "2h"}}, "limits": {"maxExpiresAfter": "1h"}},
            'spec.defaults.rotation.interval: "2h": a key lives 1h: write a shorter interval',
        ),
    ],
    ids=["cron", "zone", "interval"],
)
def test_a_default_without_meaning_makes_it_invalid_and_still_it_grants(
    admin: Api, operator: Operator, namespace: str, spec: dict[str, Any], message: str
) -> None:
    admin.create(manifests.project(namespace, **spec))
    project = until_reason(admin, "InvalidSpec", "payments", namespace, kind="Project")
    assert condition(project)["status"] == "False"
    assert condition(project)["message"].startswith(message)
    admin.create(manifests.api_key(namespace, "uses-it"))
    admin.create(manifests.api_key(namespace, "has-its-own", rotation={"interval": "30m"}))
    until_reason(admin, "Active", "has-its-own", namespace)
    until_reason(admin, "InvalidSpec", "uses-it", namespace)

    edit(admin, namespace, defaults={"rotation": {"interval": "30m", "schedule": None, "timeZone": None}})
    until_reason(admin, "Accepted", "payments", namespace, kind="Project")
    until_reason(admin, "Active", "uses-it", namespace)


def test_it_counts_its_keys_and_writes_no_more_than_every_five_seconds(
    admin: Api, operator: Operator, namespace: str, record: Callable[..., History]
) -> None:
    admin.create(manifests.project(namespace))
    until_reason(admin, "Accepted", "payments", namespace, kind="Project")
    before, history = time.monotonic(), record(namespace, "Project")
    for name in ("one", "two"):
        admin.create(manifests.api_key(namespace, name))
    admin.create(manifests.api_key(namespace, "paused", suspend=True))
    until_reason(admin, "Suspended", "paused", namespace)
    for name in ("one", "two"):
        until_reason(admin, "Active", name, namespace)
    until_counts(admin, namespace, total=3, ready=2, retiring=0)
    took = time.monotonic() - before
    # One that was on its way, one that was due at once, and one each five seconds.
    assert len(history.caught_up().versions("Project")) <= 2 + took / 5

    annotations = {"keywright.dev/rotate": "a"}
    admin.patch("ApiKey", "one", namespace, {"metadata": {"annotations": annotations}})
    until_counts(admin, namespace, total=3, ready=2, retiring=1)
    admin.delete("ApiKey", "two", namespace)
    until_counts(admin, namespace, total=2, ready=1, retiring=1)


def test_its_default_key_is_created_and_its_own(admin: Api, operator: Operator, namespace: str) -> None:
    admin.create(manifests.project(namespace, defaultKey={}))
    key = until_reason(admin, "Active", "payments-default", namespace)
    project = admin.get("Project", "payments", namespace)
    owner = {
        "apiVersion": manifests.API_VERSION,
        "kind": "Project",
        "name": "payments",
        "uid": project["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    assert key["metadata"]["ownerReferences"] == [owner]
    assert key["spec"]["projectRef"] == {"name": "payments"}
    assert key["status"]["secretName"] == "payments-default"
    assert "scopes" not in key["spec"]
    assert admin.find("Secret", "payments-default", namespace)


def test_its_default_key_takes_the_secret_name_and_the_scopes_that_are_given(
    admin: Api, operator: Operator, namespace: str
) -> None:
    catalogue = [{"name": "data:read"}, {"name": "data:write"}]
    default = {"secretName": "payments-api-key", "scopes": ["*"]}
    admin.create(manifests.project(namespace, scopes=catalogue, defaultKey=default))
    key = until_reason(admin, "Active", "payments-default", namespace)
    assert key["status"]["effective"]["scopes"] == ["data:read", "data:write"]
    assert admin.find("Secret", "payments-api-key", namespace)
    assert admin.find("Secret", "payments-default", namespace) is None

    edit(admin, namespace, defaultKey={"scopes": ["data:read"]})
    edited = until(
        lambda: admin.get("ApiKey", "payments-default", namespace),
        lambda seen: seen["status"]["effective"]["scopes"] == ["data:read"],
    )
    assert edited["status"]["currentKeyID"] == key["status"]["currentKeyID"], "no new key for other scopes"
    edit(admin, namespace, defaultKey={"scopes": None})
    until(
        lambda: admin.get("ApiKey", "payments-default", namespace),
        lambda seen: seen["status"]["effective"]["scopes"] == [],
    )


def test_a_default_key_that_is_no_longer_wanted_is_deleted_and_so_revoked(
    admin: Api, operator: Operator, namespace: str, system_namespace: str
) -> None:
    admin.create(manifests.project(namespace, defaultKey={"secretName": "first"}))
    key = until_reason(admin, "Active", "payments-default", namespace)
    edit(admin, namespace, defaultKey=None)
    until_gone(admin, "ApiKey", "payments-default", namespace)
    assert admin.find("Secret", "first", namespace) is None
    record = admin.get("Revocation", f"k-{key['status']['currentKeyID']}", system_namespace)
    assert record["spec"]["reason"] == "Deleted"

    edit(admin, namespace, defaultKey={"secretName": "second"})
    anew = until_reason(admin, "Active", "payments-default", namespace)
    assert anew["status"]["secretName"] == "second"
    assert anew["status"]["currentKeyID"] != key["status"]["currentKeyID"]


def test_a_default_key_that_was_replaced_while_nobody_looked_is_a_new_one(
    admin: Api, operator: Operator, namespace: str, system_namespace: str
) -> None:
    admin.create(manifests.project(namespace, defaultKey={"secretName": "first"}))
    key = until_reason(admin, "Active", "payments-default", namespace)
    operator.kill()
    edit(admin, namespace, defaultKey=None)
    edit(admin, namespace, defaultKey={"secretName": "second"})
    operator.start().until_ready()
    anew = until(
        lambda: admin.find("ApiKey", "payments-default", namespace),
        lambda seen: seen and seen["metadata"]["uid"] != key["metadata"]["uid"] and reason(seen) == "Active",
    )
    assert anew
    assert anew["status"]["secretName"] == "second"
    assert anew["status"]["currentKeyID"] != key["status"]["currentKeyID"]
    assert admin.find("Secret", "first", namespace) is None
    assert admin.find("Secret", "second", namespace)
    record = admin.get("Revocation", f"k-{key['status']['currentKeyID']}", system_namespace)
    assert record["spec"]["reason"] == "Deleted"


def test_writing_out_or_leaving_out_the_name_of_its_secret_replaces_no_default_key(
    admin: Api, operator: Operator, namespace: str
) -> None:
    admin.create(manifests.project(namespace, defaultKey={}))
    key = until_reason(admin, "Active", "payments-default", namespace)
    for name, scope in (("payments-default", "data:read"), (None, "data:write")):
        edit(admin, namespace, defaultKey={"secretName": name, "scopes": [scope]})
        edited = until(
            lambda: admin.get("ApiKey", "payments-default", namespace),
            lambda seen, scope=scope: seen["status"]["effective"].get("scopes") == [scope],  # type: ignore[misc]
        )
        assert edited["metadata"]["uid"] == key["metadata"]["uid"]
        assert edited["status"]["currentKeyID"] == key["status"]["currentKeyID"]


def test_a_default_key_that_someone_deletes_comes_back_as_a_new_one(
    admin: Api, operator: Operator, namespace: str
) -> None:
    admin.create(manifests.project(namespace, defaultKey={}))
    key = until_reason(admin, "Active", "payments-default", namespace)
    admin.delete("ApiKey", "payments-default", namespace)
    anew = until(
        lambda: admin.find("ApiKey", "payments-default", namespace),
        lambda seen: seen and seen["metadata"]["uid"] != key["metadata"]["uid"] and reason(seen) == "Active",
    )
    assert anew
    assert anew["status"]["currentKeyID"] != key["status"]["currentKeyID"]


@pytest.mark.parametrize("project", ["payments", "another"])
def test_an_api_key_of_that_name_that_is_someone_elses_is_left_alone(
    admin: Api, operator: Operator, namespace: str, project: str
) -> None:
    admin.create(manifests.project(namespace, "another"))
    foreign = manifests.api_key(namespace, "payments-default", project=project, suspend=True)
    admin.create(foreign)
    admin.create(manifests.project(namespace, defaultKey={"scopes": ["data:read"]}))
    until_reason(admin, "Accepted", "payments", namespace, kind="Project")
    told = until(
        lambda: [e for e in admin.list("Event", namespace) if e["reason"] == "DefaultKeyConflict"], bool
    )
    assert [(event["type"], event["regarding"]["name"]) for event in told] == [("Warning", "payments")]
    assert told[0]["note"] == (
        "spec.defaultKey: the ApiKey payments-default exists and is not this Project's: "
        "delete it, or remove defaultKey"
    )
    untouched = admin.get("ApiKey", "payments-default", namespace)
    assert untouched["metadata"]["generation"] == 1
    assert "ownerReferences" not in untouched["metadata"]
    assert "scopes" not in untouched["spec"]

    admin.delete("ApiKey", "payments-default", namespace)
    key = until(
        lambda: admin.find("ApiKey", "payments-default", namespace),
        lambda seen: seen and reason(seen) == "Active",
        what="what the Event says helps",
    )
    assert key
    assert key["spec"]["scopes"] == ["data:read"]


def test_a_default_key_that_may_not_be_created_does_not_make_the_project_unready(
    admin: Api, operator: Operator, namespace: str
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"count/apikeys.keywright.dev": "0"}},
    }
    admin.create(quota)
    until(
        lambda: admin.get("ResourceQuota", "none", namespace),
        lambda seen: "hard" in seen.get("status", {}),
        what="the quota counts",
    )
    admin.create(manifests.project(namespace, defaultKey={}))
    until_reason(admin, "Accepted", "payments", namespace, kind="Project")
    assert admin.find("ApiKey", "payments-default", namespace) is None


def test_a_project_that_goes_takes_its_default_key_along_and_leaves_the_others_waiting(
    admin: Api, operator: Operator, namespace: str, system_namespace: str
) -> None:
    admin.create(manifests.project(namespace, defaultKey={}))
    admin.create(manifests.api_key(namespace))
    default = until_reason(admin, "Active", "payments-default", namespace)
    before = until_reason(admin, "Active", "checkout", namespace)
    admin.delete("Project", "payments", namespace)

    orphan = until_reason(admin, "ProjectNotFound", "checkout", namespace)
    assert condition(orphan)["status"] == "False"
    assert condition(orphan, "Reconciling")["status"] == "True"
    assert orphan["status"]["currentKeyID"] == before["status"]["currentKeyID"]
    # The garbage collector learns of a kind within a minute of its creation.
    until_gone(admin, "ApiKey", "payments-default", namespace)
    assert admin.find("Secret", "payments-default", namespace) is None
    assert admin.find("Revocation", f"k-{default['status']['currentKeyID']}", system_namespace)

    admin.create(manifests.project(namespace))
    after = until_reason(admin, "Active", "checkout", namespace)
    assert after["status"]["currentKeyID"] == before["status"]["currentKeyID"]
    assert after["status"]["revision"] == 1, "the same key as before"
