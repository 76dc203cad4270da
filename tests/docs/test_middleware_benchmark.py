"""`python -m benchmarks.middleware` with few keys: good keys are let in, and the figures make sense."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from docs.markdown import ROOT


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.middleware", "--runs=3", *arguments]
    environment = {**os.environ, "PYTHONPATH": "tests"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_figures_for_programs_are_those_of_each_size() -> None:
    found: list[dict[str, Any]] = json.loads(run("--keys=50,500", "--json"))["sizes"]
    assert [50, 500] == [one["keys"] for one in found]
    for one in found:
        assert 0 < one["sha256_us"] < one["request_us"]
        for decision in one["decisions"].values():
            assert decision["per_second"] == pytest.approx(1e6 / decision["us"])
            assert decision["ratio_to_sha256"] == pytest.approx(decision["us"] / one["sha256_us"])


def test_for_people_there_is_a_line_for_each_set_of_checks() -> None:
    lines = run("--keys=50").splitlines()
    assert 7 == len(lines)
    assert "every check" in lines[1]
