"""Which kstatus judges in the tests?

The one of Flux, as a Go module at the version that go.mod beside this file requires, in a program of our own
that does nothing but ask it. Built when it is first asked for, and again when anything about it changes.
"""

from pathlib import Path

from controlplane.building import Programs, build, content_version
from controlplane.paths import cache_root

_MODULE = Path(__file__).parent / "go.mod"


def path() -> Path:
    version = content_version(_MODULE)
    programs = Programs(
        version=version,
        home=cache_root() / f"kstatus-{version}",
        module=_MODULE,
        packages={"kstatus": "kstatus"},
        stamps={},
    )
    return build(programs) / "kstatus"
