"""Rolled out or not, as `kubectl rollout status` judges it."""

from __future__ import annotations

from typing import Any

import pytest

from keywright.api.workload import WorkloadKind
from keywright.keys.workload import WorkloadView

DEPLOYED = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "readyReplicas": 3}
SCHEDULED = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}


def view(
    kind: str, status: dict[str, Any], *, observed: int | None = 4, annotations: Any = None, **spec: Any
) -> WorkloadView:
    template = {"metadata": {"annotations": annotations}} if annotations is not None else {}
    obj = {
        "metadata": {"resourceVersion": "7", "generation": 4},
        "spec": {"template": template, **spec},
        "status": status | ({"observedGeneration": observed} if observed is not None else {}),
    }
    return WorkloadView.of(WorkloadKind(kind), obj)


def strategy(kind: str = "RollingUpdate", **rolling: Any) -> dict[str, Any]:
    return {"type": kind, **({"rollingUpdate": rolling} if rolling else {})}


@pytest.mark.parametrize(
    ("expected", "kind", "status", "spec"),
    [
        (True, "Deployment", DEPLOYED, {"replicas": 3}),
        (True, "Deployment", {}, {"replicas": 0}),
        (False, "Deployment", {}, {"replicas": 1}),
        (False, "Deployment", DEPLOYED | {"updatedReplicas": 2}, {"replicas": 3}),
        (False, "Deployment", DEPLOYED | {"replicas": 4}, {"replicas": 3}),
        (False, "Deployment", DEPLOYED | {"availableReplicas": 2}, {"replicas": 3}),
        (True, "StatefulSet", DEPLOYED, {"replicas": 3, "updateStrategy": strategy(partition=0)}),
        (True, "StatefulSet", {}, {"replicas": 0, "updateStrategy": strategy(partition=0)}),
        (False, "StatefulSet", DEPLOYED | {"updatedReplicas": 2}, {"replicas": 3}),
        (False, "StatefulSet", DEPLOYED | {"readyReplicas": 2}, {"replicas": 3}),
        (
            True,
            "StatefulSet",
            DEPLOYED | {"updatedReplicas": 1},
            {"replicas": 3, "updateStrategy": strategy(partition=2)},
        ),
        (
            False,
            "StatefulSet",
            DEPLOYED | {"updatedReplicas": 1},
            {"replicas": 3, "updateStrategy": strategy(partition=1)},
        ),
        (
            True,
            "StatefulSet",
            DEPLOYED | {"updatedReplicas": 0},
            {"replicas": 3, "updateStrategy": strategy("OnDelete")},
        ),
        (True, "DaemonSet", SCHEDULED, {}),
        (True, "DaemonSet", {}, {}),
        (False, "DaemonSet", SCHEDULED | {"updatedNumberScheduled": 2}, {}),
        (False, "DaemonSet", SCHEDULED | {"numberAvailable": 2}, {}),
        (
            True,
            "DaemonSet",
            SCHEDULED | {"updatedNumberScheduled": 0},
            {"updateStrategy": strategy("OnDelete")},
        ),
    ],
)
def test_rolled_out_by_its_numbers(
    expected: bool,  # noqa: FBT001  what the row expects
    kind: str,
    status: dict[str, Any],
    spec: dict[str, Any],
) -> None:
    assert expected == view(kind, status, **spec).rolled_out


@pytest.mark.parametrize("observed", [None, 3])
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_numbers_of_an_older_generation_say_nothing(kind: str, observed: int | None) -> None:
    assert not view(kind, DEPLOYED | SCHEDULED, observed=observed, replicas=3).rolled_out
    on_delete = strategy("OnDelete")
    assert not view(kind, DEPLOYED | SCHEDULED, observed=observed, updateStrategy=on_delete).rolled_out


def test_what_may_hinder_it_for_ever_is_named() -> None:
    stuck = {"conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}

    assert "" == view("Deployment", DEPLOYED).hindrance
    assert "its progress deadline is exceeded" == view("Deployment", stuck).hindrance
    assert "it is paused" == view("Deployment", stuck, paused=True).hindrance


def test_only_the_annotations_that_restart_are_of_interest() -> None:
    annotations = {"restart.keywright.dev/checkout": "2.abc", "kubectl.kubernetes.io/restartedAt": "now"}

    assert {"restart.keywright.dev/checkout": "2.abc"} == view(
        "Deployment", {}, annotations=annotations
    ).restarts
    assert {} == view("Deployment", {}).restarts
