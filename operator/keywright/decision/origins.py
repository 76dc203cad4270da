"""The origins of pages and apps that a key may be used from."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LABEL = re.compile(r"[a-z0-9_-]+")
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}  # browsers leave them out


class Origins(frozenset[str]):
    """Origins, some with `*` in the place of one label. One lookup for each: `*` is looked up too."""

    __slots__ = ()

    def allow(self, origins: Sequence[bytes]) -> bool:
        """Say whether a request with these Origin headers comes from one of them: exactly one header does."""
        if len(origins) != 1:
            return False
        try:
            origin = _without_default_port(origins[0].decode("ascii"))
        except UnicodeDecodeError:
            return False
        if origin in self:
            return "*" not in origin
        scheme, _, host = origin.partition("://")
        label, _, parent = host.partition(".")
        return _LABEL.fullmatch(label) is not None and f"{scheme}://*.{parent}" in self


@lru_cache(maxsize=4096)  # thousands of ApiKeys share a few lists
def origins_of(allowed: tuple[str, ...]) -> Origins:
    """Return the origins of a list as an ApiKey has it."""
    return Origins(_without_default_port(origin) for origin in allowed)


def _without_default_port(origin: str) -> str:
    scheme = origin.partition("://")[0]
    port = _DEFAULT_PORTS.get(scheme)
    return origin.removesuffix(port) if port is not None else origin
