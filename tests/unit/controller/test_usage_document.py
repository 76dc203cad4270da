"""A page of usage: taken in its agreed form, refused or thinned out in any other."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from keywright.controller.usage_document import MAX_VALUES, DocumentError, Page, Sighting, read_page

RECORD: dict[str, Any] = {
    "apiKey": "shop/checkout",
    "uid": "u1",
    "project": "platform/payments",
    "keyId": "7f3k2m9q0r4t6v8x",
    "requests": 12,
    "denied": {"insufficient_scope": 1},
    "lastUsedAt": "2026-11-23T14:00:00.123Z",
    "networks": ["10.0.0.0/24"],
    "moreNetworks": False,
    "minutes": [[1800000000, 4]],
}
PAGE: dict[str, Any] = {"boot": "b-1", "mark": 7, "next": 1234, "keys": [RECORD]}


def read(document: object) -> Page:
    return read_page(json.dumps(document).encode())


def test_the_agreed_form_is_read() -> None:
    used = datetime(2026, 11, 23, 14, 0, 0, 123_000, tzinfo=UTC)
    sighting = Sighting("shop/checkout", "u1", "7f3k2m9q0r4t6v8x", used)
    assert Page("b-1", 7, 1234, [sighting], malformed=0) == read(PAGE)
    assert Page("b-1", 7, None, [], malformed=0) == read({**PAGE, "next": None, "keys": []})


@pytest.mark.parametrize(
    "change",
    [
        {"lastUsedAt": None},
        {"lastUsedAt": 1},
        {"lastUsedAt": "yesterday"},
        {"lastUsedAt": "2026-11-23T14:00:00"},
        {"lastUsedAt": "1970-01-01T00:00:00Z"},
        {"lastUsedAt": "0001-01-01T00:00:00+23:59"},
        {"lastUsedAt": "9999-12-31T23:59:59-23:59"},
        {"keyId": "7f3k"},
        {"keyId": "kw_prod_" + "a" * 60},
        {"keyId": 7},
        {"uid": None},
        {"apiKey": ["shop", "checkout"]},
    ],
    ids=str,
)
def test_a_record_of_another_form_is_skipped_and_counted(change: dict[str, Any]) -> None:
    page = read({**PAGE, "keys": [{**RECORD, **change}, RECORD, "nothing", None]})
    assert (1, 3) == (len(page.sightings), page.malformed)


NO_PAGES: tuple[dict[str, Any], ...] = (
    {"boot": ""},
    {"boot": "b" * 200},
    {"boot": 1},
    {"mark": "7"},
    {"mark": -1},
    {"mark": True},
    {"mark": 1.5},
    {"next": False},
    {"next": "2"},
    {"keys": {}},
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b"\xff" * 100,
        b"[" * 100_000,
        *(json.dumps({**PAGE, **change}).encode() for change in NO_PAGES),
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(DocumentError):
        read_page(body)


def test_a_page_that_would_grow_in_memory_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(DocumentError, match="more values"):
        read_page(b'{"boot":"b","mark":1,"next":null,"keys":[' + b"[]," * MAX_VALUES + b"[]]}")


def test_a_full_page_of_the_largest_records_is_read() -> None:
    largest = {
        **RECORD,
        "denied": dict.fromkeys((f"code_{number}" for number in range(12)), 1),
        "networks": ["2001:db8::/48"] * 8,
        "minutes": [[1800000000 + number, 4] for number in range(16)],
    }
    assert 5000 == len(read({**PAGE, "keys": [largest] * 5000}).sightings)
