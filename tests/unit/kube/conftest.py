"""An API server that answers as told and notes what it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from keywright.kube.client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from multidict import CIMultiDictProxy


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: CIMultiDictProxy[str]
    body: Any


@dataclass
class FakeServer:
    """Answers each request with the next of `answers`: (status, body, headers)."""

    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def answer(self, status: int = 200, body: Any = None, **headers: str) -> None:
        """Add an answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, body if body is not None else {}, named))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        body = await request.json() if request.can_read_body else None
        self.asked.append(Asked(request.method, request.path, dict(request.query), request.headers, body))
        status, answer, headers = self.answers.pop(0)
        if isinstance(answer, asyncio.Event):  # headers, and then nothing for as long as it is not set
            response = web.StreamResponse(status=status)
            await response.prepare(request)
            await answer.wait()
            return response
        if isinstance(answer, bytes):
            return web.Response(status=status, body=answer, headers=headers)
        return web.json_response(answer, status=status, headers=headers)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as running:
        fake.url = str(running.make_url("")).rstrip("/")
        yield fake


@pytest.fixture
def kubeconfig(tmp_path: Path, server: FakeServer) -> Path:
    token_file = tmp_path / "token"
    token_file.write_text("first-token")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"tokenFile": str(token_file)}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest_asyncio.fixture
async def client(kubeconfig: Path, counted: list[tuple[str, str, str]]) -> AsyncIterator[Client]:
    client = await Client.connect(str(kubeconfig), observe=lambda *what: counted.append(what))
    yield client
    await client.close()


@pytest.fixture
def counted() -> list[tuple[str, str, str]]:
    return []
