"""Which Caddy do the gateway tests run? That of go.mod beside this file, built once."""

from pathlib import Path

from controlplane.building import Programs, build, required_version
from controlplane.paths import cache_root

_MODULE = Path(__file__).parent / "go.mod"
_CADDY = "github.com/caddyserver/caddy/v2"


def path() -> Path:
    version = required_version(_MODULE, _CADDY)
    programs = Programs(
        version=version,
        home=cache_root() / f"caddy-{version}",
        module=_MODULE,
        packages={"caddy": f"{_CADDY}/cmd/caddy"},
        stamps={f"{_CADDY}.CustomVersion": version},
    )
    return build(programs) / "caddy"
