"""A minute passed: open runs advance by what is seen, evidence is asked for, people are told.

The poller publishes and never starts; the dispatcher starts and never publishes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING

from patchtide.core.advance import TERMINAL
from patchtide.core.alerts import EXAMPLES, MAX_CAUSES, Briefing, compose, digest, notice, overdue, slice_of, switched
from patchtide.core.campaign import Campaign, Notify
from patchtide.core.commands import (
    AnswerOrder,
    AskEvidence,
    AskReport,
    Close,
    Command,
    GiveUpEvidence,
    Halt,
    Look,
    Publish,
    Stop,
    Tell,
)
from patchtide.core.errors import Refused
from patchtide.core.evidence import Ending
from patchtide.core.frozen import frozen
from patchtide.core.location import Location
from patchtide.core.outcome import Cause, Outcome, Result
from patchtide.core.pause import SERVICE
from patchtide.core.request import locations_of
from patchtide.core.roster import Ended, Inquiry, LocationState
from patchtide.core.run import (
    LATE,
    PATIENCE,
    PREPARE_LEAD,
    STOP_GRACE,
    VISIBLE,
    AlertKind,
    Execution,
    Run,
    asks_evidence,
)
from patchtide.core.seen import Closed, Looked, Missed, OrderTold, Published, Seen, Told
from patchtide.core.states import ExecutionState
from patchtide.core.view import LocationStep
from patchtide.flow.each import LASTS, TickFailed, each
from patchtide.flow.step import step

if TYPE_CHECKING:
    from patchtide.flow.cloud import (
        Alerts,
        Automation,
        Inquiries,
        Items,
        Now,
        Registry,
        ReportQueue,
        Runs,
        Switch,
        Telemetry,
    )

SLICED: tuple[AlertKind, ...] = ("failed", "halted", "incomplete", "stopped")  # that owners of accounts hear of, too
MAX_ROWS = 2000  # that slices are made of
NEWS = timedelta(hours=1)  # after its time a notice is none
EVERY = 2  # minutes between two looks at what nobody opens
NOT_FOUND = "AutomationExecutionNotFoundException"
MINE = (Look, Stop, Halt, Close, AskEvidence, GiveUpEvidence, Publish, Tell, AnswerOrder, AskReport)


@frozen
class Poller:
    """What the poller works with."""

    items: Items
    registry: Registry
    runs: Runs
    automation: Automation
    inquiries: Inquiries
    reports: ReportQueue
    switch: Switch
    alerts: Alerts
    telemetry: Telemetry
    now: Now


def poll(at: Poller) -> None:
    """Everything that is due, done. Raises TickFailed at the end, naming what failed."""
    until = at.now() + LASTS
    due = list(at.runs.due(at.now()))
    failed: list[str] = each([SERVICE] if SERVICE in due else [], lambda _: _tell_of_switch(at), at.now, until)
    if at.now().minute % EVERY == 0:
        waiting = list(at.registry.due(at.now() - LATE + PREPARE_LEAD))
        failed += each(waiting, lambda campaign: _notice_silence(campaign, at), at.now, until)
    notices = list(at.registry.notices(at.now()))
    failed += each([SERVICE] if SERVICE in notices else [], lambda _: _digest(at), at.now, until)
    failed += each([one for one in notices if one != SERVICE], lambda one: _announce(one, at), at.now, until)
    failed += each([run for run in due if run != SERVICE], lambda run: advance(run, at), at.now, until)
    if failed:
        raise TickFailed(failed)


def _notice_silence(campaign: str, at: Poller) -> None:
    """Silence is noticed: an occurrence that is still waiting to be opened after its time is told, once, whatever keeps the
    dispatcher from opening it."""
    held = at.registry.get(campaign)
    if held is None or held.next_at is None or at.now() < held.next_at + LATE:
        return
    if at.registry.note(campaign, "overdue", held.next_at, at.now(), PATIENCE):
        alert = overdue(campaign, held.next_at, at.now())
        at.alerts.publish(alert)
        at.registry.keep_note(campaign, "overdue", held.next_at, alert)


def _announce(campaign: str, at: Poller) -> None:
    """A run that is a day away is told once; one that came to be known later than that is not news to who just wrote it."""
    held = at.registry.get(campaign)
    due = held.notice_at if held and held.active else None
    if held and held.next_at and due and due <= at.now() < due + NEWS:
        if not at.registry.note(campaign, "notice", held.next_at, at.now(), PATIENCE):
            return  # somebody told them, or is about to; who told them settles it
        last = at.registry.runs_of(campaign, 1)
        expected = sum(tally.instances for tally in at.runs.load(last[0]).latest) if last else None
        alert = notice(at.registry.spec(campaign, held.version), held.next_at, expected, at.now())
        at.alerts.publish(alert)
        at.registry.keep_note(campaign, "notice", held.next_at, alert)
    if due is None or due <= at.now():  # else it moved to another time, and has a notice of its own
        at.registry.noticed(campaign)


def _tell_of_switch(at: Poller) -> None:
    pause = at.switch.read()
    if pause.at is None or pause.told or (pause.asked_at and at.now() < pause.asked_at + PATIENCE):
        return
    noted = pause.noted(at.now())
    at.switch.keep(pause, noted)  # so that a second worker leaves it alone
    at.alerts.publish(switched(noted, at.now()))
    at.switch.keep(noted, noted.known())


def _digest(at: Poller) -> None:
    """What asked for nothing is told together."""
    jotted, day = at.runs.jotted(), at.now().replace(hour=0, minute=0, second=0, microsecond=0)
    if jotted and not at.registry.note(SERVICE, "digest", day, at.now(), PATIENCE):
        return  # somebody is about to tell them
    alert = digest((line for _, line in jotted), at.now())
    if jotted:
        at.alerts.publish(alert)
    at.runs.digested((run for run, _ in jotted), at.now())
    if jotted:
        at.registry.keep_note(SERVICE, "digest", day, alert)


def advance(run_id: str, at: Poller) -> None:
    """The poller's turn at one run."""
    step(run_id, at.runs, MINE, lambda command, run: _perform(command, run, at), at.now)


