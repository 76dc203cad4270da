"""What the directory of signing keys holds, and what to write instead where it cannot be used.

    epoch               a whole number from 1 on; a higher one after a restore
    srl-current.pem     Ed25519 private keys in PEM, for revocation lists: the one that signs,
    srl-next.pem        the one that will (optional),
    srl-previous.pem    and the one that did (optional; its public half alone will do)
    token-….pem         the same three for tokens (optional)

Plain files, so that a Secret of them is made by `kubectl create secret generic --from-file` and needs no
other tool. A key's id is its purpose and its RFC 7638 thumbprint: nobody has to choose one, and a key
cannot serve two purposes under one id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey, import_key

from keywright.errors import KeywrightError
from keywright.srl import ALG, CURVE, KID_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

EPOCH = "epoch"
_EPOCH = re.compile(r"[1-9][0-9]{0,8}")
_MOUNTED = "..data"  # where the kubelet's symlink points at one consistent version of a mounted Secret
_REMEDY = "write an Ed25519 private key in PEM: openssl genpkey -algorithm ed25519"


class Purpose(StrEnum):
    """What a key signs."""

    LIST = "srl"
    TOKEN = "token"  # noqa: S105  the first part of file names


class Role(StrEnum):
    """Where a key stands in its life, oldest last."""

    NEXT = "next"
    CURRENT = "current"
    PREVIOUS = "previous"


class SigningKeysError(KeywrightError):
    """The directory cannot be used as it stands; names the file and what to write, never its content."""

    code = "signing_keys"


@dataclass(frozen=True)
class SigningKey:
    """One key and its id."""

    kid: str
    key: OKPKey = field(repr=False, compare=False)

    @property
    def signs(self) -> bool:
        """Whether the private half is there."""
        return self.key.is_private

    def public(self) -> dict[str, Any]:
        """Return its member of the JWKS."""
        public = self.key.as_dict(private=False)
        return {"kty": "OKP", "crv": CURVE, "x": public["x"], "kid": self.kid, "use": "sig", "alg": ALG}


@dataclass(frozen=True)
class KeyFiles:
    """What was read, of one moment; a purpose without keys is absent."""

    epoch: int
    rings: Mapping[Purpose, Mapping[Role, SigningKey]]

    def published(self) -> Iterator[SigningKey]:
        """Return every key: lists before tokens, next before current before previous."""
        for ring in self.rings.values():
            yield from ring.values()


def file_name(purpose: Purpose, role: Role) -> str:
    """Return the name of a key's file."""
    return f"{purpose}-{role}.pem"


def read_keys(directory: Path) -> KeyFiles:
    """Read the directory; raises SigningKeysError where there is anything in it that cannot be used."""
    texts = _texts(directory)
    known = {file_name(purpose, role) for purpose in Purpose for role in Role}
    for name in sorted(texts):
        if name not in known | {EPOCH}:
            raise _error(name, f"no key has this name; the names are {', '.join(sorted(known))}")
    rings = {purpose: ring for purpose in Purpose if (ring := _ring(purpose, texts))}
    for purpose, ring in rings.items():
        if Role.CURRENT not in ring:
            raise _error(file_name(purpose, Role.CURRENT), f"is missing; {_REMEDY}")
    if Purpose.LIST not in rings:
        raise _error(file_name(Purpose.LIST, Role.CURRENT), f"is missing; {_REMEDY}")
    _refuse_doubles(rings)
    return KeyFiles(_epoch(texts.get(EPOCH)), rings)


def _texts(directory: Path) -> dict[str, bytes]:
    """Return the files of one version of a mounted Secret; while it is replaced, reading may fail once."""
    try:
        root = (directory / _MOUNTED).resolve() if (directory / _MOUNTED).exists() else directory
        return {
            path.name: path.read_bytes()
            for path in root.iterdir()
            if path.name == EPOCH or (path.suffix == ".pem" and not path.name.startswith("."))
        }
    except OSError as error:
        remedy = "give a directory of signing keys: keywright signing-keys new DIR"
        raise SigningKeysError(f"{directory}: {error.strerror}; {remedy}") from None


def _ring(purpose: Purpose, texts: Mapping[str, bytes]) -> dict[Role, SigningKey]:
    return {
        role: _key(purpose, role, texts[name]) for role in Role if (name := file_name(purpose, role)) in texts
    }


def _key(purpose: Purpose, role: Role, pem: bytes) -> SigningKey:
    name = file_name(purpose, role)
    try:
        key = import_key(pem, "OKP")
    except (JoseError, ValueError, TypeError):
        # Neither shown nor chained: a message of the parser might quote the file.
        raise _error(name, f"holds no Ed25519 key that can be read without a password; {_REMEDY}") from None
    if key.curve_name != CURVE:
        raise _error(name, f"holds a key of another curve; {_REMEDY}")
    if role is not Role.PREVIOUS and not key.is_private:
        raise _error(name, f"holds a public key only; {_REMEDY}")
    prefix = KID_PREFIX if purpose is Purpose.LIST else f"{purpose}-"
    return SigningKey(f"{prefix}{key.thumbprint()}", key)


def _refuse_doubles(rings: Mapping[Purpose, Mapping[Role, SigningKey]]) -> None:
    seen: dict[str, str] = {}
    for purpose, ring in rings.items():
        for role, key in ring.items():
            name = file_name(purpose, role)
            first = seen.setdefault(key.key.thumbprint(), name)
            if first != name:
                raise _error(name, f"holds the same key as {first}; {_REMEDY}")


def _epoch(text: bytes | None) -> int:
    number = (text or b"").strip().decode("ascii", errors="replace")
    if not _EPOCH.fullmatch(number):
        raise _error(EPOCH, "write a whole number from 1 to 999999999: 1 at first, more after a restore")
    return int(number)


def _error(name: str, what: str) -> SigningKeysError:
    return SigningKeysError(f"{name}: {what}")
