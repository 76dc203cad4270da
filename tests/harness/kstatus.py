"""Asking a real kstatus what it makes of an object: what Flux, and whoever else waits by it, would see."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from harness.api import Object


class Verdict(NamedTuple):
    """`status` is Current, InProgress, Failed or Terminating."""

    status: str
    message: str


class Kstatus:
    """The program that asks it."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def judge(self, *objects: Object) -> list[Verdict]:
        """Return what kstatus says of each object as the API server has it."""
        asked = "".join(json.dumps(obj) for obj in objects)
        done = subprocess.run([self._program], input=asked, capture_output=True, text=True, check=True)
        return [Verdict(**json.loads(line)) for line in done.stdout.splitlines()]
