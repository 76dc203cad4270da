"""Why a key is not there, said so that whoever reads it knows what to write; and what heals it."""

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from harness import manifests
from harness.conditions import condition, progress, reason, until_reason
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api
    from harness.operator import Operator

# Reconciling for good; Reconciling for 30 s and Stalled then; Stalled at once; neither.
PASSING, SETTLING, STUCK, NEITHER = "passing", "settling", "stuck", "neither"

CRON = {"schedule": "0 3 * * 1"}
NONSENSE = {"schedule": "61 3 * * 1"}

PROJECTS: dict[str, dict[str, Any]] = {
    "payments": {},
    "catalogue": {"scopes": [{"name": "payments:read"}]},
    "production": {"limits": {"allowedTypes": ["Production"]}},
    "small": {"limits": {"maxKeys": 1}},
    "per-namespace": {"limits": {"maxKeysPerNamespace": 1}},
    "short": {"defaults": {"expiresAfter": "1h"}},
    "short-limit": {"limits": {"maxExpiresAfter": "1h"}},
    "frozen": {"suspend": True},
    "bad-default": {"defaults": {"rotation": NONSENSE}},
    "labelled": {"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}},
}


@dataclass(frozen=True)
class Case:
    """An ApiKey that is not Ready: why, what its message says, and what mends it."""

    reason: str
    progress: str
    message: str
    mend: Callable[[Api, Home], Any]
    project: str = "payments"
    spec: dict[str, Any] = field(default_factory=dict)
    elsewhere: bool = False

    def namespace(self, home: Home) -> str:
        return home.elsewhere if self.elsewhere else home.namespace


@dataclass(frozen=True)
class Home:
    """The namespace of the Projects, and another one."""

    namespace: str
    elsewhere: str


def edit(name: str, **spec: Any) -> Callable[[Api, Home], Any]:
    return lambda admin, home: admin.patch("ApiKey", name, home.namespace, {"spec": spec})


def edit_project(name: str, **spec: Any) -> Callable[[Api, Home], Any]:
    return lambda admin, home: admin.patch("Project", name, home.namespace, {"spec": spec})


CASES = {
    "no-project": Case(
        "ProjectNotFound",
        PASSING,
        "spec.projectRef: there is no Project {home}/billing: create it",
        lambda admin, home: admin.create(manifests.project(home.namespace, "billing")),
        project="billing",
    ),
    "bad-cron": Case(
        "InvalidSpec",
        STUCK,
        'spec.rotation.schedule: "61 3 * * 1": bad minute: write five cron fields that some date matches '
        '(minute, hour, day of month, month, day of week), such as "0 3 * * 1"',
        edit("bad-cron", rotation=CRON),
        spec={"rotation": NONSENSE},
    ),
    "bad-zone": Case(
        "InvalidSpec",
        STUCK,
        'spec.rotation.timeZone: "Europe/Atlantis": write a name of the IANA time zone database, '
        'such as "Europe/Berlin", or none for UTC',
        edit("bad-zone", rotation={"timeZone": "Europe/Berlin"}),
        spec={"rotation": {**CRON, "timeZone": "Europe/Atlantis"}},
    ),
    "slow": Case(
        "InvalidSpec",
        STUCK,
        'spec.rotation.interval: "2h": a key lives 1h: write a shorter interval',
        edit("slow", rotation={"interval": "30m"}),
        project="short",
        spec={"rotation": {"interval": "2h"}},
    ),
    "slow-for-the-limit": Case(
        "InvalidSpec",
        STUCK,
        'spec.rotation.interval: "2h": a key lives 1h: write a shorter interval',
        edit_project("short-limit", limits={"maxExpiresAfter": "4h"}),
        project="short-limit",
        spec={"rotation": {"interval": "2h"}},
    ),
    "early": Case(
        "InvalidSpec",
        STUCK,
        'spec.rotation.beforeExpiry: "2h": a key lives 1h: write a time at least 10s shorter',
        edit("early", rotation={"beforeExpiry": "20m"}),
        project="short",
        spec={"rotation": {"beforeExpiry": "2h"}},
    ),
    "endless": Case(
        "InvalidSpec",
        STUCK,
        'spec.rotation.beforeExpiry: "72h": there is no lifetime to count back from: write expiresAfter',
        edit("endless", expiresAfter="2160h"),
        spec={"rotation": {"beforeExpiry": "72h"}},
    ),
    "bad-default": Case(
        "InvalidSpec",
        STUCK,
        'Project {home}/bad-default: spec.defaults.rotation.schedule: "61 3 * * 1": bad minute: write',
        edit_project("bad-default", defaults={"rotation": CRON}),
        project="bad-default",
    ),
    "elsewhere": Case(
        "NamespaceNotAllowed",
        SETTLING,
        "spec.projectRef: the Project {home}/payments allows ApiKeys of its own namespace only, "
        "not of {elsewhere}: change the Project's spec.allowedNamespaces, or create the ApiKey there",
        edit_project("payments", allowedNamespaces={"from": "All"}),
        elsewhere=True,
    ),
    "unlabelled": Case(
        "NamespaceNotAllowed",
        SETTLING,
        "spec.projectRef: the Project {home}/labelled chooses namespaces by label, and {elsewhere} "
        "does not match: label the namespace",
        lambda admin, home: admin.patch(
            "Namespace", home.elsewhere, None, {"metadata": {"labels": {"team": "b"}}}
        ),
        project="labelled",
        elsewhere=True,
    ),
    "development": Case(
        "TypeNotAllowed",
        SETTLING,
        "spec.type: the Project {home}/production allows Production, not Development: "
        "add it to the Project's spec.limits.allowedTypes, or create an ApiKey of another type",
        edit_project("production", limits={"allowedTypes": ["Production", "Development"]}),
        project="production",
        spec={"type": "Development"},
    ),
    "misspelt": Case(
        "ScopeNotAllowed",
        SETTLING,
        'spec.scopes: the Project {home}/catalogue does not list "payments:raed": '
        "add it to the Project's spec.scopes, or ask for another one",
        edit("misspelt", scopes=["payments:read"]),
        project="catalogue",
        spec={"scopes": ["payments:raed"]},
    ),
    "reserved": Case(
        "ScopeNotAllowed",
        SETTLING,
        'spec.scopes: the Project {home}/payments does not list "keywright:keys:read": add it',
        edit_project("payments", scopes=[{"name": "keywright:keys:read"}]),
        spec={"scopes": ["keywright:keys:read"]},
    ),
    "second": Case(
        "QuotaExceeded",
        SETTLING,
        "spec.projectRef: the Project {home}/small allows 1 ApiKey, and 1 came first: delete one, or raise "
        "the Project's spec.limits.maxKeys",
        lambda admin, home: admin.delete("ApiKey", "first-of-small", home.namespace),
        project="small",
    ),
    "second-here": Case(
        "QuotaExceeded",
        SETTLING,
        "spec.projectRef: the Project {home}/per-namespace allows 1 ApiKey in the namespace {home}, "
        "and 1 came first: delete one, or raise the Project's spec.limits.maxKeysPerNamespace",
        edit_project("per-namespace", limits={"maxKeysPerNamespace": 2}),
        project="per-namespace",
    ),
    "conflict": Case(
        "SecretConflict",
        SETTLING,
        "The Secret conflict exists and does not belong to this ApiKey: delete that Secret, or delete the "
        "ApiKey and create it with another spec.secret.name",
        lambda admin, home: admin.delete("Secret", "conflict", home.namespace),
    ),
    "past": Case(
        "Expired",
        STUCK,
        "spec.expiresAt: 2025-01-01T00:00:00Z has passed: write a later time, or delete the ApiKey",
        edit("past", expiresAt="2099-01-01T00:00:00Z"),
        spec={"expiresAt": "2025-01-01T00:00:00Z"},
    ),
    "paused": Case(
        "Suspended",
        NEITHER,
        "spec.suspend: the ApiKey is suspended: set it to false",
        edit("paused", suspend=False),
        spec={"suspend": True},
    ),
    "frozen": Case(
        "ProjectSuspended",
        NEITHER,
        "spec.projectRef: the Project {home}/frozen is suspended: set the Project's spec.suspend to false",
        edit_project("frozen", suspend=False),
        project="frozen",
    ),
}

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def home(admin: Api, operator: Operator) -> Iterator[Home]:
    """Projects, and an ApiKey for everything that can be wrong, all created before anything is looked at."""
    number = f"{time.time_ns():x}"[-6:]
    home = Home(f"conditions-{number}", f"elsewhere-{number}")
    for name in (home.namespace, home.elsewhere):
        admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for name, spec in PROJECTS.items():
        admin.create(manifests.project(home.namespace, name, **spec))
    foreign = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "conflict"}}
    foreign["metadata"]["namespace"] = home.namespace  # type: ignore[index]
    admin.create(foreign)
    for project in ("small", "per-namespace"):
        admin.create(manifests.api_key(home.namespace, f"first-of-{project}", project=project))
        until_reason(admin, "Active", f"first-of-{project}", home.namespace)
    for name, case in CASES.items():
        key = manifests.api_key(case.namespace(home), name, project=case.project, **case.spec)
        key["spec"]["projectRef"]["namespace"] = home.namespace
        admin.create(key)
    yield home
    for name in (home.elsewhere, home.namespace):
        admin.delete("Namespace", name)


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_with_field_and_remedy(admin: Api, home: Home, name: str) -> None:
    case = CASES[name]
    key = until_reason(admin, case.reason, name, case.namespace(home))
    message = condition(key)["message"]
    assert case.message.format(home=home.namespace, elsewhere=home.elsewhere) in message
    assert message[0].isupper() or message.startswith("spec."), "a sentence, or the path of a field"
    assert "keys" not in key["status"] or key["status"]["keys"] == []
    assert key["status"]["observedGeneration"] == key["metadata"]["generation"]
    for one in key["status"]["conditions"]:
        assert one["observedGeneration"] == key["metadata"]["generation"]


