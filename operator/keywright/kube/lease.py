"""Who may act, of several replicas: the holder of a Lease (coordination.k8s.io/v1), as client-go plays it.

Every write stands on the resourceVersion that was read, so of two candidates one is refused. Whether a holder
is gone is judged by how long the record has not changed, on the monotonic clock of whoever looks: wall clocks
are written into it for people and never compared, so none that is wrong brings a takeover early or late.

A holder counts its own time from before it sent the write that was answered, and stops `MARGIN` earlier than
anybody else may take over. That narrows the time in which two act and does not exclude it: a request may be
on its way for longer. What is never to happen twice stands on preconditions of its own.

An outage of the API server ends nobody's term for good: nobody else could take over either. The holder stops
acting at its deadline and goes on once it has renewed; if it finds another holder instead, `LostError`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from keywright.errors import KeywrightError
from keywright.kube import paths
from keywright.kube.errors import ApiError, NotLeadingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywright.kube.client import Client, Object

DURATION = 10
"""Seconds without a renewal after which a candidate takes over."""
MARGIN = 2.0
"""Seconds by which the holder stops acting before that."""

_NOT_FOUND, _CONFLICT = 404, 409
_TERMINATING = "NamespaceTerminating"


class LostError(KeywrightError):
    """The lease was held and is another's now."""

    code = "lease_lost"


class Lease:
    """One candidate's view of a Lease; `client` is not to be fenced by it."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock
        self.name = name
        self.identity = identity
        self._record: Object | None = None
        self._spec: Object = {}  # outlives a record that was deleted: its holder acts on
        self._changed = float("-inf")
        self._deadline = float("-inf")
        self._holding = False

    @property
    def holder(self) -> str:
        """Who holds it, as last read; empty: nobody."""
        return str(self._spec.get("holderIdentity") or "")

    def held(self) -> bool:
        """Return whether this process may act now."""
        return self._clock() < self._deadline

    def require(self) -> None:
        """Raise NotLeadingError unless this process may act now."""
        if not self.held():
            raise NotLeadingError("this process does not hold the Lease, so it writes nothing")

    def expires_in(self) -> float:
        """Return the seconds until a candidate may take over, unless the record changes."""
        duration = self._spec.get("leaseDurationSeconds") or DURATION
        return self._changed + float(duration) - self._clock()

    async def attempt(self) -> bool:
        """Take the lease or renew it; return whether it was, rather than another's.

        Raises LostError, and ApiError or TransportError where nothing is known to have changed.
        """
        if not self._holding:
            await self._read()
        try:
            return await self._claim()
        except ApiError as error:
            if error.status not in {_NOT_FOUND, _CONFLICT}:
                raise
        # Somebody wrote or deleted it; or a write of ours that went unanswered has landed.
        await self._read()
        return await self._claim()

    async def release(self) -> None:
        """Let a candidate take over at once. Raises as `attempt` does, and then does not try again."""
        self._deadline = float("-inf")
        try:
            await self._vacate()
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            await self._read()
            await self._vacate()
        finally:
            self._holding = False

    async def _read(self) -> None:
        try:
            record = await self._client.get(paths.lease(self._namespace, self.name))
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            self._record = None
            return
        if (record.get("spec") or {}) != self._spec:
            self._changed = self._clock()
        self._note(record)
        if self._holding and self.holder not in {"", self.identity}:
            self._holding, self._deadline = False, float("-inf")
            raise LostError("another one holds the Lease", lease=self.name, holder=self.holder)

    async def _claim(self) -> bool:
        if self.holder not in {"", self.identity} and self.expires_in() > 0:
            return False
        begun, spec, now = self._clock(), self._spec, _now()
        if self.holder != self.identity:
            transitions = (spec.get("leaseTransitions") or 0) + 1 if spec else 0
            spec = {**spec, "acquireTime": now, "leaseTransitions": transitions}
        spec = {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": DURATION,
            "renewTime": now,
        }
        try:
            await self._write(spec)
        except ApiError as error:
            # Where no Lease can be any more, nobody can take over, and deletions are to go on.
            gone = self._record is None and (error.status == _NOT_FOUND or _TERMINATING in error.causes)
            if not (self._holding and gone):
                raise
        self._holding, self._deadline = True, begun + DURATION - MARGIN
        return True

    async def _vacate(self) -> None:
        if self._holding and self.holder == self.identity:
            now = _now()
            vacant = {"holderIdentity": "", "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now}
            await self._write({**self._spec, **vacant})

    async def _write(self, spec: Object) -> None:
        path = paths.lease(self._namespace, self.name)
        if self._record is None:
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self.name},
                "spec": spec,
            }
            record = await self._client.create(paths.leases(self._namespace), body)
        else:
            record = await self._client.replace(path, {**self._record, "spec": spec})
        self._changed = self._clock()
        self._note(record)

    def _note(self, record: Object) -> None:
        self._record, self._spec = record, record.get("spec") or {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
