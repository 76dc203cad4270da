"""What the proxy is told, in the form in which it reaches the client; all but a few bytes made at start.

Envoy, Traefik and Caddy pass a denial on as it is. nginx passes on 401 and 403 only and makes a 500 of the
rest, so there 400 and 429 travel as 403 with X-Error-Status and X-Error-Body beside, from which the shipped
`error_page` makes the answer again.

RateLimit and RateLimit-Policy are those of draft-ietf-httpapi-ratelimit-headers: a policy has a name (`key`
or `project`; a second one of the same owner is `key-2`), a quota `q` in a window of `w` seconds, `r` requests
left and all of them again in `t` seconds. A bucket of another size than its rate is told as the window in
which it fills up: the same rate, and never more left than the quota.
"""

from __future__ import annotations

import itertools
import json
import secrets
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from keywright.decision.code import Code
from keywright.verifier.dialects import IDENTITY, spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from keywright.decision.limits import Rule, Taken
    from keywright.decision.outcome import Allowed, Denied

    Headers = list[tuple[bytes, bytes]]

UNFORESEEN = "internal_error"
"""The code of a denial that the verifier itself is at fault for."""

_MOST_PASSES = 16_384  # keys whose headers are kept ready, some 20 MB in all
_MICROSECONDS = 1_000_000

_ID_DIGITS = 20
_NO_STORE = (b"cache-control", b"no-store")
_NGINX_PASSES = frozenset({401, 403, 503})

_STRIPPED = b",".join(
    [b"authorization", b"x-api-key", *(name for name in spellings(IDENTITY) if name not in IDENTITY)]
)
"""What Envoy takes out of an allowed request. Never an identity header itself: it goes after being set."""


class Answer(NamedTuple):
    """A whole response."""

    status: int
    head: bytes
    """Its header lines, the length of the body among them, each with its line end."""
    body: bytes

    @property
    def headers(self) -> Headers:
        """The header lines one by one."""
        return [
            (name, value)
            for name, _, value in (line.partition(b": ") for line in self.head.split(b"\r\n")[:-1])
        ]


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as they go over the wire. Raises ValueError where one would be more than a line."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
        raise ValueError("a header is one line")
    return head


class Answers:
    """The answers of one dialect."""

    def __init__(self, dialect: str, *, next_id: Callable[[], bytes] | None = None) -> None:
        self._next_id = next_id or _ids()
        nginx = dialect == "nginx"
        self._denials = {code: _Denial(code.status, code, code.message, nginx=nginx) for code in Code}
        stripped = [(b"x-envoy-auth-headers-to-remove", _STRIPPED)] if dialect == "envoy" else []
        self._passes: dict[int, _Passing] = {}
        self._allow = header_lines([(b"content-length", b"0"), _NO_STORE, *stripped])

    def allow(self, allowed: Allowed, taken: Taken | None) -> Answer:
        """Answer that the request may pass, as whom, and what is left of its limits."""
        passing = self._passing(allowed)
        return Answer(200, passing.head + passing.limits(taken) if taken else passing.head, b"")

    def deny(self, denied: Denied, project: str) -> Answer:
        """Answer that the request may not pass; `project` is `namespace/name`."""
        denial = self._denials[denied.code]
        return denial.answer(self._next_id(), _challenge(denied, project))

    def refuse(self, code: Code) -> Answer:
        """Answer that the request may not pass, whatever it asks for."""
        return self._denials[code].answer(self._next_id())

    def limit(self, allowed: Allowed, taken: Taken) -> Answer:
        """Answer that the request may not pass yet."""
        wait = max(1, ceil(taken.retry_after))
        more = b"retry-after: %d\r\n%b" % (wait, self._passing(allowed).limits(taken))
        return self._denials[Code.RATE_LIMITED].answer(self._next_id(), more)

    def limits(self, allowed: Allowed, taken: Taken) -> Headers:
        """Return what is said of the limits beside an answer that somebody else gives."""
        return Answer(200, self._passing(allowed).limits(taken), b"").headers

    def _passing(self, allowed: Allowed) -> _Passing:
        # By identity, for the index makes a new one whenever anything in it changes. What is kept here holds
        # on to it, so no other object can come to have its id.
        known = self._passes.get(id(allowed))
        if known is None:
            if len(self._passes) >= _MOST_PASSES:
                self._passes.clear()
            known = self._passes[id(allowed)] = _Passing(allowed, header_lines(allowed.headers) + self._allow)
        return known


