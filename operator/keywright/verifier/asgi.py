"""ASGI as far as the verifier speaks it: what a server hands over, and how a whole answer goes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from keywright.verifier.answers import Answer

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


async def respond(answer: Answer | Awaitable[Answer], _scope: Scope, _receive: Receive, send: Send) -> None:
    """Send an answer, when it is known."""
    known = answer if isinstance(answer, Answer) else await answer
    await send({"type": "http.response.start", "status": known.status, "headers": known.headers})
    await send({"type": "http.response.body", "body": known.body, "more_body": False})


def raw_target(scope: Scope) -> bytes:
    """Return the request target as it was received, as far as the server tells."""
    target: bytes | None = scope.get("raw_target")
    if target is not None:
        return target
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path
