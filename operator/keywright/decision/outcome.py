"""What a decision says: denied and why, or allowed and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from keywright.decision.code import Code
    from keywright.decision.entry import Entry, Generation
    from keywright.decision.limits import Bucket

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

NO_IDENTITY: Headers = (
    (b"x-auth-key-id", b""),
    (b"x-auth-api-key", b""),
    (b"x-auth-project", b""),
    (b"x-auth-scopes", b""),
    (b"x-auth-type", b""),
    (b"x-auth-service-account", b""),
    (b"x-auth-expires-at", b""),
)


class Denied(NamedTuple):
    """The request is denied.

    A 401 carries a challenge, `Bearer realm="<project>"` with `code.challenge_error`; so does the 403 of
    insufficient_scope, with `scopes` as its `scope` if there are any.
    """

    code: Code
    scopes: tuple[str, ...] = ()
    """What the request needs of which the key lacks something; none where no route allows it at all."""
    entry: Entry | None = None
    """The ApiKey, where the request proved to hold a key of it."""
    generation: Generation | None = None


class Allowed(NamedTuple):
    """The request is allowed, if `buckets` have room for it."""

    entry: Entry | None
    """None for a public route."""
    generation: Generation | None
    headers: Headers
    """The complete identity set, also where it is empty: nothing that a client sent survives."""
    buckets: tuple[Bucket, ...]
    """The key's, then the Project's. None: nothing limits it."""


Decision: TypeAlias = Denied | Allowed

PUBLIC = Allowed(None, None, NO_IDENTITY, ())
"""Nobody was asked who they are."""
