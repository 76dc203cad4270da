"""The raw key: its form, its chances, and that it shows itself nowhere."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import pickle
import re
import traceback
from collections import Counter
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keywright.api.project import KeyType
from keywright.keys.raw import TYPE_PARTS, MalformedKey, RawKey, checksum, digest_of, mint, parse

HEAD = "kw_prod_" + "a" * 16 + "_" + "0" * 43
VECTOR = HEAD + "4GnmBQ"
LAST = "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"  # 2**256 - 1

PREFIXES = st.from_regex(r"[a-z][a-z0-9]{1,9}(_[a-z0-9]{1,10}){0,2}", fullmatch=True).filter(
    lambda prefix: not {"dev", "prod", "client"} & set(prefix.split("_"))
)


def sealed(head: str) -> str:
    """Complete a head with the right checksum, so that a test can break one thing at a time."""
    return head + checksum(head)


def test_the_checksum_agrees_with_the_published_test_vector() -> None:
    assert checksum(HEAD) == "4GnmBQ"
    assert parse(VECTOR).value == VECTOR


def test_no_entropy_at_all_mints_the_test_vector() -> None:
    assert mint("kw", KeyType.PRODUCTION, entropy=bytes).value == VECTOR


def test_a_key_names_itself_by_its_parts() -> None:
    key = parse(VECTOR)
    assert key.id == "a" * 16
    assert key.hint == "kw_prod_" + "a" * 16
    assert key.digest == "sha256:" + hashlib.sha256(VECTOR.encode()).hexdigest()


@given(prefix=PREFIXES, key_type=st.sampled_from(KeyType))
def test_what_is_minted_is_what_parses(prefix: str, key_type: KeyType) -> None:
    key = mint(prefix, key_type)
    again = parse(key.value)
    assert again == key
    assert hash(again) == hash(key)
    assert key.hint == f"{prefix}_{TYPE_PARTS[key_type]}_{key.id}"
    assert len(key.value) == len(key.hint) + 1 + 43 + 6


@given(st.binary(min_size=32, max_size=32))
def test_every_secret_of_32_bytes_fits_in_43_digits(secret: bytes) -> None:
    key = mint("kw", KeyType.CLIENT, entropy=lambda count: secret if count == 32 else bytes(count))
    digits = key.value[len(key.hint) + 1 : -6]
    number = 0
    for digit in digits:
        number = number * 62 + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".index(digit)
    assert number.to_bytes(32, "big") == secret


def test_the_last_secret_is_the_last_one_that_parses() -> None:
    hint = "kw_prod_" + "a" * 16
    minted = mint("kw", KeyType.PRODUCTION, entropy=lambda n: b"\xff" * n if n == 32 else bytes(n))
    assert minted.value == sealed(f"{hint}_{LAST}")
    with pytest.raises(MalformedKey, match="range"):
        parse(sealed(f"{hint}_{LAST[:-1]}2"))


def test_every_letter_of_an_id_is_as_likely_at_every_place() -> None:
    ids = [mint("kw", KeyType.PRODUCTION).id for _ in range(10_000)]
    letters = Counter("".join(ids))
    assert len(letters) == 36
    expected = 10_000 * 16 / 36
    # Five standard deviations: chance alone goes beyond once in 50,000 runs, a bare `byte % 36` every time.
    assert all(abs(count - expected) < 5 * expected**0.5 for count in letters.values())


def test_bytes_that_would_favour_some_letters_are_drawn_again() -> None:
    draws = iter([bytes([252, 253, 254, 255] * 4), bytes([251] * 10 + [255] * 6), bytes([35, 36] * 8)])
    key = mint("kw", KeyType.PRODUCTION, entropy=lambda n: bytes(n) if n == 32 else next(draws))
    assert key.id == "9" * 10 + "9a" * 3


@pytest.mark.parametrize(
    "prefix", ["", "k", "kw_", "Kw", "1kw", "kw_prod", "dev", "a_b_c_d", "kw-x", "kw\n", "x" * 11]
)
def test_a_prefix_outside_its_grammar_mints_nothing(prefix: str) -> None:
    with pytest.raises(MalformedKey):
        mint(prefix, KeyType.PRODUCTION)


@pytest.mark.parametrize(
    "prefix", ["kw", "k1", "abcdefghij", "kw_1", "kw_team_x", "product", "kw_prod1", "devs_clients"]
)
def test_a_prefix_inside_its_grammar_mints(prefix: str) -> None:
    assert mint(prefix, KeyType.DEVELOPMENT).hint.startswith(f"{prefix}_dev_")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("kw", id="prefix alone"),
        pytest.param(VECTOR[:-1], id="cut"),
        pytest.param(VECTOR + "0", id="longer"),
        pytest.param(sealed(VECTOR), id="longer, with a checksum to match"),
        pytest.param(VECTOR + "\n", id="newline after"),
        pytest.param(" " + VECTOR, id="blank before"),
        pytest.param(VECTOR[:-1] + "q", id="checksum changed"),
        pytest.param(VECTOR.replace("_0", "_1"), id="secret changed"),
        pytest.param(VECTOR.replace("_aa", "_ab"), id="id changed"),
        pytest.param(VECTOR.replace("kw", "kx"), id="prefix changed"),
        pytest.param(VECTOR.replace("prod", "dev"), id="type changed"),
        pytest.param(sealed(HEAD.replace("prod", "test")), id="no such type"),
        pytest.param(sealed(HEAD.replace("prod", "Prod")), id="type in capitals"),
        pytest.param(sealed(HEAD.replace("kw_", "")), id="no prefix"),
        pytest.param(sealed(HEAD.replace("kw", "KW")), id="prefix in capitals"),
        pytest.param(sealed(HEAD.replace("kw", "kw_dev")), id="type in the prefix"),
        pytest.param(sealed(HEAD.replace("kw", "a_b_c_d")), id="too many parts"),
        pytest.param(sealed(HEAD.replace("_aa", "_a")), id="short id"),
        pytest.param(sealed(HEAD.replace("_aa", "_aA")), id="capital in the id"),
        pytest.param(sealed(HEAD.replace("_00", "_0")), id="short secret"),
        pytest.param(sealed(HEAD.replace("_00", "_0-")), id="secret not base62"),
        pytest.param(sealed(HEAD.replace("_00", "_0٣")), id="digit of another script"),
        pytest.param(sealed(HEAD.replace("0" * 43, "z" * 43)), id="secret beyond 256 bits"),
        pytest.param(VECTOR.replace("0", "\ud800"), id="lone surrogates"),
    ],
)
def test_a_corrupted_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(MalformedKey) as refusal:
        parse(text)
    report = "".join(traceback.format_exception(refusal.value))
    assert refusal.value.code == "malformed_key"
    assert refusal.value.__context__ is None
    assert len(text) < 3 or text not in report + repr(refusal.value)


@given(st.integers(0, len(VECTOR) - 1), st.characters(codec="ascii"))
def test_no_single_changed_character_goes_unnoticed(place: int, character: str) -> None:
    text = VECTOR[:place] + character + VECTOR[place + 1 :]
    if text != VECTOR:
        with pytest.raises(MalformedKey):
            parse(text)


@given(st.text())
def test_any_other_text_is_refused_and_has_a_digest(text: str) -> None:
    with pytest.raises(MalformedKey):
        parse(text)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest_of(text))


def test_text_that_has_no_encoding_has_a_digest_too() -> None:
    assert digest_of("\ud800") == digest_of(b"\xed\xa0\x80")


def test_a_digest_is_the_same_for_text_and_bytes() -> None:
    assert digest_of("abc") == digest_of(b"abc") == "sha256:" + hashlib.sha256(b"abc").hexdigest()


@dataclass
class Holder:
    key: RawKey


def test_a_key_shows_its_hint_and_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    key = parse(VECTOR)
    logging.getLogger("test").warning("minted %s %r", key, {"key": key})
    shown = [repr(key), str(key), f"{key}", f"{key!r}", repr([key]), repr(Holder(key)), caplog.text]
    for text in shown:
        assert "kw_prod_aaaaaaaaaaaaaaaa" in text
        assert "0000" not in text


def test_a_traceback_with_locals_shows_the_hint() -> None:
    key = parse(VECTOR)
    with pytest.raises(TypeError) as failure:
        json.dumps(key)
    frames = traceback.TracebackException.from_exception(failure.value, capture_locals=True)
    report = "".join(frames.format())
    assert "RawKey(kw_prod_aaaaaaaaaaaaaaaa)" in report
    assert VECTOR not in report


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars, bytes, asdict])
def test_a_key_is_not_carried_away_by_accident(carry: object) -> None:
    assert callable(carry)
    with pytest.raises(TypeError) as refusal:
        carry(parse(VECTOR))
    assert "0000" not in str(refusal.value)


def test_a_key_inside_a_dataclass_is_not_carried_away_either() -> None:
    with pytest.raises(TypeError):
        asdict(Holder(parse(VECTOR)))


@pytest.mark.parametrize("name", ["value", "id", "_value", "other"])
def test_a_key_is_immutable(name: str) -> None:
    key = parse(VECTOR)
    with pytest.raises(AttributeError):
        setattr(key, name, "x")
    with pytest.raises(AttributeError):
        delattr(key, name)
    assert key.value == VECTOR


def test_a_key_equals_only_a_key() -> None:
    assert parse(VECTOR) != VECTOR
    assert parse(VECTOR) != mint("kw", KeyType.PRODUCTION)
