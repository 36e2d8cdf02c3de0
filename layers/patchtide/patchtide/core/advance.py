"""What a run becomes when something was seen, and what people should hear of it.

`fold` takes in all that was seen in a turn, time included, and says what the run is then. It knows no cloud and no clock: the
same run and the same observations always come to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import reduce
from typing import assert_never

from patchtide.core.gate import judge
from patchtide.core.orders import Answered, Order, spoken
from patchtide.core.outcome import FINE, Outcome
from patchtide.core.run import (
    GIVE_UP,
    LATE,
    STOP_GRACE,
    AlertKind,
    Approval,
    Execution,
    PendingAlert,
    Run,
    WaveRun,
    Withheld,
    approve_by,
    baked_at,
    begun,
    last_start,
    opens_at,
)
from patchtide.core.seen import (
    AlarmsSeen,
    Barred,
    Clock,
    Closed,
    Counted,
    Deferred,
    Listed,
    Looked,
    Missed,
    NotThere,
    Ordered,
    OrderTold,
    Permitted,
    Planned,
    Postponed,
    Published,
    Released,
    Reopened,
    Reported,
    Seen,
    Started,
    StartRefused,
    Told,
    Undecided,
    Unpreparable,
)
from patchtide.core.states import (
    EXECUTION_MOVES,
    OVER,
    STOPPED,
    WAVE_MOVES,
    ExecutionState,
    Move,
    RunState,
    WaveState,
)


def fold(run: Run, seen: Iterable[Seen], now: datetime) -> Run:
    """The run after all of this was seen, with the alerts that the difference calls for."""
    after = settle(reduce(advance, (*seen, Clock(now)), run), now)
    told = {alert.key for alert in run.alerts}
    if after is run:
        return run
    news = [PendingAlert(kind, now, wave=wave, about=about) for kind, wave, about in between(run, after)]
    new = tuple(alert for alert in news if alert.key not in told)
    return replace(after, alerts=after.alerts + new) if new else after


def advance(run: Run, seen: Seen) -> Run:
    """The run after one thing was seen. What does not apply (late, repeated, out of order) changes nothing."""
    match seen:
        case Clock(now):
            return _pass_time(run, now)
        case Counted(wave, tally):
            found = run.wave(wave)
            return run if found.tally == tally else with_wave(run, replace(found, tally=tally))
        case Listed():
            return _listed(run, seen)
        case Unpreparable(wave, reason):
            return with_wave(run, moved(run.wave(wave), Move.UNPREPARABLE, reason=reason))
        case Planned():
            return _planned(run, seen)
        case Permitted():
            return _permitted(run, seen)
        case Barred(wave, reason):
            found = run.wave(wave)
            taken_back = reason or found.taken_back
            return with_wave(run, replace(found, barred=reason, taken_back=taken_back, hold=reason or found.hold))
        case Postponed(wave, start, reason):
            return _postponed(run, run.wave(wave), start, reason)
        case AlarmsSeen():
            return _alarms_seen(run, seen)
        case Started(key, id_, at):
            wave_run = run.wave(key[0])
            started = with_wave(run, replace(wave_run, started_at=wave_run.started_at or at))
            started = replace(started, started_at=run.started_at or at)
            return _with_execution(started, key, Move.STARTED, id=id_, started_at=at, reason="", doubt="")
        case StartRefused(key, reason):
            return _with_execution(run, key, Move.REFUSED, reason=reason)
        case Deferred(key, reason):
            held = with_wave(run, replace(run.wave(key[0]), hold=reason))
            return _with_execution(held, key, Move.DEFERRED, asked_at=None, first_asked_at=None)
        case NotThere(key):
            return _with_execution(run, key, Move.NOT_THERE, asked_at=None, first_asked_at=None, doubt="")
        case Undecided(key, reason):
            execution = run.execution(key)
            doubted = execution.state is ExecutionState.STARTING and not execution.doubt
            return replaced(run, replace(execution, doubt=reason)) if doubted else run
        case Looked():
            return _looked(run, seen)
        case Missed(key, at):
            execution = run.execution(key)
            return replaced(run, replace(execution, missing_since=execution.missing_since or at))
        case Closed(key):
            execution = run.execution(key)
            return replaced(run, replace(execution, closed=True, ended=execution.all_ended))
        case Released(key):
            return replaced(run, replace(run.execution(key), released=True))
        case Ordered(order):
            return run if run.answered(order.id) else _ordered(run, order)
        case Reopened(order_id, accepted, answer):
            return _with_answer(run, order_id, accepted=accepted, answer=answer, done=True)
        case OrderTold(order_id):
            return _with_answer(run, order_id, told=True)
        case Published(key):
            return replace(run, alerts=tuple(alert for alert in run.alerts if alert.key != key))
        case Told(phase):
            return replace(run, told=phase)
        case Reported(digest):
            return run if run.reported else replace(run, reported=digest)
    assert_never(seen)


# --- a wave is prepared ---------------------------------------------------------------------------------------------


def _listed(run: Run, seen: Listed) -> Run:
    wave = run.wave(seen.wave)
    if wave.state is not WaveState.PLANNED:
        return run
    if reason := run.changed_runbook(seen.runbook):  # what an earlier wave proved, it proved of another
        return with_wave(run, moved(wave, Move.UNPREPARABLE, reason=reason))
    found = replace(wave, locations=seen.locations, listed_at=seen.at)
    move = Move.LISTED if seen.locations else Move.FOUND_NOTHING
    return with_wave(replace(run, runbook=run.runbook or seen.runbook), moved(found, move))


def _planned(run: Run, seen: Planned) -> Run:
    found = run.wave(seen.wave)
    if found.state not in (WaveState.READY, WaveState.RUNNING):
        return run
    known = {execution.key for execution in run.executions}
    new = tuple(execution for execution in seen.executions if execution.key not in known)
    wave = replace(found, planned=True, digest=seen.digest, closes_at=seen.closes_at)
    return with_wave(replace(run, executions=run.executions + new), wave)


def covered(run: Run, wave: WaveRun) -> bool:
    """Whether every location with something to start belongs to an execution. A save of very many may have been cut short;
    of a location's parts, the last one is the last to be saved."""
    found = sum(one.locations for one in run.executions_of(wave.name) if one.part == one.parts)
    return wave.planned and found >= wave.tally.startable


