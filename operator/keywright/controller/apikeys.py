"""One pass over an ApiKey: see, plan, act, and again, until the plan asks for nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from keywright.api.reasons import EventReason
from keywright.controller.cache import version_of
from keywright.controller.memory import Memory
from keywright.controller.sight import Looked
from keywright.errors import KeywrightError
from keywright.keys.plan import plan
from keywright.keys.raw import mint
from keywright.keys.seen import Unread
from keywright.kube.events import ObjectReference

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from keywright.api.apikey import ApiKey
    from keywright.controller.acting import Acting
    from keywright.controller.cache import Cache
    from keywright.controller.sight import Sight
    from keywright.controller.vanished import Vanished
    from keywright.keys.actions import Happening
    from keywright.keys.plan import Plan
    from keywright.keys.seen import Seen
    from keywright.kube.events import Recorder

log = structlog.get_logger("keywright.apikey")

# A regenerate with five valid generations takes eleven, sixteen restarts eighteen more; whatever takes many
# more is a quarrel with another writer.
MAX_STEPS = 48


class NotSettledError(KeywrightError):
    """A pass that came to no rest: somebody writes against it as fast as it writes."""

    code = "not_settled"


class ApiKeys:
    """Brings ApiKeys in line, one pass at a time."""

    def __init__(
        self,
        cache: Cache,
        recorder: Recorder,
        sight: Sight,
        acting: Acting,
        vanished: Vanished,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._cache = cache
        self._recorder = recorder
        self._sight = sight
        self._acting = acting
        self._vanished = vanished
        self._clock = clock
        self._memories: dict[str, Memory] = {}

    def tells_nothing(self, obj: dict[str, Any]) -> bool:
        """Whether a watch event needs no pass of its own."""
        metadata = obj["metadata"]
        memory = self._memories.get(metadata["uid"])
        return memory is not None and memory.tells_nothing(int(metadata["resourceVersion"]))

    def secret_tells_nothing(self, name: str, obj: dict[str, Any]) -> bool:
        """Whether an event of its Secret needs no pass of an ApiKey."""
        known = self._cache.version("apikey", name)
        memory = self._memories.get(known[0]) if known is not None else None
        return memory is not None and memory.secret_tells_nothing(version_of(obj))

    def gone(self, obj: dict[str, Any]) -> bool:
        """Let go of what was remembered of an ApiKey that is gone; return whether it needs one more pass."""
        memory = self._memories.pop(obj["metadata"]["uid"], None)
        if memory is not None and memory.finished:
            return False
        self._vanished.remember(obj)
        return True

    async def reconcile(self, name: str) -> float | None:
        """Take an ApiKey as far as it goes now; return the seconds until it is due again.

        Raises ApiError and TransportError for what waiting may mend, NotSettledError for what it may not.
        """
        await self._vanished.settle(name)
        obj = self._cache.get("apikey", name)
        if obj is None:
            return None
        memory = self._memories.setdefault(obj["metadata"]["uid"], Memory())
        memory.begin()
        try:
            due = await self._pass(name, memory)
        finally:
            memory.busy = False
        # What a watch told meanwhile was an echo of this pass, or taken into account, unless it came last.
        return 0.0 if memory.overtaken else due

    async def _pass(self, name: str, memory: Memory) -> float | None:
        looked, known = Looked(), 0
        for _ in range(MAX_STEPS):
            obj = self._cache.get("apikey", name)
            if obj is None or self._memories.get(obj["metadata"]["uid"]) is not memory:
                return None  # gone, or another one of that name: it has an event of its own
            version = int(obj["metadata"]["resourceVersion"])
            if version not in {known, memory.written}:
                # Somebody else's write: what the Secret was before it tells nothing of what is published now.
                looked.secret = self._sight.presumed_secret(obj)
            known = version
            seen = await self._sight.see(obj, memory, looked)
            now = self._clock()
            step = plan(seen, now, mint)
            if step.action is None:
                memory.settled = int(seen.api_key.metadata.resource_version)
                self._rest(seen, memory, step)
                return max(0.0, (step.due - now).total_seconds()) if step.due is not None else None
            if await self._acting.act(step.action, seen.api_key, memory, looked):
                for happening in step.happenings:
                    self._tell(seen.api_key, happening)
        raise NotSettledError("no rest after many steps: look for another writer of the object", object=name)

    def _rest(self, seen: Seen, memory: Memory, step: Plan) -> None:
        """Remember that the Secret was found in place, and tell what is to be told once."""
        if not isinstance(seen.secret, Unread):
            memory.verified = None if memory.secret_overtaken else step.verified
        memory.told.intersection_update(step.happenings)
        for happening in step.happenings:
            if happening not in memory.told:
                memory.told.add(happening)
                self._tell(seen.api_key, happening)

    def _tell(self, api_key: ApiKey, happening: Happening) -> None:
        """Write one log line and one Event for a thing that happened."""
        metadata = api_key.metadata
        about = {"key_id": happening.key_id, "revision": happening.revision} if happening.key_id else {}
        write = log.warning if happening.reason.warning else log.info
        write(happening.note, event_reason=happening.reason.value, api_key=api_key.name, **about)
        self._recorder.emit(
            regarding=ObjectReference("ApiKey", metadata.namespace, metadata.name, metadata.uid),
            reason=happening.reason,
            note=happening.note,
            action=_ACTIONS.get(happening.reason, "Reconcile"),
            key=_key(happening),
        )


_ACTIONS = {
    EventReason.MINTED: "Mint",
    EventReason.ROTATED: "Rotate",
    EventReason.RETIRED: "Retire",
    EventReason.REVOKED: "Revoke",
    EventReason.EXPIRED: "Expire",
    EventReason.WORKLOAD_RESTARTED: "Restart",
}


def _key(happening: Happening) -> str | None:
    """Name what can happen only once, to a generation or at all: an Event of it never needs repeating."""
    if happening.reason is EventReason.SECRET_RESTORED:
        return None
    generation = f"{happening.key_id}/{happening.revision}" if happening.key_id else ""
    return "/".join(filter(None, (generation, happening.subject))) or None
