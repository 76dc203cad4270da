"""The directory of signing keys: what it may hold, and what is said where it cannot be used."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from joserfc.jwk import ECKey, OKPKey

from keywright.verifier.key_files import Purpose, Role, SigningKeysError, read_keys
from keywright.verifier.key_rotation import create, promote

if TYPE_CHECKING:
    from pathlib import Path


def pem(*, private: bool = True) -> bytes:
    return OKPKey.generate_key("Ed25519").as_pem(private=private)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create(tmp_path / "keys")
    return tmp_path / "keys"


def said(directory: Path) -> str:
    with pytest.raises(SigningKeysError) as refused:
        read_keys(directory)
    return str(refused.value)


def test_what_was_created_is_read_and_nobody_else_can_read_it(directory: Path) -> None:
    files = read_keys(directory)
    assert files.epoch == 1
    assert list(files.rings) == [Purpose.LIST]
    assert set(files.rings[Purpose.LIST]) == {Role.NEXT, Role.CURRENT}
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    assert directory.stat().st_mode & 0o777 == 0o700


def test_keys_that_openssl_makes_are_read(directory: Path) -> None:
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(directory / "srl-current.pem")]
    subprocess.run(command, check=True)
    assert Role.CURRENT in read_keys(directory).rings[Purpose.LIST]


def test_keys_of_lists_and_tokens_have_ids_of_their_own(directory: Path) -> None:
    (directory / "token-current.pem").write_bytes(pem())
    rings = read_keys(directory).rings
    assert rings[Purpose.LIST][Role.CURRENT].kid.startswith("srl-")
    assert rings[Purpose.TOKEN][Role.CURRENT].kid.startswith("token-")


def test_of_the_previous_key_the_public_half_will_do(directory: Path) -> None:
    (directory / "srl-previous.pem").write_bytes(pem(private=False))
    previous = read_keys(directory).rings[Purpose.LIST][Role.PREVIOUS]
    assert not previous.signs


def test_a_mounted_secret_is_read_through_its_one_link(tmp_path: Path, directory: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    directory.rename(mount / "..2026_11_23")
    (mount / "..data").symlink_to("..2026_11_23")
    for name in ("epoch", "srl-current.pem", "srl-next.pem"):
        (mount / name).symlink_to(f"..data/{name}")
    assert read_keys(mount).epoch == 1


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("epoch", None, "epoch: write a whole number from 1 "),
        ("epoch", b"0", "epoch: write a whole number from 1 "),
        ("epoch", b"1.5", "epoch: write a whole number from 1 "),
        ("epoch", b"\xff", "epoch: write a whole number from 1 "),
        ("srl-current.pem", None, "srl-current.pem: is missing; write an Ed25519 private key in PEM"),
        ("srl-current.pem", b"hunter2", "srl-current.pem: holds no Ed25519 key"),
        ("srl-current.pem", b"", "srl-current.pem: holds no Ed25519 key"),
        ("srl-current.pem", ECKey.generate_key("P-256").as_pem(private=True), "holds no Ed25519 key"),
        ("srl-current.pem", OKPKey.generate_key("X25519").as_pem(private=True), "of another curve"),
        ("srl-current.pem", OKPKey.generate_key("Ed448").as_pem(private=True), "of another curve"),
        ("srl-current.pem", pem(private=False), "srl-current.pem: holds a public key only"),
        ("srl-next.pem", pem(private=False), "srl-next.pem: holds a public key only"),
        ("srl-curent.pem", pem(), "srl-curent.pem: no key has this name; the names are srl-current.pem, "),
        ("token-next.pem", pem(), "token-current.pem: is missing"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_to_write_instead(
    directory: Path, name: str, content: bytes | None, expected: str
) -> None:
    if content is None:
        (directory / name).unlink()
    else:
        (directory / name).write_bytes(content)
    message = said(directory)
    assert expected in message
    assert "hunter2" not in message
    assert "PRIVATE" not in message


def test_a_key_with_a_password_is_refused_without_a_word_of_it(directory: Path) -> None:
    text = OKPKey.generate_key("Ed25519").as_pem(private=True, password="hunter2")
    (directory / "srl-current.pem").write_bytes(text)
    assert "srl-current.pem: holds no Ed25519 key that can be read without a password" in said(directory)


@pytest.mark.parametrize("copy", ["srl-previous.pem", "token-current.pem"])
def test_one_key_has_one_place_and_one_purpose(directory: Path, copy: str) -> None:
    (directory / copy).write_bytes((directory / "srl-current.pem").read_bytes())
    assert f"{copy}: holds the same key as srl-current.pem" in said(directory)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none'}: No such file or directory; give a directory" in said(tmp_path / "none")


def test_promoting_moves_each_key_on_by_one(directory: Path) -> None:
    before = read_keys(directory).rings[Purpose.LIST]
    ids = promote(directory)
    after = read_keys(directory).rings[Purpose.LIST]
    assert ids == [before[Role.NEXT].kid]
    assert (after[Role.CURRENT], after[Role.PREVIOUS]) == (before[Role.NEXT], before[Role.CURRENT])
    assert after[Role.NEXT] not in before.values()
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_without_a_next_key_nothing_is_promoted_and_nothing_changes(directory: Path) -> None:
    (directory / "srl-next.pem").unlink()
    before = read_keys(directory)
    with pytest.raises(SigningKeysError, match=r"srl-next\.pem: is missing; write one, publish it"):
        promote(directory)
    assert read_keys(directory) == before


def test_keys_that_are_there_are_never_overwritten(directory: Path) -> None:
    before = read_keys(directory)
    with pytest.raises(SigningKeysError, match="is not empty; give a directory that does not exist yet"):
        create(directory)
    assert read_keys(directory) == before


def test_a_private_key_shows_in_no_repr(directory: Path) -> None:
    secret = OKPKey.import_key((directory / "srl-current.pem").read_bytes()).as_dict(private=True)["d"]
    text = repr(read_keys(directory))
    assert str(secret) not in text
    assert "OKPKey" not in text