# --- a wave may begin, or not ---------------------------------------------------------------------------------------


def _permitted(run: Run, seen: Permitted) -> Run:
    wave = run.wave(seen.wave)
    if wave.state in OVER:
        return run
    if seen.verdict.answer == "no" and seen.withheld and not begun(run, wave):
        return _withhold(run, wave, seen.withheld, seen.verdict.reason)
    return with_wave(run, replace(wave, hold="" if seen.verdict else seen.verdict.reason))


def _withhold(run: Run, wave: WaveRun, kind: Withheld, reason: str) -> Run:
    """The run with the wave not begun, or not gone on with. One whose targets are being found out is accounted for first."""
    if wave.state in OVER or wave.state is WaveState.COLLECTING or wave.withheld:
        return run
    marked = replace(wave, withheld=kind, reason=reason)
    return with_wave(run, moved(marked, Move.WITHHELD) if wave.state is WaveState.PLANNED else marked)


def _postponed(run: Run, wave: WaveRun, start: datetime, reason: str) -> Run:
    """The run with the wave's window, and those behind it, later by as much. What was planned is planned anew, because a
    request says until when it may start; nothing of it was ever sent."""
    by = start - run.window_of(wave).start
    if wave.state in OVER or wave.withheld or begun(run, wave) or not by:
        return run
    for behind in (wave, *run.after(wave)):
        window = run.window_of(behind)
        run = with_wave(run, replace(behind, window=window.moved(window.start + by)))
    fresh = replace(
        run.wave(wave.name),
        planned=False,
        approved=None,
        digest="",
        closes_at=None,
        prepare_asked_at=None,
        hold=reason,
        late=False,
    )
    kept = tuple(one for one in run.executions if one.wave != wave.name)
    return with_wave(replace(run, executions=kept), fresh)


def _alarms_seen(run: Run, seen: AlarmsSeen) -> Run:
    wave = run.wave(seen.wave)
    if wave.alarm:  # one that was on has spoken, also when it is quiet again
        return run
    said = {"yes": "", "no": seen.verdict.reason, "wait": None}[seen.verdict.answer]
    run = with_wave(run, replace(wave, alarm=said))
    following = next(iter(run.after(wave)), None)
    if said and following and not begun(run, following):
        return _withhold(run, following, "halted", f"wave {wave.name}: {said}")
    return run


