"""A ServiceAccount's kubeconfig with a token of its own, by whose id the audit log tells processes apart."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.api import Api

ACCOUNT = "keywright-operator"
"""The operator's, as the chart names it."""
VERIFIER = "keywright-verifier"
"""The verifier's."""


def write_kubeconfig(
    file: Path, admin: Api, namespace: str, account: str, *, server: str | None = None
) -> str:
    """Write a kubeconfig, for the API server itself or another address of it; return the token's id."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token: str = admin.request("POST", path, request)["status"]["token"]
    cluster = {"server": server or admin.server}
    if server is None:
        cluster["certificate-authority"] = str(admin.session.verify)
    file.touch(mode=0o600)
    file.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "operator",
                "clusters": [{"name": "it", "cluster": cluster}],
                "users": [{"name": account, "user": {"token": token}}],
                "contexts": [{"name": "operator", "context": {"cluster": "it", "user": account}}],
            }
        )
    )
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"JTI={claims['jti']}"
