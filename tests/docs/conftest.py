"""The operator that the examples are written for: the chart's account, allowed to restart workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

import rbac
from harness.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.kubectl import Kubectl

SYSTEM = "keywright-system"
RELEASE = "examples"  # other tests run theirs with fewer rights


@pytest.fixture(scope="module")
def restarting_operator(
    kubectl_as_admin: Kubectl, crds: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator that is ready, for all tests of a file."""
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}},
        *rbac.rbac(release=RELEASE, namespace=SYSTEM, values={"rolloutRestart": True}),
    ]
    kubectl_as_admin("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))
    config = yaml.safe_load(kubectl_as_admin("config", "view", "--raw", "--minify", "--flatten"))
    token = kubectl_as_admin("create", "token", "-n", SYSTEM, f"{RELEASE}-operator")
    config["users"][0]["user"] = {"token": token.strip()}
    directory = tmp_path_factory.mktemp("operator")
    kubeconfig = directory / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(config))
    running = Operator(kubeconfig, directory / "log", ["--rollout-restart"]).until_ready()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def argocd(kubectl_as_admin: Kubectl) -> Iterator[None]:
    """What Argo CD's own installation has made of its configuration."""
    config = {"name": "argocd-cm", "namespace": "argocd"}
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": config,
            "data": {"url": "https://cd.example.com"},
        },
    ]
    kubectl_as_admin("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    yield
    kubectl_as_admin("delete", "namespace", "argocd", "--wait=false")
