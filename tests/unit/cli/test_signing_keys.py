"""`keywright signing-keys`: what it did, or one line that names the remedy."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from keywright.cli.main import main
from keywright.verifier.key_files import Purpose, Role, read_keys

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["signing-keys", *map(str, arguments)])


def test_it_makes_what_the_verifier_reads_and_says_what_it_wrote(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    result = run("new", keys)
    names = ("epoch", "srl-current.pem", "srl-next.pem")
    expected = "".join(f"wrote {keys / name}\n" for name in names)
    assert (result.exit_code, result.output) == (0, expected)
    assert read_keys(keys).epoch == 1


def test_it_says_which_key_signs_from_now_on(tmp_path: Path) -> None:
    run("new", tmp_path)
    result = run("promote", tmp_path)
    current = read_keys(tmp_path).rings[Purpose.LIST][Role.CURRENT].kid
    assert (result.exit_code, result.output) == (0, f"current is now {current}\n")


def test_what_cannot_be_done_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, words in [
        (("new", tmp_path), "give a directory that does not exist yet"),
        (("new", tmp_path / "none" / "keys"), "No such file or directory; give a directory to write into"),
        (("promote", tmp_path), "srl-current.pem: is missing; write an Ed25519 private key"),
        (("promote", tmp_path / "none"), "keywright signing-keys new DIR"),
        (("promote", tmp_path / "file"), "is a file"),
        (("new",), "Missing argument 'DIR'"),
    ]:
        result = run(*arguments)
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert words in result.output


def test_without_the_extra_it_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "joserfc" else found(name))
    result = run("new", tmp_path / "keys")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert 'pip install "keywright[verifier]"' in result.output
    assert not (tmp_path / "keys").exists()
