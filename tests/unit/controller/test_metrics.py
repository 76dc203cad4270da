"""Names, labels and texts by the Prometheus conventions; documents and alerts know only what there is."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from keywright.api.apikey import Cause
from keywright.api.reasons import ReadyReason
from keywright.controller import census
from keywright.controller.cache import Cache
from keywright.controller.census import Census
from keywright.controller.metrics import LABELS, Family, Metrics

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

RULES = Path(__file__).parents[3] / "docs" / "prometheusrule.yaml"
FAMILIES = {family.name: family for family in (*Metrics().families, *census.FAMILIES)}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum")}
SAMPLES = {
    name + suffix: family for name, family in FAMILIES.items() for suffix in SUFFIXES.get(family.kind, ("",))
}
VALUES: dict[str, set[str]] = {
    "reason": set(ReadyReason),
    "cause": set(Cause),
    "ready": {"true", "false"},
    "ending": {"true", "false"},
}


def registry() -> CollectorRegistry:
    metrics = Metrics()
    metrics.registry.register(Census(Cache(), time.time))
    return metrics.registry


def ours() -> list[Metric]:
    return [family for family in registry().collect() if family.name.startswith("keywright_")]


def test_what_is_served_is_what_is_documented() -> None:
    served = {(family.name, family.type, family.documentation) for family in ours()}
    documented = {
        (family.name.removesuffix("_total"), family.kind, family.text) for family in FAMILIES.values()
    }
    assert documented == served


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_metric_follows_the_conventions(family: Family) -> None:
    assert re.fullmatch(r"keywright_[a-z]+(_[a-z]+)*", family.name)
    assert (family.kind == "counter") == family.name.endswith("_total")
    assert family.kind != "histogram" or family.name.endswith("_seconds")
    assert not re.search(r"_(ms|milliseconds|minutes|hours|count|sum|bucket|gauge|counter)(_|$)", family.name)
    assert re.fullmatch(r"[A-Z0-9].*[^.]\.", family.text), "a sentence"
    assert set(family.labels) <= set(LABELS)
    assert not {"le", "quantile", "job", "instance"} & set(family.labels)


def test_every_label_is_of_some_metric() -> None:
    assert {label for family in FAMILIES.values() for label in family.labels} == set(LABELS)


def test_what_is_served_can_be_parsed() -> None:
    parsed = list(text_string_to_metric_families(generate_latest(registry()).decode()))
    assert {family.name for family in parsed} >= {family.name for family in ours()}


def test_a_rotation_is_a_mint_that_replaces_a_key() -> None:
    metrics = Metrics()
    for cause in Cause:
        metrics.minted(cause)
    counts = {
        cause: metrics.registry.get_sample_value("keywright_rotations_total", {"cause": cause})
        for cause in Cause
    }
    assert {cause for cause, count in counts.items() if count == 1} == set(Cause) - {"First", "Adopted"}


def test_a_clock_that_was_set_back_makes_no_negative_wait() -> None:
    metrics = Metrics()
    metrics.waited(-3.0)
    assert 0 == metrics.registry.get_sample_value("keywright_apikey_ready_duration_seconds_sum")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["spec"]["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    expression = rule["expr"]
    asked = re.findall(r"(keywright_\w+)(?:\{([^}]*)\})?", expression)
    assert asked
    assert {name for name, _ in asked} <= set(SAMPLES)
    assert set(re.findall(r"keywright_\w+", rule["annotations"]["description"])) <= set(FAMILIES)
    for name, matchers in asked:
        for label, values in re.findall(r'(\w+)[=!]~?"([^"]*)"', matchers):
            assert label in SAMPLES[name].labels
            assert set(values.split("|")) <= VALUES[label]
    kept = {label for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(", ")}
    assert kept <= {label for name, _ in asked for label in SAMPLES[name].labels}
    assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= kept
    assert {"summary", "description"} == set(rule["annotations"])
    assert rule["labels"]["severity"] in {"critical", "warning"}


def test_there_are_alerts_for_what_a_user_would_be_woken_for() -> None:
    expressions = " ".join(rule["expr"] for rule in rules())
    assert {
        "keywright_rotations_overdue",
        "keywright_apikeys",
        "keywright_leader",
        "keywright_clock_skew_seconds",
        "keywright_next_expiry_timestamp_seconds",
    } <= set(re.findall(r"keywright_\w+", expressions))