@pytest.mark.parametrize("name", CASES)
def test_a_tool_that_waits_is_told_whether_to_go_on_waiting(admin: Api, home: Home, name: str) -> None:
    case = CASES[name]
    key = until_reason(admin, case.reason, name, case.namespace(home))
    waiting, given_up, neither = {"Reconciling"}, {"Stalled"}, set[str]()
    allowed = {PASSING: [waiting], SETTLING: [waiting, given_up], STUCK: [given_up], NEITHER: [neither]}
    assert progress(key) in allowed[case.progress]


def test_what_a_person_must_mend_is_stalled_thirty_seconds_after_it_was_found(admin: Api, home: Home) -> None:
    settling = {name: case for name, case in CASES.items() if case.progress == SETTLING}
    for name, case in settling.items():
        key = until(
            lambda name=name, case=case: admin.get("ApiKey", name, case.namespace(home)),  # type: ignore[misc]
            lambda key: progress(key) == {"Stalled"},
            what=f"{name} is Stalled",
        )
        found, stalled = (moment(condition(key, kind)["lastTransitionTime"]) for kind in ("Ready", "Stalled"))
        assert timedelta(seconds=30) <= stalled - found <= timedelta(seconds=60), name
        assert reason(key) == condition(key, "Stalled")["reason"] == case.reason
        assert condition(key, "Stalled")["message"] == condition(key)["message"]
    assert progress(admin.get("ApiKey", "no-project", home.namespace)) == {"Reconciling"}
    assert progress(admin.get("ApiKey", "paused", home.namespace)) == set()


