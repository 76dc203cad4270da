"""What a rotation means, example by example."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from keywright.api.policy import Rotation, RotationPolicy
from keywright.keys.schedule import (
    DEFAULT_OVERLAP,
    effective_lifetime,
    effective_rotation,
    jitter,
    next_rotation,
    next_run,
    overlap,
    problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BERLIN = "Europe/Berlin"
CREATED = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
NEVER = Rotation(policy=RotationPolicy.NEVER)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def due(
    rotation: Rotation,
    *,
    created_at: datetime = CREATED,
    ends_at: datetime | None = None,
    outlives: Callable[[datetime], bool] = lambda _: True,
    now: datetime = CREATED,
) -> datetime | None:
    return next_rotation(
        rotation, uid="uid", created_at=created_at, ends_at=ends_at, outlives=outlives, now=now
    )


@pytest.mark.parametrize(
    ("expires_after", "default", "maximum", "expected"),
    [
        (None, None, None, None),
        ("1h", None, None, timedelta(hours=1)),
        (None, "2h", None, timedelta(hours=2)),
        ("1h", "2h", None, timedelta(hours=1)),
        ("0s", "2h", None, None),
        (None, "0s", None, None),
        (None, None, "3h", timedelta(hours=3)),
        ("0s", None, "3h", timedelta(hours=3)),
        ("4h", None, "3h", timedelta(hours=3)),
        ("2h", None, "3h", timedelta(hours=2)),
        (None, "4h", "3h", timedelta(hours=3)),
    ],
)
def test_lifetime_is_own_else_default_and_never_more_than_the_maximum(
    expires_after: str | None,
    default: str | None,
    maximum: str | None,
    expected: timedelta | None,
) -> None:
    assert expected == effective_lifetime(expires_after, default, maximum)


def test_own_rotation_replaces_the_default_as_a_whole() -> None:
    own = Rotation(interval="1h")
    assert own == effective_rotation(own, Rotation(interval="2h", overlap="5m"), None)


def test_default_rotation_applies_where_there_is_no_own() -> None:
    default = Rotation(interval="2h")
    assert default == effective_rotation(None, default, timedelta(hours=9))


def test_with_a_lifetime_alone_rotation_comes_a_third_before_expiry() -> None:
    assert Rotation(before_expiry="720h") == effective_rotation(None, None, timedelta(hours=2160))


def test_without_rotation_or_lifetime_there_is_none() -> None:
    assert effective_rotation(None, None, None) == NEVER


@pytest.mark.parametrize(
    "lifetime", [timedelta(seconds=1), timedelta(seconds=12), timedelta(hours=4 * 99999)]
)
def test_the_implied_rotation_is_never_a_problem(lifetime: timedelta) -> None:
    assert problem(effective_rotation(None, None, lifetime), lifetime) is None


@pytest.mark.parametrize(
    "schedule",
    [
        "@daily",
        "* * * * * *",
        "* * * *",
        "",
        "61 * * * *",
        "0 0 31 2 *",
        "0 0 */31 * 5#5",
        "x",
        "0 0 30 FEB *",
    ],
)
def test_a_schedule_that_never_runs_is_named(schedule: str) -> None:
    found = problem(Rotation.model_construct(schedule=schedule), None)
    assert found is not None
    assert found.field == "spec.rotation.schedule"
    assert 'such as "0 3 * * 1"' in found.message


@pytest.mark.parametrize("schedule", ["0 3 * * 1", "*/5 * * * *", "0 0 29 2 *", "0 0 29 2 */7", "0 0 L * *"])
def test_a_schedule_that_runs_however_seldom_is_good(schedule: str) -> None:
    assert problem(Rotation(schedule=schedule, time_zone=BERLIN), None) is None


@pytest.mark.parametrize(
    "time_zone",
    [
        "Mars/Olympus",
        "Europe",
        "europe/berlin",
        "../../etc/passwd",
        "/etc/localtime",
        "localtime",
        "UTC+1h",
        "+01:00",
    ],
)
def test_a_time_zone_that_does_not_exist_is_named(time_zone: str) -> None:
    found = problem(
        Rotation(schedule="0 3 * * 1", time_zone=time_zone), None, prefix="spec.defaults.rotation"
    )
    assert found is not None
    assert found.field == "spec.defaults.rotation.timeZone"
    assert f'"{time_zone}": write a name of the IANA time zone database' in found.message


@pytest.mark.parametrize(
    "time_zone", ["UTC", BERLIN, "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"]
)
def test_a_time_zone_of_the_database_is_good(time_zone: str) -> None:
    assert problem(Rotation(schedule="0 3 * * 1", time_zone=time_zone), None) is None


@pytest.mark.parametrize(
    ("rotation", "lifetime", "field"),
    [
        (Rotation(interval="1h"), timedelta(hours=1), "spec.rotation.interval"),
        (Rotation(interval="1h"), timedelta(hours=1, seconds=1), None),
        (Rotation(interval="1h"), None, None),
        (Rotation(interval="1h", overlap="61m"), None, "spec.rotation.overlap"),
        (Rotation(interval="1h", overlap="60m"), None, None),
        (Rotation(before_expiry="1h"), None, "spec.rotation.beforeExpiry"),
        (Rotation(before_expiry="1h"), timedelta(hours=1, seconds=9), "spec.rotation.beforeExpiry"),
        (Rotation(before_expiry="1h"), timedelta(hours=1, seconds=10), None),
        (Rotation(policy=RotationPolicy.NEVER, overlap="48h"), timedelta(hours=1), None),
    ],
)
def test_times_must_fit_the_lifetime(
    rotation: Rotation, lifetime: timedelta | None, field: str | None
) -> None:
    found = problem(rotation, lifetime)
    assert field == (found and found.field)


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        # 29 March 2026: 02:00 CET is 03:00 CEST, at 01:00 UTC.
        ("30 2 * * *", "2026-03-28T12:00Z", "2026-03-29T01:00Z"),
        ("30 2 * * *", "2026-03-29T01:00Z", "2026-03-30T00:30Z"),
        ("15,30 2 * * *", "2026-03-29T01:00Z", "2026-03-30T00:15Z"),
        ("0 3 * * *", "2026-03-28T12:00Z", "2026-03-29T01:00Z"),
        ("*/30 * * * *", "2026-03-29T00:30Z", "2026-03-29T01:00Z"),
        ("30 * * * *", "2026-03-29T00:30Z", "2026-03-29T01:30Z"),
        # 25 October 2026: 03:00 CEST is 02:00 CET, at 01:00 UTC.
        ("30 2 * * *", "2026-10-24T12:00Z", "2026-10-25T00:30Z"),
        ("30 2 * * *", "2026-10-25T00:30Z", "2026-10-26T01:30Z"),
        ("30 2 * * *", "2026-10-25T01:10Z", "2026-10-26T01:30Z"),
        ("0 3 * * *", "2026-10-25T00:30Z", "2026-10-25T02:00Z"),
        ("*/30 * * * *", "2026-10-25T00:30Z", "2026-10-25T01:00Z"),
        ("30 * * * *", "2026-10-25T00:30Z", "2026-10-25T01:30Z"),
    ],
)
def test_summer_time_is_as_in_debian_cron(schedule: str, after: str, expected: str) -> None:
    assert at(expected) == next_run(schedule, BERLIN, at(after))


def test_a_run_is_in_utc_whatever_zone_it_is_asked_in() -> None:
    run = next_run("0 3 * * 1", None, CREATED.astimezone(ZoneInfo("Asia/Tokyo")))
    assert (at("2026-11-09T03:00Z"), UTC) == (run, run.tzinfo)


def test_a_run_is_strictly_after() -> None:
    assert at("2026-11-02T12:01Z") == next_run("* * * * *", None, CREATED)


def test_no_run_before_the_year_10000_is_an_error() -> None:
    with pytest.raises(ValueError, match="no date matches"):
        next_run("0 0 1 1 *", None, datetime(9999, 6, 1, tzinfo=UTC))


def test_jitter_is_stable_spread_out_and_at_most_a_twentieth() -> None:
    jitters = [jitter(str(number)) for number in range(1000)]
    assert jitters == [jitter(str(number)) for number in range(1000)]
    assert 0 <= min(jitters) < 0.001
    assert 0.049 < max(jitters) <= 0.05
    assert 0.024 < sum(jitters) / 1000 < 0.026


def test_interval_counts_from_creation_less_the_jitter() -> None:
    expected = (CREATED + timedelta(hours=720) * (1 - jitter("uid"))).replace(microsecond=0)
    assert expected == due(Rotation(interval="720h"))


def test_interval_is_never_less_than_ten_seconds() -> None:
    assert CREATED + timedelta(seconds=10) == due(Rotation(interval="10s"))


def test_schedule_skips_a_run_less_than_ten_seconds_after_creation() -> None:
    rotation = Rotation(schedule="* * * * *")
    assert at("2026-11-02T12:01:00Z") == due(rotation, created_at=at("2026-11-02T12:00:50Z"))
    assert at("2026-11-02T12:02:00Z") == due(rotation, created_at=at("2026-11-02T12:00:51Z"))


def test_a_missed_run_is_the_first_after_creation() -> None:
    assert at("2026-11-03T03:00Z") == due(Rotation(schedule="0 3 * * *"), now=at("2026-12-24T12:00Z"))


def test_before_expiry_counts_back_from_the_end() -> None:
    ends_at = CREATED + timedelta(hours=90)
    assert CREATED + timedelta(hours=60) == due(Rotation(before_expiry="30h"), ends_at=ends_at)


def test_before_expiry_never_comes_without_an_end() -> None:
    assert due(Rotation(before_expiry="30h")) is None


def test_before_expiry_never_comes_before_ten_seconds() -> None:
    ends_at = CREATED + timedelta(hours=1)
    assert CREATED + timedelta(seconds=10) == due(Rotation(before_expiry="30h"), ends_at=ends_at)


def test_before_expiry_needs_a_new_generation_that_outlives_the_current_one() -> None:
    asked = []

    def outlives(moment: datetime) -> bool:
        asked.append(moment)
        return False

    ends_at = CREATED + timedelta(hours=90)
    late = CREATED + timedelta(hours=80)
    assert due(Rotation(before_expiry="30h"), ends_at=ends_at, outlives=outlives) is None
    assert due(Rotation(before_expiry="30h"), ends_at=ends_at, outlives=outlives, now=late) is None
    assert [CREATED + timedelta(hours=60), late] == asked


def test_interval_and_schedule_do_not_ask_what_outlives() -> None:
    assert due(Rotation(interval="1h"), outlives=lambda _: False) is not None
    assert due(Rotation(schedule="0 3 * * *"), outlives=lambda _: False) is not None


def test_never_is_never() -> None:
    assert due(NEVER, ends_at=CREATED + timedelta(hours=1)) is None
    assert due(Rotation(policy=RotationPolicy.NEVER, interval="1h")) is None


@pytest.mark.parametrize("rotation", [Rotation(interval="99999h" * 4), Rotation(schedule="0 0 1 1 *")])
def test_what_comes_after_the_year_9999_never_comes(rotation: Rotation) -> None:
    assert due(rotation, created_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("rotation", "lifetime", "expected"),
    [
        (Rotation(interval="720h", overlap="48h"), None, timedelta(hours=48)),
        (Rotation(interval="720h", overlap="0s"), None, timedelta(0)),
        (Rotation(policy=RotationPolicy.NEVER, overlap="1h"), None, timedelta(hours=1)),
        (NEVER, timedelta(hours=1), DEFAULT_OVERLAP),
        (Rotation(interval="720h"), None, DEFAULT_OVERLAP),
        (Rotation(interval="30s"), None, timedelta(seconds=30)),
        (Rotation(schedule="0 3 * * 1"), None, DEFAULT_OVERLAP),
        (Rotation(schedule="0 */6 * * *"), None, timedelta(hours=6)),
        (Rotation(before_expiry="720h"), timedelta(hours=2160), DEFAULT_OVERLAP),
        (Rotation(before_expiry="50m"), timedelta(hours=1), timedelta(minutes=10)),
    ],
)
def test_overlap_is_a_day_but_no_longer_than_until_the_next_rotation(
    rotation: Rotation,
    lifetime: timedelta | None,
    expected: timedelta,
) -> None:
    assert expected == overlap(rotation, lifetime, CREATED)
