"""`python -m keywright.api.reference FILE`: every reason that a person may meet, from the code."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from keywright.api.reasons import (
    EventReason,
    ProjectReason,
    ReadyReason,
    RevocationReadyReason,
    RotatingReason,
)

_HEAD = """<!-- Written by `make generate`. Do not edit. -->

# Reasons and Events

Each condition has a reason, and a message that names field and remedy; this is what each reason means.
"""

_READY = """
When several apply, the first of these is shown; `Active` is the only one with which an ApiKey is Ready.
"""

_EVENTS = """
Events name the id and the revision of a key and never more of it.
"""

Reason = ReadyReason | RotatingReason | ProjectReason | RevocationReadyReason


def text() -> str:
    """Return the document."""
    return "\n".join(
        (
            _HEAD,
            "## ApiKey: Ready",
            _READY,
            *_table(ReadyReason),
            "\n## ApiKey: Rotating\n",
            *_table(RotatingReason),
            "\n## Project: Ready\n",
            *_table(ProjectReason),
            "\n## Revocation: Ready\n",
            *_table(RevocationReadyReason),
            "\n## Events",
            _EVENTS,
            "| Event | type | what happened |",
            "| --- | --- | --- |",
            *(f"| `{e}` | {'Warning' if e.warning else 'Normal'} | {e.sentence} |" for e in EventReason),
            "",
        )
    )


def keep(arguments: list[str], wanted: str) -> int:
    """Write a document into the last argument or, with --check, say whether that file differs."""
    file = Path(arguments[-1])
    if "--check" not in arguments:
        file.write_text(wanted)
        return 0
    if file.is_file() and file.read_text() == wanted:
        return 0
    sys.stderr.write(f"{file} is not what the code says: run make generate\n")
    return 1


def _table(reasons: Iterable[Reason]) -> Iterator[str]:
    yield "| reason | meaning |"
    yield "| --- | --- |"
    yield from (f"| `{reason}` | {reason.sentence} |" for reason in reasons)


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:], text()))
