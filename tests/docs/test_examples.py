"""Every example can be applied as it is, becomes Ready, does not drift and goes; its page tells the truth."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from docs.examples import EXAMPLES, GATEWAYS, INDEX, page, whole
from docs.markdown import ROOT, WRITTEN_BY_HAND, Command, blocks, links
from docs.reader import Reader
from harness.team import ready, value_in
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import Api, Object
    from harness.kubectl import Kubectl
    from harness.operator import Operator

PAGES = [
    INDEX.with_name(f"{example.name}.md") for example in EXAMPLES if page(example).parent == INDEX.parent
]
GOOD = {"ApiKey": "Active", "Project": "Accepted"}

CLIENT_FOR_NOBODY = """
apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata: {name: anybody, namespace: default}
spec: {projectRef: {name: maps}, type: Client}
"""


@pytest.fixture
def reader(
    kubectl: str, helm: Path, kubeconfig: Path, tmp_path: Path, restarting_operator: Operator
) -> Iterator[Reader]:
    """A reader for whose cluster the operator runs."""
    reader = Reader(tmp_path, kubectl=Path(kubectl), helm=helm)
    reader.type_all([Command(f"export KUBECONFIG={kubeconfig}")])
    yield reader
    reader.close()


@pytest.fixture
def kept(
    kubectl_as_admin: Kubectl, restarting_operator: Operator, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """An example by its name; what is left of it at the end is deleted."""
    example = ROOT / "examples" / request.param
    yield example
    kubectl_as_admin("delete", *whole(example), "--ignore-not-found", "--timeout=240s")


def apply(kubectl: Kubectl, example: Path, *how: str) -> list[Object]:
    """Apply an example, and return its objects once all of Keywright's are good."""
    files = whole(example)
    kubectl("apply", *how, "--validate=strict", *files)

    def objects() -> list[Object]:
        return list(json.loads(kubectl("get", *files, "-o", "json"))["items"])

    def good(seen: list[Object]) -> bool:
        return all(ready(obj) == GOOD[obj["kind"]] for obj in seen if obj["kind"] in GOOD)

    return until(objects, good, what=f"{example.name} is ready")


def assert_no_drift(kubectl: Kubectl, example: Path, *how: str) -> None:
    """Nothing would change if it were applied again; what is only still moving comes to rest."""
    until(
        lambda: kubectl.run("diff", *how, *whole(example)),
        lambda done: done == (0, ""),
        what=f"no drift of {example.name}",
    )


def only(name: str) -> pytest.MarkDecorator:
    """Run a test with one example."""
    return pytest.mark.parametrize("kept", [name], indirect=True)


every = pytest.mark.parametrize("kept", [example.name for example in EXAMPLES], indirect=True)


@every
def test_it_becomes_ready_does_not_drift_and_goes(kept: Path, admin: Api, kubectl_as_admin: Kubectl) -> None:
    objects = apply(kubectl_as_admin, kept)
    assert any(obj["kind"] == "ApiKey" for obj in objects)
    assert_no_drift(kubectl_as_admin, kept)
    apply(kubectl_as_admin, kept, "--server-side")
    assert_no_drift(kubectl_as_admin, kept, "--server-side")
    kubectl_as_admin("delete", *whole(kept), "--timeout=240s")
    for obj in objects:
        if obj["kind"] == "Namespace":
            assert admin.find("Namespace", obj["metadata"]["name"]) is None


@pytest.mark.parametrize("kept", [path.stem for path in PAGES], indirect=True)
def test_all_that_its_page_says_to_type_works(kept: Path, reader: Reader, argocd: None) -> None:
    reader.type_all(command for block in blocks(page(kept)) for command in block.commands)


def test_every_example_has_a_page_to_which_the_index_leads() -> None:
    led = {(INDEX.parent / link).resolve() for link in links(INDEX)}
    assert set(map(page, EXAMPLES)) <= led
    gateways = {INDEX.with_name(f"gateways-{gateway.name}.md") for gateway in GATEWAYS.iterdir()}
    assert gateways <= led
    assert {*PAGES, *gateways} == {path for path in WRITTEN_BY_HAND if path.parent == INDEX.parent} - {INDEX}


@only("cron-rotation")
def test_the_cron_is_that_of_berlin_and_a_new_key_restarts_the_deployment(
    kept: Path, admin: Api, kubectl_as_admin: Kubectl
) -> None:
    apply(kubectl_as_admin, kept)
    key = admin.get("ApiKey", "ledger", "reports")
    following = datetime.fromisoformat(key["status"]["nextRotationTime"]).astimezone(
        ZoneInfo("Europe/Berlin")
    )
    assert (0, 10, 0) == (following.weekday(), following.hour, following.minute)

    def template() -> Object:
        return dict(admin.get("Deployment", "nightly", "reports")["spec"]["template"])

    def restarted_for(seen: Object) -> str:
        return str(seen["metadata"].get("annotations", {}).get("restart.keywright.dev/ledger", ""))

    before = template()
    kubectl_as_admin("annotate", "-n", "reports", "apikey", "ledger", "keywright.dev/rotate=a")
    after = until(
        template, lambda seen: restarted_for(seen).startswith("2."), what="restarted for the second key"
    )
    assert before["spec"] == after["spec"]
    assert f"2.{admin.get('ApiKey', 'ledger', 'reports')['status']['currentKeyID']}" == restarted_for(after)
    assert_no_drift(kubectl_as_admin, kept)
    apply(kubectl_as_admin, kept, "--server-side")
    assert_no_drift(kubectl_as_admin, kept, "--server-side")
    assert after == template()


@only("client-key")
def test_a_client_key_is_in_the_file_that_the_page_loads_and_names_who_may_use_it(
    kept: Path, admin: Api, kubectl_as_admin: Kubectl
) -> None:
    apply(kubectl_as_admin, kept)
    secret = admin.get("Secret", "website-key", "maps")
    # Without the values: a failure would print them.
    assert value_in(secret, "config.js").split('"')[1] == value_in(secret) or pytest.fail("another value")
    refused = kubectl_as_admin.run("apply", "--dry-run=server", "-f", "-", stdin=CLIENT_FOR_NOBODY)
    assert refused.code != 0
    said = "a Client key is public: write restrictions.origins, or restrictions.anyOrigin: true"
    assert said in refused.output
    assert said in " ".join(page(kept).read_text().split())


@only("team-projects")
def test_an_api_key_too_many_of_one_namespace_gets_no_key(
    kept: Path, admin: Api, kubectl_as_admin: Kubectl
) -> None:
    apply(kubectl_as_admin, kept)
    one = admin.get("ApiKey", "billing", "storefront")
    for name in ("second", "third"):
        metadata = {"name": name, "namespace": "storefront"}
        admin.create({**{key: one[key] for key in ("apiVersion", "kind", "spec")}, "metadata": metadata})
    until(
        lambda: sorted(str(ready(admin.get("ApiKey", name, "storefront"))) for name in ("second", "third")),
        lambda reasons: reasons == ["Active", "QuotaExceeded"],
    )
