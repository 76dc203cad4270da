"""What each proxy says about a request, and in which headers: one row for each dialect.

Trusting a proxy is not trusting a header: what the client itself sent travels through it. So each fact is
read from exactly one header, fixed at start, which the proxy sets whatever the client sent. Where another
header of the same family, a second one, or a spelling with `_` might have been meant (a server behind the
proxy may take `x_forwarded_uri` for the same), the request is refused: somebody wants two programs to see
different things.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

from keywright.decision.code import Code
from keywright.decision.outcome import NO_IDENTITY
from keywright.decision.request import Request
from keywright.verifier import target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Headers = Iterable[tuple[bytes, bytes]]
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

IDENTITY = tuple(name for name, _ in NO_IDENTITY)
"""What an application reads about the key. A client may not send a spelling of them that it may read too."""

# What a header means. Plain numbers: a member of an Enum takes as long to look up as a header does.
_REFUSED, _METHOD, _PATH, _CLIENT, _AUTHORIZATION, _API_KEY, _ORIGIN, _OVERRIDE, _PREFLIGHT = range(9)

_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_METHOD_FORM = re.compile(rb"[A-Z][A-Z-]{0,31}")


@dataclass(frozen=True)
class Proxies:
    """Which proxies are believed, and which header says what; fixed at start."""

    trusted: tuple[Network, ...] = _LOOPBACK
    client_header: str = "x-forwarded-for"
    client_position: int = 1
    """Which entry of that header, counted from the right: how many proxies append to it."""
    nginx_path_header: Literal["x-original-uri", "x-original-url"] = "x-original-uri"


class Dialect(NamedTuple):
    """How a proxy tells of the request that it asks about."""

    name: str
    method: bytes | None
    """The header of the method; None: it is the request's own."""
    path: bytes | None
    """The header of the path and the query; None: the request's own, after the Project."""
    path_of: Callable[[bytes], bytes | None]
    """Takes the target out of that header."""
    family: tuple[bytes, ...]
    """Headers that some version or setting of the proxy means the same by; never read."""


class Reading(NamedTuple):
    """A request as a proxy told of it."""

    request: Request
    overridden: bool
    """A header asks the application to take the request for another one than it is."""
    preflight: bool
    """A browser's own question (CORS), which cannot hold a key."""


class Reader:
    """Reads the requests of one dialect."""

    def __init__(self, dialect: Dialect, proxies: Proxies) -> None:
        self._own_target = dialect.path is None
        self._path_of = dialect.path_of
        self._position = proxies.client_position
        self._meanings = _meanings(dialect, proxies.client_header.lower().encode())
        self._trusts = _trust(proxies.trusted)

    def read(
        self, project: str, method: str, rest: bytes, query: bytes, headers: Headers, peer: str
    ) -> Reading | Code:
        """Return what is asked, or the code of why it cannot be told.

        `method`, `rest` and `query` are the request's own, `rest` being the path behind the Project. `peer`
        is the address of who is connected; empty where there is none.
        """
        find = self._meanings.get
        told: list[tuple[bytes, ...]] = [()] * 9
        for name, value in headers:
            meaning = find(name)
            if meaning is not None:
                told[meaning] += (value,)
        if told[_REFUSED]:
            return Code.INVALID_REQUEST
        trusted = self._trusts(peer)
        if self._own_target:
            asked = target.read_parts(rest, query)
        else:
            methods, paths = told[_METHOD], told[_PATH]
            if not trusted or len(methods) != 1 or len(paths) != 1 or not _METHOD_FORM.fullmatch(methods[0]):
                return Code.INVALID_REQUEST
            method = methods[0].decode("ascii")
            raw = self._path_of(paths[0])
            asked = None if raw is None else target.read(raw)
        if asked is None:
            return Code.INVALID_PATH
        path, asked_query = asked
        client = self._client(told[_CLIENT]) if trusted and told[_CLIENT] else None
        request = Request(
            project,
            method,
            path,
            asked_query,
            told[_AUTHORIZATION],
            told[_API_KEY],
            told[_ORIGIN],
            client,
        )
        preflight = method == "OPTIONS" and bool(told[_PREFLIGHT]) and _is_preflight(request)
        return Reading(request, bool(told[_OVERRIDE]), preflight)

    def _client(self, values: tuple[bytes, ...]) -> str | None:
        entries = values[0].split(b",") if len(values) == 1 else b",".join(values).split(b",")
        if len(entries) < self._position:
            return None
        return address(entries[-self._position].strip(b" \t"))


