"""The cluster that the tests share: brought up once, with Keywright's resources, and ended at the end."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import HealthCheck, settings

from harness.api import Api, RefusedError
from harness.cluster import NAME, ROOT, controlplane
from harness.kstatus import Kstatus
from harness.kubectl import Kubectl
from harness.leaks import Leaks
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

# How long an example takes, and how long it takes to think of one, tells of the machine only.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes what tests otherwise compare."""
    text = "write docs/what-you-see.md instead of comparing it with what kubectl shows"
    parser.addoption("--update-captures", action="store_true", help=text)


@pytest.fixture(scope="session")
def kubeconfig(pytestconfig: pytest.Config) -> Iterator[Path]:
    """A running cluster, the administrator's."""
    controlplane("down", "--name", NAME)  # what a run that was killed has left
    with _shown(pytestconfig):
        path = Path(controlplane("up", "--name", NAME))
    yield path
    controlplane("down", "--name", NAME)


@pytest.fixture(scope="session")
def kubectl() -> str:
    """The path of a kubectl that fits the cluster."""
    return controlplane("kubectl-path")


@pytest.fixture(scope="session")
def kubectl_as_admin(kubectl: str, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The administrator at a terminal."""
    return Kubectl(kubectl, kubeconfig, tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="session")
def helm(pytestconfig: pytest.Config) -> Path:
    """The helm that the chart is tested with."""
    with _shown(pytestconfig):
        return Path(controlplane("helm-path"))


@pytest.fixture(scope="session")
def kstatus(pytestconfig: pytest.Config) -> Kstatus:
    """What Flux waits by."""
    with _shown(pytestconfig):
        return Kstatus(Path(controlplane("kstatus-path")))


@pytest.fixture(scope="session")
def admin(kubeconfig: Path) -> Api:
    """The administrator of the cluster."""
    return Api(kubeconfig)


@pytest.fixture(scope="session")
def crds(admin: Api) -> None:
    """Keywright's resources, installed once for all tests: a kind anew is a minute of garbage collection."""
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        crd = yaml.safe_load(file.read_text())
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}"
        query = {"fieldManager": "tests", "force": "true"}
        admin.request("PATCH", path, crd, content_type="application/apply-patch+yaml", params=query)
    for kind in ("Project", "ApiKey", "Revocation"):
        until(partial(_served, admin, kind), bool, what=f"{kind} is served")


@pytest.fixture(scope="session")
def leaks(admin: Api, crds: None) -> Iterator[Leaks]:
    """Whoever may read Secrets, remembering every raw value of the run."""
    watching = Leaks(admin)
    yield watching
    watching.stop()


def _shown(config: pytest.Config) -> AbstractContextManager[None]:
    """Uncaptured: building takes minutes, which a person should see pass."""
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured: AbstractContextManager[None] = capture.global_and_fixture_disabled()
    return uncaptured


def _served(admin: Api, kind: str) -> bool:
    try:
        admin.list(kind)
    except RefusedError:
        return False
    return True
