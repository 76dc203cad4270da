"""Where do the control plane's programs come from?

From upstream's own source, as Go modules: go.mod beside this file names them as tools, go.sum holds their
hashes. Minutes once, then the cache. For another Kubernetes version (envtest's binaries come without
kube-controller-manager) the module is written anew, from what that version's own go.mod replaces.
"""

import json
import logging
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from controlplane.errors import ControlPlaneError
from controlplane.locking import only_one
from controlplane.paths import cache_root
from controlplane.toolchain import find_go, go_environment

log = logging.getLogger(__name__)

_MODULE = Path(__file__).parent / "go.mod"
_PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
_PROGRESS_SECONDS = 10


@dataclass(frozen=True)
class Binaries:
    version: str
    etcd: Path
    apiserver: Path
    controller_manager: Path
    kubectl: Path


def pinned_version() -> str:
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", _MODULE.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ControlPlaneError(f"{_MODULE}: does not require k8s.io/kubernetes")
    return found[1]


def built_binaries() -> Binaries:
    version = pinned_version()
    built = build(version, tuple(_PACKAGES))
    return Binaries(
        version=version,
        etcd=built / "etcd",
        apiserver=built / "kube-apiserver",
        controller_manager=built / "kube-controller-manager",
        kubectl=built / "kubectl",
    )


def envtest_binaries(assets: Path) -> Binaries:
    for name in ("etcd", "kube-apiserver", "kubectl"):
        if not os.access(assets / name, os.X_OK):
            raise ControlPlaneError(f"KUBEBUILDER_ASSETS={assets}: no program {name} in it")
    answer = subprocess.run(
        [assets / "kube-apiserver", "--version"], capture_output=True, text=True, check=True
    )
    version = answer.stdout.split()[-1]
    return Binaries(
        version=version,
        etcd=assets / "etcd",
        apiserver=assets / "kube-apiserver",
        controller_manager=build(version, ("kube-controller-manager",)) / "kube-controller-manager",
        kubectl=assets / "kubectl",
    )


def build(version: str, names: tuple[str, ...]) -> Path:
    """The directory that holds these programs at this version, built now if any of them is missing."""
    target = cache_root() / version / "bin"
    if _missing(target, names):
        with only_one(cache_root() / "build.lock", doing="building the control plane"):
            if missing := _missing(target, names):
                _build(version, missing, target)
    return target


def _missing(target: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if not (target / name).exists()]


def _build(version: str, names: list[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for abandoned in target.parent.glob(".build-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    go = find_go(_MODULE)
    # Beside the target, so that the renames at the end are atomic; a killed build leaves no half program.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as scratch:
        module = Path(scratch)
        if version == pinned_version():
            shutil.copy(_MODULE, module)
            shutil.copy(_MODULE.with_suffix(".sum"), module)
        else:
            _write_module(go, version, names, module)
        output = module / "bin"
        output.mkdir()
        log.info("building %s %s with %s; this takes minutes, once", ", ".join(names), version, go)
        flags = ["-trimpath", "-ldflags", f"-s -w {_version_flags(version)}"]
        packages = [_PACKAGES[name] for name in names]
        _run_with_progress([go, "build", "-v", *flags, "-o", f"{output}/", *packages], module)
        for name in names:
            # Go names a program after the last element of its path that is no version: etcd's is `server`.
            program = "server" if name == "etcd" else name
            (output / program).rename(target / name)


def _version_flags(version: str) -> str:
    """As upstream's release build does; without it the version is a template that clients fail to parse."""
    major, minor = version.removeprefix("v").split(".")[:2]
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "unknown",
        "gitTreeState": "clean",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{key}={value}" for package in packages for key, value in values.items())


def _write_module(go: Path, version: str, names: list[str], module: Path) -> None:
    """A go.mod for a version other than the pinned one; its hashes come from Go's checksum database."""
    (module / "go.mod").write_text("module controlplane\n", encoding="utf-8")
    downloaded = json.loads(_go(go, module, "mod", "download", "-json", f"k8s.io/kubernetes@{version}"))
    upstream = json.loads(_go(go, module, "mod", "edit", "-json", downloaded["GoMod"]))
    staging = "v0." + version.removeprefix("v1.")
    replaced = [entry["Old"]["Path"] for entry in upstream["Replace"]]
    edits = [f"-replace={path}={path}@{staging}" for path in replaced]
    _go(go, module, "mod", "edit", f"-go={upstream['Go']}", *edits)
    _go(go, module, "get", "-tool", *(f"{_PACKAGES[name]}@{version}" for name in names))


def _go(go: Path, module: Path, *arguments: str) -> str:
    result = subprocess.run(
        [go, *arguments], cwd=module, env=go_environment(), stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode:
        raise ControlPlaneError(f"go {' '.join(arguments[:2])} failed")
    return result.stdout


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
