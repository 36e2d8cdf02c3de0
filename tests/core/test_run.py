"""The state machine: plain values, no fakes."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.core.advance import fold
from patchtide.core.commands import (
    AskEvidence,
    AskReport,
    AskTargets,
    Close,
    Command,
    Find,
    GiveUpTargets,
    Guard,
    Halt,
    Look,
    Permit,
    Plan,
    Prepare,
    Publish,
    Start,
    Stop,
    Tell,
)
from patchtide.core.due import ask, due, wake_at
from patchtide.core.gate import YES
from patchtide.core.outcome import Outcome
from patchtide.core.run import (
    PATIENCE,
    REPORT_ASKS,
    REPORT_PATIENCE,
    TOKEN_TRUST,
    VISIBLE,
    Execution,
    Run,
    RunbookFacts,
    asks_evidence,
    evidence_since,
)
from patchtide.core.seen import (
    Barred,
    Clock,
    Closed,
    Counted,
    Listed,
    Looked,
    NotThere,
    Permitted,
    Planned,
    Published,
    Reported,
    Seen,
    Started,
    StartRefused,
    Told,
    Unpreparable,
)
from patchtide.core.states import EXECUTION_MOVES, OVER, STOPPED, WAVE_MOVES, ExecutionState, RunState, WaveState
from patchtide.core.tally import Tally
from tests.values import a_run

OPENED = datetime(2026, 12, 12, 21, 45, tzinfo=UTC)
START = OPENED + timedelta(minutes=15)
KEY = ("all", 1)
FACTS = RunbookFacts("3", "hash", ("Operation",))
HALF = Tally(resolved=2, instances=4)
DONE = replace(HALF, collected=2, outcomes={"compliant": 4})


def opened() -> Run:
    return a_run("dev", START, OPENED)


def execution(number: int = 1, share: int = 0, limit: int = 0) -> Execution:
    return Execution("all", number, "{}", locations=2, token=f"token-{number}", share=share, limit=limit)


def ready(*executions: Execution) -> Run:
    seen: list[Seen] = [Listed("all", 2, FACTS), Counted("all", HALF)]
    run = fold(opened(), seen, OPENED)
    return fold(run, [Planned("all", executions or (execution(),))], OPENED)


def running() -> Run:
    run = ask(ready(), [Start(KEY)], START)
    return fold(run, [Started(KEY, "id-1", START)], START)


def ended(run: Run | None = None, at: datetime = START) -> Run:
    return fold(run or running(), [Looked(KEY, "done", "3", "Success", over=True)], at)


def permitted(run: Run) -> Run:
    return fold(run, [Permitted("all", YES)], START)


def commands(run: Run, now: datetime, *but: type[Command]) -> list[Command]:
    return [command for command in due(run, now) if not isinstance(command, (Tell, Guard, *but))]


def test_a_new_run_asks_to_be_prepared_and_says_so_on_the_item() -> None:
    assert due(opened(), OPENED) == (Prepare("all"), Tell("planned"))


def test_what_was_asked_is_asked_again_only_when_patience_is_over() -> None:
    asked = ask(opened(), [Prepare("all")], OPENED)
    assert commands(asked, OPENED + PATIENCE - timedelta(seconds=1)) == []
    assert commands(asked, OPENED + PATIENCE) == [Prepare("all")]


def test_locations_that_do_not_answer_are_asked_again_and_given_up_when_the_window_opens() -> None:
    run = fold(opened(), [Listed("all", 3, FACTS), Counted("all", HALF)], OPENED)
    assert commands(run, OPENED) == [AskTargets("all")]
    assert commands(run, START) == [GiveUpTargets("all")]


def test_a_frozen_wave_is_planned_before_its_window_and_started_in_it() -> None:
    run = fold(opened(), [Listed("all", 2, FACTS), Counted("all", HALF)], OPENED)
    assert commands(run, OPENED) == [Plan("all")]
    assert commands(ready(), START - timedelta(seconds=1)) == []
    assert commands(ready(), START) == [Permit("all")]
    assert commands(permitted(ready()), START) == [Start(KEY)]


def test_a_plan_of_which_a_part_was_lost_is_made_whole_and_nothing_ends_before() -> None:
    four = replace(HALF, resolved=4)
    run = fold(opened(), [Listed("all", 4, FACTS), Counted("all", four)], OPENED)
    run = fold(run, [Planned("all", (execution(1),))], OPENED)
    assert commands(run, OPENED) == [Plan("all")]
    run = ask(run, [Start(KEY)], START)
    run = fold(run, [Started(KEY, "id-1", START), Looked(KEY, "m", "3", "Success", over=True)], START)
    assert run.waves[0].state is WaveState.RUNNING
    run = fold(run, [Planned("all", (execution(1), execution(2)))], START)
    assert [found.state for found in run.executions] == [ExecutionState.ENDED, ExecutionState.PLANNED]


def test_a_ready_run_sleeps_until_its_window() -> None:
    run = fold(ready(), [Told("ready")], OPENED)
    assert wake_at(run, OPENED) == START


def test_nothing_starts_from_the_cutoff_on() -> None:
    late = START + timedelta(hours=3)
    run = fold(ready(), [], late)
    assert Start(KEY) not in due(run, late)
    assert run.execution(KEY).state is ExecutionState.EXPIRED


def test_instances_that_the_window_left_behind_are_recorded_as_not_started() -> None:
    late = START + timedelta(hours=3)
    run = fold(ready(), [], late)
    assert commands(run, late) == [Close(KEY)]
    run = fold(run, [Closed(KEY)], late)
    assert commands(run, late) == [AskEvidence("all")]
    none = replace(HALF, collected=2, outcomes={"notStarted": 4})
    run = fold(run, [Counted("all", none)], late)
    assert run.state is RunState.MISSED
    assert [alert.kind for alert in run.alerts] == ["missed"]


def test_a_run_that_was_opened_too_late_is_missed_and_says_so() -> None:
    run = fold(opened(), [], START + timedelta(hours=3))
    assert (run.state, [alert.kind for alert in run.alerts]) == (RunState.MISSED, ["missed"])


def test_a_start_that_nobody_answered_is_asked_again_then_looked_for() -> None:
    run = ask(ready(), [Start(KEY)], START)
    assert commands(run, START + timedelta(minutes=1)) == []
    assert commands(run, START + PATIENCE) == [Start(KEY)]
    again = ask(run, [Start(KEY)], START + PATIENCE)
    assert commands(again, START + TOKEN_TRUST - timedelta(seconds=1)) == [Start(KEY)]
    last = START + TOKEN_TRUST - timedelta(seconds=1)
    asked = ask(again, [Start(KEY)], last)
    assert commands(asked, last + VISIBLE - timedelta(seconds=1)) == []
    assert commands(asked, last + VISIBLE) == [Find(KEY)]
    assert commands(run, START + timedelta(hours=3)) == [Find(KEY)]


def test_a_start_found_missing_is_planned_again_inside_the_window_and_given_up_after_it() -> None:
    run = ask(ready(), [Start(KEY)], START)
    soon, late = START + TOKEN_TRUST, START + timedelta(hours=3)
    assert commands(fold(run, [NotThere(KEY), Permitted("all", YES)], soon), soon, Publish) == [Start(KEY)]
    assert fold(run, [NotThere(KEY)], late).execution(KEY).state is ExecutionState.EXPIRED


def test_a_start_found_running_is_not_started_again() -> None:
    run = fold(ask(ready(), [Start(KEY)], START), [Started(KEY, "id-1", START)], START + TOKEN_TRUST)
    assert commands(run, START + TOKEN_TRUST, Publish) == [Look(KEY)]


def test_evidence_counts_from_when_the_start_was_asked_for_not_from_when_it_was_answered() -> None:
    asked = ask(ready(), [Start(KEY)], START)
    late = fold(ask(asked, [Start(KEY)], START + PATIENCE), [Started(KEY, "id-1", START + PATIENCE)], START + PATIENCE)
    assert evidence_since(late, "all") == START


def test_a_refused_start_fails_the_run_once_every_instance_is_accounted_for() -> None:
    run = fold(ask(ready(), [Start(KEY)], START), [StartRefused(KEY, "no role")], START)
    assert commands(run, START) == [Close(KEY)]
    none = replace(HALF, collected=2, outcomes={"notStarted": 4})
    run = fold(run, [Closed(KEY), Counted("all", none)], START)
    assert run.state is RunState.FAILED


def test_a_running_execution_is_looked_at_and_stopped_when_its_window_is_over() -> None:
    assert commands(running(), START, Publish) == [Look(KEY)]
    over = START + timedelta(hours=4)
    assert commands(running(), over, Publish, Halt) == [Stop(KEY), Look(KEY)]
    asked = ask(running(), [Stop(KEY)], over)
    assert commands(asked, over, Publish, Halt) == [Look(KEY)]


MINUTE = timedelta(minutes=1)


def halts(run: Run, moments: Iterable[datetime]) -> list[datetime]:
    return [now for now in moments if any(isinstance(command, Halt) for command in due(run, now))]


def test_what_waits_at_the_cutoff_is_taken_back_however_often_a_pause_has_done_so_before() -> None:
    run = running()
    for minute in range(1, 6):
        run = fold(run, [Barred("all", "paused")], START + minute * MINUTE)
        assert Halt("all") in due(run, START + minute * MINUTE)
        run = ask(run, [Halt("all")], START + minute * MINUTE)
    run = fold(run, [Barred("all", "")], START + 6 * MINUTE)
    assert halts(run, [START + 7 * MINUTE]) == []
    closes = run.window.last_start
    assert halts(run, [closes - 2 * MINUTE, closes - MINUTE, closes]) == [closes - MINUTE, closes]


@pytest.mark.parametrize("count", [7, 25, 50, 100])
def test_every_execution_is_looked_at_though_there_is_only_time_for_some(count: int) -> None:
    keys = [("all", number) for number in range(1, count + 1)]
    run = ask(ready(*(execution(number) for _, number in keys)), [Start(key) for key in keys], START)
    run = fold(run, [Started(key, f"id-{key[1]}", START) for key in keys], START)
    seen: set[tuple[str, int]] = set()
    for minute in range(count):
        looks = [command.execution for command in due(run, START + minute * MINUTE) if isinstance(command, Look)]
        seen.update(looks[:5])
    assert seen == set(keys)


def test_a_start_that_nobody_answered_is_guarded_too_and_not_repeated_while_something_bars_it() -> None:
    run = ask(ready(), [Start(KEY)], START)
    assert Guard("all") in due(run, START + MINUTE)
    barred = fold(run, [Barred("all", "paused")], START + PATIENCE)
    assert Start(KEY) not in due(barred, START + PATIENCE)
    assert Find(KEY) in due(barred, START + VISIBLE)


def test_a_stop_at_the_windows_end_is_asked_for_though_one_within_it_was() -> None:
    over = running().window.end
    barred = fold(running(), [Barred("all", "paused")], over - MINUTE)
    asked = ask(barred, [Stop(KEY)], over - MINUTE)
    assert Stop(KEY) not in due(asked, over - MINUTE)
    assert Stop(KEY) in due(asked, over)


def test_the_started_alert_is_raised_once_however_many_executions_start() -> None:
    run = ready(execution(1), execution(2))
    run = ask(run, [Start(("all", 1)), Start(("all", 2))], START)
    run = fold(run, [Started(("all", 1), "a", START)], START)
    run = fold(run, [Started(("all", 2), "b", START)], START)
    assert [alert.kind for alert in run.alerts] == ["started"]


def test_an_alert_is_due_until_it_is_answered() -> None:
    run = running()
    assert Publish("started", "all") in due(run, START)
    asked = ask(run, [Publish("started", "all")], START)
    assert Publish("started", "all") not in due(asked, START + PATIENCE - timedelta(seconds=1))
    assert Publish("started", "all") in due(asked, START + PATIENCE)
    assert fold(asked, [Published(("started", "all", ""))], START).alerts == ()


def test_evidence_that_is_missing_is_asked_for_every_minute() -> None:
    run = ended()
    assert commands(run, START, Publish) == [AskEvidence("all")]
    asked = ask(run, [AskEvidence("all")], START)
    assert commands(asked, START, Publish) == []
    assert commands(asked, START + timedelta(minutes=1), Publish) == [AskEvidence("all")]


def test_success_needs_evidence_for_every_instance_and_every_location_reached() -> None:
    def verdict(tally: Tally) -> RunState:
        return fold(ended(), [Counted("all", tally)], START).state

    assert verdict(DONE) is RunState.SUCCEEDED
    assert verdict(replace(DONE, outcomes={"compliant": 3, "unverified": 1})) is RunState.FAILED
    assert verdict(replace(DONE, outcomes={"compliant": 3, "pendingReboot": 1})) is RunState.INCOMPLETE
    assert verdict(replace(DONE, outcomes={"compliant": 3})) is RunState.FAILED
    assert verdict(replace(DONE, resolved=3, unreachable=1)) is RunState.FAILED
    assert verdict(replace(DONE, collected=1)) is RunState.OPEN


def test_zero_targets_is_a_named_end_and_never_a_success() -> None:
    nothing = Tally(resolved=2, empty=2)
    run = fold(opened(), [Listed("all", 2, FACTS), Counted("all", nothing)], OPENED)
    assert (run.state, [alert.kind for alert in run.alerts]) == (RunState.NO_TARGETS, ["no-targets"])
    assert fold(opened(), [Listed("all", 0, FACTS)], OPENED).state is RunState.NO_TARGETS


def test_a_run_that_cannot_be_prepared_fails_with_the_reason() -> None:
    run = fold(opened(), [Unpreparable("all", "no such unit")], OPENED)
    assert (run.state, run.waves[0].reason) == (RunState.FAILED, "no such unit")


def test_where_the_limit_is_a_count_only_so_many_locations_are_at_work() -> None:
    run = permitted(ready(*(execution(number, share=2, limit=5) for number in (1, 2, 3))))
    assert commands(run, START) == [Start(("all", 1)), Start(("all", 2))]
    run = ask(run, [Start(("all", 1)), Start(("all", 2))], START)
    assert commands(run, START) == []
    run = fold(run, [Started(("all", 1), "a", START)], START)
    run = fold(run, [Looked(("all", 1), "x", "3", "Success", over=True)], START)
    assert Start(("all", 3)) in due(run, START)


def test_a_frozen_wave_that_nobody_could_plan_ends_as_missed() -> None:
    run = fold(opened(), [Listed("all", 2, FACTS), Counted("all", HALF)], OPENED)
    closed = run.window.last_start
    assert fold(run, [], closed + timedelta(minutes=59)).open
    assert fold(run, [], closed + timedelta(minutes=60)).state is RunState.MISSED


def test_an_ended_run_asks_for_nothing_once_people_were_told() -> None:
    run = fold(ended(), [Counted("all", DONE)], START)
    assert due(run, START) == (Publish("started", "all"), Publish("succeeded"), Tell("succeeded"), AskReport())
    run = fold(run, [Published(("started", "all", "")), Published(("succeeded", "", "")), Told("succeeded")], START)
    assert due(run, START) == (AskReport(),)
    run = fold(run, [Reported("0" * 64)], START)
    assert due(run, START + timedelta(days=1)) == ()
    assert wake_at(run, START) is None


def test_a_report_that_nobody_writes_is_asked_for_a_few_times_and_no_more() -> None:
    run = fold(ended(), [Counted("all", DONE)], START)
    run = fold(run, [Published(("started", "all", "")), Published(("succeeded", "", "")), Told("succeeded")], START)
    now, asked = START, 0
    while (wake := wake_at(run, now)) is not None:
        now = max(now, wake)
        commands = due(run, now)
        run = ask(run, commands, now)
        asked += commands == (AskReport(),)
        assert due(run, now + REPORT_PATIENCE - timedelta(seconds=1)) == ()
        now += timedelta(seconds=1)
    assert asked == REPORT_ASKS
    assert fold(run, [Reported("a" * 64)], now).reported == "a" * 64  # one that comes late is taken all the same


WAVE_ORDER = list(WaveState)
EXECUTION_ORDER = list(ExecutionState)
ALL_SEEN: list[Seen] = [
    Clock(START),
    Clock(START + timedelta(hours=3)),
    Counted("all", HALF),
    Counted("all", DONE),
    Listed("all", 2, FACTS),
    Unpreparable("all", "why"),
    Planned("all", (execution(),)),
    Looked(KEY, "m", "1", "InProgress", over=False),
    Looked(KEY, "m", "3", "Failed", over=True),
    Started(KEY, "id-1", START),
    StartRefused(KEY, "why"),
    Published(("started", "all", "")),
    Told("ready"),
]


@given(st.lists(st.sampled_from(ALL_SEEN), max_size=30), st.lists(st.integers(0, 300), min_size=30, max_size=30))
def test_whatever_is_seen_in_whatever_order_states_only_move_forward(order: list[Seen], minutes: list[int]) -> None:
    run, now = opened(), OPENED
    for seen, passed in zip(order, minutes, strict=False):
        if isinstance(seen, (Looked, Started, StartRefused)) and not run.executions:
            continue
        now += timedelta(minutes=passed / 10)
        noted = ask(run, due(run, now), now)
        after = fold(noted, [seen], now)
        for old, new in zip(run.waves, after.waves, strict=True):
            assert WAVE_ORDER.index(new.state) >= WAVE_ORDER.index(old.state)
            assert old.state not in OVER or new.state is old.state
        for older, newer in zip(run.executions, after.executions, strict=False):
            assert newer.state is older.state or older.state not in STOPPED
        assert run.open or after.state is run.state
        if after.state is RunState.SUCCEEDED:
            assert after.waves[0].tally.count(Outcome.COMPLIANT) == after.waves[0].tally.instances
        run = after


def test_terminal_states_have_no_way_out() -> None:
    assert not OVER & set(WAVE_MOVES)
    assert not STOPPED & set(EXECUTION_MOVES)


def test_evidence_is_asked_for_when_it_may_be_there_and_seldom_when_it_is_late() -> None:
    asked = [minute for minute in range(31) if asks_evidence(timedelta(minutes=minute, seconds=20))]
    assert asked == [1, 2, 4, 7, 10, 15, 20, 25, 30]
