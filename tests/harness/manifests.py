"""Manifests as short as they may be, for tests that say what differs."""

from __future__ import annotations

from typing import Any

API_VERSION = "keywright.dev/v1alpha1"


def project(namespace: str, name: str = "payments", **spec: Any) -> dict[str, Any]:
    """Return a Project."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Project",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def api_key(
    namespace: str, name: str = "checkout", *, project: str = "payments", **spec: Any
) -> dict[str, Any]:
    """Return an ApiKey."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ApiKey",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"projectRef": {"name": project}, **spec},
    }
