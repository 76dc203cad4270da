"""Models → OpenAPI v3 structural schemas, as a CustomResourceDefinition holds them.

Written here rather than taken from pydantic's JSON schema because it has to refuse: whatever this
module does not know, in a type, a bound, a default or a model, raises `UnknownConstruct` and is never
left out silently, for the API server would then accept what the operator cannot read. It also insists
on what a CRD needs beyond that: a bound on every list, map and string, a description of every field,
and no default within a list item (Argo CD would show a difference for ever).

Rules and forms are left out below `status`, which the operator alone writes, often, and at a cost.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BeforeValidator, PlainSerializer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from keywright.api.docstrings import field_docstrings, sentence
from keywright.api.meta import API_VERSION, Model, format_time, parse_time
from keywright.api.rules import Form, ListMap, ListSet, Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

Schema: TypeAlias = dict[str, Any]

# JSON numbers are exact up to here; the API server installs a larger maximum and then refuses every write.
_LARGEST_NUMBER = 2**53 - 1
_LONGEST_TIME = 35  # 2999-12-31T23:59:59.999999999+23:59
_VALIDATIONS = "x-kubernetes-validations"
# Options of a pydantic field that would change what is read or written, without a trace in the schema.
_FOREIGN_OPTIONS = (
    "default_factory",
    "deprecated",
    "description",
    "discriminator",
    "exclude",
    "json_schema_extra",
    "validate_default",
)
_FOREIGN_METHODS = ("__init__", "model_post_init", "__get_pydantic_core_schema__")


class UnknownConstruct(TypeError):  # noqa: N818  a name for what was met, not for what went wrong
    """A construct that the generator does not know, or that a CRD must not hold."""


@dataclass(frozen=True)
class Place:
    """Where in a resource a schema stands."""

    path: str
    judged: bool = True
    in_item: bool = False

    def at(self, field: str) -> Place:
        """Return the place of a field."""
        return replace(self, path=f"{self.path}.{field}")

    def item(self) -> Place:
        """Return the place of the items of a list."""
        return replace(self, path=f"{self.path}[]", in_item=True)

    def refuse(self, what: str) -> UnknownConstruct:
        """Return the error that names this place."""
        return UnknownConstruct(f"{self.path}: {what}")


def resource_schema(model: type[Model], *, longest_name: int | None) -> Schema:
    """Return the schema of a whole resource; only the length of its name bounds its metadata."""
    place = Place(model.__name__)
    _refuse_behaviour(model, place)
    if list(model.model_fields) != ["metadata", "spec", "status"]:
        raise place.refuse(f"a resource has metadata, spec and status, not {list(model.model_fields)}")
    properties: Schema = {
        "apiVersion": {"type": "string", "description": f"Always {API_VERSION}."},
        "kind": {"type": "string", "description": f"Always {model.__name__}."},
        "metadata": {"type": "object"},
    }
    if longest_name:
        properties["metadata"]["properties"] = {"name": {"type": "string", "maxLength": longest_name}}
    for name, judged in (("spec", True), ("status", False)):
        field = model.model_fields[name]
        docstring = sentence(getattr(field.annotation, "__doc__", None) or "")
        properties[name] = _field_schema(field, docstring, replace(place.at(name), judged=judged))
    schema: Schema = {
        "type": "object",
        "description": sentence(model.__doc__ or ""),
        "properties": properties,
    }
    if model.model_fields["spec"].is_required():
        schema["required"] = ["spec"]
    return schema | _validations(model.cel, place)


def model_schema(model: type[Model], place: Place) -> Schema:
    """Return the schema of an object, without a description of its own."""
    _refuse_behaviour(model, place)
    docstrings = field_docstrings(model)
    schema: Schema = {"type": "object", "properties": {}}
    for name, field in model.model_fields.items():
        wire_name = field.alias or name
        schema["properties"][wire_name] = _field_schema(field, docstrings.get(name), place.at(wire_name))
    if required := [field.alias or name for name, field in model.model_fields.items() if field.is_required()]:
        schema["required"] = required
    if model.map_type:
        schema["x-kubernetes-map-type"] = model.map_type
    return schema | _validations(model.cel, place)


def _field_schema(field: FieldInfo, docstring: str | None, place: Place) -> Schema:
    _refuse_options(field, place)
    schema = _schema(field.annotation, list(field.metadata), place)
    if not docstring:
        raise place.refuse("write a docstring below the field")
    default = _default(field, place)
    return {"description": docstring} | ({} if default is None else {"default": default}) | schema


def _schema(annotation: Any, metadata: list[Any], place: Place) -> Schema:
    annotation, metadata = _unwrap(annotation, metadata, place)
    rules = [m.rule if isinstance(m, Form) else m for m in metadata if isinstance(m, Rule | Form)]
    rest = [m for m in metadata if not isinstance(m, Rule | Form)]
    schema = _bare_schema(annotation, rest, place, ruled=bool(rules))
    if rest:
        raise place.refuse(f"{annotation} with {rest}")
    of_the_model = schema.get(_VALIDATIONS, [])
    of_the_field = _validations(rules, place).get(_VALIDATIONS, [])
    return schema | ({_VALIDATIONS: validations} if (validations := of_the_model + of_the_field) else {})


def _unwrap(annotation: Any, metadata: list[Any], place: Place) -> tuple[Any, list[Any]]:
    """Return the type beneath `| None` and Annotated, and the metadata on the way to it, innermost first."""
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) != 1:
            raise place.refuse(f"{annotation}")
        return _unwrap(members[0], metadata, place)
    if get_origin(annotation) is Annotated:
        beneath, *outer = get_args(annotation)
        for field in outer:
            if isinstance(field, FieldInfo):
                _refuse_options(field, place)
        flat = [m for item in outer for m in (item.metadata if isinstance(item, FieldInfo) else (item,))]
        return _unwrap(beneath, [*flat, *metadata], place)
    return annotation, metadata


def _bare_schema(annotation: Any, metadata: list[Any], place: Place, *, ruled: bool) -> Schema:
    """Return the schema of a type; what went into it is taken from the metadata."""
    if get_origin(annotation) in (tuple, dict):
        return _collection(annotation, metadata, place)
    if not isinstance(annotation, type):
        raise place.refuse(f"{annotation}")
    if issubclass(annotation, Model):
        return model_schema(annotation, place)
    if issubclass(annotation, StrEnum):
        return {"type": "string", "enum": [member.value for member in annotation]}
    if annotation is datetime:
        return _time(metadata, judged=ruled and place.judged)
    return _scalar(annotation, metadata, place)


def _collection(annotation: Any, metadata: list[Any], place: Place) -> Schema:
    first, *others = get_args(annotation)
    if get_origin(annotation) is tuple and others == [...]:
        items = _schema(first, [], place.item())
        return {"type": "array", "items": items} | _list_type(metadata) | _sizes("Items", metadata, place)
    if get_origin(annotation) is dict and first is str:
        values = _schema(others[0], [], place.item())
        return {"type": "object", "additionalProperties": values} | _sizes("Properties", metadata, place)
    raise place.refuse(f"{annotation}")


def _scalar(annotation: type, metadata: list[Any], place: Place) -> Schema:
    if annotation is str:
        return {"type": "string"} | _sizes("Length", metadata, place)
    if annotation is int:
        return {"type": "integer", "format": "int64"} | _range(metadata, place)
    if annotation is bool:
        return {"type": "boolean"}
    raise place.refuse(f"{annotation}")


def _time(metadata: list[Any], *, judged: bool) -> Schema:
    """Return the schema of a time.

    Where a rule judges it without `format`: CEL would see a parsed time, or an error in place of the message.
    """
    for item in list(metadata):
        if item in (BeforeValidator(parse_time), PlainSerializer(format_time, return_type=str)):
            metadata.remove(item)
    return {"type": "string"} | ({"maxLength": _LONGEST_TIME} if judged else {"format": "date-time"})


def _list_type(metadata: list[Any]) -> Schema:
    for item in list(metadata):
        if isinstance(item, ListSet):
            metadata.remove(item)
            return {"x-kubernetes-list-type": "set"}
        if isinstance(item, ListMap):
            metadata.remove(item)
            return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(item.keys)}
    return {"x-kubernetes-list-type": "atomic"}


def _sizes(noun: str, metadata: list[Any], place: Place) -> Schema:
    """Return minLength, maxItems and the like; the upper one must be there."""
    sizes: Schema = {}
    for item in list(metadata):
        if isinstance(item, MinLen):
            metadata.remove(item)
            sizes[f"min{noun}"] = item.min_length
        elif isinstance(item, MaxLen):
            metadata.remove(item)
            sizes[f"max{noun}"] = item.max_length
    if f"max{noun}" not in sizes:
        raise place.refuse(f"has no max{noun}: CEL has to assume the worst, and so does etcd")
    return sizes


def _range(metadata: list[Any], place: Place) -> Schema:
    bounds: Schema = {}
    for item in list(metadata):
        if isinstance(item, Ge):
            metadata.remove(item)
            bounds["minimum"] = item.ge
        elif isinstance(item, Le):
            metadata.remove(item)
            bounds["maximum"] = item.le
    if any(not isinstance(bound, int) or abs(bound) > _LARGEST_NUMBER for bound in bounds.values()):
        raise place.refuse(f"a bound that JSON does not carry exactly: {bounds}")
    return bounds


def _default(field: FieldInfo, place: Place) -> Any:
    """Return the default to write, or None: None, "", () and {} stand for an absent field in the models."""
    default = field.default
    if default is PydanticUndefined or default is None or default in ("", (), {}):
        return None
    if place.in_item:
        raise place.refuse("a default within a list item")
    if isinstance(default, Model):
        return {name: value for name, value in default.wire().items() if value not in ("", [], {})}
    if isinstance(default, Enum):
        return default.value
    if isinstance(default, bool | int | str):
        return default
    raise place.refuse(f"the default {default!r}")


def _validations(rules: Sequence[Rule], place: Place) -> Schema:
    return {_VALIDATIONS: [_validation(rule) for rule in rules]} if rules and place.judged else {}


def _validation(rule: Rule) -> Schema:
    validation: Schema = {"rule": rule.cel, "message": rule.message}
    if rule.message_expression:
        validation["messageExpression"] = rule.message_expression
    if rule.field_path:
        validation["fieldPath"] = rule.field_path
    return validation


def _refuse_options(field: FieldInfo, place: Place) -> None:
    if options := [name for name in _FOREIGN_OPTIONS if getattr(field, name) is not None]:
        raise place.refuse(f"the field options {options}")
    if {field.validation_alias, field.serialization_alias} - {field.alias}:
        raise place.refuse("different names for reading and for writing")


def _refuse_behaviour(model: type[Model], place: Place) -> None:
    """Refuse a model that reads or writes otherwise than its fields say."""
    decorators = model.__pydantic_decorators__
    found = [kind.name for kind in fields(decorators) if getattr(decorators, kind.name)]
    own = model.__mro__[: model.__mro__.index(Model)]
    if found := found + [name for name in _FOREIGN_METHODS if any(name in vars(owner) for owner in own)]:
        raise place.refuse(f"{model.__name__} has {found}")
    if model.model_config != Model.model_config:
        raise place.refuse(f"{model.__name__} has a model_config of its own")
