"""The signed snapshot of each Project: all that decisions about its keys are made from.

Signed like the revocation list, with the same keys, as another type, and as fresh: see `revocation_list`. It
holds digests, of 256 random bits each, and no key follows from one; but it says who has which rights.
"""

from __future__ import annotations

import hashlib
import math
import threading
from typing import TYPE_CHECKING, NamedTuple

import orjson

from keywright import srl
from keywright.decision.snapshot import Claims, written
from keywright.verifier.key_files import Purpose
from keywright.verifier.revocation_list import SIGNED_ANEW, NotSyncedError, SignedList

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from keywright.decision.index import Index
    from keywright.verifier.revocation_list import RevocationSource
    from keywright.verifier.signing_keys import SigningKeys


class _Basis(NamedTuple):
    """What a signed snapshot rests on, besides the time."""

    changes: int
    epoch: int
    kid: str


class _Kept(NamedTuple):
    basis: _Basis
    issued_at: int
    signed: SignedList


class Snapshots:
    """Signs the snapshot of a Project when it is asked for, and keeps it until it says something else."""

    def __init__(
        self,
        index: Index,
        source: RevocationSource,
        keys: SigningKeys,
        *,
        issuer: str,
        max_staleness: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        """Of `source`, only `seq` and `synced_at` are asked."""
        self._index = index
        self._source = source
        self._keys = keys
        self._issuer = issuer
        self._max_staleness = max_staleness
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def of(self, project: str) -> SignedList | None:
        """Return the snapshot of a Project (namespace/name); None where there is no such one.

        It takes about 30 µs for each key: a server with other things to do runs this in a thread.

        Raises NotSyncedError beyond `max_staleness`: also what was signed before is not handed out then.
        """
        now, synced_at = self._clock(), self._source.synced_at
        if synced_at is None or now - synced_at > self._max_staleness:
            raise NotSyncedError("the snapshot waits until every watch is in step with the API server")
        signer = self._keys.signer(Purpose.LIST)
        issued_at = math.floor(synced_at.timestamp())
        with self._lock:  # who comes while one is signed waits for that one
            basis = _Basis(self._index.changes, self._keys.epoch, signer.kid)
            kept = self._kept.get(project)
            if kept is not None and kept.basis == basis and not self._is_old(kept, now, issued_at):
                return kept.signed
            seq = self._source.seq  # before what is read: a snapshot may be newer than it says, never older
            content = written(self._index, project)
            if content is None:
                self._kept.pop(project, None)
                return None
            expires_at = issued_at + math.floor(self._max_staleness.total_seconds())
            claims = Claims(self._issuer, project, issued_at, expires_at, basis.epoch, seq, content)
            payload = orjson.dumps(claims.members())
            token = srl.sign(payload, signer.key, signer.kid, typ=srl.SNAPSHOT_TYP).encode()
            signed = SignedList(token, f'"{hashlib.sha256(token).hexdigest()}"')
            self._kept[project] = _Kept(basis, issued_at, signed)
            return signed

    def _is_old(self, kept: _Kept, now: datetime, issued_at: int) -> bool:
        """Whether it is worth signing again, only because it would live longer then."""
        age = now.timestamp() - kept.issued_at
        return issued_at > kept.issued_at and age >= self._max_staleness.total_seconds() / SIGNED_ANEW
