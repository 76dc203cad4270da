"""A verifier's signed snapshot of one Project as the source: no right to read anything in the cluster.

It is fetched every few seconds, which is how late a revocation may come, and believed as the revocation list
is: signed by a key of the JWKS, for this issuer and Project, not expired, and never lower than what is held.
It is kept in memory only: with no verifier to ask, a process that starts lets nobody in.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import aiohttp

from keywright import srl
from keywright.decision.index import Index
from keywright.decision.snapshot import Claims, reading
from keywright.errors import KeywrightError
from keywright.middleware.source import Filling
from keywright.revocations import JWKS_PATH, Answer, FetchError, Outcome
from keywright.srl import RefusedListError

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Mapping

    from joserfc.jwk import OKPKey

    Fetch: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[Answer]]

__all__ = ["SNAPSHOT_PATH", "Snapshot"]

log = logging.getLogger("keywright.middleware")

SNAPSHOT_PATH = "/v1/snapshot"

_JWKS_AGE = 300.0  # seconds that a JWKS is believed without another look
_JWKS_PAUSE = 60.0  # seconds between two looks for a key that is not in it
_PATIENCE = 30.0  # seconds that a fetch may take
_OK, _NOT_MODIFIED = 200, 304


class Snapshot:
    """Fetches the snapshot of one Project from a verifier."""

    def __init__(
        self,
        url: str,
        *,
        project: str,
        issuer: str,
        key_file: str | os.PathLike[str],
        every: float = 10.0,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fetch from the verifier at `url` every so many seconds.

        `project` is `namespace/name`; `key_file` holds a key of it with the scope keywright:authorizer, and
        is read each time, for keys rotate. `fetch(url, headers)` replaces aiohttp.
        """
        self.index = Index()
        self.trusted_until = -math.inf
        """The last moment of `time.monotonic` at which the index may be believed."""
        self._url = url.rstrip("/")
        self._project = project
        self._issuer = issuer
        self._key_file = Path(key_file)
        self._every = every
        self._fetch = fetch or _over_http
        self._clock = clock
        self._monotonic = monotonic
        self._filling = Filling(self._follow)
        self._keys: Mapping[str, OKPKey] = {}
        self._jwks_at = -math.inf
        self._etag: str | None = None
        self._held: tuple[int, int, int] | None = None

    async def start(self) -> None:
        """Begin, unless it has begun."""
        if not self._filling.begun:
            self._filling.begin()

    async def stop(self) -> None:
        """Fetch no more."""
        await self._filling.end()

    async def poll(self) -> Outcome:
        """Fetch the snapshot if there is another one, and take it in.

        Raises FetchError, RefusedListError, OSError for the key's file, and whatever `fetch` raises; what is
        held stays.
        """
        headers = {"Authorization": f"Bearer {self._key_file.read_text().strip()}"}
        if self._etag is not None:
            headers["If-None-Match"] = self._etag
        answer = await self._get(SNAPSHOT_PATH, headers)
        if answer.status == _NOT_MODIFIED:
            return Outcome.UNCHANGED
        try:
            claims = await self._verified(answer.body)
        except RefusedListError as error:
            if error.code != "unknown_key" or self._monotonic() - self._jwks_at < _JWKS_PAUSE:
                raise
            await self._fetch_keys()
            claims = await self._verified(answer.body)
        outcome = await self._take(claims)
        if outcome is Outcome.ACCEPTED:
            self._etag = answer.etag
        return outcome

    async def _follow(self) -> None:
        while True:
            try:
                if await self.poll() is Outcome.OLDER:
                    log.warning("the verifier's snapshot is older than the one before it: not taken")
                if self._monotonic() - self._jwks_at >= _JWKS_AGE:
                    await self._fetch_keys()
            except (KeywrightError, OSError, aiohttp.ClientError) as error:
                # What a client library says may quote a header; what kind of error it is tells enough.
                told = error if isinstance(error, KeywrightError) else type(error).__name__
                log.warning("no new snapshot of the Project: %s", told)
            await asyncio.sleep(self._every)

    async def _verified(self, token: bytes) -> Claims:
        payload = await asyncio.to_thread(srl.opened, token, self._keys, typ=srl.SNAPSHOT_TYP)
        try:
            claims = Claims.of(await asyncio.to_thread(json.loads, payload))
        except (KeyError, TypeError, ValueError):
            raise RefusedListError(
                "malformed", "the snapshot lacks a claim, or one has another form"
            ) from None
        if claims.issuer != self._issuer:
            raise RefusedListError("wrong_issuer", f"the snapshot is not of the issuer {self._issuer}")
        if claims.project != self._project:
            raise RefusedListError("wrong_project", f"the snapshot is not of the Project {self._project}")
        if self._clock() >= claims.expires_at:
            raise RefusedListError(
                "expired", "the snapshot has expired: set the clock, or ask the verifier why"
            )
        return claims

    async def _take(self, claims: Claims) -> Outcome:
        place = (claims.epoch, claims.seq, claims.issued_at)
        if self._held is not None and place < self._held:
            return Outcome.OLDER
        # A clock that is behind must not make it live longer than it was meant to.
        lasts = min(claims.expires_at - self._clock(), claims.expires_at - claims.issued_at)
        until = self._monotonic() + lasts
        try:
            for _ in reading(self.index, claims.content):
                await asyncio.sleep(0)
        except ValueError:
            raise RefusedListError("malformed", "the snapshot holds no Project") from None
        self._held, self.trusted_until = place, until
        return Outcome.ACCEPTED

    async def _fetch_keys(self) -> None:
        answer = await self._get(JWKS_PATH, {})
        try:
            self._keys = srl.public_keys(json.loads(answer.body))
        except ValueError:
            raise FetchError("the verifier's JWKS is not JSON", path=JWKS_PATH) from None
        self._jwks_at = self._monotonic()

    async def _get(self, path: str, headers: Mapping[str, str]) -> Answer:
        answer = await self._fetch(self._url + path, headers)
        known = answer.status == _NOT_MODIFIED and "If-None-Match" in headers
        if answer.status != _OK and not known:
            raise FetchError("the verifier did not answer with 200", path=path, status=answer.status)
        return answer


async def _over_http(url: str, headers: Mapping[str, str]) -> Answer:
    patience = aiohttp.ClientTimeout(total=_PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=patience) as session,
        # A redirect would take the key elsewhere.
        session.get(url, headers=headers, allow_redirects=False) as answer,
    ):
        return Answer(answer.status, await answer.read(), answer.headers.get("ETag"))
