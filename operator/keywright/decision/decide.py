"""Whether a request is let through: one pure function, for the verifier and for the middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from keywright.decision.code import Code
    from keywright.decision.entry import Entry, Generation, Headers
    from keywright.decision.index import Index
    from keywright.decision.limits import Bucket
    from keywright.decision.request import Request


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


def decide(index: Index, request: Request, now: float) -> Decision:
    """Decide about a request (`now`: epoch seconds), but for its rate limits: see `limits`."""
    raise NotImplementedError
