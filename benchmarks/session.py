"""How do load generator, watcher and ceiling speak to the API server? With aiohttp and nothing else.

Any client library would make the ceiling lower than it is.
"""

from __future__ import annotations

import base64
import json
import ssl
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from pathlib import Path

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


def connect(kubeconfig: Path) -> aiohttp.ClientSession:
    """Open a session with the server and the token of a kubeconfig that tests/controlplane or Stage wrote."""
    content = json.loads(kubeconfig.read_text())
    server = content["clusters"][0]["cluster"]
    data = server.get("certificate-authority-data")
    context = ssl.create_default_context(
        cafile=server.get("certificate-authority"),
        cadata=base64.b64decode(data).decode() if data else None,
    )
    return aiohttp.ClientSession(
        server["server"],
        headers={"Authorization": f"Bearer {content['users'][0]['user']['token']}"},
        connector=aiohttp.TCPConnector(ssl=context, limit=64),
        raise_for_status=True,
    )