@pytest.mark.parametrize("name", CASES)
def test_the_remedy_that_the_message_names_heals_it(admin: Api, home: Home, name: str) -> None:
    case = CASES[name]
    until_reason(admin, case.reason, name, case.namespace(home))
    case.mend(admin, home)
    key = until_reason(admin, "Active", name, case.namespace(home))
    assert condition(key)["status"] == "True"
    assert progress(key) == set()
    assert [generation["state"] for generation in key["status"]["keys"]] == ["Active"]
    assert admin.get("Secret", name, case.namespace(home))["type"] == "keywright.dev/api-key"


def test_of_several_reasons_the_first_is_shown_until_it_is_mended(
    admin: Api, operator: Operator, namespace: str, another_namespace: str
) -> None:
    """Everything is wrong with this one. Each mended, the next comes up, in the order of the table."""
    project = manifests.project(
        namespace,
        scopes=[{"name": "payments:read"}],
        limits={"allowedTypes": ["Development"], "maxKeys": 1},
        suspend=True,
    )
    older = manifests.api_key(namespace, "older")
    admin.create(older)
    time.sleep(1.1)  # order among ApiKeys is by whole seconds
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "all", "namespace": another_namespace},
    }
    admin.create(secret)
    key = manifests.api_key(
        another_namespace,
        "all",
        rotation=NONSENSE,
        expiresAt="2025-01-01T00:00:00Z",
        scopes=["payments:raed"],
        suspend=True,
    )
    key["spec"]["projectRef"]["namespace"] = namespace
    admin.create(key)

    def edit_key(**spec: Any) -> Callable[[], Any]:
        return lambda: admin.patch("ApiKey", "all", another_namespace, {"spec": spec})

    def edit_its_project(**spec: Any) -> Callable[[], Any]:
        return lambda: admin.patch("Project", "payments", namespace, {"spec": spec})

    steps: list[tuple[str, Callable[[], Any]]] = [
        ("InvalidSpec", edit_key(rotation=CRON)),
        ("Expired", edit_key(expiresAt=None)),
        ("ProjectNotFound", lambda: admin.create(project)),
        ("NamespaceNotAllowed", edit_its_project(allowedNamespaces={"from": "All"})),
        ("TypeNotAllowed", edit_its_project(limits={"allowedTypes": None})),
        ("ScopeNotAllowed", edit_key(scopes=["payments:read"])),
        ("QuotaExceeded", lambda: admin.delete("ApiKey", "older", namespace)),
        ("Suspended", edit_key(suspend=False)),
        ("ProjectSuspended", edit_its_project(suspend=False)),
        ("SecretConflict", lambda: admin.delete("Secret", "all", another_namespace)),
    ]
    for wanted, mend in steps:
        until_reason(admin, wanted, "all", another_namespace)
        mend()
    until_reason(admin, "Active", "all", another_namespace)


