"""What a client sees of the middleware, and what the application behind it does."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest

from keywright.api.project import KeyType
from keywright.errors import KeywrightError
from keywright.middleware import Identity, KeywrightMiddleware
from unit.decision.objects import KEY, OTHER, SOON, api_key, generation
from unit.middleware.applications import GOOD, PROJECT, Echo, Known, client, guarded, world


async def asked(
    source: Known,
    path: str = "/data",
    method: str = "GET",
    headers: Any = GOOD,
    peer: str = "10.1.2.3",
    **options: Any,
) -> tuple[int, str]:
    async with client(guarded(Echo(), source, **options), peer) as http:
        answer = await http.request(method, path, headers=headers)
        return answer.status_code, answer.json()["error"]["code"] if answer.status_code != 200 else ""


async def test_the_application_is_told_who_asks() -> None:
    echo = Echo()
    source = world()
    source.index.put("apikey", _ending())
    async with client(guarded(echo, source)) as http:
        assert b"hello" == (await http.get("/data", headers=GOOD)).content
    assert echo.scopes[0]["state"]["keywright"] == Identity(
        key_id=KEY.id,
        api_key="shop/checkout",
        project=PROJECT,
        scopes=("data:read",),
        type=KeyType.PRODUCTION,
        service_account="checkout-bot",
        expires_at=datetime.fromisoformat(SOON),
    )


def _ending() -> dict[str, Any]:
    newer = {"resourceVersion": "2"}
    key = generation(expiresAt=SOON)
    return api_key("shop/checkout", key, about=newer, scopes=["data:read"], owner="checkout-bot")


async def test_a_public_route_is_nobodys() -> None:
    echo = Echo()
    async with client(guarded(echo, world())) as http:
        assert 200 == (await http.get("/healthz")).status_code
    assert echo.scopes[0]["state"]["keywright"] is None


async def test_what_a_client_says_of_its_identity_does_not_reach_the_application() -> None:
    echo = Echo()
    spoofed = GOOD | {"X-Auth-Scopes": "admin", "X_Auth-Scopes": "admin", "x-auth-key-id": "me"}
    async with client(guarded(echo, world())) as http:
        await http.get("/data", headers=spoofed)
    told = [
        (name, value) for name, value in echo.scopes[0]["headers"] if b"auth" in name and b"z" not in name
    ]
    assert told == [
        (b"x-auth-key-id", KEY.id.encode()),
        (b"x-auth-api-key", b"shop/checkout"),
        (b"x-auth-project", PROJECT.encode()),
        (b"x-auth-scopes", b"data:read"),
        (b"x-auth-type", b"Production"),
        (b"x-auth-service-account", b"checkout-bot"),
        (b"x-auth-expires-at", b""),
    ]


@pytest.mark.parametrize(
    ("path", "method", "headers", "expected"),
    [
        ("/data", "GET", {}, (401, "unauthorized")),
        ("/data", "GET", {"X-Api-Key": OTHER.value}, (401, "invalid_api_key")),
        ("/data", "POST", GOOD, (403, "insufficient_scope")),
        ("/elsewhere", "GET", GOOD, (403, "insufficient_scope")),
        ("/data", "GET", GOOD | {"X-Api-Key": KEY.value}, (400, "ambiguous_credentials")),
        ("/data?api_key=x", "GET", GOOD, (400, "key_in_query")),
        ("/data", "GET", GOOD | {"X-HTTP-Method-Override": "POST"}, (400, "invalid_request")),
        ("/data", "GET", GOOD | {"X_Api_Key": "x"}, (400, "invalid_request")),
        ("/data%2f", "GET", GOOD, (400, "invalid_path")),
        ("/whoami/%2e%2e/data", "GET", GOOD, (400, "invalid_path")),
        ("/data%252f", "GET", GOOD, (400, "invalid_path")),
        ("/data;x", "GET", GOOD, (400, "invalid_path")),
    ],
)
async def test_what_the_verifier_denies_is_denied(
    path: str, method: str, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    assert expected == await asked(world(), path, method, headers)


async def test_a_denial_carries_the_challenge_and_no_key() -> None:
    async with client(guarded(Echo(), world())) as http:
        answer = await http.post("/data", headers=GOOD)
    challenge = 'Bearer realm="payments", error="insufficient_scope", scope="data:write"'
    assert challenge == answer.headers["www-authenticate"]
    assert "no-store" == answer.headers["cache-control"]
    assert "application/json" == answer.headers["content-type"]
    assert KEY.value not in answer.text


async def test_limits_are_told_and_kept() -> None:
    source = world(rateLimits=[{"requests": 2, "period": "1m"}])
    async with client(guarded(Echo(), source)) as http:
        answers = [await http.get("/data", headers=GOOD) for _ in range(3)]
    assert [200, 200, 429] == [answer.status_code for answer in answers]
    assert ["1", "0", "0"] == [answer.headers["x-ratelimit-remaining"] for answer in answers]
    assert ["echo", "echo", None] == [answer.headers.get("x-app") for answer in answers]
    assert "30" == answers[2].headers["retry-after"]


async def test_what_is_not_known_yet_or_not_any_more_is_not_decided() -> None:
    source = world()
    source.trusted_until = -math.inf
    assert (503, "not_ready") == await asked(source, headers={})
    assert (503, "not_ready") == await asked(source, "/healthz")


CIDRS: dict[str, Any] = {"restrictions": {"cidrs": ["10.0.0.0/8"]}}
PROXY = {"trusted_proxies": ["192.0.2.0/24"]}


@pytest.mark.parametrize(
    ("peer", "forwarded", "options", "status"),
    [
        ("10.1.2.3", None, {}, 200),
        ("::ffff:10.1.2.3", None, {}, 200),
        ("192.0.2.1", None, {}, 403),
        ("192.0.2.1", "10.1.2.3", {}, 403),  # from a proxy that nobody trusts
        ("192.0.2.1", "10.1.2.3", PROXY, 200),
        ("192.0.2.1", "10.9.9.9, 198.51.100.1", PROXY, 403),  # the client's own entry stands before
        ("192.0.2.1", "10.9.9.9, 198.51.100.1", PROXY | {"client_ip_hops": 2}, 200),
        ("192.0.2.1", None, PROXY, 403),
        ("192.0.2.1", "nonsense", PROXY, 403),
        ("10.1.2.3", "198.51.100.1", PROXY, 200),
    ],
)
async def test_the_address_is_the_peers_or_what_a_trusted_proxy_says(
    peer: str, forwarded: str | None, options: Any, status: int
) -> None:
    headers = GOOD | ({"X-Forwarded-For": forwarded} if forwarded is not None else {})
    found = await asked(world(**CIDRS), headers=headers, peer=peer, **options)
    assert (status, "ip_not_allowed" if status == 403 else "") == found


def scope(**more: Any) -> dict[str, Any]:
    headers = [(name.lower().encode(), value.encode()) for name, value in GOOD.items()]
    return {
        "type": "http",
        "method": "GET",
        "path": "/data",
        "raw_path": b"/data",
        "query_string": b"",
        "headers": headers,
        "client": ("10.1.2.3", 1),
    } | more


async def sent(app: Any, scope: dict[str, Any], *received: dict[str, Any]) -> list[dict[str, Any]]:
    messages, waiting = [], list(received)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return messages


@pytest.mark.parametrize(
    ("about", "status"),
    [
        ({"raw_path": None}, 200),
        ({"raw_path": None, "path": "/da;ta"}, 400),
        ({"raw_path": None, "path": "/d%61ta"}, 400),
        ({"raw_path": None, "path": "/\udc80"}, 400),
        ({"client": None}, 200),
        ({"root_path": "/api", "path": "/api/data", "raw_path": b"/api/data"}, 403),
        ({"root_path": "/v1", "path": "/healthz", "raw_path": b"/data"}, 400),
        ({"path": "/healthz"}, 400),
        ({"path": "/data", "raw_path": b"/healthz"}, 400),
    ],
)
async def test_the_path_that_is_decided_about_is_the_one_that_is_served(about: Any, status: int) -> None:
    messages = await sent(guarded(Echo(), world()), scope(**about))
    assert status == messages[0]["status"]


@pytest.mark.parametrize(
    "about",
    [
        {"root_path": "/api", "path": "/api/data", "raw_path": b"/api/data"},  # as uvicorn has it
        {"root_path": "/api", "path": "/data", "raw_path": b"/api/data"},  # an older mount
    ],
)
async def test_a_root_path_is_a_part_of_the_path_as_the_client_sent_it(about: Any) -> None:
    routes = [{"path": "/api/data", "scopes": ["data:read"]}]
    messages = await sent(guarded(Echo(), world({"routes": routes})), scope(**about))
    assert 200 == messages[0]["status"]


def websocket(**more: Any) -> dict[str, Any]:
    about = {key: value for key, value in scope().items() if key != "method"}
    return about | {"type": "websocket"} | more


CONNECT = {"type": "websocket.connect"}


async def test_a_websocket_is_a_get_and_closed_before_it_opens() -> None:
    messages = await sent(guarded(Echo(), world()), websocket(headers=[]), CONNECT)
    assert [("websocket.close", 1008)] == [(one["type"], one["code"]) for one in messages]


async def test_where_the_server_can_answer_a_websocket_it_is_told_why() -> None:
    about = websocket(headers=[], extensions={"websocket.http.response": {}})
    start, body = await sent(guarded(Echo(), world()), about, CONNECT)
    assert ("websocket.http.response.start", 401) == (start["type"], start["status"])
    assert b'"unauthorized"' in body["body"]


async def test_a_good_key_opens_a_websocket_and_is_told_of_its_limits() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert KEY.id == scope["state"]["keywright"].key_id
        await send({"type": "websocket.accept"})

    source = world(rateLimits=[{"requests": 2, "period": "1m"}])
    (accepted,) = await sent(guarded(app, source), websocket(), CONNECT)
    assert (b"x-ratelimit-remaining", b"1") in accepted["headers"]


async def test_the_source_lives_as_long_as_the_application() -> None:
    source = world()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        source.events.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        source.events.append((await receive())["type"])

    events: Any = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    await sent(guarded(app, source), {"type": "lifespan"}, *events)
    assert ["start", "lifespan.startup", "lifespan.shutdown", "stop"] == source.events


class Hopeless(Known):
    async def start(self) -> None:
        raise KeywrightError("write a kubeconfig")


async def test_an_application_whose_source_cannot_start_says_so_and_does_not_start() -> None:
    (message,) = await sent(guarded(Echo(), Hopeless()), {"type": "lifespan"}, {"type": "lifespan.startup"})
    assert {"type": "lifespan.startup.failed", "message": "write a kubeconfig"} == message


async def test_without_a_lifespan_the_first_request_starts_the_source(caplog: Any) -> None:
    source = world()
    assert 200 == (await asked(source))[0]
    assert ["start"] == source.events
    assert (503, "not_ready") == await asked(Hopeless(trusted_until=-math.inf))
    assert "write a kubeconfig" in caplog.text


async def test_an_error_of_its_own_denies_and_is_logged_without_the_key(caplog: Any) -> None:
    source = world()
    source.index.projects = None  # type: ignore[assignment]
    assert (403, "internal_error") == await asked(source)
    assert "unforeseen" in caplog.text
    assert KEY.value not in caplog.text


async def test_nothing_that_nobody_decides_about_is_let_in() -> None:
    with pytest.raises(NotImplementedError):
        await sent(guarded(Echo(), world()), {"type": "grpc"})


PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}


async def test_a_preflight_passes_only_where_that_is_wanted() -> None:
    assert (401, "unauthorized") == await asked(world(), "/whoami", "OPTIONS", PREFLIGHT)
    assert 200 == (await asked(world(), "/whoami", "OPTIONS", PREFLIGHT, allow_cors_preflight=True))[0]
    assert 401 == (await asked(world(), "/whoami", "GET", PREFLIGHT, allow_cors_preflight=True))[0]


def test_a_project_is_written_with_its_namespace() -> None:
    with pytest.raises(ValueError, match="namespace/name"):
        KeywrightMiddleware(Echo(), project="payments", source=Known())
