"""Freeze calendars: what closes, from when to when, and what is refused rather than guessed."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from patchtide.core.ical import closed_spans

AFTER, BEFORE = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)


def calendar(*parts: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tests//EN", *parts, "END:VCALENDAR", ""])


def event(*lines: str, uid: str = "freeze") -> str:
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT"])


def closed(
    *parts: str, zone: str = "America/New_York", after: datetime = AFTER, before: datetime = BEFORE
) -> list[tuple[str, str]]:
    spans = closed_spans(calendar(*parts), ZoneInfo(zone), after, before)
    return [(f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}") for start, end in spans]


def test_a_whole_day_is_a_day_in_the_campaigns_zone() -> None:
    day = event("DTSTART;VALUE=DATE:20270115", "DTEND;VALUE=DATE:20270116")
    assert closed(day) == [("2027-01-15 05:00", "2027-01-16 05:00")]
    assert closed(day, zone="Asia/Tokyo") == [("2027-01-14 15:00", "2027-01-15 15:00")]


@pytest.mark.parametrize("end", [[], ["DTEND;VALUE=DATE:20270115"], ["DURATION:P1D"]])
def test_a_whole_day_without_an_end_of_its_own_lasts_its_day(end: list[str]) -> None:
    assert closed(event("DTSTART;VALUE=DATE:20270115", *end)) == [("2027-01-15 05:00", "2027-01-16 05:00")]


def test_a_freeze_over_new_year_closes_two_weeks() -> None:
    freeze = event("DTSTART;VALUE=DATE:20271220", "DTEND;VALUE=DATE:20280103")
    late = datetime(2028, 2, 1, tzinfo=UTC)
    assert closed(freeze, before=late) == [("2027-12-20 05:00", "2028-01-03 05:00")]


def test_a_freeze_is_told_only_as_far_as_it_was_asked_for() -> None:
    freeze = event("DTSTART;VALUE=DATE:20201220", "DTEND;VALUE=DATE:20210103", "RRULE:FREQ=YEARLY")
    assert closed(freeze) == [("2027-01-01 00:00", "2027-01-03 05:00"), ("2027-12-20 05:00", "2028-01-01 00:00")]


@pytest.mark.parametrize(
    ("zone", "day", "span"),
    [
        ("Pacific/Kiritimati", "20280101", ("2027-12-31 10:00", "2028-01-01 00:00")),
        ("Pacific/Pago_Pago", "20261231", ("2027-01-01 00:00", "2027-01-01 11:00")),
    ],
)
def test_no_zone_is_too_far_off_for_the_edges(zone: str, day: str, span: tuple[str, str]) -> None:
    assert closed(event(f"DTSTART;VALUE=DATE:{day}"), zone=zone) == [span]


def test_what_only_touches_the_edges_is_not_told() -> None:
    assert not closed(event("DTSTART:20261231T000000Z", "DTEND:20270101T000000Z"))
    assert not closed(event("DTSTART:20280101T000000Z", "DTEND:20280102T000000Z"))
    assert not closed(event("DTSTART;VALUE=DATE:20270115"), after=BEFORE, before=AFTER)


def test_a_weekly_freeze_closes_every_week() -> None:
    friday = event("DTSTART:20270108T120000Z", "DTEND:20270108T200000Z", "RRULE:FREQ=WEEKLY;COUNT=3")
    assert closed(friday) == [
        ("2027-01-08 12:00", "2027-01-08 20:00"),
        ("2027-01-15 12:00", "2027-01-15 20:00"),
        ("2027-01-22 12:00", "2027-01-22 20:00"),
    ]


def test_an_excepted_date_stays_open_and_an_added_one_closes() -> None:
    friday = event(
        "DTSTART:20270108T120000Z",
        "DTEND:20270108T200000Z",
        "RRULE:FREQ=WEEKLY;COUNT=2",
        "EXDATE:20270115T120000Z",
        "RDATE:20270120T120000Z",
    )
    assert closed(friday) == [("2027-01-08 12:00", "2027-01-08 20:00"), ("2027-01-20 12:00", "2027-01-20 20:00")]


def test_one_occurrence_can_be_moved_and_another_cancelled() -> None:
    weekly = event("DTSTART:20270108T120000Z", "DTEND:20270108T130000Z", "RRULE:FREQ=WEEKLY;COUNT=3")
    moved = event("RECURRENCE-ID:20270115T120000Z", "DTSTART:20270117T100000Z", "DTEND:20270117T110000Z")
    cancelled = event(
        "RECURRENCE-ID:20270122T120000Z", "DTSTART:20270122T120000Z", "DTEND:20270122T130000Z", "STATUS:CANCELLED"
    )
    assert closed(weekly, moved, cancelled) == [
        ("2027-01-08 12:00", "2027-01-08 13:00"),
        ("2027-01-17 10:00", "2027-01-17 11:00"),
    ]


@pytest.mark.parametrize("mark", ["STATUS:CANCELLED", "STATUS:cancelled", "TRANSP:TRANSPARENT"])
def test_what_is_cancelled_or_marked_as_free_closes_nothing(mark: str) -> None:
    assert not closed(event("DTSTART;VALUE=DATE:20270115", mark))


@pytest.mark.parametrize("mark", ["STATUS:CONFIRMED", "STATUS:TENTATIVE", "TRANSP:OPAQUE"])
def test_any_other_mark_closes(mark: str) -> None:
    assert closed(event("DTSTART;VALUE=DATE:20270115", mark))


def test_a_time_without_a_length_closes_nothing() -> None:
    assert not closed(event("DTSTART:20270115T120000Z"))


def test_a_floating_time_is_local_in_the_campaigns_zone() -> None:
    evening = event("DTSTART:20270115T180000", "DURATION:PT2H")
    assert closed(evening) == [("2027-01-15 23:00", "2027-01-16 01:00")]
    assert closed(evening, zone="Europe/Berlin") == [("2027-01-15 17:00", "2027-01-15 19:00")]


@pytest.mark.parametrize("name", ["Europe/Berlin", "W. Europe Standard Time"])
def test_a_time_with_a_zone_keeps_it(name: str) -> None:
    evening = event(f"DTSTART;TZID={name}:20270115T180000", f"DTEND;TZID={name}:20270115T200000")
    assert closed(evening) == [("2027-01-15 17:00", "2027-01-15 19:00")]


def test_a_time_in_utc_stays_there_whatever_zone_the_calendar_is_shown_in() -> None:
    noon = event("DTSTART:20270115T120000Z", "DURATION:PT1H", "RRULE:FREQ=MONTHLY;BYMONTH=1,7;COUNT=2")
    assert closed("X-WR-TIMEZONE:Europe/Berlin", noon) == [
        ("2027-01-15 12:00", "2027-01-15 13:00"),
        ("2027-07-15 12:00", "2027-07-15 13:00"),
    ]


@pytest.mark.parametrize(("offset", "start"), [("+0200", "2027-01-15 10:00"), ("-0300", "2027-01-15 15:00")])
def test_a_zone_that_the_calendar_defines_holds_for_that_calendar_alone(offset: str, start: str) -> None:
    ours = "\r\n".join(
        [
            "BEGIN:VTIMEZONE",
            "TZID:Headquarters",
            "BEGIN:STANDARD",
            "DTSTART:19700101T000000",
            f"TZOFFSETFROM:{offset}",
            f"TZOFFSETTO:{offset}",
            "END:STANDARD",
            "END:VTIMEZONE",
        ]
    )
    noon = event("DTSTART;TZID=Headquarters:20270115T120000", "DURATION:PT1H")
    assert closed(noon, ours)[0][0] == closed(ours, noon)[0][0] == start


def test_freezes_that_overlap_or_touch_are_one() -> None:
    assert closed(
        event("DTSTART;VALUE=DATE:20270120", uid="c"),
        event("DTSTART;VALUE=DATE:20270110", "DTEND;VALUE=DATE:20270115", uid="a"),
        event("DTSTART:20270112T120000Z", "DTEND:20270113T120000Z", uid="within a"),
        event("DTSTART;VALUE=DATE:20270115", uid="b"),
    ) == [("2027-01-10 05:00", "2027-01-16 05:00"), ("2027-01-20 05:00", "2027-01-21 05:00")]


def test_a_whole_day_is_as_long_as_a_clock_change_makes_it() -> None:
    assert closed(event("DTSTART;VALUE=DATE:20270314")) == [("2027-03-14 05:00", "2027-03-15 04:00")]
    assert closed(event("DTSTART;VALUE=DATE:20271107")) == [("2027-11-07 04:00", "2027-11-08 05:00")]


def test_what_recurs_keeps_its_local_time_over_a_clock_change() -> None:
    weekly = event(
        "DTSTART;TZID=Europe/Berlin:20270326T180000",
        "DTEND;TZID=Europe/Berlin:20270326T200000",
        "RRULE:FREQ=WEEKLY;COUNT=2",
    )
    assert closed(weekly) == [("2027-03-26 17:00", "2027-03-26 19:00"), ("2027-04-02 16:00", "2027-04-02 18:00")]


def test_a_rule_without_an_end_is_laid_out_only_as_far_as_asked() -> None:
    assert len(closed(event("DTSTART:19700101T120000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY"))) == 365


def test_an_empty_calendar_closes_nothing() -> None:
    assert not closed()
    assert not closed("BEGIN:VTODO", "UID:todo", "DTSTART:20270115T120000Z", "DUE:20270116T120000Z", "END:VTODO")


def test_a_text_may_hold_several_calendars_and_begin_with_a_byte_order_mark() -> None:
    first = calendar(event("DTSTART;VALUE=DATE:20270110"))
    second = calendar(event("DTSTART;VALUE=DATE:20270120")).replace("\r\n", "\n")
    assert len(closed_spans(f"\ufeff{first}{second}", ZoneInfo("UTC"), AFTER, BEFORE)) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "this is no iCalendar text: it begins with '' instead of BEGIN:VCALENDAR"),
        ("<!DOCTYPE html>\n<title>Sign in</title>", "no iCalendar text: it begins with '<!DOCTYPE html>'"),
        (calendar(event("DTSTART;VALUE=DATE:20270115"))[:-30], "the calendar is cut off"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR", "the calendar cannot be read: a BEGIN has no END"),
        ("BEGIN:VCALENDAR\nfreeze\nEND:VCALENDAR", "the calendar cannot be read: .*'freeze'"),
    ],
)
def test_a_text_that_is_no_calendar_is_refused_with_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        closed_spans(text, ZoneInfo("UTC"), AFTER, BEFORE)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["DTEND:20270115T120000Z"], "cannot be read: No DTSTART given"),
        (["DTSTART:20270115T120000Z", "DTEND:tomorrow"], "cannot be read: .*tomorrow"),
        (["DTSTART:20270115T120000Z", "DTEND 20270116T120000Z"], "cannot be read: .*'DTEND 20270116T120000Z'"),
        (["DTSTART:20270115T120000Z", "DTEND:20270114T120000Z"], "ends before it starts"),
        (["DTSTART;TZID=Mars/Olympus:20270115T120000", "DURATION:PT1H"], "zone 'Mars/Olympus', which is not known"),
        (["DTSTART;VALUE=DATE;TZID=Europe/Berlin:20270115"], "leave TZID out of its DTSTART"),
        (["DTSTART:20270115T120000Z", "RRULE:FREQ=DAILY;UNTIL=20270117"], "give UNTIL a time too"),
        (["DTSTART:20270115T120000Z", "RRULE:FREQ=SECONDLY"], "use FREQ=HOURLY or slower"),
        (["DTSTART:20270115T120000Z", "RRULE:COUNT=2"], "does not say how often"),
        (["DTSTART:20270115T120000Z", "RRULE:FREQ=DAILY;INTERVAL=0"], "INTERVAL below 1"),
    ],
)
def test_an_event_that_leaves_open_when_it_takes_place_is_refused(lines: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"the event 'Quarter end' .*{complaint}"):
        closed(event("SUMMARY:Quarter end", *lines))


def test_a_freeze_that_never_ends_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="the calendar's events cannot be laid out"):
        closed(event("DTSTART;VALUE=DATE:20270115", "DTEND;VALUE=DATE:99991231"))


def test_two_events_that_claim_to_be_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="two events have the UID 'freeze': give each its own"):
        closed(event("DTSTART;VALUE=DATE:20270115"), event("DTSTART;VALUE=DATE:20270120"))


def test_the_later_version_of_an_event_counts() -> None:
    old, new = event("DTSTART;VALUE=DATE:20270115"), event("DTSTART;VALUE=DATE:20270120", "SEQUENCE:1")
    assert closed(old, new) == [("2027-01-20 05:00", "2027-01-21 05:00")]


def test_what_does_not_decide_when_an_event_takes_place_may_be_malformed() -> None:
    assert closed(event("DTSTART;VALUE=DATE:20270115", "GEO:here", "CREATED:long ago"))
