"""In Starlette, FastAPI and Litestar: the identity where each looks for it, and the same answers."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002  FastAPI reads it at run time
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from keywright.middleware import Identity, KeywrightMiddleware, require_scopes
from unit.decision.objects import NOW
from unit.middleware.applications import GOOD, PROJECT, Known, client, guarded, world

OPEN: dict[str, Any] = {"routes": [], "unmatchedRoutes": "Allow"}
MOUNTED = {"routes": [{"path": "/api/whoami", "scopes": ["data:read"]}]}
TOLD = {"apiKey": "shop/checkout", "scopes": ["data:read"]}


def told(identity: Identity | None) -> dict[str, Any]:
    assert identity is not None
    return {"apiKey": identity.api_key, "scopes": list(identity.scopes)}


async def whoami(request: Request) -> JSONResponse:
    return JSONResponse(told(request.state.keywright))


def options(source: Known) -> dict[str, Any]:
    return {"project": PROJECT, "source": source, "clock": lambda: NOW, "monotonic": lambda: 0.0}


def starlette(source: Known) -> Any:
    app = Starlette(routes=[Route("/whoami", whoami)])
    app.add_middleware(KeywrightMiddleware, **options(source))
    return app


def fastapi(source: Known) -> Any:
    app = FastAPI()
    app.add_middleware(KeywrightMiddleware, **options(source))

    @app.get("/whoami")
    async def _(request: Request) -> dict[str, Any]:
        return told(request.state.keywright)

    return app


@litestar_get("/whoami")
async def _litestar_whoami(request: LitestarRequest[Any, Any, Any]) -> dict[str, Any]:
    return told(request.state.keywright)


def litestar(source: Known) -> Any:
    return guarded(Litestar([_litestar_whoami], openapi_config=None), source)


@pytest.mark.parametrize("framework", [starlette, fastapi, litestar])
async def test_an_endpoint_reads_the_identity_from_the_state_of_the_request(framework: Any) -> None:
    async with client(framework(world())) as http:
        answer = await http.get("/whoami", headers=GOOD)
        denied = await http.get("/whoami")
    assert (200, TOLD) == (answer.status_code, answer.json())
    assert (401, "unauthorized") == (denied.status_code, denied.json()["error"]["code"])


@pytest.mark.parametrize("framework", [starlette, fastapi])
async def test_below_a_mount_the_path_is_the_whole_one(framework: Any) -> None:
    for outer in (
        Starlette(routes=[Mount("/api", framework(world(MOUNTED)))]),
        guarded(
            Starlette(routes=[Mount("/api", Starlette(routes=[Route("/whoami", whoami)]))]), world(MOUNTED)
        ),
    ):
        async with client(outer) as http:
            assert 200 == (await http.get("/api/whoami", headers=GOOD)).status_code


def with_scopes(source: Known, *, outside: bool) -> Any:
    app = FastAPI()

    @app.get("/data")
    async def _(identity: Annotated[Identity, Depends(require_scopes("data:read"))]) -> dict[str, Any]:
        return told(identity)

    @app.post("/data")
    async def _(identity: Annotated[Identity, Depends(require_scopes("data:read", "data:write"))]) -> None:
        raise AssertionError(identity)

    @app.get("/healthz", dependencies=[Depends(require_scopes())])
    async def _() -> None:
        raise AssertionError

    if outside:
        return guarded(app, source)
    app.add_middleware(KeywrightMiddleware, **options(source))
    return app


@pytest.mark.parametrize("outside", [False, True])
async def test_require_scopes_lets_in_only_who_has_them_all(*, outside: bool) -> None:
    limits = [{"requests": 100, "period": "1m"}]
    app = with_scopes(world(OPEN, rateLimits=limits), outside=outside)
    async with client(app) as http:
        answer = await http.get("/data", headers=GOOD)
        denied = await http.post("/data", headers=GOOD)
    assert (200, TOLD) == (answer.status_code, answer.json())
    assert (403, "insufficient_scope") == (denied.status_code, denied.json()["error"]["code"])
    challenge = 'Bearer realm="payments", error="insufficient_scope", scope="data:read data:write"'
    assert challenge == denied.headers["www-authenticate"]
    assert "98" == denied.headers["x-ratelimit-remaining"]


async def test_on_a_public_route_require_scopes_asks_for_a_key() -> None:
    routes = [{"path": "/healthz", "public": True}]
    async with client(with_scopes(world({"routes": routes}), outside=False)) as http:
        answer = await http.get("/healthz")
    assert (401, "unauthorized") == (answer.status_code, answer.json()["error"]["code"])
    assert 'Bearer realm="payments"' == answer.headers["www-authenticate"]


def test_the_openapi_document_says_that_a_key_is_needed() -> None:
    app = FastAPI()

    @app.get("/data", dependencies=[Depends(require_scopes("data:read"))])
    async def _() -> None: ...

    document = app.openapi()
    assert document["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    assert [{"ApiKey": ["data:read"]}] == document["paths"]["/data"]["get"]["security"]


async def test_require_scopes_without_the_middleware_lets_nobody_in() -> None:
    app = FastAPI()

    @app.get("/data", dependencies=[Depends(require_scopes("data:read"))])
    async def _() -> None: ...

    async with client(app) as http:
        with pytest.raises(RuntimeError, match="KeywrightMiddleware"):
            await http.get("/data", headers=GOOD)
