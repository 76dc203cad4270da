"""What must be there before anything starts, and what to do about it when it is not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from keywright.controller.backoff import asked_for
from keywright.errors import KeywrightError
from keywright.kube import paths
from keywright.kube.errors import ApiError, TransportError

if TYPE_CHECKING:
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.preflight")

_NOT_FOUND = 404
_FORBIDDEN = 403
_AGAIN = 5.0


class RefusedError(KeywrightError):
    """The operator cannot start like this; the message says what to change."""

    code = "refused"


async def require_system_namespace(client: Client, name: str) -> None:
    """Wait for the API server; raise RefusedError where the system namespace is missing."""
    wait = 0.25
    while True:
        try:
            await client.get(paths.namespace(name))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                raise RefusedError(
                    f"--system-namespace: there is no namespace {name}; "
                    f"create it with: kubectl create namespace {name}",
                ) from None
            if error.status == _FORBIDDEN:  # installed for listed namespaces, without a right to read them
                return
            wait = max(wait, asked_for(error))
            log.warning("the API server does not let us in yet", error=str(error), retry_in=wait)
        except TransportError as error:
            log.warning(
                "the API server is not reachable", server=client.server, error=str(error), retry_in=wait
            )
        else:
            return
        await asyncio.sleep(wait)
        wait = min(wait * 2, 5.0)


async def warn_of_missing(client: Client, namespaces: tuple[str, ...]) -> None:
    """Warn of namespaces to be served that do not exist, where they may be read: one may come yet."""
    for name in namespaces:
        try:
            await client.get(paths.namespace(name))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                log.warning("--namespaces: there is no such namespace: correct its name", namespace=name)
        except TransportError:
            return


async def wait_for_kinds(client: Client) -> None:
    """Wait until our kinds are served, and say meanwhile what is missing."""
    while problem := await _missing(client):
        log.warning("waiting for the CRDs", problem=problem, retry_in=_AGAIN)
        await asyncio.sleep(_AGAIN)


async def _missing(client: Client) -> str | None:
    """Return what hinders serving our kinds: an API server out of reach, or CRDs that are not installed."""
    try:
        answer = await client.get(paths.DISCOVERY)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            return str(error)
        answer = {}
    except TransportError as error:
        return str(error)
    served = {resource["name"] for resource in answer.get("resources") or ()}
    missing = sorted(set(paths.PLURALS.values()) - served)
    return f"no {', '.join(missing)} here; install crds/ with: kubectl apply -f crds/" if missing else None
