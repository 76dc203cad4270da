"""The networks that a key may be used from, as numbers: parsed when they change, compared at each request."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_network
from socket import AF_INET, AF_INET6, inet_pton

_MAPPED = bytes(10) + b"\xff\xff"  # an IPv4 address that a socket for both kinds shows as IPv6


class Networks:
    """(mask, network) for each of both kinds. Equal only to itself: that is what answers are kept by."""

    __slots__ = ("four", "six")

    def __init__(self, four: tuple[tuple[int, int], ...], six: tuple[tuple[int, int], ...]) -> None:
        self.four = four
        self.six = six

    def contain(self, client: str | None) -> bool:
        """Say whether the address is in one of them; one that is unknown, or none at all, is not."""
        return client is not None and _within(self, client)


@lru_cache(maxsize=4096)  # who calls once calls again
def _within(networks: Networks, client: str) -> bool:
    version, address = _address(client)
    kind = networks.four if version == 4 else networks.six if version == 6 else ()
    return any(address & mask == network for mask, network in kind)


def _address(text: str) -> tuple[int, int]:
    """Return the kind and the number of an address; no kind where the text is none."""
    try:
        packed = inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return 0, 0
    if packed[:12] == _MAPPED:
        packed = packed[12:]
    return 4 if len(packed) == 4 else 6, int.from_bytes(packed, "big")


@lru_cache(maxsize=4096)  # thousands of ApiKeys share a few lists
def networks_of(cidrs: tuple[str, ...]) -> Networks:
    """Return the networks of a list of CIDRs. Raises ValueError where one is none."""
    parsed = [ip_network(cidr) for cidr in cidrs]
    four, six = (
        tuple((int(n.netmask), int(n.network_address)) for n in parsed if n.version == version)
        for version in (4, 6)
    )
    return Networks(four, six)
