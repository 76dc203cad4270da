"""How is the operator run? As a process of its own, as the chart's ServiceAccount, its log in a file."""

from __future__ import annotations

import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane import processes
from demo.failure import DemoError

if TYPE_CHECKING:
    from controlplane.processes import Process

_KEYWRIGHT = Path(sys.executable).with_name("keywright")
_LINE = re.compile(r"\S+ \[\w+ *\] (.*) \[keywright\.(\w+)\](.*)")
_READY_SECONDS = 30
_GRACE_SECONDS = 10


class Operator:
    """A running operator."""

    def __init__(self, directory: Path, kubeconfig: Path) -> None:
        self.log = directory / "operator.log"
        self.log.unlink(missing_ok=True)
        arguments = ["operator", "--kubeconfig", str(kubeconfig), "--ops-port", "0", "--no-leader-elect"]
        self.command = " ".join(["keywright", *arguments])
        self.process: Process = processes.start("operator", [_KEYWRIGHT, *arguments], directory=directory)
        self._read = 0

    def wait_until_ready(self) -> None:
        """Wait for /readyz."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self._ready():
            if not self.process.alive or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text().splitlines()[-5:])
                raise DemoError(f"the operator does not become ready:\n{tail}", f"Its whole log: {self.log}")
            time.sleep(0.05)

    def news(self) -> list[str]:
        """Return what it has logged since the last call, without kopf's lines."""
        length = -1
        while length != (length := self.log.stat().st_size):
            time.sleep(0.2)
        text = self.log.read_bytes()[self._read :]
        self._read += len(text)
        return [short for line in text.decode().splitlines() if (short := _shortened(line))]

    def stop(self) -> None:
        """End it by SIGTERM."""
        processes.stop([self.process], grace_seconds=_GRACE_SECONDS)

    def _ready(self) -> bool:
        port = re.search(r"port=(\d+)", self.log.read_text())
        if port is None:
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/readyz", timeout=5):
                return True
        except (urllib.error.URLError, TimeoutError):
            return False


def _shortened(line: str) -> str:
    """Shorten a log line to what happened; what an ApiKey's line says in fields stands in the message."""
    found = _LINE.fullmatch(line)
    if found is None:
        return ""
    message, logger, fields = found.groups()
    return message if logger == "apikey" else message + fields
