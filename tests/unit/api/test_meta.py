"""Durations and times as the contract writes them, and models that bear with what they do not know."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from keywright.api.apikey import ApiKey
from keywright.api.meta import (
    DURATION_PATTERN,
    TIME_PATTERN,
    Condition,
    format_duration,
    format_time,
    parse_duration,
    parse_time,
    round_down,
    round_up,
)
from keywright.api.project import Project

LONGEST = timedelta(hours=4 * 99_999)


def manifest(**spec: object) -> dict[str, object]:
    """The shortest ApiKey, and this of its spec."""
    return {"metadata": {"name": "checkout"}, "spec": {"projectRef": {"name": "payments"}, **spec}}


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2160h", timedelta(days=90)),
        ("1h30m", timedelta(minutes=90)),
        ("0.5s", timedelta(milliseconds=500)),
        ("1500ms", timedelta(seconds=1.5)),
        ("1m1m", timedelta(minutes=2)),
        ("0s", timedelta()),
    ],
)
def test_a_duration_is_read(text: str, length: timedelta) -> None:
    assert length == parse_duration(text)


@pytest.mark.parametrize(
    "text", ["90d", "", "1", "h", "-1h", "1 h", "1H", "100000h", "1h1h1h1h1h", "1h\n", ".5h"]
)
def test_another_form_of_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="there is no unit for days"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=99_999)))
def test_a_duration_is_written_so_that_it_can_be_read_back(length: timedelta) -> None:
    text = format_duration(length)
    assert length - length % timedelta(milliseconds=1) == parse_duration(text)


@given(st.timedeltas(min_value=timedelta(hours=100_000), max_value=LONGEST))
def test_a_very_long_duration_is_written_in_whole_hours(length: timedelta) -> None:
    assert length - length % timedelta(hours=1) == parse_duration(format_duration(length))


@given(st.timedeltas(min_value=timedelta()))
def test_a_written_duration_always_has_the_form_that_the_api_server_asks_for(length: timedelta) -> None:
    assert re.fullmatch(DURATION_PATTERN[1:-1], format_duration(length))


@given(st.from_regex(DURATION_PATTERN, fullmatch=True, alphabet="0123456789.hms"))
def test_whatever_has_that_form_can_be_read(text: str) -> None:
    assert timedelta() <= parse_duration(text) <= timedelta(hours=400_000)


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2999, 12, 31)))  # noqa: DTZ001
def test_a_status_time_is_read_back_whole(moment: datetime) -> None:
    written = format_time(moment.replace(tzinfo=UTC))
    assert round_down(moment.replace(tzinfo=UTC)) == parse_time(written)
    assert re.fullmatch(TIME_PATTERN[1:-1], written)


@given(st.from_regex(TIME_PATTERN, fullmatch=True, alphabet="0123456789T:.Z+-"))
def test_whatever_has_the_form_of_a_time_can_be_read(text: str) -> None:
    moment = parse_time(text)
    assert isinstance(moment, datetime)
    assert moment.tzinfo is UTC


@given(st.dates(min_value=datetime(2000, 1, 1).date(), max_value=datetime(2999, 12, 31).date()))  # noqa: DTZ001
def test_every_day_of_the_calendar_has_the_form_of_a_time(day: object) -> None:
    assert re.fullmatch(TIME_PATTERN[1:-1], f"{day}T00:00:00Z")


@pytest.mark.parametrize(
    "text", ["2027-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2027-04-31T00:00:00Z", "2027-00-01T00:00:00Z"]
)
def test_no_other_day_has_the_form_of_a_time(text: str) -> None:
    assert not re.fullmatch(TIME_PATTERN[1:-1], text)


def test_an_offset_is_taken_into_account() -> None:
    assert datetime(2027, 1, 1, tzinfo=timezone(timedelta(hours=1))) == parse_time(
        "2027-01-01T00:00:00+01:00"
    )


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="write a time with a zone"):
        parse_time("2027-01-01T00:00:00")


def test_times_are_rounded_to_whole_seconds() -> None:
    whole = datetime(2027, 1, 1, tzinfo=UTC)
    assert whole == round_down(whole + timedelta(microseconds=1)) == round_down(whole)
    assert whole == round_up(whole) == round_up(whole - timedelta(microseconds=1))


def test_unknown_fields_are_tolerated_at_every_depth() -> None:
    newer = {
        "metadata": {"name": "checkout", "managedFields": []},
        "spec": {"projectRef": {"name": "payments", "new": 1}, "new": {"deep": True}},
        "status": {"observedGeneration": 1, "new": []},
        "kind": "ApiKey",
    }
    assert "payments" == ApiKey.model_validate(newer).spec.project_ref.name


def test_an_absent_list_and_an_empty_one_stay_apart() -> None:
    absent = ApiKey.model_validate(manifest())
    empty = ApiKey.model_validate(manifest(rateLimits=[], scopes=[]))
    assert (None, None) == (absent.spec.rate_limits, absent.spec.scopes)
    assert ((), ()) == (empty.spec.rate_limits, empty.spec.scopes)
    assert "rateLimits" not in absent.wire()["spec"]
    assert [] == empty.wire()["spec"]["rateLimits"]


def test_a_project_without_a_spec_has_every_default() -> None:
    spec = Project.model_validate({"metadata": {"name": "payments"}}).spec
    assert ("kw", False, "Same") == (spec.key_prefix, spec.suspend, spec.allowed_namespaces.from_)


def test_a_model_refuses_a_string_of_another_form_as_the_api_server_does() -> None:
    with pytest.raises(ValidationError, match="expiresAfter"):
        ApiKey.model_validate(manifest(expiresAfter="90d"))


def test_a_condition_without_a_message_has_an_empty_one() -> None:
    written = {"type": "Ready", "status": "True", "reason": "Active", "observedGeneration": 1}
    condition = Condition.model_validate(written | {"lastTransitionTime": "2026-11-23T12:00:00Z"})
    assert ("", "True") == (condition.message, condition.status)
