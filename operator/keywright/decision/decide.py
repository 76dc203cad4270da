"""Whether a request is let through: one pure function, for the verifier and for the middleware.

The order is part of the contract. What comes first tells the least: to nobody which keys there are, to
another project nothing of a key, and only to who holds a key what became of it.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING

from keywright.decision.code import Code
from keywright.decision.credential import LONGEST, presented, well_formed
from keywright.decision.outcome import PUBLIC, Allowed, Decision, Denied, Headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keywright.decision.entry import Entry, Generation
    from keywright.decision.index import Index
    from keywright.decision.request import Request


__all__ = ["Allowed", "Decision", "Denied", "Headers", "decide"]

_NOT_FOUND = Denied(Code.PROJECT_NOT_FOUND)
_INVALID = Denied(Code.INVALID_API_KEY)


def decide(index: Index, request: Request, now: float) -> Decision:  # noqa: PLR0911  the steps of the contract
    """Decide about a request (`now`: epoch seconds), but for its rate limits: see `limits`."""
    project, method, path, _, _, _, origins, client = request  # at once: each by its name costs more
    terms = index.projects.get(project)
    if terms is None:
        return _NOT_FOUND
    need = terms.routes.need(method, path)
    if need is not None and need.public:
        return PUBLIC
    credential = presented(request)
    if not isinstance(credential, bytes):
        return Denied(credential)
    generation = _identify(index, credential, project)
    if isinstance(generation, Denied):
        return generation
    entry = generation.entry
    if entry.terms is not terms:
        terms.apply(entry)
    code = _state(index, generation, now) or entry.hindrance or _restriction(entry, client, origins)
    if code is not None:
        return Denied(code, (), entry, generation)
    if need is None or entry.granted is None or not entry.granted.meets(need):
        scopes = need.named if need is not None else ()
        return Denied(Code.INSUFFICIENT_SCOPE, scopes, entry, generation)
    return generation.allowed


def _identify(index: Index, credential: bytes, project: str) -> Generation | Denied:
    """Return the generation of the Project that has this value."""
    if len(credential) > LONGEST:
        return _INVALID
    digest = sha256(credential).digest()
    holders = index.holders.get(digest)
    if holders is None:
        return _INVALID  # of what nobody has the form does not matter: the answer is the same
    oldest = holders[0]
    if not compare_digest(digest, oldest.digest):
        return _INVALID
    if not oldest.proven:
        if not well_formed(credential):
            return _INVALID
        oldest.proven = True
    for generation in holders:
        if generation.entry.project == project:
            return generation
    return Denied(Code.WRONG_PROJECT)


def _state(index: Index, generation: Generation, now: float) -> Code | None:
    if (
        generation.revoked
        or generation.entry.revoked
        or (generation.id in index.revoked.key_ids and index.revoked.names(generation))
    ):
        return Code.REVOKED_API_KEY
    if now >= generation.expires:
        return Code.EXPIRED_API_KEY
    if now >= generation.retires:
        return Code.SUPERSEDED_API_KEY
    return None


def _restriction(entry: Entry, client: str | None, origins: Sequence[bytes]) -> Code | None:
    if entry.networks is not None and not entry.networks.contain(client):
        return Code.IP_NOT_ALLOWED
    if entry.origins is not None and not entry.origins.allow(origins):
        return Code.ORIGIN_NOT_ALLOWED
    return None
