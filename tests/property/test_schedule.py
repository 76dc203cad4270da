"""What holds for every rotation: no text makes it fail, and no time leaves its bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from keywright.api.meta import format_duration
from keywright.api.policy import Rotation, RotationPolicy
from keywright.keys.schedule import (
    DEFAULT_OVERLAP,
    MINIMUM_AGE,
    effective_lifetime,
    effective_rotation,
    jitter,
    next_rotation,
    next_run,
    overlap,
    problem,
)

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo")

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
SECONDS = MOMENTS.map(lambda moment: moment.replace(microsecond=0))
ANY_MOMENTS = st.datetimes(timezones=st.just(UTC))
LENGTHS = st.timedeltas(timedelta(seconds=1), timedelta(hours=99999))
LIFETIMES = st.none() | LENGTHS
DURATIONS = st.lists(
    st.tuples(st.integers(0, 99999), st.sampled_from(["h", "m", "s", "ms"])), min_size=1, max_size=4
).map(lambda parts: "".join(f"{number}{unit}" for number, unit in parts))

CRON = st.tuples(
    st.sampled_from(["*", "0", "30", "*/7", "5,35", "10-20"]),
    st.sampled_from(["*", "0", "2", "3", "*/6", "1-3"]),
    st.sampled_from(["*", "1", "31", "L", "*/2", "LW"]),
    st.sampled_from(["*", "2", "3,10", "JAN"]),
    st.sampled_from(["*", "1", "MON-FRI", "5#5", "0L"]),
).map(" ".join)
CRON_LIKE = st.text(alphabet="0123456789*/,-#L W@MONmon\t", max_size=30)
NAMES = st.text(alphabet="./\\ABEeurop_+-0\0é", max_size=64) | st.sampled_from(
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "Europe/../Europe/Berlin",
        "Europe/",
        "tzdata.zi",
        "right/UTC",
        "A" * 300,
    ]
)

ROTATIONS = (
    st.builds(Rotation, interval=DURATIONS)
    | st.builds(Rotation, before_expiry=DURATIONS)
    | st.builds(Rotation, schedule=CRON, time_zone=st.none() | st.sampled_from(ZONES))
    | st.just(Rotation(policy=RotationPolicy.NEVER))
)


@settings(deadline=None, max_examples=500)
@given(st.text(max_size=128) | CRON_LIKE | CRON, st.none() | st.text(max_size=64) | NAMES, LIFETIMES)
@example("0 0 */31 * 5#5", None, None)
@example("1" * 128, "\ud800", None)
def test_no_text_makes_a_rotation_fail(
    schedule: str, time_zone: str | None, lifetime: timedelta | None
) -> None:
    rotation = Rotation.model_construct(schedule=schedule, time_zone=time_zone)
    found = problem(rotation, lifetime)
    assert found is None or found.message.isprintable()
    moment = datetime(2026, 11, 2, tzinfo=UTC)
    due = next_rotation(
        rotation, uid="", created_at=moment, ends_at=None, outlives=lambda _: True, now=moment
    )
    assert (found is None) == (due is not None)


@settings(deadline=None)
@given(CRON, st.sampled_from(ZONES), MOMENTS)
def test_runs_come_strictly_later_each_time(schedule: str, time_zone: str, moment: datetime) -> None:
    assume(problem(Rotation(schedule=schedule), None) is None)
    first = next_run(schedule, time_zone, moment)
    second = next_run(schedule, time_zone, first)
    assert moment < first < second
    assert 0 == first.second == first.microsecond


@settings(deadline=None)
@given(CRON, st.sampled_from(ZONES), MOMENTS, st.floats(0, 1))
def test_between_two_runs_the_next_is_the_second(
    schedule: str, time_zone: str, moment: datetime, part: float
) -> None:
    assume(problem(Rotation(schedule=schedule), None) is None)
    first = next_run(schedule, time_zone, moment)
    assert first == next_run(
        schedule, time_zone, min(moment + (first - moment) * part, first - timedelta.resolution)
    )


@settings(deadline=None)
@given(
    st.sampled_from(["*", "*/7", "*/30"]),
    st.sampled_from(["*", "2", "1-3"]),
    st.sampled_from(["Europe/Berlin", "America/New_York"]),
    st.sampled_from([(2026, 3, 8), (2026, 3, 29), (2026, 10, 25), (2026, 11, 1)]),
    st.integers(-12 * 60, 36 * 60),
)
def test_a_job_for_every_minute_runs_whenever_the_clock_on_the_wall_shows_it(
    minute: str, hour: str, time_zone: str, day: tuple[int, int, int], offset: int
) -> None:
    after = datetime(*day, tzinfo=UTC) + timedelta(minutes=offset)
    minutes = set(range(0, 60, int(minute[2:] or 1)))
    hours = {"*": set(range(24)), "2": {2}, "1-3": {1, 2, 3}}[hour]
    candidate = after + timedelta(minutes=1)
    while True:
        local = candidate.astimezone(ZoneInfo(time_zone))
        if local.minute in minutes and local.hour in hours:
            break
        candidate += timedelta(minutes=1)
    assert candidate == next_run(f"{minute} {hour} * * *", time_zone, after)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_jitter_is_within_its_bounds(uid: str) -> None:
    assert 0 <= jitter(uid) <= 0.05


@settings(deadline=None)
@given(ROTATIONS, st.uuids().map(str), SECONDS, LIFETIMES, MOMENTS)
def test_a_rotation_is_in_whole_seconds_and_ten_after_creation(
    rotation: Rotation, uid: str, created_at: datetime, lifetime: timedelta | None, now: datetime
) -> None:
    due = next_rotation(
        rotation,
        uid=uid,
        created_at=created_at,
        ends_at=created_at + lifetime if lifetime else None,
        outlives=lambda _: True,
        now=now,
    )
    assert due is None or (due >= created_at + MINIMUM_AGE and due.microsecond == 0 and due.tzinfo is UTC)


@given(st.timedeltas(MINIMUM_AGE, timedelta(hours=99999)), st.uuids().map(str), SECONDS)
def test_an_interval_is_never_late_and_at_most_a_twentieth_early(
    length: timedelta, uid: str, created_at: datetime
) -> None:
    interval = format_duration(length)
    length = effective_lifetime(interval, None, None) or length
    due = next_rotation(
        Rotation(interval=interval),
        uid=uid,
        created_at=created_at,
        ends_at=None,
        outlives=lambda _: True,
        now=created_at,
    )
    assert due is not None
    assert created_at + length * 0.95 - timedelta(seconds=1) < due <= created_at + length


@settings(deadline=None)
@given(ROTATIONS, ANY_MOMENTS, st.none() | ANY_MOMENTS, LIFETIMES)
@example(Rotation(interval="99999h" * 4), datetime.max.replace(tzinfo=UTC), None, None)
@example(
    Rotation(before_expiry="99999h" * 4),
    datetime.min.replace(tzinfo=UTC),
    datetime.min.replace(tzinfo=UTC),
    None,
)
@example(
    Rotation(schedule="* * * * *", time_zone="Asia/Kathmandu"), datetime.max.replace(tzinfo=UTC), None, None
)
def test_no_time_overflows(
    rotation: Rotation, created_at: datetime, ends_at: datetime | None, lifetime: timedelta | None
) -> None:
    next_rotation(
        rotation, uid="", created_at=created_at, ends_at=ends_at, outlives=lambda _: True, now=created_at
    )
    assert timedelta(0) <= overlap(rotation, lifetime, created_at) <= DEFAULT_OVERLAP


@given(st.none() | DURATIONS, st.none() | DURATIONS, st.none() | DURATIONS)
def test_what_the_lifetime_implies_is_good(
    expires_after: str | None, default: str | None, maximum: str | None
) -> None:
    lifetime = effective_lifetime(expires_after, default, maximum)
    assert lifetime is None or lifetime > timedelta(0)
    assert problem(effective_rotation(None, None, lifetime), lifetime) is None
