"""What a Deployment, StatefulSet or DaemonSet says of itself: what it was restarted for, and how far it is.

Rolled out means what `kubectl rollout status` means by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keywright.api.workload import WorkloadKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Json = Mapping[str, Any]

ANNOTATION_PREFIX = "restart.keywright.dev/"


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such workload."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The API server does not let the operator read or restart it: why, in words for a person."""

    why: str


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A workload as it was read.

    `restarts` are the annotations of its pod template that restarted it. `hindrance` says what may keep it
    from ever rolling out; `by_hand`: its pods are only replaced when somebody deletes them (OnDelete).
    """

    resource_version: str
    restarts: Mapping[str, str]
    rolled_out: bool
    hindrance: str = ""
    by_hand: bool = False

    @classmethod
    def of(cls, kind: WorkloadKind, obj: Json) -> WorkloadView:
        """Read an object of apps/v1 as the API server sends it."""
        metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
        annotations = spec["template"].get("metadata", {}).get("annotations") or {}
        observed = status.get("observedGeneration", 0) >= metadata["generation"]
        by_hand = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
        return cls(
            resource_version=metadata["resourceVersion"],
            restarts={
                name: value for name, value in annotations.items() if name.startswith(ANNOTATION_PREFIX)
            },
            # What the controller has not observed, the numbers in status do not speak of yet.
            rolled_out=observed and (by_hand or _ROLLED_OUT[kind](spec, status)),
            hindrance=_hindrance(spec, status),
            by_hand=by_hand,
        )


Found = WorkloadView | Missing | Refused


def _deployment(spec: Json, status: Json) -> bool:
    updated = status.get("updatedReplicas", 0)
    old = status.get("replicas", 0) - updated
    return bool(
        updated >= spec.get("replicas", 1) and old <= 0 and status.get("availableReplicas", 0) >= updated
    )


def _stateful_set(spec: Json, status: Json) -> bool:
    replicas = spec.get("replicas", 1)
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
    updated = status.get("updatedReplicas", 0)
    return bool(status.get("readyReplicas", 0) >= replicas and updated >= replicas - partition)


def _daemon_set(_spec: Json, status: Json) -> bool:
    desired = status.get("desiredNumberScheduled", 0)
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    return bool(updated >= desired and available >= desired)


_ROLLED_OUT: dict[WorkloadKind, Callable[[Json, Json], bool]] = {
    WorkloadKind.DEPLOYMENT: _deployment,
    WorkloadKind.STATEFUL_SET: _stateful_set,
    WorkloadKind.DAEMON_SET: _daemon_set,
}


def _hindrance(spec: Json, status: Json) -> str:
    if spec.get("paused"):
        return "it is paused"
    reasons = {condition.get("reason") for condition in status.get("conditions") or ()}
    return "its progress deadline is exceeded" if "ProgressDeadlineExceeded" in reasons else ""
