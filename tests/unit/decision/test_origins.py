"""From which pages and apps a key may be used."""

from __future__ import annotations

import pytest

from keywright.decision.origins import origins_of

ORIGINS = origins_of(
    (
        "https://app.example.com",
        "https://*.example.org",
        "http://localhost:3000",
        "https://x.net:443",
        "app://me",
    )
)


@pytest.mark.parametrize(
    "origin",
    [
        b"https://app.example.com",
        b"https://app.example.com:443",
        b"https://x.net",
        b"https://a.example.org",
        b"https://a_b-1.example.org",
        b"http://localhost:3000",
        b"app://me",
    ],
)
def test_a_listed_origin_is_let_in_with_or_without_the_port_of_its_scheme(origin: bytes) -> None:
    assert ORIGINS.allow((origin,))


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"",
        b"http://app.example.com",
        b"https://app.example.com:8443",
        b"https://example.org",
        b"https://a.b.example.org",
        b"https://.example.org",
        b"https://*.example.org",
        b"https://evil@.example.org",
        b"https://evil/.example.org",
        b"https://a.example.org.evil.com",
        b"https://app.example.com.evil.com",
        b"https://\xe9.example.org",
        b"https://APP.example.com",
    ],
)
def test_any_other_origin_is_not(origin: bytes) -> None:
    assert not ORIGINS.allow((origin,))


def test_none_at_all_and_two_are_not() -> None:
    assert not ORIGINS.allow(())
    assert not ORIGINS.allow((b"https://app.example.com", b"https://app.example.com"))
