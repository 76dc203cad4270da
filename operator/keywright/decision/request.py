"""What a decision is made of: the facts of one request, whoever told them.

Header values are bytes, as a server receives them: what is compared is never decoded first.
"""

from __future__ import annotations

from typing import NamedTuple


class Request(NamedTuple):
    """One request. Its repr leaves out what may be, or hold, a key."""

    project: str
    """`namespace/name`."""
    method: str
    path: str
    """Validated, decoded once; begins with `/`."""
    query: str
    """As it was sent, without the `?`; empty if there is none."""
    authorization: tuple[bytes, ...]
    """The values of every Authorization header."""
    api_keys: tuple[bytes, ...]
    """The values of every X-Api-Key header."""
    origins: tuple[bytes, ...]
    """The values of every Origin header."""
    client: str | None
    """The address of the client; None where nobody trustworthy told it."""

    def __repr__(self) -> str:
        return f"Request({self.project} {self.method} {self.path})"
