"""What can go wrong between here and the API server: it said no, or it was not heard.

Neither error shows the server's message: it may quote what was sent, and what was sent may be a
raw key. `explanation` keeps it for the few callers that know better (a quota on Secrets).
"""

from __future__ import annotations

import json
import re
from typing import Any

from keywright.errors import KeywrightError

_REASON = re.compile(r"[A-Za-z]{1,64}")


class TransportError(KeywrightError):
    """No complete answer: refused, cut off or timed out. A write may have landed all the same."""

    code = "transport"


class NotLeadingError(KeywrightError):
    """A write that was not sent, because another replica may be acting."""

    code = "not_leading"


class ApiError(KeywrightError):
    """The API server answered with 4xx or 5xx.

    `reason` and `causes` are the machine-readable words of its Status object ("Conflict",
    "NamespaceTerminating"); `retry_after` is in seconds.
    """

    code = "api_error"

    def __init__(
        self,
        *,
        verb: str,
        resource: str,
        status: int,
        reason: str = "",
        causes: tuple[str, ...] = (),
        retry_after: float | None = None,
        explanation: str | None = None,
    ) -> None:
        super().__init__("the API server refused", verb=verb, resource=resource, status=status, reason=reason)
        self.verb = verb
        self.resource = resource
        self.status = status
        self.reason = reason
        self.causes = causes
        self.retry_after = retry_after
        self.explanation = explanation


def refusal(verb: str, resource: str, status: int, body: bytes, retry_after: str | None) -> ApiError:
    """Return the error that an answer with 4xx or 5xx stands for."""
    answer = _status_object(body)
    details = answer.get("details")
    details = details if isinstance(details, dict) else {}
    causes = details.get("causes") or ()
    words = (cause.get("reason") for cause in causes if isinstance(cause, dict))
    message = answer.get("message")
    return ApiError(
        verb=verb,
        resource=resource,
        status=status,
        reason=_word(answer.get("reason")),
        causes=tuple(word for word in map(_word, words) if word),
        retry_after=_seconds(retry_after) or _seconds(details.get("retryAfterSeconds")),
        explanation=message if isinstance(message, str) else None,
    )


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:  # a proxy's HTML, say
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _word(value: object) -> str:
    return value if isinstance(value, str) and _REASON.fullmatch(value) else ""


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value) if isinstance(value, (str, int, float)) else None
    except ValueError:  # the HTTP-date form, which the API server does not use
        return None
    return seconds if seconds is not None and 0 < seconds < float("inf") else None
