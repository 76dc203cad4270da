"""How a status reaches the API server: whole, and only over the version of the object that was judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from keywright.api.meta import API_VERSION
from keywright.api.project import ProjectStatus
from keywright.api.revocation import RevocationStatus
from keywright.keys.conditions import condition
from keywright.kube import paths
from keywright.kube.errors import ApiError

if TYPE_CHECKING:
    from datetime import datetime

    from keywright.api.apikey import ApiKey
    from keywright.api.meta import Model
    from keywright.api.project import Project
    from keywright.api.revocation import Revocation
    from keywright.controller.cache import Cache
    from keywright.kube.client import Client, Object

_CONFLICT = 409

Status = TypeVar("Status", ProjectStatus, RevocationStatus)


def with_ready(
    status: Status,
    *,
    holds: bool,
    reason: str,
    message: str,
    now: datetime,
    generation: int,
    stalled: bool = False,
) -> Status:
    """Return a status whose conditions are Ready and, where nothing but an edit helps, Stalled."""
    conditions = tuple(
        condition(
            status.conditions,
            kind,
            holds=true,
            reason=reason,
            message=message,
            now=now,
            generation=generation,
        )
        for kind, true in (("Ready", holds), *((("Stalled", True),) if stalled else ()))
    )
    return status.model_copy(update={"observed_generation": generation, "conditions": conditions})


def status_manifest(obj: ApiKey | Project | Revocation, status: Model) -> Object:
    """Return what a PUT of the status sends; another object of that name, or a newer version, refuses it."""
    metadata = obj.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": type(obj).__name__,
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
        "status": status.wire(),
    }


async def report(client: Client, cache: Cache, obj: Project | Revocation, status: Model) -> Object:
    """Write a status, take the answer into the cache, and return it.

    Raises ApiError; where the object had changed, the cache knows it then as it is now.
    """
    kind = type(obj).__name__.lower()
    path = paths.of(kind, obj.metadata.namespace, obj.metadata.name)
    try:
        answer = await client.replace(f"{path}/status", status_manifest(obj, status))
    except ApiError as error:
        if error.status == _CONFLICT:  # the watch may have missed what is there now
            cache.put(kind, await client.get(path))
        raise
    cache.put(kind, answer)
    return answer
