"""What is kept of an ApiKey: nothing but what a decision asks for, in the form in which it is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from keywright.api.project import KeyType

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Entry:
    """One ApiKey."""

    __slots__ = ("name", "project", "type", "uid")

    name: str
    """`namespace/name`."""
    uid: str
    project: str
    """`namespace/name` of its Project."""
    type: KeyType


class Generation:
    """One generation of an ApiKey."""

    __slots__ = ("entry", "id")

    entry: Entry
    id: str
