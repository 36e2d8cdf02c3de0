"""When something may start, and on which day a closed window opens."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from patchtide.core.campaign import Freeze
from patchtide.core.closures import Opening, frozen_spans, next_open_day, opening_at

LONDON, NEW_YORK = ZoneInfo("Europe/London"), ZoneInfo("America/New_York")
DAY = timedelta(days=1)


def at(day: int, hour: int = 0, month: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def test_frozen_days_are_those_of_the_campaigns_zone() -> None:
    ((span, reason),) = frozen_spans([Freeze(date(2026, 12, 24), date(2026, 12, 26))], NEW_YORK)
    assert span == (at(24, 5), at(27, 5))
    assert reason == "frozen on 2026-12-24 to 2026-12-26"


def test_a_day_whose_midnight_the_clocks_skip_begins_when_they_have() -> None:
    ((span, _),) = frozen_spans([Freeze(date(2026, 9, 6), date(2026, 9, 6))], ZoneInfo("America/Santiago"))
    assert span[0] == datetime(2026, 9, 6, 4, tzinfo=UTC)


def test_spans_that_touch_are_one_closure() -> None:
    spans = [((at(1), at(2)), "one"), ((at(2), at(3)), "two"), ((at(9), at(10)), "three")]
    assert opening_at(spans, at(1, 12)) == Opening(False, at(3), "one")
    assert opening_at(spans, at(3)) == Opening(True, at(9))
    assert opening_at(spans, at(10)) == Opening(True)


def test_two_openings_are_open_when_both_are_and_close_with_the_first() -> None:
    assert Opening(True, at(3)) & Opening(True, at(2)) == Opening(True, at(2))
    assert Opening(True, at(3)) & Opening(False, at(2), "b") == Opening(False, at(2), "b")
    assert Opening(False, at(3), "a") & Opening(False, at(2), "b") == Opening(False, at(3), "a; b")
    assert Opening(False, None, "a") & Opening(False, at(2), "b") == Opening(False, None, "a; b")


def test_a_window_moves_by_whole_days_and_keeps_its_local_hour() -> None:
    start = datetime(2027, 3, 27, 22, tzinfo=UTC)  # the clocks change in the night
    spans = [((start - DAY, start + timedelta(hours=20)), "frozen")]
    assert next_open_day(start, LONDON, lambda moment: opening_at(spans, moment)) == datetime(
        2027, 3, 28, 21, tzinfo=UTC
    )


def test_days_that_are_known_to_be_closed_are_not_asked_about() -> None:
    asked: list[datetime] = []

    def opening(moment: datetime) -> Opening:
        asked.append(moment)
        return opening_at([((at(1), at(20)), "frozen")], moment)

    assert next_open_day(at(2, 22), LONDON, opening) == at(20, 22)
    assert asked == [at(3, 22), at(20, 22)]


def test_no_window_is_moved_by_more_than_a_month() -> None:
    assert next_open_day(at(1), LONDON, lambda moment: Opening(False, None, "unreadable")) is None


def test_what_is_closed_for_sure_may_still_be_in_doubt() -> None:
    both = Opening(False, at(2), "frozen") & Opening(False, None, "unreadable", sure=False)
    assert (both.sure, both.in_doubt) == (True, True)
    assert not (Opening(False, at(2), "frozen") & Opening(True)).in_doubt
    assert (Opening(True) & Opening(False, None, "unreadable", sure=False)).in_doubt
