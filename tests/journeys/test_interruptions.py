"""Twice, at once, and killed: the final world is the same (the first form of the proof)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest

from simulator.fleet import Behaviour
from simulator.proof.faults import Killed
from tests.journeys.small import Play, opened, organization

TROUBLES = {"a-1": Behaviour.DISK_FULL, "b-1": Behaviour.PENDING_REBOOT}
SPEED = 12  # an instance takes a minute or two: every kind of tick, and few that are alike
FUNCTIONS = ("IntakeFunction", "DispatcherFunction", "PollerFunction", "CollectorFunction")


def play_through(play: Play) -> Mapping[str, Any]:
    play.put()
    play.run(hours=8)
    return play.ending()


@cache
def reference() -> tuple[Mapping[str, Any], int]:
    """The undisturbed ending, and how many calls the functions make on the way."""
    calls = 0

    def count(_: object) -> None:
        nonlocal calls
        calls += 1

    with opened(organization(TROUBLES), speed=SPEED) as play:
        play.stack.wire.before.append(count)
        return play_through(play), calls


def test_the_reference_is_what_it_should_be() -> None:
    ending, calls = reference()
    assert sorted(outcome for outcome, _ in ending["outcomes"].values()) == [
        "compliant",
        "compliant",
        "failed",
        "pendingReboot",
    ]
    assert set(ending["installs"].values()) == {1}
    assert ending["executions"] == 1
    assert calls > 40


def test_every_tick_delivered_three_times_changes_nothing() -> None:
    expected, _ = reference()
    with opened(organization(TROUBLES), speed=SPEED) as play:
        once = play.stack.tick
        play.stack.tick = lambda times=1: once(times=3)  # type: ignore[method-assign]
        assert play_through(play) == expected
        assert len(play.subjects()) == len(set(play.subjects()))


@pytest.mark.parametrize("share", range(4))
def test_two_of_a_kind_at_once_change_nothing_wherever_they_meet(share: int) -> None:
    """One function is paused before one of its calls, and a second of the same kind runs from start to end meanwhile."""
    expected, _ = reference()
    for number in range(share, _calls_of("DispatcherFunction", "PollerFunction"), 4):
        with opened(organization(TROUBLES), speed=SPEED) as play:
            _meet(play, number)
            assert play_through(play) == expected, f"met before call {number}"
            assert len(play.subjects()) == len(set(play.subjects())), f"told twice, met before call {number}"


@cache
def _calls_of(*functions: str) -> int:
    with opened(organization(TROUBLES), speed=SPEED) as play:
        seen = _watch(play, functions, lambda _: None)
        play_through(play)
        return len(seen)


def _watch(play: Play, functions: tuple[str, ...], act: Callable[[int], None]) -> list[str]:
    """Call `act` before each call that one of the functions makes, with the call's number."""
    running: list[str] = []
    seen: list[str] = []
    invoke = play.stack.invoke

    def noting(function: str, event: Mapping[str, Any]) -> Any:
        running.append(function)
        try:
            return invoke(function, event)
        finally:
            running.pop()

    def before(call: object) -> None:
        if running and running[-1] in functions and len(running) == 1:
            seen.append(str(call))
            act(len(seen) - 1)

    play.stack.invoke = noting  # type: ignore[method-assign]
    play.stack.wire.before.append(before)
    play.running = running  # type: ignore[attr-defined]
    return seen


def _meet(play: Play, number: int) -> None:
    def act(seen: int) -> None:
        if seen == number:
            play.stack.invoke(play.running[-1], {})  # type: ignore[attr-defined]

    _watch(play, ("DispatcherFunction", "PollerFunction"), act)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("share", range(4))
def test_a_kill_at_any_call_of_any_function_ends_in_the_same_world(moment: str, share: int) -> None:
    """Killed before the call takes effect, or after it did and before the answer came; the next ticks carry on.

    Every second call: what is proved of each in memory, here goes through botocore and moto.
    """
    expected, calls = reference()
    for number in range(share, calls, 8):
        with opened(organization(TROUBLES), speed=SPEED) as play:
            _kill(play, number, moment)
            assert play_through(play) == expected, f"killed {moment} call {number}"


def _kill(play: Play, number: int, moment: str) -> None:
    seen = 0

    def act(call: object) -> None:
        nonlocal seen
        seen += 1
        if seen == number + 1:
            raise Killed(str(call))

    getattr(play.stack.wire, moment).append(act)
    invoke = play.stack.invoke

    def surviving(function: str, event: Mapping[str, Any]) -> Any:
        try:
            return invoke(function, event)
        except Killed:
            play.stack.restart()
            return {"batchItemFailures": _all_failed(event)}

    play.stack.invoke = surviving  # type: ignore[method-assign]


def _all_failed(event: Mapping[str, Any]) -> list[dict[str, str]]:
    """What Lambda makes of a batch whose function died: all of it comes again."""
    return [
        {"itemIdentifier": record.get("messageId") or record["dynamodb"]["SequenceNumber"]}
        for record in event.get("Records", [])
    ]
