"""Keywright at a terminal: what kubectl shows reads as a person would want it, and is kept as a document."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from harness import manifests
from harness.captures import Captures
from harness.conditions import condition, until_reason
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import Api, Object
    from harness.kubectl import Kubectl
    from harness.operator import Operator

DOCUMENT = Path(__file__).parents[2] / "docs" / "what-you-see.md"
UPDATE = "run: .venv/bin/pytest tests/cluster/test_kubectl.py --update-captures"

PAYMENTS = """
apiVersion: keywright.dev/v1alpha1
kind: Project
metadata: {name: payments, namespace: platform}
spec:
  displayName: Payments API
  allowedNamespaces: {from: All}
  scopes:
  - {name: "payments:read"}
  - {name: "payments:refund", allowedTypes: [Production]}
  defaults: {expiresAfter: 2160h}
---
apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata: {name: checkout, namespace: shop}
spec:
  projectRef: {name: payments, namespace: platform}
  owner: checkout-bot
  scopes: ["payments:*"]
---
apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata: {name: storefront, namespace: shop}
spec:
  projectRef: {name: payments, namespace: platform}
  type: Client
  scopes: ["payments:read"]
  restrictions: {origins: ["https://shop.example.com"]}
"""

MISTAKEN = """
apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata: {name: nightly, namespace: shop}
spec:
  projectRef: {name: billing, namespace: platform}
---
apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata: {name: ledger, namespace: shop}
spec:
  projectRef: {name: payments, namespace: platform}
  rotation: {interval: 4320h}
---
apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata: {name: reports, namespace: shop}
spec:
  projectRef: {name: payments, namespace: platform}
  scopes: ["payments:raed"]
---
apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata: {name: till, namespace: shop}
spec:
  projectRef: {name: payments, namespace: platform}
  suspend: true
"""

REFUSED = """
apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata: {name: app, namespace: shop}
spec:
  projectRef: {name: payments, namespace: platform}
  type: Client
  expiresAfter: 90d
  rotation: {interval: 720h, schedule: "0 3 * * 1"}
"""

LEAKED = """
apiVersion: keywright.dev/v1alpha1
kind: Revocation
metadata: {name: leaked-2026-11-23, namespace: platform}
spec:
  keyID: %s
  reason: KeyCompromise
  message: Pasted into a ticket.
"""

MESSAGES = (
    "-n shop get ak -o custom-columns="
    "'NAME:.metadata.name,MESSAGE:.status.conditions[?(@.type==\"Ready\")].message'"
)


@pytest.fixture(scope="module")
def platform(admin: Api, operator: Operator) -> Iterator[None]:
    """The namespaces of the document; whoever had them before is gone first."""
    names = ("platform", "shop")

    def remove() -> None:
        for name in names:
            admin.delete("Namespace", name)
        until(lambda: [admin.find("Namespace", name) for name in names], lambda seen: not any(seen))

    remove()
    for name in names:
        admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield
    remove()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The files that the document applies."""
    for name, text in {"payments": PAYMENTS, "mistaken": MISTAKEN, "refused": REFUSED}.items():
        (tmp_path / f"{name}.yaml").write_text(text.lstrip())
    return tmp_path


def test_what_a_person_sees_is_what_the_document_shows(
    admin: Api, platform: None, kubectl_as_admin: Kubectl, files: Path, pytestconfig: pytest.Config
) -> None:
    captures = Captures(lambda words: _run(kubectl_as_admin, files, words))
    ids = _tell(captures, admin, files)
    began = admin.get("Project", "payments", "platform")["metadata"]["creationTimestamp"]
    seen = captures.document(began=datetime.fromisoformat(began), ids=ids)
    if pytestconfig.getoption("--update-captures"):
        DOCUMENT.write_text(seen)
    assert DOCUMENT.read_text() == seen, UPDATE


def _run(kubectl: Kubectl, files: Path, words: list[str]) -> str:
    """Run kubectl, successful or not, on the files by the names that the document has."""
    output = kubectl.run(*(str(files / word) if word.endswith(".yaml") else word for word in words)).output
    return output.replace(f"{files}/", "")


