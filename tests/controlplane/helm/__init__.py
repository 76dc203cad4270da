"""Which helm renders the chart in the tests?

The one that KEYWRIGHT_TEST_HELM names, else one of the version that go.mod beside this file requires, built
when it is first asked for. Never one that merely is on PATH: versions differ in what they render and in what
they find fault with, and a test must not pass or fail by what a machine happens to have.
"""

import os
from pathlib import Path

from controlplane.building import Programs, build, required_version
from controlplane.errors import ControlPlaneError
from controlplane.paths import cache_root

_MODULE = Path(__file__).parent / "go.mod"
_HELM = "helm.sh/helm/v4"


def path() -> Path:
    if given := os.environ.get("KEYWRIGHT_TEST_HELM"):
        return _program("KEYWRIGHT_TEST_HELM", given)
    version = required_version(_MODULE, _HELM)
    programs = Programs(
        version=version,
        home=cache_root() / f"helm-{version}",
        module=_MODULE,
        packages={"helm": f"{_HELM}/cmd/helm"},
        stamps={f"{_HELM}/internal/version.version": version},
    )
    return build(programs) / "helm"


def _program(variable: str, value: str) -> Path:
    program = Path(value).expanduser().absolute()
    if not (program.is_file() and os.access(program, os.X_OK)):
        raise ControlPlaneError(f"{variable}={value}: no such program")
    return program
