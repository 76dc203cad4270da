"""`python -m keywright.verifier.metrics_reference FILE`: every metric of the verifier, from the code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from keywright.api.reference import keep
from keywright.verifier.metrics import FAMILIES, LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """<!-- Written by `make generate`. Do not edit. -->

# Metrics of the verifier

It serves these on its operations port (`--ops-port`, 8082) at `/metrics`, beside prometheus_client's own,
`process_*` and `python_info`. Each replica counts for itself since it started: add them up. No label names
a key; how each key is used is told at `/usage`, to who has the token.

Durations are in seconds.
"""


def text() -> str:
    """Return the document."""
    labels = (f"| `{label}` | {values} |" for label, values in LABELS.items())
    return "\n".join(
        (
            _HEAD,
            "| metric | type | labels | meaning |",
            "| --- | --- | --- | --- |",
            *_rows(),
            "\n## Labels\n",
            "| label | values |",
            "| --- | --- |",
            *labels,
            "",
        )
    )


def _rows() -> Iterator[str]:
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{family.name}` | {family.kind} | {labels} | {family.text} |"


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:], text()))
