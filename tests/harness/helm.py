"""helm as a person runs it on the chart of this tree."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

from harness.kubectl import Done
from rbac import CHART

if TYPE_CHECKING:
    from pathlib import Path

    Objects = list[dict[str, Any]]

NAMESPACE = "keywright-system"

_SOURCE = re.compile(r"^# Source: keywright/templates/(\S+)$", re.MULTILINE)


class Helm:
    """Runs helm without the settings and plugins of the person who tests; to render it needs no cluster."""

    def __init__(
        self, program: Path, home: Path, kubeconfig: Path | None = None, chart: Path = CHART
    ) -> None:
        self._program = program
        self._chart = chart
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        if kubeconfig is not None:
            self._environment["KUBECONFIG"] = str(kubeconfig)

    def run(self, *arguments: str, values: dict[str, Any] | None = None) -> Done:
        """Run it in the system namespace, with values on the chart; stdout and stderr together."""
        given = [] if values is None else [str(self._chart), "--values", "-"]
        done = subprocess.run(
            [self._program, *arguments, *given, "--namespace", NAMESPACE],
            input=yaml.safe_dump(values),
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def __call__(self, *arguments: str, values: dict[str, Any] | None = None) -> str:
        """Run it, and insist that it succeeds."""
        done = self.run(*arguments, values=values)
        assert done.code == 0, f"helm {' '.join(arguments)}: {done.output}"
        return done.output

    def rendered(self, release: str = "keywright", **values: Any) -> dict[str, Objects]:
        """Return the objects of each template, by its path within templates/."""
        found: dict[str, Objects] = {}
        documents = self("template", release, values=values).split("\n---\n")
        for document in documents:
            obj = yaml.safe_load(document)
            if obj:
                source = _SOURCE.search(document)
                assert source is not None, document
                found.setdefault(source[1], []).append(obj)
        return found

    def objects(self, release: str = "keywright", **values: Any) -> Objects:
        """Return all objects that the chart makes."""
        return [obj for made in self.rendered(release, **values).values() for obj in made]
