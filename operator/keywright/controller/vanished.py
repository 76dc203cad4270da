"""ApiKeys that went without being asked: somebody took the finalizer away, and the object with it.

Their keys must end all the same, so the last state that was known of them is kept until each generation
has its record in the system namespace. What vanished while no operator ran is not known to anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from keywright.controller.cache import key_of
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

_NOT_FOUND = 404


class Vanished:
    """The last known states of such ApiKeys, by name."""

    def __init__(
        self, client: Client, sight: Sight, acting: Acting, *, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._sight = sight
        self._acting = acting
        self._clock = clock
        self._last: dict[str, dict[str, Any]] = {}

    def remember(self, obj: dict[str, Any]) -> None:
        """Keep the last state of an ApiKey that a watch says is gone."""
        if (obj.get("status") or {}).get("keys"):
            self._last[key_of(obj)] = obj

    async def settle(self, name: str) -> None:
        """Write the records that are missing. Raises ApiError and TransportError, and then knows it still."""
        obj = self._last.get(name)
        if obj is None:
            return
        looked = Looked()
        # As one that is being deleted: then neither sealing keys nor a readable status are asked for.
        gone = {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": "1970-01-01T00:00:00Z"}}
        seen = await self._sight.see(gone, Memory(), looked)
        if not await self._exists(seen.api_key):
            log.warning("an ApiKey vanished without its finalizer", api_key=name)
            facts = derive(seen, self._clock())
            for record in deletion.records(facts):
                if not await self._acting.act(record, seen.api_key, Memory(), looked):
                    break  # there is nowhere to write them
        self._last.pop(name, None)

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