def _perform(command: Command, run: Run, at: Poller) -> Iterable[Seen]:
    match command:
        case Look(key):
            return _look(run, run.execution(key), at)
        case Stop(key):
            return _stop(run, run.execution(key), at)
        case Halt(wave):
            return _halt(run, wave, at)
        case Close(key):
            return _close(run, run.execution(key), at)
        case AskEvidence(wave):
            return _ask_evidence(run, wave, at)
        case GiveUpEvidence(wave):
            return _give_up(run, wave, at)
        case Publish():
            return _publish(run, command, at)
        case Tell(phase):
            return _tell(run, phase, at)
        case AnswerOrder(order):
            return _answer(run, order, at)
        case AskReport():
            at.reports.send(run.id)
            return ()
        case _:
            raise AssertionError(command)


def _look(run: Run, execution: Execution, at: Poller) -> Iterator[Seen]:
    assert execution.id  # noqa: S101 - what runs has an id
    too_late = at.now() >= run.window_of(run.wave(execution.wave)).end + STOP_GRACE
    try:
        view = at.automation.look(execution.id)
    except Refused as refused:
        # A just started execution may not be visible yet, and one answer may be wrong; one that stays invisible is no longer
        # known. Any other refusal says nothing about it: it may be patching right now, so it is neither over nor forgotten.
        if refused.code != NOT_FOUND and not too_late:
            raise
        if not too_late and (execution.missing_since is None or at.now() < execution.missing_since + VISIBLE):
            yield Missed(execution.key, at.now())
            return
        yield from _lost(run, execution, "Unknown", f"Automation does not tell of it any more: {refused.message}", at)
        return
    if not view.over and too_late:
        yield from _lost(run, execution, "TimedOut", "still running long after its window", at)
    elif view.over or view.mark != execution.mark or execution.missing_since:
        ended = _end(run, execution, view.steps(), at)
        if view.over:
            ended = _end_rest(
                run, execution, ended, Ending("NotAttempted", view.reason or f"the execution ended {view.status}"), at
            )
        yield Looked(execution.key, view.mark, f"{ended:x}", view.status, view.over, view.reason)


