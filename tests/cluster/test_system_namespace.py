"""A system namespace that goes: nobody could read a record in it, so no deletion waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import rbac
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api
    from harness.operator import Operator
    from harness.team import Team


@pytest.fixture
def another_system(admin: Api, namespace: str, system_namespace: str) -> Iterator[str]:
    """A system namespace of the test's own, where something will hold up its end."""
    name = f"{namespace}-system"
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in rbac.rbac(namespace=system_namespace, values={"systemNamespace": name}):
        if obj["metadata"].get("namespace") == name:
            admin.create(obj)
    held = {"name": "held", "namespace": name, "finalizers": ["example.com/hold"]}
    admin.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    yield name
    admin.patch("ConfigMap", "held", name, {"metadata": {"finalizers": None}})
    admin.delete("Namespace", name)


@pytest.mark.parametrize("rights", ["stay", "go first"])
def test_while_it_terminates_a_deletion_goes_on_without_records(
    admin: Api, team: Team, another_system: str, start_operator: Callable[..., Operator], rights: str
) -> None:
    operator = start_operator(f"--system-namespace={another_system}").until_ready()
    try:
        key_id = team.minted()["status"]["currentKeyID"]
        if rights == "stay":
            binding = admin.get("RoleBinding", "keywright-system", another_system)
            binding["metadata"]["finalizers"] = ["example.com/hold"]
            admin.replace(binding)
        admin.delete("Namespace", another_system)
        until(
            lambda: admin.find("RoleBinding", "keywright-system", another_system),
            lambda found: found is None or "deletionTimestamp" in found["metadata"],
            what="the namespace is being emptied",
        )
        team.delete()
        team.until_gone()
        assert admin.find("Secret", "checkout", team.namespace) is None
        # Once a pass, and a pass that is overtaken is made again; others may be going at the same time.
        told = [line for line in operator.lines() if line["event"] == "no record of a revocation"]
        ours = [line for line in told if line["api_key"] == f"{team.namespace}/checkout"]
        assert {(line["key_id"], line["level"]) for line in ours} == {(key_id, "warning")}
    finally:
        if rights == "stay":
            patch = {"metadata": {"finalizers": None}}
            admin.patch("RoleBinding", "keywright-system", another_system, patch)
        assert operator.stop() == 0