# --- orders ---------------------------------------------------------------------------------------------------------


def _ordered(run: Run, order: Order) -> Run:
    match order.kind:
        case "stop":
            return _stopped(run, order)
        case "approve" | "reject":
            return _decided(run, order)
        case "retry":
            if run.open:
                return _answer(run, order, "it is still open: stop it first, or wait for its end", accepted=False)
            if run.state is RunState.REPLACED:
                return _answer(run, order, "another run took its place: retry that one", accepted=False)
            opens = replace(run, retries=run.retries + 1)
            return _answer(opens, order, f"{run.id}-r{opens.retries}", accepted=True, done=False)
        case "replace":
            return _superseded(run, order)
    assert_never(order.kind)


def _answer(run: Run, order: Order, answer: str, *, accepted: bool, done: bool = True) -> Run:
    return replace(run, orders=(*run.orders, Answered(order, accepted, answer, done=done)))


def _with_answer(run: Run, order: str, **changes: object) -> Run:
    changed = (replace(one, **changes) if one.order.id == order else one for one in run.orders)  # type: ignore[arg-type]
    return replace(run, orders=tuple(changed))


def _stopped(run: Run, order: Order) -> Run:
    current = run.current
    if not run.open or current is None:
        return _answer(run, order, f"it has ended already: {run.state}", accepted=False)
    why = f"stopped by {spoken(order.by)}" + (f": {order.reason}" if order.reason else "")
    going = current.state in (WaveState.RUNNING, WaveState.COLLECTING) and begun(run, current)
    spared = going and (not order.now or current.state is WaveState.COLLECTING)
    stopped = run
    for wave in run.after(current) if spared else (current, *run.after(current)):
        stopped = _withhold(stopped, stopped.wave(wave.name), "stopped", why)
    if stopped == run:
        left = "only results are still being read"
        if current.state is WaveState.RUNNING:
            left = f"wave {current.name} is under way, and none is behind it; to stop it as well, stop it now"
        return _answer(run, order, f"nothing is left to stop: {left}", accepted=False)
    return _answer(stopped, order, "nothing new begins; what is being patched finishes", accepted=True)


def _decided(run: Run, order: Order) -> Run:
    wave = next((wave for wave in run.waves if wave.name == order.wave), None)
    wrong = _undecidable(run, wave, order)
    if wrong or wave is None:
        return _answer(run, order, wrong, accepted=False)
    if order.kind == "reject":
        why = f"rejected by {spoken(order.by)}" + (f": {order.reason}" if order.reason else "")
        return _answer(_withhold(run, wave, "skipped", why), order, f"wave {wave.name} is skipped", accepted=True)
    approved = replace(wave, approved=Approval(order.by, order.at, order.digest))
    return _answer(with_wave(run, approved), order, f"wave {wave.name} may begin", accepted=True)


def _undecidable(run: Run, wave: WaveRun | None, order: Order) -> str:
    """Why the order cannot decide about the wave; empty when it can."""
    if not run.open:
        return f"the run has ended: {run.state}"
    if wave is None:
        return f"it has no wave {order.wave!r}, it has {', '.join(one.name for one in run.waves)}"
    if not wave.approval:
        return f"wave {wave.name} needs no approval"
    if wave.approved:
        return f"wave {wave.name} was approved by {spoken(wave.approved.by)}"
    if wave.withheld or wave.state in OVER:
        return f"wave {wave.name} is over: {wave.reason or wave.state}"
    if not wave.asks_approval:
        return f"wave {wave.name} is {wave.state}: what it would patch is not known yet"
    if order.at >= approve_by(run, wave):
        return f"too late: it had to be approved by {approve_by(run, wave):%Y-%m-%d %H:%MZ}"
    if order.digest != wave.digest:
        return (
            f"what was shown ({order.digest or 'nothing'}) is not what would run now ({wave.digest}): look at it again"
        )
    if run.other_approver and order.kind == "approve":
        if not run.author:
            return "nobody knows who wrote this version: write it by `patchtide campaign apply`, so that another can approve"
        if run.author == order.by:
            return f"{order.by} wrote this version, and another must approve it"
    return ""


