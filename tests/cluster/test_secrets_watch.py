"""With and without the watch of Secrets: what each needs of RBAC, and what it asks the API server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import rbac
from harness.account import ACCOUNT
from harness.team import ROTATE, generations
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api
    from harness.operator import Operator
    from harness.team import Team

WITHOUT: dict[str, object] = {"secrets": {"watch": False}}


@pytest.fixture(scope="module")
def no_list_of_secrets(admin: Api, system_namespace: str) -> Iterator[None]:
    """The rights that the chart grants with secrets.watch=false."""
    _grant(admin, system_namespace, WITHOUT)
    yield
    _grant(admin, system_namespace, {})


@pytest.mark.usefixtures("no_list_of_secrets")
def test_without_the_watch_secrets_are_asked_for_by_name_only(
    start_operator: Callable[..., Operator], team: Team
) -> None:
    operator = start_operator("--no-watch-secrets").until_ready()
    try:
        team.minted()
        team.api.delete("Secret", "checkout", team.namespace)
        team.annotate({ROTATE: "now"})
        assert generations(team.until_revision(2))[0]["cause"] == "SecretLost"
        asked = {verb for verb, resource, _ in _requests(operator) if resource == "secrets"}
        assert asked >= {"get", "create"}
        assert asked.isdisjoint({"list", "watch"})
    finally:
        assert operator.stop() == 0


@pytest.mark.usefixtures("no_list_of_secrets")
def test_a_watch_that_is_not_granted_is_told_of_and_does_not_stop_the_operator(
    start_operator: Callable[..., Operator], team: Team
) -> None:
    operator = start_operator().until_ready()
    try:
        team.minted()
        warning = next(line for line in operator.lines() if "Secrets may not be listed" in line["event"])
        assert warning["level"] == "warning"
        assert "--no-watch-secrets" in warning["event"]
    finally:
        assert operator.stop() == 0


def _requests(operator: Operator) -> set[tuple[str, str, str]]:
    found = set()
    for line in operator.get("/metrics").splitlines():
        if line.startswith("keywright_api_requests_total{"):
            labels = dict(part.split("=") for part in line[line.index("{") + 1 : line.index("}")].split(","))
            verb, resource, code = (json.loads(labels[name]) for name in ("verb", "resource", "code"))
            found.add((verb, resource, code))
    return found


def _grant(admin: Api, namespace: str, values: dict[str, object]) -> None:
    for obj in rbac.rbac(namespace=namespace, values=values):
        if obj["kind"] == "ClusterRole":
            live = admin.get("ClusterRole", obj["metadata"]["name"])
            admin.replace({**live, "rules": obj["rules"]})
    granted = values != WITHOUT
    until(lambda: _may_list_secrets(admin, namespace), lambda may: may is granted, what="the rights count")


def _may_list_secrets(admin: Api, namespace: str) -> bool:
    user = f"system:serviceaccount:{namespace}:{ACCOUNT}"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {"verb": "list", "resource": "secrets"}},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(admin.request("POST", path, review)["status"]["allowed"])
