"""An operator that serves some namespaces only, and says of the others that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import rbac
from harness.account import write_kubeconfig
from harness.team import Team, condition, generations
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.api import Api
    from harness.operator import Operator


def test_of_a_namespace_that_it_does_not_serve_it_says_just_that(
    team: Team, make_team: Callable[[], Team], start_operator: Callable[..., Operator]
) -> None:
    platform = make_team()
    platform.project("shared", allowedNamespaces={"from": "All"})
    operator = start_operator(f"--namespaces={team.namespace}").until_ready()
    try:
        team.create(projectRef={"name": "shared", "namespace": platform.namespace})
        message = condition(team.until_ready(reason="ProjectNotFound"), "Ready")["message"]
        assert f"the operator does not serve the namespace {platform.namespace}" in message
        assert "--namespaces" in message
        team.create("misspelt", projectRef={"name": "paymnets"})
        message = condition(team.until_ready("misspelt", reason="ProjectNotFound"), "Ready")["message"]
        assert f"there is no Project {team.namespace}/paymnets" in message
    finally:
        assert operator.stop() == 0


def test_a_misspelt_namespace_is_warned_of_at_start(
    team: Team, start_operator: Callable[..., Operator]
) -> None:
    operator = start_operator(f"--namespaces={team.namespace},no-such-team").until_ready()
    try:
        (warning,) = [line for line in operator.lines() if line.get("namespace") == "no-such-team"]
        assert (warning["level"], warning["event"].startswith("--namespaces")) == ("warning", True)
        team.minted()
    finally:
        assert operator.stop() == 0


def test_records_of_namespaces_that_another_release_serves_are_not_pruned(
    admin: Api, team: Team, system_namespace: str, start_operator: Callable[..., Operator]
) -> None:
    annotations = {"keywright.dev/project": "x/payments", "keywright.dev/until": "2020-01-01T00:00:00Z"}
    for name, owner in (("k-" + "u" * 16, "another-team"), ("k-" + "v" * 16, team.namespace)):
        admin.create(
            {
                "apiVersion": "keywright.dev/v1alpha1",
                "kind": "Revocation",
                "metadata": {
                    "name": name,
                    "namespace": system_namespace,
                    "labels": {"app.kubernetes.io/managed-by": "keywright"},
                    "annotations": {**annotations, "keywright.dev/api-key": f"{owner}/checkout"},
                },
                "spec": {"keyID": name.removeprefix("k-")},
            }
        )
    system = Team(admin, system_namespace)
    operator = start_operator(f"--namespaces={team.namespace}").until_ready()
    try:
        until(
            lambda: admin.find("Revocation", "k-" + "v" * 16, system_namespace), lambda found: found is None
        )
        assert system.revocation("k-" + "u" * 16, "InForce")
    finally:
        assert operator.stop() == 0
        admin.delete("Revocation", "k-" + "u" * 16, system_namespace)


def test_with_nothing_to_watch_but_its_own_kinds_it_lives(
    team: Team, start_operator: Callable[..., Operator]
) -> None:
    operator = start_operator(f"--namespaces={team.namespace}", "--no-watch-secrets").until_ready()
    try:
        team.minted()
        operator.get("/healthz")
    finally:
        assert operator.stop() == 0


@pytest.fixture
def half_open(
    admin: Api, make_team: Callable[[], Team], system_namespace: str, tmp_path: Path
) -> tuple[Team, Team, Path]:
    """Two teams and a ServiceAccount that may watch the Secrets of the first one only."""
    watched, unwatched = make_team(), make_team()
    release, values = unwatched.namespace, {"namespaces": [watched.namespace, unwatched.namespace]}
    for obj in rbac.rbac(release=release, namespace=system_namespace, values=values):
        if obj["kind"] == "Role" and obj["metadata"]["namespace"] == unwatched.namespace:
            # Of Secrets list and watch are a rule of their own.
            obj["rules"].remove({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]})
        admin.create(obj)
    kubeconfig = tmp_path / "kubeconfig"
    write_kubeconfig(kubeconfig, admin, system_namespace, f"{release}-operator")
    return watched, unwatched, kubeconfig


def test_where_one_namespace_is_closed_a_loss_in_another_is_noticed_at_once(
    half_open: tuple[Team, Team, Path], start_operator: Callable[..., Operator]
) -> None:
    watched, unwatched, kubeconfig = half_open
    served = f"--namespaces={watched.namespace},{unwatched.namespace}"
    operator = start_operator(served, kubeconfig=kubeconfig).until_ready()
    try:
        for team in (watched, unwatched):
            team.minted()
        (warning,) = [line for line in operator.lines() if "Secrets may not be listed" in line["event"]]
        assert warning["namespace"] == unwatched.namespace
        watched.api.delete("Secret", "checkout", watched.namespace)
        assert generations(watched.until_revision(2))[0]["cause"] == "SecretLost"
    finally:
        assert operator.stop() == 0
