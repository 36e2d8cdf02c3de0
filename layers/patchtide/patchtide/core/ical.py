"""When a calendar says no: the spans that a company's change calendar (iCalendar, RFC 5545) closes.

Reading the text is icalendar's work, laying out what recurs is recurring-ical-events'. Ours is to say what closes:

- an event closes from its start to its end; a whole day is a day in the campaign's zone, a time without a zone is local
  there too;
- what is cancelled closes nothing, nor does what is marked as free time (TRANSP:TRANSPARENT), nor what has no length;
- where the libraries forgive, we refuse: a date that is passed over because it is hard to read is a freeze not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, cast
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from icalendar import Component, Event

Span = tuple[datetime, datetime]

# What decides when an event takes place: nothing of it may be passed over. None stands for a line that is no property.
_DECISIVE = {"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "SEQUENCE", None}
# The library steps from an event's first time to ours one by one: at this pace, for minutes and gigabytes.
_TOO_OFTEN = {"SECONDLY", "MINUTELY"}
# The library takes dates and local times for UTC, which may be 14 hours off, and an empty day for its first moment.
_MARGIN = timedelta(days=2)
_DAY = timedelta(days=1)
# What the libraries let through when a text is malformed in a way that they did not think of.
_STUMBLES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def closed_spans(text: str, zone: ZoneInfo, after: datetime, before: datetime) -> tuple[Span, ...]:
    """The parts of [after, before) in which an event takes place: UTC spans [start, end), merged and in order.

    Raises:
        ValueError: The text is no iCalendar, or leaves open when one of its events takes place.
    """
    after, before = after.astimezone(UTC), before.astimezone(UTC)
    calendars = _calendars(text)
    for calendar in calendars:
        _refuse_unclear(cast("list[Event]", calendar.walk("VEVENT")), zone)
    if before <= after:
        return ()
    spans = (span for calendar in calendars for span in _spans(calendar, zone, after, before))
    return _merged((max(start, after), min(end, before)) for start, end in spans)


def _calendars(text: str) -> list[Component]:
    # Imported here, as its sibling below: together they cost a quarter of a second, and few campaigns have a calendar.
    from icalendar import Calendar
    from icalendar.timezone import tzp

    text = text.strip("\ufeff \t\r\n")
    first, last = text.partition("\n")[0].strip(), text.rpartition("\n")[2].strip()
    if first.upper() != "BEGIN:VCALENDAR":
        raise ValueError(f"this is no iCalendar text: it begins with {first[:60]!r} instead of BEGIN:VCALENDAR")
    if last.upper() != "END:VCALENDAR":
        raise ValueError(f"the calendar is cut off: it ends with {last[:60]!r} instead of END:VCALENDAR")
    # The library remembers the zones that a text defines, and would read the next text's zones of that name by them.
    tzp.use_default()
    try:
        calendars: list[Component] = [*Calendar.from_ical(text, multiple=True)]
    except _STUMBLES as fault:
        raise ValueError(f"the calendar cannot be read: {fault}") from fault
    if not calendars:
        raise ValueError("the calendar cannot be read: a BEGIN has no END")
    return calendars


def _refuse_unclear(events: list[Event], zone: ZoneInfo) -> None:
    """Raise a ValueError if the libraries would guess when an event takes place, or never come to an end."""
    seen: set[tuple[str, str, int]] = set()
    for event in events:
        try:
            doubt = next(_doubts(event, zone), None)
            identity = (str(event.uid), str(event.decoded("RECURRENCE-ID", None)), event.sequence)
        except _STUMBLES as fault:
            raise ValueError(f"{_named(event)} cannot be read: {fault}") from fault
        if doubt:
            raise ValueError(f"{_named(event)} {doubt}")
        # Of two that claim to be the same version of the same event, the library would drop one.
        if event.uid and identity in seen:
            raise ValueError(f"two events have the UID {str(event.uid)!r}: give each its own")
        seen.add(identity)


def _doubts(event: Event, zone: ZoneInfo) -> Iterator[str]:
    from icalendar.timezone import tzp

    for name, fault in event.errors:
        if name in _DECISIVE:
            yield f"cannot be read: {fault}"
    if _instant(event.end, zone) < _instant(event.start, zone):
        yield "ends before it starts"
    for name, value in event.property_items(recursive=False):
        parameters = getattr(value, "params", {})
        if named_zone := parameters.get("TZID"):
            if tzp.timezone(named_zone) is None:
                yield f"is in the time zone {named_zone!r}, which is not known"
            if parameters.get("VALUE") == "DATE":
                yield f"gives a time zone to a whole day: leave TZID out of its {name}"
    for rule in event.rrules:
        # The library takes the day's first moment, and would leave out what happens later on it.
        if isinstance(event.start, datetime) and not all(isinstance(end, datetime) for end in rule.get("UNTIL", [])):
            yield "starts at a time but recurs UNTIL a day: give UNTIL a time too"
        if rule.get("FREQ", ["SECONDLY"])[0] in _TOO_OFTEN:
            yield "recurs every minute or second, or does not say how often: use FREQ=HOURLY or slower"
        if any(interval < 1 for interval in rule.get("INTERVAL", [])):
            yield "recurs with an INTERVAL below 1"


def _spans(calendar: Component, zone: ZoneInfo, after: datetime, before: datetime) -> list[Span]:
    from recurring_ical_events import CalendarQuery

    try:
        # Not the library's `of`: by X-WR-TIMEZONE, which is no standard, it would move even the times given in UTC.
        occurrences = CalendarQuery(calendar).between(after - _MARGIN, before + _MARGIN)
        spans = [_span(occurrence, zone) for occurrence in occurrences if _closes(occurrence)]
    except _STUMBLES as fault:
        raise ValueError(f"the calendar's events cannot be laid out: {fault}") from fault
    return [(start, end) for start, end in spans if start < end and start < before and after < end]


def _closes(event: Event) -> bool:
    status, transparency = str(event.get("STATUS", "")), str(event.get("TRANSP", ""))
    return status.upper() != "CANCELLED" and transparency.upper() != "TRANSPARENT"


def _span(event: Event, zone: ZoneInfo) -> Span:
    start, end = event.start, event.end
    if start == end and not isinstance(start, datetime):
        end = start + _DAY  # Written by hand: "from the 24th to the 24th" means the 24th.
    return _instant(start, zone), _instant(end, zone)


def _instant(moment: date, zone: ZoneInfo) -> datetime:
    """A date's first moment, or a time, in UTC; what a clock change removes or repeats is read as RFC 5545 reads it."""
    local = moment if isinstance(moment, datetime) else datetime.combine(moment, time())
    return (local if local.tzinfo else local.replace(tzinfo=zone)).astimezone(UTC)


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def _named(event: Event) -> str:
    return f"the event {str(event.get('SUMMARY') or event.get('UID') or 'without a name')!r}"
