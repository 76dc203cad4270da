"""ApiKeys that went without being asked: somebody took the finalizer away, and the object with it.

Their keys must end all the same, so the last state that was known of them is kept until each generation
has its record in the system namespace. What vanished while no operator ran is not known to anybody.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from keywright.controller.cache import key_of, summarise
from keywright.controller.memory import Memory
from keywright.controller.sight import Looked
from keywright.keys import deletion
from keywright.keys.facts import derive
from keywright.kube import paths
from keywright.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from keywright.api.apikey import ApiKey
    from keywright.controller.acting import Acting
    from keywright.controller.sight import Sight
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.apikey")

# Within this another replica has seen to what vanished, or is gone itself and succeeded.
HANDED_OVER = timedelta(seconds=60)
_NOT_FOUND = 404


class _Last(NamedTuple):
    since: datetime
    obj: dict[str, Any]


class Vanished:
    """The last known states of such ApiKeys, by name and UID: one name may have vanished several times."""

    def __init__(
        self, client: Client, sight: Sight, acting: Acting, *, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._sight = sight
        self._acting = acting
        self._clock = clock
        self._last: dict[str, dict[str, _Last]] = {}

    def remember(self, obj: dict[str, Any]) -> None:
        """Keep the last state of an ApiKey that a watch says is gone."""
        if summarise(obj).key_ids:
            self._last.setdefault(key_of(obj), {})[obj["metadata"]["uid"]] = _Last(self._clock(), obj)

    def names(self) -> list[str]:
        """Return the ApiKeys that are to be settled."""
        return list(self._last)

    def forget_handed_over(self) -> None:
        """Forget those that another replica has had the time to settle."""
        since = self._clock() - HANDED_OVER
        for name, namesakes in tuple(self._last.items()):
            for uid in [uid for uid, last in namesakes.items() if last.since <= since]:
                self._forget(name, uid)

    async def settle(self, name: str) -> None:
        """Write the records that are missing. Raises ApiError and TransportError, and then knows it still."""
        for uid, last in tuple(self._last.get(name, {}).items()):
            await self._record(last.obj)
            if self._last.get(name, {}).get(uid) is last:  # else a later state of it came meanwhile
                self._forget(name, uid)

    def _forget(self, name: str, uid: str) -> None:
        del self._last[name][uid]
        if not self._last[name]:
            del self._last[name]

    async def _record(self, obj: dict[str, Any]) -> None:
        looked = Looked()
        # As one that is being deleted: then neither sealing keys nor a readable status are asked for.
        gone = {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": "1970-01-01T00:00:00Z"}}
        seen = await self._sight.see(gone, Memory(), looked)
        missing = deletion.records(derive(seen, self._clock()))
        if not missing or await self._exists(seen.api_key):
            return
        log.warning("an ApiKey vanished without its finalizer", api_key=seen.api_key.name)
        for record in missing:
            if not await self._acting.act(record, seen.api_key, Memory(), looked):
                break  # there is nowhere to write them

    async def _exists(self, api_key: ApiKey) -> bool:
        """Whether the very object is still there: a watch may end for reasons of its own."""
        metadata = api_key.metadata
        try:
            live = await self._client.get(paths.api_key(metadata.namespace, metadata.name))
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return False
        return bool(live["metadata"]["uid"] == metadata.uid)
