"""What an ASGI scope says about a request, read as strictly as what a proxy says.

The path is decided about as the server received it, and must be the one that the application will route by:
below a `root_path` the two may differ by that only.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from keywright.decision.code import Code
from keywright.decision.networks import networks_of
from keywright.verifier.dialects import Dialect, Proxies, Reader, Reading, address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ASGI = Dialect("asgi", None, None, lambda value: value, ())


class Scopes:
    """Reads the scopes of requests for one Project."""

    def __init__(self, project: str, *, trusted_proxies: Iterable[str], header: str, hops: int) -> None:
        self._project = project
        networks = tuple(trusted_proxies)
        self._proxies = networks_of(networks)
        trusted = tuple(map(ipaddress.ip_network, networks))
        self._reader = Reader(_ASGI, Proxies(trusted=trusted, client_header=header, client_position=hops))

    def read(self, scope: Mapping[str, Any]) -> Reading | Code:
        """Return what is asked, or the code of why it cannot be told."""
        raw = _raw_path(scope)
        if raw is None:
            return Code.INVALID_PATH
        peer = scope["client"][0] if scope.get("client") else ""
        reading = self._reader.read(
            self._project, scope.get("method", "GET"), raw, scope["query_string"], scope["headers"], peer
        )
        if not isinstance(reading, Reading):
            return reading
        if not _routed_by(scope, reading.request.path):
            return Code.INVALID_PATH
        client = address(peer.encode())
        if client is None or self._proxies.contain(client):
            return reading
        return reading._replace(request=reading.request._replace(client=client))


def _raw_path(scope: Mapping[str, Any]) -> bytes | None:
    """Return the path as it was received; where the server does not tell, as the application will see it."""
    raw: bytes | None = scope.get("raw_path")
    if raw is not None:
        return raw
    try:
        return quote(scope["path"], safe="/!$&'()*+,=:@~").encode()
    except UnicodeEncodeError:  # what is half of a surrogate pair
        return None


def _routed_by(scope: Mapping[str, Any], path: str) -> bool:
    """Say whether a path is the one in the scope; servers and mounts differ in where `root_path` stands."""
    routed, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path == routed or (bool(root) and (path == root + routed or root + path == routed))
