"""`make bench` with few keys: with every contender they become Ready, and the comparison is a fair one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from docs.markdown import ROOT
from harness.writes import WRITING

KEYS = 20
CONTENDERS = ("ceiling", "keywright", "textbook", "keywright-admission")

pytestmark = pytest.mark.skipif(
    "KEYWRIGHT_TEST_KUBECONFIG" in os.environ, reason="counts by the audit log of a cluster of its own"
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this run keeps what it starts: not where a person's own one does."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def found(kubectl: str, state: Path) -> dict[str, Any]:
    """What one run prints; `kubectl` is asked for because it is built together with the control plane."""
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    places = {"PYTHONPATH": "tests", "XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": cache}
    command = [sys.executable, "-m", "benchmarks.mint", f"--keys={KEYS}", "--runs=1", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **places}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def runs(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: one["runs"][0] for name, one in found["contenders"].items()}


def writes(run: dict[str, Any]) -> dict[str, float]:
    """Return the writes for each ApiKey: how often a Project counts its keys is a matter of time."""
    counted = {what: count for what, count in run["requests_per_key"].items() if what.split()[0] in WRITING}
    counted.pop("update projects/status", None)
    return counted


def test_with_every_contender_all_become_ready(found: dict[str, Any]) -> None:
    assert dict.fromkeys(CONTENDERS, KEYS) == {name: run["ready"] for name, run in runs(found).items()}


def test_the_figures_are_there_and_make_sense(found: dict[str, Any]) -> None:
    for run in runs(found).values():
        assert 0 < run["latency_p50"] <= run["latency_p95"] <= run["latency_p99"] <= run["seconds"]
        assert run["rate"] == pytest.approx(KEYS / run["seconds"])
        assert 0 < run["rss_mb"] <= run["peak_rss_mb"]
        assert run["cpu_ms_per_key"] > 0
        assert run["apiserver_cpu_seconds"] > 0
    medians = {name: one["median"] for name, one in found["contenders"].items()}
    expected = medians["keywright"]["rate"] / medians["ceiling"]["rate"]
    assert found["ratios"]["rate keywright/ceiling"] == pytest.approx(expected)
    assert all(ratio > 0 for ratio in found["ratios"].values())


def test_the_ceiling_sends_the_writes_that_keywright_sends(found: dict[str, Any]) -> None:
    run = runs(found)
    assert writes(run["ceiling"]) == writes(run["keywright"])
    assert run["ceiling"]["writes_per_key"] == 5


def test_admission_saves_the_write_of_the_finalizer(found: dict[str, Any]) -> None:
    run = runs(found)
    without = {what: count for what, count in writes(run["keywright"]).items() if what != "patch apikeys"}
    assert without == writes(run["keywright-admission"])


def test_it_leaves_no_cluster_behind(found: dict[str, Any], state: Path) -> None:
    assert [] == [path for path in (state / "keywright" / "clusters").iterdir() if path.is_dir()]
