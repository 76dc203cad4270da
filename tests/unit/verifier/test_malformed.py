"""Twelve thousand requests that nobody should send: none is answered with a 5xx, none ends the server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter

import pytest

from harness.inventory import api_key, index_of, new_key, project
from harness.wire import ask, get, running
from keywright.decision.limits import LocalStore
from keywright.verifier.app import Verifier
from keywright.verifier.dialects import Proxies
from keywright.verifier.metrics import Metrics
from keywright.verifier.usage import Usage

REQUESTS = 12_000
_TOGETHER = 16
_LONGEST = 18.0

KEY = new_key()
_BASES = [
    b"/authz/envoy/platform/payments",
    b"/authz/nginx/platform/payments",
    b"/authz/traefik/platform/payments",
    b"/authz/envoy/platform",
    b"/authz",
    b"",
]
_PIECES = [
    *(b"/", b"//", b"/.", b"/..", b"?", b"#", b";", b"\\", b"%", b"%2", b"%2f", b"%00", b"%252f"),
    *(b"%ff", b"%C3%A9", b"\xff", b"\xc3\xa9", b"\x00", b"\x7f", b" ", b"\t", b"\r", b"\n", b"*"),
    *(b"a" * 500, b"v1", b"api_key=x", b"&", b"kw_prod_", b"=", b":", b"@", b"[", b"http://"),
    *(b"..", b"{id}", b"'", b'"', b"<", b"\xf0\x9f\x94\x91"),
]
_NAMES = [
    *(b"Authorization", b"X-Api-Key", b"Origin", b"X-Forwarded-For", b"X-Forwarded-Method"),
    *(b"X-Forwarded-Uri", b"X-Original-Method", b"X-Original-URI", b"X-Original-URL"),
    *(b"x_original_uri", b"X-HTTP-Method-Override", b"Access-Control-Request-Method"),
    *(b"Content-Length", b"Transfer-Encoding", b"Connection", b"Upgrade", b"Expect", b"Host", b""),
    *(b"Na me", b"N\x00", b"\xff", b":path", b"X-Auth-Scopes", b"X_Auth_Scopes", b"TE"),
]
_VALUES = [
    *(b"", b"GET", b"get", b"/", b"/v1/keys/7", b"http://h/x", b"http://a?x=/s", b"Bearer"),
    *(b"Bearer  ", b"Basic x", b"Bearer " + KEY.value.encode(), KEY.value.encode(), b"Bearer a,b"),
    *(b"null", b"https://x", b"1.2.3.4", b"::1", b"chunked", b"close", b"upgrade", b"100-continue"),
    *(b"-1", b"0", b"5", b"99999999999999999999", b"websocket"),
]
_METHODS = [
    *(b"GET", b"POST", b"OPTIONS", b"HEAD", b"CONNECT", b"PRI", b"get", b"", b"G\x00T"),
    *(b"PROPFIND", b"SOURCE"),
]
_VERSIONS = [b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"", b"http/1.1"]
_ENDS = [b"\r\n\r\n", b"\r\n\r\n", b"\n\n", b"\r\n", b"", b"\r\n\r\nbody", b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]


def _malformed(chance: random.Random) -> bytes:
    """Return a request that is wrong in several ways, and sometimes by accident in none."""
    target = chance.choice(_BASES) + b"".join(chance.choices(_PIECES, k=chance.randrange(6)))
    lines = [b" ".join((chance.choice(_METHODS), target, chance.choice(_VERSIONS)))]
    for _ in range(chance.randrange(6)):
        value = chance.choice([*_VALUES, *_PIECES, chance.randbytes(chance.randrange(40))])
        lines.append(chance.choice(_NAMES) + chance.choice([b": ", b":", b" : ", b""]) + value)
    request = b"\r\n".join(lines) + chance.choice(_ENDS)
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(1, 300))
    if chance.random() < 0.1:
        cut = chance.randrange(len(request))
        return request[:cut] + chance.randbytes(3) + request[cut:]
    return request


async def _statuses(port: int, requests: list[bytes]) -> Counter[bytes]:
    """Send each request on a connection of its own, and its end after it; count how they are answered."""
    found: Counter[bytes] = Counter()
    for request in requests:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            writer.write(request)
            writer.write_eof()
            found[(await reader.read(12))[9:12]] += 1
        writer.transport.abort()
    return found


@pytest.mark.parametrize("seed", [20261123])
async def test_no_malformed_request_is_answered_with_a_5xx_or_ends_the_server(seed: int) -> None:
    chance = random.Random(seed)
    metrics = Metrics()
    app = Verifier(
        index=index_of(
            project(routes=[{"path": "/v1/keys/{id}", "scopes": ["keys:read"]}]),
            api_key(KEY, scopes=["keys:read"], rateLimits=[{"requests": 100, "period": "1s"}]),
        ),
        readiness=_Ready(),
        store=LocalStore(),
        metrics=metrics,
        proxies=Proxies(),
        usage=Usage(),
        allow_preflight=True,
    )
    requests = [_malformed(chance) for _ in range(REQUESTS)]
    begun = time.monotonic()
    found: Counter[bytes] = Counter()
    async with running(app) as at, asyncio.timeout(_LONGEST):
        for counted in await asyncio.gather(
            *(_statuses(at.port, requests[part::_TOGETHER]) for part in range(_TOGETHER))
        ):
            found += counted
        reply = await ask(at.port, get("/authz/envoy/platform/payments/v1/keys/7", f"X-Api-Key: {KEY.value}"))
        assert reply.status == 200
        assert at.server.problems() == []
    assert time.monotonic() - begun < _LONGEST
    assert REQUESTS == found.total()
    # What is cut off is closed without an answer; everything else is one of these.
    assert set(found) <= {b"", b"200", b"400", b"401", b"403", b"404", b"431", b"429"}
    assert {b"400", b"401", b"403", b"404"} <= set(found)
    assert found[b"400"] > REQUESTS / 5
    internal = {"project": "", "code": "internal_error"}
    assert metrics.registry.get_sample_value("keywright_verifier_decisions_total", internal) is None


class _Ready:
    trusted_until = float("inf")

    def problems(self) -> list[str]:
        return []
