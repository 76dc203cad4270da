"""Clusters by name: bring one up, take it down, say where its parts lie.

Everything about a cluster is in one directory, where `cluster.json` says what runs. `up` keeps what is
healthy and replaces what is not; `down` ends what was recorded and nothing else.
"""

import json
import logging
import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from controlplane import kind, processes
from controlplane.binaries import build, built_binaries, envtest_binaries, pinned_version
from controlplane.configuration import write_json
from controlplane.errors import ControlPlaneError
from controlplane.local import AUTHORITY, Access, ControlPlane, PortTakenError
from controlplane.locking import only_one
from controlplane.origin import Kind, Origin, choose
from controlplane.paths import cluster_directory, clusters_root
from controlplane.processes import Process

log = logging.getLogger(__name__)

_ATTEMPTS = 3


@dataclass(frozen=True)
class Record:
    """What cluster.json holds."""

    origin: Kind
    processes: tuple[Process, ...] = ()


def up(name: str) -> Path:
    """The kubeconfig of a cluster of this name that answers."""
    directory = cluster_directory(name)
    origin = choose(os.environ)
    if origin.kind is Kind.GIVEN and origin.path:
        log.info("using the cluster of KEYWRIGHT_TEST_KUBECONFIG")
        return origin.path
    with _exclusive(name):
        record = read_record(directory)
        if record and record.origin == origin.kind and _healthy(directory, record):
            log.info("cluster %s is up", name)
        else:
            _remove(name)
            if origin.kind is Kind.KIND:
                _start_kind(name)
            else:
                _start_local(name, origin)
    return directory / "kubeconfig"


def down(name: str) -> None:
    if choose(os.environ).kind is Kind.GIVEN:
        log.info("the cluster of KEYWRIGHT_TEST_KUBECONFIG is not ours to end")
        return
    with _exclusive(name):
        _remove(name)


def kubectl_path() -> Path:
    """A kubectl that fits: the one that comes with the programs, for other clusters the one on PATH."""
    origin = choose(os.environ)
    if origin.kind is Kind.ENVTEST and origin.path:
        return origin.path / "kubectl"
    if origin.kind is not Kind.BUILT and (found := shutil.which("kubectl")):
        return Path(found)
    return build(pinned_version(), ("kubectl",)) / "kubectl"


def audit_path(name: str) -> Path:
    path = cluster_directory(name) / "audit.log"
    if choose(os.environ).kind is Kind.GIVEN or not path.exists():
        raise ControlPlaneError(f"cluster {name} has no audit log here; only one that was started here has")
    return path


def read_record(directory: Path) -> Record | None:
    try:
        content = json.loads((directory / "cluster.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Record(Kind(content["origin"]), tuple(Process(**one) for one in content["processes"]))


def write_record(directory: Path, record: Record) -> None:
    write_json(directory / "cluster.json", asdict(record))


def _exclusive(name: str) -> AbstractContextManager[None]:
    return only_one(clusters_root() / f".{name}.lock", doing=f"working on cluster {name}")


def _healthy(directory: Path, record: Record) -> bool:
    kubeconfig = directory / "kubeconfig"
    if not kubeconfig.exists():
        return False
    if record.origin is Kind.KIND:
        return kind.exists(_kind_name(directory.name))
    if not all(process.alive for process in record.processes):
        return False
    access = Access.of(kubeconfig, directory / AUTHORITY)
    # More than once: under load an answer may be late, and what is called unhealthy loses all its data.
    return any(access.answers("/readyz") for _ in range(5))


def _remove(name: str) -> None:
    directory = cluster_directory(name)
    record = read_record(directory)
    if record and record.origin is Kind.KIND:
        kind.delete(_kind_name(name), directory / "kubeconfig")
    elif record:
        # Last started, first ended: nobody loses the one it talks to while it still runs.
        processes.stop(reversed(record.processes))
    shutil.rmtree(directory, ignore_errors=True)


def _start_local(name: str, origin: Origin) -> None:
    binaries = envtest_binaries(origin.path) if origin.path else built_binaries()
    directory = cluster_directory(name)
    for attempt in range(1, _ATTEMPTS + 1):
        _empty(directory)
        log.info("starting cluster %s, Kubernetes %s, in %s", name, binaries.version, directory)
        plane = ControlPlane(
            directory,
            binaries,
            record=lambda running: write_record(directory, Record(origin.kind, tuple(running))),
        )
        try:
            plane.start()
        except PortTakenError as taken:
            log.info("attempt %d of %d: someone else took the port of %s", attempt, _ATTEMPTS, taken)
        else:
            return
    raise ControlPlaneError("could not get hold of free ports")


def _start_kind(name: str) -> None:
    directory = cluster_directory(name)
    kind.require_engine()
    _empty(directory)
    write_record(directory, Record(Kind.KIND))
    kind.create(_kind_name(name), directory / "kubeconfig")


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)


def _kind_name(name: str) -> str:
    return f"keywright-test-{name}"
