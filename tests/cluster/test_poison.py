"""Objects of a form that the schema refuses, as an older one may have left them: the others go on.

They get in through a CRD that is loosened for a moment, since the API server reads what is stored unchecked.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from harness import manifests
from harness.api import RefusedError
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api, Object
    from harness.operator import Operator
    from harness.team import Team

SPECS: dict[str, Any] = {
    "spec-is-a-text": "nonsense",
    "spec-is-a-list": [1, 2],
    "ref-is-a-text": {"projectRef": "payments"},
    "ref-is-a-list": {"projectRef": ["payments"]},
    "scopes-are-a-number": {"projectRef": {"name": "payments"}, "scopes": 7},
    "secret-is-a-text": {"projectRef": {"name": "payments"}, "secret": "checkout"},
}
STATUSES: dict[str, Any] = {
    "status-is-a-text": "nonsense",
    "keys-are-a-text": {"keys": "all"},
    "keys-are-numbers": {"keys": [7, None]},
    "ids-are-numbers": {"keys": [{"id": 5, "state": ["Active"]}], "revision": "three"},
    "conditions-are-texts": {"conditions": ["Ready"]},
    "conditions-are-numbers": {"conditions": 7},
}


@contextmanager
def loosened(admin: Api, *plurals: str) -> Iterator[None]:
    """Have the API server take anything for some of our kinds."""
    kind, strict = "CustomResourceDefinition", {}
    for plural in plurals:
        name = f"{plural}.keywright.dev"
        strict[name] = admin.get(kind, name)["spec"]["versions"]
        (version,) = strict[name]
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        loose = {"name": version["name"], "served": True, "storage": True, "subresources": {"status": {}}}
        loose["schema"] = {"openAPIV3Schema": anything}
        admin.patch(kind, name, None, {"spec": {"versions": [loose]}})
    try:
        yield
    finally:
        for name, versions in strict.items():
            admin.patch(kind, name, None, {"spec": {"versions": versions}})


def _write(admin: Api, obj: Object, status: Any = None) -> None:
    """Create an object, once the loosened schema is in force."""
    what = f"{obj['metadata']['name']} is taken"
    until(lambda: _taken(admin, obj), bool, what=what)
    if status is not None:
        until(lambda: _taken(admin, obj, {"status": status}), bool, what=what)


def _taken(admin: Api, obj: Object, change: Object | None = None) -> bool:
    metadata = obj["metadata"]
    try:
        if change is None:
            admin.create(obj)
        else:
            admin.patch(obj["kind"], metadata["name"], metadata["namespace"], change, "status")
    except RefusedError as error:
        if error.status not in {400, 422}:
            raise
        return False
    return True


@pytest.fixture(scope="module")
def poisoned(admin: Api, make_team: Callable[[], Team], operator: Operator) -> Iterator[Team]:
    """A team with objects of every impossible form, written before the eyes of a running operator."""
    team = make_team()
    where = team.namespace
    try:
        with loosened(admin, "apikeys", "projects", "revocations"):
            for name, spec in SPECS.items():
                _write(admin, {**manifests.api_key(where, name), "spec": spec})
            for name, status in STATUSES.items():
                _write(admin, manifests.api_key(where, name), status)
            _write(admin, {**manifests.project(where, "poisoned"), "spec": {"scopes": "all", "limits": 3}})
            revocation = {"apiVersion": manifests.API_VERSION, "kind": "Revocation"}
            for name, spec in {"poisoned": {"keyID": 5}, "empty": {}, "text": "all"}.items():
                _write(admin, {**revocation, "metadata": {"name": name, "namespace": where}, "spec": spec})
        yield team
    finally:
        with loosened(admin, "apikeys", "projects", "revocations"):
            for name in [*SPECS, *STATUSES]:
                until(partial(_gone, admin, name, where), bool, what=f"{name} is gone")


def test_others_are_minted_and_rotated_and_deleted_meanwhile(poisoned: Team, operator: Operator) -> None:
    _a_life(poisoned, "beside")
    assert operator.process.poll() is None
    assert operator.get("/healthz") == "ok\n"
    assert [] == _not_understood(operator)


def test_an_operator_that_finds_them_at_its_start_becomes_ready_and_works(
    poisoned: Team, start_operator: Callable[..., Operator]
) -> None:
    another = start_operator()
    try:
        another.until_ready()
        _a_life(poisoned, "after")
        assert [] == _not_understood(another)
    finally:
        assert another.stop() == 0


def _a_life(team: Team, name: str) -> None:
    team.minted(name)
    team.annotate({"keywright.dev/rotate": "now"}, name)
    team.until_revision(2, name)
    team.delete(name)
    team.until_gone(name)


def _not_understood(operator: Operator) -> list[Object]:
    """Return the events that the operator could not even take in."""
    return [line for line in operator.lines() if line["event"] == "event not understood"]


def _gone(admin: Api, name: str, namespace: str) -> bool:
    try:
        if admin.find("ApiKey", name, namespace) is None:
            return True
        admin.patch("ApiKey", name, namespace, {"metadata": {"finalizers": None}})
        admin.delete("ApiKey", name, namespace)
    except RefusedError as error:
        if error.status not in {404, 409, 422}:
            raise
    return False