def test_a_key_whose_scope_goes_keeps_rotating_with_what_is_left(
    admin: Api, operator: Operator, namespace: str
) -> None:
    scopes = [{"name": "data:read"}, {"name": "data:write"}]
    admin.create(manifests.project(namespace, scopes=scopes))
    admin.create(manifests.api_key(namespace, scopes=["data:read", "data:write"]))
    first = until_reason(admin, "Active", "checkout", namespace)
    assert first["status"]["effective"]["scopes"] == ["data:read", "data:write"]

    admin.patch("Project", "payments", namespace, {"spec": {"scopes": scopes[:1]}})
    reduced = until_reason(admin, "ScopeNotAllowed", "checkout", namespace)
    assert 'does not list "data:write"' in condition(reduced)["message"]
    assert reduced["status"]["effective"]["scopes"] == ["data:read"]
    assert reduced["status"]["currentKeyID"] == first["status"]["currentKeyID"]

    annotations = {"keywright.dev/rotate": "a"}
    admin.patch("ApiKey", "checkout", namespace, {"metadata": {"annotations": annotations}})
    rotated = until(
        lambda: admin.get("ApiKey", "checkout", namespace),
        lambda key: key["status"]["revision"] == 2 and key["status"]["keys"][0]["state"] == "Active",
        what="it rotates all the same",
    )
    assert reason(rotated) == "ScopeNotAllowed"
    assert rotated["status"]["effective"]["scopes"] == ["data:read"]

    admin.patch("Project", "payments", namespace, {"spec": {"scopes": scopes}})
    until_reason(admin, "Active", "checkout", namespace)


def test_a_quota_holds_when_many_are_created_in_the_same_moment(
    admin: Api, operator: Operator, namespace: str
) -> None:
    admin.create(manifests.project(namespace, limits={"maxKeys": 3}))
    names = [f"key-{number}" for number in range(8)]
    for name in names:
        admin.create(manifests.api_key(namespace, name))
    keys = until(
        lambda: admin.list("ApiKey", namespace),
        lambda found: sorted(map(reason, found)) == ["Active"] * 3 + ["QuotaExceeded"] * 5,
        what="three are minted, the others refused",
    )
    minted = {key["metadata"]["name"] for key in keys if reason(key) == "Active"}
    assert {key["metadata"]["name"] for key in keys if key["status"].get("revision")} == minted
    assert {secret["metadata"]["name"] for secret in admin.list("Secret", namespace)} == minted


