"""`python -m keywright.decision.reference FILE`: every answer that a request may get, from the code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from keywright.api.reference import keep
from keywright.decision.code import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """<!-- Written by `make generate`. Do not edit. -->

# Answers

What a denied request is told. Match on `code`: it is part of the API, the message is not. The first row that
applies is the answer, so nobody is told of a key that they do not hold. `error` is that of the challenge in
`WWW-Authenticate` (RFC 6750); *none* is a challenge without it.

`rate_limited` comes with `Retry-After`. `not_ready` is the only 5xx. A request that the verifier fails to
judge by its own fault is denied with 403 `internal_error`: gateways may be set to let requests pass on a 5xx.
"""


def text() -> str:
    """Return the document."""
    head = "| status | code | `error` | message |"
    return "\n".join((_HEAD, head, "| --- | --- | --- | --- |", *_rows(), ""))


def _rows() -> Iterator[str]:
    for code in Code:
        yield f"| {code.status} | `{code}` | {_challenge(code)} | {code.message} |"


def _challenge(code: Code) -> str:
    if code.challenge_error is not None:
        return f"`{code.challenge_error}`"
    return "*none*" if code.status == 401 else ""


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:], text()))
