"""/healthz, /readyz, /metrics and further pages, on a port of their own that no proxy can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from keywright.verifier.answers import Answer, header_lines
from keywright.verifier.asgi import raw_target, respond

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client import CollectorRegistry

    from keywright.verifier.asgi import Receive, Scope, Send

    Page = Callable[[Scope], Answer]

log = structlog.get_logger("keywright.ops")


class Ops:
    """What a kubelet, Prometheus and the operator ask; each check returns its problems, none meaning well.

    `pages` are served at their paths beside.
    """

    def __init__(
        self,
        *,
        alive: Callable[[], list[str]],
        ready: Callable[[], list[str]],
        registry: CollectorRegistry,
        pages: Mapping[str, Page] | None = None,
    ) -> None:
        self._pages: dict[str, Page] = {
            "/healthz": lambda _scope: _checked(alive()),
            "/readyz": lambda _scope: _checked(ready()),
            "/metrics": lambda _scope: text(200, generate_latest(registry), CONTENT_TYPE_LATEST),
            **(pages or {}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as any ASGI application does."""
        await respond(self._answer(scope), scope, receive, send)

    def _answer(self, scope: Scope) -> Answer:
        page = self._pages.get(raw_target(scope).partition(b"?")[0].decode("latin-1"))
        if page is None:
            return text(404, f"there are {', '.join(self._pages)}\n".encode())
        if scope["method"] not in {"GET", "HEAD"}:
            return text(405, b"GET it\n")
        try:
            return page(scope)
        except Exception:
            log.exception("a page could not be made", page=scope["path"])
            return text(500, b"the log says why\n")


def text(status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> Answer:
    """Return an answer that nobody keeps."""
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    return Answer(status, header_lines(headers), body)


def _checked(problems: list[str]) -> Answer:
    if problems:
        return text(503, "".join(f"{problem}\n" for problem in problems).encode())
    return text(200, b"ok\n")
