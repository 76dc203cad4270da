"""A list is believed when one pinned algorithm, type and kind of key say so, and in no other case."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import ECKey, OKPKey

from keywright import srl

KEY = OKPKey.generate_key("Ed25519")
KID = "srl-1"
KEYS = {KID: KEY}
CLAIMS = srl.Claims("iss", "a/b", 100, 400, 1, 7, (srl.Revoked("k" * 16, 90, "Deleted", None),))
HEADER = {"alg": "EdDSA", "typ": "keywright-srl+jwt", "kid": KID}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def payload_of(claims: srl.Claims) -> bytes:
    return json.dumps(claims.members()).encode()


def signed(header: dict[str, Any], payload: bytes | None = None, key: OKPKey = KEY) -> str:
    """Sign whatever it is, as a writer with our key and other ideas would."""
    head = b64(json.dumps(header).encode())
    text = f"{head}.{b64(payload_of(CLAIMS) if payload is None else payload)}"
    private = key.private_key
    assert isinstance(private, Ed25519PrivateKey)
    return f"{text}.{b64(private.sign(text.encode()))}"


def refused(token: str | bytes, keys: dict[str, OKPKey] = KEYS) -> str:
    with pytest.raises(srl.RefusedListError) as error:
        srl.verify(token, keys)
    text = "".join(traceback.format_exception(error.value))
    assert "kkkk" not in text.replace("key", "")
    return error.value.code


def member(**changes: Any) -> dict[str, Any]:
    public = KEY.as_dict(private=False)
    return {**public, "kid": KID, "use": "sig", "alg": "EdDSA", **changes}


def test_what_was_signed_is_read_back() -> None:
    assert srl.verify(srl.sign(payload_of(CLAIMS), KEY, KID), KEYS) == CLAIMS
    assert srl.verify(signed(HEADER).encode() + b"\n", KEYS) == CLAIMS


@pytest.mark.filterwarnings("error")
def test_signing_and_verifying_warn_of_nothing() -> None:
    srl.verify(srl.sign(payload_of(CLAIMS), KEY, KID), KEYS)


def test_a_list_of_a_hundred_thousand_keys_is_read() -> None:
    many = tuple(srl.Revoked(f"{number:016}", 1, "KeyCompromise", 2) for number in range(100_000))
    claims = CLAIMS._replace(revoked=many)
    assert srl.verify(srl.sign(payload_of(claims), KEY, KID), KEYS) == claims


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"typ": "at+jwt"}, "wrong_type"),
        ({"typ": "JWT"}, "wrong_type"),
        ({"typ": "application/keywright-srl+jwt"}, "wrong_type"),
        ({"typ": None}, "wrong_type"),
        ({"alg": "none"}, "wrong_algorithm"),
        ({"alg": "None"}, "wrong_algorithm"),
        ({"alg": "HS256"}, "wrong_algorithm"),
        ({"alg": "ES256"}, "wrong_algorithm"),
        ({"alg": "Ed25519"}, "wrong_algorithm"),
        ({"kid": "srl-2"}, "unknown_key"),
        ({"kid": None}, "unknown_key"),
        ({"kid": ["srl-1"]}, "unknown_key"),
        ({"jwk": member()}, "malformed"),
        ({"jku": "https://evil.example.com"}, "malformed"),
        ({"crit": ["b64"], "b64": False}, "malformed"),
    ],
)
def test_a_header_that_asks_for_anything_else_is_refused_though_the_signature_holds(
    changes: dict[str, Any], code: str
) -> None:
    assert code == refused(signed({**HEADER, **changes}))


def test_without_a_signature_nothing_is_believed() -> None:
    head, payload, _ = signed({**HEADER, "alg": "none"}).split(".")
    assert refused(f"{head}.{payload}.") == "wrong_algorithm"
    head, payload, _ = signed(HEADER).split(".")
    assert refused(f"{head}.{payload}.") == "bad_signature"


def test_the_public_key_is_no_secret_for_hmac() -> None:
    text = ".".join(signed({**HEADER, "alg": "HS256"}).split(".")[:2])
    for secret in (KEY.as_pem(private=False), base64.urlsafe_b64decode(str(member()["x"]) + "=")):
        mac = b64(hmac.digest(secret, text.encode(), hashlib.sha256))
        assert refused(f"{text}.{mac}") == "wrong_algorithm"
        head = b64(json.dumps(HEADER).encode())
        assert refused(f"{head}.{text.split('.')[1]}.{mac}") == "bad_signature"


def test_a_key_of_somebody_else_under_a_known_id_is_refused() -> None:
    assert refused(signed(HEADER, key=OKPKey.generate_key("Ed25519"))) == "bad_signature"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "é.é.é",
        "\ud800.x.y",
        "{}",
        b"\xff\xfe",
        signed(HEADER).replace(".", ""),
    ],
)
def test_what_is_no_jws_is_refused(token: str | bytes) -> None:
    assert refused(token) == "malformed"


def test_a_header_that_is_no_object_is_refused() -> None:
    for head in (b"[]", b"1", b"null", b'"alg"', b"{}", b"\xff"):
        assert refused(f"{b64(head)}.e30.AAAA") in {"malformed", "wrong_type"}


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": None},
        {"aud": ["a/b"]},
        {"iat": "100"},
        {"exp": 400.5},
        {"epoch": True},
        {"seq": -1},
        {"seq": "7"},
        {"revoked": None},
        {"revoked": [1]},
        {"revoked": [{}]},
        {"revoked": [{"key_id": 1, "at": 1, "reason": "", "until": None}]},
        {"revoked": [{"key_id": "a", "at": 1, "reason": "", "until": "never"}]},
        {"revoked": [{"key_id": "a", "at": 1, "reason": ""}]},
    ],
)
def test_a_claim_of_another_form_is_refused_as_a_whole(changes: dict[str, Any]) -> None:
    claims = {**json.loads(payload_of(CLAIMS)), **changes}
    assert refused(signed(HEADER, json.dumps(claims).encode())) == "malformed"


def test_a_list_without_a_claim_is_refused() -> None:
    whole = json.loads(payload_of(CLAIMS))
    for name in whole:
        claims = {other: value for other, value in whole.items() if other != name}
        assert refused(signed(HEADER, json.dumps(claims).encode())) == "malformed"
    for payload in (b"", b"[]", b"null", b"\xff", b"{"):
        assert refused(signed(HEADER, payload)) == "malformed"


def test_claims_that_come_later_are_passed_over() -> None:
    claims = {**json.loads(payload_of(CLAIMS)), "later": 1}
    assert srl.verify(signed(HEADER, json.dumps(claims).encode()), KEYS) == CLAIMS


def test_of_a_jwks_only_public_keys_for_lists_are_taken() -> None:
    jwks = {
        "keys": [
            member(kid="token-1"),
            member(kid="srl-enc", use="enc"),
            member(kid="srl-es", alg="ES256"),
            member(kid="srl-bad", x="AAAA"),
            member(kid="srl-x", crv="X25519"),
            {**ECKey.generate_key("P-256").as_dict(private=False), "kid": "srl-ec"},
            member(kid=None),
            "srl-1",
            None,
            member(d=KEY.as_dict(private=True)["d"]),
        ]
    }
    keys = srl.public_keys(jwks)
    assert list(keys) == [KID]
    assert not keys[KID].is_private
    assert srl.verify(signed(HEADER), keys) == CLAIMS


@pytest.mark.parametrize("jwks", [{}, {"keys": []}, {"keys": None}, {"keys": {}}, [], None, "keys", 1])
def test_a_jwks_without_a_key_for_lists_is_refused(jwks: Any) -> None:
    with pytest.raises(srl.RefusedListError) as error:
        srl.public_keys(jwks)
    assert error.value.code == "no_keys"
