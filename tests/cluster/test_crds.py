"""What the API server accepts, refuses and completes of each kind, and with which words.

The examples are data, in `crd_examples/`; here they meet a real API server, and the schema is asked
whether each of its rules and bounds has been met by an accepted and by a refused one.
"""

from __future__ import annotations

import itertools
import re
import secrets
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cluster.crd_examples.cases import Case, Examples, Manifest, load, merged
from cluster.crd_examples.demands import Cause, demands, values_at
from harness.waiting import PATIENCE, until
from keywright.api.apikey import ApiKey
from keywright.api.project import Project
from keywright.api.revocation import Revocation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import Api
    from keywright.api.meta import Model

ROOT = Path(__file__).parents[2]
MODELS: dict[str, type[Model]] = {"project": Project, "apikey": ApiKey, "revocation": Revocation}
EXAMPLES = {kind: load(kind) for kind in MODELS}

each_kind = pytest.mark.parametrize("examples", EXAMPLES.values(), ids=EXAMPLES)
each_case = pytest.mark.parametrize(
    ("examples", "case"),
    [
        pytest.param(examples, case, id=f"{kind}: {case.name}")
        for kind, examples in EXAMPLES.items()
        for case in examples.cases
    ],
)


# What kubectl sends too: server-side apply for a patch, and a table for a list.
_HEADERS = {
    "PATCH": {"Content-Type": "application/apply-patch+yaml"},
    "GET": {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
}


class Corner:
    """A namespace for the examples, and what the API server answered to each of them."""

    def __init__(self, admin: Api, namespace: str) -> None:
        self.admin = admin
        self.namespace = namespace
        self._answers: dict[int, tuple[Cause, ...]] = {}

    def store(self, kind: str, manifest: Manifest, **query: str) -> tuple[int, Manifest]:
        """Create an object, or replace the one whose resourceVersion the manifest has."""
        metadata = manifest["metadata"]
        if "resourceVersion" in metadata:
            return self.send("PUT", kind, f"/{metadata['name']}", manifest, **query)
        return self.send("POST", kind, "", manifest, **query)

    def send(
        self, method: str, kind: str, below: str, body: Manifest | None = None, **query: str
    ) -> tuple[int, Manifest]:
        """Send a request about objects of a kind; return status and answer, also of a refusal."""
        answer = self.admin.session.request(
            method,
            f"{self.admin.server}/apis/keywright.dev/v1alpha1/namespaces/{self.namespace}/{kind}s{below}",
            json=body,
            params={"fieldValidation": "Strict", "fieldManager": "examples", **query},
            headers=_HEADERS.get(method),
            timeout=PATIENCE,
        )
        return answer.status_code, answer.json()

    def read(self, manifest: Manifest) -> Manifest:
        """Return an object as it is stored."""
        return self.admin.get(manifest["kind"], manifest["metadata"]["name"], self.namespace)

    def causes(self, kind: str, case: Case) -> tuple[Cause, ...]:
        """Return why the API server refuses a case; nothing where it accepts it."""
        if id(case) not in self._answers:
            self._answers[id(case)] = self._ask(kind, case)
        return self._answers[id(case)]

    def _ask(self, kind: str, case: Case) -> tuple[Cause, ...]:
        if case.before is None:
            return _causes(*self.store(kind, case.manifest, dryRun="All"))
        status, stored = self.store(kind, case.before)
        assert (201, None) == (status, stored.get("message")), "the object before the update is refused"
        try:
            version = {"metadata": {"resourceVersion": stored["metadata"]["resourceVersion"]}}
            return _causes(*self.store(kind, merged(case.manifest, version), dryRun="All"))
        finally:
            self.send("DELETE", kind, f"/{stored['metadata']['name']}")


@pytest.fixture(scope="module")
def corner(admin: Api, crds: None) -> Iterator[Corner]:
    """A namespace of an API server that acts by these CRDs, which takes it a moment after a change."""
    name = f"crd-examples-{secrets.token_hex(3)}"
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    corner = Corner(admin, name)
    for kind, examples in EXAMPLES.items():
        refused = merged(examples.minimal, {"spec": {"noSuchField": True}})
        until(
            partial(corner.store, kind, refused, dryRun="All"),
            lambda answer: answer[0] == 400,
            what=f"a {kind} with an unknown field is refused",
        )
    yield corner
    admin.delete("Namespace", name)


@each_case
def test_the_api_server_answers_an_example_with_just_these_words(
    corner: Corner, examples: Examples, case: Case
) -> None:
    causes = corner.causes(examples.kind, case)
    wrong = [
        f"not expected: {cause.field}: {cause.message}"
        for cause in causes
        if not any(cause.field == field and words in cause.message for field, words in case.refusals)
    ] + [
        f"expected: {field}: {words}"
        for field, words in case.refusals
        if not any(cause.field == field and words in cause.message for cause in causes)
    ]
    assert not wrong, "\n".join(wrong)


@each_kind
def test_every_rule_and_bound_has_an_accepted_and_a_refused_example(
    corner: Corner, examples: Examples
) -> None:
    answers = [(case, corner.causes(examples.kind, case)) for case in examples.cases]
    accepted = [case for case, causes in answers if not causes]
    wanted = list(demands(_schema(examples.kind)))
    unmet = [
        f"no refused example of {demand}"
        for demand in wanted
        if not any(demand.broken_by(case, causes) for case, causes in answers)
    ] + [f"no accepted example of {demand}" for demand in wanted if not demand.kept_by(accepted)]
    assert not unmet, "\n".join(unmet)


@each_kind
def test_defaults_are_written_into_the_stored_object(corner: Corner, examples: Examples) -> None:
    status, stored = corner.store(examples.kind, examples.minimal, dryRun="All")
    assert (201, examples.defaulted) == (status, stored["spec"])


@each_kind
def test_a_model_reads_whatever_the_api_server_accepts(corner: Corner, examples: Examples) -> None:
    for case in examples.cases:
        if not case.refusals:
            MODELS[examples.kind].model_validate(case.manifest)
    _, stored = corner.store(examples.kind, examples.minimal, dryRun="All")
    MODELS[examples.kind].model_validate(stored)


@each_kind
def test_a_status_with_every_field_survives_the_api_server_and_the_model(
    corner: Corner, examples: Examples
) -> None:
    missing = _leaves(_schema(examples.kind)["properties"]["status"], ())
    assert [] == [path for path in missing if not list(values_at(examples.status, path))]
    name = examples.minimal["metadata"]["name"]
    _, created = corner.store(examples.kind, examples.minimal)
    _, written = corner.send("PUT", examples.kind, f"/{name}/status", created | {"status": examples.status})
    read = corner.read(examples.minimal)
    corner.send("DELETE", examples.kind, f"/{name}")
    assert examples.status == written.get("status") == read["status"]
    assert examples.status == MODELS[examples.kind].model_validate(read).wire()["status"]


@each_kind
def test_status_defaults_to_the_observed_generation_minus_one(corner: Corner, examples: Examples) -> None:
    name = examples.minimal["metadata"]["name"]
    corner.store(examples.kind, examples.minimal)
    read = corner.read(examples.minimal)
    corner.send("DELETE", examples.kind, f"/{name}")
    assert {"observedGeneration": -1} == read["status"]


@each_kind
def test_applying_a_manifest_again_changes_nothing(corner: Corner, examples: Examples) -> None:
    kind = examples.kind
    for case in [case for case in examples.cases if not case.refusals and case.before is None]:
        # With a label: where nothing at all is applied, the API server names another writer the next time.
        manifest = merged(case.manifest, {"metadata": {"labels": {"applied": "twice"}}})
        below = f"/{manifest['metadata']['name']}"
        _, created = corner.send("PATCH", kind, below, manifest)
        # The first write after the creation stores the default of status: here, as always, the operator's.
        _, first = corner.send("PUT", kind, f"{below}/status", created | {"status": examples.status})
        _, second = corner.send("PATCH", kind, below, manifest)
        corner.send("DELETE", kind, below)
        assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"], case.name


def test_kubectl_get_shows_a_future_time_and_the_scopes(corner: Corner) -> None:
    examples = EXAMPLES["apikey"]
    _, created = corner.store("apikey", examples.minimal)
    corner.send("PUT", "apikey", "/checkout/status", created | {"status": examples.status})
    _, table = corner.send("GET", "apikey", "")
    corner.send("DELETE", "apikey", "/checkout")
    columns = [column["name"] for column in table["columnDefinitions"]]
    cells = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    assert cells["Next-Rotation"] == "2026-12-23T12:00:00Z"
    assert cells["Scopes"] == '["data:read"]'


def _schema(kind: str) -> Manifest:
    text = (ROOT / f"crds/keywright.dev_{kind}s.yaml").read_text(encoding="utf-8")
    schema: Manifest = yaml.safe_load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _leaves(schema: Manifest, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    yield from itertools.chain.from_iterable(
        _leaves(field, (*path, name)) for name, field in schema.get("properties", {}).items()
    )
    if "items" in schema:
        yield from _leaves(schema["items"], (*path, "[]"))


def _causes(status: int, answer: Manifest) -> tuple[Cause, ...]:
    if status < 400:
        return ()
    unknown = re.findall(r'unknown field "(.+?)"', answer["message"]) if status == 400 else []
    causes = [Cause(field, "unknown field", answer["reason"]) for field in unknown] + [
        Cause(cause["field"], cause["message"], cause["reason"])
        for cause in answer.get("details", {}).get("causes", [])
        if cause["field"] != "<nil>"  # "some validation rules were not checked"
    ]
    return tuple(causes) or (Cause("", answer["message"], answer["reason"]),)
