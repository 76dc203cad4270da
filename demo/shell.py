"""How are commands run? As they are shown: the line on the screen is the line that bash gets."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane import debian
from demo.failure import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.terminal import Terminal

REPOSITORY = Path(__file__).parent.parent
_SECONDS = 60
_SECONDS_TO_SETTLE = 10


class Shell:
    """Runs commands in the repository, with kubectl and curl on PATH and the demo's cluster as its cluster.

    Where there is no curl, Debian's is unpacked. Raises ControlPlaneError where that cannot be had either.
    """

    def __init__(self, terminal: Terminal, kubectl: Path, kubeconfig: Path) -> None:
        self._terminal = terminal
        path = (str(kubectl.parent), os.environ.get("PATH", os.defpath), str(debian.binary("curl").parent))
        self._environment = {**os.environ, "PATH": os.pathsep.join(path), "KUBECONFIG": str(kubeconfig)}

    def show(self, line: str, trim: Callable[[str], str] = str, *, fails: bool = False) -> str:
        """Print a command, run it, print what it prints and return that; with `fails` it is expected to."""
        self._terminal.command(line)
        code, printed = self._run(line)
        self._terminal.output(trim(printed))
        if bool(code) != fails:
            raise DemoError(
                f"`{line}` ended with {code}", "The lines above say why; make demo starts afresh."
            )
        return printed

    def keep(self, name: str, line: str) -> str:
        """Print how a variable is set for the commands that follow, and set it to what a command prints."""
        self._terminal.command(f'{name}="$({line})"')
        self._environment[name] = self.read(line).rstrip("\n")
        return self._environment[name]

    def set(self, name: str, value: str) -> None:
        """Print and set a variable; `value` may name others as bash does."""
        self._terminal.command(f"{name}={value}")
        self._environment[name] = self.read(f'printf %s "{value}"')

    def show_once(self, line: str, printed: str) -> None:
        """Print a command with its output as soon as that is what it should be."""
        deadline = time.monotonic() + _SECONDS_TO_SETTLE
        while self.read(line) != printed:
            if time.monotonic() > deadline:
                raise DemoError(f"`{line}` does not print {printed!r}", "make demo starts afresh.")
        self._terminal.command(line)
        self._terminal.output(printed)

    def read(self, line: str) -> str:
        """Run a command quietly and return what it prints."""
        code, printed = self._run(line)
        if code:
            problem = f"`{line}` ended with {code}: {printed.strip()}"
            raise DemoError(problem, "make demo starts afresh.")
        return printed

    def succeeds(self, line: str) -> bool:
        """Whether a command succeeds."""
        return self._run(line)[0] == 0

    def _run(self, line: str) -> tuple[int, str]:
        try:
            done = subprocess.run(  # noqa: S603  lines of this package, none from outside
                ["/bin/bash", "-o", "pipefail", "-c", line],
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DemoError(f"`{line}` took more than {_SECONDS} s", "make demo starts afresh.") from None
        return done.returncode, done.stdout
