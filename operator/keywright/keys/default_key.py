"""The one ApiKey that a Project keeps for itself, and what becomes of it."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from keywright.api.meta import API_VERSION
from keywright.keys.deletion import FINALIZER

if TYPE_CHECKING:
    from keywright.api.apikey import ApiKey
    from keywright.api.project import Project


SUFFIX = "-default"


class DefaultKeyPlan(Enum):
    """What to do about the default key."""

    NOTHING = auto()
    CREATE = auto()
    UPDATE = auto()
    DELETE = auto()
    CONFLICT = auto()


def name_of(project: Project) -> str:
    """Return the name that the default key has, wanted or not."""
    return f"{project.metadata.name}{SUFFIX}"


def plan(project: Project, existing: ApiKey | None) -> DefaultKeyPlan:
    """Return what the Project's spec and the ApiKey of that name call for.

    Only an ApiKey that the Project controls, by UID, is ever changed or deleted.
    """
    wanted = project.spec.default_key
    if existing is None:
        return DefaultKeyPlan.CREATE if wanted is not None else DefaultKeyPlan.NOTHING
    if existing.metadata.deletion_timestamp is not None:
        return DefaultKeyPlan.NOTHING
    if not _controls(project, existing):
        return DefaultKeyPlan.CONFLICT if wanted is not None else DefaultKeyPlan.NOTHING
    if wanted is None or existing.secret_name != (wanted.secret_name or name_of(project)):
        # Another Secret is another default key: the old one was removed, unseen, and written anew.
        return DefaultKeyPlan.DELETE
    same = set(existing.spec.scopes or ()) == set(wanted.scopes or ())
    return DefaultKeyPlan.NOTHING if same else DefaultKeyPlan.UPDATE


def manifest(project: Project) -> dict[str, Any]:
    """Return the default key as it is created: with its finalizer, so that a mint is one write shorter."""
    wanted = project.spec.default_key
    assert wanted is not None
    spec: dict[str, Any] = {"projectRef": {"name": project.metadata.name}}
    if wanted.scopes:
        spec["scopes"] = list(wanted.scopes)
    if wanted.secret_name:
        spec["secret"] = {"name": wanted.secret_name}
    return {
        "apiVersion": API_VERSION,
        "kind": "ApiKey",
        "metadata": {
            "name": name_of(project),
            "labels": {"app.kubernetes.io/managed-by": "keywright"},
            "finalizers": [FINALIZER],
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "Project",
                    "name": project.metadata.name,
                    "uid": project.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": spec,
    }


def _controls(project: Project, existing: ApiKey) -> bool:
    return any(
        ref.controller and ref.uid == project.metadata.uid for ref in existing.metadata.owner_references
    )
