"""What a model says about its schema beyond types and bounds: CEL rules, forms of strings, kinds of lists.

They stand in the models, beside the field that they judge, and are carried into `crds/` by
`keywright.api.schema`. A rule's message says what to write instead. Only the API server evaluates
CEL; a `Form` is one regular expression that both the API server and the models apply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule: the object is refused, with this message, where `cel` is false.

    `field_path` points the message at a field below the one that holds the rule;
    `message_expression` is CEL for a message that names the culprit, and `message` its fallback.
    """

    cel: str
    message: str
    field_path: str = ""
    message_expression: str = ""


Rules: TypeAlias = tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """What a string looks like: a regular expression, and the sentence for whoever wrote another one.

    The API server answers a schema `pattern` with the bare expression, so this becomes a CEL rule.
    RE2 and pydantic's engine read the same syntax but for the classes \\s, \\d, \\w and \\b, which mean
    Unicode to the latter: none of these may stand in it, or a parse would be stricter than the schema.
    """

    pattern: str
    message: str

    def __post_init__(self) -> None:
        if any(f"\\{letter}" in self.pattern for letter in "sSdDwWbB") or "'" in self.pattern:
            raise ValueError(f"a Form does without \\s, \\d, \\w, \\b and single quotes: {self.pattern}")

    @property
    def rule(self) -> Rule:
        """The same as a CEL rule."""
        return Rule(cel=matches("self", self.pattern), message=self.message)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        if schema["type"] != "str" or "pattern" in schema:
            raise TypeError("a Form is for a string, and the only one of it")
        return cast("CoreSchema", dict(schema) | {"pattern": self.pattern})


@dataclass(frozen=True, slots=True)
class ListSet:
    """A list of different scalars, whose writers may each own some of them."""


@dataclass(frozen=True, slots=True)
class ListMap:
    """A list of objects that these fields tell apart, whose writers may each own some of them."""

    keys: tuple[str, ...]

    def __init__(self, *keys: str) -> None:
        object.__setattr__(self, "keys", keys)


def matches(subject: str, pattern: str) -> str:
    """CEL: the subject has a match of the expression (anchor it for a whole match)."""
    return f"{subject}.matches(r'{pattern}')"
