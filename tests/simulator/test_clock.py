from datetime import UTC, datetime, timedelta

import pytest

from simulator.clock import Clock

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


def test_things_happen_in_order_and_each_at_its_own_time(clock: Clock) -> None:
    seen: list[tuple[str, datetime]] = []
    clock.after(20, lambda: seen.append(("later", clock.now)))
    clock.after(10, lambda: seen.append(("sooner", clock.now)))
    clock.advance(timedelta(minutes=1))
    assert seen == [("sooner", NOON + timedelta(seconds=10)), ("later", NOON + timedelta(seconds=20))]
    assert clock.now == NOON + timedelta(minutes=1)


def test_equal_times_keep_the_order_in_which_they_were_asked_for(clock: Clock) -> None:
    seen: list[int] = []
    for number in range(20):
        clock.after(5, lambda number=number: seen.append(number))  # type: ignore[misc]
    clock.advance(timedelta(seconds=5))
    assert seen == list(range(20))


def test_what_is_asked_for_on_the_way_still_happens(clock: Clock) -> None:
    seen: list[datetime] = []
    clock.after(1, lambda: clock.after(1, lambda: seen.append(clock.now)))
    clock.advance(timedelta(seconds=10))
    assert seen == [NOON + timedelta(seconds=2)]


def test_nothing_happens_before_time_moves_and_a_cancelled_thing_never(clock: Clock) -> None:
    seen: list[str] = []
    clock.at(NOON - timedelta(hours=1), lambda: seen.append("overdue"))
    clock.after(1, lambda: seen.append("cancelled")).cancel()
    assert seen == []
    assert clock.next_at() == NOON
    clock.advance(timedelta(seconds=2))
    assert seen == ["overdue"]
    assert clock.next_at() is None


def test_time_does_not_go_back(clock: Clock) -> None:
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance_to(NOON - timedelta(seconds=1))


def test_a_clock_wants_to_know_the_zone() -> None:
    with pytest.raises(ValueError, match="aware"):
        Clock(datetime(2026, 12, 1, 12))  # noqa: DTZ001 - that is the point
