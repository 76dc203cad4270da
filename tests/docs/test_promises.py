"""Every promise of SECURITY.md names tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from docs.markdown import ROOT

ROW = re.compile(r"^\| (?!promise|---)(.+?) \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")

PROMISES = ROW.findall((ROOT / "SECURITY.md").read_text())


def test_there_are_promises() -> None:
    assert len(PROMISES) >= 10


@pytest.mark.parametrize(("promise", "shown_by"), PROMISES, ids=[promise for promise, _ in PROMISES])
def test_a_promise_names_tests_that_exist(promise: str, shown_by: str) -> None:
    named = TEST.findall(shown_by)
    assert named, promise
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        functions = {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert not name or name in functions, f"{path}::{name}"
