"""What a Prometheus sees of objects and of work, from the first key to the last deletion."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.metrics import Scrape
from harness.waiting import until
from keywright.api.apikey import Cause, GenerationState
from keywright.api.reasons import ProjectReason, ReadyReason, RevocationReadyReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api
    from harness.operator import Operator
    from harness.team import Team

NEVER = {"policy": "Never", "overlap": "1h"}
REASONS = [*ReadyReason, *ProjectReason, *RevocationReadyReason, "Unknown"]
FORMS = {
    "version": r"\d+\.\d+\.\d+\S*",
    "verb": r"get|list|create|update|patch|delete",
    "resource": r"[a-z]+(/[a-z]+)?",
    "code": r"\d{3}|[a-z_]+",
    "kind": r"apikey|project|revocation",
    "cause": "|".join(Cause),
    "step": r"publish|reveal|activate",
    "reason": "|".join(REASONS),
    "ready": r"true|false",
    "outcome": r"[a-z_]+",
    "ending": r"true|false",
    "state": "|".join(GenerationState),
    "le": r"[\d.]+|\+Inf",
}


@pytest.fixture
def only_here(start_operator: Callable[..., Operator], team: Team) -> Iterator[Operator]:
    """An operator for the team's namespace alone, so that others' objects do not count."""
    running = start_operator(f"--namespaces={team.namespace}").until_ready()
    yield running
    assert running.stop() == 0


def refuse_more_secrets(admin: Api, namespace: str) -> None:
    metadata = {"name": "no-more-secrets", "namespace": namespace}
    spec = {"hard": {"count/secrets": "0"}}
    admin.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})
    until(
        lambda: admin.get("ResourceQuota", "no-more-secrets", namespace),
        lambda quota: "hard" in quota.get("status", {}),
        what="the quota counts",
    )


def until_scraped(operator: Operator, wanted: dict[str, dict[str, float]]) -> Scrape:
    """Scrape until each of some gauges says so by its first label."""
    first = {"keywright_keys": "state"}

    def gauges(scrape: Scrape) -> dict[str, dict[str, float]]:
        return {name: scrape.by(first.get(name, "reason"), name) for name in wanted}

    until(lambda: gauges(Scrape(operator)), lambda seen: seen == wanted)
    return Scrape(operator)


def until_counted(operator: Operator, label: str, name: str, wanted: dict[str, float]) -> None:
    """Scrape until a counter says so: it counts what was answered, a moment after others could see it."""
    until(lambda: Scrape(operator).by(label, name), lambda seen: seen == wanted, what=f"{name} is {wanted}")


def test_a_scrape_says_how_the_objects_are(admin: Api, only_here: Operator, team: Team) -> None:
    begun = time.monotonic()
    team.minted("rotated", expiresAfter="48h", rotation=NEVER)
    team.minted("suspended", expiresAfter="1h", rotation=NEVER)
    until_counted(only_here, "cause", "keywright_mints_total", {"First": 2})
    seen = until_scraped(
        only_here,
        {
            "keywright_apikeys": {"Active": 2},
            "keywright_keys": {"Active": 2},
            "keywright_projects": {"Accepted": 1},
        },
    )
    assert seen.value("keywright_apikeys", reason="Active", ready="true") == 2
    assert seen.value("keywright_apikeys", reason="Suspended", ready="false") == 0
    assert seen.value("keywright_apikey_ready_duration_seconds_count") == 2
    total = seen.value("keywright_apikey_ready_duration_seconds_sum")
    assert total is not None
    assert 0 < total < 2 * (time.monotonic() - begun + 1)
    assert seen.value("keywright_rotations_overdue") == 0

    team.annotate({"keywright.dev/rotate": "a"}, "rotated")
    ends = team.until_revision(2, "rotated")["status"]["expiresAt"]
    team.edit("suspended", suspend=True)
    team.create("nobody-s", projectRef={"name": "nobody"})
    refuse_more_secrets(admin, team.namespace)
    team.create("refused")
    until_counted(only_here, "cause", "keywright_rotations_total", {"Requested": 1})
    until(
        lambda: Scrape(only_here).value("keywright_mint_failures_total", step="reveal", code="403"),
        bool,
        what="the refusal is counted",
    )
    seen = until_scraped(
        only_here,
        {
            "keywright_apikeys": {"Active": 1, "Suspended": 1, "ProjectNotFound": 1, "Minting": 1},
            "keywright_keys": {"Active": 2, "Retiring": 1},
        },
    )
    assert seen.by("cause", "keywright_mints_total") == {"First": 2, "Requested": 1}
    assert seen.value("keywright_apikey_ready_duration_seconds_count") == 2
    earliest = seen.value("keywright_next_expiry_timestamp_seconds")
    assert earliest == datetime.fromisoformat(ends).timestamp(), "what is suspended is denied already"

    records = seen.by("reason", "keywright_revocations").get("InForce", 0)
    for name in ("rotated", "suspended", "nobody-s", "refused"):
        team.delete(name)
    seen = until_scraped(only_here, {"keywright_apikeys": {}, "keywright_keys": {}})
    until(
        lambda: Scrape(only_here).by("reason", "keywright_revocations").get("InForce", 0),
        lambda count: count >= records + 3,
        what="the records count as in force",
    )
    assert seen.value("keywright_next_expiry_timestamp_seconds") is None
    admin.delete("Project", "payments", team.namespace)
    seen = until_scraped(only_here, {"keywright_projects": {}})
    assert seen.by("cause", "keywright_mints_total") == {"First": 2, "Requested": 1}, "a counter never falls"
    assert unbounded(seen) == []


def unbounded(scrape: Scrape) -> list[Any]:
    """Return the labels whose values are none of those that are known beforehand."""
    labels = {pair for sample in scrape.samples for pair in sample.labels.items()}
    return [(label, value) for label, value in sorted(labels) if not re.fullmatch(FORMS[label], value)]
