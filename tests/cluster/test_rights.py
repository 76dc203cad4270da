"""The operator asks for nothing that the chart does not grant, whatever the tests before had it do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness import audit

if TYPE_CHECKING:
    from pathlib import Path

    from harness.operator import Operator

SYSTEM = "keywright-system"
ACCOUNTS = {
    f"system:serviceaccount:{SYSTEM}:{name}-operator" for name in ("keywright", "restarting", "scraping")
}
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


def test_nothing_was_forbidden_but_what_a_test_provoked(operator: Operator, audit_log: Path | None) -> None:
    if audit_log is None:
        pytest.skip("the audit log of this cluster is not within reach")
    assert operator.process.poll() is None
    forbidden: Counter[tuple[str, str]] = Counter()
    asked = 0
    for entry in audit.entries(audit_log):
        if entry["user"]["username"] not in ACCOUNTS:
            continue
        asked += 1
        if entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid":
            where = entry.get("objectRef", {})
            namespace = where.get("namespace", SYSTEM)
            if namespace != SYSTEM and namespace.endswith("-system"):
                continue  # test_system_namespace.py has the Role go before such a namespace of its own
            resource = "/".join(filter(None, (where.get("resource"), where.get("subresource"))))
            forbidden[entry["verb"], resource] += 1
    assert asked > 0
    assert {what: times for what, times in forbidden.items() if what not in PROVOKED} == {}
