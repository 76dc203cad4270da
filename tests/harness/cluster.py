"""The clusters that tests bring up, and the command that does it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# One cluster a checkout, so that two checkouts may test at once.
NAME = "tests-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]


def controlplane(*arguments: str) -> str:
    """Run the local control plane's command, its progress shown; return the last line that it prints."""
    command = [sys.executable, "-m", "controlplane", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return (done.stdout.splitlines() or [""])[-1]
