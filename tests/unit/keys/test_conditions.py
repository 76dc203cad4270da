"""Reconciling and Stalled, reason by reason, and when the one turns into the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keywright.api.reasons import ReadyReason
from keywright.keys.conditions import Verdict, condition, progress

NOW = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
TABLE = {
    "Minting": "Reconciling",
    "ProjectNotFound": "Reconciling",
    "SecretLost": "Reconciling",
    "Deleting": "Reconciling",
    "NamespaceNotAllowed": "Reconciling, then Stalled",
    "ScopeNotAllowed": "Reconciling, then Stalled",
    "TypeNotAllowed": "Reconciling, then Stalled",
    "QuotaExceeded": "Reconciling, then Stalled",
    "SecretConflict": "Reconciling, then Stalled",
    "ProjectInvalid": "Reconciling, then Stalled",
    "InvalidSpec": "Stalled",
    "Expired": "Stalled",
    "Revoked": "Stalled",
    "Suspended": "",
    "ProjectSuspended": "",
    "Active": "",
}


def verdict(reason: str, *, alert: bool = False) -> Verdict:
    return Verdict(ReadyReason(reason), "why", alert)


def test_the_table_has_every_reason() -> None:
    assert set(TABLE) == {reason.value for reason in ReadyReason}


@pytest.mark.parametrize("reason", TABLE)
def test_at_first_and_after_thirty_seconds(reason: str) -> None:
    first, turns = progress((), verdict(reason), now=NOW, generation=1)
    old = (first,) if first else ()
    second, _ = progress(old, verdict(reason), now=NOW + timedelta(seconds=30), generation=1)

    shown = [made.type if made else "" for made in (first, second)]
    expected = TABLE[reason].split(", then ")
    assert [expected[0], expected[-1]] == shown
    assert (len(expected) > 1) == (turns is not None)


def test_secret_lost_with_alert_is_stalled_at_once() -> None:
    made, turns = progress((), verdict("SecretLost", alert=True), now=NOW, generation=1)

    assert made is not None
    assert ("Stalled", None) == (made.type, turns)


def test_it_turns_when_it_says_it_turns() -> None:
    first, turns = progress((), verdict("QuotaExceeded"), now=NOW, generation=1)
    assert first is not None
    assert turns is not None
    before, _ = progress(
        (first,), verdict("QuotaExceeded"), now=turns - timedelta(milliseconds=1), generation=1
    )
    after, _ = progress((first,), verdict("QuotaExceeded"), now=turns, generation=1)

    assert ["Reconciling", "Stalled"] == [made.type if made else None for made in (before, after)]


def test_another_reason_begins_the_thirty_seconds_anew() -> None:
    first, _ = progress((), verdict("QuotaExceeded"), now=NOW, generation=1)
    assert first is not None
    later = NOW + timedelta(seconds=40)

    second, turns = progress((first,), verdict("ScopeNotAllowed"), now=later, generation=1)

    assert second is not None
    assert "Reconciling" == second.type
    assert turns == later.replace(microsecond=0) + timedelta(seconds=30)


def test_once_stalled_it_stays_stalled_for_that_reason() -> None:
    first, _ = progress((), verdict("QuotaExceeded"), now=NOW, generation=1)
    assert first is not None
    stalled, _ = progress((first,), verdict("QuotaExceeded"), now=NOW + timedelta(seconds=31), generation=1)
    assert stalled is not None

    again, _ = progress((stalled,), verdict("QuotaExceeded"), now=NOW + timedelta(seconds=32), generation=2)

    assert again is not None
    assert ("Stalled", stalled.last_transition_time) == (again.type, again.last_transition_time)
    assert 2 == again.observed_generation


def test_the_transition_time_moves_with_the_status_only() -> None:
    first = condition((), "Ready", holds=False, reason="Minting", message="a", now=NOW, generation=1)
    later = NOW + timedelta(seconds=9)

    same = condition((first,), "Ready", holds=False, reason="Expired", message="b", now=later, generation=1)
    other = condition((first,), "Ready", holds=True, reason="Active", message="c", now=later, generation=1)

    assert first.last_transition_time == same.last_transition_time
    assert later.replace(microsecond=0) == other.last_transition_time
