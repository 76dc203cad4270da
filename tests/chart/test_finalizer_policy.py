"""With finalizerPolicy the API server sets the finalizer on each new ApiKey: one write less a mint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import manifests
from harness.helm import NAMESPACE
from harness.team import FINALIZER, Team
from harness.waiting import until
from harness.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.api import Api
    from harness.operator import Operator


@pytest.fixture(scope="module", autouse=True)
def policy(admin: Api, install: Callable[..., str]) -> None:
    """The chart with the policy, once it is in force."""
    install(finalizerPolicy={"enabled": True})
    until(lambda: finalizers(admin), bool, what="the policy is in force")


def finalizers(admin: Api, *given: str, namespace: str = "default") -> list[str]:
    """Return the finalizers of an ApiKey that was, but for storing it, created with some."""
    api_key = manifests.api_key(namespace)
    api_key["metadata"]["finalizers"] = list(given)
    return list(admin.create(api_key, dryRun="All")["metadata"].get("finalizers", []))


def test_a_new_api_key_has_the_finalizer(admin: Api) -> None:
    assert [FINALIZER] == finalizers(admin)


def test_one_that_has_it_keeps_it_once(admin: Api) -> None:
    assert [FINALIZER] == finalizers(admin, FINALIZER)


def test_those_of_others_stay(admin: Api) -> None:
    assert {FINALIZER, "example.com/mine"} == set(finalizers(admin, "example.com/mine"))


def test_a_mint_is_three_writes(
    start_operator: Callable[[], Operator], open_shop: Callable[[], Team], kubeconfig: Path
) -> None:
    shop, operator = open_shop(), start_operator()
    shop.minted("warm-up")  # the operator's first mint of all makes the sealing keys
    user = f"system:serviceaccount:{NAMESPACE}:keywright-operator"
    log = kubeconfig.with_name("audit.log")
    writes = Writes(operator, log if log.exists() else None, user)
    shop.minted()
    written = until(writes.counted, lambda seen: len(seen) >= 3)
    assert ["update apikeys/status", "create secrets", "update apikeys/status"] == written
    for name in ("warm-up", "checkout"):
        shop.delete(name)
        shop.until_gone(name)


def test_for_listed_namespaces_it_holds_in_those_only(admin: Api, install: Callable[..., str]) -> None:
    install(finalizerPolicy={"enabled": True}, namespaces=["default"])
    until(
        lambda: finalizers(admin, namespace="kube-public"),
        lambda found: not found,
        what="the policy is in force for the listed namespace only",
    )
    assert [FINALIZER] == finalizers(admin)
