"""`python -m keywright.controller.metrics_reference RULES FILE`: every metric and every alert on them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from keywright.api.reference import keep
from keywright.controller import census
from keywright.controller.metrics import LABELS, Family, Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD = """<!-- Written by `make generate`. Do not edit. -->

# Metrics

The operator serves these on its operations port (`--ops-port`, 8081) at `/metrics`, beside `process_*` and
`python_info`, which are prometheus_client's own. No label names an object: what there is to see is bounded
by what Keywright can do, and not by how many ApiKeys there are.
"""

_PROCESS = """
Since the process started. Only the replica that acts mints and rotates.
"""

_OBJECTS = """
As of the scrape, of all that it serves. Every replica reports the same: take the maximum.
"""

_ALERTS = """
[`prometheusrule.yaml`](prometheusrule.yaml) for the Prometheus
Operator; its groups are rules for a Prometheus without one as well.
"""

_UNITS = {"_timestamp_seconds": "seconds since 1970", "_seconds": "seconds"}


def text(rules: Path) -> str:
    """Return the document."""
    return "\n".join(
        (
            _HEAD,
            "## The process",
            _PROCESS,
            *_table(Metrics().families),
            "\n## The objects",
            _OBJECTS,
            *_table(census.FAMILIES),
            "\n## Labels\n",
            "| label | values |",
            "| --- | --- |",
            *(f"| `{label}` | {values} |" for label, values in LABELS.items()),
            "\n## Alerts",
            _ALERTS,
            "| alert | for | expression |",
            "| --- | --- | --- |",
            *_alerts(rules),
            "",
        )
    )


def unit(name: str) -> str:
    """Return the unit that a metric's name ends in; nothing of a plain number."""
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def _table(families: Iterable[Family]) -> Iterator[str]:
    yield "| metric | type | unit | labels | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for family in families:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{family.name}` | {family.kind} | {unit(family.name)} | {labels} | {family.text} |"


def _alerts(rules: Path) -> Iterator[str]:
    for group in yaml.safe_load(rules.read_text())["spec"]["groups"]:
        for rule in group["rules"]:
            expression = rule["expr"].replace("|", r"\|")
            yield f"| {rule['alert']} | {rule.get('for', '')} | `{expression}` |"


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:], text(Path(sys.argv[-2]))))
