"""Asks every verifier when keys were last used, and has the ApiKeys looked at whose status is to tell it.

Only the replica that acts asks. What verifiers say is kept in a ledger (`keywright.keys.usage`), which the
plan reads like all else that it goes by: there is no second writer of a status. A verifier that is away,
broken or hostile costs a log line and a metric, and the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError

from keywright.api.apikey import Generation
from keywright.controller import usage_targets
from keywright.controller.usage_reader import Reader, ReadingError
from keywright.errors import KeywrightError
from keywright.kube.errors import ApiError, TransportError
from keywright.logs import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from keywright.controller.cache import Cache
    from keywright.controller.metrics import Metrics
    from keywright.controller.ports import UsageOptions, Wake
    from keywright.controller.usage_document import Page, Sighting
    from keywright.keys.usage import Ledger
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.usage")

AT_ONCE = 8  # verifiers that are asked at the same time: so many pages may be held in memory
MAX_PAGES = 200
ALLOWED = 20.0  # seconds for all pages of one verifier
TICK = 1.0
_PIECE = 200  # records between two turns of the loop
_MAX_TOKEN = 4096
_FORBIDDEN = 403


class TokenError(KeywrightError):
    """The bearer token cannot be used; its file is named, what stands in it never."""

    code = "no_token"


class _Verifier:
    """What is remembered of one verifier: its process, up to where it was read, and since when not."""

    __slots__ = ("boot", "mark", "problem", "read_at")

    def __init__(self, now: float) -> None:
        self.boot = ""
        self.mark = 0
        self.problem: str | None = ""
        self.read_at = now


class Scraper:
    """Keeps the ledger of use up to date."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        ledger: Ledger,
        *,
        options: UsageOptions,
        wake: Wake,
        clock: Callable[[], datetime],
        metrics: Metrics,
    ) -> None:
        self._client = client
        self._cache = cache
        self._ledger = ledger
        self._options = options
        self._wake = wake
        self._clock = clock
        self._metrics = metrics
        self._verifiers: dict[str, _Verifier] = {}
        self._problem: str | None = None
        self._found_at = 0.0
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def run(self, acting: asyncio.Event) -> None:
        """Ask for ever, while this process acts."""
        reader = Reader()
        self._found_at = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._admit(acting), name="keywright usage, writing")
                while True:
                    await acting.wait()
                    await self._round(reader)
                    jittered = self._options.interval * random.uniform(0.9, 1.1)  # noqa: S311  spreads load
                    await asyncio.sleep(jittered)
        finally:
            await reader.close()

    def oldest(self) -> float:
        """Return for how many seconds the verifier that was read last of all has not been read.

        Where it cannot even be known which there are: since when.
        """
        now = time.monotonic()
        unknown = now - self._found_at if self._problem is not None else 0.0
        return max((now - verifier.read_at for verifier in self._verifiers.values()), default=unknown)

    def verifiers(self) -> int:
        """Return how many there are to be asked."""
        return len(self._verifiers)

    async def _admit(self, acting: asyncio.Event) -> None:
        """Have looked at what the budget lets through, after all else that is due."""
        while True:
            await acting.wait()
            for name in self._ledger.admit(self._clock()):
                self._wake(f"apikey:{name}", last=True)
            await asyncio.sleep(TICK)

    async def _round(self, reader: Reader) -> None:
        """Ask each verifier once."""
        try:
            token = await asyncio.to_thread(read_token, self._options.token_file)
            self._know(await usage_targets.find(self._client, self._options))
            self._say(None)
        except (TokenError, ApiError, TransportError) as error:
            self._say(_described(error, self._options))
            return
        except Exception as error:  # noqa: BLE001  an EndpointSlice of a form that nobody foresaw
            log.error("verifiers not found", error=type(error).__name__, origin=origin_of(error))  # noqa: TRY400
            return
        async with asyncio.TaskGroup() as group:
            for target, verifier in self._verifiers.items():
                group.create_task(self._read(reader, token, target, verifier))

    def _know(self, targets: list[str]) -> None:
        now = self._found_at = time.monotonic()
        known = self._verifiers
        self._verifiers = {target: known.get(target) or _Verifier(now) for target in targets}

    async def _read(self, reader: Reader, token: str, target: str, verifier: _Verifier) -> None:
        """Read all that is new of one verifier, and tell once when that begins or ceases to work."""
        async with self._turns:
            outcome, problem = "ok", None
            try:
                async with asyncio.timeout(ALLOWED):
                    await self._pages(reader, token, target, verifier)
            except ReadingError as error:
                outcome, problem = error.code, str(error)
            except TimeoutError:
                outcome, problem = "unreachable", f"not all of it within {ALLOWED:.0f} s"
            except Exception as error:  # noqa: BLE001  nothing that it says may end the operator
                outcome, problem = "internal", f"{type(error).__name__} ({origin_of(error)})"
        self._metrics.count_usage_read(outcome)
        if problem is None:
            verifier.read_at = time.monotonic()
        if problem != verifier.problem:
            verifier.problem = problem
            if problem is None:
                log.info("reading the usage of a verifier", verifier=target)
            else:
                log.warning("the usage of a verifier cannot be read", verifier=target, why=problem)

    async def _pages(self, reader: Reader, token: str, target: str, verifier: _Verifier) -> None:
        """Read page by page; the mark to go on from is the first one's: what was used since comes again."""
        since, after = verifier.mark, 0
        first = await reader.page(target, token, since=since, after=0)
        if first.boot != verifier.boot and since:
            # Another process: to it the mark means nothing, and it may have left out what is new here.
            since = verifier.mark = 0
            first = await reader.page(target, token, since=0, after=0)
        page = first
        for _ in range(MAX_PAGES):
            await self._take(page)
            if page.following is None:
                verifier.boot, verifier.mark = first.boot, first.mark
                return
            if page.following <= after:
                raise ReadingError("malformed", "its pages go round in a circle")
            after = page.following
            page = await reader.page(target, token, since=since, after=after)
            if page.boot != first.boot:
                raise ReadingError(
                    "malformed",
                    "another process answered in between: name each verifier by an address of its own",
                )
        raise ReadingError("too_large", f"more than {MAX_PAGES} pages")

    async def _take(self, page: Page) -> None:
        """Enter what a page says, in pieces: others want the loop too."""
        self._metrics.usage_records_ignored.inc(page.malformed)
        now = self._clock()
        for number, sighting in enumerate(page.sightings, 1):
            self._note(sighting, now)
            if number % _PIECE == 0:
                await asyncio.sleep(0)

    def _note(self, sighting: Sighting, now: datetime) -> None:
        """Enter the use of a key that exists; verifiers remember others for a while."""
        known = self._cache.version("apikey", sighting.api_key)
        if known is None or known[0] != sighting.uid:
            return
        uid = sighting.uid
        if uid not in self._ledger:
            obj = self._cache.get("apikey", sighting.api_key) or {}
            self._ledger.learn(uid, sighting.api_key, _generations(obj))
        self._ledger.note(uid, sighting.key_id, sighting.last_used, now)

    def _say(self, problem: str | None) -> None:
        """Tell once when it begins or ceases that nobody can be asked."""
        if problem != self._problem:
            self._problem = problem
            if problem is None:
                log.info("verifiers are asked for usage again")
            else:
                log.warning("no verifier is asked for usage", why=problem)


def read_token(file: Path) -> str:
    """Read the token as it is now: a mounted Secret changes. Raises TokenError."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_TOKEN + 1)
    except OSError as error:
        raise TokenError("--usage-token-file cannot be read", file=file, problem=error.strerror) from None
    token = text.strip()
    if not token or len(text) > _MAX_TOKEN or not all(0x21 <= character <= 0x7E for character in token):
        raise TokenError("--usage-token-file holds no token: write one line of visible ASCII", file=file)
    return token.decode("ascii")


def _generations(obj: dict[str, Any]) -> Iterator[Generation]:
    """Return the generations of an ApiKey that can be read."""
    for entry in (obj.get("status") or {}).get("keys") or ():
        with contextlib.suppress(ValidationError):
            yield Generation.model_validate(entry)


def _described(error: TokenError | ApiError | TransportError, options: UsageOptions) -> str:
    if isinstance(error, ApiError) and error.status == _FORBIDDEN:
        return (
            f"endpointslices may not be listed in the namespace {options.service.namespace}: grant that, "
            "or name the verifiers with --usage-url"
        )
    return str(error)
