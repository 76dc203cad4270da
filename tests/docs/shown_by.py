"""The column of a document that says which tests show something."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

from docs.markdown import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_ROW = re.compile(r"^\| (?!---)(.+?) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows(document: Path) -> list[tuple[str, str]]:
    """Return what is claimed and what shows it, of every table but for its heading."""
    return [(claim, shown) for claim, shown in _ROW.findall(document.read_text()) if shown != "shown by"]


def missing(shown_by: str) -> list[str]:
    """Return the tests that are named and do not exist, and a word if none is named at all."""
    named = _TEST.findall(shown_by)
    wrong = [f"{path}::{name}" for path, name in named if name and name not in _functions(path)]
    return wrong if named else ["no test"]


@cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))
