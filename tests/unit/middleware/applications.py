"""Small applications behind the middleware, and a source that holds what a test has put into it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import httpx

from keywright.decision.index import Index
from keywright.middleware import KeywrightMiddleware
from unit.decision.objects import KEY, NOW, api_key, index_of, project

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROJECT = "platform/payments"
GOOD = {"Authorization": f"Bearer {KEY.value}"}
ROUTES = [
    {"methods": ["GET"], "path": "/data", "scopes": ["data:read"]},
    {"methods": ["POST"], "path": "/data", "scopes": ["data:write"]},
    {"path": "/whoami"},
    {"path": "/healthz", "public": True},
]


class Known:
    """A source that knows all from the start."""

    def __init__(self, index: Index | None = None, trusted_until: float = math.inf) -> None:
        self.index = index or Index()
        self.trusted_until = trusted_until
        self.events: list[str] = []

    async def start(self) -> None:
        self.events.append("start")

    async def stop(self) -> None:
        self.events.append("stop")


def world(project_spec: dict[str, Any] | None = None, **spec: Any) -> Known:
    """Return a source with one ApiKey, which may read data."""
    spec = {"scopes": ["data:read"], "owner": "checkout-bot"} | spec
    return Known(
        index_of(
            project=[project(**({"routes": ROUTES} | (project_spec or {})))],
            apikey=[api_key("shop/checkout", **spec)],
        )
    )


class Echo:
    """An application that tells what it was told."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"echo")]})
        await send({"type": "http.response.body", "body": b"hello"})


def guarded(app: Callable[..., Awaitable[None]], source: Known, **options: Any) -> KeywrightMiddleware:
    """Return an application behind the middleware, at the time of the objects."""
    return KeywrightMiddleware(
        app, project=PROJECT, source=source, clock=lambda: NOW, monotonic=lambda: 0.0, **options
    )


def client(app: Any, peer: str = "10.1.2.3", **options: Any) -> httpx.AsyncClient:
    """Return somebody who sends requests straight to an application."""
    transport = httpx.ASGITransport(app=app, client=(peer, 4711), **options)
    return httpx.AsyncClient(transport=transport, base_url="http://api.example.com")