def _lost(run: Run, execution: Execution, status: str, reason: str, at: Poller) -> Iterator[Seen]:
    ended = _end_rest(run, execution, int(execution.ended, 16), Ending(status, reason), at)
    yield Looked(execution.key, status, f"{ended:x}", status, over=True, reason=reason)


def _end(run: Run, execution: Execution, steps: Iterable[LocationStep], at: Poller) -> int:
    """The bits of all locations that have ended, once those that are new are written down."""
    places = {location: number for number, location in enumerate(locations_of(json.loads(execution.request)))}
    ended, fresh = int(execution.ended, 16), {}
    for found in steps:
        bit = 1 << places[found.location] if found.location in places else 0
        if found.over and bit and not ended & bit:
            fresh[found.location] = Ended(Ending(found.status, found.reason), found.child)
            ended |= bit
    _keep_ends(run, execution, fresh, at)
    return ended


def _end_rest(run: Run, execution: Execution, ended: int, ending: Ending, at: Poller) -> int:
    """All bits, once every location that has not ended by itself is written down as ended this way."""
    left = [
        location
        for number, location in enumerate(locations_of(json.loads(execution.request)))
        if not ended >> number & 1
    ]
    _keep_ends(run, execution, dict.fromkeys(left, Ended(ending)), at)
    return int(execution.all_ended, 16)


def _keep_ends(run: Run, execution: Execution, endings: Mapping[Location, Ended], at: Poller) -> None:
    at.runs.end(run.id, execution.wave, endings, at.now(), execution.part, execution.parts)


def _stop(run: Run, execution: Execution, at: Poller) -> Iterable[Seen]:
    """Have it begin nothing more. Inside its window, one that has begun everywhere is left alone: stopping it could reach
    what is being patched."""
    assert execution.id  # noqa: S101
    if at.now() < run.window_of(run.wave(execution.wave)).end:
        view = at.automation.look(execution.id)
        begun = {found.location for found in view.steps() if found.status != "Pending"}
        if view.over or len(begun) >= execution.locations:
            return ()
    at.automation.stop(execution.id)
    return ()


def _halt(run: Run, wave: str, at: Poller) -> Iterable[Seen]:
    """Have every location still at work take back what waits for its turn; where the wave was stopped or barred, its own
    execution is stopped too, if it has sent nothing yet."""
    stopped = run.wave(wave).withheld == "stopped" or run.wave(wave).barred
    for execution in run.executions_of(wave):
        if execution.state is ExecutionState.RUNNING and execution.id:
            steps = at.automation.look(execution.id).steps()
            at.inquiries.send(
                Inquiry(
                    "halt",
                    run.id,
                    wave,
                    found.location.account,
                    found.location.region,
                    found.child or "" if stopped else "",
                )
                for found in steps
                if not found.over
            )
    return ()


def _close(run: Run, execution: Execution, at: Poller) -> Iterator[Seen]:
    withheld = run.wave(execution.wave).withheld
    never = "Withheld" if withheld else "NotStarted"
    status = {ExecutionState.REFUSED: "Refused", ExecutionState.ENDED: "Unknown"}.get(execution.state, never)
    _end_rest(run, execution, 0, Ending(status, execution.reason), at)
    yield Closed(execution.key)


def _ask_evidence(run: Run, wave: str, at: Poller) -> Iterable[Seen]:
    ended = at.runs.locations(run.id, wave, LocationState.ENDED)
    begun = run.wave(wave).started_at  # where all are left to others, it was over before it began
    since = {one.location: max(filter(None, (one.ended_at, begun)), default=at.now()) for one in ended}
    asked = sorted(location for location, moment in since.items() if asks_evidence(at.now() - moment))
    at.inquiries.send(Inquiry("evidence", run.id, wave, where.account, where.region) for where in asked)
    return ()


