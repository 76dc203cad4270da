"""Operator and verifier under test: processes with the ServiceAccounts and rights that the chart grants."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING

import pytest

import rbac
from harness.account import ACCOUNT, VERIFIER, write_kubeconfig
from harness.api import Api, RefusedError
from harness.history import History
from harness.operator import Operator
from harness.team import Team
from harness.verifier import Verifier
from harness.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.leaks import Leaks

SYSTEM = "keywright-system"
USER = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"

_numbers = itertools.count(1)
_RUN = secrets.token_hex(2)  # a cluster that outlives the run may still be deleting the last one's namespaces


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put last what looks through all that the others left behind."""
    items.sort(key=lambda item: ("test_no_raw_value" in item.nodeid, "test_rights" in item.nodeid))


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every operator of the run logs to."""
    return tmp_path_factory.mktemp("operator-logs")


@pytest.fixture(scope="session")
def system_namespace(admin: Api, crds: None) -> str:
    """The system namespace with the chart's ServiceAccounts and RBAC."""
    ensure(admin, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    for obj in rbac.rbac(namespace=SYSTEM, values={"verifier": {"enabled": True}}):
        ensure(admin, obj)
    return SYSTEM


@pytest.fixture(scope="session")
def operator_kubeconfig(admin: Api, system_namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of the operator's ServiceAccount."""
    file = tmp_path_factory.mktemp("operator") / "kubeconfig"
    write_kubeconfig(file, admin, system_namespace, ACCOUNT)
    return file


@pytest.fixture(scope="session")
def restarting_kubeconfig(
    admin: Api, system_namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A kubeconfig of the ServiceAccount that the chart makes with rolloutRestart: true."""
    for obj in rbac.rbac(release="restarting", namespace=system_namespace, values={"rolloutRestart": True}):
        ensure(admin, obj)
    file = tmp_path_factory.mktemp("restarting") / "kubeconfig"
    write_kubeconfig(file, admin, system_namespace, "restarting-operator")
    return file


@pytest.fixture(scope="session")
def start_operator(operator_kubeconfig: Path, logs: Path, leaks: Leaks) -> Callable[..., Operator]:
    """Start an operator; whoever starts it ends it."""

    def start(*arguments: str, kubeconfig: Path = operator_kubeconfig) -> Operator:
        return Operator(kubeconfig, logs / f"operator-{next(_numbers)}.log", arguments)

    return start


@pytest.fixture
def start_verifier(admin: Api, system_namespace: str, tmp_path: Path) -> Iterator[Callable[..., Verifier]]:
    """Start verifiers; they end with the test, and well."""
    started: list[Verifier] = []

    def start(*arguments: str, server: str | None = None, account: str = VERIFIER) -> Verifier:
        file = tmp_path / f"kubeconfig-{len(started)}"
        write_kubeconfig(file, admin, system_namespace, account, server=server)
        started.append(Verifier(file, tmp_path / f"verifier-{len(started)}.log", *arguments))
        return started[-1]

    yield start
    assert [0 for _ in started] == [one.stop() for one in started]


@pytest.fixture(scope="module")
def operator(start_operator: Callable[..., Operator]) -> Iterator[Operator]:
    """An operator that is ready, for all tests of a file."""
    running = start_operator().until_ready()
    yield running
    assert running.stop() == 0


@pytest.fixture
def namespace(admin: Api) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"team-{_RUN}-{next(_numbers)}"
    ensure(admin, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    admin.delete("Namespace", name)


@pytest.fixture
def team(admin: Api, namespace: str) -> Team:
    """The test's own namespace with a Project in it."""
    made = Team(admin, namespace)
    made.project()
    return made


@pytest.fixture(scope="module")
def make_team(admin: Api) -> Iterator[Callable[[], Team]]:
    """Make more namespaces with a Project each; they go at the end of the file."""
    made: list[Team] = []

    def make() -> Team:
        one = Team(admin, f"team-{_RUN}-{next(_numbers)}")
        made.append(one)
        ensure(admin, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one.namespace}})
        one.project()
        return one

    yield make
    for one in made:
        admin.delete("Namespace", one.namespace)


@pytest.fixture
def record(admin: Api) -> Iterator[Callable[..., History]]:
    """Record every version of some kinds in a namespace (None: in all) from now on."""
    recording: list[History] = []

    def start(namespace: str | None, *kinds: str) -> History:
        recording.append(History(admin, namespace, *kinds))
        return recording[-1]

    yield start
    for history in recording:
        history.stop()


@pytest.fixture(scope="session")
def audit_log(kubeconfig: Path) -> Path | None:
    """The audit log beside the kubeconfig of a cluster that was started here; others keep theirs."""
    log = kubeconfig.with_name("audit.log")
    return log if log.exists() else None


@pytest.fixture(scope="session")
def count_writes(audit_log: Path | None) -> Callable[[Operator], Writes]:
    """Count an operator's writes from now on."""
    return lambda operator: Writes(operator, audit_log, USER)


def ensure(admin: Api, obj: dict[str, object]) -> None:
    """Create an object unless it is there."""
    try:
        admin.create(obj)
    except RefusedError as error:
        if error.status != 409:
            raise
