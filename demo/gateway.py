"""How do requests reach an application? Through a real Envoy, which asks the verifier about each.

Envoy runs examples/gateways/envoy, changed only as that file says: the Project, and the addresses.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane import processes
from demo.failure import DemoError
from demo.shell import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from controlplane.processes import Process

EXAMPLE = "examples/gateways/envoy/envoy.yaml"
_APP = REPOSITORY / "demo" / "app.py"
_SECONDS = 30


class Gateway:
    """A running Envoy, and the application behind it."""

    def __init__(self, directory: Path, verifier: int, project: str) -> None:
        self._directory = directory
        self._verifier = verifier
        self._project = project
        self._listens = 0

    @property
    def url(self) -> str:
        """Where clients ask."""
        return f"http://127.0.0.1:{self._listens}"

    @property
    def port(self) -> int:
        """The port of that."""
        return self._listens

    def start_app(self) -> Process:
        """Start the application."""
        return self._start("app", sys.executable, _APP)

    def start_envoy(self) -> tuple[Process, str]:
        """Start Envoy in front of the application, which runs; return it, and its command."""
        config = self._directory / "envoy.yaml"
        app = self._until(self._port_of_app, "the application")
        self._listens = _free_port()
        config.write_text(self._configured(app))
        command = [str(_program()), "-c", str(config), "--concurrency", "1", "--disable-hot-restart"]
        return self._start("envoy", *command, "--log-level", "warning"), f"envoy -c {config}"

    def wait_until_open(self) -> None:
        """Wait until Envoy takes requests."""
        self._until(self._is_open, "Envoy")

    def _start(self, name: str, *command: str | Path) -> Process:
        (self._directory / f"{name}.log").unlink(missing_ok=True)
        return processes.start(name, command, directory=self._directory)

    def _configured(self, app: int) -> str:
        text = (REPOSITORY / EXAMPLE).read_text()
        for shipped, here in (
            ("/authz/envoy/platform/payments", f"/authz/envoy/{self._project}"),
            ("address: 0.0.0.0, port_value: 8080", f"address: 127.0.0.1, port_value: {self._listens}"),
            (
                "address: keywright-verifier.keywright-system.svc, port_value: 8080",
                f"address: 127.0.0.1, port_value: {self._verifier}",
            ),
            ("address: app.default.svc, port_value: 8080", f"address: 127.0.0.1, port_value: {app}"),
        ):
            if text.count(shipped) != 1:
                raise DemoError(f"{EXAMPLE} does not say once: {shipped}", f"Mend {Path(__file__).name}.")
            text = text.replace(shipped, here)
        return text

    def _port_of_app(self) -> int:
        found = re.search(r"port=(\d+)", (self._directory / "app.log").read_text())
        return int(found[1]) if found else 0

    def _is_open(self) -> int:
        with socket.socket() as probe:
            return int(probe.connect_ex(("127.0.0.1", self._listens)) == 0)

    def _until(self, look: Callable[[], int], who: str) -> int:
        deadline = time.monotonic() + _SECONDS
        while not (found := look()):
            if time.monotonic() > deadline:
                raise DemoError(f"{who} does not listen", f"The logs are in {self._directory}.")
            time.sleep(0.02)
        return found


def _program() -> Path:
    package = find_spec("envoy")
    if package is None or package.origin is None:
        raise DemoError("there is no Envoy in .venv", "make setup installs it.")
    return Path(package.origin).parent / "_bin" / "envoy"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
