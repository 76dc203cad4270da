"""What an object says of itself, read as a person or kstatus would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.waiting import PATIENCE, until

if TYPE_CHECKING:
    from harness.api import Api, Object


def condition(obj: Object, kind: str = "Ready") -> Object:
    """Return one condition, empty where there is none."""
    conditions = obj.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == kind), {})


def reason(obj: Object) -> str:
    """Return why it is, or is not, Ready; nothing before the operator has seen the spec as it stands."""
    ready = condition(obj)
    seen = ready.get("observedGeneration") == obj["metadata"]["generation"]
    return str(ready["reason"]) if seen else ""


def progress(obj: Object) -> set[str]:
    """Return which of Reconciling and Stalled are True; absent is how they say False."""
    conditions = obj.get("status", {}).get("conditions", [])
    found = [one for one in conditions if one["type"] in {"Reconciling", "Stalled"}]
    assert all(one["status"] == "True" for one in found)
    return {one["type"] for one in found}


def until_reason(
    admin: Api, wanted: str, name: str, namespace: str, *, kind: str = "ApiKey", seconds: float = PATIENCE
) -> Object:
    """Wait until an object's Ready condition has that reason, for the spec as it stands."""
    found = until(
        lambda: admin.find(kind, name, namespace),
        lambda obj: obj is not None and reason(obj) == wanted,
        seconds=seconds,
        what=f"{kind} {name} is {wanted}",
    )
    assert found is not None
    return found
