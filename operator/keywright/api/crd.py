"""Writes the CustomResourceDefinitions from the models: `python -m keywright.api.crd [--check] crds`.

They are committed, for that is what people read and install; `--check` says whether they are what the
models say now.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from keywright.api.kinds import KINDS, Column, Kind
from keywright.api.meta import GROUP, VERSION
from keywright.api.schema import resource_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER = "# Written by `make generate` from operator/keywright/api. Do not edit.\n"


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind."""
    name = kind.model.__name__
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable_fields]
    version["schema"] = {"openAPIV3Schema": resource_schema(kind.model, longest_name=kind.longest_name)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": kind.plural,
                "singular": name.lower(),
                "shortNames": [kind.short_name],
                "categories": ["keywright"],
            },
            "versions": [version],
        },
    }


def manifests() -> dict[str, str]:
    """Return the text of every file of `crds/` by its name."""
    return {
        f"{GROUP}_{kind.plural}.yaml": _HEADER
        + yaml.safe_dump(definition(kind), sort_keys=False, allow_unicode=True, width=100)
        for kind in KINDS
    }


def _column(column: Column) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "description": column.description,
        "jsonPath": column.path,
    }
    return written | ({"priority": 1} if column.wide else {})


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with `--check` compare them; 1 where one is not what the models say."""
    parser = argparse.ArgumentParser(prog="python -m keywright.api.crd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("directory", type=Path, help="where the manifests are")
    options = parser.parse_args(arguments)
    written = manifests()
    if options.check:
        return _check(options.directory, written)
    for name, text in written.items():
        (options.directory / name).write_text(text, encoding="utf-8")
    return 0


def _check(directory: Path, written: dict[str, str]) -> int:
    stale = [
        name
        for name, text in written.items()
        if not (directory / name).is_file() or (directory / name).read_text(encoding="utf-8") != text
    ]
    foreign = sorted(path.name for path in directory.iterdir() if path.name not in written)
    for name in stale:
        print(f"{directory / name} is not what the models say: run make generate", file=sys.stderr)  # noqa: T201
    for name in foreign:
        print(f"{directory / name} does not belong there: delete it", file=sys.stderr)  # noqa: T201
    return 1 if stale or foreign else 0


if __name__ == "__main__":
    sys.exit(main())
