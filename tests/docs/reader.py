"""Somebody who reads a document and types all that it says, into one shell, in order."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from docs.markdown import ROOT, Command, same_shape

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARK = "--- ended with"
_SECONDS = 120

_HELM = """#!{python}
# Stands in for `helm template`, by the renderer that tests/unit/test_rbac.py compares with helm itself.
import json, sys
sys.path.insert(0, {tests!r})
import rbac
command, release, chart, flag, namespace = sys.argv[1:]
assert (command, chart, flag) == ("template", "charts/keywright", "--namespace"), sys.argv
objects = rbac.rbac(release=release, namespace=namespace)
print(json.dumps({{"apiVersion": "v1", "kind": "List", "items": objects}}))
"""


class Reader:
    """A shell in a copy of the tree, made of links, so that what the reader writes there goes with it."""

    def __init__(self, directory: Path, kubectl: Path) -> None:
        tree, programs, stand_ins, home = (directory / name for name in ("tree", "bin", "else", "home"))
        for made in (tree, programs, stand_ins, home):
            made.mkdir()
        for path in ROOT.iterdir():
            (tree / path.name).symlink_to(path)
        (programs / "kubectl").symlink_to(kubectl)
        helm = stand_ins / "helm"
        helm.write_text(_HELM.format(python=sys.executable, tests=str(ROOT / "tests")))
        helm.chmod(0o755)
        environment = {
            key: value for key, value in os.environ.items() if key not in {"KUBECONFIG", "MAKEFLAGS"}
        }
        cache = environment.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        self._shell = subprocess.Popen(
            ["/bin/bash", "--norc"],
            cwd=tree,
            env=environment
            | {
                # A helm of the machine's own comes before the stand-in, if there is one.
                "PATH": f"{programs}:{environment['PATH']}:{stand_ins}",
                "PYTHON": sys.executable,
                "HOME": str(home),
                "XDG_CACHE_HOME": cache,
                "XDG_STATE_HOME": str(home / "state"),
                "COLUMNS": "100",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.typed: list[str] = []

    def type_all(self, commands: Iterable[Command]) -> None:
        """Type each command; each must succeed, and print what the document shows."""
        for command in commands:
            code, printed = self.type(command.line)
            assert code == 0, f"$ {command.line}\n{printed}\nended with {code}"
            if command.shown is not None:
                expected = f"$ {command.line}\n{command.shown}"
                assert same_shape(command.shown, printed), f"shown:\n{expected}\nprinted:\n{printed}"

    def type(self, line: str) -> tuple[int, str]:
        """Type something, which may be several lines; return its exit code and what it printed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self.typed.append(line)
        too_long = threading.Timer(_SECONDS, self.close)
        too_long.start()
        try:
            # Without standard input: what reads it would read the next command.
            script = (
                f"set -o pipefail; {line}" if "\n" not in line else f"set -e -o pipefail\n{line}\nset +e\n"
            )
            self._shell.stdin.write(f"eval {shlex.quote(script)} < /dev/null; echo; echo {_MARK} $?\n")
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
        """End the shell and what it started."""
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
