"""`require_scopes`: what one endpoint of a FastAPI application needs, written beside it.

Routes of the Project say the same to every gateway; this is for whoever keeps it in the code. FastAPI is
imported when it is used: the middleware itself needs no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from keywright.decision.code import Code
from keywright.decision.outcome import Denied

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from keywright.middleware.identity import Identity

HANDLE = "keywright"
"""Under which key of the scope the middleware is reached by what runs within it."""


class Handle(Protocol):
    """What the middleware knows of one request."""

    identity: Identity | None

    def deny(self, denied: Denied) -> None:
        """Answer with this instead of whatever the application answers."""


def require_scopes(*scopes: str) -> Callable[..., Awaitable[Identity]]:
    """Return a FastAPI dependency that lets in keys with all of these scopes; its value is the Identity.

    `identity: Annotated[Identity, Depends(require_scopes("data:read"))]`. Others get the same 403 that a
    route of the Project gives. In the OpenAPI document the endpoint needs a bearer credential.
    """
    from fastapi import HTTPException, Request, Security  # noqa: PLC0415  only who asks for it has it
    from fastapi.security import HTTPBearer  # noqa: PLC0415

    bearer = HTTPBearer(
        scheme_name="ApiKey", auto_error=False, description="An API key, as Authorization: Bearer."
    )

    async def required(request: Request, _credential: Any = Security(bearer, scopes=scopes)) -> Identity:  # noqa: B008
        handle: Handle | None = request.scope.get(HANDLE)
        if handle is None:
            raise RuntimeError("add KeywrightMiddleware to the application: require_scopes asks it")
        identity = handle.identity
        if identity is not None and all(identity.has(scope) for scope in scopes):
            return identity
        # A public route of the Project asked nobody for a key.
        code = Code.UNAUTHORIZED if identity is None else Code.INSUFFICIENT_SCOPE
        handle.deny(Denied(code, scopes if identity is not None else ()))
        raise HTTPException(code.status, code.message)

    # Their names are known only here, so FastAPI cannot look them up by themselves.
    required.__annotations__ = {"request": Request, "_credential": Any, "return": Any}
    return required
