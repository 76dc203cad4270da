"""How a directory of signing keys comes to be, and how its keys move on by one.

Done where a person is, not by the verifier: its mounted Secret is read-only, and so are its rights.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from joserfc.jwk import OKPKey

from keywright.srl import CURVE
from keywright.verifier.key_files import EPOCH, Purpose, Role, SigningKeysError, file_name, read_keys

if TYPE_CHECKING:
    from pathlib import Path

_HIDDEN = ".next.pem"  # never read, whenever this is interrupted


def create(directory: Path) -> list[str]:
    """Make a directory with the first keys, readable by its owner alone; return the names of the files.

    Raises SigningKeysError where there is something already.
    """
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        if any(directory.iterdir()):
            raise SigningKeysError(f"{directory}: is not empty; give a directory that does not exist yet")
        for role in (Role.CURRENT, Role.NEXT):
            _write(directory / file_name(Purpose.LIST, role), _new_key())
        _write(directory / EPOCH, b"1\n")
    except OSError as error:
        raise SigningKeysError(f"{directory}: {error.strerror}; give a directory to write into") from None
    return sorted(path.name for path in directory.iterdir())


def promote(directory: Path) -> list[str]:
    """Make current keys previous, next ones current, and new next ones; return the ids that sign from now on.

    Raises SigningKeysError, before anything has changed, where a key cannot be used or there is no next one.
    """
    rings = read_keys(directory).rings
    for purpose, ring in rings.items():
        if Role.NEXT not in ring:
            name = file_name(purpose, Role.NEXT)
            remedy = "write one, publish it, and promote it after 15 minutes"
            raise SigningKeysError(f"{name}: is missing; {remedy}: openssl genpkey -algorithm ed25519")
    try:
        for purpose in rings:
            _promote(directory, purpose)
    except OSError as error:
        raise SigningKeysError(f"{directory}: {error.strerror}; give a directory to write into") from None
    return [ring[Role.NEXT].kid for ring in rings.values()]


def _promote(directory: Path, purpose: Purpose) -> None:
    later, current, previous = (directory / file_name(purpose, role) for role in Role)
    hidden = directory / _HIDDEN
    hidden.unlink(missing_ok=True)
    _write(hidden, _new_key())
    current.replace(previous)
    later.replace(current)
    hidden.replace(later)


def _new_key() -> bytes:
    return OKPKey.generate_key(CURVE).as_pem(private=True)


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
