"""The signed revocation list as a format: what stands in one, how it is signed, and how one is believed.

A JWS in compact form. Writer (the verifier) and reader (`keywright.revocations`) share this file, and it
needs nothing but joserfc, so that whoever only reads lists installs no more. One algorithm, one type and
one kind of key are pinned here: what a token says of itself chooses nothing but the key, by its id.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from keywright.errors import KeywrightError

if TYPE_CHECKING:
    from collections.abc import Mapping

TYP = "keywright-srl+jwt"
MEDIA_TYPE = f"application/{TYP}"
SNAPSHOT_TYP = "keywright-snapshot+jwt"
"""What else these keys sign: see `keywright.decision.snapshot`."""
ALG = "EdDSA"
CURVE: Final = "Ed25519"
KID_PREFIX = "srl-"
"""What the id of every key for lists begins with: a key for tokens can so never sign a list."""

_HEADER = {"alg", "typ", "kid"}
_LONGEST = 64 * 1024 * 1024  # base64 characters: about half a million revoked keys


class RefusedListError(KeywrightError):
    """A list, or a JWKS, is not believed; `code` says why, and nothing of it was used."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Revoked(NamedTuple):
    """A key that is never valid again; times in seconds since 1970, as JWTs have them."""

    key_id: str
    at: int
    reason: str
    until: int | None
    """From when on the key could not be valid anyway; None: it has no end of its own."""


class Claims(NamedTuple):
    """What a list says."""

    issuer: str
    project: str
    issued_at: int
    expires_at: int
    epoch: int
    seq: int
    revoked: tuple[Revoked, ...]

    def members(self) -> dict[str, Any]:
        """Return the JSON object that is signed, in its order."""
        return {
            "iss": self.issuer,
            "aud": self.project,
            "iat": self.issued_at,
            "exp": self.expires_at,
            "epoch": self.epoch,
            "seq": self.seq,
            "revoked": [entry._asdict() for entry in self.revoked],
        }


class _OneAlgorithm(jws.JWSRegistry):
    """Knows one algorithm, whatever a header asks for, and takes lists of any likely length."""

    max_payload_length = _LONGEST

    def get_alg(self, name: str) -> Any:
        if name != ALG:
            raise RefusedListError("wrong_algorithm", f"the list is not signed with {ALG}")
        return self.algorithms[ALG]


_REGISTRY = _OneAlgorithm()


def sign(payload: bytes, key: OKPKey, kid: str, *, typ: str = TYP) -> str:
    """Return the list as it is served."""
    return jws.serialize_compact({"alg": ALG, "typ": typ, "kid": kid}, payload, key, registry=_REGISTRY)


def public_keys(jwks: Any) -> dict[str, OKPKey]:
    """Return the keys of a JWKS that may sign lists, by id; keys for anything else are passed over.

    Raises RefusedListError where there is none.
    """
    members = jwks.get("keys") if isinstance(jwks, dict) else None
    found = {
        member["kid"]: key
        for member in (members if isinstance(members, list) else [])
        if _is_for_lists(member) and (key := _public_key(member)) is not None
    }
    if not found:
        raise RefusedListError("no_keys", "the JWKS holds no key for revocation lists")
    return found


def verify(token: str | bytes, keys: Mapping[str, OKPKey]) -> Claims:
    """Return what a list says if one of these keys signed it. Whether it has expired is not asked here.

    Raises RefusedListError.
    """
    payload = opened(token, keys, typ=TYP)
    try:
        return _claims(json.loads(payload))
    except (KeyError, TypeError, ValueError):
        # None of it may be quoted: `from None`.
        raise RefusedListError("malformed", "the list lacks a claim, or one has another form") from None


def opened(token: str | bytes, keys: Mapping[str, OKPKey], *, typ: str) -> bytes:
    """Return what was signed, if it is of this type and one of these keys signed it.

    Raises RefusedListError.
    """
    raw = token.encode(errors="surrogatepass") if isinstance(token, str) else token
    try:
        signed = jws.extract_compact(raw.strip(), registry=_REGISTRY)
        header = signed.headers()
        key = keys[_checked_kid(header, keys, typ)]
        genuine = jws.validate_compact(signed, key, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError):
        raise RefusedListError("malformed", "the list is not a JWS in compact form") from None
    if not genuine:
        raise RefusedListError("bad_signature", "the signature of the list does not hold")
    return signed.payload


def _is_for_lists(member: Any) -> bool:
    return (
        isinstance(member, dict)
        and (member.get("kty"), member.get("crv")) == ("OKP", CURVE)
        and member.get("alg", ALG) == ALG
        and member.get("use", "sig") == "sig"
        and isinstance(member.get("kid"), str)
        and member["kid"].startswith(KID_PREFIX)
    )


def _public_key(member: Mapping[str, Any]) -> OKPKey | None:
    try:
        return OKPKey.import_key({"kty": "OKP", "crv": CURVE, "x": member["x"]})
    except (JoseError, KeyError, ValueError, TypeError):
        return None


def _checked_kid(header: Any, keys: Mapping[str, OKPKey], typ: str) -> str:
    if not isinstance(header, dict):  # a text with "alg" in it comes this far
        raise RefusedListError("malformed", "the header of the list is no JSON object")
    # A type of its own first: a token that the same service signed is no list.
    if header.get("typ") != typ:
        raise RefusedListError("wrong_type", f"the list is not of the type {typ}")
    if set(header) != _HEADER:
        raise RefusedListError("malformed", "the header of the list holds more than alg, typ and kid")
    kid = header["kid"]
    if not isinstance(kid, str) or kid not in keys:
        raise RefusedListError("unknown_key", "the list is signed with a key that is not in the JWKS")
    return kid


def _claims(data: Any) -> Claims:
    return Claims(
        issuer=_text(data["iss"]),
        project=_text(data["aud"]),
        issued_at=_number(data["iat"]),
        expires_at=_number(data["exp"]),
        epoch=_number(data["epoch"]),
        seq=_number(data["seq"]),
        revoked=tuple(map(_revoked, data["revoked"])),
    )


def _revoked(entry: Any) -> Revoked:
    until = entry["until"]
    return Revoked(
        _text(entry["key_id"]),
        _number(entry["at"]),
        _text(entry["reason"]),
        None if until is None else _number(until),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:  # True is an int too
        raise TypeError
    return value