def _tell(captures: Captures, admin: Api, files: Path) -> list[str]:
    """Go through the story of a few keys; return the ids in it, in order."""
    captures.say("<!-- Written by `pytest tests/cluster/test_kubectl.py --update-captures`. Do not edit. -->")
    captures.say("# What you see")
    captures.say(
        "Real output of a real cluster. Only ids, digests, ages and times are always the same here. "
        "Nothing of this shows a key: that is in the Secret alone."
    )
    captures.say("## A Project and its keys")
    captures.show(PAYMENTS, "yaml")
    captures.capture(
        "apply -f payments.yaml", "-n shop wait --for=condition=Ready apikey --all --timeout=60s"
    )
    _until_counted(admin, total=2, ready=2, retiring=0)
    captures.capture("-n shop get ak", "-n shop get ak -o wide")
    captures.capture("-n platform get kwproj", "-n platform get kwproj -o wide")
    captures.say("## What one key says of itself")
    captures.capture("-n shop describe ak checkout")
    first = _current(admin, "checkout"), _current(admin, "storefront")

    captures.say("## Why a key is not there")
    captures.show(MISTAKEN, "yaml")
    captures.capture("apply -f mistaken.yaml")
    for name, reason in {
        "nightly": "ProjectNotFound",
        "reports": "ScopeNotAllowed",
        "till": "Suspended",
    }.items():
        until_reason(admin, reason, name, "shop")
    until_reason(admin, "InvalidSpec", "ledger", "shop")
    captures.capture("-n shop get ak", MESSAGES)
    captures.say("What is wrong by itself never gets that far:")
    captures.show(REFUSED, "yaml")
    captures.capture("apply -f refused.yaml")

    captures.say("## A rotation by hand, with the old key valid for another day")
    captures.capture("-n shop annotate ak checkout keywright.dev/rotate=2026-11-a")
    second = _until_revision(admin, "checkout", 2)
    captures.capture(
        "-n shop get ak checkout",
        "-n shop get ak checkout -o jsonpath='{.status.conditions[?(@.type==\"Rotating\")].message}'",
    )
    captures.say("## A key that leaked")
    (files / "leaked.yaml").write_text((LEAKED % second).lstrip())
    captures.show(LEAKED % second, "yaml")
    captures.capture(
        "apply -f leaked.yaml", "-n platform wait --for=condition=Ready krev --all --timeout=60s"
    )
    third = _until_revision(admin, "checkout", 3)
    until_reason(admin, "InForce", f"k-{second}", "keywright-system", kind="Revocation")
    captures.capture("-n shop get ak checkout")
    captures.capture("get krev -A", keep=lambda line: line.startswith("NAMESPACE") or second in line)
    _until_events(admin, "checkout", 4)
    captures.capture("-n shop events --for apikey/checkout")

    captures.say("## A key that is deleted is revoked")
    captures.capture("-n shop delete ak storefront")
    until_reason(admin, "InForce", f"k-{first[1]}", "keywright-system", kind="Revocation")
    captures.capture(
        "get krev -A -o wide", keep=lambda line: line.startswith("NAMESPACE") or first[1] in line
    )

    captures.say("## What a field means")
    captures.capture("explain ak.spec.rotation")
    return [*first, second, third]


def _current(admin: Api, name: str) -> str:
    return str(admin.get("ApiKey", name, "shop")["status"]["currentKeyID"])


def _until_revision(admin: Api, name: str, revision: int) -> str:
    until(
        lambda: admin.get("ApiKey", name, "shop"),
        lambda key: key["status"]["revision"] == revision and condition(key)["status"] == "True",
        what=f"{name} has revision {revision}",
    )
    return _current(admin, name)


def _until_counted(admin: Api, **counts: int) -> None:
    until(
        lambda: admin.get("Project", "payments", "platform")["status"].get("keys"),
        lambda seen: seen == counts,
    )


