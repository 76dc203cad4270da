"""The chart on a cluster of its own: its tests install and remove what all others stand on."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from docs.markdown import Command, blocks
from docs.reader import Reader
from harness.account import write_kubeconfig
from harness.api import Api, RefusedError
from harness.cluster import NAME, controlplane
from harness.helm import NAMESPACE, Helm
from harness.kubectl import Kubectl
from harness.operator import Operator
from harness.team import Team
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Object


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """Another cluster than that of the other tests."""
    if "KEYWRIGHT_TEST_KUBECONFIG" in os.environ:
        pytest.skip("removes Keywright's resources, which the other tests of this cluster need")
    name = f"{NAME}-chart"
    controlplane("down", "--name", name)  # what a run that was killed has left
    yield Path(controlplane("up", "--name", name))
    controlplane("down", "--name", name)


@pytest.fixture(scope="session")
def admin(kubeconfig: Path) -> Api:
    """Its administrator."""
    return Api(kubeconfig)


@pytest.fixture(scope="session")
def kubectl_as_admin(kubectl: str, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The administrator at a terminal."""
    return Kubectl(kubectl, kubeconfig, tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="session")
def offline(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """A helm that only renders."""
    return Helm(helm, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def helm_as_admin(helm: Path, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """A helm that installs."""
    return Helm(helm, tmp_path_factory.mktemp("helm"), kubeconfig)


@pytest.fixture(scope="module")
def install(helm_as_admin: Helm) -> Iterator[Callable[..., str]]:
    """Install or upgrade the release with some values; it goes at the end of the file."""

    def run(*arguments: str, **values: Any) -> str:
        return helm_as_admin(
            "upgrade", "--install", "keywright", "--create-namespace", *arguments, values=values
        )

    yield run
    helm_as_admin("uninstall", "keywright", "--ignore-not-found")


@pytest.fixture
def typed(helm: Path, kubectl: str, kubeconfig: Path, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Type what sections of a document say, as the administrator."""
    directory = tmp_path / "reader"
    directory.mkdir()
    reader = Reader(directory, kubectl=Path(kubectl), helm=helm)

    def type_sections(document: Path, *sections: str) -> None:
        chosen = [block for block in blocks(document) if block.section in sections]
        assert {block.section for block in chosen} == set(sections)
        reader.type_all(command for block in chosen for command in block.commands)

    reader.type_all([Command(f"export KUBECONFIG={kubeconfig}")])
    yield type_sections
    reader.close()


@pytest.fixture
def start_operator(admin: Api, tmp_path: Path) -> Iterator[Callable[[], Operator]]:
    """Start the operator with the account of the release: there is no node, so none of its Pods ever runs."""
    started: list[Operator] = []

    def start() -> Operator:
        file = tmp_path / f"kubeconfig-{len(started)}"
        write_kubeconfig(file, admin, NAMESPACE, "keywright-operator")
        started.append(Operator(file, tmp_path / f"operator-{len(started)}.log"))
        return started[-1].until_ready()

    yield start
    for operator in started:
        operator.stop()


@pytest.fixture
def open_shop(admin: Api) -> Callable[[], Team]:
    """Make a namespace with a Project, once the resources are served."""

    def make() -> Team:
        ensure_namespace(admin, "shop")
        team = Team(admin, "shop")
        if until(partial(_projects, team), lambda found: found is not None) == []:
            team.project()
        return team

    return make


def _projects(team: Team) -> list[Object] | None:
    """Return the Projects of a team; nothing as long as there is no such resource."""
    try:
        return team.api.list("Project", team.namespace)
    except RefusedError:
        return None


def ensure_namespace(admin: Api, name: str, **labels: str) -> None:
    """Create a namespace unless it is there."""
    metadata = {"name": name, "labels": labels}
    try:
        admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    except RefusedError as error:
        if error.status != 409:
            raise