def _superseded(run: Run, order: Order) -> Run:
    first = run.waves[0]
    if not run.open or begun(run, first) or first.state in OVER or not first.approval:
        return _answer(run, order, "it keeps the version that it was opened with", accepted=False)
    for wave in run.waves:
        run = _withhold(run, run.wave(wave.name), "replaced", "the campaign changed")
    return _answer(run, order, "", accepted=True, done=False)


# --- what AWS shows -------------------------------------------------------------------------------------------------


def _looked(run: Run, seen: Looked) -> Run:
    execution = run.execution(seen.execution)
    if execution.state is not ExecutionState.RUNNING:
        return run
    execution = replace(execution, mark=seen.mark, ended=seen.ended, status=seen.status, missing_since=None)
    run = replaced(run, execution)
    if not seen.over:
        return run
    return _with_execution(run, seen.execution, Move.ENDED, closed=True, reason=seen.reason)


# --- time passes ----------------------------------------------------------------------------------------------------


def _pass_time(run: Run, now: datetime) -> Run:
    for wave in run.waves:
        if wave.state not in OVER:
            run = _pass_time_for(run, wave, now)
    return run


def _pass_time_for(run: Run, wave: WaveRun, now: datetime) -> Run:
    window, closed = run.window_of(wave), now >= last_start(run, wave)
    if wave.listed_at and wave.approval and not wave.approved and now >= approve_by(run, wave):
        run = _withhold(run, wave, "skipped", f"nobody approved it by {approve_by(run, wave):%Y-%m-%d %H:%MZ}")
        wave = run.wave(wave.name)
    if closed or wave.withheld:
        run = _expired(run, wave, now)
    unbegun = wave.state is WaveState.PLANNED and run.current == wave
    if (now >= window.last_start and unbegun) or _unplannable(run, wave, now):
        return with_wave(run, moved(wave, Move.CLOSED, reason=_why_closed(run, wave)))
    going = [one for one in run.executions_of(wave.name) if one.state is ExecutionState.RUNNING]
    late = (
        now >= opens_at(run, wave) + LATE
        and not closed
        and not wave.withheld
        and _waits(run, wave)
        and not wave.asks_approval
    )
    closing = closed and bool(going) and wave.state is WaveState.RUNNING
    if (wave.late or not late) and (wave.closing or not closing):
        return run
    return with_wave(run, replace(wave, late=wave.late or late, closing=wave.closing or closing))


def _expired(run: Run, wave: WaveRun, now: datetime) -> Run:
    reason = wave.reason if wave.withheld else _why_closed(run, wave)
    lost = run.window_of(wave).end + STOP_GRACE
    for execution in run.executions_of(wave.name):
        if execution.state is ExecutionState.PLANNED:
            run = replaced(run, _moved_execution(execution, Move.CLOSED, reason=reason))
        elif execution.state is ExecutionState.STARTING and now >= lost:
            doubt = execution.doubt or "whether it started could not be found out"
            run = replaced(run, replace(_moved_execution(execution, Move.UNDECIDED, reason=doubt), status="Unknown"))
    return run


def _why_closed(run: Run, wave: WaveRun) -> str:
    if wave.hold:
        return f"its window closed while it waited: {wave.hold}"
    if wave.state is WaveState.PLANNED and baked_at(run, wave) >= run.window_of(wave).last_start:
        return "the wave before it was not done and baked before the window closed"
    return "the window closed before it could start"


def _waits(run: Run, wave: WaveRun) -> bool:
    """Whether it is the wave's turn and nothing of it has begun."""
    return run.current == wave and wave.started_at is None and wave.state is not WaveState.COLLECTING


def _unplannable(run: Run, wave: WaveRun, now: datetime) -> bool:
    """Whether a frozen wave could not be planned for so long that it never will be: a run must end, and be heard of."""
    return wave.state is WaveState.READY and not wave.planned and now >= run.window_of(wave).last_start + GIVE_UP


# --- what follows ---------------------------------------------------------------------------------------------------


def settle(run: Run, now: datetime) -> Run:
    """What follows from the facts alone: frozen sets, ended waves, gates, the end of the run."""
    if any(one.state in STOPPED and one.ended_at is None for one in run.executions):
        run = replace(run, executions=tuple(_stamped(execution, now) for execution in run.executions))
    for wave in run.waves:
        run = _gated(run, run.wave(wave.name))
        run = with_wave(run, _settle_wave(run, run.wave(wave.name), now))
    if run.open and all(wave.state in OVER for wave in run.waves):
        run = replace(run, state=_verdict(run), ended_at=now)
    return run


