"""The manifests in crds/: what each promises to kubectl, to Argo CD and to the API server's budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from keywright.api import crd

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = Path(__file__).parents[3] / "crds"
MANIFESTS = {name: yaml.safe_load(text) for name, text in crd.manifests().items()}
each_manifest = pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
NAMES = ["keywright.dev_projects.yaml", "keywright.dev_apikeys.yaml", "keywright.dev_revocations.yaml"]


def schema(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def parts(part: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, by its path; `[]` are items and values."""
    yield path, part
    for name, field in part.get("properties", {}).items():
        yield from parts(field, f"{path}.{name}")
    for below in ("items", "additionalProperties"):
        if below in part:
            yield from parts(part[below], f"{path}[]")


def own_parts(manifest: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, part) for path, part in parts(schema(manifest)) if path.startswith((".spec", ".status"))]


def test_the_committed_manifests_are_what_the_models_say() -> None:
    assert 0 == crd.main(["--check", str(CRDS)])


def test_there_is_one_file_for_each_kind(tmp_path: Path) -> None:
    assert 0 == crd.main([str(tmp_path)])
    assert sorted(NAMES) == sorted(path.name for path in tmp_path.iterdir())
    assert 0 == crd.main(["--check", str(tmp_path)])


@pytest.mark.parametrize("name", NAMES)
def test_a_stale_file_is_named_with_the_remedy(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crd.main([str(tmp_path)])
    (tmp_path / name).write_text("kind: Other\n", encoding="utf-8")
    assert 1 == crd.main(["--check", str(tmp_path)])
    assert f"{tmp_path / name} is not what the models say: run make generate\n" == capsys.readouterr().err


def test_a_missing_file_and_a_foreign_one_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crd.main([str(tmp_path)])
    (tmp_path / NAMES[0]).unlink()
    (tmp_path / "README.md").touch()
    assert 1 == crd.main(["--check", str(tmp_path)])
    told = capsys.readouterr().err
    assert f"{tmp_path / NAMES[0]} is not what the models say: run make generate" in told
    assert f"{tmp_path / 'README.md'} does not belong there: delete it" in told


@each_manifest
def test_every_string_list_and_map_is_bounded(manifest: dict[str, Any]) -> None:
    assert [] == [
        path
        for path, part in own_parts(manifest)
        if (part["type"] == "string" and not part.keys() & {"maxLength", "enum", "format"})
        or (part["type"] == "array" and "maxItems" not in part)
        or ("additionalProperties" in part and "maxProperties" not in part)
    ]


@each_manifest
def test_every_list_says_what_kind_of_list_it_is(manifest: dict[str, Any]) -> None:
    lists = [part for _, part in own_parts(manifest) if part["type"] == "array"]
    assert {"atomic", "set", "map"} >= {part["x-kubernetes-list-type"] for part in lists}


@each_manifest
def test_every_field_is_explained_on_one_line(manifest: dict[str, Any]) -> None:
    fields = [(path, part) for path, part in own_parts(manifest) if not path.endswith("[]")]
    assert [] == [path for path, part in fields if not part.get("description")]
    assert [] == [path for path, part in fields if "\n" in part["description"]]


@each_manifest
def test_no_list_item_has_a_default(manifest: dict[str, Any]) -> None:
    assert [] == [path for path, part in own_parts(manifest) if "[]" in path and "default" in part]


@each_manifest
def test_no_bound_is_larger_than_what_json_carries(manifest: dict[str, Any]) -> None:
    for path, part in own_parts(manifest):
        for keyword in ("minimum", "maximum"):
            assert abs(part.get(keyword, 0)) < 2**53, path


@each_manifest
def test_no_field_keeps_what_the_schema_does_not_know(manifest: dict[str, Any]) -> None:
    known = {"type", "format", "description", "default", "properties", "items", "additionalProperties"}
    known |= {"required", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
    known |= {"maxProperties", "x-kubernetes-validations", "x-kubernetes-map-type"}
    known |= {"x-kubernetes-list-type", "x-kubernetes-list-map-keys"}
    assert set() == {keyword for _, part in own_parts(manifest) for keyword in part} - known
    assert all(isinstance(part.get("additionalProperties", {}), dict) for _, part in own_parts(manifest))


@each_manifest
def test_no_rule_costs_anything_when_the_operator_writes_a_status(manifest: dict[str, Any]) -> None:
    assert [] == [
        path
        for path, part in own_parts(manifest)
        if path.startswith(".status") and "x-kubernetes-validations" in part
    ]


@each_manifest
def test_status_defaults_so_that_kstatus_waits(manifest: dict[str, Any]) -> None:
    status = schema(manifest)["properties"]["status"]
    assert ({"observedGeneration": -1}, -1) == (
        status["default"],
        status["properties"]["observedGeneration"]["default"],
    )


@each_manifest
def test_a_rule_has_a_message_on_one_line(manifest: dict[str, Any]) -> None:
    rules = [rule for _, part in parts(schema(manifest)) for rule in part.get("x-kubernetes-validations", [])]
    assert [] == [rule for rule in rules if not 0 < len(rule["message"]) <= 2048 or "\n" in rule["message"]]
    assert [] == [rule for rule in rules if ".orValue(" in rule["rule"] or ".join(" in rule["rule"]]


def test_names_are_what_people_type() -> None:
    names = {manifest["spec"]["names"]["kind"]: manifest["spec"]["names"] for manifest in MANIFESTS.values()}
    assert {"Project": ["kwproj"], "ApiKey": ["ak"], "Revocation": ["krev"]} == {
        kind: written["shortNames"] for kind, written in names.items()
    }
    assert all(["keywright"] == written["categories"] for written in names.values())
    assert {"Namespaced"} == {manifest["spec"]["scope"] for manifest in MANIFESTS.values()}


def test_the_columns_of_an_api_key() -> None:
    columns = MANIFESTS[NAMES[1]]["spec"]["versions"][0]["additionalPrinterColumns"]
    narrow = [column["name"].upper() for column in columns if not column.get("priority")]
    wide = [column["name"].upper() for column in columns if column.get("priority")]
    assert ["PROJECT", "TYPE", "READY", "STATUS", "KEY-ID", "NEXT-ROTATION", "LAST-USED", "AGE"] == narrow
    assert ["SECRET", "EXPIRES", "SCOPES"] == wide
    assert {"Next-Rotation": "string", "Last-Used": "date", "Age": "date", "Expires": "string"} == {
        column["name"]: column["type"]
        for column in columns
        if column["name"] in {"Next-Rotation", "Last-Used", "Age", "Expires"}
    }


def test_api_keys_can_be_selected_by_project_type_and_owner() -> None:
    fields = MANIFESTS[NAMES[1]]["spec"]["versions"][0]["selectableFields"]
    assert [".spec.projectRef.name", ".spec.type", ".spec.owner"] == [field["jsonPath"] for field in fields]
