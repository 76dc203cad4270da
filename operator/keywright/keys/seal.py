"""The seal: how the operator knows again a Secret that it wrote itself.

Where an ApiKey has lost its status (a restore from backup, a move to another cluster), the value in its
Secret may live on only if the operator minted it: anyone who may write Secrets could have made one up.
So each Secret carries an HMAC over the facts that adoption would take from it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict, Unpack

from keywright.errors import KeywrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CURRENT = "current"
_VERSION = "v1"
_KEY_BYTES = 32  # as long as the output of SHA-256, the length that RFC 2104 recommends
# What Kubernetes takes as a data key; no `:` among it, which separates the parts of a seal.
_KEY_ID = re.compile(r"[-._A-Za-z0-9]{1,253}")


class MalformedSealingKeys(KeywrightError):  # noqa: N818  it names what is wrong, as the other errors do
    """The sealing keys cannot be used as they stand; names the entry, never its value."""

    code = "malformed_sealing_keys"


@dataclass(frozen=True)
class SealingKeys:
    """The data of the Secret `keywright-sealing`: `current` seals, every one of `keys` (by id) verifies.

    Raises MalformedSealingKeys unless each key has 32 bytes and `current` is the id of one of them.
    """

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        for name, key in self.keys.items():
            if name == _CURRENT or not _KEY_ID.fullmatch(name):
                raise MalformedSealingKeys("a sealing key needs another id", entry=name)
            if len(key) != _KEY_BYTES:
                raise MalformedSealingKeys(f"a sealing key has {_KEY_BYTES} bytes", entry=name)
        if self.current not in self.keys:
            raise MalformedSealingKeys("the entry names no sealing key that is present", entry=_CURRENT)

    @classmethod
    def new(cls, entropy: Callable[[int], bytes] = secrets.token_bytes) -> SealingKeys:
        """Make one key with a random id; `entropy(n)` returns n uniformly random bytes."""
        current = entropy(4).hex()
        return cls(current, {current: entropy(_KEY_BYTES)})

    @classmethod
    def from_secret_data(cls, data: Mapping[str, str]) -> SealingKeys:
        """Read the Secret's data (base64): `current` holds an id, every other entry is `<id>` → 32 bytes.

        Raises MalformedSealingKeys.
        """
        entries = {name: _decoded(name, text) for name, text in data.items()}
        # Not ASCII: no id either, so the check of `current` says it.
        current = entries.pop(_CURRENT, b"").decode("ascii", errors="replace")
        return cls(current, entries)

    def to_secret_data(self) -> dict[str, str]:
        """Return what `from_secret_data` reads."""
        entries = {_CURRENT: self.current.encode(), **self.keys}
        return {name: base64.b64encode(value).decode() for name, value in entries.items()}


class Facts(TypedDict):
    """What a seal vouches for: names, and the times as the annotations have them (no `expires_at`: "")."""

    namespace: str
    api_key: str
    secret_name: str
    key_id: str
    digest: str
    created_at: str
    expires_at: str
    revision: int


def seal(keys: SealingKeys, **facts: Unpack[Facts]) -> str:
    """Return `v1:<sealing key id>:<HMAC-SHA256, base64url without padding>` under the current key."""
    return _seal(keys.current, keys.keys[keys.current], facts)


def seal_holds(keys: SealingKeys, seal: str, **facts: Unpack[Facts]) -> bool:
    """Whether any of the keys sealed exactly these facts; False for another form or an unknown key.

    Takes the same time wherever the first wrong character is.
    """
    parts = seal.split(":")
    key_id = parts[1] if len(parts) == 3 else ""
    if key_id not in keys.keys:
        return False
    # The texts, not the decoded bytes: one HMAC then has one spelling.
    expected = _seal(key_id, keys.keys[key_id], facts)
    return hmac.compare_digest(expected.encode(), seal.encode(errors="surrogatepass"))


def _seal(key_id: str, key: bytes, facts: Facts) -> str:
    mac = hmac.digest(key, _message(facts), hashlib.sha256)
    return f"{_VERSION}:{key_id}:{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _message(facts: Facts) -> bytes:
    """Return the sealed bytes: one JSON array without white space, non-ASCII as \\uXXXX, revision a number.

    `["shop","checkout","checkout-key","7f3k2m9q0r4t6v8x","sha256:9f86…","2026-11-23T04:44:00Z","",3]`
    """
    array = [
        facts["namespace"],
        facts["api_key"],
        facts["secret_name"],
        facts["key_id"],
        facts["digest"],
        facts["created_at"],
        facts["expires_at"],
        facts["revision"],
    ]
    return json.dumps(array, separators=(",", ":"), ensure_ascii=True).encode()


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise MalformedSealingKeys("the entry is not base64", entry=name) from None