def _stamped(execution: Execution, now: datetime) -> Execution:
    if execution.state in STOPPED and execution.ended_at is None:
        return replace(execution, ended_at=now)
    return execution


def _gated(run: Run, wave: WaveRun) -> Run:
    """The wave withheld when the one before it is over and does not let it begin."""
    before = run.before(wave)
    if before is None or before.state not in OVER or wave.state is not WaveState.PLANNED:
        return run
    if before.withheld:
        return _withhold(run, wave, before.withheld, before.reason)
    if before.state is not WaveState.SETTLED:
        why = {WaveState.EMPTY: "matched no instance, so nothing shows that it is safe to go on"}
        return _withhold(run, wave, "halted", f"wave {before.name} {why.get(before.state, before.reason)}")
    if before.started_at is None:
        spared = before.tally.excepted == before.tally.instances
        why_not = "exceptions spare all of it" if spared else "it belongs to other runs"
        never = next((one.reason for one in run.executions_of(before.name) if one.reason), why_not)
        return _withhold(run, wave, "halted", f"nothing of wave {before.name} was started: {never}")
    verdict = judge(before.gate, before.tally)
    if verdict.answer == "no":
        return _withhold(run, wave, "halted", f"wave {before.name}: {verdict.reason}")
    return _withhold(run, wave, "halted", f"wave {before.name}: {before.alarm}") if before.alarm else run


def _settle_wave(run: Run, wave: WaveRun, now: datetime) -> WaveRun:
    executions = run.executions_of(wave.name)
    if wave.state is WaveState.PREPARING and wave.tally.resolved >= wave.locations:
        wave = moved(wave, Move.FROZEN if wave.tally.instances else Move.FOUND_NOTHING)
    if wave.state is WaveState.READY and 0 < wave.max_instances < wave.tally.instances and not wave.withheld:
        reason = f"it matches {wave.tally.instances} instances, maxInstances is {wave.max_instances}"
        return replace(wave, withheld="halted", reason=reason)
    if wave.state is WaveState.READY:
        asked_for = any(e.state is not ExecutionState.PLANNED for e in executions)
        nothing = covered(run, wave) and not wave.tally.startable  # all of it belongs to another run
        wave = moved(wave, Move.ASKED) if asked_for or nothing else wave
    ended = covered(run, wave) and all(e.state in STOPPED and e.closed for e in executions)
    if wave.state is WaveState.RUNNING and ended:
        wave = replace(moved(wave, Move.ALL_ENDED), collecting_since=now)
    if wave.state is WaveState.COLLECTING and wave.tally.collected >= wave.tally.patching:
        return replace(moved(wave, Move.EVIDENCED), settled_at=now)
    return wave


def _verdict(run: Run) -> RunState:
    """How a run ended. Success needs evidence for every instance that was expected and every location reached."""
    states = {wave.state for wave in run.waves}
    withheld = {wave.withheld for wave in run.waves}
    tallies = [wave.tally for wave in run.waves]
    for kind, state in (("replaced", RunState.REPLACED), ("stopped", RunState.STOPPED), ("skipped", RunState.SKIPPED)):
        if kind in withheld:
            return state
    if WaveState.BROKEN in states:
        return RunState.FAILED
    if run.started_at is None and not any(tally.unreachable for tally in tallies) and _nothing_matched(run):
        return RunState.NO_TARGETS
    if run.started_at is None and _closed(run):
        return RunState.MISSED
    if WaveState.EXPIRED in states:
        return RunState.FAILED
    if "halted" in withheld:
        return RunState.HALTED
    if any(tally.unreachable for tally in tallies):
        return RunState.FAILED
    expected = sum(tally.instances for tally in tallies)
    if WaveState.EMPTY not in states:
        fine = sum(tally.count(*FINE) for tally in tallies)
        if fine and fine + sum(tally.excepted for tally in tallies) == expected:
            return RunState.SUCCEEDED
        if sum(tally.count(*FINE, Outcome.PENDING_REBOOT, Outcome.EXCLUDED) for tally in tallies) == expected:
            return RunState.INCOMPLETE
    return RunState.FAILED