def test_lowering_a_quota_takes_no_key_away(admin: Api, operator: Operator, namespace: str) -> None:
    admin.create(manifests.project(namespace))
    for name in ("one", "two"):
        admin.create(manifests.api_key(namespace, name))
        until_reason(admin, "Active", name, namespace)
    admin.patch("Project", "payments", namespace, {"spec": {"limits": {"maxKeys": 1}}})
    admin.create(manifests.api_key(namespace, "three"))
    until_reason(admin, "QuotaExceeded", "three", namespace)
    assert [reason(admin.get("ApiKey", name, namespace)) for name in ("one", "two")] == ["Active", "Active"]


def test_a_key_that_never_rotates_expires_and_says_how_to_get_another(
    admin: Api, operator: Operator, namespace: str
) -> None:
    admin.create(manifests.project(namespace))
    admin.create(manifests.api_key(namespace, expiresAfter="10s", rotation={"policy": "Never"}))
    expired = until_reason(admin, "Expired", "checkout", namespace)
    ends = expired["status"]["expiresAt"]
    assert condition(expired)["message"] == (
        f"The key {expired['status']['currentKeyID']} (revision 1) ended at {ends} and no rotation is due: "
        "write spec.rotation, or ask for a new key with the annotation keywright.dev/rotate"
    )
    assert progress(expired) == {"Stalled"}
    assert moment(condition(expired)["lastTransitionTime"]) <= moment(ends) + timedelta(seconds=30)

    admin.patch("ApiKey", "checkout", namespace, {"spec": {"expiresAfter": "1h"}})
    annotations = {"keywright.dev/rotate": "a"}
    admin.patch("ApiKey", "checkout", namespace, {"metadata": {"annotations": annotations}})
    assert until_reason(admin, "Active", "checkout", namespace)["status"]["revision"] == 2


def test_an_api_key_that_ended_goes_on_with_a_new_key_when_its_end_is_moved_on(
    admin: Api, operator: Operator, namespace: str
) -> None:
    admin.create(manifests.project(namespace))
    ends = stamp(datetime.now(UTC) + timedelta(seconds=10))
    admin.create(manifests.api_key(namespace, expiresAt=ends))
    expired = until_reason(admin, "Expired", "checkout", namespace)
    assert expired["status"]["expiresAt"] == ends
    assert condition(expired)["message"].startswith(f"spec.expiresAt: {ends} has passed")

    admin.patch("ApiKey", "checkout", namespace, {"spec": {"expiresAt": "2099-01-01T00:00:00Z"}})
    second = until_reason(admin, "Active", "checkout", namespace)
    assert second["status"]["currentKeyID"] != expired["status"]["currentKeyID"]
    old = second["status"]["keys"][1]
    assert (old["id"], old["state"]) == (expired["status"]["currentKeyID"], "Expired")


@pytest.mark.parametrize("what", ["expiresAt", "maxExpiresAfter"])
def test_an_end_that_passed_with_the_operator_down_stands_though_it_was_moved_on(
    admin: Api, operator: Operator, namespace: str, what: str
) -> None:
    admin.create(manifests.project(namespace))
    admin.create(manifests.api_key(namespace, expiresAfter="24h", rotation={"policy": "Never"}))
    first = until_reason(admin, "Active", "checkout", namespace)
    if what == "expiresAt":
        ends = stamp(datetime.now(UTC) + timedelta(seconds=15))
        admin.patch("ApiKey", "checkout", namespace, {"spec": {"expiresAt": ends}})
    else:
        admin.patch("Project", "payments", namespace, {"spec": {"limits": {"maxExpiresAfter": "15s"}}})
    told = until(
        lambda: admin.get("ApiKey", "checkout", namespace)["status"]["expiresAt"],
        lambda end: end != first["status"]["expiresAt"],
        what="the earlier end is told",
    )
    operator.kill()
    assert reason(admin.get("ApiKey", "checkout", namespace)) == "Active", "nobody has seen it end"
    until(lambda: datetime.now(UTC), lambda now: now > moment(told), what="it has ended")

    if what == "expiresAt":
        admin.patch("ApiKey", "checkout", namespace, {"spec": {"expiresAt": "2099-01-01T00:00:00Z"}})
    else:
        admin.patch("Project", "payments", namespace, {"spec": {"limits": None}})
    operator.start().until_ready()
    second = until(
        lambda: admin.get("ApiKey", "checkout", namespace),
        lambda key: reason(key) == "Active" and key["status"]["revision"] == 2,
    )
    old = second["status"]["keys"][1]
    assert (old["id"], old["state"]) == (first["status"]["currentKeyID"], "Expired")


