"""The fence: whether anything may still be sent, and for how long."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from runbooks.fence import LONGEST, NO_WINDOW, SHORTEST, fence, seconds_left

CLOSES_AT = datetime(2026, 11, 28, 22, 0, tzinfo=UTC)
NOT_AFTER = "2026-11-28T22:00:00Z"


def test_an_open_window_leaves_the_time_until_it_closes() -> None:
    assert seconds_left(NOT_AFTER, CLOSES_AT - timedelta(hours=3)) == 3 * 3600


@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1), timedelta(days=3)])
def test_a_closed_window_stops_the_runbook_and_says_so(late: timedelta) -> None:
    with pytest.raises(RuntimeError) as refused:
        seconds_left(NOT_AFTER, CLOSES_AT + late)
    assert str(refused.value) == "Window closed at 2026-11-28T22:00:00Z: nothing was sent to any instance."


def test_less_time_than_run_command_accepts_stops_the_runbook_too() -> None:
    assert seconds_left(NOT_AFTER, CLOSES_AT - timedelta(seconds=SHORTEST)) == SHORTEST
    with pytest.raises(RuntimeError, match=r"in less than 30 seconds: nothing was sent to any instance\.$"):
        seconds_left(NOT_AFTER, CLOSES_AT - timedelta(seconds=SHORTEST, microseconds=-1))


def test_a_window_far_ahead_leaves_no_more_than_the_step_can_wait() -> None:
    assert seconds_left(NOT_AFTER, CLOSES_AT - timedelta(days=30)) == LONGEST


@pytest.mark.parametrize(
    "nonsense", ["tonight", "2026-11-28", "2026-11-28T22:00:00", "2026-02-30T22:00:00Z", "1795903200"]
)
def test_what_is_not_an_instant_stops_the_runbook(nonsense: str) -> None:
    with pytest.raises(ValueError, match=r"nothing was sent to any instance\.$"):
        seconds_left(nonsense, CLOSES_AT)


def test_without_a_window_there_is_no_fence() -> None:
    assert fence({"NotAfter": ""}, {}) == {"SecondsLeft": NO_WINDOW}
    assert fence({}, {}) == {"SecondsLeft": NO_WINDOW}


def test_the_fence_reads_the_clock_by_itself() -> None:
    with time_machine.travel(CLOSES_AT - timedelta(minutes=10), tick=False):
        assert fence({"NotAfter": NOT_AFTER}, {}) == {"SecondsLeft": 600}
    with time_machine.travel(CLOSES_AT, tick=False), pytest.raises(RuntimeError, match="Window closed"):
        fence({"NotAfter": NOT_AFTER}, {})
