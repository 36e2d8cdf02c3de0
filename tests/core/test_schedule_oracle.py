"""Every zone's clocks, minute by minute: an oracle that knows only what AWS's fields and our three promises say.

It shares nothing with the code it judges: no croniter, no look-up of an instant from a local time. It walks UTC, reads
each minute's wall clock, and asks of that minute alone whether it is due:

- its wall-clock time fits the fields, on the local date less the offset, and is shown for the first time; or
- the clocks have just jumped to it, and a minute they jumped over fits.
"""

from calendar import monthrange
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice, takewhile
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import pytest

from patchtide.core.schedule import Schedule, occurrences

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

# "localtime" is whatever the machine is set to, not one of IANA's.
ZONES = sorted(available_timezones() - {"localtime"})
YEARS = (2026, 2027, 2028)
# Clock changes of another size than today's: two zones that skipped a whole day, and two that moved by half an hour.
ODD_YEARS = {"Pacific/Apia": 2011, "Pacific/Kwajalein": 1993, "America/Caracas": 2016, "Asia/Pyongyang": 2018}
SHARES = 8


@cache
def dial(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """What a field of numbers stands for, found by turning a dial and marking where it stops."""
    marked = set()
    for entry in text.upper().split(","):
        span, _, step = entry.partition("/")
        first, _, last = span.replace("*", f"{low}-{high}").partition("-")
        value, end = (names.index(name) + low if name in names else int(name) for name in (first, last or first))
        if step and not last:
            end = high
        turns = 0
        while True:
            if turns % int(step or 1) == 0:
                marked.add(value)
            if value == end:
                break
            value, turns = (low if value == high else value + 1), turns + 1
    return frozenset(marked)


@cache
def month_of(year: int, month: int) -> list[date]:
    return [date(year, month, number) for number in range(1, monthrange(year, month)[1] + 1)]


def fits_day_of_month(text: str, day: date) -> bool:
    month = month_of(day.year, day.month)
    if text == "L":
        return day == month[-1]
    if not text.endswith("W"):
        return day.day in dial(text, 1, 31)
    number = int(text[:-1])
    working = [other for other in month if other.isoweekday() <= 5]
    return number <= len(month) and day == min(working, key=lambda other: abs(other - month[number - 1]))


def fits_day_of_week(text: str, day: date) -> bool:
    text, aws_weekday = text.upper(), day.isoweekday() % 7 + 1
    if text == "L":
        return aws_weekday == 7
    name, _, nth = text.removesuffix("L").partition("#")
    if aws_weekday not in dial(name, 1, 7, WEEKDAYS):
        return False
    same = [other for other in month_of(day.year, day.month) if other.isoweekday() == day.isoweekday()]
    return same.index(day) + 1 == int(nth) if nth else day == same[-1] or not text.endswith("L")


@cache
def fits_days(days: str, weekdays: str, day: date) -> bool:
    return (days == "?" or fits_day_of_month(days, day)) and (weekdays == "?" or fits_day_of_week(weekdays, day))


def fits_month(text: str, day: date) -> bool:
    return day.month in dial(text, 1, 12, MONTHS)


def fits_year(text: str, day: date) -> bool:
    return day.year in dial(text, 1970, 2199)


@cache
def fits_date(days: str, months: str, weekdays: str, years: str, day: date) -> bool:
    return fits_days(days, weekdays, day) and fits_month(months, day) and fits_year(years, day)


@dataclass(frozen=True)
class Minute:
    """A minute of UTC: what the clock on the wall shows, whether it did so before, and what it has just jumped over."""

    at: datetime
    local: datetime
    again: bool
    skipped: tuple[datetime, ...]


def walk(zone: ZoneInfo, start: datetime, minutes: int) -> Iterator[Minute]:
    before = None
    for at in (start + number * MINUTE for number in range(-1, minutes)):
        shown = at.astimezone(zone)
        local = shown.replace(tzinfo=None, fold=0)
        if before:
            skipped = range(1, (local - before) // MINUTE) if local - before > MINUTE else ()
            yield Minute(at, local, shown.fold == 1, tuple(before + number * MINUTE for number in skipped))
        before = local


def changes(zone: ZoneInfo, year: int) -> Iterator[datetime]:
    """The instants at which the zone's clocks change, found by looking at every day, then at its hours and minutes."""
    at, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    while at < end:
        offset = at.astimezone(zone).utcoffset()
        for step in (DAY, HOUR, MINUTE):
            while at < end and (at + step).astimezone(zone).utcoffset() == offset:
                at += step
        at += MINUTE
        if at < end:
            yield at


def windows(zone: ZoneInfo, chance: Random) -> Iterator[list[Minute]]:
    changing = [change for year in (*YEARS, ODD_YEARS.get(zone.key)) if year for change in changes(zone, year)]
    for change in changing:
        lead = chance.choice((-20, 0, 1, 45, 90, 150))
        yield list(walk(zone, change - lead * MINUTE, lead + chance.randint(150, 220)))
    for _ in range(1 if changing else 3):
        start = datetime(YEARS[0], 1, 1, tzinfo=UTC) + chance.randrange(len(YEARS) * 365 * 24 * 60) * MINUTE
        yield list(walk(zone, start, 480))


# What expressions are made of. In these, n is the number to be met, and p and q lie a little before and after it.
MINUTE_FIELDS = (
    "{n}",
    "{n}",
    "{n}/7",
    "{p}-{q}",
    "{p}-{q}/3",
    "{q}-{p}/2",
    "0/7",
    "*/20",
    "0,30",
    "5,15-20,50-59/4",
    "55-5",
)
HOUR_FIELDS = ("{n}", "{n}", "*", "{p}-{q}", "{q}-{n}/2", "20-4", "22-2", "0/3", "*/2", "1/2", "0,2,3", "1-3")
MONTH_FIELDS = ("*", "*", "{n}", "{p}-{q}", "NOV-APR", "sep-mar/2", "MAR,OCT,NOV", "JAN/3", "2/2", "FEB-APR,SEP-11")
YEAR_FIELDS = ("*", "*", "{n}", "2026-2028", "2020-2199", "2027/2", "2026,2028", "1993,2005-2020/2")
EVERY_WEEKDAY = [*WEEKDAYS, *"1234567"]
DAY_FIELDS: dict[str, Sequence[tuple[str, str]]] = {
    "any": [("*", "?"), ("?", "*")],
    "days": [(text, "?") for text in ("1-7", "8-14", "28-3", "25-7/3", "1/5", "*/3", "1,15", "31", "14,28-31", "20/2")],
    "L": [("L", "?")],
    "nW": [(f"{number}W", "?") for number in range(1, 32)],
    "weekdays": [("?", text) for text in ("SUN", "1", "mon-fri", "SAT-SUN", "6-2", "2/2", "TUE,THU", "7", "FRI-MON/2")],
    "n#k": [("?", f"{weekday}#{nth}") for weekday in EVERY_WEEKDAY for nth in range(1, 6)],
    "nL": [("?", f"{weekday}L") for weekday in [*EVERY_WEEKDAY, "fri"]],
    "L of week": [("?", "L")],
}


def among(low: int, high: int, number: int) -> int:
    return (number - low) % (high - low + 1) + low


def field(fields: Sequence[str], number: int, low: int, high: int, chance: Random, fits: Callable[[str], bool]) -> str:
    p, q = among(low, high, number - chance.randint(1, 3)), among(low, high, number + chance.randint(1, 3))
    written = [text.format(n=number, p=p, q=q) for text in fields]
    return chance.choice([text for text in written if fits(text)])


@dataclass(frozen=True)
class Expression:
    kind: str
    fields: tuple[str, str, str, str, str, str]

    def fits(self, local: datetime, offset: int) -> bool:
        minutes, hours, days, months, weekdays, years = self.fields
        return (
            local.minute in dial(minutes, 0, 59)
            and local.hour in dial(hours, 0, 23)
            and fits_date(days, months, weekdays, years, local.date() - offset * DAY)
        )


def expression(local: datetime, offset: int, chance: Random) -> Expression:
    """An expression that is due at a local time, by whichever of its fields chance allows."""
    day = local.date() - offset * DAY
    minutes = field(MINUTE_FIELDS, local.minute, 0, 59, chance, lambda text: local.minute in dial(text, 0, 59))
    hours = field(HOUR_FIELDS, local.hour, 0, 23, chance, lambda text: local.hour in dial(text, 0, 23))
    fitting = {kind: [pair for pair in pairs if fits_days(*pair, day)] for kind, pairs in DAY_FIELDS.items()}
    kind = chance.choice([kind for kind, pairs in fitting.items() if pairs])
    days, weekdays = chance.choice(fitting[kind])
    months = field(MONTH_FIELDS, day.month, 1, 12, chance, lambda text: fits_month(text, day))
    years = field(YEAR_FIELDS, day.year, 1970, 2199, chance, lambda text: fits_year(text, day))
    return Expression(kind, (minutes, hours, days, months, weekdays, years))


def aims(window: list[Minute], chance: Random) -> Iterator[datetime]:
    """Local times worth being due at: two in a gap or a repeated hour if there is one, and one anywhere or not here."""
    special = [*(local for minute in window for local in minute.skipped), *(m.local for m in window if m.again)]
    if special:
        yield from chance.choices(special, k=2)
    yield chance.choice(window).local + chance.choice((0, 0, 0, chance.randint(-40, 40))) * DAY


def offset_for(aim: datetime, chance: Random) -> int:
    """None, any, or the one that leads back to the last day of a month, which so few clock changes are near."""
    return chance.choice((0, 0, chance.randint(1, 27), min(aim.day, 27)))


def judged(wanted: Expression, offset: int, window: list[Minute], seen: Counter[str]) -> Iterator[datetime]:
    """The oracle's word: those instants of the window at which the expression is due."""
    for minute in window:
        fits = wanted.fits(minute.local, offset)
        jumped_over = sum(wanted.fits(local, offset) for local in minute.skipped)
        if fits and minute.again:
            seen["repeated"] += 1
        elif fits or jumped_over:
            seen["due"] += 1
            seen[wanted.kind] += 1
            seen["in a gap"] += bool(jumped_over)
            seen["merged"] += fits + jumped_over > 1
            yield minute.at
    seen["instants"] += len(window)


def spelled(instants: Sequence[datetime]) -> str:
    return " ".join(f"{at:%m-%dT%H:%MZ}" for at in instants)


@pytest.mark.parametrize("share", range(SHARES))
def test_every_minute_around_every_clock_change_is_due_when_the_oracle_says_so(share: int) -> None:
    seen: Counter[str] = Counter()
    disagreements = []
    for key in ZONES[share::SHARES]:
        zone, chance = ZoneInfo(key), Random(f"oracle {key}")  # noqa: S311 - a story, not a secret
        for window in windows(zone, chance):
            start, end = window[0].at, window[-1].at + MINUTE
            for aim in aims(window, chance):
                offset = offset_for(aim, chance)
                wanted = expression(aim, offset, chance)
                schedule = Schedule(f"cron({' '.join(wanted.fields)})", key, offset)
                due = list(judged(wanted, offset, window, seen))
                found = (moment.at for moment in occurrences(schedule, start - timedelta(seconds=1)))
                got = list(takewhile(end.__gt__, found))
                if got != due:
                    disagreements.append(f"{schedule} from {start}:\ndue {spelled(due)}\ngot {spelled(got)}")
    assert not disagreements, f"{len(disagreements)} disagreements, e.g.\n" + "\n".join(disagreements[:10])
    assert seen["instants"] >= 1_000_000 / SHARES
    assert seen["due"] >= 2_000
    assert seen["in a gap"] >= 60
    assert seen["merged"] >= 30
    assert seen["repeated"] >= 150
    assert not [kind for kind in DAY_FIELDS if seen[kind] < 10]


# Casablanca's days are those of 2026: since 2026f, the time zone database has Morocco change no clocks from 2027 on.
@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        (
            "Europe/London",  # 01:00 becomes 02:00 at 01:00Z
            date(2027, 3, 28),
            "03-28T00:15Z 03-28T00:45Z 03-28T01:00Z 03-28T01:15Z 03-28T01:45Z 03-28T02:15Z 03-28T02:45Z",
        ),
        (
            "Europe/London",  # 02:00 becomes 01:00 at 01:00Z
            date(2027, 10, 31),
            "10-30T23:15Z 10-30T23:45Z 10-31T00:15Z 10-31T00:45Z 10-31T02:15Z 10-31T02:45Z 10-31T03:15Z 10-31T03:45Z",
        ),
        (
            "America/New_York",  # 02:00 becomes 03:00 at 07:00Z
            date(2027, 3, 14),
            "03-14T05:15Z 03-14T05:45Z 03-14T06:15Z 03-14T06:45Z 03-14T07:00Z 03-14T07:15Z 03-14T07:45Z",
        ),
        (
            "America/New_York",  # 02:00 becomes 01:00 at 06:00Z
            date(2027, 11, 7),
            "11-07T04:15Z 11-07T04:45Z 11-07T05:15Z 11-07T05:45Z 11-07T07:15Z 11-07T07:45Z 11-07T08:15Z 11-07T08:45Z",
        ),
        (
            "Australia/Lord_Howe",  # 02:00 becomes 01:30 at 15:00Z of the day before
            date(2027, 4, 4),
            "04-03T13:15Z 04-03T13:45Z 04-03T14:15Z 04-03T14:45Z 04-03T15:45Z 04-03T16:15Z 04-03T16:45Z 04-03T17:15Z",
        ),
        (
            "Australia/Lord_Howe",  # 02:00 becomes 02:30 at 15:30Z of the day before
            date(2027, 10, 3),
            "10-02T13:45Z 10-02T14:15Z 10-02T14:45Z 10-02T15:15Z 10-02T15:30Z 10-02T15:45Z 10-02T16:15Z 10-02T16:45Z",
        ),
        (
            "Africa/Casablanca",  # Ramadan: 03:00 becomes 02:00 at 02:00Z
            date(2026, 2, 15),
            "02-14T23:15Z 02-14T23:45Z 02-15T00:15Z 02-15T00:45Z 02-15T01:15Z 02-15T01:45Z 02-15T03:15Z 02-15T03:45Z",
        ),
        (
            "Africa/Casablanca",  # and after it: 02:00 becomes 03:00 at 02:00Z
            date(2026, 3, 22),
            "03-22T00:15Z 03-22T00:45Z 03-22T01:15Z 03-22T01:45Z 03-22T02:00Z 03-22T02:15Z 03-22T02:45Z",
        ),
    ],
)
def test_the_small_hours_of_a_clock_change_run_at_these_instants(zone: str, day: date, expected: str) -> None:
    before = datetime(day.year, day.month, day.day, tzinfo=UTC) - 2 * DAY
    found = islice(occurrences(Schedule("cron(15/30 0-3 * * ? *)", zone), before), 40)
    assert spelled([moment.at for moment in found if moment.local.date() == day]) == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("31W", "01-29 03-31 05-31 07-30 08-31 10-29 12-31"),
        ("30W", "01-29 03-30 04-30 05-31 06-30 07-30 08-30 09-30 10-29 11-30 12-30"),
        ("29W", "01-29 03-29 04-29 05-28 06-29 07-29 08-30 09-29 10-29 11-29 12-29"),
    ],
)
def test_nw_leaves_out_a_month_that_has_no_nth_day(days: str, expected: str) -> None:
    year = [date(2027, 1, 1) + number * DAY for number in range(365)]
    if " ".join(f"{day:%m-%d}" for day in year if fits_days(days, "?", day)) != expected:
        pytest.fail("the oracle itself is wrong")
    found = occurrences(Schedule(f"cron(0 12 {days} * ? 2027)"), datetime(2027, 1, 1, tzinfo=UTC))
    assert " ".join(f"{moment.at:%m-%d}" for moment in found) == expected


@pytest.mark.parametrize("years", ["2020-2199", "2027/2", "*/2"])
def test_years_go_on_to_2199_as_aws_says(years: str) -> None:
    due = next(year for year in range(2027, 2200) if year in dial(years, 1970, 2199))
    found = occurrences(Schedule(f"cron(0 12 1 6 ? {years})"), datetime(2027, 1, 1, tzinfo=UTC))
    assert next(found).at == datetime(due, 6, 1, 12, tzinfo=UTC)
