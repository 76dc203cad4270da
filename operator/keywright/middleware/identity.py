"""As whom a request was let in: what gateways are told in headers, as an application wants to read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from keywright.api.project import KeyType
from keywright.keys.scopes import satisfies

if TYPE_CHECKING:
    from keywright.decision.outcome import Headers


@dataclass(frozen=True, slots=True)
class Identity:
    """The key that a request holds; never its value."""

    key_id: str
    api_key: str
    """`namespace/name` of the ApiKey."""
    project: str
    """`namespace/name` of the Project."""
    scopes: tuple[str, ...]
    """What the Project grants it; where that lists no scopes, wildcards stand here as they were asked for."""
    type: KeyType
    service_account: str
    """`spec.owner`, the logical service account or team; empty if none is written."""
    expires_at: datetime | None
    """When this key ends; None: it has no end."""

    def has(self, scope: str) -> bool:
        """Say whether a scope, such as "data:read", is among what it is granted."""
        return satisfies(self.scopes, scope, self.type)


@lru_cache(maxsize=16_384)
def identity_of(headers: Headers) -> Identity:
    """Return the identity that the headers of an allowed request tell."""
    key_id, api_key, project, scopes, key_type, owner, expires_at = (value.decode() for _, value in headers)
    end = datetime.fromisoformat(expires_at) if expires_at else None
    return Identity(key_id, api_key, project, tuple(scopes.split()), KeyType(key_type), owner, end)
