"""kubectl as a person runs it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Done(NamedTuple):
    """A command that has ended, with all that the terminal showed."""

    code: int
    output: str


class Kubectl:
    """Runs kubectl with a kubeconfig, and with nothing of the developer's own configuration."""

    def __init__(self, program: str, kubeconfig: Path, cache: Path) -> None:
        self._program = program
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(cache),
            "KUBECONFIG": str(kubeconfig),
            "KUBECACHEDIR": str(cache),
            "TZ": "UTC",
        }

    def run(self, *arguments: str, stdin: str | None = None) -> Done:
        """Run it; stdout and stderr together, as they appear."""
        done = subprocess.run(
            [self._program, *arguments],
            env=self._environment,
            input=stdin or "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it, and insist that it succeeds."""
        done = self.run(*arguments, stdin=stdin)
        assert done.code == 0, f"kubectl {' '.join(arguments)}: {done.output}"
        return done.output
