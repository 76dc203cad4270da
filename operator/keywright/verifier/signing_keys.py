"""Which key signs now: one that whoever verifies has had the time to fetch.

    next ──promoted by hand──► current ──promoted by hand──► previous ──removed by hand──► gone
    published                  published, signs              published, believed

A key signs once this process has published it for SETTLED. How long other replicas, or an earlier process,
have published it cannot be known from the files: a mounted Secret's times are those of the Pod. So a
process that has just started, or finds a new current key, signs with the previous one until then, if its
private half is there: that one was current, so it is known to whoever has a JWKS at all. Where there is no
previous key nothing else could sign, and the current one signs at once.

What is left: a process that started within SETTLED before a promotion, or that still has the files from
before it, signs with what is no longer published elsewhere, until its mount has followed. Whoever fetches the
JWKS refuses such a list, keeps the one before it, and takes the next.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
import structlog

from keywright.verifier.key_files import KeyFiles, Purpose, Role, SigningKey, SigningKeysError, read_keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger("keywright.signing")

JWKS_MAX_AGE = 300
"""Seconds that whoever fetches the JWKS may keep it; what its Cache-Control says."""
SETTLED = JWKS_MAX_AGE + 600.0
"""Seconds that a key is published before it signs: a copy's age, and what mounts and clocks are late."""
REREAD = 10.0
"""Seconds between two looks at the files."""


class SigningKeys:
    """The keys of a directory, as of the last time that all of them could be used."""

    def __init__(self, directory: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read them; raises SigningKeysError. `clock` counts seconds and is never set back."""
        self._directory = directory
        self._clock = clock
        self._published: dict[str, float] = {}
        self.problem: str | None = None
        """Why the files, as they are now, are not used; None: they are."""
        self._take(read_keys(directory))

    def reread(self) -> None:
        """Take the files as they are now; where they cannot be used, say so once and keep the last good ones.

        Reads a few small files: to be called every REREAD seconds.
        """
        try:
            files = read_keys(self._directory)
        except SigningKeysError as error:
            if self.problem != error.message:
                log.warning("the signing keys cannot be used; those read before stay", why=error.message)
            self.problem = error.message
            return
        self.problem = None
        if files == self._files:
            return
        known = self._published
        self._take(files)
        log.info("signing keys read anew", epoch=files.epoch, published=sorted(self._published))
        for purpose in files.rings:
            signer = self.signer(purpose)
            if signer.kid not in known:
                remedy = "what it signs is refused until the JWKS is fetched anew"
                log.warning("a key signs that was not published before", kid=signer.kid, consequence=remedy)

    @property
    def epoch(self) -> int:
        """How often the resources were restored from a backup: orders lists before their seq."""
        return self._files.epoch

    def signer(self, purpose: Purpose) -> SigningKey:
        """Return the key that signs now; KeyError where there is none, which is never so for lists."""
        ring = self._files.rings[purpose]
        current, previous = ring[Role.CURRENT], ring.get(Role.PREVIOUS)
        if previous is None or not previous.signs or self._settled(current):
            return current
        return previous

    def _settled(self, key: SigningKey) -> bool:
        return self._clock() - self._published[key.kid] >= SETTLED

    def _take(self, files: KeyFiles) -> None:
        now = self._clock()
        self._published = {key.kid: self._published.get(key.kid, now) for key in files.published()}
        self._files = files
        self.jwks = orjson.dumps({"keys": [key.public() for key in files.published()]})
        """The JWKS as it is served."""
