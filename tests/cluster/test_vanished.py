"""An ApiKey that goes without its finalizer: its keys end all the same."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from harness.team import REGENERATE, ROTATE, generations, ready
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import Api, Object
    from harness.operator import Operator
    from harness.team import Team

pytestmark = pytest.mark.usefixtures("operator")

BY_HAND = {"policy": "Never", "overlap": "1h"}


@pytest.fixture
def keys(team: Team) -> Iterator[list[Object]]:
    """The generations of `checkout`: two that are valid, and one revoked long ago."""
    team.minted(rotation=BY_HAND)
    team.annotate({REGENERATE: "a"})
    team.until_revision(2)
    team.annotate({ROTATE: "b"})
    found = generations(team.until_revision(3))
    assert ["Active", "Retiring", "Revoked"] == [one["state"] for one in found]
    yield found
    if team.find() is not None:
        _let_go(team)  # a test that failed must not leave behind what nobody ever lets go of


def _until_recorded(admin: Api, team: Team, keys: list[Object], system_namespace: str) -> None:
    for generation in keys[:2]:
        record = until(
            lambda name=f"k-{generation['id']}": admin.find("Revocation", name, system_namespace),  # type: ignore[misc]
            lambda obj: obj is not None and ready(obj) == "InForce",
        )
        assert record is not None
        assert (record["spec"]["keyID"], record["spec"]["reason"]) == (generation["id"], "Deleted")
        assert record["metadata"]["annotations"]["keywright.dev/api-key"] == f"{team.namespace}/checkout"
    superseded = admin.get("Revocation", f"k-{keys[2]['id']}", system_namespace)
    assert superseded["spec"]["reason"] == "Superseded", "what was revoked before keeps its reason"


def test_without_its_finalizer_each_valid_key_is_recorded_all_the_same(
    admin: Api, operator: Operator, team: Team, keys: list[Object], system_namespace: str
) -> None:
    _strip_and_delete(operator, team)
    _until_recorded(admin, team, keys, system_namespace)
    assert team.find() is None


def test_a_new_one_of_that_name_is_not_taken_for_it(
    admin: Api, operator: Operator, team: Team, keys: list[Object], system_namespace: str
) -> None:
    _strip_and_delete(operator, team)
    team.create(secret={"name": "another"})
    key = team.until_ready()
    _until_recorded(admin, team, keys, system_namespace)
    assert ready(team.looked_at()) == "Active"
    assert admin.find("Revocation", f"k-{key['status']['currentKeyID']}", system_namespace) is None


def test_what_was_never_minted_leaves_no_record(
    admin: Api, operator: Operator, team: Team, system_namespace: str
) -> None:
    uid = team.create(suspend=True)["metadata"]["uid"]
    team.until_ready(reason="Suspended")
    _strip_and_delete(operator, team)
    time.sleep(1)
    named = [one["metadata"].get("annotations", {}) for one in admin.list("Revocation", system_namespace)]
    assert uid not in {annotations.get("keywright.dev/api-key-uid") for annotations in named}


def test_while_another_finalizer_holds_it_the_records_are_written(
    admin: Api, team: Team, keys: list[Object], system_namespace: str
) -> None:
    team.api.patch(
        "ApiKey",
        "checkout",
        team.namespace,
        {"metadata": {"finalizers": ["keywright.dev/revoke", "example.com/wait"]}},
    )
    team.delete()
    held = team.until(lambda key: key["metadata"]["finalizers"] == ["example.com/wait"])
    assert "deletionTimestamp" in held["metadata"]
    _until_recorded(admin, team, keys, system_namespace)


def test_with_another_finalizer_only_the_records_are_written_all_the_same(
    admin: Api, operator: Operator, team: Team, keys: list[Object], system_namespace: str
) -> None:
    _strip_and_delete(operator, team, "example.com/wait")
    assert "deletionTimestamp" in team.get()["metadata"]
    _until_recorded(admin, team, keys, system_namespace)
    assert team.get()["metadata"]["finalizers"] == ["example.com/wait"]
    _let_go(team)


def _strip_and_delete(operator: Operator, team: Team, *left: str) -> None:
    """Take the finalizer away and delete, faster than the operator could put it back."""
    operator.process.send_signal(signal.SIGSTOP)
    try:
        team.api.patch("ApiKey", "checkout", team.namespace, {"metadata": {"finalizers": list(left)}})
        team.delete()
        assert bool(left) is (team.find() is not None)
    finally:
        operator.process.send_signal(signal.SIGCONT)


def _let_go(team: Team) -> None:
    team.delete()
    team.api.patch("ApiKey", "checkout", team.namespace, {"metadata": {"finalizers": []}})
    team.until_gone()
