"""Which credential a request presents."""

from __future__ import annotations

import pytest

from keywright.api.project import KeyType
from keywright.decision.code import Code
from keywright.decision.credential import LONGEST, presented, well_formed
from keywright.decision.request import Request
from keywright.keys import raw


def sent(*authorization: bytes, api_keys: tuple[bytes, ...] = (), query: str = "") -> Request:
    return Request("shop/payments", "GET", "/", query, authorization, api_keys, (), None)


@pytest.mark.parametrize(
    "request_",
    [
        sent(b"Bearer secret"),
        sent(b"bearer secret"),
        sent(b"BEARER \t secret "),
        sent(b" Bearer secret"),
        sent(api_keys=(b"secret",)),
        sent(api_keys=(b" secret\t",)),
        sent(b"Basic dTpw", api_keys=(b"secret",)),
        sent(b'Digest a="b", c="d"', api_keys=(b"secret",)),
    ],
)
def test_one_credential_is_taken_in_either_header_whatever_other_scheme_stands_beside_it(
    request_: Request,
) -> None:
    assert b"secret" == presented(request_)


@pytest.mark.parametrize(
    "request_",
    [
        sent(b"Bearer a", api_keys=(b"a",)),
        sent(b"Bearer a", b"Bearer a"),
        sent(b"Bearer a", b"Basic dTpw"),
        sent(api_keys=(b"a", b"a")),
        sent(b"Bearer a, Bearer b"),
        sent(b"Bearer a,b"),
        sent(api_keys=(b"a, b",)),
        sent(b"Basic dTpw, Bearer a"),
        sent(b"Basic dTpw ,\tbEARER a"),
        sent(b"Bearer", api_keys=(b"a",)),
        sent(b"Bearer a", api_keys=(b"",)),
    ],
)
def test_two_credentials_are_refused_however_they_are_joined(request_: Request) -> None:
    assert presented(request_) is Code.AMBIGUOUS_CREDENTIALS


@pytest.mark.parametrize("request_", [sent(), sent(b"Basic dTpw"), sent(b"Bearers a"), sent(b"")])
def test_no_credential_or_another_scheme_is_none(request_: Request) -> None:
    assert presented(request_) is Code.UNAUTHORIZED


def test_a_scheme_with_nothing_behind_it_is_an_empty_credential() -> None:
    assert b"" == presented(sent(b"Bearer"))
    assert b"" == presented(sent(api_keys=(b"",)))


KEY = raw.mint("acme_pay", KeyType.CLIENT)


@pytest.mark.parametrize(
    "query",
    [
        "api_key=1",
        "a=b&apikey=1",
        "KEY=1",
        "access_token",
        "a=b;key=1",
        "%61pi_key=1",
        f"token={KEY.value}",
        KEY.value,
        f"a=Bearer+{KEY.value}",
        f"a=%{ord(KEY.value[0]):x}{KEY.value[1:]}",
    ],
)
def test_a_key_in_the_query_is_refused_with_and_without_one_in_a_header(query: str) -> None:
    assert presented(sent(query=query)) is Code.KEY_IN_QUERY
    assert presented(sent(b"Bearer a", query=query)) is Code.KEY_IN_QUERY


@pytest.mark.parametrize(
    "query", ["monkey=1", "a=key", "q=x%26key%3D1", f"id={KEY.id}", f"hint={KEY.hint}", "&&="]
)
def test_what_only_resembles_a_key_in_the_query_is_let_through(query: str) -> None:
    assert b"a" == presented(sent(b"Bearer a", query=query))


def test_the_longest_key_that_there_can_be_is_not_too_long() -> None:
    longest = raw.mint("a123456789_b123456789_c123456789", KeyType.CLIENT)
    assert len(longest.value) <= LONGEST
    assert well_formed(longest.value.encode())


def test_a_key_with_a_wrong_checksum_or_bytes_that_are_no_text_has_not_the_form() -> None:
    assert not well_formed(KEY.value[:-1].encode() + (b"0" if KEY.value[-1] != "0" else b"1"))
    assert not well_formed(b"\xff" + KEY.value.encode()[1:])


def test_a_request_does_not_show_what_it_presents() -> None:
    request = sent(f"Bearer {KEY.value}".encode(), api_keys=(KEY.value.encode(),), query=f"key={KEY.value}")
    assert "Request(shop/payments GET /)" == repr(request) == f"{request}"
