"""One collection kept up by list and watch.

The official client's informer asks for no bookmarks, sets no read timeout and retries without a pause; kopf's
costs a task and a queue an object, says neither when its list is complete nor what vanished meanwhile, and
cannot watch metadata only. The protocol is that of the Kubernetes API concepts, "Efficient detection of
changes".
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from keywright.kube.errors import ApiError, TransportError

if TYPE_CHECKING:
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.informer")

WATCH_FOR = 300  # seconds; then the server ends the watch, and the next one may find another replica
SILENCE = 150.0  # seconds: twice what passes between two bookmarks, and some
_FIRST_WAIT, _LAST_WAIT = 0.25, 5.0
_REFUSED_WAIT = 60.0
_SHORT = 1.0  # seconds; a watch that ends sooner did not end because its time was over
_FORBIDDEN, _GONE = 403, 410


@dataclass(frozen=True)
class Collection:
    """What is listed and watched.

    `whole`: with spec and status; whoever holds Secrets must not read them for their metadata. `required`:
    where it may not be read it is asked for again soon, and nothing is settled before it may.
    """

    path: str
    query: dict[str, str] = field(default_factory=dict)
    whole: bool = False
    required: bool = False


class Store(Protocol):
    """Where what an informer learns goes."""

    def listing(self, version: int) -> None:
        """Know that a list begins, as of that version."""

    def receive(self, event_type: str | None, obj: dict[str, Any]) -> None:
        """Take in one event; its type is None for what a list brought."""

    def replace(self, listed: set[str], version: int) -> None:
        """Forget what is not among the `namespace/name` of a whole list, unless it is newer than the list."""

    def closed(self) -> None:
        """Know that nothing may be read, so nothing is told from now on; once, until it is listed again."""


class Informer:
    """Lists a collection, watches it from there, and begins anew where it lost the thread."""

    def __init__(self, client: Client, collection: Collection, store: Store) -> None:
        self._client = client
        self._collection = collection
        self._store = store
        self._version: str | None = None
        self._cut: asyncio.Timeout | None = None
        self.listed = False
        """Whether the store has been told of everything once, and of every change since."""
        self.settled = asyncio.Event()
        """Set once it is listed, or known that it may not be and is not required."""

    async def run(self) -> None:
        """Keep the store up to date, for ever."""
        wait = _FIRST_WAIT
        while True:
            begun, trouble = math.inf, None
            try:
                if self._version is None:
                    await self._list()
                begun = time.monotonic()
                await self._watch()
            except (ApiError, TransportError) as error:
                trouble = error
            except TimeoutError:  # begin_anew
                continue
            if time.monotonic() - begun >= _SHORT:
                wait = _FIRST_WAIT
                if trouble is None:
                    continue
            pause = wait  # who ends each watch at once must not be asked without a pause
            if trouble is not None:
                pause = self._refused(trouble, wait) if isinstance(trouble, ApiError) else wait
                self._say(trouble, pause)
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  not a secret
            wait = min(wait * 2, _LAST_WAIT)

    @property
    def version(self) -> int:
        """The resourceVersion up to which the store has been told of everything; 0: before the first list."""
        return int(self._version or 0)

    def begin_anew(self) -> None:
        """Leave the watch in progress, which is not to be trusted, and list."""
        self._version = None
        if self._cut is not None:
            self._cut.reschedule(asyncio.get_running_loop().time())

    def _say(self, trouble: ApiError | TransportError, pause: float) -> None:
        """Say what is wrong; what keeps everything else from beginning, aloud."""
        say = log.warning if self._collection.required and not self.settled.is_set() else log.info
        say("watch interrupted", path=self._collection.path, error=str(trouble), retry_in=round(pause, 2))

    def _refused(self, error: ApiError, wait: float) -> float:
        """Return how long to wait after a refusal; where the thread is lost, list then."""
        if error.status == _GONE:
            self._version = None
        if error.status == _FORBIDDEN and not self._collection.required:
            self._close()
            return _REFUSED_WAIT
        return max(wait, error.retry_after or 0.0)

    def _close(self) -> None:
        """Say so, unless it has been said."""
        news = self.listed or not self.settled.is_set()
        self.listed, self._version = False, None
        self.settled.set()
        if news:
            self._store.closed()

    async def _list(self) -> None:
        listed: set[str] = set()
        version = ""
        path, query, whole = self._collection.path, self._collection.query, self._collection.whole
        async for page in self._client.pages(path, query, whole=whole):
            if not version:
                version = page["metadata"]["resourceVersion"]
                self._store.listing(int(version))
            for obj in page.get("items") or ():
                listed.add(f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}")
                self._store.receive(None, obj)
        self._store.replace(listed, int(version))
        self._version = version
        self.listed = True
        self.settled.set()

    async def _watch(self) -> None:
        """Follow the changes until the server ends the watch. Raises ApiError 410 where they are too old."""
        query = {
            **self._collection.query,
            "resourceVersion": self._version or "",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_FOR),
        }
        path, whole = self._collection.path, self._collection.whole
        try:
            async with asyncio.timeout(None) as self._cut:
                async for event in self._client.watch(path, query, silence=SILENCE, whole=whole):
                    obj = event["object"]
                    if event["type"] != "BOOKMARK":
                        self._store.receive(event["type"], obj)
                    self._version = obj["metadata"]["resourceVersion"]
        finally:
            self._cut = None
