"""What a run still asks for, worked out from the run alone.

A command that was lost, with the machine that should have performed it, is simply asked for again, with the same token. `ask`
notes who was asked when, and is saved before anything is performed: a second worker sees the note and leaves the command
alone until `PATIENCE` is over, which is longer than any worker lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import assert_never

from patchtide.core.advance import asked, covered, replaced, settle, with_wave
from patchtide.core.commands import (
    AnswerOrder,
    AskEvidence,
    AskReport,
    AskTargets,
    Close,
    Command,
    Find,
    GiveUpEvidence,
    GiveUpTargets,
    Guard,
    Halt,
    Look,
    LookAtAlarms,
    Permit,
    Plan,
    Prepare,
    Publish,
    Release,
    Reopen,
    Start,
    Stop,
    Tell,
)
from patchtide.core.run import (
    COLLECT_AGAIN,
    GIVE_UP,
    HALT_LEAD,
    PATIENCE,
    PREPARE_LEAD,
    REPORT_ASKS,
    REPORT_PATIENCE,
    TOKEN_TRUST,
    VISIBLE,
    Execution,
    Run,
    WaveRun,
    approve_by,
    last_start,
    opens_at,
    prepares_at,
)
from patchtide.core.states import STOPPED, ExecutionState, WaveState

# How long before its window a wave stops waiting for the last answers: the others start in time, whoever is silent.
ANSWERED = timedelta(minutes=1)
HALTS = 3  # how often what waits is taken back around a cutoff; after that the fence has seen to the rest


def due(run: Run, now: datetime) -> tuple[Command, ...]:
    """What the run still asks for, in the order in which it should be done: looking comes last, since there may be so much to
    look at that the time is over before."""
    commands = list(_due_wave(run, run.current, now)) if run.open and run.current else []
    commands += [Release(one.key) for one in run.executions if run.capped and one.state in STOPPED and not one.released]
    commands += [Publish(*alert.key) for alert in run.alerts if _unanswered(alert.asked_at, now)]
    if run.told != run.phase:
        commands.append(Tell(run.phase))
    if _unreported(run) and _unanswered(run.report_asked_at, now, REPORT_PATIENCE):
        commands.append(AskReport())
    commands += [Reopen(one.order.id) for one in run.orders if not one.done]
    commands += [AnswerOrder(one.order.id) for one in run.orders if one.done and not one.told]
    return (*commands, *_looks(run, now))


def _unreported(run: Run) -> bool:
    return not run.open and not run.reported and run.report_asks < REPORT_ASKS


def _looks(run: Run, now: datetime) -> Iterator[Look]:
    """All that run, each minute from the next one on."""
    going = [one for one in run.executions if one.state is ExecutionState.RUNNING] if run.open else []
    first = int(now.timestamp() // 60) % len(going) if going else 0
    yield from (Look(one.key) for one in (*going[first:], *going[:first]))


def _due_wave(run: Run, wave: WaveRun, now: datetime) -> Iterator[Command]:
    before = run.before(wave)
    for watched in (before, wave):
        if watched and watched.gate.alarms and not watched.alarm and watched.started_at and run.after(watched):
            yield LookAtAlarms(watched.name)
    match wave.state:
        case WaveState.PLANNED:
            if now >= prepares_at(run, wave) and _unanswered(wave.prepare_asked_at, now):
                yield Prepare(wave.name)
        case WaveState.PREPARING:
            known_since = wave.listed_at or run.opened_at
            patient = max(run.window_of(wave).start, known_since + PREPARE_LEAD)
            if wave.approval:  # people must be asked while there is time, whoever has not answered by then
                patient = min(patient, known_since + GIVE_UP)
            if now >= min(patient, last_start(run, wave)) - ANSWERED:
                yield GiveUpTargets(wave.name)
            elif _unanswered(wave.targets_asked_at, now):
                yield AskTargets(wave.name)
        case WaveState.READY | WaveState.RUNNING:
            if not covered(run, wave):
                yield Plan(wave.name)
            yield from _due_executions(run, wave, now)
        case WaveState.COLLECTING:
            if now >= _since(wave) + GIVE_UP:
                yield GiveUpEvidence(wave.name)
    if wave.state in (WaveState.RUNNING, WaveState.COLLECTING):
        ended = sum(execution.ended_locations for execution in run.executions_of(wave.name))
        if ended + wave.tally.set_aside > wave.tally.collected and _unanswered(
            wave.evidence_asked_at, now, COLLECT_AGAIN
        ):
            yield AskEvidence(wave.name)


def _due_executions(run: Run, wave: WaveRun, now: datetime) -> Iterator[Command]:
    startable = list(_startable(run, wave, now))
    if startable and wave.hold != "":
        yield Permit(wave.name)  # the starts follow in the same turn, when nothing stands in their way
    else:
        yield from (Start(execution.key) for execution in startable)
    window, taken_back = run.window_of(wave), wave.withheld == "stopped" or bool(wave.barred)
    under_way = (ExecutionState.STARTING, ExecutionState.RUNNING)  # of one that nobody answered, AWS may know
    if any(one.state in under_way for one in run.executions_of(wave.name)) and not wave.withheld:
        yield Guard(wave.name)
    for execution in run.executions_of(wave.name):
        match execution.state:
            case ExecutionState.STARTING if _must_be_found(run, wave, execution, now):
                yield Find(execution.key)
            case ExecutionState.STARTING if _may_ask_again(run, wave, execution, now):
                yield Start(execution.key)
            case ExecutionState.RUNNING if now >= window.end or taken_back:
                asked_at = execution.stop_asked_at
                for_good = asked_at is not None and asked_at < window.end <= now  # before that, less was asked for
                if for_good or _unanswered(asked_at, now, TOKEN_TRUST):
                    yield Stop(execution.key)
            case ExecutionState() if execution.state in STOPPED and not execution.closed:
                yield Close(execution.key)
    if _halts(run, wave, now):
        yield Halt(wave.name)


def _startable(run: Run, wave: WaveRun, now: datetime) -> Iterator[Execution]:
    """Planned executions that may start now. Where the wave's limit is a count, the shares of those going on fill it."""
    unapproved = wave.approval and not wave.approved
    if wave.withheld or unapproved or not opens_at(run, wave) <= now < last_start(run, wave):
        return
    executions = run.executions_of(wave.name)
    limit = max((execution.limit for execution in executions), default=0)
    going = sum(e.share for e in executions if e.state in (ExecutionState.STARTING, ExecutionState.RUNNING))
    over = {execution.number for execution in executions if execution.state in STOPPED}
    for execution in executions:
        if execution.state is not ExecutionState.PLANNED:
            continue
        if execution.in_turn and execution.part > 1 and execution.number - 1 not in over:
            continue
        if limit and going + execution.share > limit:
            return
        going += execution.share
        yield execution


