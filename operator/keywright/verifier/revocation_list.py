"""The signed revocation list of each Project: what stands in it, and when it is signed anew.

A list vouches for what was so at `iat`, the last moment at which every watch was proven to be in step with
the API server, and for nothing beyond `max_staleness` from there. The same entries under the same epoch,
seq and times are the same bytes on every replica: Ed25519 signs without chance.
"""

from __future__ import annotations

import hashlib
import math
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

import orjson

from keywright import srl
from keywright.errors import KeywrightError
from keywright.srl import Revoked
from keywright.verifier.key_files import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

    from keywright.verifier.key_files import SigningKey
    from keywright.verifier.signing_keys import SigningKeys

SIGNED_ANEW = 5
"""How often a list is signed in the span of `max_staleness` though nothing has changed."""
KEPT_BEYOND = 300
"""How many seconds an entry stays beyond its end, for consumers whose clocks are late."""


def entry(key_id: str, *, at: datetime, reason: str, until: datetime | None) -> Revoked:
    """Return a key as lists have it; to be made once, when the index learns of it.

    `until` is from when on the key could not be valid anyway; None: it has no end of its own.
    """
    end = None if until is None else math.ceil(until.timestamp())
    return Revoked(key_id, math.floor(at.timestamp()), reason, end)


class RevocationSource(Protocol):
    """What a list is made of.

    Read in this order, so that what changes in between makes a list older than its entries, never newer:
    `synced_at`, `changes`, `seq`, `entries`.
    """

    @property
    def seq(self) -> int:
        """A resourceVersion that every watch has reached: the lowest of where they stand, not the highest.

        With the highest, a replica that lags in one watch could claim a place behind a revocation that it
        has not seen, and consumers would then refuse the replica that has.
        """

    @property
    def synced_at(self) -> datetime | None:
        """The last moment at which every watch was proven to be in step; None: not yet."""

    @property
    def changes(self) -> int:
        """Counts up with every change of what `entries` returns."""

    def entries(self, project: str) -> Iterable[Revoked]:
        """Return the revoked keys of a Project (namespace/name), in any order; one may come more than once.

        Records in force, keys of ApiKeys that are being deleted, keys whose status says Revoked. A copy, if
        `RevocationLists.of` is run in a thread.
        """


class SignedList(NamedTuple):
    """A list as it is served."""

    token: bytes
    etag: str
    """Strong, with its quotes; another one whenever the token is another one."""


class NotSyncedError(KeywrightError):
    """There is no recent proof that what is known is all there is, so nothing is signed."""

    code = "not_ready"


class _Basis(NamedTuple):
    """What a signed list rests on, besides the time."""

    changes: int
    epoch: int
    kid: str


class _Kept(NamedTuple):
    basis: _Basis
    issued_at: int
    signed: SignedList


class RevocationLists:
    """Signs the list of a Project when it is asked for, and keeps it until it says something else."""

    def __init__(
        self,
        source: RevocationSource,
        keys: SigningKeys,
        *,
        issuer: str,
        max_staleness: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._keys = keys
        self._issuer = issuer
        self._max_staleness = max_staleness
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def of(self, project: str) -> SignedList:
        """Return the list of a Project (namespace/name) that exists.

        A long list takes a while to sign, about 2 ms for each thousand keys: a server with other things to do
        runs this in a thread.

        Raises NotSyncedError beyond `max_staleness`: also what was signed before is not handed out then.
        """
        now, synced_at = self._clock(), self._source.synced_at
        if synced_at is None or now - synced_at > self._max_staleness:
            raise NotSyncedError("the revocation list waits until every watch is in step with the API server")
        signer = self._keys.signer(Purpose.LIST)
        basis = _Basis(self._source.changes, self._keys.epoch, signer.kid)
        issued_at = math.floor(synced_at.timestamp())
        with self._lock:  # who comes while a list is signed waits for that one
            kept = self._kept.get(project)
            if kept is None or kept.basis != basis or self._is_old(kept, now, issued_at):
                kept = _Kept(basis, issued_at, self._sign(project, basis.epoch, issued_at, signer))
                self._kept[project] = kept
            return kept.signed

    def forget(self, project: str) -> None:
        """Keep nothing more of a Project that is gone."""
        self._kept.pop(project, None)

    def _is_old(self, kept: _Kept, now: datetime, issued_at: int) -> bool:
        """Whether a list is worth signing again, only because it would live longer then."""
        age = now.timestamp() - kept.issued_at
        return issued_at > kept.issued_at and age >= self._max_staleness.total_seconds() / SIGNED_ANEW

    def _sign(self, project: str, epoch: int, issued_at: int, signer: SigningKey) -> SignedList:
        claims = srl.Claims(
            issuer=self._issuer,
            project=project,
            issued_at=issued_at,
            expires_at=issued_at + math.floor(self._max_staleness.total_seconds()),
            epoch=epoch,
            seq=self._source.seq,
            revoked=merged(self._source.entries(project), issued_at),
        )
        token = srl.sign(orjson.dumps(claims.members()), signer.key, signer.kid).encode()
        return SignedList(token, f'"{hashlib.sha256(token).hexdigest()}"')


def merged(entries: Iterable[Revoked], issued_at: int) -> tuple[Revoked, ...]:
    """Return the entries of a list by key id, each once: the first revocation of a key, and its last end.

    A key whose end lies KEPT_BEYOND seconds before `issued_at` is left out.
    """
    found: dict[str, Revoked] = {}
    for one in entries:
        known = found.setdefault(one.key_id, one)
        if known is not one:
            found[one.key_id] = _both(known, one)
    gone = issued_at - KEPT_BEYOND
    return tuple(one for _, one in sorted(found.items()) if one.until is None or one.until > gone)


def _both(one: Revoked, other: Revoked) -> Revoked:
    first = min(one, other, key=lambda revoked: (revoked.at, revoked.reason))
    endless = one.until is None or other.until is None
    return first._replace(until=None if endless else max(one.until or 0, other.until or 0))
