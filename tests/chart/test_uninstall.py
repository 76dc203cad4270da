"""docs/uninstall.md, typed: what stays after helm, and that nothing is left in the middle of its deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import manifests
from harness.cluster import ROOT
from harness.helm import NAMESPACE
from harness.team import FINALIZER
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Api
    from harness.helm import Helm
    from harness.operator import Operator
    from harness.team import Team

UNINSTALL = ROOT / "docs" / "uninstall.md"
PLURALS = ("apikeys", "projects", "revocations")


@pytest.fixture
def keys(
    admin: Api,
    install: Callable[..., str],
    start_operator: Callable[[], Operator],
    open_shop: Callable[[], Team],
) -> Operator:
    """The operator of a release with two keys: one that was asked for, and a Project's default key."""
    install()
    shop, operator = open_shop(), start_operator()
    shop.minted()
    admin.create(manifests.project("shop", "billing", defaultKey={}))
    until(lambda: shop.find("billing-default"), bool, what="the default key")
    shop.until_ready("billing-default")
    return operator


def test_when_the_operator_is_gone_everything_can_still_be_removed(
    admin: Api, helm_as_admin: Helm, keys: Operator, typed: Callable[..., None]
) -> None:
    helm_as_admin("uninstall", "keywright")
    keys.stop()
    assert [True] * 3 == crds(admin)
    assert {"checkout", "billing-default"} == secrets(admin)
    admin.delete("ApiKey", "billing-default", "shop")
    held = admin.get("ApiKey", "billing-default", "shop")["metadata"]
    assert "deletionTimestamp" in held
    assert [FINALIZER] == held["finalizers"]

    typed(UNINSTALL, "Remove everything when the operator is gone")
    nothing_is_left(admin)


def test_while_the_operator_runs_everything_goes_in_order(
    admin: Api, keys: Operator, typed: Callable[..., None]
) -> None:
    typed(UNINSTALL, "Remove everything")
    nothing_is_left(admin)


def crds(admin: Api) -> list[bool]:
    """Return which of the resources are there, and not on their way out."""
    found = [admin.find("CustomResourceDefinition", f"{plural}.keywright.dev") for plural in PLURALS]
    return [crd is not None and "deletionTimestamp" not in crd["metadata"] for crd in found]


def secrets(admin: Api) -> set[str]:
    """Return the names of all Secrets that hold a key."""
    listed = admin.list("Secret", fieldSelector="type=keywright.dev/api-key")
    return {secret["metadata"]["name"] for secret in listed}


def nothing_is_left(admin: Api) -> None:
    """Of Keywright nothing is there any more, and no namespace waits for anything."""
    groups = {crd["spec"]["group"] for crd in admin.list("CustomResourceDefinition")}
    assert "keywright.dev" not in groups
    assert set() == secrets(admin)
    assert admin.find("Namespace", NAMESPACE) is None
    admin.delete("Namespace", "shop")
    until(lambda: admin.find("Namespace", "shop"), lambda found: found is None)