def _may_ask_again(run: Run, wave: WaveRun, execution: Execution, now: datetime) -> bool:
    return _unanswered(execution.asked_at, now) and _trusted(run, wave, execution, now)


def _must_be_found(run: Run, wave: WaveRun, execution: Execution, now: datetime) -> bool:
    """A start that nobody answered may not be asked for again once its token is old or it may not start any more. By the
    time it is looked for, one that did start must be visible."""
    return _unanswered(execution.asked_at, now, VISIBLE) and not _trusted(run, wave, execution, now)


def _trusted(run: Run, wave: WaveRun, execution: Execution, now: datetime) -> bool:
    first = execution.first_asked_at or now
    return now < first + TOKEN_TRUST and now < last_start(run, wave) and not wave.withheld and not wave.barred


def _halts(run: Run, wave: WaveRun, now: datetime) -> bool:
    going = any(one.state is ExecutionState.RUNNING for one in run.executions_of(wave.name))
    if not going or wave.state is not WaveState.RUNNING:
        return False
    if wave.withheld == "stopped" or wave.barred:
        return _unanswered(wave.halt_asked_at, now, COLLECT_AGAIN)
    closing = now >= last_start(run, wave) - HALT_LEAD and wave.halts < HALTS
    return closing and _unanswered(wave.halt_asked_at, now, COLLECT_AGAIN)


def _unanswered(asked_at: datetime | None, now: datetime, patience: timedelta = PATIENCE) -> bool:
    return asked_at is None or now >= asked_at + patience


def _since(wave: WaveRun) -> datetime:
    return wave.collecting_since or datetime.max.replace(tzinfo=UTC)


def ask(run: Run, commands: Iterable[Command], now: datetime) -> Run:
    """The run with a note of what is about to be performed. Looking, and what is harmless twice, needs no note."""
    return reduce(lambda noted, command: _ask(noted, command, now), commands, run)


def _ask(run: Run, command: Command, now: datetime) -> Run:
    match command:
        case Prepare(wave):
            return with_wave(run, replace(run.wave(wave), prepare_asked_at=now))
        case AskTargets(wave):
            return with_wave(run, replace(run.wave(wave), targets_asked_at=now))
        case AskEvidence(wave):
            return with_wave(run, replace(run.wave(wave), evidence_asked_at=now))
        case Halt(wave):
            found = run.wave(wave)
            counts = now >= last_start(run, found) - HALT_LEAD  # those of a pause leave the cutoff its own
            return with_wave(run, replace(found, halt_asked_at=now, halts=found.halts + counts))
        case Start(key):
            return settle(replaced(run, asked(run.execution(key), now)), now)
        case Find(key):
            return replaced(run, replace(run.execution(key), asked_at=now))
        case Stop(key):
            return replaced(run, replace(run.execution(key), stop_asked_at=now))
        case AskReport():
            return replace(run, report_asked_at=now, report_asks=run.report_asks + 1)
        case Publish():
            about = (command.kind, command.wave, command.about)
            alerts = (replace(alert, asked_at=now) if alert.key == about else alert for alert in run.alerts)
            return replace(run, alerts=tuple(alerts))
        case GiveUpTargets() | Plan() | Permit() | Guard() | LookAtAlarms() | Look() | Close() | Release():
            return run
        case GiveUpEvidence() | Tell() | Reopen() | AnswerOrder():
            return run
    assert_never(command)


def wake_at(run: Run, now: datetime) -> datetime | None:
    """When the run next wants attention; None when never again. An open run wants it every minute once it is at work."""
    if not run.open:
        if due(run, now) or run.alerts:
            return now
        return run.report_asked_at + REPORT_PATIENCE if _unreported(run) and run.report_asked_at else None
    if run.alerts or run.told != run.phase or not all(one.told for one in run.orders) or due(run, now):
        return now
    return max(now, _rests_until(run, now))


def _rests_until(run: Run, now: datetime) -> datetime:
    """Until when nothing can become due: a wave that bakes, or one that is ready and waits for its time or its approval."""
    wave = run.current
    if wave is None or wave.withheld:
        return now
    if wave.state is WaveState.PLANNED and wave.prepare_asked_at is None:
        return min(prepares_at(run, wave), last_start(run, wave))
    if wave.state is WaveState.READY and covered(run, wave):
        waits_until = approve_by(run, wave) if wave.asks_approval else opens_at(run, wave)
        return min(waits_until, last_start(run, wave))
    return now