def test_what_is_suspended_keeps_its_key_and_gets_no_other(
    admin: Api, operator: Operator, namespace: str
) -> None:
    admin.create(manifests.project(namespace))
    admin.create(manifests.api_key(namespace))
    first = until_reason(admin, "Active", "checkout", namespace)
    admin.patch("Project", "payments", namespace, {"spec": {"suspend": True}})
    until_reason(admin, "ProjectSuspended", "checkout", namespace)
    rotate = {"metadata": {"annotations": {"keywright.dev/rotate": "a"}}, "spec": {"suspend": True}}
    admin.patch("ApiKey", "checkout", namespace, rotate)
    suspended = until_reason(admin, "Suspended", "checkout", namespace)
    assert progress(suspended) == set()
    assert suspended["status"]["currentKeyID"] == first["status"]["currentKeyID"]

    admin.patch("ApiKey", "checkout", namespace, {"spec": {"suspend": False}})
    until_reason(admin, "ProjectSuspended", "checkout", namespace)
    admin.patch("Project", "payments", namespace, {"spec": {"suspend": False}})
    until(
        lambda: admin.get("ApiKey", "checkout", namespace),
        lambda key: reason(key) == "Active" and key["status"]["revision"] == 2,
        what="the rotation that was asked for comes on resume",
    )


def test_a_secret_that_is_refused_is_told_in_the_words_of_the_api_server(
    admin: Api, operator: Operator, namespace: str
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-secrets", "namespace": namespace},
        "spec": {"hard": {"count/secrets": "0"}},
    }
    admin.create(quota)
    until(
        lambda: admin.get("ResourceQuota", "no-secrets", namespace),
        lambda seen: "hard" in seen.get("status", {}),
        what="the quota counts",
    )
    admin.create(manifests.project(namespace))
    admin.create(manifests.api_key(namespace))
    key = until(
        lambda: admin.get("ApiKey", "checkout", namespace),
        lambda key: "refuses" in condition(key).get("message", ""),
    )
    assert reason(key) == "Minting"
    assert progress(key) == {"Reconciling"}
    message = condition(key)["message"]
    assert message.startswith("The API server refuses the Secret checkout: ")
    assert "exceeded quota: no-secrets" in message


def test_revoked_is_for_good_whatever_else_is_wrong(admin: Api, operator: Operator, namespace: str) -> None:
    admin.create(manifests.project(namespace))
    admin.create(manifests.api_key(namespace))
    key = until_reason(admin, "Active", "checkout", namespace)
    revocation = {
        "apiVersion": manifests.API_VERSION,
        "kind": "Revocation",
        "metadata": {"name": "gone", "namespace": namespace},
        "spec": {"apiKeyRef": {"name": "checkout"}},
    }
    admin.create(revocation)
    revoked = until_reason(admin, "Revoked", "checkout", namespace)
    assert progress(revoked) == {"Stalled"}
    assert condition(revoked)["message"] == (
        "A Revocation of this ApiKey is in force for good: delete the ApiKey and create another one"
    )
    assert "nextRotationTime" not in revoked["status"]
    admin.patch("ApiKey", "checkout", namespace, {"spec": {"rotation": NONSENSE}})
    until_reason(admin, "InvalidSpec", "checkout", namespace)
    admin.patch("ApiKey", "checkout", namespace, {"spec": {"rotation": CRON, "suspend": True}})
    admin.delete("Project", "payments", namespace)
    admin.delete("Revocation", "gone", namespace)
    still = until_reason(admin, "Revoked", "checkout", namespace)
    states = [(generation["id"], generation["state"]) for generation in still["status"]["keys"]]
    assert states == [(key["status"]["currentKeyID"], "Revoked")]


def test_what_is_being_deleted_says_so_until_it_is_gone(
    admin: Api, operator: Operator, namespace: str
) -> None:
    admin.create(manifests.project(namespace))
    key = manifests.api_key(namespace)
    key["metadata"]["finalizers"] = ["example.com/hold"]
    admin.create(key)
    until_reason(admin, "Active", "checkout", namespace)
    admin.delete("ApiKey", "checkout", namespace)
    deleting = until_reason(admin, "Deleting", "checkout", namespace)
    assert progress(deleting) == {"Reconciling"}
    assert condition(deleting)["message"].startswith("The ApiKey is being deleted: ")
    until(
        lambda: admin.get("ApiKey", "checkout", namespace)["metadata"]["finalizers"],
        lambda held: held == ["example.com/hold"],
        what="the operator has done its part",
    )
    assert admin.find("Secret", "checkout", namespace) is None
    admin.patch("ApiKey", "checkout", namespace, {"metadata": {"finalizers": None}})
    until(lambda: admin.find("ApiKey", "checkout", namespace), lambda seen: seen is None)


