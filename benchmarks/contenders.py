"""Who competes? Each is a process of its own with a ServiceAccount's rights, started anew for each run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.stage import KEYWRIGHT, TEXTBOOK
from harness.operator import Operator

if TYPE_CHECKING:
    from benchmarks.stage import Stage
    from harness.api import Object

_HERE = Path(__file__).parent
_GRACE_SECONDS = 15


class EndedError(Exception):
    """A contender ended by itself."""


class Contender:
    """A running process; `account` is whose rights it has."""

    account = KEYWRIGHT
    process: subprocess.Popen[bytes]

    def told(self, api_key: Object) -> None:
        """Hear of an ApiKey that was created; an operator does not listen, it has a watch."""

    def require_alive(self) -> None:
        """Raise EndedError where the process is gone."""
        code = self.process.poll()
        if code is not None:
            raise EndedError(f"{type(self).__name__} ended with {code}")

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Keywright(Contender):
    """`keywright operator`, as it is shipped."""

    def __init__(self, stage: Stage, _namespace: str = "") -> None:
        log = stage.directory / "keywright.log"
        log.unlink(missing_ok=True)
        self.operator = Operator(stage.kubeconfig_of(self.account), log, ("--log-level=info",))
        self.process = self.operator.process


class Textbook(Contender):
    """`kopf run textbook.py`."""

    account = TEXTBOOK

    def __init__(self, stage: Stage, _namespace: str) -> None:
        kopf = str(Path(sys.executable).with_name("kopf"))
        command = [kopf, "run", "--standalone", "--all-namespaces", str(_HERE / "textbook.py")]
        kubeconfig = str(stage.kubeconfig_of(self.account))
        self.process = _start(command, stage.directory / "textbook.log", KUBECONFIG=kubeconfig)


class Ceiling(Contender):
    """`benchmarks/ceiling.py`, with the rights of Keywright: what they cost the API server is part of it."""

    def __init__(self, stage: Stage, namespace: str) -> None:
        kubeconfig = str(stage.kubeconfig_of(self.account))
        command = [sys.executable, "-m", "benchmarks.ceiling", f"--kubeconfig={kubeconfig}"]
        command.append(f"--namespace={namespace}")
        self.process = _start(command, stage.directory / "ceiling.log")

    def told(self, api_key: Object) -> None:
        """Pass it on."""
        assert self.process.stdin is not None
        metadata = {name: api_key["metadata"][name] for name in ("name", "uid", "resourceVersion")}
        self.process.stdin.write(json.dumps(metadata).encode() + b"\n")
        self.process.stdin.flush()


def _start(command: list[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(  # noqa: S603  commands of this file
            command,
            cwd=_HERE.parent,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
        )