def _give_up(run: Run, wave: str, at: Poller) -> Iterable[Seen]:
    sentence = "its evidence could not be read, however often it was tried"
    left = [at.runs.locations(run.id, wave, state) for state in (LocationState.RESOLVED, LocationState.ENDED)]
    for where in chain(*left):
        for page in range(where.pages_collected, where.pages):
            unread = (Result(i, Outcome.UNVERIFIED, Cause.UNREADABLE, sentence) for i in at.runs.roster(where, page))
            at.runs.record(where, page, unread)
    return ()


def _publish(run: Run, command: Publish, at: Poller) -> Iterator[Seen]:
    briefing = _briefing(run, at)
    alert = compose(command.kind, command.wave, command.about, briefing)
    # Who died after telling, and before it could say so, has told all the same.
    if not at.runs.has_alert(run.id, alert):
        at.alerts.publish(alert)
        at.runs.keep_alert(run.id, alert, at.now())
        if command.kind in TERMINAL.values():
            at.telemetry.ended(run)
    if alert.audience == "archive" and command.kind in TERMINAL.values():
        at.runs.jot(run.id, f"{run.scheduled_at:%Y-%m-%d %H:%MZ} {alert.subject.removeprefix('[patch] ')}", at.now())
    if briefing.notify.owners and command.kind in SLICED:
        _publish_slices(run, command.kind, briefing, at)
    yield Published((command.kind, command.wave, command.about))


def _publish_slices(run: Run, kind: AlertKind, briefing: Briefing, at: Poller) -> None:
    """Each account that has failures is told of its own alone, once."""
    by_account: dict[str, list[Mapping[str, str]]] = {}
    for row in at.runs.problems(run.id, "instance#", MAX_ROWS):
        if row.get("cause") != Cause.EXCEPTED:
            by_account.setdefault(row["account"], []).append(row)
    for account, rows in sorted(by_account.items()):
        alert = slice_of(kind, account, rows, briefing)
        if not at.runs.has_alert(run.id, alert):
            at.alerts.publish(alert)
            at.runs.keep_alert(run.id, alert, at.now())


def _briefing(run: Run, at: Poller) -> Briefing:
    spec = _spec(run, at)
    bare = Briefing(run, spec.timezone if spec else "UTC")
    causes = [cause for cause, _ in bare.causes()[:MAX_CAUSES]]
    return Briefing(
        run,
        bare.timezone,
        examples={cause: at.runs.problems(run.id, f"instance#{cause}#", EXAMPLES) for cause in causes},
        unreachable=at.runs.problems(run.id, "location#", 20) if bare.out_of_reach else (),
        warnings=tuple(_warnings(run)),
        notify=spec.notify if spec else Notify(),
    )


def _spec(run: Run, at: Poller) -> Campaign | None:
    """The run's version of its campaign; None where it cannot be read, since people must be told all the same."""
    try:
        return at.registry.spec(run.campaign, run.spec)
    except Refused:
        return None


def _warnings(run: Run) -> Iterator[str]:
    if run.runbook and "NotAfter" not in run.runbook.parameters:
        yield "the runbook takes no NotAfter, so what AWS keeps queued may start after the cutoff."
    if run.runbook and "SnapshotId" not in run.runbook.parameters:
        yield "the runbook takes no SnapshotId, so evidence is known by its time alone."


def _tell(run: Run, phase: str, at: Poller) -> Iterator[Seen]:
    held = at.registry.get(run.campaign)
    following = held.next_at if held else None
    at.items.write_back(
        run.campaign,
        {
            "lastRunId": run.id,
            "lastRunStatus": phase,
            "lastRunAt": f"{run.scheduled_at:%Y-%m-%dT%H:%M:%SZ}",
            "nextRunAt": f"{following:%Y-%m-%dT%H:%M:%SZ}" if following else None,
        },
    )
    yield Told(phase)


def _answer(run: Run, order: str, at: Poller) -> Iterator[Seen]:
    answered = run.answered(order)
    assert answered  # noqa: S101 - only what was taken in is due
    at.runs.answer(run.id, answered)
    yield OrderTold(order)
