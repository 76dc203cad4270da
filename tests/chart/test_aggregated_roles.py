"""Who of a team may do what with Keywright's resources, as the API server answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Api

READ = {"get", "list", "watch"}
CHANGE = {"update", "patch", "delete", "deletecollection"}
WRITE = CHANGE | {"create"}

MAY: dict[str, dict[str, set[str]]] = {
    "view": {"projects": READ, "apikeys": READ, "revocations": READ},
    "edit": {"projects": READ, "apikeys": READ | WRITE, "revocations": READ | {"create"}},
    "admin": {"projects": READ | WRITE, "apikeys": READ | WRITE, "revocations": READ | WRITE},
}


@pytest.fixture(scope="module")
def namespace(admin: Api, install: Callable[..., str]) -> str:
    """A namespace in which each role has somebody of its name."""
    install()
    name = "personas"
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for role in MAY:
        admin.create(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": role, "namespace": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}],
            }
        )
    # Its last rule of all: once admin has it, the cluster's roles have been put together.
    until(lambda: may(admin, "admin", name, "projects"), lambda verbs: "create" in verbs)
    until(lambda: may(admin, "edit", name, "revocations"), lambda verbs: "create" in verbs)
    return name


@pytest.mark.parametrize("resource", ["projects", "apikeys", "revocations"])
@pytest.mark.parametrize("role", MAY)
def test_each_role_may_do_this_and_no_more(admin: Api, namespace: str, role: str, resource: str) -> None:
    assert MAY[role][resource] == may(admin, role, namespace, resource)


@pytest.mark.parametrize("resource", ["projects", "apikeys", "revocations"])
@pytest.mark.parametrize("role", MAY)
def test_none_writes_a_status_or_a_finalizer_of_its_own(
    admin: Api, namespace: str, role: str, resource: str
) -> None:
    for subresource in ("status", "finalizers"):
        assert set() == may(admin, role, namespace, resource, subresource) & WRITE


def may(admin: Api, user: str, namespace: str, resource: str, subresource: str = "") -> set[str]:
    """Return the verbs that somebody may use."""
    return {verb for verb in READ | WRITE if _allowed(admin, user, namespace, verb, resource, subresource)}


def _allowed(admin: Api, user: str, namespace: str, verb: str, resource: str, subresource: str) -> bool:
    asked = {
        "group": "keywright.dev",
        "namespace": namespace,
        "verb": verb,
        "resource": resource,
        "subresource": subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": asked},
    }
    answer = admin.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])
