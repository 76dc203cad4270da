"""What `up` writes and `down` reads."""

import json
from pathlib import Path

import pytest

from controlplane import cluster
from controlplane.cluster import Record
from controlplane.configuration import (
    audit_policy,
    identity,
    write_kubeconfig,
    write_signing_key,
    write_tokens,
)
from controlplane.errors import ControlPlaneError
from controlplane.local import Access
from controlplane.origin import Kind
from controlplane.paths import cluster_directory
from controlplane.processes import Process, start_time


@pytest.fixture(autouse=True)
def _own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for variable in ("KEYWRIGHT_TEST_KUBECONFIG", "KEYWRIGHT_TEST_KIND", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(variable, raising=False)


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    record = Record(Kind.BUILT, (Process("etcd", 12, 3400), Process("kube-apiserver", 13, 3500)))
    cluster.write_record(tmp_path, record)
    assert cluster.read_record(tmp_path) == record


def test_a_given_cluster_is_used_and_never_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "given"
    given.write_text("kept")
    monkeypatch.setenv("KEYWRIGHT_TEST_KUBECONFIG", str(given))

    assert cluster.up("default") == given
    cluster.down("default")
    assert given.read_text() == "kept"


def test_down_removes_dead_leftovers() -> None:
    directory = cluster_directory("left")
    directory.mkdir(parents=True)
    assert start_time(1) != 7
    cluster.write_record(directory, Record(Kind.BUILT, (Process("etcd", 1, 7),)))  # pid 1 of another boot
    cluster.down("left")
    assert not directory.exists()


@pytest.mark.parametrize("name", ["", "../etc", "A", "-a", "a" * 41])
def test_a_name_that_is_no_plain_directory_name_is_refused(name: str) -> None:
    with pytest.raises(ControlPlaneError, match="cluster name"):
        cluster_directory(name)


def test_an_origin_without_audit_log_says_so() -> None:
    with pytest.raises(ControlPlaneError, match="audit log"):
        cluster.audit_path("never-started")


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    someone = identity("someone", "group-a", "group-b")
    authority = tmp_path / "authority"
    authority.write_text("certificate")
    written = [
        write_signing_key(tmp_path / "key"),
        write_tokens(tmp_path / "tokens", someone),
        write_kubeconfig(tmp_path / "config", server="https://there", authority=authority, who=someone),
    ]
    assert [path.stat().st_mode & 0o777 for path in written] == [0o600] * 3
    assert written[1].read_text() == f'{someone.token},someone,someone,"group-a,group-b"\n'
    assert Access.of(written[2], authority) == Access("https://there", authority, someone.token)


def test_the_audit_policy_ends_with_everything_else() -> None:
    policy = json.loads(json.dumps(audit_policy()))
    assert policy["rules"][-1] == {"level": "Metadata"}
