"""Where do the control plane's programs come from?

From upstream's own source, as Go modules: go.mod beside this file names them as tools. For another Kubernetes
version (envtest's binaries come without kube-controller-manager) the module is written anew, from what that
version's own go.mod replaces.
"""

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from controlplane import building
from controlplane.building import Programs, required_version
from controlplane.errors import ControlPlaneError
from controlplane.paths import cache_root
from controlplane.toolchain import go_environment

_MODULE = Path(__file__).parent / "go.mod"
_KUBERNETES = "k8s.io/kubernetes"
_PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": f"{_KUBERNETES}/cmd/kube-apiserver",
    "kube-controller-manager": f"{_KUBERNETES}/cmd/kube-controller-manager",
    "kubectl": f"{_KUBERNETES}/cmd/kubectl",
}


@dataclass(frozen=True)
class Binaries:
    version: str
    etcd: Path
    apiserver: Path
    controller_manager: Path
    kubectl: Path


def pinned_version() -> str:
    return required_version(_MODULE, _KUBERNETES)


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
    """The directory that holds these programs at this version of Kubernetes, built now if any is missing."""
    packages = {name: _PACKAGES[name] for name in names}

    def write_module(go: Path, directory: Path) -> None:
        _write_module(go, version, packages.values(), directory)

    return building.build(
        Programs(
            version=version,
            home=cache_root() / version,
            module=_MODULE,
            packages=packages,
            stamps=_stamps(version),
            write_module=None if version == pinned_version() else write_module,
        )
    )


def _stamps(version: str) -> dict[str, str]:
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
    return {f"{package}.{key}": value for package in packages for key, value in values.items()}


def _write_module(go: Path, version: str, packages: Iterable[str], module: Path) -> None:
    """A go.mod for a version other than the pinned one; its hashes come from Go's checksum database."""
    (module / "go.mod").write_text("module controlplane\n", encoding="utf-8")
    downloaded = json.loads(_go(go, module, "mod", "download", "-json", f"{_KUBERNETES}@{version}"))
    upstream = json.loads(_go(go, module, "mod", "edit", "-json", downloaded["GoMod"]))
    staging = "v0." + version.removeprefix("v1.")
    replaced = [entry["Old"]["Path"] for entry in upstream["Replace"]]
    edits = [f"-replace={path}={path}@{staging}" for path in replaced]
    _go(go, module, "mod", "edit", f"-go={upstream['Go']}", *edits)
    _go(go, module, "get", "-tool", *(f"{package}@{version}" for package in packages))


def _go(go: Path, module: Path, *arguments: str) -> str:
    result = subprocess.run(
        [go, *arguments], cwd=module, env=go_environment(), stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode:
        raise ControlPlaneError(f"go {' '.join(arguments[:2])} failed")
    return result.stdout
