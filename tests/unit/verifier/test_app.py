"""/authz, from the bytes of a proxy's request to the bytes of the answer, with a real index behind it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from harness.inventory import api_key, index_of, new_key, project
from harness.wire import Reply, ask, connected, get, running
from keywright.decision.limits import LocalStore, Taken
from keywright.verifier.app import Verifier
from keywright.verifier.dialects import Proxies
from keywright.verifier.metrics import Metrics
from keywright.verifier.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keywright.decision.index import Index
    from keywright.decision.limits import Bucket, Store

DIALECTS = ["envoy", "nginx", "traefik"]
TOLD_IN = {
    "nginx": ("X-Original-Method", "X-Original-URI"),
    "traefik": ("X-Forwarded-Method", "X-Forwarded-Uri"),
}
PROJECT = "platform/payments"
ROUTES = [
    {"methods": ["GET"], "path": "/v1/keys/{id}", "scopes": ["keys:read"]},
    {"methods": ["DELETE"], "path": "/v1/keys/{id}", "scopes": ["keys:write"]},
    {"path": "/healthz", "public": True},
]


class Ready:
    """Ready, until told otherwise."""

    trusted_until = float("inf")

    def problems(self) -> list[str]:
        return []


class SlowStore:
    """A store that answers later, as one that verifiers share does."""

    def __init__(self) -> None:
        self._local = LocalStore()

    async def take(self, buckets: Sequence[Bucket], now: float) -> Taken:
        await asyncio.sleep(0)
        return self._local.take(buckets, now)


class BrokenStore:
    """A store with a bug."""

    def take(self, _buckets: Sequence[Bucket], _now: float) -> Taken:
        raise RuntimeError("a value that nobody may see")


class BrokenLaterStore:
    """A store with a bug that shows later."""

    async def take(self, _buckets: Sequence[Bucket], _now: float) -> Taken:
        raise RuntimeError("a value that nobody may see")


KEY = new_key()
BEARER = f"Authorization: Bearer {KEY.value}"


def verifier(
    index: Index | None = None,
    *,
    ready: Ready | None = None,
    store: Store | None = None,
    metrics: Metrics | None = None,
    usage: Usage | None = None,
    allow_preflight: bool = False,
) -> Verifier:
    return Verifier(
        index=index or index_of(project(routes=ROUTES), api_key(KEY, scopes=["keys:read"])),
        readiness=ready or Ready(),
        store=store or LocalStore(),
        metrics=metrics or Metrics(),
        proxies=Proxies(),
        usage=usage or Usage(),
        allow_preflight=allow_preflight,
    )


def told(
    dialect: str, target: str, *headers: str, method: str = "GET", of: str = "platform/payments"
) -> bytes:
    """Return the request of a proxy that asks about another."""
    base = f"/authz/{dialect}/{of}"
    if dialect == "envoy":
        return get(base + target, *headers, method=method)
    names = {
        "nginx": ("X-Original-Method", "X-Original-URI"),
        "traefik": ("X-Forwarded-Method", "X-Forwarded-Uri"),
    }
    facts = (f"{names[dialect][0]}: {method}", f"{names[dialect][1]}: {target}")
    return get(base, *facts, *headers)


def status(reply: Reply) -> int:
    """Return the status that the client gets in the end."""
    return int(reply.headers.get("x-error-status", reply.status))


def code(reply: Reply) -> str:
    found: str = json.loads(reply.body)["error"]["code"]
    return found


def verdict(reply: Reply) -> tuple[int, str]:
    return (reply.status, "") if reply.status == 200 else (status(reply), code(reply))


async def asked(app: Verifier, *requests: bytes) -> list[Reply]:
    async with running(app) as at, connected(at.port) as wire:
        replies = []
        for request in requests:
            await wire.send(request)
            replies.append(await wire.reply())
        return replies


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_same_request_gets_the_same_verdict_whoever_asks(dialect: str) -> None:
    other = new_key()
    expected: dict[bytes, tuple[int, str]] = {
        told(dialect, "/v1/keys/7", BEARER): (200, ""),
        told(dialect, "/v1/keys/7?a=b", f"X-Api-Key: {KEY.value}"): (200, ""),
        told(dialect, "/healthz"): (200, ""),
        told(dialect, "/v1/keys/7"): (401, "unauthorized"),
        told(dialect, "/v1/keys/7", f"X-Api-Key: {other.value}"): (401, "invalid_api_key"),
        told(dialect, "/v1/keys/7", BEARER, BEARER): (400, "ambiguous_credentials"),
        told(dialect, "/v1/keys/7?api_key=x", BEARER): (400, "key_in_query"),
        told(dialect, "/v1/keys/7", BEARER, method="DELETE"): (403, "insufficient_scope"),
        told(dialect, "/v1/other", BEARER): (403, "insufficient_scope"),
        told(dialect, "/v1/keys/../keys/7", BEARER): (400, "invalid_path"),
        told(dialect, "/healthz/..%2fv1", BEARER): (400, "invalid_path"),
        told(dialect, "/healthz;x"): (400, "invalid_path"),
        told(dialect, "/healthz", of="platform/nobody"): (403, "project_not_found"),
        told(dialect, "/healthz", of="platform/Payments"): (403, "project_not_found"),
        told(dialect, "/healthz", of="platform/%70ayments"): (403, "project_not_found"),
        told(dialect, "/v1/keys/7", BEARER, "X-HTTP-Method-Override: DELETE"): (400, "invalid_request"),
    }
    replies = await asked(verifier(), *expected)
    assert list(expected.values()) == [verdict(reply) for reply in replies]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_identity_is_complete_also_where_it_is_nobodys(dialect: str) -> None:
    known, nobody = await asked(
        verifier(), told(dialect, "/v1/keys/7", BEARER, "X-Auth-Scopes: *"), told(dialect, "/healthz", BEARER)
    )
    identity = {
        "x-auth-key-id": KEY.id,
        "x-auth-api-key": "shop/checkout",
        "x-auth-project": "platform/payments",
        "x-auth-scopes": "keys:read",
        "x-auth-type": "Production",
        "x-auth-service-account": "",
        "x-auth-expires-at": "",
    }
    assert identity == {name: value for name, value in known.headers.items() if name in identity}
    assert dict.fromkeys(identity, "") == {
        name: value for name, value in nobody.headers.items() if name in identity
    }


async def test_envoys_path_begins_behind_the_project() -> None:
    replies = await asked(
        verifier(index_of(project(routes=[{"path": "/", "public": True}]))),
        get("/authz/envoy/platform/payments"),
        get("/authz/envoy/platform/payments?a=/b"),
        get("/authz/envoy/platform/payments/"),
        get("/authz/envoy/platform/payments//"),
        get("/authz/envoy/platform/payments#/"),
    )
    assert [200, 200, 200, 400, 403] == [reply.status for reply in replies]


async def test_what_names_no_project_is_none() -> None:
    replies = await asked(
        verifier(), get("/authz/envoy"), get("/authz/envoy/platform"), get("/authz/nginx//")
    )
    assert [(403, "project_not_found")] * 2 == [verdict(reply) for reply in replies[:2]]
    assert replies[2].status == 403


@pytest.mark.parametrize(
    "target", ["/", "/authz", "/authz/", "/authz/haproxy/platform/payments", "//authz/envoy/a/b", "/v1", "*"]
)
async def test_a_path_that_nothing_is_served_at_is_404(target: str) -> None:
    (reply,) = await asked(verifier(), get(target, BEARER, method="OPTIONS"))
    assert (404, "not_found") == verdict(reply)


async def test_a_host_in_the_request_line_does_not_move_the_path() -> None:
    (reply,) = await asked(verifier(), get("http://x/authz/envoy/platform/payments/healthz"))
    assert (404, "not_found") == verdict(reply)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_before_the_first_sync_and_when_the_index_is_too_old_nothing_is_decided(dialect: str) -> None:
    ready = Ready()
    app = verifier(ready=ready)
    request = told(dialect, "/healthz")
    async with running(app) as at:
        for moment, expected in {
            float("-inf"): (503, "not_ready"),
            time.monotonic() + 60: (200, ""),
            time.monotonic() - 0.001: (503, "not_ready"),
        }.items():
            ready.trusted_until = moment
            assert expected == verdict(await ask(at.port, request))


@pytest.mark.parametrize("store", [LocalStore(), SlowStore()], ids=["here", "elsewhere"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_limit_counts_down_to_429_and_what_is_denied_costs_nothing(
    dialect: str, store: Store
) -> None:
    index = index_of(
        project(routes=ROUTES),
        api_key(KEY, scopes=["keys:read"], rateLimits=[{"requests": 2, "period": "1h"}]),
    )
    good, denied = told(dialect, "/v1/keys/7", BEARER), told(dialect, "/v1/keys/7", BEARER, method="DELETE")
    replies = await asked(verifier(index, store=store), denied, good, denied, good, good)
    assert [403, 200, 403, 200, 429] == [status(reply) for reply in replies]
    assert [None, "1", None, "0", "0"] == [reply.headers.get("x-ratelimit-remaining") for reply in replies]
    assert replies[4].headers["ratelimit-policy"] == '"key";q=2;w=3600'
    assert 1700 <= int(replies[4].headers["retry-after"]) <= 1800


@pytest.mark.parametrize("store", [BrokenStore(), BrokenLaterStore()], ids=["here", "elsewhere"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_error_of_ours_denies_and_is_told_once_without_values(dialect: str, store: Store) -> None:
    index = index_of(
        project(routes=ROUTES),
        api_key(KEY, scopes=["keys:read"], rateLimits=[{"requests": 2, "period": "1h"}]),
    )
    metrics = Metrics()
    with capture_logs() as lines:
        replies = await asked(
            verifier(index, store=store, metrics=metrics), *[told(dialect, "/v1/keys/7", BEARER)] * 3
        )
    assert [(403, "internal_error")] * 3 == [verdict(reply) for reply in replies]
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "a request was denied because of an unforeseen error"
    ]
    assert all("nobody may see" not in reply.body.decode() for reply in replies)
    sample = metrics.registry.get_sample_value(
        "keywright_verifier_decisions_total", {"project": "", "code": "internal_error"}
    )
    assert sample == 3


PREFLIGHT = ("Origin: https://app.example.com", "Access-Control-Request-Method: PUT")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_browsers_own_question_passes_only_with_the_flag_and_no_credential(
    dialect: str,
) -> None:
    plain = told(dialect, "/v1/keys/7", *PREFLIGHT, method="OPTIONS")
    others = [
        told(dialect, "/v1/keys/7", *PREFLIGHT, "Authorization: Basic x", method="OPTIONS"),
        told(dialect, "/v1/keys/7?api_key=x", *PREFLIGHT, method="OPTIONS"),
        told(dialect, "/v1/keys/7", PREFLIGHT[0], method="OPTIONS"),
        told(dialect, "/v1/keys/7", *PREFLIGHT),
        told(dialect, "/v1/keys/7", *PREFLIGHT, method="OPTIONS", of="platform/nobody"),
    ]
    (off,) = await asked(verifier(), plain)
    assert status(off) == 401
    replies = await asked(verifier(allow_preflight=True), plain, *others)
    assert [200, 401, 400, 401, 401, 403] == [status(reply) for reply in replies]
    assert replies[0].headers["x-auth-key-id"] == ""


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_overriding_header_means_nothing_where_there_are_no_routes(dialect: str) -> None:
    index = index_of(project(), api_key(KEY))
    (reply,) = await asked(verifier(index), told(dialect, "/", BEARER, "X-HTTP-Method-Override: DELETE"))
    assert reply.status == 200


@pytest.mark.parametrize(("client", "expected"), [("192.0.2.7", 200), ("198.51.100.1", 403), ("x", 403)])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_key_may_be_bound_to_the_clients_address(dialect: str, client: str, expected: int) -> None:
    index = index_of(project(), api_key(KEY, restrictions={"cidrs": ["192.0.2.0/24"]}))
    forged = "X-Forwarded-For: 192.0.2.7"
    (reply,) = await asked(verifier(index), told(dialect, "/", BEARER, forged, f"X-Forwarded-For: {client}"))
    assert expected == reply.status


async def test_decisions_are_counted_by_project_and_code_and_never_for_a_project_that_is_none() -> None:
    metrics = Metrics()
    await asked(
        verifier(metrics=metrics),
        told("envoy", "/v1/keys/7", BEARER),
        told("envoy", "/v1/keys/7", BEARER),
        told("envoy", "/v1/keys/7"),
        told("envoy", "/v1//7"),
        told("envoy", "/", of="made/up"),
    )
    expected = {
        ("platform/payments", "allowed"): 2,
        ("platform/payments", "unauthorized"): 1,
        ("", "invalid_path"): 1,
        ("", "project_not_found"): 1,
    }
    name = "keywright_verifier_decisions_total"
    counted = {
        (sample.labels["project"], sample.labels["code"]): sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == name
    }
    assert expected == counted
    assert metrics.registry.get_sample_value("keywright_verifier_decision_duration_seconds_count") == 5


async def test_any_asgi_server_may_serve_it() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody asks for the body")

    scope = {
        "type": "http",
        "method": "GET",
        "client": None,
        "raw_path": b"/authz/envoy/platform/payments/v1/keys/7",
        "query_string": b"a=b",
        "headers": [(b"x-api-key", KEY.value.encode())],
    }
    await verifier()(scope, receive, send)
    assert [200, b""] == [sent[0]["status"], sent[1]["body"]]
