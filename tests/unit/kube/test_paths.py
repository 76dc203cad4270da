"""REST paths, and what they are called without names."""

from __future__ import annotations

import pytest

from keywright.kube import paths


@pytest.mark.parametrize(
    ("path", "expected", "resource"),
    [
        (paths.api_keys(), "/apis/keywright.dev/v1alpha1/apikeys", "apikeys"),
        (paths.projects("a"), "/apis/keywright.dev/v1alpha1/namespaces/a/projects", "projects"),
        (
            paths.revocation("a", "b"),
            "/apis/keywright.dev/v1alpha1/namespaces/a/revocations/b",
            "revocations",
        ),
        (
            paths.api_key_status("a", "b"),
            "/apis/keywright.dev/v1alpha1/namespaces/a/apikeys/b/status",
            "apikeys/status",
        ),
        (paths.secret("a", "b"), "/api/v1/namespaces/a/secrets/b", "secrets"),
        (paths.secrets(), "/api/v1/secrets", "secrets"),
        (paths.namespace("a"), "/api/v1/namespaces/a", "namespaces"),
        (paths.namespaces(), "/api/v1/namespaces", "namespaces"),
        (paths.events("a"), "/apis/events.k8s.io/v1/namespaces/a/events", "events"),
        (paths.lease("a", "b"), "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", "leases"),
        (paths.DISCOVERY, "/apis/keywright.dev/v1alpha1", "discovery"),
        (paths.SERVER_VERSION, "/version", "version"),
    ],
)
def test_each_resource_has_its_place(path: str, expected: str, resource: str) -> None:
    assert (path, paths.resource_of(path)) == (expected, resource)


def test_a_name_cannot_lead_elsewhere() -> None:
    assert paths.secret("a", "../../b?x=1") == "/api/v1/namespaces/a/secrets/..%2F..%2Fb%3Fx%3D1"
