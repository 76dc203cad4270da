"""What other projects publish as Go modules beside their code: the schemas of their resources.

Each module is named by its version and by Go's hash of all its files. Nothing is compiled; but Go downloads
no version that asks for a newer Go than itself, which controlplane/go-toolchain.txt bounds.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

from controlplane import toolchain
from gateways import caddy


class Module(NamedTuple):
    """A module at one version."""

    path: str
    version: str
    sum: str


GATEWAY_API = Module("sigs.k8s.io/gateway-api", "v1.6.2", "h1:vh5YzKlbdBivEaLX61+APKLGRq4tZ7Fj4XfGkv08xB4=")
ENVOY_GATEWAY = Module(
    "github.com/envoyproxy/gateway", "v1.9.0", "h1:PaOpud15v3kDCl3L5yc1TdYzggCMpRm1yRjNKmLkzHA="
)
ISTIO = Module("istio.io/api", "v1.31.1", "h1:5Yb5ihcz4YQsCkciusK7DnFpBMwRB6EFWeUKH1Atuyk=")
TRAEFIK = Module(
    "github.com/traefik/traefik/v3", "v3.7.13", "h1:T8wy9KuaFzCkmXCqAzDy7t73pBDR1DHrJe3pqXpNXTw="
)


@cache
def files(module: Module) -> Path:
    """Return the directory of a module's files, downloaded once into Go's own cache."""
    go = toolchain.find_go(Path(caddy.__file__).with_name("go.mod"))
    wanted = f"{module.path}@{module.version}"
    done = subprocess.run(
        [go, "mod", "download", "-json", wanted],
        cwd="/",
        env=toolchain.go_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{wanted}: {done.stdout}{done.stderr}"
    downloaded = json.loads(done.stdout)
    assert (module.sum, wanted) == (downloaded["Sum"], wanted)
    return Path(downloaded["Dir"])
