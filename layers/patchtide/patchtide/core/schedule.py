"""When a campaign is due: AWS's schedule expressions, plus what EventBridge cannot say.

`cron(…)` has AWS's six fields (EventBridge Scheduler user guide, "Schedule types"): minutes, hours, day of month, month,
day of week (1 = SUN), year. Stepping through the calendar is croniter's work; it speaks Unix cron, so every field is
first read here in AWS's own terms and handed over as plain numbers.

Three things are ours alone:

- `offset` days after the expression's date, so that "the second Tuesday + 4 days" is one line;
- a local time that a clock change removes happens at the instant the gap ends, instead of being skipped silently;
- a local time that a clock change repeats happens once, the first time.

The preview, the item's `nextRunAt` and the dispatcher all call `occurrences`, so they cannot disagree.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from patchtide.core.errors import InvalidSchedule
from patchtide.core.frozen import frozen

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
LAST_YEAR = 2099
LONGEST_RATE = timedelta(days=366)
RATE_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}

# Compiled when first used: most cold starts read no schedule.
_KIND = r"^(cron|rate|at)\((.*)\)$"
_RATE = r"^([1-9][0-9]*) (minute|hour|day)(s?)$"
_STEP = r"^(?P<range>[^/]+)/(?P<step>[1-9][0-9]*)$"


@frozen
class Occurrence:
    """One due moment: the UTC instant that names it, the same moment in the campaign's zone, and what to know about it.

    `nominal` is the naive local time that the expression names, which a clock change may have removed.
    """

    at: datetime
    local: datetime
    note: str = ""
    nominal: datetime | None = None


@frozen
class Schedule:
    """What a campaign says about when.

    `anchor` is where `rate(…)` counts from when there is no `start`: the moment the campaign was first accepted.
    """

    expression: str
    timezone: str = "UTC"
    offset: int = 0
    start: date | None = None
    end: date | None = None
    anchor: datetime | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The IANA zone in which the expression is read."""
        return ZoneInfo(self.timezone)


@frozen
class _Field:
    """A field of a cron expression: what it is called, and which numbers and names it takes."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    wraps: bool = True

    def number(self, text: str, expression: str) -> int:
        if text in self.names:
            return self.names.index(text) + self.low
        if not text.isascii() or not text.isdigit() or not self.low <= int(text) <= self.high:
            allowed = f"{self.low}-{self.high}" + (f" or {self.names[0]}-{self.names[-1]}" if self.names else "")
            raise InvalidSchedule(expression, f"{text!r} is not a {self.name}", f"Use {allowed}")
        return int(text)

    def values(self, text: str, expression: str) -> set[int]:
        """The numbers that one comma-separated entry of this field stands for."""
        step = re.match(_STEP, text)
        span, every = (step["range"], int(step["step"])) if step else (text, 1)
        if span == "*":
            return set(range(self.low, self.high + 1, every))
        first, dash, last = span.partition("-")
        low = self.number(first, expression)
        if not dash:
            return set(range(low, self.high + 1, every)) if step else {low}
        high = self.number(last, expression)
        if low <= high:
            return set(range(low, high + 1, every))
        if not self.wraps:
            raise InvalidSchedule(expression, f"{span!r} runs backwards", f"Write the smaller {self.name} first")
        size = self.high - self.low + 1
        return {(value - self.low) % size + self.low for value in range(low, high + size + 1, every)}


_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day of month", 1, 31)
_MONTH = _Field("month", 1, 12, MONTHS)
_WEEKDAY = _Field("day of week", 1, 7, WEEKDAYS)
_YEAR = _Field("year", 1970, 2199, wraps=False)


def _plain(field: _Field, text: str, expression: str, shift: int = 0) -> str:
    """A field as croniter's plain list of numbers (`*` stays, it is faster to step)."""
    if text == "*":
        return "*"
    numbers: set[int] = set()
    for entry in text.split(","):
        numbers |= field.values(entry, expression)
    return ",".join(str(number + shift) for number in sorted(numbers))


def _days(text: str, expression: str) -> str:
    if text == "L":
        return "L"
    if nearest := re.fullmatch(r"([0-9]{1,2})W", text):
        return f"{_DAY.number(nearest[1], expression)}W"
    if "L" in text or "W" in text:
        raise InvalidSchedule(
            expression, f"day of month {text!r} mixes L or W with something else", "Use L or nW alone"
        )
    return _plain(_DAY, text, expression)


