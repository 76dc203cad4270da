"""A kubeconfig for a ServiceAccount: what is run with it has the account's rights and no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.api import Api


def write_kubeconfig(admin: Api, namespace: str, account: str, file: Path) -> Path:
    """Write the kubeconfig of an account, with a token of its own, and return the file."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = admin.request("POST", path, request)["status"]["token"]
    cluster = {"server": admin.server, "certificate-authority": str(admin.session.verify)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "operator",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": account, "user": {"token": token}}],
        "contexts": [{"name": "operator", "context": {"cluster": "it", "user": account}}],
    }
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
    return file
