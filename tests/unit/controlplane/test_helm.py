"""Which helm the tests get; never one that merely is on PATH."""

from pathlib import Path

import pytest

from controlplane import helm
from controlplane.building import required_version
from controlplane.errors import ControlPlaneError


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def test_the_one_that_was_named_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = program(tmp_path / "helm")
    monkeypatch.setenv("KEYWRIGHT_TEST_HELM", str(given))
    assert given == helm.path()


def test_else_the_built_one_of_the_pinned_version_whatever_is_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEYWRIGHT_TEST_HELM", raising=False)
    monkeypatch.setenv("PATH", str(program(tmp_path / "bin" / "helm").parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pinned = required_version(Path(helm.__file__).parent / "go.mod", "helm.sh/helm/v4")
    built = program(tmp_path / "cache" / "keywright" / f"helm-{pinned}" / "bin" / "helm")
    assert built == helm.path()


@pytest.mark.parametrize("named", ["gone", "."])
def test_a_named_one_that_is_no_program_is_an_error_and_no_fall_through(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYWRIGHT_TEST_HELM", str(tmp_path / named))
    with pytest.raises(ControlPlaneError, match="KEYWRIGHT_TEST_HELM"):
        helm.path()
