"""Which cluster do tests and the demo get?

The first that applies: a cluster someone named for this purpose, kind where it was asked for, envtest's
binaries, and else binaries built here. KUBECONFIG and the user's current context are never looked at: tests
create, delete and revoke, and must not do so in a cluster that was only current by accident.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.errors import ControlPlaneError


class Kind(enum.StrEnum):
    GIVEN = "given"
    KIND = "kind"
    ENVTEST = "envtest"
    BUILT = "built"


@dataclass(frozen=True)
class Origin:
    kind: Kind
    path: Path | None = None
    """GIVEN: the kubeconfig. ENVTEST: the directory of binaries."""

    @property
    def local(self) -> bool:
        """Whether its processes are ours to start and to end."""
        return self.kind in {Kind.ENVTEST, Kind.BUILT}


def choose(environ: Mapping[str, str]) -> Origin:
    if given := environ.get("KEYWRIGHT_TEST_KUBECONFIG"):
        return Origin(Kind.GIVEN, _existing("KEYWRIGHT_TEST_KUBECONFIG", given))
    if environ.get("KEYWRIGHT_TEST_KIND", "0") not in {"", "0", "false"}:
        return Origin(Kind.KIND)
    if assets := environ.get("KUBEBUILDER_ASSETS"):
        return Origin(Kind.ENVTEST, _existing("KUBEBUILDER_ASSETS", assets))
    return Origin(Kind.BUILT)


def _existing(variable: str, value: str) -> Path:
    path = Path(value).expanduser().absolute()
    if not path.exists():
        # Falling through to the next origin would silently test something else than what was asked for.
        raise ControlPlaneError(f"{variable}={value}: no such file or directory")
    return path
