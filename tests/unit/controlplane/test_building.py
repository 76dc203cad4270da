"""A program of our own is built again when anything that it is made of changes."""

from pathlib import Path

import pytest

from controlplane.building import content_version


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go"])
def test_a_change_is_another_version(tmp_path: Path, changed: str) -> None:
    for name in ("go.mod", "go.sum", "main.go"):
        (tmp_path / name).write_text(name)
    before = content_version(tmp_path / "go.mod")
    assert content_version(tmp_path / "go.mod") == before
    (tmp_path / changed).write_text("another")
    assert content_version(tmp_path / "go.mod") != before
