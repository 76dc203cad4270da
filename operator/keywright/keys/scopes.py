"""Scopes: which name a pattern covers, and what a type of key may hold.

A scope is a name of one to four segments, `data:read`. What an ApiKey asks for may also be a
wildcard: `data:*` for every scope below `data`, or `*` for all.

Where a Project has a catalogue, wildcards are expanded to its names and a granted scope is always a
name. Without a catalogue there is nothing to expand to: the wildcard itself is granted, and `satisfies`
compares it with what a request needs. That is correct for names and wildcards alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keywright.api.project import KeyType

if TYPE_CHECKING:
    from collections.abc import Iterable

_RESERVED = "keywright:"


def is_wildcard(pattern: str) -> bool:
    """Say whether a requested scope is `*` or ends in `:*`."""
    return pattern == "*" or pattern.endswith(":*")


def is_reserved(scope: str) -> bool:
    """Say whether a scope, or a pattern, begins with `keywright:`, and so opens Keywright's own endpoints."""
    return scope.startswith(_RESERVED)


def has_admin_segment(scope: str) -> bool:
    """Say whether one of the segments is exactly `admin`."""
    return "admin" in scope.split(":")


def covers(pattern: str, scope: str) -> bool:
    """Say whether a requested or granted scope stands for the scope of that name.

    `data:*` covers `data:read` and `data:a:b` but not `data`, `*` covers all; a name covers itself.
    No wildcard covers a reserved scope.
    """
    if not is_wildcard(pattern):
        return pattern == scope
    return scope.startswith(pattern.removesuffix("*")) and not is_reserved(scope)


def may_hold(key_type: KeyType, scope: str) -> bool:
    """Say whether a key of that type may hold a scope or a wildcard at all.

    A Client key is public: neither `*` nor anything with a segment `admin`.
    """
    return key_type is not KeyType.CLIENT or (scope != "*" and not has_admin_segment(scope))


def satisfies(granted: Iterable[str], scope: str, key_type: KeyType) -> bool:
    """Say whether a key of that type, with these granted scopes, has the scope that a request needs."""
    return may_hold(key_type, scope) and any(covers(pattern, scope) for pattern in granted)
