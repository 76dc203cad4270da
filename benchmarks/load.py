"""How are the ApiKeys made, and unmade? Sixteen requests in flight, the same for every contender."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from benchmarks.session import MERGE_PATCH
from harness import manifests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    import aiohttp

    from harness.api import Object

IN_FLIGHT = 16


async def create(
    session: aiohttp.ClientSession, namespace: str, names: Iterable[str], told: Callable[[Object], None]
) -> dict[str, float]:
    """Create ApiKeys; return when (time.monotonic) each of them was answered. `told` gets each answer."""
    answered: dict[str, float] = {}

    async def create_one(name: str) -> None:
        body = manifests.api_key(namespace, name, scopes=["data:read"], expiresAfter="2160h")
        async with session.post(_collection(namespace), json=body) as answer:
            obj = await answer.json()
        answered[name] = time.monotonic()
        told(obj)

    await _each(names, create_one)
    return answered


async def release(session: aiohttp.ClientSession, namespace: str, names: Iterable[str]) -> None:
    """Take the finalizers off ApiKeys that no operator looks after any more."""

    async def release_one(name: str) -> None:
        patch = {"metadata": {"finalizers": None}}
        async with session.patch(f"{_collection(namespace)}/{name}", json=patch, headers=MERGE_PATCH):
            pass

    await _each(names, release_one)


async def _each(names: Iterable[str], job: Callable[[str], Awaitable[None]]) -> None:
    remaining = iter(names)

    async def work() -> None:
        for name in remaining:
            await job(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())


def _collection(namespace: str) -> str:
    return f"/apis/keywright.dev/v1alpha1/namespaces/{namespace}/apikeys"