class Refusals:
    """The answers to what is no request of any dialect."""

    def __init__(self, *, next_id: Callable[[], bytes] | None = None) -> None:
        self._next_id = next_id or _ids()
        self._malformed = {
            400: _Denial(400, "invalid_request", "The request is no HTTP/1.1: send one that is."),
            431: _Denial(431, "headers_too_large", "The headers are too large: send less than 64 KiB."),
        }
        self._not_found = _Denial(
            404,
            "not_found",
            "Ask /authz/<dialect>/<namespace>/<project>; dialects are envoy, nginx, traefik.",
        )
        self._unforeseen = _Denial(
            403, UNFORESEEN, "The verifier failed to judge the request, so it is denied: its log says where."
        )

    def malformed(self, status: int) -> Answer:
        """Answer what cannot be read at all."""
        return self._malformed[status].answer(self._next_id())

    def not_found(self) -> Answer:
        """Answer a path that nothing is served at."""
        return self._not_found.answer(self._next_id())

    def unforeseen(self) -> Answer:
        """Answer a request that could not be judged: 403, which each proxy passes on."""
        return self._unforeseen.answer(self._next_id())


class _Denial:
    """A denial of which only the id is missing; that has a fixed length, and so has the body."""

    def __init__(self, status: int, code: str, message: str, *, nginx: bool = False) -> None:
        hole = "0" * _ID_DIGITS
        error = {"code": str(code), "message": message, "request_id": hole}
        body = json.dumps({"error": error}).encode()
        self._before, self._after = body.split(hole.encode())
        self._status = status if not nginx or status in _NGINX_PASSES else 403
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), _NO_STORE]
        if nginx:
            headers.append((b"x-error-status", b"%d" % status))
        self._head = header_lines(headers)
        self._nginx = nginx

    def answer(self, request_id: bytes, more: bytes = b"") -> Answer:
        body = self._before + request_id + self._after
        head = self._head + more
        return Answer(self._status, head + b"x-error-body: %b\r\n" % body if self._nginx else head, body)


def _ids() -> Callable[[], bytes]:
    """Return a source of ids that no other process draws from; nothing that a client sent is in them."""
    boot = secrets.token_hex(5).encode()
    numbers = itertools.count(1)
    return lambda: b"%b%010x" % (boot, next(numbers))


def _challenge(denied: Denied, project: str) -> bytes:
    error = denied.code.challenge_error
    if error is None and denied.code.status != 401:
        return b""
    value = f'Bearer realm="{project.rpartition("/")[2]}"'
    if error is not None:
        value += f', error="{error}"'
    if denied.scopes:
        value += f', scope="{" ".join(denied.scopes)}"'
    return header_lines([(b"www-authenticate", value.encode("ascii"))])


class _Passing:
    """What is the same whenever a key is let through."""

    __slots__ = ("_limits", "allowed", "head")

    def __init__(self, allowed: Allowed, head: bytes) -> None:
        self.allowed = allowed
        self.head = head
        owner = allowed.entry.uid if allowed.entry is not None else ""
        self._limits = _policies(tuple([(bucket.owner == owner, bucket.rule) for bucket in allowed.buckets]))

    def limits(self, taken: Taken) -> bytes:
        """Return the headers that say what is left of the limits."""
        numbers: list[int] = []
        limit = least = reset = 0
        for bucket, missing in zip(taken.buckets, taken.missing, strict=True):
            left = (bucket.capacity - missing) // bucket.cost
            full_in = missing / (bucket.requests * _MICROSECONDS)
            if not numbers or left < least:
                limit, least, reset = bucket.rule.burst, left, ceil(taken.now + full_in)
            numbers += (left, ceil(full_in))
        return self._limits % (*numbers, limit, least, reset)


@lru_cache(maxsize=1024)
def _policies(rules: tuple[tuple[bool, Rule], ...]) -> bytes:
    """Return the headers with holes for the numbers; each rule comes with whether it is the key's own."""
    counts = {True: itertools.count(1), False: itertools.count(1)}
    policies, standings = [], []
    for own, rule in rules:
        number = next(counts[own])
        name = ("key" if own else "project") + (f"-{number}" if number > 1 else "")
        window = max(1, ceil(rule.burst * rule.period / rule.requests))
        policies.append(f'"{name}";q={rule.burst};w={window}')
        standings.append(f'"{name}";r=%d;t=%d')
    lines = (
        f"ratelimit-policy: {', '.join(policies)}",
        f"ratelimit: {', '.join(standings)}",
        "x-ratelimit-limit: %d",
        "x-ratelimit-remaining: %d",
        "x-ratelimit-reset: %d",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()
