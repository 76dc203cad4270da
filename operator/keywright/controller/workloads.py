"""How workloads are read and restarted: requests that the chart grants with rolloutRestart only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keywright.keys.workload import Found, Missing, Refused, WorkloadView
from keywright.kube import paths
from keywright.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keywright.api.workload import Workload
    from keywright.keys.actions import RestartWorkload
    from keywright.kube.client import Client

_NOT_GRANTED = "the operator may not read it: install the chart with rolloutRestart: true"


class Workloads:
    """Reads and restarts workloads of one namespace at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, namespace: str, workloads: Iterable[Workload]) -> dict[Workload, Found]:
        """Return what each is; raises ApiError and TransportError for what only waiting can mend."""
        return {workload: await self._read(namespace, workload) for workload in workloads}

    async def restart(self, namespace: str, action: RestartWorkload) -> Found | None:
        """Write the annotation; None: the workload has changed since it was read."""
        workload = action.workload
        template = {"metadata": {"annotations": {action.annotation: action.value}}}
        body = {
            "metadata": {"resourceVersion": action.resource_version},
            "spec": {"template": template},
        }
        path = paths.workload(namespace, workload.kind, workload.name)
        try:
            answer = await self._client.merge_patch(path, body)
        except ApiError as error:
            match error.status:
                case 404:
                    return Missing()
                case 409:
                    return None
                case 403 | 422:
                    return _refused(error)
            raise
        return WorkloadView.of(workload.kind, answer)

    async def _read(self, namespace: str, workload: Workload) -> Found:
        try:
            obj = await self._client.get(paths.workload(namespace, workload.kind, workload.name))
        except ApiError as error:
            match error.status:
                case 404:
                    return Missing()
                case 403:
                    return Refused(_NOT_GRANTED)
            raise
        return WorkloadView.of(workload.kind, obj)


def _refused(error: ApiError) -> Refused:
    """Say so without the API server's message: it may quote the pod template, which may hold anything."""
    answer = f"{error.status} {error.reason}".rstrip()
    return Refused(f"the API server refuses the patch ({answer}): look at RBAC and admission policies")
