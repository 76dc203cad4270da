"""Which name a pattern covers, and what a type of key may hold."""

from __future__ import annotations

import pytest

from keywright.api.project import KeyType
from keywright.keys.scopes import covers, has_admin_segment, is_reserved, is_wildcard, may_hold, satisfies


@pytest.mark.parametrize(
    ("pattern", "scope", "expected"),
    [
        ("data:read", "data:read", True),
        ("data:read", "data:read:all", False),
        ("data", "data:read", False),
        ("data:*", "data:read", True),
        ("data:*", "data:a:b", True),
        ("data:*", "data", False),
        ("data:*", "database:read", False),
        ("data:a:*", "data:b:c", False),
        ("*", "data", True),
        ("*", "data:read", True),
        ("*", "keywright", True),
        ("*", "keywright:authorizer", False),
        ("keywright:*", "keywright:authorizer", False),
        ("keywright:authorizer", "keywright:authorizer", True),
    ],
)
def test_covers(pattern: str, scope: str, expected: bool) -> None:  # noqa: FBT001
    assert expected is covers(pattern, scope)


@pytest.mark.parametrize("pattern", ["*", "data:*", "data:a:*"])
def test_a_wildcard_is_a_star_or_ends_in_one(pattern: str) -> None:
    assert is_wildcard(pattern)


def test_a_name_is_no_wildcard() -> None:
    assert not is_wildcard("data:read")


def test_only_names_below_keywright_are_reserved() -> None:
    assert is_reserved("keywright:authorizer")
    assert not is_reserved("keywright")
    assert not is_reserved("keywrights:read")


@pytest.mark.parametrize("scope", ["admin", "admin:*", "data:admin", "data:admin:read"])
def test_a_segment_admin_is_found_wherever_it_stands(scope: str) -> None:
    assert has_admin_segment(scope)


@pytest.mark.parametrize("scope", ["administrator", "data:admins", "data.admin", "*"])
def test_a_segment_that_only_resembles_admin_is_none(scope: str) -> None:
    assert not has_admin_segment(scope)


@pytest.mark.parametrize("scope", ["*", "admin", "data:admin", "admin:*"])
def test_a_client_may_hold_neither_everything_nor_admin(scope: str) -> None:
    assert not may_hold(KeyType.CLIENT, scope)
    assert may_hold(KeyType.PRODUCTION, scope)


def test_a_client_may_hold_names_and_narrow_wildcards() -> None:
    assert may_hold(KeyType.CLIENT, "data:read")
    assert may_hold(KeyType.CLIENT, "data:*")


def test_a_granted_wildcard_satisfies_what_it_covers() -> None:
    assert satisfies(("data:*",), "data:read", KeyType.CLIENT)
    assert satisfies(("x", "*"), "data:read", KeyType.PRODUCTION)
    assert not satisfies(("data:*",), "other", KeyType.PRODUCTION)
    assert not satisfies(("*",), "keywright:authorizer", KeyType.PRODUCTION)


def test_a_granted_wildcard_gives_a_client_no_admin() -> None:
    assert not satisfies(("data:*",), "data:admin", KeyType.CLIENT)
    assert satisfies(("data:*",), "data:admin", KeyType.DEVELOPMENT)
