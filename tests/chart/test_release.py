"""A release over its life: installed, upgraded and removed by a real helm, with keys in between."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from harness.helm import NAMESPACE, Helm
from harness.team import digest_of
from harness.waiting import until
from rbac import CHART

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.api import Api
    from harness.kubectl import Kubectl
    from harness.operator import Operator
    from harness.team import Team

CRD = "apikeys.keywright.dev"
README = CHART / "README.md"


@pytest.fixture
def earlier_chart(tmp_path: Path) -> Path:
    """The chart as an earlier version of it might have been: its ApiKey has another short name."""
    chart = tmp_path / "keywright"
    shutil.copytree(CHART, chart)
    file = chart / "files" / "crds" / "keywright.dev_apikeys.yaml"
    text = file.read_text()
    assert "    - ak\n" in text
    file.write_text(text.replace("    - ak\n", "    - earlier\n"))
    return chart


@pytest.fixture(autouse=True)
def no_release(helm_as_admin: Helm) -> Iterator[None]:
    """Begin and end without a release."""
    helm_as_admin("uninstall", "keywright", "--ignore-not-found")
    yield
    helm_as_admin("uninstall", "keywright", "--ignore-not-found")


def short_names(admin: Api) -> list[str]:
    return list(admin.get("CustomResourceDefinition", CRD)["spec"]["names"]["shortNames"])


@pytest.mark.parametrize("program", ["operator", "verifier"])
def test_its_pods_are_made_where_pod_security_is_strictest(
    admin: Api, install: Callable[..., str], kubectl_as_admin: Kubectl, program: str
) -> None:
    install(verifier={"enabled": True, "trustedProxies": ["10.42.0.0/16"]})
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    admin.patch("Namespace", NAMESPACE, None, {"metadata": {"labels": restricted}})
    kubectl_as_admin("rollout", "restart", "-n", NAMESPACE, f"deployment/keywright-{program}")
    status = until(
        lambda: json.loads(
            kubectl_as_admin("get", "-n", NAMESPACE, "deployment", f"keywright-{program}", "-ojson")
        )["status"],
        lambda status: status.get("updatedReplicas") and status["observedGeneration"] == 2,
    )
    failures = [one for one in status["conditions"] if one["type"] == "ReplicaFailure"]
    assert [] == failures


def test_an_upgrade_brings_newer_resources(
    admin: Api, helm: Path, kubeconfig: Path, tmp_path: Path, earlier_chart: Path, install: Callable[..., str]
) -> None:
    earlier = Helm(helm, tmp_path, kubeconfig, earlier_chart)
    earlier("upgrade", "--install", "keywright", "--create-namespace", values={})
    assert ["earlier"] == short_names(admin)
    install()
    assert ["ak"] == short_names(admin)


def test_resources_that_kubectl_applied_are_taken_over_as_the_readme_says(
    admin: Api,
    helm_as_admin: Helm,
    kubectl_as_admin: Kubectl,
    earlier_chart: Path,
    typed: Callable[..., None],
) -> None:
    install = ("install", "keywright", "--create-namespace")
    crds = str(earlier_chart / "files" / "crds")
    helm_as_admin(*install, values={})
    helm_as_admin("uninstall", "keywright")
    disown(admin)
    kubectl_as_admin("apply", "--server-side", "--force-conflicts", "-f", crds)
    refused = helm_as_admin.run(*install, values={})
    assert refused.code != 0
    assert "invalid ownership metadata" in refused.output

    typed(README, "Take over resources that kubectl applied")
    assert ["ak"] == short_names(admin)
    helm_as_admin("uninstall", "keywright")
    assert ["ak"] == short_names(admin)


def disown(admin: Api) -> None:
    """Take away from the resources what says that a release has made them."""
    nobody = {"labels": {"app.kubernetes.io/managed-by": None}}
    nobody["annotations"] = {f"meta.helm.sh/release-{part}": None for part in ("name", "namespace")}
    for crd in admin.list("CustomResourceDefinition"):
        if crd["metadata"]["name"].endswith(".keywright.dev"):
            admin.patch("CustomResourceDefinition", crd["metadata"]["name"], None, {"metadata": nobody})


def test_installed_and_upgraded_as_the_readme_says_it_keeps_its_values(
    kubectl_as_admin: Kubectl, typed: Callable[..., None]
) -> None:
    typed(README, "Install", "The verifier", "Upgrade")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    for name in ("keywright-operator", "keywright-verifier"):
        shown = kubectl_as_admin("get", "-n", NAMESPACE, "deployment", name, "-o", image)
        assert "registry.example.com/keywright:0.1.0" == shown


def test_a_key_outlives_the_release_and_goes_on_with_the_next(
    admin: Api,
    helm_as_admin: Helm,
    install: Callable[..., str],
    start_operator: Callable[[], Operator],
    open_shop: Callable[[], Team],
) -> None:
    install()
    shop, operator = open_shop(), start_operator()
    before = shop.minted()
    value = digest_of(shop.value())
    operator.stop()

    helm_as_admin("uninstall", "keywright")
    assert rights(admin) == []
    assert value == digest_of(shop.value())
    assert before["status"] == shop.get()["status"]

    install()
    start_operator()
    after = shop.looked_at()
    assert before["status"]["keys"] == after["status"]["keys"]
    assert value == digest_of(shop.value())
    shop.delete()
    shop.until_gone()


def rights(admin: Api) -> list[dict[str, Any]]:
    """Return what is left of the release's roles, bindings and account."""
    kinds = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount")
    chosen = {"labelSelector": "app.kubernetes.io/instance=keywright"}
    return [one for kind in kinds for one in admin.list(kind, **chosen)]
