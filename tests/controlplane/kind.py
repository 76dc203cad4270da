"""Clusters of kind, for those who have a container engine.

Their kubeconfigs go to files of their own: kind would otherwise switch the user's current context.
"""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from controlplane.errors import ControlPlaneError

log = logging.getLogger(__name__)


def exists(name: str) -> bool:
    require_engine()
    return name in _run("kind", "get", "clusters", capture=True).split()


def create(name: str, kubeconfig: Path) -> None:
    """Creates the cluster, or takes the one of that name that is there already."""
    verb = ("export", "kubeconfig") if exists(name) else ("create", "cluster", "--wait", "120s")
    _run("kind", *verb, "--name", name, "--kubeconfig", str(kubeconfig))
    kubeconfig.chmod(0o600)


def delete(name: str, kubeconfig: Path) -> None:
    require_engine()
    _run("kind", "delete", "cluster", "--name", name, "--kubeconfig", str(kubeconfig))


def install_crds(kubectl: Path, kubeconfig: Path, crds: Path) -> None:
    _run(str(kubectl), "--kubeconfig", str(kubeconfig), "apply", "--server-side", "-f", str(crds))


def require_engine() -> None:
    engine = os.environ.get("KIND_EXPERIMENTAL_PROVIDER", "docker")
    for program in (engine, "kind"):
        if not shutil.which(program):
            raise ControlPlaneError(f"kind needs {engine} and kind; {program} is not on PATH")
    if subprocess.run([engine, "info"], capture_output=True, check=False).returncode:
        raise ControlPlaneError(f"kind needs a container engine; `{engine} info` finds none running")


def _run(*command: str, capture: bool = False) -> str:
    # Standard output is kept for what the caller of `up` reads: the kubeconfig's path.
    output = subprocess.PIPE if capture else sys.stderr
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, text=True, check=False)
    if result.returncode:
        raise ControlPlaneError(f"`{' '.join(command[:3])}` failed")
    return result.stdout or ""
