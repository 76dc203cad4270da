"""Operator and verifier ask for nothing that the chart does not grant, whatever tests before had them do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness import audit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.operator import Operator
    from harness.verifier import Verifier

SYSTEM = "keywright-system"
OPERATORS = {
    f"system:serviceaccount:{SYSTEM}:{name}-operator" for name in ("keywright", "restarting", "scraping")
}
VERIFIERS = {f"system:serviceaccount:{SYSTEM}:{name}-verifier" for name in ("keywright", "listed")}
KNOWN = ("apikeys", "projects", "revocations", "namespaces")
PROVOKED = {
    ("list", "secrets"): "test_secrets_watch.py takes the right away",
    ("list", "endpointslices"): "test_usage.py looks where nothing is granted",
    ("get", "leases"): "test_leader.py names a Lease that is not granted",
    ("create", "leases"): "the same",
    ("update", "leases"): "the same",
    ("get", "deployments"): "test_rollout.py lists one where the right to restart was not granted",
    ("get", "statefulsets"): "the same",
    ("get", "daemonsets"): "the same",
}


@pytest.fixture
def log(audit_log: Path | None) -> Path:
    if audit_log is None:
        pytest.skip("the audit log of this cluster is not within reach")
    return audit_log


def test_nothing_was_forbidden_but_what_a_test_provoked(operator: Operator, log: Path) -> None:
    assert operator.process.poll() is None
    asked, forbidden = asked_by(OPERATORS, log)
    assert asked.total() > 0
    assert {what: times for what, times in forbidden.items() if what not in PROVOKED} == {}


def test_the_verifier_read_and_was_forbidden_nothing(
    start_verifier: Callable[..., Verifier], log: Path
) -> None:
    start_verifier().until_ready()
    asked, forbidden = asked_by(VERIFIERS, log)
    whole = {(verb, kind) for verb in ("list", "watch") for kind in KNOWN}
    assert whole == set(asked)
    assert {} == forbidden


def asked_by(accounts: set[str], log: Path) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Return what some accounts have asked for, and what of it was forbidden."""
    asked: Counter[tuple[str, str]] = Counter()
    forbidden: Counter[tuple[str, str]] = Counter()
    for entry in audit.entries(log):
        if entry["user"]["username"] not in accounts:
            continue
        where = entry.get("objectRef", {})
        resource = "/".join(filter(None, (where.get("resource"), where.get("subresource"))))
        asked[entry["verb"], resource] += 1
        if entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid":
            namespace = where.get("namespace", SYSTEM)
            if namespace != SYSTEM and namespace.endswith("-system"):
                continue  # test_system_namespace.py has the Role go before such a namespace of its own
            forbidden[entry["verb"], resource] += 1
    return asked, forbidden