def _weekdays(text: str, expression: str) -> str:
    """Day of week in croniter's numbers, which start at 0 = Sunday where AWS starts at 1 = SUN."""
    if nth := re.fullmatch(r"([A-Z]{3}|[0-9])#([0-9])", text):
        if nth[2] not in "12345":
            raise InvalidSchedule(expression, f"no month has a {nth[2]}th {nth[1]}", "Use #1 to #5")
        return f"{_WEEKDAY.number(nth[1], expression) - 1}#{nth[2]}"
    if last := re.fullmatch(r"([A-Z]{3}|[0-9])L", text):
        return f"L{_WEEKDAY.number(last[1], expression) - 1}"
    if text == "L":
        return "6"  # Quartz and AWS: L alone means the last day of the week, Saturday
    if "#" in text:
        raise InvalidSchedule(expression, f"day of week {text!r} mixes # with something else", "Use one nth day alone")
    return _plain(_WEEKDAY, text, expression, shift=-1)


def _cron(expression: str, body: str) -> str:
    fields = body.split()
    if len(fields) == 5:
        raise InvalidSchedule(
            expression,
            "cron has 5 fields, AWS's has 6",
            f"Add a year, and ? for the free day, e.g. {_with_year(fields)}",
        )
    if len(fields) != 6:
        raise InvalidSchedule(
            expression, f"cron has {len(fields)} fields, AWS's has 6", "Write: min hour dom month dow year"
        )
    minute, hour, day, month, weekday, year = (field.upper() for field in fields)
    if (day == "?") == (weekday == "?"):
        wrong = "both day of month and day of week are ?" if day == "?" else "neither day of month nor day of week is ?"
        raise InvalidSchedule(expression, wrong, "Exactly one of the two must be ?")
    return " ".join(
        (
            _plain(_MINUTE, minute, expression),
            _plain(_HOUR, hour, expression),
            "*" if day == "?" else _days(day, expression),
            _plain(_MONTH, month, expression),
            "*" if weekday == "?" else _weekdays(weekday, expression),
            "0",  # croniter's seconds
            _years(year, expression),
        )
    )


def _years(text: str, expression: str) -> str:
    """The years as far as croniter goes, which is 2099; AWS's go on for a hundred more. Empty when none are left."""
    years = _plain(_YEAR, text, expression)
    return years if years == "*" else ",".join(year for year in years.split(",") if int(year) <= LAST_YEAR)


def _with_year(fields: list[str]) -> str:
    minute, hour, day, month, weekday = fields
    if weekday == "*":
        weekday = "?"
    elif day == "*":
        day = "?"
    return f"cron({minute} {hour} {day} {month} {weekday} *)"


def _rate(expression: str, body: str) -> timedelta:
    match = re.match(_RATE, body)
    if not match:
        raise InvalidSchedule(expression, "rate needs a number and a unit", "Write e.g. rate(7 days) or rate(12 hours)")
    count, unit, plural = int(match[1]), match[2], match[3]
    if count > 999_999 or RATE_UNITS[unit] * count > LONGEST_RATE:
        raise InvalidSchedule(
            expression, f"{match[1]} {unit}s is too long", f"Use at most {LONGEST_RATE.days} days, or cron"
        )
    if (count == 1) == bool(plural):
        raise InvalidSchedule(
            expression, f"{count} with {unit + plural!r}", f"Write rate({count} {unit}{'s'[: count > 1]})"
        )
    return RATE_UNITS[unit] * count


def _at(expression: str, body: str) -> datetime:
    wrong = InvalidSchedule(expression, "not a local date and time", "Write at(yyyy-mm-ddThh:mm:ss)")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}", body):
        raise wrong
    try:
        moment = datetime.fromisoformat(body)
    except ValueError:
        raise wrong from None
    if not _YEAR.low <= moment.year <= _YEAR.high:
        raise InvalidSchedule(expression, f"the year {moment.year} is out of reach", f"Use {_YEAR.low} to {_YEAR.high}")
    return moment


def _parse(expression: str) -> tuple[str, str]:
    match = re.match(_KIND, expression.strip())
    if not match:
        raise InvalidSchedule(expression, "not a schedule expression", "Write cron(…), rate(…) or at(…)")
    return match[1], match[2].strip()


def check(expression: str) -> None:
    """Nothing, when the expression can be read; else InvalidSchedule with the reason and the fix."""
    kind, body = _parse(expression)
    {"cron": _cron, "rate": _rate, "at": _at}[kind](expression, body)


