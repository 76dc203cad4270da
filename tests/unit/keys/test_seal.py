"""The seal: it vouches for every fact, under every key that is still there, and for nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import traceback
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keywright.keys.seal import Facts, MalformedSealingKeys, SealingKeys, seal, seal_holds

KEY = bytes(range(32))
KEYS = SealingKeys("k1", {"k1": KEY})
FACTS = Facts(
    namespace="shop",
    api_key="checkout",
    secret_name="checkout-key",
    key_id="7f3k2m9q0r4t6v8x",
    digest="sha256:" + "9" * 64,
    created_at="2026-11-23T04:44:00Z",
    expires_at="",
    revision=3,
)


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def changed(**changes: object) -> Facts:
    return cast("Facts", {**FACTS, **changes})


def test_the_seal_is_an_hmac_over_a_compact_json_array() -> None:
    message = (
        '["shop","checkout","checkout-key","7f3k2m9q0r4t6v8x","sha256:'
        + "9" * 64
        + '","2026-11-23T04:44:00Z","",3]'
    )
    mac = base64.urlsafe_b64encode(hmac.new(KEY, message.encode(), hashlib.sha256).digest()).decode()
    assert seal(KEYS, **FACTS) == f"v1:k1:{mac.rstrip('=')}"
    assert seal_holds(KEYS, seal(KEYS, **FACTS), **FACTS)


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "shop2"},
        {"api_key": "checkout2"},
        {"secret_name": "checkout-key2"},
        {"key_id": "7f3k2m9q0r4t6v8y"},
        {"digest": "sha256:" + "8" * 64},
        {"created_at": "2026-11-23T04:44:01Z"},
        {"expires_at": "2027-11-23T04:44:00Z"},
        {"revision": 4},
        {"revision": "3"},
        {"namespace": 'shop","checkout', "api_key": "checkout-key"},
    ],
)
def test_a_seal_does_not_hold_for_any_other_fact(changes: dict[str, object]) -> None:
    assert not seal_holds(KEYS, seal(KEYS, **FACTS), **changed(**changes))


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "v1",
        "v1:k1",
        "v1:k1:",
        "::",
        "v1::" + "A" * 43,
        "v1:k1:" + "A" * 43,
        "v1:k1:é",
        "v1:k1:\ud800",
        seal(KEYS, **FACTS) + "=",
        seal(KEYS, **FACTS) + ":",
        " " + seal(KEYS, **FACTS),
        seal(KEYS, **FACTS).replace("v1", "v2"),
        seal(KEYS, **FACTS).replace("k1", "k2"),
        seal(KEYS, **FACTS).replace("k1", "current"),
        seal(KEYS, **FACTS)[:-1],
        seal(SealingKeys("k1", {"k1": bytes(32)}), **FACTS),
    ],
)
def test_a_forged_or_malformed_seal_does_not_hold(forged: str) -> None:
    assert not seal_holds(KEYS, forged, **FACTS)


@given(st.text())
def test_no_text_at_all_makes_the_check_fail(text: str) -> None:
    assert not seal_holds(KEYS, text, **FACTS)
    assert not seal_holds(KEYS, f"v1:k1:{text}", **FACTS)


def test_an_older_key_still_verifies_until_it_is_taken_out() -> None:
    old = seal(KEYS, **FACTS)
    both = SealingKeys("k2", {"k1": KEY, "k2": bytes(32)})
    assert seal(both, **FACTS).startswith("v1:k2:")
    assert seal_holds(both, old, **FACTS)
    assert not seal_holds(SealingKeys("k2", {"k2": bytes(32)}), old, **FACTS)


def test_new_keys_survive_the_way_through_the_secret() -> None:
    keys = SealingKeys.new()
    data = keys.to_secret_data()
    assert SealingKeys.from_secret_data(data) == keys
    assert data == {"current": b64(keys.current.encode()), keys.current: b64(keys.keys[keys.current])}
    assert SealingKeys.new() != keys


def test_new_keys_come_from_the_entropy_given() -> None:
    assert SealingKeys.new(bytes) == SealingKeys("00000000", {"00000000": bytes(32)})


def test_the_bytes_are_not_shown() -> None:
    assert repr(KEYS) == "SealingKeys(current='k1')"


@pytest.mark.parametrize(
    ("data", "entry"),
    [
        pytest.param({}, "current", id="empty"),
        pytest.param({"k1": b64(KEY)}, "current", id="no current"),
        pytest.param({"current": b64(b"k2"), "k1": b64(KEY)}, "current", id="current names none"),
        pytest.param({"current": b64(b"k1\n"), "k1": b64(KEY)}, "current", id="newline after the id"),
        pytest.param({"current": b64(b"current")}, "current", id="current names itself"),
        pytest.param({"current": b64(b"\xff"), "k1": b64(KEY)}, "current", id="current not ASCII"),
        pytest.param({"current": b64(b"k1"), "k1": b64(KEY[1:])}, "k1", id="short key"),
        pytest.param({"current": b64(b"k1"), "k1": b64(KEY), "k2": b64(KEY * 2)}, "k2", id="long key"),
        pytest.param({"current": b64(b"k1"), "k1": b64(KEY).rstrip("=")}, "k1", id="not base64"),
        pytest.param({"current": b64(b"k1"), "k1": "é"}, "k1", id="not even ASCII"),
        pytest.param({"current": b64(b"k:1"), "k:1": b64(KEY)}, "k:1", id="colon in the id"),
    ],
)
def test_malformed_keys_are_refused_by_entry_and_without_values(data: dict[str, str], entry: str) -> None:
    with pytest.raises(MalformedSealingKeys) as refusal:
        SealingKeys.from_secret_data(data)
    assert refusal.value.context == {"entry": entry}
    report = "".join(traceback.format_exception(refusal.value))
    assert b64(KEY)[:12] not in report
    assert repr(KEY)[2:20] not in report


def test_current_is_no_id_of_a_key() -> None:
    with pytest.raises(MalformedSealingKeys):
        SealingKeys("current", {"current": KEY})
