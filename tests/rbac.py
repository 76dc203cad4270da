"""The chart's RBAC as objects, without helm: for unit tests and the demo, which do not wait for its build.

Renders charts/keywright/templates/rbac and knows just the constructs that those files use; anything else
in them is an error here, so that a test can never pass on text that helm would read differently. tests/chart
compares what it returns with what helm renders.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent.parent / "charts" / "keywright"

_PATH = r"(?:\$|\$?\.[\w.]*)"
_CONTROL = re.compile(rf"\{{\{{- (?:(if not|if|range) ({_PATH})|(end)) \}}\}}")
_VALUE = re.compile(
    rf"""\{{\{{[ ](?:
      include[ ]"(?P<name>[\w.]+)"[ ](?P<given>{_PATH})
    | (?P<path>{_PATH}) (?:
        (?P<json>[ ]\|[ ]toJson)
      | [ ]\|[ ]default[ ](?P<default>{_PATH})
      | [ ]\|[ ]default[ ]\(printf[ ]"(?P<format>[^"]*)"[ ](?P<argument>{_PATH})\)
      )?
    )[ ]\}}\}}""",
    re.VERBOSE,
)
_DEFINITION = re.compile(r'\{\{- define "([\w.]+)" -\}\}\n(.*?)\n\{\{- end \}\}(?=\n\n|\n*\Z)', re.DOTALL)

Definitions = dict[str, str]


class UnknownConstructError(Exception):
    """A template uses something that this renderer does not know."""


def rbac(
    *,
    release: str = "keywright",
    namespace: str = "keywright-system",
    values: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the objects that the chart makes; `values` are laid over values.yaml."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    scope = {
        "Chart": {"AppVersion": chart["appVersion"]},
        "Release": {"Name": release, "Namespace": namespace},
        "Values": _laid_over(yaml.safe_load((CHART / "values.yaml").read_text()), values or {}),
    }
    definitions = dict(_DEFINITION.findall((CHART / "templates" / "_helpers.tpl").read_text()))
    objects: list[dict[str, Any]] = []
    for template in sorted((CHART / "templates" / "rbac").glob("*.yaml")):
        text = render(template.read_text(), scope, definitions)
        objects += [one for one in yaml.safe_load_all(text) if one]
    return objects


def render(template: str, scope: dict[str, Any], definitions: Definitions | None = None) -> str:
    """Return a template's text for a scope with Chart, Release and Values."""
    return _Template(scope, definitions or {}).text(template, scope)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        name: _laid_over(below[name], value) if isinstance(value, dict) and name in below else value
        for name, value in above.items()
    }
    return below | both


class _Template:
    def __init__(self, root: Any, definitions: Definitions) -> None:
        self._root = root
        self._definitions = definitions

    def text(self, template: str, dot: Any) -> str:
        lines = template.splitlines()
        for line in lines:
            if "{{" in _VALUE.sub("", _CONTROL.sub("", line)):
                raise UnknownConstructError(line.strip())
        return self._block(lines, dot)

    def _block(self, lines: list[str], dot: Any) -> str:
        text = ""
        at = 0
        while at < len(lines):
            control = _CONTROL.fullmatch(lines[at].strip())
            if control is None:
                text += _VALUE.sub(lambda match: self._value(match, dot), lines[at]) + "\n"
                at += 1
                continue
            word, path, _ = control.groups()
            end = _end_of(lines, at)
            value = self._look_up(path, dot)
            rounds = value if word == "range" else [dot] if bool(value) == (word == "if") else []
            text += "".join(self._block(lines[at + 1 : end], each) for each in rounds)
            at = end + 1
        return text

    def _value(self, match: re.Match[str], dot: Any) -> str:
        if match["name"]:
            if match["name"] not in self._definitions:
                raise UnknownConstructError(match[0])
            return self.text(self._definitions[match["name"]], self._look_up(match["given"], dot)).rstrip(
                "\n"
            )
        found = self._look_up(match["path"], dot)
        if match["json"]:
            return json.dumps(found)
        if not found and match["format"]:
            found = match["format"] % self._look_up(match["argument"], dot)
        elif not found and match["default"]:
            found = self._look_up(match["default"], dot)
        if not isinstance(found, str):
            raise UnknownConstructError(f"not a text: {match[0]}")
        return found

    def _look_up(self, path: str, dot: Any) -> Any:
        value = self._root if path.startswith("$") else dot
        for name in path.removeprefix("$").split("."):
            if name:
                # Within a range the dot is a text: going on from it is an error for helm, too.
                value = value[name]
        return value


def _end_of(lines: list[str], begin: int) -> int:
    """Return the line of the end that belongs to the block which begins in a line."""
    depth = 0
    for at, line in enumerate(lines[begin:], begin):
        control = _CONTROL.fullmatch(line.strip())
        depth += 0 if control is None else -1 if control[3] else 1
        if depth == 0:
            return at
    raise UnknownConstructError("a block without an end")
