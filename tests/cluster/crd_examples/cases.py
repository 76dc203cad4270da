"""Reads the examples beside this file: what the API server is to accept and to refuse, as data.

Each file has a `minimal` manifest, its spec as the API server completes it (`defaulted`), a `status` with
every field, `cases` and `transitions`. A case is a merge patch of the minimal manifest (null takes a field
away); a transition is two of them, before and after an update. What is refused names each field with a
part of its message.

Long values have tags: `!pad [length, text]` repeats the text's last character, `!join [a, b]` joins,
`!many [count, item]` and `!entries [count, key, value]` count up `%d`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Manifest: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A manifest, the one that it replaces if any, and the refusals to expect: none where it is accepted."""

    name: str
    manifest: Manifest
    before: Manifest | None
    refusals: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Examples:
    """All examples of a kind."""

    kind: str
    minimal: Manifest
    defaulted: Manifest
    status: Manifest
    cases: tuple[Case, ...]


def load(kind: str) -> Examples:
    """Read the examples of a kind, such as "project"."""
    text = (Path(__file__).parent / f"{kind}.yaml").read_text(encoding="utf-8")
    written = yaml.load(text, _Loader)
    minimal = written["minimal"]
    cases = [_case(minimal, case, after=case["patch"]) for case in written["cases"]]
    cases += [
        _case(minimal, case, after=case["after"], before=case["before"]) for case in written["transitions"]
    ]
    return Examples(kind, minimal, written["defaulted"], written["status"], tuple(cases))


def merged(target: Any, patch: Any) -> Any:
    """Return the target with a merge patch (RFC 7386) applied; neither is changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _case(minimal: Manifest, written: Manifest, *, after: Any, before: Any = None) -> Case:
    if ("refused" in written) == (written.get("expect") == "accepted"):
        raise ValueError(f"{written['name']}: write either expect: accepted or refused: {{field: message}}")
    refusals = [
        (field, message)
        for field, messages in written.get("refused", {}).items()
        for message in (messages if isinstance(messages, list) else [messages])
    ]
    if not all(isinstance(message, str) for _, message in refusals):
        raise ValueError(f"{written['name']}: quote what has a comma, a colon or a brace")
    return Case(
        name=written["name"],
        manifest=merged(minimal, after),
        before=None if before is None else merged(minimal, before),
        refusals=tuple(refusals),
    )


class _Loader(yaml.SafeLoader):
    """YAML with the tags above, and without dates: a time stays the text that it is in a manifest."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _pad(loader: _Loader, node: yaml.SequenceNode) -> str:
    length, text = (str(part) for part in loader.construct_sequence(node, deep=True))
    return text.ljust(int(length), text[-1])


def _join(loader: _Loader, node: yaml.SequenceNode) -> str:
    return "".join(str(part) for part in loader.construct_sequence(node, deep=True))


def _many(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    count, item = loader.construct_sequence(node, deep=True)
    return [_numbered(item, number) for number in range(count)]


def _entries(loader: _Loader, node: yaml.SequenceNode) -> Manifest:
    count, key, value = loader.construct_sequence(node, deep=True)
    return {key.replace("%d", str(number)): _numbered(value, number) for number in range(count)}


def _numbered(item: Any, number: int) -> Any:
    if isinstance(item, str):
        return item.replace("%d", str(number))
    if isinstance(item, dict):
        return {name: _numbered(value, number) for name, value in item.items()}
    if isinstance(item, list):
        return [_numbered(value, number) for value in item]
    return item


_Loader.add_constructor("!pad", _pad)
_Loader.add_constructor("!join", _join)
_Loader.add_constructor("!many", _many)
_Loader.add_constructor("!entries", _entries)
