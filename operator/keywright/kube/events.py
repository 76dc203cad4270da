"""Kubernetes Events: a courtesy to whoever runs `kubectl describe`, never a reason to wait or to fail.

They go through a bounded queue to a few tasks. The name of an Event with a `key` follows from its
subject, so that two replicas, or a process before and after a restart, write it once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from keywright.api.meta import API_VERSION
from keywright.kube import paths
from keywright.kube.errors import ApiError, NotLeadingError, TransportError

if TYPE_CHECKING:
    from keywright.api.reasons import EventReason
    from keywright.kube.client import Client, Object

log = structlog.get_logger("keywright.events")

CONTROLLER = "keywright.dev/operator"
WAITING = 4000  # Events beyond that are dropped: the API server is not taking them
SENDERS = 4  # a burst of a thousand rotations is told of while it is news
REPEAT_AFTER = 600.0
_CONFLICT = 409
_NOTE = 1024  # bytes; the API server refuses more
_NAME = 253


@dataclass(frozen=True)
class ObjectReference:
    """What an Event is about."""

    kind: str
    namespace: str
    name: str
    uid: str
    api_version: str = API_VERSION

    def wire(self) -> Object:
        """Return it as core/v1 ObjectReference."""
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }


class Recorder:
    """Emits Events in the background."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._instance = f"{socket.gethostname()}/{os.getpid()}"[:128]
        self._queue: asyncio.Queue[Object] = asyncio.Queue(maxsize=WAITING)
        self._sent: dict[tuple[str, str, str], float] = {}
        self._many = WAITING

    def emit(
        self,
        *,
        regarding: ObjectReference,
        reason: EventReason,
        note: str,
        action: str,
        key: str | None = None,
    ) -> None:
        """Send an Event soon: once in ten minutes with the same note, and once for ever with the same key."""
        if not self._is_new(regarding.uid, reason, key or note):
            return
        body: Object = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": _name(regarding, reason, key), "namespace": regarding.namespace},
            "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "type": "Warning" if reason.warning else "Normal",
            "reason": reason.value,
            "action": action,
            "regarding": regarding.wire(),
            "note": note.encode()[:_NOTE].decode(errors="ignore"),
        }
        try:
            self._queue.put_nowait(body)
        except asyncio.QueueFull:
            log.warning("event dropped", reason=reason.value, waiting=WAITING)

    async def run(self) -> None:
        """Send what was emitted, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            body = await self._queue.get()
            try:
                await self._send(body)
            finally:
                self._queue.task_done()

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109  a bound on shutdown, not a way to fail
        """Wait until what was emitted is sent, but no longer than that many seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._queue.join()
        except TimeoutError:
            log.warning("events not sent", count=self._queue.qsize())

    async def _send(self, body: Object) -> None:
        try:
            await self._client.create(paths.events(body["metadata"]["namespace"]), body)
        except (ApiError, TransportError, NotLeadingError) as error:
            if not (isinstance(error, ApiError) and error.status == _CONFLICT):
                log.warning("event not sent", reason=body["reason"], error=str(error))

    def _is_new(self, uid: str, reason: EventReason, what: str) -> bool:
        now = time.monotonic()
        if len(self._sent) > self._many:
            self._sent = {sent: at for sent, at in self._sent.items() if now - at < REPEAT_AFTER}
            self._many = max(WAITING, 2 * len(self._sent))  # so that a burst is not swept at each Event
        identity = (uid, reason.value, what)
        last = self._sent.get(identity)
        if last is not None and now - last < REPEAT_AFTER:
            return False
        self._sent[identity] = now
        return True


def _name(regarding: ObjectReference, reason: EventReason, key: str | None) -> str:
    subject = f"{regarding.uid}|{reason.value}|{time.time_ns() if key is None else key}"
    suffix = hashlib.sha256(subject.encode()).hexdigest()[:16]
    return f"{regarding.name[: _NAME - len(suffix) - 1].rstrip('-.')}.{suffix}"