def _until_events(admin: Api, name: str, number: int) -> None:
    def about(event: Object) -> bool:
        return bool(event["regarding"].get("name") == name)

    until(lambda: list(filter(about, admin.list("Event", "shop"))), lambda seen: len(seen) >= number)


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_applying_the_same_again_changes_nothing(
    admin: Api, operator: Operator, namespace: str, kubectl_as_admin: Kubectl, how: tuple[str, ...]
) -> None:
    project = manifests.project(
        namespace, scopes=[{"name": "data:read"}], defaultKey={}, limits={"maxExpiresAfter": "2160h"}
    )
    key = manifests.api_key(
        namespace,
        scopes=["data:read"],
        rotation={"interval": "720h"},
        rateLimits=[{"requests": 5, "period": "1s"}],
        secret={"data": {".env": "KEY=$(API_KEY)\n"}},
    )
    text = yaml.safe_dump_all([project, key])
    kubectl_as_admin("apply", *how, "-f", "-", stdin=text)
    until_reason(admin, "Active", "checkout", namespace)
    until_reason(admin, "Active", "payments-default", namespace)
    until(
        lambda: admin.get("Project", "payments", namespace)["status"].get("keys"),
        lambda seen: seen == {"total": 2, "ready": 2, "retiring": 0},
        what="nothing is left to be counted",
    )

    def versions() -> list[str]:
        objects = [admin.get("Project", "payments", namespace), *admin.list("ApiKey", namespace)]
        return [obj["metadata"]["resourceVersion"] for obj in [*objects, *admin.list("Secret", namespace)]]

    before = versions()
    again = kubectl_as_admin("apply", *how, "-f", "-", stdin=text).splitlines()
    said = "serverside-applied" if how else "unchanged"
    assert again == [f"project.keywright.dev/payments {said}", f"apikey.keywright.dev/checkout {said}"]
    assert kubectl_as_admin("diff", *how, "-f", "-", stdin=text) == ""
    time.sleep(1)
    assert versions() == before


def test_what_the_operator_writes_is_marked_as_its_own(
    admin: Api, operator: Operator, namespace: str, kubectl_as_admin: Kubectl
) -> None:
    admin.create(manifests.project(namespace))
    admin.create(manifests.api_key(namespace))
    until_reason(admin, "Active", "checkout", namespace)
    managers = "jsonpath={.metadata.managedFields[*].manager}"
    written = ("-n", namespace, "get", "-o", managers)
    assert "keywright" in kubectl_as_admin(*written, "ak/checkout").split()
    assert kubectl_as_admin(*written, "secret/checkout") == "keywright"


def test_keys_can_be_found_by_project_type_and_owner(
    admin: Api, operator: Operator, namespace: str, kubectl_as_admin: Kubectl
) -> None:
    admin.create(manifests.api_key(namespace, "a", project="payments", owner="checkout-bot"))
    admin.create(manifests.api_key(namespace, "b", project="billing", type="Development"))

    def found(*arguments: str) -> list[str]:
        return kubectl_as_admin("-n", namespace, "get", "-o", "name", *arguments).split()

    a, b = "apikey.keywright.dev/a", "apikey.keywright.dev/b"
    assert found("ak") == found("apikey") == found("apikeys") == found("keywright") == [a, b]
    assert found("ak", "--field-selector=spec.projectRef.name=payments") == [a]
    assert found("ak", "--field-selector=spec.type=Development") == [b]
    assert found("ak", "--field-selector=spec.owner=checkout-bot,spec.type=Production") == [a]
    assert found("ak", "--field-selector=spec.type=Client") == []


def test_every_kind_explains_itself(crds: None, kubectl_as_admin: Kubectl) -> None:
    for kind in ("ak", "kwproj", "krev"):
        for field in ("spec", "status"):
            text = kubectl_as_admin("explain", f"{kind}.{field}", "--recursive=false")
            assert "<no description>" not in text.lower()
    assert "When the key is replaced." in kubectl_as_admin("explain", "ak.spec.rotation")
