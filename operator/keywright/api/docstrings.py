"""The sentence below a field in a model's source: what `kubectl explain` says about it.

pydantic can collect these itself (`use_attribute_docstrings`), but would read the source each time the
program starts; only the generator needs them.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise

from keywright.api.meta import Model


def field_docstrings(model: type[Model]) -> dict[str, str]:
    """Return the docstring below each field, inherited ones included; line breaks become spaces."""
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if issubclass(owner, Model):
            found |= _below_fields(owner)
    return found


def sentence(text: str) -> str:
    """Return a docstring on one line."""
    return " ".join(text.split())


def _below_fields(owner: type) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    (definition,) = tree.body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        field.target.id: sentence(below.value.value)
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
