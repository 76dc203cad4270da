"""Which key signs: never one that nobody has had the time to fetch, if there is a better one."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import structlog

from keywright.verifier.key_files import Purpose, Role, SigningKeysError, read_keys
from keywright.verifier.key_rotation import create, promote
from keywright.verifier.signing_keys import SETTLED, SigningKeys

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create(tmp_path / "keys")
    return tmp_path / "keys"


def kid(directory: Path, role: Role) -> str:
    return read_keys(directory).rings[Purpose.LIST][role].kid


def signer(keys: SigningKeys) -> str:
    keys.reread()
    return keys.signer(Purpose.LIST).kid


def test_the_first_key_signs_at_once(directory: Path, clock: Clock) -> None:
    assert signer(SigningKeys(directory, clock=clock)) == kid(directory, Role.CURRENT)


def test_a_next_key_that_was_published_long_enough_signs_once_it_is_promoted(
    directory: Path, clock: Clock
) -> None:
    keys = SigningKeys(directory, clock=clock)
    clock.now += SETTLED
    promote(directory)
    assert signer(keys) == kid(directory, Role.CURRENT)


def test_a_key_promoted_too_soon_waits_and_the_previous_one_signs(directory: Path, clock: Clock) -> None:
    keys = SigningKeys(directory, clock=clock)
    clock.now += SETTLED - 1
    promote(directory)
    assert signer(keys) == kid(directory, Role.PREVIOUS)
    clock.now += 1
    assert signer(keys) == kid(directory, Role.CURRENT)


def test_a_process_that_starts_after_a_promotion_signs_with_the_previous_key_first(
    directory: Path, clock: Clock
) -> None:
    promote(directory)
    keys = SigningKeys(directory, clock=clock)
    assert signer(keys) == kid(directory, Role.PREVIOUS)
    clock.now += SETTLED
    assert signer(keys) == kid(directory, Role.CURRENT)


def test_a_key_whose_private_half_is_gone_never_signs(directory: Path, clock: Clock) -> None:
    promote(directory)
    previous = read_keys(directory).rings[Purpose.LIST][Role.PREVIOUS].key
    (directory / "srl-previous.pem").write_bytes(previous.as_pem(private=False))
    assert signer(SigningKeys(directory, clock=clock)) == kid(directory, Role.CURRENT)


def test_a_key_that_was_taken_away_signs_no_more_and_its_successor_is_warned_of(
    directory: Path, clock: Clock
) -> None:
    keys = SigningKeys(directory, clock=clock)
    shutil.rmtree(directory)
    create(directory)
    with structlog.testing.capture_logs() as logs:
        assert signer(keys) == kid(directory, Role.CURRENT)
    told = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert told == ["a key signs that was not published before"]


def test_next_current_and_previous_are_published_without_their_private_halves(
    directory: Path, clock: Clock
) -> None:
    promote(directory)
    jwks = json.loads(SigningKeys(directory, clock=clock).jwks)
    assert {member["kid"] for member in jwks["keys"]} == {kid(directory, role) for role in Role}
    assert {frozenset(member) for member in jwks["keys"]} == {
        frozenset({"kty", "crv", "x", "kid", "use", "alg"})
    }


def test_files_that_cannot_be_used_are_told_once_and_the_last_good_ones_stay(
    directory: Path, clock: Clock
) -> None:
    keys = SigningKeys(directory, clock=clock)
    before, jwks = signer(keys), keys.jwks
    good = (directory / "srl-current.pem").read_bytes()
    (directory / "srl-current.pem").write_bytes(b"hunter2")
    (directory / "epoch").write_text("7")
    with structlog.testing.capture_logs() as logs:
        assert [signer(keys), signer(keys)] == [before, before]
    assert len(logs) == 1
    assert "srl-current.pem: holds no Ed25519 key" in logs[0]["why"]
    assert "hunter2" not in str(logs)
    assert (keys.epoch, keys.jwks) == (1, jwks)
    assert keys.problem == logs[0]["why"]

    (directory / "srl-current.pem").write_bytes(good)
    keys.reread()
    assert (keys.epoch, keys.problem) == (7, None)


def test_at_the_start_there_are_no_last_good_ones(directory: Path) -> None:
    (directory / "epoch").unlink()
    with pytest.raises(SigningKeysError, match="epoch: write a whole number"):
        SigningKeys(directory)
