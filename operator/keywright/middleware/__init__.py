"""Keywright within an ASGI application: each request decided in process, without a network on its way.

    app.add_middleware(KeywrightMiddleware, project="platform/payments", source=Cluster())

The decision, its order and its answers are the verifier's own. What it is made from comes from a source: the
API server (`keywright.middleware.cluster`), or a verifier's signed snapshot of one Project
(`keywright.middleware.snapshot`).
"""

from __future__ import annotations

from keywright.middleware.asgi import KeywrightMiddleware
from keywright.middleware.identity import Identity
from keywright.middleware.scopes import require_scopes
from keywright.middleware.source import Source

__all__ = ["Identity", "KeywrightMiddleware", "Source", "require_scopes"]
