"""The operator as its users run it: a process of its own, with a ServiceAccount's credentials."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.waiting import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYWRIGHT = Path(sys.executable).with_name("keywright")


class Operator:
    """One run of `keywright operator`, its log at DEBUG in a file."""

    def __init__(self, kubeconfig: Path, log: Path, arguments: Sequence[str] = ()) -> None:
        self.log = log
        self._command = [
            str(KEYWRIGHT),
            "operator",
            f"--kubeconfig={kubeconfig}",
            "--ops-port=0",
            "--no-leader-elect",
            "--log-format=json",
            "--log-level=debug",
            *arguments,
        ]
        self.start()

    def start(self) -> Operator:
        """Start it, again if it has ended; its log goes on."""
        with self.log.open("ab") as out:
            self._begun = out.tell()
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        return self

    def lines(self) -> list[dict[str, Any]]:
        """Return the log since the last start."""
        parsed = []
        for line in self.log.read_bytes()[self._begun :].decode(errors="replace").splitlines():
            try:
                parsed.append(json.loads(line))
            except json.JSONDecodeError:
                parsed.append({"event": line, "level": "unformatted"})
        return parsed

    def until_ready(self, seconds: float = PATIENCE) -> Operator:
        """Wait until /readyz says so."""
        until(self._status, lambda status: status == 200, seconds=seconds, what="the operator is ready")
        return self

    def get(self, path: str) -> str:
        """Read from the ops port."""
        port = next(line["port"] for line in reversed(self.lines()) if "port" in line)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def metric(self, sample: str) -> float:
        """Return one sample of /metrics, 0 if it is not there."""
        values = [
            line.rsplit(" ", 1) for line in self.get("/metrics").splitlines() if not line.startswith("#")
        ]
        return next((float(value) for name, value in values if name == sample), 0.0)

    def kill(self) -> None:
        """End it as an out-of-memory killer would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as Kubernetes does, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def _status(self) -> object:
        if self.process.poll() is not None:
            raise AssertionError(f"the operator ended with {self.process.returncode}: {self.lines()[-3:]}")
        try:
            self.get("/readyz")
        except (OSError, StopIteration) as error:
            return error
        return 200
