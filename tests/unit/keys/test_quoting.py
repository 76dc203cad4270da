"""A refusal that quotes the value: found in whatever dress, and nothing public is taken for it."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keywright.api.project import KeyType
from keywright.keys.quoting import quotes
from keywright.keys.raw import RawKey, mint

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 12  # from the contract: so many characters of a secret part are a leak
AROUND = ("", "x", "xy", "PAYMENTS_API_KEY=", "# two lines\nA=1\nPAYMENTS_API_KEY='")
POLICY = "admission webhook denied the request: the entry .env holds "


def minted(seed: int = 0) -> RawKey:
    """Return a raw key that is the same in every run."""
    blocks = (hashlib.sha256(f"{seed}/{number}".encode()).digest() for number in range(100))
    return mint("kw", KeyType.PRODUCTION, entropy=lambda count: next(blocks)[:count])


RAW = minted()
SECRET = RAW.value.rpartition("_")[2]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "dress",
    [str, json.dumps, quote, repr, lambda value: f"a {value}\n", lambda value: value[-49:]],
    ids=["plain", "json", "url", "repr", "line", "secret-part"],
)
def test_a_value_that_stands_there_is_found(dress: Callable[[str], str]) -> None:
    assert quotes(POLICY + dress(RAW.value), RAW)


@pytest.mark.parametrize("before", AROUND)
@pytest.mark.parametrize("after", ["", "\n", "'\nB=2\n"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_value_within_the_base64_of_another_text_is_found_wherever_it_begins(
    before: str, after: str, encode: Callable[[bytes], bytes]
) -> None:
    assert quotes(POLICY + encode((before + RAW.value + after).encode()).decode(), RAW)


@pytest.mark.parametrize("shift", range(3))
def test_each_alignment_of_base64_is_found(shift: int) -> None:
    assert quotes(encoded("." * shift + SECRET), RAW)


@pytest.mark.parametrize("before", AROUND)
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_a_value_in_hex_is_found(before: str, case: Callable[[str], str]) -> None:
    assert quotes(POLICY + case((before + RAW.value).encode().hex()), RAW)


def test_each_twelve_characters_of_the_secret_part_are_a_quotation_and_eleven_are_none() -> None:
    for start in range(len(SECRET) - WINDOW + 1):
        part = SECRET[start : start + WINDOW]
        assert quotes(f"it begins with {part}...", RAW), start
        assert quotes(part.encode().hex(), RAW), start
        assert quotes(part.encode().hex().upper(), RAW), start
        assert not quotes(f"it begins with {part[:-1]}...", RAW), start


def test_what_is_public_is_no_quotation() -> None:
    other = minted(1)
    public = (
        "",
        POLICY,
        RAW.hint,
        RAW.id,
        RAW.digest,
        RAW.digest.upper(),
        repr(RAW),
        encoded(RAW.hint),
        encoded(f"PAYMENTS_API_KEY={RAW.hint}_"),
        (RAW.hint + "_").encode().hex(),
        other.value,
        encoded(other.value),
        f'secrets "checkout" is forbidden: exceeded quota: none, key {RAW.id} ({RAW.hint}, {RAW.digest})',
    )
    for text in public:
        assert not quotes(text, RAW), text


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    start=st.integers(0, len(SECRET) - WINDOW - 6),
    length=st.integers(WINDOW + 6, len(SECRET)),
    dress=st.sampled_from(
        [
            lambda text: text,
            json.dumps,
            quote,
            encoded,
            lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
            lambda text: text.encode().hex(),
            lambda text: text.encode().hex().upper(),
        ]
    ),
)
def test_whatever_stands_around_it_a_piece_of_the_secret_is_found(
    seed: int, before: str, after: str, start: int, length: int, dress: Callable[[str], str]
) -> None:
    raw = minted(seed)
    piece = raw.value.rpartition("_")[2][start : start + length]
    text = before + piece + after

    assert quotes(dress(text), raw)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), text=st.text(max_size=200))
def test_a_text_that_knows_only_the_public_parts_never_quotes(seed: int, text: str) -> None:
    raw = minted(seed)
    assume(not any(text[at : at + WINDOW] in raw.value for at in range(len(text) - WINDOW + 1)))
    told = f"{text} {raw.hint} {raw.digest} {text}"

    assert not quotes(told, raw)
    assert not quotes(encoded(told), raw)
    assert not quotes(told.encode().hex(), raw)
