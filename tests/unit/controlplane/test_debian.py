"""Which programs the tests get that only a distribution has, and what happens where there are none."""

import os
import subprocess
from pathlib import Path

import pytest

from controlplane import debian
from controlplane.errors import ControlPlaneError
from harness.debian import required


def program(path: Path, script: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH, and its cache."""
    monkeypatch.delenv("KEYWRIGHT_TEST_REDIS", raising=False)
    monkeypatch.setattr(debian, "_SYSTEM_PATH", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def packaged(bare: Path) -> Path:
    """One with an apt, whose package of redis-server depends on a library; what apt does, it writes down."""
    program(
        bare / "bin" / "apt-get",
        f"""echo "$*" >> {bare}/asked
case "$*" in
*install*) echo "Inst liblzf1 (3.6-3 Debian:12/stable [amd64])"
           echo "Inst redis-server [5:7.0.1] (5:7.0.15-1 Debian:12/stable [amd64])";;
*download*) : > redis-server.deb; : > liblzf1.deb;;
esac""",
    )
    program(
        bare / "bin" / "dpkg-deb",
        '''/bin/mkdir -p "$3/usr/bin" "$3/usr/lib/here"
: > "$3/usr/lib/here/liblzf.so.1"
echo '#!/bin/sh
echo "$LD_LIBRARY_PATH" "$@" $$' > "$3/usr/bin/redis-server"
/bin/chmod 755 "$3/usr/bin/redis-server"''',
    )
    return bare


def asked(machine: Path) -> str:
    return (machine / "asked").read_text()


def test_the_one_that_was_named_is_used_before_that_on_path(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = program(bare / "mine")
    program(bare / "bin" / "redis-server")
    monkeypatch.setenv("KEYWRIGHT_TEST_REDIS", str(given))
    assert given == debian.binary("redis-server")


def test_a_named_one_that_is_no_program_is_an_error_and_no_fall_through(
    packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYWRIGHT_TEST_REDIS", str(packaged / "gone"))
    with pytest.raises(ControlPlaneError, match="KEYWRIGHT_TEST_REDIS"):
        debian.binary("redis-server")


def test_else_the_machines_own_is_used_and_apt_is_not_asked(packaged: Path) -> None:
    own = program(packaged / "bin" / "redis-server")
    assert own == debian.binary("redis-server")
    assert not (packaged / "asked").exists()


def test_else_the_package_is_unpacked_with_what_it_depends_on(packaged: Path) -> None:
    debian.binary("redis-server")
    assert "download liblzf1=3.6-3 redis-server=5:7.0.15-1\n" in asked(packaged)


def test_the_unpacked_program_finds_its_libraries_and_keeps_the_pid_that_was_started(packaged: Path) -> None:
    path = debian.binary("redis-server")
    child = subprocess.Popen([path, "--port", "0"], stdout=subprocess.PIPE, text=True)
    said, _ = child.communicate(timeout=60)
    assert f"{path.parent}/root/usr/lib/here --port 0 {child.pid}\n" == said


def test_what_was_unpacked_once_is_used_again_without_asking(packaged: Path) -> None:
    first = debian.binary("redis-server")
    (packaged / "asked").unlink()
    assert first == debian.binary("redis-server")
    assert not (packaged / "asked").exists()


def test_package_lists_that_are_missing_are_fetched_into_the_cache(packaged: Path) -> None:
    apt = packaged / "bin" / "apt-get"
    known = apt.read_text()
    lists = packaged / "cache" / "keywright" / "debian" / "lists"
    outdated = f'case "$*" in *Lists={lists}*) ;; *) exit 100;; esac'
    program(apt, f"{outdated}\n{known}")
    assert os.access(debian.binary("redis-server"), os.X_OK)
    assert "update\n" in asked(packaged)


def test_a_failed_download_leaves_nothing_that_is_taken_for_a_program(packaged: Path) -> None:
    apt = packaged / "bin" / "apt-get"
    works = apt.read_text()
    program(apt, "echo 404; exit 100")
    with pytest.raises(ControlPlaneError, match="404"):
        debian.binary("redis-server")
    program(apt, works)
    assert os.access(debian.binary("redis-server"), os.X_OK)


def test_a_machine_without_apt_is_told_what_to_do(bare: Path) -> None:
    with pytest.raises(ControlPlaneError, match="install it, or name one with KEYWRIGHT_TEST_REDIS"):
        debian.binary("redis-server")


def test_a_program_that_cannot_be_had_skips_the_test_that_needs_it(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="KEYWRIGHT_TEST_REDIS names one"):
        required("redis-server")


def test_in_a_ci_system_it_fails_it(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install it"):
        required("redis-server")
