"""What one process remembers of one ApiKey between passes; a restart forgets it without harm."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from keywright.keys.seen import Refusal

if TYPE_CHECKING:
    from datetime import datetime

    from keywright.api.apikey import ApiKey
    from keywright.api.workload import Workload
    from keywright.keys.actions import Happening
    from keywright.keys.raw import RawKey
    from keywright.keys.seen import Verified

_FIRST_RETRY = timedelta(seconds=5)
_LAST_RETRY = timedelta(minutes=5)


@dataclass(slots=True)
class Memory:
    """Raw values that are not revealed yet, and what need not be asked or told again.

    `held` are values of Pending generations; `sent` those of them whose reveal left this process with no
    definite answer, `refused` those whose only reveal was refused. `written`, `settled` and
    `observed` are the newest resourceVersions that this process wrote, came to rest with, and was told of
    while `busy` with a pass; `secret_seen` and `secret_observed` those of the Secret that it read or wrote
    and was told of. `restarted`: what this process has annotated workloads with; `restarting`: for which
    key it reads them, and since when. `finished`: this process itself took the finalizer away.
    """

    held: dict[str, RawKey] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    refusal: Refusal | None = None
    refusals: int = 0
    verified: Verified | None = None
    told: set[Happening] = field(default_factory=set)
    restarted: dict[Workload, str] = field(default_factory=dict)
    restarting: tuple[str | None, datetime] | None = None
    written: int = 0
    settled: int = 0
    observed: int = 0
    secret_seen: int = 0
    secret_observed: int = 0
    busy: bool = False
    finished: bool = False

    def begin(self) -> None:
        """Begin a pass: what was told of the Secret until now is in the cache, be it that it is gone."""
        self.busy, self.secret_observed = True, 0

    def tells_nothing(self, resource_version: int) -> bool:
        """Whether a watch event needs no pass of its own: an echo, or the pass in progress will see to it."""
        if self.busy:
            self.observed = max(self.observed, resource_version)
        return self.busy or resource_version <= self.written

    def secret_tells_nothing(self, resource_version: int) -> bool:
        """Whether an event of the Secret needs no pass of its own, likewise; what does, ends `verified`."""
        if resource_version <= self.secret_seen:
            return True
        self.verified = None
        if self.busy:
            self.secret_observed = max(self.secret_observed, resource_version)
        return self.busy

    @property
    def secret_overtaken(self) -> bool:
        """Whether a newer Secret was told of during a pass than the one that it read or wrote last."""
        return self.secret_observed > self.secret_seen

    @property
    def overtaken(self) -> bool:
        """Whether something newer was told of during a pass than what it read or wrote last."""
        return self.secret_overtaken or self.observed > max(self.written, self.settled)

    def refuse(self, key_id: str | None, explanation: str, generation: int, now: datetime) -> None:
        """Note that the API server said no to the Secret, and wait longer each time before the next try.

        `key_id` is that of the value to be revealed, None for a repair; `generation` that of the spec.
        """
        if key_id is not None and key_id not in self.sent:
            self.refused.add(key_id)
        if self.refusal is None or self.refusal.generation != generation:
            self.refusals = 0
        wait = min(_FIRST_RETRY * 2 ** min(self.refusals, 10), _LAST_RETRY)
        self.refusals += 1
        self.refusal = Refusal(explanation, now + wait, generation)

    def accepted(self) -> None:
        """Note that the API server took the Secret."""
        self.refusal, self.refusals = None, 0

    def revealed(self, key_id: str) -> None:
        """Let go of a value that now stands in its Secret."""
        self.held.pop(key_id, None)
        self.accepted()

    def workloads_read(self, key_id: str | None, now: datetime) -> None:
        """Note that workloads were read for a key: only the first time counts."""
        if self.restarting_since(key_id) is None:
            self.restarting = key_id, now

    def restarting_since(self, key_id: str | None) -> datetime | None:
        """Return when workloads were first read for a key."""
        known = self.restarting
        return known[1] if known is not None and known[0] == key_id else None

    def forget_settled(self, api_key: ApiKey) -> None:
        """Let go of values whose generation is in status no more."""
        known = {generation.id for generation in api_key.status.keys}
        for key_id in [key_id for key_id in self.held if key_id not in known]:
            del self.held[key_id]
        self.sent &= known
        self.refused &= known
