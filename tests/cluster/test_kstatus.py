"""What Flux would make of our objects: every state that the contract names, judged by a real kstatus."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from harness.conditions import condition, progress, until_reason
from harness.history import History
from harness.kstatus import Verdict
from harness.team import FINALIZER, ROTATE, generations
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api
    from harness.kstatus import Kstatus
    from harness.operator import Operator
    from harness.team import Team

CURRENT, IN_PROGRESS, FAILED, TERMINATING = "Current", "InProgress", "Failed", "Terminating"

BY_HAND = {"rotation": {"policy": "Never", "overlap": "1h"}}
NONSENSE = {"schedule": "61 3 * * 1"}

PROJECTS: dict[str, dict[str, Any]] = {
    "frozen": {"suspend": True},
    "catalogue": {"scopes": [{"name": "payments:read"}]},
    "production": {"limits": {"allowedTypes": ["Production"]}},
    "none": {"limits": {"maxKeys": 0}},
}


@dataclass(frozen=True)
class Home:
    """The namespace of almost everything, another one, and one in which no Secret may be created."""

    here: Team
    elsewhere: Team
    full: Team


def rotate(team: Team, name: str) -> None:
    team.annotate({ROTATE: "a"}, name)
    team.until_revision(2, name)


def revoke(team: Team, name: str) -> None:
    team.revoke(name, apiKeyRef={"name": name})


def lose(team: Team, name: str) -> None:
    """Take the Secret away; an edit has the operator look."""
    team.api.delete("Secret", name, team.namespace)
    team.edit(name, displayName=f"loss {team.get(name)['metadata']['resourceVersion']}")


def lose_four_times(team: Team, name: str) -> None:
    for revision in (2, 3, 4):
        lose(team, name)
        team.until_revision(revision, name)
    lose(team, name)


def delete(team: Team, name: str) -> None:
    held = {"metadata": {"finalizers": [FINALIZER, "example.com/hold"]}}
    team.api.patch("ApiKey", name, team.namespace, held)
    team.delete(name)


@dataclass(frozen=True)
class Case:
    """An ApiKey: what its Ready says, what kstatus does, and how it comes to that, once minted."""

    reason: str
    verdict: str
    spec: dict[str, Any] = field(default_factory=dict)
    then: Callable[[Team, str], None] | None = None
    where: str = "here"

    def team(self, home: Home) -> Team:
        team: Team = getattr(home, self.where)
        return team


def of(project: str) -> dict[str, Any]:
    return {"projectRef": {"name": project}}


CASES = {
    "at-rest": Case("Active", CURRENT),
    "in-overlap": Case("Active", CURRENT, BY_HAND, rotate),
    "bad-cron": Case("InvalidSpec", FAILED, {"rotation": NONSENSE}),
    "past": Case("Expired", FAILED, {"expiresAt": "2025-01-01T00:00:00Z"}),
    "revoked": Case("Revoked", FAILED, {}, revoke),
    "alert": Case("SecretLost", FAILED, {"secret": {"onLoss": "Alert"}}, lose),
    "lost": Case("SecretLost", IN_PROGRESS, BY_HAND, lose_four_times),
    "no-project": Case("ProjectNotFound", IN_PROGRESS, of("billing")),
    "refused": Case("Minting", IN_PROGRESS, where="full"),
    "deleted": Case("Deleting", TERMINATING, {}, delete),
    # Neither Reconciling nor Stalled: kstatus goes by Ready, and waits for somebody to resume.
    "paused": Case("Suspended", IN_PROGRESS, {"suspend": True}),
    "frozen": Case("ProjectSuspended", IN_PROGRESS, of("frozen")),
}

# These are given 30 s, in which what they lack may be applied.
SETTLING = {
    "foreign": ("NamespaceNotAllowed", {}),
    "development": ("TypeNotAllowed", {**of("production"), "type": "Development"}),
    "misspelt": ("ScopeNotAllowed", {**of("catalogue"), "scopes": ["payments:raed"]}),
    "one-too-many": ("QuotaExceeded", of("none")),
    "conflict": ("SecretConflict", {}),
}


@pytest.fixture(scope="module")
def home(operator: Operator, make_team: Callable[[], Team]) -> Iterator[Home]:
    """Namespaces and Projects, in one of them a quota; in the end nothing is held any more."""
    made = Home(make_team(), make_team(), make_team())
    for name, spec in PROJECTS.items():
        made.here.project(name, **spec)
    for team, name in (
        (made.elsewhere, "payments"),
        *((made.here, name) for name in ("payments", *PROJECTS)),
    ):
        until_reason(team.api, "Accepted", name, team.namespace, kind="Project")
    namespace = made.full.namespace
    metadata = {"name": "no-secrets", "namespace": namespace}
    spec = {"hard": {"count/secrets": "0"}}
    made.full.api.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})
    until(
        lambda: made.full.api.get("ResourceQuota", "no-secrets", namespace),
        lambda quota: "hard" in quota.get("status", {}),
        what="the quota counts",
    )
    yield made
    held = made.here.find("deleted")
    if held is not None:
        kept = [one for one in held["metadata"]["finalizers"] if one == FINALIZER]
        made.here.api.patch("ApiKey", "deleted", made.here.namespace, {"metadata": {"finalizers": kept}})


@pytest.fixture(scope="module")
def settling(admin: Api, home: Home) -> Iterator[History]:
    """Everything that is given 30 s, created before any other test, and recorded."""
    team = home.here
    history = History(admin.another(), None, "ApiKey")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "conflict"}}
    admin.create({**secret, "metadata": {"name": "conflict", "namespace": team.namespace}})
    for name, (_, spec) in SETTLING.items():
        if name == "foreign":
            spec = {"projectRef": {"name": "payments", "namespace": home.elsewhere.namespace}}  # noqa: PLW2901
        team.create(name, **spec)
    yield history
    history.stop()


@pytest.mark.parametrize("name", CASES)
def test_kstatus_says_of_an_api_key_what_the_contract_says(
    home: Home, settling: History, kstatus: Kstatus, name: str
) -> None:
    case = CASES[name]
    team = case.team(home)
    team.create(name, **case.spec)
    if case.then is not None:
        team.until_ready(name)
        case.then(team, name)
    key = until_reason(team.api, case.reason, name, team.namespace)
    if name == "in-overlap":
        assert (condition(key, "Rotating")["reason"], len(generations(key, "Retiring"))) == ("Overlap", 1)
    (verdict,) = kstatus.judge(key)
    assert case.verdict == verdict.status
    if verdict.status in {IN_PROGRESS, FAILED}:
        assert condition(key)["message"] == verdict.message, "it tells people what is wrong"


def test_a_kstatus_that_watches_a_whole_life_is_never_misled(
    home: Home, settling: History, kstatus: Kstatus
) -> None:
    team = home.here
    team.minted("watched", **BY_HAND)
    rotate(team, "watched")
    edited = team.edit("watched", displayName="another")
    team.looked_at("watched")
    team.delete("watched")
    team.until_gone("watched")
    versions = until(
        lambda: settling.versions("ApiKey", "watched"),
        lambda versions: versions and versions[-1].deleted,
        what="its end is recorded",
    )
    verdicts = kstatus.judge(*(one.obj for one in versions))
    assert distinct(verdicts)[:2] == [IN_PROGRESS, CURRENT]
    assert distinct(verdicts)[-1] == TERMINATING
    assert {one.status for one in verdicts} == {IN_PROGRESS, CURRENT, TERMINATING}
    for one, verdict in zip(versions, verdicts, strict=True):
        assert verdict.status != CURRENT or generations(one.obj, "Active"), "Current only with a key"
    (unseen,) = kstatus.judge(edited)
    assert (unseen.status, "observed" in unseen.message) == (IN_PROGRESS, True)


def test_what_the_operator_has_not_seen_yet_is_in_progress(admin: Api, home: Home, kstatus: Kstatus) -> None:
    """As the API server answers the creation: its schema alone makes a status that says so."""
    team = home.here
    created = [
        team.project("just-made"),
        team.create("just-made"),
        team.revoke("just-made", keyID="a" * 16),
    ]
    assert [verdict.status for verdict in kstatus.judge(*created)] == [IN_PROGRESS] * 3


@pytest.mark.parametrize(
    ("name", "spec", "reason", "verdict"),
    [
        ("fine", {}, "Accepted", CURRENT),
        ("asleep", {"suspend": True}, "Accepted", CURRENT),
        ("bad-default", {"defaults": {"rotation": NONSENSE}}, "InvalidSpec", FAILED),
    ],
)
def test_kstatus_says_of_a_project_whether_it_can_be_used(
    admin: Api, home: Home, kstatus: Kstatus, name: str, spec: dict[str, Any], reason: str, verdict: str
) -> None:
    home.here.project(name, **spec)
    project = until_reason(admin, reason, name, home.here.namespace, kind="Project")
    assert [verdict] == [one.status for one in kstatus.judge(project)]


def test_an_invalid_project_that_is_mended_fails_no_more(admin: Api, home: Home, kstatus: Kstatus) -> None:
    namespace = home.here.namespace
    home.here.project("mended", defaults={"rotation": NONSENSE})
    until_reason(admin, "InvalidSpec", "mended", namespace, kind="Project")
    admin.patch("Project", "mended", namespace, {"spec": {"defaults": None}})
    project = until_reason(admin, "Accepted", "mended", namespace, kind="Project")
    assert [CURRENT] == [one.status for one in kstatus.judge(project)]
    assert progress(project) == set()


def test_kstatus_says_of_a_revocation_whether_it_is_in_force(
    admin: Api, home: Home, kstatus: Kstatus
) -> None:
    mine, theirs = home.here.minted("mine"), home.elsewhere.minted("theirs")
    cases = {
        "in-force": ({"keyID": mine["status"]["currentKeyID"]}, "InForce", CURRENT),
        "not-found": ({"keyID": "z" * 16}, "KeyNotFound", IN_PROGRESS),
        "not-authorized": ({"keyID": theirs["status"]["currentKeyID"]}, "NotAuthorized", IN_PROGRESS),
    }
    for name, (spec, reason, verdict) in cases.items():
        home.here.revoke(name, **spec)
        (said,) = kstatus.judge(home.here.revocation(name, reason))
        assert verdict == said.status, name


@pytest.mark.parametrize("name", SETTLING)
def test_kstatus_waits_and_then_gives_up_on_what_a_person_must_mend(
    home: Home, settling: History, kstatus: Kstatus, name: str
) -> None:
    reason, _ = SETTLING[name]
    key = until(
        lambda: home.here.get(name),
        lambda key: progress(key) == {"Stalled"},
        what=f"{name} is Stalled",
    )
    assert condition(key)["reason"] == reason
    versions = [one.obj for one in settling.caught_up().versions("ApiKey", name)]
    verdicts = kstatus.judge(*versions)
    assert distinct(verdicts) == [IN_PROGRESS, FAILED]
    assert verdicts[-1] == Verdict(FAILED, condition(key)["message"])
    # A Secret in the way may be found only when the operator's own is refused, while it says Minting.
    reasons = [condition(obj).get("reason") for obj in versions]
    told = [one.message for why, one in zip(reasons, verdicts, strict=True) if why not in {None, "Minting"}]
    assert set(told) == {condition(key)["message"]}, "while it waits it says for what"


def distinct(verdicts: list[Verdict]) -> list[str]:
    """Return the statuses without immediate repetitions."""
    return [status for status, _ in groupby(verdicts, key=lambda verdict: verdict.status)]
