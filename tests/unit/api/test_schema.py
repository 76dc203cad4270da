"""The generator writes what it knows, and refuses everything else by the name of the field."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, StrEnum
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import AfterValidator, ConfigDict, Field, field_serializer, field_validator

from keywright.api.meta import Duration, Model, ObjectMeta, Time, WrittenTime
from keywright.api.rules import Form, ListMap, ListSet, Rule
from keywright.api.schema import Place, UnknownConstruct, model_schema, resource_schema

Short = Annotated[str, Field(max_length=8)]


class Colour(StrEnum):
    """A colour."""

    RED = "Red"
    BLUE = "Blue"


class Shape(Model):
    """Everything that the generator knows, once."""

    map_type = "atomic"
    cel = (Rule(cel="has(self.count)", message="write a count", field_path=".count"),)

    name: Annotated[Short, Form("^a+$", "write a's"), Rule(cel="self != 'aa'", message="not two")]
    """Its
    name."""
    count: Annotated[int, Field(ge=1, le=9)] | None = None
    """How many."""
    round: bool = True
    """Whether it is round."""
    colour: Colour = Colour.RED
    """Its colour."""
    tags: Annotated[tuple[Short, ...], ListSet(), Field(min_length=1, max_length=3)] | None = None
    """Its tags."""
    labels: Annotated[dict[str, Short], Field(max_length=2)] = {}  # noqa: RUF012
    """Its labels."""
    made_at: Time | None = None
    """When it was made."""
    ends_at: WrittenTime | None = None
    """When it ends."""


class Drawing(Model):
    """Shapes in an order."""

    shape_id: Short = Field(default="x", alias="shapeID")
    """An id with a name of its own on the wire."""
    shapes: Annotated[tuple["Corner", ...], ListMap("x"), Field(max_length=4)] = ()
    """The corners."""


class Corner(Model):
    """An item of a list."""

    x: Short
    """Where."""


Drawing.model_rebuild()


def field(annotation: Any, default: Any = None) -> type[Model]:
    """A model with one field of this type, with a docstring below it."""

    class One(Model):
        """One."""

        it: annotation = default
        """It."""

    return One


def test_a_model_becomes_a_structural_schema() -> None:
    schema = model_schema(Shape, Place("shape"))
    assert {
        "type": "object",
        "required": ["name"],
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-validations": [
            {"rule": "has(self.count)", "message": "write a count", "fieldPath": ".count"}
        ],
    } == {name: value for name, value in schema.items() if name != "properties"}
    assert {
        "description": "Its name.",
        "type": "string",
        "maxLength": 8,
        "x-kubernetes-validations": [
            {"rule": "self.matches(r'^a+$')", "message": "write a's"},
            {"rule": "self != 'aa'", "message": "not two"},
        ],
    } == schema["properties"]["name"]
    assert {
        "description": "How many.",
        "type": "integer",
        "format": "int64",
        "minimum": 1,
        "maximum": 9,
    } == schema["properties"]["count"]
    assert {"description": "Whether it is round.", "default": True, "type": "boolean"} == schema[
        "properties"
    ]["round"]
    assert {
        "description": "Its colour.",
        "default": "Red",
        "type": "string",
        "enum": ["Red", "Blue"],
    } == schema["properties"]["colour"]
    assert {
        "description": "Its tags.",
        "type": "array",
        "items": {"type": "string", "maxLength": 8},
        "x-kubernetes-list-type": "set",
        "minItems": 1,
        "maxItems": 3,
    } == schema["properties"]["tags"]
    assert {
        "description": "Its labels.",
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 8},
        "maxProperties": 2,
    } == schema["properties"]["labels"]


def test_a_list_map_has_its_keys_and_an_alias_its_name() -> None:
    properties = model_schema(Drawing, Place("drawing"))["properties"]
    assert "x" == properties["shapeID"]["default"]
    assert ("map", ["x"]) == (
        properties["shapes"]["x-kubernetes-list-type"],
        properties["shapes"]["x-kubernetes-list-map-keys"],
    )


def test_a_time_has_no_format_where_cel_reads_it_as_text() -> None:
    properties = model_schema(Shape, Place("shape"))["properties"]
    assert "date-time" == properties["madeAt"]["format"]
    assert ("format" in properties["endsAt"], 35) == (False, properties["endsAt"]["maxLength"])


def test_nothing_is_judged_below_status() -> None:
    schema = model_schema(Shape, Place("status", judged=False))
    assert "x-kubernetes-validations" not in schema
    assert "x-kubernetes-validations" not in schema["properties"]["name"]
    assert "date-time" == schema["properties"]["endsAt"]["format"]


@pytest.mark.parametrize(
    ("annotation", "default", "words"),
    [
        (float | None, None, "float"),
        (bytes | None, None, "bytes"),
        (list[Short] | None, None, "list"),
        (set[Short] | None, None, "set"),
        (tuple[Short, Short] | None, None, "tuple"),
        (dict[int, Short] | None, None, "dict"),
        (Short | int | None, None, "int"),
        (Literal["a"] | None, None, "Literal"),
        (Any, None, "Any"),
        (Enum | None, None, "Enum"),
        (str | None, None, "has no maxLength"),
        (tuple[Short, ...] | None, None, "has no maxItems"),
        (dict[str, Short] | None, None, "has no maxProperties"),
        (Annotated[Short, Field(pattern="a")] | None, None, "pattern"),
        (Annotated[int, Field(gt=0)] | None, None, "Gt"),
        (Annotated[int, Field(multiple_of=2)] | None, None, "MultipleOf"),
        (Annotated[int, Field(le=2**63 - 1)] | None, None, "JSON"),
        (Annotated[int, Rule("true", "x"), "a remark"] | None, None, "a remark"),
        (Annotated[Short, AfterValidator(str.upper)] | None, None, "AfterValidator"),
        (Annotated[datetime, AfterValidator(lambda moment: moment)] | None, None, "AfterValidator"),
        (Annotated[Short, Field(alias="it", validation_alias="another")], "x", "different names"),
        (Annotated[Short, Field(deprecated=True)], "x", "deprecated"),
        (Annotated[Short, Field(description="x")], "x", "description"),
        (Annotated[Short, Field(exclude=True)], "x", "exclude"),
        (Annotated[Short, Field(json_schema_extra={})], "x", "json_schema_extra"),
        (int, 1.5, "the default 1.5"),
    ],
)
def test_an_unknown_construct_is_refused_by_its_place(annotation: Any, default: Any, words: str) -> None:
    with pytest.raises(UnknownConstruct, match=r"^spec\.it") as refusal:
        model_schema(field(annotation, default), Place("spec"))
    assert words in str(refusal.value)


def test_a_default_factory_is_refused() -> None:
    class Made(Model):
        """Made."""

        it: Short = Field(default_factory=str)
        """It."""

    with pytest.raises(UnknownConstruct, match=r"spec\.it: the field options \['default_factory'\]"):
        model_schema(Made, Place("spec"))


def test_a_field_without_a_docstring_is_refused() -> None:
    class Bare(Model):
        """Bare."""

        it: Short

    with pytest.raises(UnknownConstruct, match=r"spec\.it: write a docstring below the field"):
        model_schema(Bare, Place("spec"))


def test_a_default_within_a_list_item_is_refused() -> None:
    class Item(Model):
        """An item."""

        it: bool = False
        """It."""

    Items = Annotated[tuple[Item, ...], Field(max_length=1)]  # noqa: N806
    with pytest.raises(UnknownConstruct, match=r"spec\.it\[\]\.it: a default within a list item"):
        model_schema(field(Items | None), Place("spec"))


class Validated(Model):
    """A model that refuses more than its schema says."""

    it: Short
    """It."""

    @field_validator("it")
    @classmethod
    def check(cls, it: str) -> str:
        return it


class Serialized(Model):
    """A model that writes something else than it reads."""

    it: Short
    """It."""

    @field_serializer("it")
    def write(self, it: str) -> str:
        return it.upper()


class Strict(Model):
    """A model that does not tolerate unknown fields."""

    model_config = ConfigDict(extra="forbid")


class Initialized(Model):
    """A model that refuses after the fact."""

    def model_post_init(self, context: Any) -> None:
        """Refuse nothing, but who knows."""


@pytest.mark.parametrize("model", [Validated, Serialized, Strict, Initialized])
def test_a_model_with_a_behaviour_of_its_own_is_refused(model: type[Model]) -> None:
    with pytest.raises(UnknownConstruct, match=f"^spec: {model.__name__} has"):
        model_schema(model, Place("spec"))


def test_a_resource_has_metadata_spec_and_status_and_nothing_else() -> None:
    class Odd(Model):
        """Odd."""

        metadata: ObjectMeta
        spec: Shape
        data: Shape

    with pytest.raises(UnknownConstruct, match="Odd: a resource has metadata, spec and status"):
        resource_schema(Odd, longest_name=None)


@pytest.mark.parametrize("pattern", [r"^\s$", r"^\d+$", r"^\w+$", r"^'$"])
def test_a_form_that_would_mean_something_else_in_the_model_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="a Form does without"):
        Form(pattern, "write something else")


def test_a_form_is_for_one_string() -> None:
    with pytest.raises(TypeError, match="a Form is for a string"):
        field(Annotated[int, Form("^a$", "write a")], 1)
    with pytest.raises(TypeError, match="the only one"):
        field(Annotated[Duration, Form("^a$", "write a")], "a")


class Example(Model):
    """Models carry no field for what is of the class."""

    remark: ClassVar[str] = "not a field"


def test_what_is_of_the_class_is_no_field() -> None:
    assert {"type": "object", "properties": {}} == model_schema(Example, Place("spec"))
