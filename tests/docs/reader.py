"""Somebody who reads a document and types all that it says, into one shell, in order."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from docs.markdown import ROOT, Command, same_shape
from harness.debian import required

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARK = "--- ended with"
_SECONDS = 300
_OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # a make that knows of another one prints its directory


def statements(script: str) -> list[str]:
    """Split a script where bash could stop reading: lines that belong together stay so."""
    found, pending = [], ""
    for line in script.splitlines():
        pending += line + "\n"
        checked = subprocess.run(["/bin/bash", "-nc", pending], capture_output=True, text=True, check=False)
        whole = checked.returncode == 0 and not checked.stderr  # it warns of a here-document without an end
        if whole and not line.endswith("\\"):  # a line that goes on, where none follows, is whole for bash
            found.append(pending.rstrip("\n"))
            pending = ""
    assert not pending, f"bash cannot read this: {pending}"
    return [statement for statement in found if statement.partition("#")[0].strip()]


class Reader:
    """A shell in a copy of the tree, made of links, so that what the reader writes there goes with it."""

    def __init__(self, directory: Path, *, kubectl: Path, helm: Path) -> None:
        tree, programs, home = (directory / name for name in ("tree", "bin", "home"))
        for made in (tree, programs, home):
            made.mkdir()
        for path in ROOT.iterdir():
            (tree / path.name).symlink_to(path)
        (programs / "kubectl").symlink_to(kubectl)
        (programs / "helm").symlink_to(helm)
        (programs / "curl").symlink_to(required("curl"))
        environment = {
            key: value for key, value in os.environ.items() if key not in _OF_MAKE | {"KUBECONFIG"}
        }
        cache = environment.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        self.environment = environment | {
            "PATH": f"{programs}:{environment['PATH']}",
            "PYTHON": sys.executable,
            "HOME": str(home),
            "XDG_CACHE_HOME": cache,
            "XDG_STATE_HOME": str(home / "state"),
            "COLUMNS": "100",
        }
        self._shell = subprocess.Popen(
            ["/bin/bash", "--norc", "-o", "pipefail"],
            cwd=tree,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def type_all(self, commands: Iterable[Command]) -> None:
        """Type each command; each must succeed, and print what the document shows."""
        for command in commands:
            for statement in statements(command.line):
                code, printed = self.type(statement)
                assert code == 0, f"$ {statement}\n{printed}\nended with {code}"
            if command.shown is not None:
                expected = f"$ {command.line}\n{command.shown}"
                assert same_shape(command.shown, printed), f"shown:\n{expected}\nprinted:\n{printed}"

    def type(self, line: str) -> tuple[int, str]:
        """Type one statement; return its exit code and what it printed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        too_long = threading.Timer(_SECONDS, self.close)
        too_long.start()
        try:
            # Without standard input: what reads it would read the next command.
            self._shell.stdin.write(
                f"eval {shlex.quote(line)} < /dev/null; code=$?; echo; echo {_MARK} $code\n"
            )
            self._shell.stdin.flush()
            printed = ""
            for text in self._shell.stdout:
                if text.startswith(_MARK):
                    return int(text.removeprefix(_MARK)), printed
                printed += text
        finally:
            too_long.cancel()
        raise AssertionError(f"the shell ended, or it took more than {_SECONDS} s: {line}\n{printed}")

    def close(self) -> None:
        """End the shell and what it has started, the control plane excepted."""
        with contextlib.suppress(ProcessLookupError):  # the shell may have ended before what it started
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