def _nothing_matched(run: Run) -> bool:
    """Whether every wave that was asked for its targets found none."""
    asked = [wave for wave in run.waves if wave.state is not WaveState.WITHHELD]
    return all(wave.state is WaveState.EMPTY for wave in asked)


def _closed(run: Run) -> bool:
    """Whether it is the window that kept the run from beginning."""
    if any(wave.state is WaveState.EXPIRED for wave in run.waves):
        return True
    return any(one.state is ExecutionState.EXPIRED and not run.wave(one.wave).withheld for one in run.executions)


# --- what people should hear ----------------------------------------------------------------------------------------


def between(before: Run, after: Run) -> Iterator[tuple[AlertKind, str, str]]:
    """What people should hear, as the difference of two states of a run: the kind of news, its wave, and what it is about
    where one wave may have the same kind of news twice."""
    for old, new in zip(before.waves, after.waves, strict=True):
        yield from ((kind, new.name, about) for kind, about in _wave_news(before, old, after, new))
    if before.open and not after.open:
        yield TERMINAL[after.state], "", ""


def _wave_news(before: Run, old: WaveRun, after: Run, new: WaveRun) -> Iterator[tuple[AlertKind, str]]:
    if old.started_at is None and new.started_at is not None:
        yield "started", ""
    if new.asks_approval and not (old.asks_approval and old.digest == new.digest):
        yield "approve", new.digest
    if after.window_of(new) != before.window_of(old) and (old.hold != new.hold or new.hold):
        yield "postponed", f"{after.window_of(new).start:%Y-%m-%d}"
    if new.late and not old.late:
        yield "late", ""
    if new.closing and not old.closing:
        yield "closing", ""
    doubted = {one.key for one in before.executions if one.doubt}
    if any(one.doubt and one.key not in doubted for one in after.executions_of(new.name)):
        yield "undecided", ""
    behind = next(iter(after.after(new)), None)
    if old.state is not WaveState.SETTLED and new.state is WaveState.SETTLED and behind and not behind.withheld:
        yield "wave", ""


TERMINAL: Mapping[RunState, AlertKind] = {
    RunState.SUCCEEDED: "succeeded",
    RunState.INCOMPLETE: "incomplete",
    RunState.FAILED: "failed",
    RunState.NO_TARGETS: "no-targets",
    RunState.MISSED: "missed",
    RunState.HALTED: "halted",
    RunState.SKIPPED: "skipped",
    RunState.STOPPED: "stopped",
    RunState.REPLACED: "replaced",
}


# --- small change ---------------------------------------------------------------------------------------------------


def moved(wave: WaveRun, move: Move, *, reason: str = "") -> WaveRun:
    """The wave after a move; one that its state does not know changes nothing."""
    state = WAVE_MOVES.get(wave.state, {}).get(move)
    return wave if state is None else replace(wave, state=state, reason=reason or wave.reason)


def asked(execution: Execution, now: datetime) -> Execution:
    """The execution with a note that its start is asked for now."""
    noted = replace(execution, asked_at=now, first_asked_at=execution.first_asked_at or now)
    return _moved_execution(noted, Move.ASKED)


def _moved_execution(execution: Execution, move: Move, *, reason: str = "") -> Execution:
    state = EXECUTION_MOVES.get(execution.state, {}).get(move)
    return execution if state is None else replace(execution, state=state, reason=reason or execution.reason)


def with_wave(run: Run, wave: WaveRun) -> Run:
    """The run with the wave in place of what it was."""
    if any(wave is old for old in run.waves):
        return run
    return replace(run, waves=tuple(wave if wave.name == old.name else old for old in run.waves))


def replaced(run: Run, execution: Execution) -> Run:
    """The run with the execution in place of what it was."""
    if any(execution is old for old in run.executions):
        return run
    return replace(run, executions=tuple(execution if execution.key == old.key else old for old in run.executions))


def _with_execution(run: Run, key: tuple[str, int], move: Move, **changes: object) -> Run:
    execution = run.execution(key)
    if move not in EXECUTION_MOVES.get(execution.state, {}):
        return run
    return replaced(run, replace(_moved_execution(execution, move), **changes))  # type: ignore[arg-type]