def readers(proxies: Proxies) -> Mapping[bytes, Reader]:
    """Return the readers of every dialect, by the segment that names it."""
    return {dialect.name.encode(): Reader(dialect, proxies) for dialect in _dialects(proxies)}


@lru_cache(maxsize=4096)
def address(text: bytes) -> str | None:
    """Return an IP address in its usual form, an IPv4 one also where IPv6 maps it; None for anything else."""
    try:
        # A zone, as in fe80::1%eth0, names an interface of a machine that is not ours.
        found = None if b"%" in text else ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return None if found is None else str(mapped or found)


_CREDENTIALS = {
    b"authorization": _AUTHORIZATION,
    b"x-api-key": _API_KEY,
    b"origin": _ORIGIN,
    b"access-control-request-method": _PREFLIGHT,
}

# What frameworks and servers let a client replace the method or the path by.
_OVERRIDES = (
    b"x-http-method-override",
    b"x-http-method",
    b"x-method-override",
    b"x-original-url",
    b"x-rewrite-url",
)


def _as_it_is(value: bytes) -> bytes:
    return value


def _dialects(proxies: Proxies) -> Iterator[Dialect]:
    yield Dialect("envoy", None, None, _as_it_is, (b"x-envoy-original-path", b"x-envoy-original-method"))
    path = proxies.nginx_path_header.encode()
    path_of = target.without_authority if path == b"x-original-url" else _as_it_is
    yield Dialect("nginx", b"x-original-method", path, path_of, (b"x-original-uri", b"x-original-url"))
    yield Dialect(
        "traefik",
        b"x-forwarded-method",
        b"x-forwarded-uri",
        _as_it_is,
        (b"x-forwarded-path", b"x-forwarded-url"),
    )


def _meanings(dialect: Dialect, client_header: bytes) -> dict[bytes, int]:
    """Return what each header means; where two rules name one header, the later one holds."""
    read = {client_header: _CLIENT, **_CREDENTIALS}
    if dialect.method:
        read[dialect.method] = _METHOD
    if dialect.path:
        read[dialect.path] = _PATH
    meanings = dict.fromkeys(spellings(_OVERRIDES), _OVERRIDE)
    meanings |= dict.fromkeys(spellings((*dialect.family, *read, *IDENTITY)), _REFUSED)
    # The identity itself is replaced by the proxy; Envoy is told to remove the other spellings of it.
    for name in spellings(IDENTITY) if dialect.path is None else IDENTITY:
        del meanings[name]
    return meanings | read


def spellings(names: Iterable[bytes]) -> Iterator[bytes]:
    """Return each name with every choice of `-` and `_` in it."""
    for name in names:
        first, *words = name.split(b"-")
        for marks in product((b"-", b"_"), repeat=len(words)):
            yield first + b"".join(mark + word for mark, word in zip(marks, words, strict=True))


def _trust(networks: tuple[Network, ...]) -> Callable[[str], bool]:
    @lru_cache(maxsize=1024)
    def trusts(peer: str) -> bool:
        known = address(peer.encode())
        return known is not None and any(ipaddress.ip_address(known) in network for network in networks)

    return trusts


def _is_preflight(request: Request) -> bool:
    return bool(request.origins) and not request.authorization and not request.api_keys
