"""The raw key: how one is minted, recognised and named without being shown.

    <keyPrefix>_<dev|prod|client>_<id:16>_<secret:43><checksum:6>

Only `_` separates, so a double click selects it all; the part after the prefix has a fixed length,
so a scanner finds it; the checksum tells a real key from noise offline. It is no security check:
whoever knows the form can make up a key that parses.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn, SupportsIndex, final

from keywright.api.project import KeyType
from keywright.errors import KeywrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TYPE_PARTS: Mapping[KeyType, str] = MappingProxyType(
    {KeyType.DEVELOPMENT: "dev", KeyType.PRODUCTION: "prod", KeyType.CLIENT: "client"}
)

_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_ID_LENGTH = 16
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES = 32
_SECRET_LENGTH = 43  # 62**43 is the first power of 62 beyond 2**256
_CHECKSUM_LENGTH = 6  # 62**6 likewise beyond 2**32
_TAIL_LENGTH = _SECRET_LENGTH + _CHECKSUM_LENGTH

_TYPE = f"(?:{'|'.join(TYPE_PARTS.values())})_"
_FORM = re.compile(
    rf"(?!{_TYPE})[a-z][a-z0-9]{{1,9}}_(?:(?!{_TYPE})[a-z0-9]{{1,10}}_){{0,2}}"  # spec.keyPrefix of a Project
    rf"{_TYPE}[a-z0-9]{{{_ID_LENGTH}}}_[0-9A-Za-z]{{{_TAIL_LENGTH}}}"
)


class MalformedKey(KeywrightError):  # noqa: N818  it names what is wrong, as the other errors do
    """A text is not a raw key. The message never quotes it: it may be a mistyped one, or another secret."""

    code = "malformed_key"


@final
class RawKey:
    """A well-formed raw key, from `mint` or `parse`; only `value` gives it away.

    Immutable. Logs, tracebacks that show locals and f-strings get the hint; `pickle`, `copy` and, not
    being a dataclass, `asdict` are refused. Two are equal when their digests are, so comparing takes no
    time that depends on the value.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    @property
    def value(self) -> str:
        """The whole raw string: belongs in the Secret, and nowhere else."""
        return self._value

    @property
    def hint(self) -> str:
        """Everything before the secret part, without the `_` between them: public."""
        return self._value[: -_TAIL_LENGTH - 1]

    @property
    def id(self) -> str:
        """The public, random name of the generation: 16 of [a-z0-9]."""
        return self.hint[-_ID_LENGTH:]

    @property
    def digest(self) -> str:
        """What `status.keys` holds instead of the value: see `digest_of`."""
        return digest_of(self._value)

    def __repr__(self) -> str:
        return f"RawKey({self.hint})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RawKey) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a RawKey is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a RawKey is immutable")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a RawKey is neither pickled nor copied")


def mint(prefix: str, key_type: KeyType, *, entropy: Callable[[int], bytes] = secrets.token_bytes) -> RawKey:
    """Make a new raw key with 256 bits of secret; `prefix` is the Project's keyPrefix.

    `entropy(n)` returns n uniformly random bytes. Raises MalformedKey if the prefix breaks its grammar:
    what is minted is what parses.
    """
    number = int.from_bytes(entropy(_SECRET_BYTES), "big")
    head = f"{prefix}_{TYPE_PARTS[key_type]}_{_random_id(entropy)}_{_base62(number, _SECRET_LENGTH)}"
    return parse(head + checksum(head))


def parse(text: str) -> RawKey:
    """Read a raw key in its exact form, nothing around it.

    Raises MalformedKey for any other text: another form, a secret of 2^256 or more, a wrong checksum.
    """
    if not _FORM.fullmatch(text):
        raise MalformedKey("the text does not have the form of a key")
    # The alphabet is in ASCII order and the length fixed, so the texts compare as their numbers do.
    if text[-_TAIL_LENGTH:-_CHECKSUM_LENGTH] > _LAST_SECRET:
        raise MalformedKey("the secret part of the key is out of range")
    if text[-_CHECKSUM_LENGTH:] != checksum(text[:-_CHECKSUM_LENGTH]):
        raise MalformedKey("the checksum of the key does not match: it is mistyped or cut")
    return RawKey(text)


def digest_of(value: str | bytes) -> str:
    """Return `sha256:` and the lower-case hex SHA-256 of a value, whether it is a raw key or not.

    SHA-256 without salt or stretching suffices: 256 random bits cannot be guessed.
    """
    return f"sha256:{hashlib.sha256(_bytes(value)).hexdigest()}"


def checksum(text: str) -> str:
    """Return the CRC-32 (that of zlib, RFC 1952) of everything before the checksum, as 6 digits of base62."""
    return _base62(zlib.crc32(_bytes(text)), _CHECKSUM_LENGTH)


def _bytes(value: str | bytes) -> bytes:
    # Strict encoding would put the offending text into its error.
    return value if isinstance(value, bytes) else value.encode(errors="surrogatepass")


def _base62(number: int, length: int) -> str:
    """Write a number big-endian, left-padded with 0."""
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits


def _random_id(entropy: Callable[[int], bytes]) -> str:
    letters = ""
    while len(letters) < _ID_LENGTH:
        # 252 is the largest multiple of 36 in a byte: the four values beyond would favour four letters.
        letters += "".join(_ID_ALPHABET[byte % 36] for byte in entropy(_ID_LENGTH) if byte < 252)
    return letters[:_ID_LENGTH]


_LAST_SECRET = _base62(2**256 - 1, _SECRET_LENGTH)
