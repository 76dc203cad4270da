"""One scrape of an operator, read as Prometheus would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample

    from harness.operator import Operator


class Scrape:
    """The samples of Keywright's own metrics at one moment."""

    def __init__(self, operator: Operator) -> None:
        self.samples = list(_samples(operator.get("/metrics")))

    def value(self, name: str, **labels: str) -> float | None:
        """Return one sample; nothing where there is none."""
        found = (one.value for one in self.samples if (one.name, one.labels) == (name, labels))
        return next(found, None)

    def by(self, label: str, name: str) -> dict[str, float]:
        """Return what is not 0 of a metric, by one of its labels."""
        return {one.labels[label]: one.value for one in self.samples if one.name == name and one.value}


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        if family.name.startswith("keywright_"):
            yield from family.samples
