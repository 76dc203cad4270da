"""How do programs come from a Go module into the cache?

A go.mod names them as tools, or stands beside a program of our own; go.sum holds the hashes of all that they
are made of. Minutes once for each version, then the cache. One build at a time, whatever is built: two would
only slow each other down.
"""

import hashlib
import logging
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.errors import ControlPlaneError
from controlplane.locking import only_one
from controlplane.paths import cache_root
from controlplane.toolchain import find_go, go_environment

log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 10


@dataclass(frozen=True)
class Programs:
    """What to build of a module, and where in the cache it is kept."""

    version: str
    home: Path
    """A directory for this version alone."""
    module: Path
    """The go.mod; its go.sum beside it, and the sources of a program of its own."""
    packages: Mapping[str, str]
    """By the program's name."""
    stamps: Mapping[str, str]
    """The variables by which a program knows its own version."""
    write_module: Callable[[Path, Path], None] | None = None
    """Given a Go, writes the module into a directory, for a version that `module` does not require."""


def required_version(module: Path, path: str) -> str:
    """The version of another module that a go.mod requires."""
    text = module.read_text(encoding="utf-8")
    found = re.search(rf"^(?:require)?\s*{re.escape(path)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise ControlPlaneError(f"{module}: does not require {path}")
    return found[1]


def content_version(module: Path) -> str:
    """A version of a program of our own: it changes with anything that the program is made of."""
    contents = b"".join(file.read_bytes() for file in _sources(module))
    return hashlib.sha256(contents).hexdigest()[:12]


def build(programs: Programs) -> Path:
    """The directory that holds these programs, built now if any of them is missing."""
    target = programs.home / "bin"
    if _missing(target, programs):
        with only_one(cache_root() / "build.lock", doing="building programs"):
            if missing := _missing(target, programs):
                _build(programs, missing, target)
    return target


def _sources(module: Path) -> list[Path]:
    return [module, module.with_suffix(".sum"), *sorted(module.parent.glob("*.go"))]


def _missing(target: Path, programs: Programs) -> list[str]:
    return [name for name in programs.packages if not (target / name).exists()]


def _build(programs: Programs, names: list[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for abandoned in target.parent.glob(".build-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    go = find_go(programs.module)
    # Beside the target, so that the renames at the end are atomic; a killed build leaves no half program.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as scratch:
        module = Path(scratch)
        if programs.write_module:
            programs.write_module(go, module)
        else:
            for file in _sources(programs.module):
                shutil.copy(file, module)
        output = module / "bin"
        output.mkdir()
        log.info("building %s %s with %s; this takes minutes, once", ", ".join(names), programs.version, go)
        stamps = " ".join(f"-X {variable}={value}" for variable, value in programs.stamps.items())
        flags = ["-trimpath", "-ldflags", f"-s -w {stamps}"]
        packages = [programs.packages[name] for name in names]
        _run_with_progress([go, "build", "-v", *flags, "-o", f"{output}/", *packages], module)
        for name, package in zip(names, packages, strict=True):
            (output / _named_by_go(package)).rename(target / name)


def _named_by_go(package: str) -> str:
    """Go names a program after the last element of its path that is no version: etcd's is `server`."""
    return [part for part in package.split("/") if not re.fullmatch(r"v\d+", part)][-1]


def _run_with_progress(command: list[str | Path], module: Path) -> None:
    """Runs go build; says every few seconds how far it is, and on failure the end of what it printed."""
    printed = module / "build.log"
    began = last = time.monotonic()
    with printed.open("wb") as log_file:
        child = subprocess.Popen(
            command,
            cwd=module,
            env=go_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
        )
    try:
        while child.poll() is None:
            time.sleep(0.2)
            if time.monotonic() - last >= _PROGRESS_SECONDS:
                last = time.monotonic()
                lines = printed.read_text(encoding="utf-8", errors="replace").splitlines() or ["starting"]
                log.info("  %4d s, %4d packages, now %s", last - began, len(lines), lines[-1])
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode:
        tail = printed.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        raise ControlPlaneError("go build failed:\n" + "\n".join(tail))
    log.info("built in %d s", time.monotonic() - began)
