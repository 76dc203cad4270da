"""When each key was last used, as far as verifiers have said, and when that is worth a write of its own.

A status is written for it once an hour a key, once a minute while the key retires (whoever waits for the last
user of an old key wants to know), and at once for a key that was never used before; all of that within one
budget for the whole operator, what has waited longest first. A status that is written anyway carries the
newest. A time never moves back, and is never later than now, whatever a verifier's clock says. Of a key that
has ended nothing more is told.
"""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from keywright.api.apikey import Generation, GenerationState
from keywright.api.meta import round_down
from keywright.keys.generations import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from keywright.api.apikey import ApiKey, ApiKeyStatus

USUALLY = timedelta(hours=1)
WHILE_RETIRING = timedelta(minutes=1)
RECENTLY = timedelta(minutes=5)
ENDING = 4
"""A key that retires is about to end in the last of so many parts of its overlap."""

_AT_ONCE = datetime.min.replace(tzinfo=UTC)


class LastUsed(NamedTuple):
    """When the keys of one ApiKey were last used, by id; `due`: telling it is worth a write of its own."""

    times: Mapping[str, datetime] = MappingProxyType({})
    due: bool = False


NEVER = LastUsed()


def carry(status: ApiKeyStatus, before: ApiKeyStatus, last_used: LastUsed) -> ApiKeyStatus:
    """Return a status that also tells the newest use; `before` is the one that it is going to replace."""
    alive = {g.id for g in before.keys if g.state not in ENDED}
    times = {key_id: round_down(used) for key_id, used in last_used.times.items() if key_id in alive}
    if not times:
        return status
    keys = tuple(_moved(generation, times.get(generation.id)) for generation in status.keys)
    told = (status.last_used_at, *(generation.last_used_at for generation in keys))
    newest = max((moment for moment in told if moment is not None), default=None)
    return status.model_copy(update={"keys": keys, "last_used_at": newest})


def _moved(generation: Generation, used: datetime | None) -> Generation:
    told = generation.last_used_at
    if used is None or generation.state is GenerationState.REVOKED or (told is not None and used <= told):
        return generation
    return generation.model_copy(update={"last_used_at": used})


class Budget:
    """A token bucket: how many statuses may be written for nothing but a time."""

    def __init__(self, per_second: float = 5.0, burst: float = 5.0) -> None:
        self._rate = per_second
        self._burst = burst
        self._left = burst
        self._filled: datetime | None = None

    def take(self, now: datetime) -> bool:
        """Take one, if there is one."""
        since = (now - (self._filled or now)).total_seconds()
        self._left = min(self._burst, self._left + max(0.0, since) * self._rate)
        self._filled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class _Key:
    """A generation: what its status tells (`told`), and what verifiers have said (`used`)."""

    __slots__ = ("every", "id", "overlap", "told", "used")

    def __init__(self, generation: Generation, used: datetime | None) -> None:
        self.id = generation.id
        self.told = generation.last_used_at
        self.used = used
        retires = generation.state is GenerationState.RETIRING
        ended = generation.state in ENDED
        self.every = None if ended else WHILE_RETIRING if retires else USUALLY
        since, until = generation.retiring_since, generation.retires_at
        self.overlap = (since, until) if retires and since and until else None

    def due(self) -> datetime | None:
        """Return when its use is to be told; None: there is nothing to tell."""
        if self.every is None or self.used is None:
            return None
        if self.told is None:
            return _AT_ONCE
        return self.told + self.every if self.used > self.told else None

    def still_used(self, now: datetime) -> bool:
        """Whether it is in use though it retires."""
        if self.overlap is None or self.used is None:
            return False
        since, until = self.overlap
        return now < until and self.used > max(since, now - RECENTLY)

    def ending(self, now: datetime) -> bool:
        """Whether most of its overlap is over."""
        if self.overlap is None:
            return False
        since, until = self.overlap
        return until - now <= (until - since) / ENDING


class _Known:
    """An ApiKey that was used; `admitted`: the budget has let it be written."""

    __slots__ = ("admitted", "due", "keys", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: tuple[_Key, ...] = ()
        self.due: datetime | None = None
        self.admitted = False

    def learn(self, generations: Iterable[Generation]) -> None:
        used = {key.id: key.used for key in self.keys}
        self.keys = tuple(_Key(generation, used.get(generation.id)) for generation in generations)


class Ledger:
    """The ApiKeys that were used, by UID, and which of them are next to be written."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self._known: dict[str, _Known] = {}
        self._due: list[tuple[datetime, str]] = []  # a heap; what a `_Known` says counts of it

    def __contains__(self, uid: str) -> bool:
        """Return whether the ApiKey of a UID is known."""
        return uid in self._known

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, uid: str, name: str, generations: Iterable[Generation]) -> None:
        """Take note of what the status of an ApiKey says."""
        known = self._known.setdefault(uid, _Known(name))
        known.learn(generations)
        self._enter(uid, known)

    def note(self, uid: str, key_id: str, used: datetime, now: datetime) -> None:
        """Take note of the use of a key, if its ApiKey is known and its status has it."""
        known = self._known.get(uid)
        key = next((key for key in known.keys if key.id == key_id), None) if known is not None else None
        used = round_down(min(used, now))
        if known is None or key is None or (key.used is not None and used <= key.used):
            return
        key.used = used
        self._enter(uid, known)

    def of(self, api_key: ApiKey) -> LastUsed:
        """Return what is known of the use of an ApiKey, whose status is learnt by the way."""
        uid = api_key.metadata.uid
        known = self._known.get(uid)
        if known is None:
            return NEVER
        known.learn(api_key.status.keys)
        self._enter(uid, known)
        times = {key.id: key.used for key in known.keys if key.used is not None}
        return LastUsed(times, due=known.admitted)

    def forget(self, uid: str) -> None:
        """Let go of an ApiKey that is no more."""
        self._known.pop(uid, None)

    def admit(self, now: datetime) -> Iterator[str]:
        """Return the names of those that are due and within the budget: each is to be looked at now."""
        while self._due and self._due[0][0] <= now:
            due, uid = self._due[0]
            known = self._known.get(uid)
            waits = known is not None and known.due == due and not known.admitted
            if waits and not self._budget.take(now):
                return
            heapq.heappop(self._due)
            if known is not None and waits:
                known.admitted = True
                yield known.name

    def retiring_in_use(self, now: datetime) -> tuple[int, int]:
        """Count the keys that are in use though they retire: those with time left, and those about to end."""
        used = [key for known in self._known.values() for key in known.keys if key.still_used(now)]
        ending = sum(key.ending(now) for key in used)
        return len(used) - ending, ending

    def _enter(self, uid: str, known: _Known) -> None:
        """Have an ApiKey wait for its turn; one that was let through stays so until its status has moved."""
        due = min((moment for key in known.keys if (moment := key.due()) is not None), default=None)
        if due == known.due:
            return
        known.due, known.admitted = due, False
        if due is not None:
            heapq.heappush(self._due, (due, uid))
