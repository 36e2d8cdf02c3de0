"""What people tell a run, and what it says to that: plain values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from patchtide.core.advance import fold
from patchtide.core.commands import AnswerOrder, Close, Permit, Plan, Reopen, Start
from patchtide.core.due import ask, due, wake_at
from patchtide.core.gate import Verdict
from patchtide.core.orders import Kind, Order, spoken
from patchtide.core.run import Approval, Execution, Run, RunbookFacts, WaveRun, Window, approve_by
from patchtide.core.seen import (
    Closed,
    Counted,
    Deferred,
    Listed,
    Ordered,
    OrderTold,
    Permitted,
    Planned,
    Postponed,
    Reopened,
    Told,
)
from patchtide.core.states import RunState, WaveState
from patchtide.core.tally import Tally
from tests.values import a_run

OPENED = datetime(2026, 12, 11, 22, tzinfo=UTC)
START = OPENED + timedelta(days=1)
BOSS = "arn:aws:sts::999900001111:assumed-role/Operators/boss@example.com"


def waiting() -> Run:
    wave = WaveRun("all", approval=True)
    run = a_run("dev", START, OPENED, [wave])
    run = fold(
        run,
        [Listed("all", 1, RunbookFacts("1", "h", ()), OPENED), Counted("all", Tally(resolved=1, instances=4))],
        OPENED,
    )
    execution = Execution("all", 1, "{}", 1, "token", instances=4)
    return fold(run, [Planned("all", (execution,), "abc"), Told("waiting for approval")], OPENED)


def order(kind: Kind, at: datetime = OPENED, **said: object) -> Order:
    return replace(Order("o-1", kind, BOSS, at, wave="all", digest="abc"), **said)  # type: ignore[arg-type]


def told(run: Run, given: Order, now: datetime = OPENED) -> tuple[Run, str]:
    after = fold(run, [Ordered(given)], now)
    answered = after.answered(given.id)
    assert answered
    return after, f"{'yes' if answered.accepted else 'no'}: {answered.answer}"


def test_a_wave_that_waits_asks_once_and_sleeps_until_it_is_too_late() -> None:
    run = waiting()
    assert run.phase == "waiting for approval"
    assert [(alert.kind, alert.about) for alert in run.alerts] == [("approve", "abc")]
    quiet = replace(run, alerts=())
    assert wake_at(quiet, OPENED) == START == approve_by(run, run.waves[0])
    assert Permit("all") not in due(quiet, START - timedelta(minutes=1))


def test_nothing_starts_before_somebody_approved_it_and_then_it_does() -> None:
    run, answer = told(waiting(), order("approve"))
    assert answer == "yes: wave all may begin"
    assert run.waves[0].approved == Approval(BOSS, OPENED, "abc")
    assert Permit("all") in due(run, START)


def test_an_order_is_taken_in_once_however_often_it_is_seen() -> None:
    run, _ = told(waiting(), order("approve"))
    assert fold(run, [Ordered(order("approve"))], OPENED) == run
    assert due(run, OPENED)[-1] == AnswerOrder("o-1")
    done = fold(run, [OrderTold("o-1")], OPENED)
    assert AnswerOrder("o-1") not in due(done, OPENED)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (order("approve", digest="other"), "is not what would run now (abc)"),
        (order("approve", digest=""), "what was shown (nothing)"),
        (order("approve", wave="none"), "it has no wave 'none'"),
        (order("approve", at=START), "too late: it had to be approved by 2026-12-12 22:00Z"),
    ],
)
def test_an_approval_that_does_not_fit_is_refused(given: Order, answer: str) -> None:
    run, said = told(waiting(), given)
    assert said.startswith("no: ")
    assert answer in said
    assert run.waves[0].approved is None


def test_an_approval_given_in_time_counts_though_it_is_taken_in_late() -> None:
    _, said = told(waiting(), order("approve", at=START - timedelta(seconds=1)), START + timedelta(minutes=1))
    assert said == "yes: wave all may begin"


@pytest.mark.parametrize(
    ("author", "answer"),
    [("", "nobody knows who wrote"), (BOSS, "another must approve it"), ("arn:aws:iam::1:user/other", "may begin")],
)
def test_who_wrote_it_may_not_approve_it_where_another_must(author: str, answer: str) -> None:
    run = replace(waiting(), other_approver=True, author=author)
    assert answer in told(run, order("approve"))[1]


def test_who_wrote_it_may_refuse_it() -> None:
    run = replace(waiting(), other_approver=True, author=BOSS)
    assert told(run, order("reject"))[1] == "yes: wave all is skipped"


def test_no_answer_by_the_windows_start_is_a_no() -> None:
    run = fold(waiting(), [], START)
    assert (run.waves[0].withheld, run.waves[0].reason) == ("skipped", "nobody approved it by 2026-12-12 22:00Z")


def test_a_window_that_moves_takes_its_approval_with_it() -> None:
    run, _ = told(waiting(), order("approve"))
    moved = fold(run, [Postponed("all", START + timedelta(days=1), "frozen")], OPENED)
    assert moved.waves[0].approved is None
    assert moved.executions == ()
    assert moved.waves[0].window == Window(
        START + timedelta(days=1), START + timedelta(days=1, hours=4), timedelta(hours=1)
    )
    assert "postponed" in [alert.kind for alert in moved.alerts]


def test_a_stop_withholds_every_wave_that_has_not_begun() -> None:
    run = a_run("dev", START, OPENED, [WaveRun("one"), WaveRun("two")])
    stopped, said = told(run, order("stop", reason="incident"))
    assert said == "yes: nothing new begins; what is being patched finishes"
    assert [wave.state for wave in stopped.waves] == [WaveState.WITHHELD] * 2
    assert (stopped.state, stopped.waves[0].reason) == (RunState.STOPPED, "stopped by boss@example.com: incident")
    assert told(stopped, order("stop", id="o-2"))[1] == "no: it has ended already: stopped"


def test_a_wave_that_is_stopped_while_its_targets_are_found_out_accounts_for_them() -> None:
    run = fold(a_run("dev", START, OPENED), [Listed("all", 2, RunbookFacts("1", "h", ()), OPENED)], OPENED)
    stopped, _ = told(run, order("stop"))
    assert (stopped.open, stopped.waves[0].state, stopped.waves[0].withheld) == (True, WaveState.PREPARING, "stopped")
    frozen = fold(stopped, [Counted("all", Tally(resolved=2, instances=4))], OPENED)
    assert due(frozen, OPENED)[0] == Plan("all")
    planned = fold(frozen, [Planned("all", (Execution("all", 1, "{}", 2, "t"),), "abc")], OPENED)
    assert Close(("all", 1)) in due(planned, OPENED)
    none = Tally(resolved=2, instances=4, collected=2, outcomes={"notStarted": 4})
    assert fold(planned, [Closed(("all", 1)), Counted("all", none)], OPENED).state is RunState.STOPPED


def test_a_wave_that_was_only_about_to_begin_is_stopped() -> None:
    run = ask(told(waiting(), order("approve"))[0], [Start(("all", 1))], START)
    deferred = fold(run, [Deferred(("all", 1), "no room")], START)
    stopped, said = told(deferred, order("stop", id="o-2", now=False), START)
    assert said.startswith("yes")
    assert stopped.waves[0].withheld == "stopped"


def test_an_ended_run_asks_for_its_retry_until_it_is_open() -> None:
    ended = replace(a_run("dev", START, OPENED), state=RunState.FAILED, told="failed", reported="0" * 64)
    run, _ = told(ended, order("retry", failed_only=True), START)
    assert due(run, START) == (Reopen("o-1"),)
    opened = fold(run, [Reopened("o-1", accepted=True, answer="opened")], START)
    assert due(opened, START) == (AnswerOrder("o-1"),)


def test_each_retry_has_a_number_of_its_own() -> None:
    run = replace(a_run("dev", START, OPENED), state=RunState.FAILED)
    for number in (1, 2):
        run = fold(run, [Ordered(order("retry", id=f"o-{number}"))], START)
    assert [one.answer for one in run.orders] == [f"{run.id}-r1", f"{run.id}-r2"]


def test_a_new_version_replaces_only_what_waits_for_approval() -> None:
    run, _ = told(waiting(), order("replace"))
    assert run.waves[0].withheld == "replaced"
    plain = a_run("dev", START, OPENED)
    assert told(plain, order("replace"))[1] == "no: it keeps the version that it was opened with"
    approved, _ = told(waiting(), order("approve"))
    in_the_air = ask(approved, [Start(("all", 1))], START)  # nobody has answered, and it may run
    assert told(in_the_air, order("replace", id="o-2"), START)[1] == "no: it keeps the version that it was opened with"


def test_a_wave_whose_start_is_in_the_air_is_not_skipped_any_more() -> None:
    run = ask(told(waiting(), order("approve"))[0], [Start(("all", 1))], START)
    closed = fold(run, [Permitted("all", Verdict("no", "closed"), "skipped")], START)
    assert (closed.waves[0].withheld, closed.waves[0].hold) == ("", "closed")


def test_a_principal_is_spoken_of_by_its_last_name() -> None:
    assert spoken(BOSS) == "boss@example.com"
    assert spoken("arn:aws:iam::999900001111:user/ops/jane") == "jane"
    assert spoken("") == ""
