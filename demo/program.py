"""How are operator and verifier run? As processes, each with its ServiceAccount and its log in a file."""

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
_PORT = re.compile(r"\bport=(\d+)(?: what=(\w+))?")
_READY_SECONDS = 30


class Program:
    """A running `keywright operator` or `keywright verifier`."""

    def __init__(self, name: str, directory: Path, kubeconfig: Path, *arguments: str) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self.log.unlink(missing_ok=True)
        given = [name, "--kubeconfig", str(kubeconfig), "--ops-port", "0", *arguments]
        self.command = " ".join(["keywright", *given])
        self.process: Process = processes.start(name, [_KEYWRIGHT, *given], directory=directory)
        self._read = 0

    def wait_until_ready(self) -> None:
        """Wait for /readyz."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self._ready():
            if not self.process.alive or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text().splitlines()[-5:])
                raise DemoError(
                    f"the {self.name} does not become ready:\n{tail}", f"Its whole log: {self.log}"
                )
            time.sleep(0.05)

    def port(self, what: str = "ops") -> int | None:
        """Return the port that its log names; nothing before it listens."""
        found = {named or "ops": int(port) for port, named in _PORT.findall(self.log.read_text())}
        return found.get(what)

    def news(self) -> list[str]:
        """Return what it has logged since the last call, shortened."""
        length = -1
        while length != (length := self.log.stat().st_size):
            time.sleep(0.2)
        text = self.log.read_bytes()[self._read :]
        self._read += len(text)
        return [short for line in text.decode().splitlines() if (short := _shortened(line))]

    def _ready(self) -> bool:
        port = self.port()
        if port is None:
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
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
