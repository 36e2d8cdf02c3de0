"""Schedules, held against an oracle that walks the calendar day by day."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.core.errors import InvalidSchedule
from patchtide.core.schedule import Schedule, check, next_occurrence, occurrences

START = datetime(2027, 1, 1, tzinfo=UTC)


def first(count: int, expression: str, timezone: str = "UTC", offset: int = 0, after: datetime = START) -> list[str]:
    found = islice(occurrences(Schedule(expression, timezone, offset), after), count)
    return [f"{moment.local:%Y-%m-%d %H:%M %Z}" for moment in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0 22 ? * TUE#2 *)", ["2027-01-12 22:00 UTC", "2027-02-09 22:00 UTC"]),
        ("cron(0 22 ? * 3#2 *)", ["2027-01-12 22:00 UTC", "2027-02-09 22:00 UTC"]),
        ("cron(0 3 ? * FRIL *)", ["2027-01-29 03:00 UTC", "2027-02-26 03:00 UTC"]),
        ("cron(0 3 ? * 6L *)", ["2027-01-29 03:00 UTC", "2027-02-26 03:00 UTC"]),
        ("cron(0 3 ? * L *)", ["2027-01-02 03:00 UTC", "2027-01-09 03:00 UTC"]),
        ("cron(0 3 L * ? *)", ["2027-01-31 03:00 UTC", "2027-02-28 03:00 UTC"]),
        ("cron(0 3 15W * ? *)", ["2027-01-15 03:00 UTC", "2027-02-15 03:00 UTC"]),
        ("cron(0 3 2W * ? *)", ["2027-01-01 03:00 UTC", "2027-02-02 03:00 UTC"]),
        ("cron(0 0 29 2 ? *)", ["2028-02-29 00:00 UTC", "2032-02-29 00:00 UTC"]),
        ("cron(0 0 31 * ? *)", ["2027-01-31 00:00 UTC", "2027-03-31 00:00 UTC"]),
        ("cron(0 3 ? * SAT-SUN *)", ["2027-01-02 03:00 UTC", "2027-01-03 03:00 UTC"]),
        ("cron(0 3 ? * 7-1 *)", ["2027-01-02 03:00 UTC", "2027-01-03 03:00 UTC"]),
        ("cron(0 20-2 * * ? *)", ["2027-01-01 01:00 UTC", "2027-01-01 02:00 UTC"]),
        ("cron(0/20 4 * * ? *)", ["2027-01-01 04:00 UTC", "2027-01-01 04:20 UTC"]),
        ("cron(0 4 1 NOV-FEB ? *)", ["2027-01-01 04:00 UTC", "2027-02-01 04:00 UTC"]),
        ("cron(0 4 1 1 ? 2028-2030)", ["2028-01-01 04:00 UTC", "2029-01-01 04:00 UTC"]),
        ("cron(0 4 ? * mon,WED *)", ["2027-01-04 04:00 UTC", "2027-01-06 04:00 UTC"]),
        ("rate(7 days)", ["2027-01-08 00:00 UTC", "2027-01-15 00:00 UTC"]),
        ("at(2027-03-01T22:30:00)", ["2027-03-01 22:30 UTC"]),
        ("cron(0 4 1 1 ? 2020)", []),
    ],
)
def test_expressions_mean_what_aws_says(expression: str, expected: list[str]) -> None:
    assert first(2, expression) == expected


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("0 22 * * *", "not a schedule expression"),
        ("cron(0 22 * * *)", "Add a year, and ? for the free day, e.g. cron(0 22 * * ? *)"),
        ("cron(0 22 * * * *)", "Exactly one of the two must be ?"),
        ("cron(0 22 ? * ? *)", "Exactly one of the two must be ?"),
        ("cron(60 22 * * ? *)", "'60' is not a minute"),
        ("cron(0 22 ? * TUES *)", "'TUES' is not a day of week"),
        ("cron(0 22 ? * TUE#6 *)", "Use #1 to #5"),
        ("cron(0 22 LW * ? *)", "Use L or nW alone"),
        ("cron(0 22 * * ? 2030-2028)", "runs backwards"),
        ("cron(0 22 ? * 0 *)", "'0' is not a day of week"),
        ("cron(0 22 ? * -1 *)", "'' is not a day of week"),
        ("rate(1 days)", "Write rate(1 day)"),
        ("rate(7 weeks)", "Write e.g. rate(7 days)"),
        ("rate(0 days)", "Write e.g. rate(7 days)"),
        ("at(2027-02-30T00:00:00)", "not a local date and time"),
        ("at(2027-02-03)", "Write at(yyyy-mm-ddThh:mm:ss)"),
    ],
)
def test_a_wrong_expression_is_refused_with_the_fix(expression: str, complaint: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        check(expression)
    assert complaint in str(refused.value)


def second_tuesdays(year: int, month: int) -> date:
    return next(day for n in range(8, 15) if (day := date(year, month, n)).weekday() == 1)


@pytest.mark.parametrize("offset", range(28))
def test_the_second_tuesday_and_some_days_is_right_from_2017_to_2030(offset: int) -> None:
    schedule = Schedule("cron(0 22 ? * TUE#2 *)", "Europe/London", offset)
    found = occurrences(schedule, datetime(2017, 1, 1, tzinfo=UTC) + timedelta(days=offset))
    expected = [second_tuesdays(y, m) + timedelta(days=offset) for y in range(2017, 2031) for m in range(1, 13)]
    got = [moment.local.replace(tzinfo=None) for moment in islice(found, len(expected))]
    assert got == [datetime.combine(day, time(22)) for day in expected]


@pytest.mark.parametrize(
    ("timezone", "expression", "after", "expected", "note"),
    [
        ("America/New_York", "cron(30 2 * * ? *)", "2027-03-14", "2027-03-14T07:00:00", "02:30 does not exist"),
        ("Europe/London", "cron(30 1 * * ? *)", "2027-03-28", "2027-03-28T01:00:00", "01:30 does not exist"),
        (
            "Australia/Lord_Howe",
            "cron(15 2 * * ? *)",
            "2027-10-02T14:00:00",
            "2027-10-02T15:30:00",
            "02:15 does not exist",
        ),
        ("America/New_York", "cron(30 1 * * ? *)", "2027-11-07", "2027-11-07T05:30:00", "01:30 happens twice"),
        ("Europe/London", "cron(30 1 * * ? *)", "2027-10-30T12:00:00", "2027-10-31T00:30:00", "01:30 happens twice"),
    ],
)
def test_a_clock_change_neither_loses_nor_doubles_a_run(
    timezone: str, expression: str, after: str, expected: str, note: str
) -> None:
    schedule = Schedule(expression, timezone)
    found, following = islice(occurrences(schedule, datetime.fromisoformat(after).replace(tzinfo=UTC)), 2)
    assert found.at == datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert note in found.note
    assert following.local.date() == found.local.date() + timedelta(days=1)


def test_casablanca_turns_its_clocks_around_ramadan() -> None:
    after = datetime(2026, 2, 1, tzinfo=UTC)
    found = islice(occurrences(Schedule("cron(30 2 * * ? *)", "Africa/Casablanca"), after), 70)
    notes = [moment.note for moment in found if moment.note]
    assert [note[:5] for note in notes] == ["02:30", "02:30"]


def test_the_gap_moves_no_run_onto_another() -> None:
    after = datetime(2027, 3, 14, 6, tzinfo=UTC)
    found = first(4, "cron(0/30 * * * ? *)", "America/New_York", after=after)
    assert found == ["2027-03-14 01:30 EST", "2027-03-14 03:00 EDT", "2027-03-14 03:30 EDT", "2027-03-14 04:00 EDT"]


def test_dates_bound_a_schedule_on_both_sides() -> None:
    schedule = Schedule("cron(0 4 * * ? *)", start=date(2027, 6, 1), end=date(2027, 6, 3))
    assert [moment.local.day for moment in occurrences(schedule, START)] == [1, 2, 3]


def test_a_rate_counts_from_where_the_campaign_began() -> None:
    schedule = Schedule("rate(12 hours)", anchor=datetime(2027, 1, 1, 9, tzinfo=UTC))
    assert next_occurrence(schedule, datetime(2027, 1, 3, tzinfo=UTC)) == next_occurrence(
        schedule, datetime(2027, 1, 3, 8, 59, tzinfo=UTC)
    )


def walk(hour: int, minute: int, weekdays: set[int], months: set[int], zone: ZoneInfo) -> Iterator[datetime]:
    """The oracle: every day from the start, each judged by itself, with no calendar arithmetic of ours."""
    day = START.date() - timedelta(days=2)
    while True:
        if day.isoweekday() % 7 in weekdays and day.month in months:
            local = datetime.combine(day, time(hour, minute), zone)
            moment = local.astimezone(UTC)
            if moment.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
                moment = _jump(day, zone)
            if moment > START:
                yield moment
        day += timedelta(days=1)


def _jump(day: date, zone: ZoneInfo) -> datetime:
    """The minute at which the day's clocks jump forward, found by looking at every minute."""
    minute = datetime.combine(day, time(), UTC) - timedelta(hours=15)
    while True:
        after = minute + timedelta(minutes=1)
        before_offset, after_offset = minute.astimezone(zone).utcoffset(), after.astimezone(zone).utcoffset()
        assert before_offset is not None
        assert after_offset is not None
        if after_offset > before_offset:
            return after
        minute = after


@given(
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
    months=st.sets(st.integers(1, 12), min_size=1),
    zone=st.sampled_from(
        ["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo"]
    ),
)
def test_cron_agrees_with_the_oracle(hour: int, minute: int, weekdays: set[int], months: set[int], zone: str) -> None:
    days = ",".join(str(day + 1) for day in sorted(weekdays))
    expression = f"cron({minute} {hour} ? {','.join(map(str, sorted(months)))} {days} *)"
    found = [moment.at for moment in islice(occurrences(Schedule(expression, zone), START), 40)]
    assert found == list(islice(walk(hour, minute, weekdays, months, ZoneInfo(zone)), 40))


@given(st.dates(date(2020, 1, 1), date(2040, 1, 1)))
def test_the_last_day_of_a_month_is_the_calendars(day: date) -> None:
    found = next_occurrence(Schedule("cron(0 12 L * ? *)"), datetime.combine(day, time(), UTC))
    assert found
    assert found.local.day == monthrange(found.local.year, found.local.month)[1]
