"""The chart's RBAC as objects, without helm: for unit tests and the demo, which do not wait for its build.

Renders the files of charts/keywright/templates themselves and knows just the constructs that they
use; anything else in a template is an error here, so that a test can never pass on text that helm
would read differently. tests/chart compares what it returns with what helm renders.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent.parent / "charts" / "keywright"

_CONTROL = re.compile(r"\{\{- (?:(if not|if|range) (\$?\.[\w.]+)|(end)) \}\}")
_VALUE = re.compile(r"\{\{ (\$?\.[\w.]*)(?: \| default (\$?\.[\w.]+))? \}\}")


class UnknownConstructError(Exception):
    """A template uses something that this renderer does not know."""


def rbac(
    *,
    release: str = "keywright",
    namespace: str = "keywright-system",
    values: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the objects that the chart makes; `values` replace top-level ones of values.yaml."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    scope = {"Release": {"Name": release, "Namespace": namespace}, "Values": {**defaults, **(values or {})}}
    objects: list[dict[str, Any]] = []
    for template in sorted((CHART / "templates").glob("*")):
        objects += [one for one in yaml.safe_load_all(render(template.read_text(), scope)) if one]
    return objects


def render(template: str, scope: dict[str, Any]) -> str:
    """Return a template's text for a scope with Release and Values."""
    lines = template.splitlines()
    for line in lines:
        if "{{" in _VALUE.sub("", _CONTROL.sub("", line)):
            raise UnknownConstructError(line.strip())
    return _block(lines, scope, scope)


def _block(lines: list[str], root: Any, dot: Any) -> str:
    text = ""
    at = 0
    while at < len(lines):
        control = _CONTROL.fullmatch(lines[at].strip())
        if control is None:
            text += _substitute(lines[at], root, dot) + "\n"
            at += 1
            continue
        word, path, _ = control.groups()
        end = _end_of(lines, at)
        value = _look_up(path, root, dot)
        rounds = value if word == "range" else [dot] if bool(value) == (word == "if") else []
        text += "".join(_block(lines[at + 1 : end], root, each) for each in rounds)
        at = end + 1
    return text


def _end_of(lines: list[str], begin: int) -> int:
    """Return the line of the end that belongs to the block which begins in a line."""
    depth = 0
    for at, line in enumerate(lines[begin:], begin):
        control = _CONTROL.fullmatch(line.strip())
        depth += 0 if control is None else -1 if control[3] else 1
        if depth == 0:
            return at
    raise UnknownConstructError("a block without an end")


def _substitute(line: str, root: Any, dot: Any) -> str:
    def value(match: re.Match[str]) -> str:
        path, default = match.groups()
        found = _look_up(path, root, dot) or (_look_up(default, root, dot) if default else "")
        if not isinstance(found, str):
            raise UnknownConstructError(f"not a text: {match[0]}")
        return found

    return _VALUE.sub(value, line)


def _look_up(path: str, root: Any, dot: Any) -> Any:
    value = root if path.startswith("$") else dot
    for name in path.removeprefix("$").split("."):
        if name:
            # Within a range the dot is a text: going on from it is an error for helm, too.
            value = value[name]
    return value
