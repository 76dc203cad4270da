"""What helm makes of the chart: nothing to complain of, and the objects that tests/rbac.py returns."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from rbac import CHART, rbac

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Values = dict[str, Any]
    Run = Callable[..., str]

NAMESPACE = "keywright-system"

CHOICES: dict[str, Values] = {
    "cluster-wide": {},
    "cluster-wide, no watch of Secrets": {"secrets": {"watch": False}},
    "cluster-wide, restarting": {"rolloutRestart": True},
    "cluster-wide, records elsewhere": {"systemNamespace": "elsewhere"},
    "namespaced": {"namespaces": ["a", "b"]},
    "namespaced, no watch of Secrets": {"namespaces": ["a"], "secrets": {"watch": False}},
    "namespaced, restarting": {"namespaces": ["a", "b"], "rolloutRestart": True},
    "namespaced, records elsewhere": {"namespaces": ["a"], "systemNamespace": "elsewhere"},
}

each_choice = pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)


@pytest.fixture
def run(helm: Path, tmp_path: Path) -> Run:
    """Run helm on the chart, without the settings and plugins of the person who tests."""

    def run(*arguments: str, values: Values) -> str:
        done = subprocess.run(
            [helm, *arguments, str(CHART), "--namespace", NAMESPACE, "--values", "-"],
            input=yaml.safe_dump(values),
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    named = {(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")): one for one in objects}
    assert len(named) == len(objects)
    return named


@each_choice
def test_helm_finds_no_fault(run: Run, values: Values) -> None:
    assert "0 chart(s) failed" in run("lint", "--strict", values=values)


@each_choice
def test_helm_renders_what_tests_and_demo_render_without_it(run: Run, values: Values) -> None:
    rendered = [one for one in yaml.safe_load_all(run("template", "keywright", values=values)) if one]
    assert by_name(rbac(values=values)) == by_name(rendered)


def test_every_object_bears_the_name_of_its_release(run: Run) -> None:
    rendered = yaml.safe_load_all(run("template", "another", values={"namespaces": ["a"]}))
    assert {True} == {one["metadata"]["name"].startswith("another-") for one in rendered if one}
