"""What a CRD demands of its examples: each rule, bound, enum, required field and kind of list in its schema.

A demand is met where one refused example breaks just that, by the least that is possible, and an
accepted one keeps just within it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.crd_examples.cases import Case, Manifest

_SIZES = {
    "maxLength": 1,
    "maxItems": 1,
    "maxProperties": 1,
    "maximum": 1,
    "minLength": -1,
    "minItems": -1,
    "minProperties": -1,
    "minimum": -1,
}
# What a schema says without refusing anything by it, or says of the fields below.
_SILENT = {
    "type",
    "format",
    "description",
    "default",
    "properties",
    "items",
    "additionalProperties",
    "x-kubernetes-map-type",
    "x-kubernetes-list-map-keys",
}
_ITEM, _VALUE = "[]", "{}"


@dataclass(frozen=True)
class Cause:
    """One reason for a refusal, as the API server answered it."""

    field: str
    message: str
    reason: str


@dataclass(frozen=True)
class Demand:
    """One keyword of the schema, and the path of the field that it judges."""

    path: tuple[str, ...]
    keyword: str
    value: Any
    field_path: str = ""
    of_updates: bool = False

    def __str__(self) -> str:
        return f"{'.'.join(self.path)} {self.keyword}: {self.value}"

    def broken_by(self, case: Case, causes: tuple[Cause, ...]) -> bool:
        """Say whether this manifest breaks it, by the least possible, and was refused for that."""
        blamed = [cause for cause in causes if self._names(cause.field)]
        if self.keyword == "rule":
            return any(cause.message.endswith(self.value) for cause in blamed)
        if self.keyword == "required":
            return any(cause.reason == "FieldValueRequired" for cause in blamed)
        if self.keyword == "x-kubernetes-list-type":
            return any(cause.reason == "FieldValueDuplicate" for cause in blamed)
        values = list(values_at(case.manifest, self.path))
        if self.keyword == "enum":
            return bool(blamed) and any(value not in self.value for value in values)
        beyond = self.value + _SIZES[self.keyword]
        return bool(blamed) and any(self._size(value) == beyond for value in values)

    def kept_by(self, accepted: list[Case]) -> bool:
        """Say whether some of these accepted cases go as far as it lets them."""
        path = (*self.path, *self.field_path.split(".")[1:])
        cases = [case for case in accepted if case.before is not None or not self.of_updates]
        values = [value for case in cases for value in values_at(case.manifest, path)]
        if self.keyword in {"rule", "required"}:
            return bool(values)
        if self.keyword == "x-kubernetes-list-type":
            return any(len(value) > 1 for value in values)
        if self.keyword == "enum":
            return set(self.value) <= set(values)
        return any(self._size(value) == self.value for value in values)

    def _size(self, value: Any) -> int:
        return value if self.keyword in {"maximum", "minimum"} else len(value)

    def _names(self, field: str) -> bool:
        steps = "".join(
            {_ITEM: r"\[[^\]]+\]", _VALUE: r"(\..+|\[.+\])"}.get(step, r"\." + re.escape(step))
            for step in self.path
        )
        items = r"\[[^\]]+\](\..+)?" if self.keyword == "x-kubernetes-list-type" else ""
        return bool(re.fullmatch(steps + re.escape(self.field_path) + items, f".{field}"))


def demands(schema: Manifest) -> Iterator[Demand]:
    """Yield what the schema of a whole resource demands, status aside, which is the operator's."""
    for name in ("metadata", "spec"):
        yield from _demands(schema["properties"][name], (name,))
    yield from _own({"x-kubernetes-validations": schema.get("x-kubernetes-validations", [])}, ())


def values_at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield every value that a manifest has at a path."""
    if not path:
        yield value
    elif path[0] == _ITEM:
        for item in value:
            yield from values_at(item, path[1:])
    elif path[0] == _VALUE:
        for item in value.values():
            yield from values_at(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:])


def _demands(schema: Manifest, path: tuple[str, ...]) -> Iterator[Demand]:
    yield from _own(schema, path)
    for name, field in schema.get("properties", {}).items():
        yield from _demands(field, (*path, name))
    if "items" in schema:
        yield from _demands(schema["items"], (*path, _ITEM))
    if "additionalProperties" in schema:
        yield from _demands(schema["additionalProperties"], (*path, _VALUE))


def _own(schema: Manifest, path: tuple[str, ...]) -> Iterator[Demand]:
    for keyword, value in schema.items():
        if keyword in _SILENT or (keyword == "x-kubernetes-list-type" and value == "atomic"):
            continue
        if keyword == "x-kubernetes-validations":
            for rule in value:
                of_updates = "oldSelf" in rule["rule"]
                yield Demand(path, "rule", rule["message"], rule.get("fieldPath", ""), of_updates)
        elif keyword == "required":
            for name in value:
                yield Demand((*path, name), "required", name)
        elif keyword in _SIZES or keyword in {"enum", "x-kubernetes-list-type"}:
            yield Demand(path, keyword, value if keyword != "enum" else tuple(value))
        else:
            raise ValueError(f"{'.'.join(path)}: no example can show {keyword}")