@pytest.mark.parametrize(
    "allowed",
    [
        {"from": "All"},
        {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
    ],
    ids=["All", "Selector"],
)
def test_a_project_may_allow_other_namespaces(
    admin: Api, operator: Operator, namespace: str, another_namespace: str, allowed: dict[str, Any]
) -> None:
    admin.patch("Namespace", another_namespace, None, {"metadata": {"labels": {"team": "b"}}})
    admin.create(manifests.project(namespace, allowedNamespaces=allowed))
    key = manifests.api_key(another_namespace)
    key["spec"]["projectRef"]["namespace"] = namespace
    admin.create(key)
    until_reason(admin, "Active", "checkout", another_namespace)


@dataclass(frozen=True)
class Applies:
    """A Project and an ApiKey, and what comes of them."""

    project: dict[str, Any]
    spec: dict[str, Any]
    effective: dict[str, Any]


LIMITS = [{"requests": 5, "period": "1s"}]
CLIENT = {"type": "Client", "restrictions": {"anyOrigin": True}}
NEVER = {"policy": "Never", "overlap": "24h"}
CATALOGUE = [{"name": name} for name in ("data:write", "data:read", "admin", "keywright:keys:read")]

EFFECTIVE = {
    "nothing is written, and nothing ends": Applies({}, {}, {"rotation": NEVER, "scopes": []}),
    "what the Project writes applies": Applies(
        {"defaults": {"expiresAfter": "2160h", "rotation": CRON, "rateLimits": LIMITS}},
        {},
        {
            "expiresAfter": "2160h",
            "rotation": {"policy": "Scheduled", **CRON, "overlap": "24h"},
            "rateLimits": LIMITS,
            "scopes": [],
        },
    ),
    "what the ApiKey writes replaces it as a whole": Applies(
        {"defaults": {"expiresAfter": "2160h", "rotation": {"interval": "720h", "overlap": "1h"}}},
        {"expiresAfter": "48h", "rotation": {"beforeExpiry": "12h"}},
        {
            "expiresAfter": "48h",
            "rotation": {"policy": "Scheduled", "beforeExpiry": "12h", "overlap": "24h"},
            "scopes": [],
        },
    ),
    "a lifetime brings rotation in its last third": Applies(
        {},
        {"expiresAfter": "90m"},
        {
            "expiresAfter": "90m",
            "rotation": {"policy": "Scheduled", "beforeExpiry": "30m", "overlap": "1h"},
            "scopes": [],
        },
    ),
    "the Project's maximum is the life of what has none": Applies(
        {"limits": {"maxExpiresAfter": "72h"}},
        {"expiresAfter": "0s", "rotation": {"policy": "Never"}},
        {"expiresAfter": "72h", "rotation": NEVER, "scopes": []},
    ),
    "the Project's maximum cuts what is longer": Applies(
        {"limits": {"maxExpiresAfter": "72h"}},
        {"expiresAfter": "96h", "rotation": {"policy": "Never"}},
        {"expiresAfter": "72h", "rotation": NEVER, "scopes": []},
    ),
    "an overlap is never longer than the interval": Applies(
        {},
        {"rotation": {"interval": "2h"}},
        {"rotation": {"policy": "Scheduled", "interval": "2h", "overlap": "2h"}, "scopes": []},
    ),
    "a Client key has rate limits without asking": Applies(
        {}, CLIENT, {"rotation": NEVER, "rateLimits": [{"requests": 100, "period": "1m"}], "scopes": []}
    ),
    "an empty list of rate limits stays empty": Applies(
        {"defaults": {"rateLimits": LIMITS}},
        {**CLIENT, "rateLimits": []},
        {"rotation": NEVER, "rateLimits": [], "scopes": []},
    ),
    "a star is every scope of the catalogue but Keywright's own": Applies(
        {"scopes": CATALOGUE},
        {"scopes": ["*"]},
        {"rotation": NEVER, "scopes": ["admin", "data:read", "data:write"]},
    ),
    "a wildcard is what it covers, and a reserved scope goes by name": Applies(
        {"scopes": CATALOGUE},
        {"scopes": ["data:*", "keywright:keys:read"]},
        {"rotation": NEVER, "scopes": ["data:read", "data:write", "keywright:keys:read"]},
    ),
    "without a catalogue a wildcard stays what it is": Applies(
        {}, {"scopes": ["data:*"]}, {"rotation": NEVER, "scopes": ["data:*"]}
    ),
}


@pytest.mark.parametrize("what", EFFECTIVE)
def test_status_says_what_really_applies(admin: Api, operator: Operator, shared: str, what: str) -> None:
    applies, number = EFFECTIVE[what], next(_numbers)
    admin.create(manifests.project(shared, f"project-{number}", **applies.project))
    created = admin.create(
        manifests.api_key(shared, f"key-{number}", project=f"project-{number}", **applies.spec)
    )
    key = until_reason(admin, "Active", f"key-{number}", shared)
    assert key["status"]["effective"] == applies.effective
    assert key["spec"] == created["spec"], "the spec is its author's"


def test_the_next_rotation_is_when_the_rotation_says(admin: Api, operator: Operator, shared: str) -> None:
    admin.create(manifests.project(shared, "times"))
    specs: dict[str, dict[str, Any]] = {
        "by-interval": {"rotation": {"interval": "100h"}},
        "by-cron": {"rotation": {"schedule": "30 2 1 * *", "timeZone": "Asia/Tokyo"}},
        "by-expiry": {"expiresAfter": "100h", "rotation": {"beforeExpiry": "10h"}},
        "never": {"expiresAfter": "100h", "rotation": {"policy": "Never"}},
        "ends-before": {
            "rotation": {"interval": "100h"},
            "expiresAt": stamp(datetime.now(UTC) + timedelta(hours=50)),
        },
    }
    for name, spec in specs.items():
        admin.create(manifests.api_key(shared, name, project="times", **spec))
    keys = {name: until_reason(admin, "Active", name, shared) for name in specs}
    minted = {name: moment(key["status"]["keys"][0]["createdAt"]) for name, key in keys.items()}
    times = {name: key["status"].get("nextRotationTime") for name, key in keys.items()}

    early = minted["by-interval"] + timedelta(hours=100) - moment(times["by-interval"])
    assert timedelta() <= early <= timedelta(hours=5, seconds=1), "jitter makes it earlier, never later"
    there = moment(times["by-cron"]).astimezone(ZoneInfo("Asia/Tokyo"))
    assert (there.day, there.hour, there.minute, there.second) == (1, 2, 30, 0)
    assert timedelta() < there - minted["by-cron"] <= timedelta(days=31)
    assert moment(times["by-expiry"]) == minted["by-expiry"] + timedelta(hours=90)
    assert times["never"] is None
    assert times["ends-before"] is None


def test_editing_a_spec_is_seen_in_every_condition(admin: Api, operator: Operator, shared: str) -> None:
    admin.create(manifests.project(shared, "seen"))
    admin.create(manifests.api_key(shared, "seen", project="seen"))
    until_reason(admin, "Active", "seen", shared)
    admin.patch("ApiKey", "seen", shared, {"spec": {"description": "for the till"}})
    key = until_reason(admin, "Active", "seen", shared)
    assert key["metadata"]["generation"] == 2
    assert {one["type"]: one["observedGeneration"] for one in key["status"]["conditions"]} == {
        "Ready": 2,
        "Rotating": 2,
    }


@pytest.fixture
def another_namespace(admin: Api) -> Iterator[str]:
    """A second namespace."""
    with _namespace(admin) as name:
        yield name


@pytest.fixture(scope="module")
def shared(admin: Api) -> Iterator[str]:
    """A namespace for tests that need not be alone."""
    with _namespace(admin) as name:
        yield name


@contextmanager
def _namespace(admin: Api) -> Iterator[str]:
    name = f"conditions-{time.time_ns():x}"
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    admin.delete("Namespace", name)


def moment(text: str) -> datetime:
    """Read a time of a status, which has whole seconds and a Z."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
