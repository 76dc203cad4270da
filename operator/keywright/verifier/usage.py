"""How often, when and from where each key was used: counted on the way of a request, read by a scrape.

One record for each generation that was used, made when it first is: of 100,000 keys those cost memory that
somebody uses. All counts are absolute since the process started; whoever wants rates takes differences.

Who scrapes again wants what changed. A record carries the mark of its last request, and each scrape raises
the mark: no clock is compared, so one that is set back hides nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from ipaddress import IPv4Address, ip_address, ip_network
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keywright.decision.entry import Entry, Generation
    from keywright.decision.index import Index

NETWORKS = 8
"""How many client networks of a key are told apart."""
MINUTES = 15
"""Of how many whole minutes the requests are kept."""


class Minute(NamedTuple):
    """The requests of one minute that is over."""

    begins: int
    """Epoch seconds."""
    requests: int


class Record:
    """What is known of one generation."""

    __slots__ = (
        "_base",
        "_client",
        "_minutes",
        "_until",
        "api_key",
        "denied",
        "key_id",
        "last",
        "mark",
        "more_networks",
        "networks",
        "number",
        "project",
        "requests",
        "uid",
    )

    def __init__(self, entry: Entry, generation: Generation, number: int) -> None:
        self.api_key = entry.name
        self.uid = entry.uid
        self.project = entry.project
        self.key_id = generation.id
        self.number = number
        """The place of the record among all: pages go by it."""
        self.mark = 0
        self.requests = 0
        self.denied: dict[str, int] | None = None
        self.last = 0.0
        """When it was last used, in epoch seconds."""
        self.networks: tuple[str, ...] = ()
        self.more_networks = False
        """Whether it was used from further networks."""
        self._client: str | None = None
        self._base = 0
        self._until = 0.0
        self._minutes: tuple[Minute, ...] = ()

    def begin_minute(self, now: float) -> None:
        """Close the minute of the last request; the next one begins at `now`."""
        begins = int(now // 60) * 60
        if self.requests > self._base:
            over = Minute(int(self._until) - 60, self.requests - self._base)
            self._minutes = (*self._minutes, over)[-MINUTES:]
        self._base, self._until = self.requests, begins + 60.0

    def minutes(self, now: float) -> tuple[Minute, ...]:
        """Return the minutes that are over, oldest first, without those in which there was no request."""
        if now >= self._until:
            self.begin_minute(now)
        oldest = now - 60 * (MINUTES + 1)
        return tuple(minute for minute in self._minutes if minute.begins > oldest)

    def seen_from(self, client: str) -> None:
        """Note the network of a client."""
        self._client = client
        network = network_of(client)
        if network is None or network in self.networks:
            return
        if len(self.networks) < NETWORKS:
            self.networks = (*self.networks, network)
        else:
            self.more_networks = True


class Page(NamedTuple):
    """A part of the records. `following`: where the next one begins; None: this was the last."""

    records: list[Record]
    following: int | None


class Usage:
    """The records of a process."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}
        self._mark = 1
        self._made = 0

    def count(
        self, entry: Entry, generation: Generation, now: float, client: str | None, code: str | None = None
    ) -> None:
        """Count one request whose sender holds the key; `code` is that of its denial."""
        try:
            record = self._records[entry.uid, generation.id]
        except KeyError:
            record = self._make(entry, generation)
        if now >= record._until:  # noqa: SLF001  a call for each request would cost as much as all the rest
            record.begin_minute(now)
        record.requests += 1
        record.last = now
        record.mark = self._mark
        if client is not None and client != record._client:  # noqa: SLF001  as above
            record.seen_from(client)
        if code is not None:
            if record.denied is None:
                record.denied = {}
            record.denied[code] = record.denied.get(code, 0) + 1

    def mark(self) -> int:
        """Return what to ask with the next time for what was used since now."""
        mark, self._mark = self._mark, self._mark + 1
        return mark

    def page(self, *, since: int = 0, after: int = 0, most: int) -> Page:
        """Return records used since a mark, from a place on: those of `most` records, changed or not.

        So that no page takes long, however few of many have changed.
        """
        records = list(self._records.values())
        begin = bisect_right(records, after, key=attrgetter("number"))
        part = records[begin : begin + most]
        following = part[-1].number if begin + most < len(records) else None
        return Page([record for record in part if record.mark > since], following)

    def forget(self, index: Index) -> None:
        """Let go of generations that are no more."""
        gone = [key for key, record in self._records.items() if not _known(index, record)]
        for key in gone:
            del self._records[key]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def _make(self, entry: Entry, generation: Generation) -> Record:
        self._made += 1
        record = self._records[entry.uid, generation.id] = Record(entry, generation, self._made)
        return record


def _known(index: Index, record: Record) -> bool:
    entry = index.entry(record.api_key)
    if entry is None or entry.uid != record.uid:
        return False
    return not entry.readable or any(one.id == record.key_id for one in entry.generations)


@lru_cache(maxsize=4096)
def network_of(client: str) -> str | None:
    """Return the network that a client is taken to be of: a /24, or a /48 of IPv6; None: no address."""
    try:
        address = ip_address(client)
    except ValueError:
        return None
    mapped = address if isinstance(address, IPv4Address) else address.ipv4_mapped
    if mapped is not None:
        return str(ip_network((mapped, 24), strict=False))
    return str(ip_network((address, 48), strict=False))
