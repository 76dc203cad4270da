"""Whose ApiKeys a Project allows, what it grants them, and what becomes of keys when that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness import manifests
from harness.api import RefusedError
from harness.conditions import until_reason
from harness.team import ROTATE, condition, digest_of, generations, ready, seconds_between, value_in
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api, Object
    from harness.team import Team

pytestmark = pytest.mark.usefixtures("operator")

BY_HAND = {"policy": "Never", "overlap": "1h"}
TEAM_B = {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}


@pytest.fixture
def platform(make_team: Callable[[], Team]) -> Team:
    """The team whose Projects others use."""
    return make_team()


def ref(platform: Team, name: str = "shared") -> Object:
    return {"name": name, "namespace": platform.namespace}


def edit_project(team: Team, name: str = "shared", **spec: Any) -> None:
    """Edit a Project, and wait until the operator has seen it."""
    edited = team.api.patch("Project", name, team.namespace, {"spec": spec})["metadata"]["generation"]
    until(
        lambda: team.api.get("Project", name, team.namespace)["status"]["observedGeneration"],
        lambda seen: seen >= edited,
        what=f"the edit of the Project {name} is seen",
    )


def label(place: Team, **labels: str) -> None:
    place.api.patch("Namespace", place.namespace, None, {"metadata": {"labels": labels}})


def effective(key: Object) -> list[str]:
    return list((key["status"].get("effective") or {}).get("scopes", []))


def test_a_label_lets_a_namespace_in_and_its_loss_shuts_it_out(team: Team, platform: Team) -> None:
    platform.project("shared", allowedNamespaces=TEAM_B)
    team.create(projectRef=ref(platform), rotation=BY_HAND)
    team.until_ready(reason="NamespaceNotAllowed")
    label(team, team="b")
    key_id = team.until_ready()["status"]["currentKeyID"]

    label(team, team="c")
    key = team.until_ready(reason="NamespaceNotAllowed")
    assert key["status"]["currentKeyID"] == key_id, "what was minted stays listed"
    label(team, team="b")
    assert team.until_ready()["status"]["revision"] == 1, "the same key as before"


def test_a_selector_reads_labels_as_kubernetes_does(team: Team, platform: Team) -> None:
    label(team, team="b")
    expressions: dict[str, tuple[Object, str]] = {
        "in": ({"operator": "In", "values": ["a", "b"]}, "Active"),
        "not-in": ({"operator": "NotIn", "values": ["b"]}, "NamespaceNotAllowed"),
        "exists": ({"operator": "Exists"}, "Active"),
        "does-not-exist": ({"operator": "DoesNotExist"}, "NamespaceNotAllowed"),
    }
    for name, (expression, _) in expressions.items():
        selector = {"matchExpressions": [{"key": "team", **expression}]}
        platform.project(name, allowedNamespaces={"from": "Selector", "selector": selector})
        team.create(name, projectRef=ref(platform, name))
    for name, (_, reason) in expressions.items():
        team.until_ready(name, reason=reason)


def test_a_namespace_that_is_no_longer_allowed_is_denied_at_once(team: Team, platform: Team) -> None:
    platform.project("shared", allowedNamespaces={"from": "All"})
    team.create(projectRef=ref(platform))
    first = team.until_ready()
    edit_project(platform, allowedNamespaces={"from": "Same"})
    denied = team.until_ready(reason="NamespaceNotAllowed")
    assert denied["status"]["currentKeyID"] == first["status"]["currentKeyID"]
    assert effective(denied) == []
    edit_project(platform, allowedNamespaces={"from": "All"})
    assert team.until_ready()["status"]["revision"] == 1


def _suspend(_platform: Team, team: Team, *, stopped: bool) -> None:
    team.edit(suspend=stopped)


def _suspend_project(platform: Team, _team: Team, *, stopped: bool) -> None:
    edit_project(platform, suspend=stopped)


def _close(platform: Team, _team: Team, *, stopped: bool) -> None:
    edit_project(platform, allowedNamespaces={"from": "Same" if stopped else "All"})


def _remove(platform: Team, _team: Team, *, stopped: bool) -> None:
    if stopped:
        platform.api.delete("Project", "shared", platform.namespace)
    else:
        platform.project("shared", allowedNamespaces={"from": "All"})


@pytest.mark.parametrize(
    ("reason", "turn"),
    [
        ("Suspended", _suspend),
        ("ProjectSuspended", _suspend_project),
        ("ProjectNotFound", _remove),
        ("NamespaceNotAllowed", _close),
    ],
)
def test_rotation_stops_and_goes_on_with_what_was_missed(
    team: Team, platform: Team, reason: str, turn: Callable[..., None]
) -> None:
    platform.project("shared", allowedNamespaces={"from": "All"})
    team.create(projectRef=ref(platform), rotation=BY_HAND)
    value = (team.until_ready(), team.value())[1]
    turn(platform, team, stopped=True)
    team.until_ready(reason=reason)
    team.annotate({ROTATE: "a"})
    stopped = team.looked_at()
    assert (ready(stopped), stopped["status"]["revision"], team.value()) == (reason, 1, value)
    turn(platform, team, stopped=False)
    assert generations(team.until_revision(2))[0]["cause"] == "Requested"
    team.until_ready()


def test_a_scope_may_be_for_some_types_and_some_namespaces_only(team: Team, platform: Team) -> None:
    catalogue = [
        {"name": "everyone"},
        {"name": "production", "allowedTypes": ["Production"]},
        {"name": "home", "allowedNamespaces": {"from": "Same"}},
        {"name": "team-b", "allowedNamespaces": TEAM_B},
    ]
    platform.project("shared", allowedNamespaces={"from": "All"}, scopes=catalogue)
    team.create(projectRef=ref(platform), scopes=["*"])
    assert effective(team.until_ready()) == ["everyone", "production"]
    team.create("development", projectRef=ref(platform), scopes=["*"], type="Development")
    assert effective(team.until_ready("development")) == ["everyone"]
    platform.create(projectRef=ref(platform), scopes=["*"])
    assert effective(platform.until_ready()) == ["everyone", "home", "production"]
    team.create("asks", projectRef=ref(platform), scopes=["everyone", "home"])
    asks = team.until_ready("asks", reason="ScopeNotAllowed")
    assert (effective(asks), asks["status"]["revision"]) == (["everyone"], 1), "it is in use with the rest"
    assert '"home"' in condition(asks, "Ready")["message"]

    label(team, team="b")
    team.until(lambda key: effective(key) == ["everyone", "production", "team-b"])


def test_a_wildcard_is_what_it_covers_of_the_catalogue(team: Team) -> None:
    names = ["data", "data:read", "data:a:b", "database:read", "keywright:read-only", "keywright:admin"]
    team.project("catalogue", scopes=[{"name": name} for name in names])
    asked = {
        "below": (["data:*"], ["data:a:b", "data:read"]),
        "all": (["*"], ["data", "data:a:b", "data:read", "database:read"]),
        "by-name": (["keywright:read-only"], ["keywright:read-only"]),
    }
    for name, (scopes, _) in asked.items():
        team.create(name, projectRef={"name": "catalogue"}, scopes=scopes)
    for name, (_, granted) in asked.items():
        assert effective(team.until_ready(name)) == granted, name
    team.create("reserved", projectRef={"name": "catalogue"}, scopes=["keywright:*"])
    assert "keys" not in team.until_ready("reserved", reason="ScopeNotAllowed")["status"]


def test_without_a_catalogue_any_scope_is_granted_but_no_reserved_one(team: Team) -> None:
    team.create(scopes=["anything:at-all", "data:*"])
    assert effective(team.until_ready()) == ["anything:at-all", "data:*"]
    team.create("reserved", scopes=["keywright:read-only"])
    team.until_ready("reserved", reason="ScopeNotAllowed")


def test_a_client_gets_neither_everything_nor_admin(team: Team) -> None:
    names = ["data:read", "data:admin", "admin", "admin:data"]
    team.project("catalogue", scopes=[{"name": name} for name in names])
    client: Object = {
        "projectRef": {"name": "catalogue"},
        "type": "Client",
        "restrictions": {"anyOrigin": True},
    }
    team.create(scopes=["data:*"], **client)
    assert effective(team.until_ready()) == ["data:read"]
    for number, scope in enumerate(("*", "data:admin", "admin", "admin:*")):
        with pytest.raises(RefusedError) as refused:
            team.create(f"client-{number}", scopes=[scope], **client)
        assert refused.value.status == 422


def test_a_type_that_is_no_longer_allowed_is_told_and_goes_on_rotating(team: Team) -> None:
    team.minted(type="Development", rotation=BY_HAND)
    edit_project(team, "payments", limits={"allowedTypes": ["Production"]})
    team.until_ready(reason="TypeNotAllowed")
    team.annotate({ROTATE: "a"})
    assert ready(team.until_revision(2)) == "TypeNotAllowed"
    team.create("another", type="Development")
    assert "keys" not in team.until_ready("another", reason="TypeNotAllowed")["status"]


def test_among_new_ones_the_older_and_then_the_smaller_uid_is_within_the_quota(
    admin: Api, team: Team
) -> None:
    names = [f"key-{number}" for number in range(6)]
    for name in names:
        team.create(name, projectRef={"name": "small"})
    for name in names:
        team.until_ready(name, reason="ProjectNotFound")
    team.project("small", limits={"maxKeys": 3})
    keys = until(
        lambda: [team.get(name) for name in names],
        lambda keys: sorted(str(ready(key)) for key in keys) == ["Active"] * 3 + ["QuotaExceeded"] * 3,
    )
    order = sorted(keys, key=lambda key: (key["metadata"]["creationTimestamp"], key["metadata"]["uid"]))
    assert [ready(key) for key in order] == ["Active"] * 3 + ["QuotaExceeded"] * 3
    until_reason(admin, "Accepted", "small", team.namespace, kind="Project")  # whatever its keys are


def test_a_quota_may_be_for_each_namespace(team: Team, platform: Team) -> None:
    limits = {"maxKeysPerNamespace": 1}
    platform.project("shared", allowedNamespaces={"from": "All"}, limits=limits)
    for place in (team, platform):
        place.create("first", projectRef=ref(platform))
        place.until_ready("first")
        place.create("second", projectRef=ref(platform))
        message = condition(place.until_ready("second", reason="QuotaExceeded"), "Ready")["message"]
        assert f"in the namespace {place.namespace}" in message


def test_what_is_being_deleted_counts_no_more(admin: Api, team: Team) -> None:
    team.project("small", limits={"maxKeys": 1})
    leaving = manifests.api_key(team.namespace, "leaving", project="small")
    leaving["metadata"]["finalizers"] = ["example.com/hold"]
    admin.create(leaving)
    team.until_ready("leaving")
    team.create("waiting", projectRef={"name": "small"})
    team.until_ready("waiting", reason="QuotaExceeded")
    team.delete("leaving")
    team.until_ready("waiting")
    assert "deletionTimestamp" in team.get("leaving")["metadata"]
    admin.patch("ApiKey", "leaving", team.namespace, {"metadata": {"finalizers": None}})


def test_a_key_prefix_counts_from_the_next_key(team: Team) -> None:
    first = generations(team.minted(rotation=BY_HAND))[0]
    assert first["hint"].startswith("kw_prod_")
    edit_project(team, "payments", keyPrefix="acme_api")
    assert generations(team.looked_at())[0]["hint"] == first["hint"]
    team.annotate({ROTATE: "a"})
    assert generations(team.until_revision(2))[0]["hint"].startswith("acme_api_prod_")
    assert team.value().startswith("acme_api_prod_")


def test_the_projects_maximum_counts_at_once_and_a_lifetime_from_the_next_key(team: Team) -> None:
    secret = {"data": {"end": "$(EXPIRES_AT)"}}
    key = team.minted(expiresAfter="48h", rotation=BY_HAND, secret=secret)
    created, stamp = generations(key)[0]["createdAt"], generations(key)[0]["expiresAt"]
    edit_project(team, "payments", limits={"maxExpiresAfter": "24h"})
    key = team.until(lambda key: key["status"]["expiresAt"] != stamp)
    assert seconds_between(created, key["status"]["expiresAt"]) == 24 * 3600
    assert generations(key)[0]["expiresAt"] == stamp, "its own stamp never changes"
    end = key["status"]["expiresAt"]
    until(lambda: value_in(team.secret(), "end"), lambda told: told == end, what="the Secret tells that end")
    assert digest_of(team.value()) == generations(key)[0]["digest"], "around the same value"
    assert team.events("SecretRestored") == [], "nobody had changed it by hand"

    edit_project(team, "payments", limits=None)
    team.until(lambda key: key["status"]["expiresAt"] == stamp)
    team.edit(expiresAfter="1h")
    assert team.looked_at()["status"]["expiresAt"] == stamp
    team.annotate({ROTATE: "a"})
    new = generations(team.until_revision(2))[0]
    assert seconds_between(new["createdAt"], new["expiresAt"]) == 3600


def test_a_project_that_turns_invalid_still_grants_and_its_defaults_keep_what_they_were(
    admin: Api, team: Team
) -> None:
    default = {"interval": "720h", "overlap": "1h"}
    edit_project(team, "payments", defaults={"rotation": default})
    first = team.minted()
    team.minted("own", rotation=BY_HAND)
    edit_project(team, "payments", defaults={"rotation": {"interval": None, "schedule": "61 3 * * 1"}})
    until_reason(admin, "InvalidSpec", "payments", team.namespace, kind="Project")
    key = team.until_ready(reason="InvalidSpec")
    assert key["status"]["currentKeyID"] == first["status"]["currentKeyID"]
    assert key["status"]["effective"] == first["status"]["effective"], "what applied last goes on"
    team.until_ready("own")
    edit_project(team, "payments", defaults={"rotation": {"schedule": "1 3 * * 1"}})
    assert team.until_ready()["status"]["revision"] == 1


@pytest.fixture
def loosened(admin: Api) -> Iterator[None]:
    """A CRD of Projects that accepts what no Keywright can read, as one of another version might."""
    name = "projects.keywright.dev"
    crd = admin.get("CustomResourceDefinition", name)
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    before = list(spec["unmatchedRoutes"]["enum"])

    def offer(choices: list[str]) -> None:
        current = admin.get("CustomResourceDefinition", name)
        schema = current["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"]["properties"]["unmatchedRoutes"]["enum"] = choices
        admin.replace(current)

    offer([*before, "Perhaps"])
    yield
    offer(before)


def test_a_project_that_cannot_be_read_grants_nothing_until_it_can(
    admin: Api, team: Team, loosened: None
) -> None:
    first = team.minted(rotation=BY_HAND)

    def refused() -> bool:
        try:
            edit_project(team, "payments", unmatchedRoutes="Perhaps")
        except RefusedError:
            return True
        return False

    until(refused, lambda no: not no, what="the looser CRD is served")
    key = team.until_ready(reason="ProjectInvalid")
    assert "cannot be read" in condition(key, "Ready")["message"]
    until_reason(admin, "InvalidSpec", "payments", team.namespace, kind="Project")
    team.annotate({ROTATE: "a"})
    assert team.looked_at()["status"]["revision"] == 1
    edit_project(team, "payments", unmatchedRoutes="Deny")
    key = team.until_revision(2)
    assert generations(key)[1]["id"] == first["status"]["currentKeyID"]
    team.until_ready()