def _cron_locals(schedule: Schedule, body: str, since: datetime) -> Iterator[datetime]:
    # Here, because only a campaign that is taken or opened asks for its next occurrence: most cold starts never do.
    from croniter import CroniterBadDateError, CroniterError, croniter

    translated = _cron(schedule.expression, body)
    if not translated.rsplit(" ", 1)[1]:
        return  # years beyond croniter's reach alone
    nearest = re.fullmatch(r"(\d+)W", translated.split()[2])
    try:
        calendar = croniter(translated, since, max_years_between_matches=40)
        while True:
            found = calendar.get_next(datetime)
            # croniter takes 31W for the last working day of a month that has no 31st; AWS and Quartz leave that month out.
            if not nearest or int(nearest[1]) <= monthrange(found.year, found.month)[1]:
                yield found
    except CroniterBadDateError:
        return  # no such day within 40 years, or the years are over: there is no next one
    except CroniterError as error:
        raise InvalidSchedule(
            schedule.expression, str(error), "Check each field against AWS's cron reference"
        ) from error


def _rate_instants(schedule: Schedule, every: timedelta, after: datetime) -> Iterator[datetime]:
    """Instants a fixed span apart. "1 day" is 24 hours, as in EventBridge, so wall-clock time moves with the clocks."""
    if schedule.start:
        first = datetime.combine(schedule.start, time(), schedule.zone).astimezone(UTC)
    else:
        first = (schedule.anchor or after) + every
    skipped = max(0, (after - first) // every)
    moment = first + skipped * every
    while True:
        yield moment
        moment += every


def resolve(local: datetime, zone: ZoneInfo) -> Occurrence:
    """The instant of a naive local time: the end of the gap where clocks skip it, the first of two where they repeat it."""
    first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    assert before is not None  # noqa: S101 - a ZoneInfo always has an offset
    assert after is not None  # noqa: S101
    if before < after:
        at = _gap_end(first, before, after)
        shown = at.astimezone(zone)
        return Occurrence(
            at, shown, f"{local:%H:%M} does not exist on {local:%Y-%m-%d}, runs at {shown:%H:%M %Z}", local
        )
    at = first.astimezone(UTC)
    note = f"{local:%H:%M} happens twice on {local:%Y-%m-%d}, runs the first time only" if before > after else ""
    return Occurrence(at, at.astimezone(zone), note, local)


def _gap_end(first: datetime, before: timedelta, after: timedelta) -> datetime:
    """The instant at which the clocks jump: found by halving, since zoneinfo does not say where its transitions are."""
    zone = first.tzinfo
    low = (first.replace(tzinfo=None) - after).replace(tzinfo=UTC)  # read with the new offset: before the jump
    high = (first.replace(tzinfo=None) - before).replace(tzinfo=UTC)  # read with the old offset: at or after it
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def occurrences(schedule: Schedule, after: datetime) -> Iterator[Occurrence]:
    """The due moments strictly after an aware instant, in order, each once.

    Raises InvalidSchedule for an expression that cannot be read. Ends when the schedule has no more moments.
    """
    zone, last = schedule.zone, after
    for found in _unbounded(schedule, after):
        if schedule.end and found.local.date() > schedule.end:
            return
        if found.at <= last or (schedule.start and found.local.date() < schedule.start):
            continue
        last = found.at
        yield Occurrence(found.at, found.at.astimezone(zone), found.note, found.nominal)


def _unbounded(schedule: Schedule, after: datetime) -> Iterator[Occurrence]:
    kind, body = _parse(schedule.expression)
    zone, offset = schedule.zone, timedelta(days=schedule.offset)
    if kind == "rate":
        for at in _rate_instants(schedule, _rate(schedule.expression, body), after):
            yield Occurrence(at, at.astimezone(zone))
    elif kind == "at":
        yield resolve(_at(schedule.expression, body) + offset, zone)
    else:
        since = after.astimezone(zone).replace(tzinfo=None)
        if schedule.start:
            since = max(since, datetime.combine(schedule.start, time()))
        # A day of margin: a time that a clock change moved forward may lie after `after` though it reads as before.
        since -= offset + timedelta(days=1)
        for local in _cron_locals(schedule, body, since):
            yield resolve(local + offset, zone)


def next_occurrence(schedule: Schedule, after: datetime) -> Occurrence | None:
    """The first due moment strictly after an aware instant, or None when there is none."""
    return next(occurrences(schedule, after), None)


def days_later(schedule: Schedule, at: datetime, days: int) -> datetime:
    """The instant that comes so many days after an occurrence, at the same local time. An empty expression will do."""
    found = next_occurrence(schedule, at - timedelta(seconds=1)) if schedule.expression else None
    nominal = found.nominal if found and found.at == at else None
    local = nominal or at.astimezone(schedule.zone).replace(tzinfo=None)
    return resolve(local + timedelta(days=days), schedule.zone).at if days else at
