"""Waits after errors."""

from __future__ import annotations

import pytest

from keywright.controller import backoff
from keywright.kube.errors import ApiError, NotLeadingError, TransportError


def answered(status: int, retry_after: float | None = None) -> ApiError:
    return ApiError(verb="get", resource="secrets", status=status, retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "first", "longest"),
    [
        (TransportError("no answer"), 0.25, 5),
        (NotLeadingError("no"), 0.25, 5),
        (answered(401), 0.25, 5),
        (answered(429), 0.25, 5),
        (answered(503), 0.25, 5),
        (answered(404), 0.05, 5),
        (answered(409), 0.05, 5),
        (answered(403), 1, 300),
        (answered(422), 1, 300),
        (answered(413), 1, 300),
        (ValueError("x"), 1, 300),
    ],
)
def test_each_error_waits_its_time_and_doubles(error: Exception, first: float, longest: float) -> None:
    assert backoff.delay(error, 1, jitter=0) == first
    assert backoff.delay(error, 2, jitter=0) == 2 * first
    assert backoff.delay(error, 5000, jitter=0) == longest


def test_jitter_takes_up_to_half_of_it_away() -> None:
    assert backoff.delay(answered(500), 1, jitter=1) == 0.125
    assert {0.125 <= backoff.delay(answered(500), 1) <= 0.25 for _ in range(100)} == {True}


def test_it_never_comes_back_before_the_server_asked_for_it() -> None:
    assert backoff.delay(answered(429, retry_after=7), 1) == 7
    assert backoff.delay(answered(429, retry_after=1e9), 1) == backoff.LONGEST
