"""A minute passed: open runs advance by what is seen, evidence is asked for, people are told.

The poller publishes and never starts; the dispatcher starts and never publishes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from patchtide.core.alerts import EXAMPLES, MAX_CAUSES, Briefing, compose
from patchtide.core.errors import Refused
from patchtide.core.evidence import Ending
from patchtide.core.location import Location
from patchtide.core.outcome import Cause, Outcome, Result
from patchtide.core.request import locations_of
from patchtide.core.roster import Inquiry, LocationState
from patchtide.core.run import (
    STOP_GRACE,
    VISIBLE,
    AlertKind,
    AskEvidence,
    Close,
    Closed,
    Command,
    Execution,
    ExecutionState,
    GiveUpEvidence,
    Look,
    Looked,
    Publish,
    Published,
    Run,
    Seen,
    Stop,
    Tell,
    Told,
)
from patchtide.core.view import LocationStep
from patchtide.flow.cloud import Alerts, Automation, Inquiries, Items, Now, Registry, Runs
from patchtide.flow.each import TickFailed, each
from patchtide.flow.step import step

NOT_FOUND = "AutomationExecutionNotFoundException"
MINE = (Look, Stop, Close, AskEvidence, GiveUpEvidence, Publish, Tell)


@dataclass(frozen=True)
class Poller:
    """What the poller works with."""

    items: Items
    registry: Registry
    runs: Runs
    automation: Automation
    inquiries: Inquiries
    alerts: Alerts
    now: Now


def poll(at: Poller) -> None:
    """Everything that is due, done. Raises TickFailed at the end, naming what failed."""
    if failed := each(list(at.runs.due(at.now())), lambda run: advance(run, at)):
        raise TickFailed(failed)


def advance(run_id: str, at: Poller) -> None:
    """The poller's turn at one run."""
    step(run_id, at.runs, MINE, lambda command, run: _perform(command, run, at), at.now)


def _perform(command: Command, run: Run, at: Poller) -> Iterable[Seen]:
    match command:
        case Look(key):
            return _look(run, run.execution(key), at)
        case Stop(key):
            return _stop(run.execution(key), at)
        case Close(key):
            return _close(run, run.execution(key), at)
        case AskEvidence(wave):
            return _ask_evidence(run, wave, at)
        case GiveUpEvidence(wave):
            return _give_up(run, wave, at)
        case Publish(kind):
            return _publish(run, kind, at)
        case Tell(phase):
            return _tell(run, phase, at)
        case _:
            raise AssertionError(command)


def _look(run: Run, execution: Execution, at: Poller) -> Iterator[Seen]:
    assert execution.id  # noqa: S101 - what runs has an id
    too_late = at.now() >= run.window.end + STOP_GRACE
    try:
        view = at.automation.look(execution.id)
    except Refused as refused:
        # A just started execution may not be visible yet; one that stays invisible is no longer known. Any other refusal
        # says nothing about it: it may be patching right now, so it is neither over nor forgotten.
        if refused.code != NOT_FOUND and not too_late:
            raise
        if execution.started_at and at.now() < execution.started_at + VISIBLE:
            return
        yield from _lost(run, execution, "Unknown", f"Automation does not tell of it any more: {refused.message}", at)
        return
    if not view.over and too_late:
        yield from _lost(run, execution, "TimedOut", "still running long after its window", at)
    elif view.over or view.mark != execution.mark:
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
    """The bits of all locations that have ended, once those that are new are written down and asked for evidence."""
    places = {location: number for number, location in enumerate(locations_of(json.loads(execution.request)))}
    ended, fresh = int(execution.ended, 16), []
    for found in steps:
        bit = 1 << places[found.location] if found.location in places else 0
        if found.over and bit and not ended & bit:
            at.runs.end(
                run.id, execution.wave, found.location, Ending(found.status, found.reason), found.child, at.now()
            )
            fresh.append(found.location)
            ended |= bit
    _inquire(run, execution.wave, fresh, at)
    return ended


def _end_rest(run: Run, execution: Execution, ended: int, ending: Ending, at: Poller) -> int:
    """All bits, once every location that has not ended by itself is written down as ended this way."""
    left = [
        location
        for number, location in enumerate(locations_of(json.loads(execution.request)))
        if not ended >> number & 1
    ]
    for location in left:
        at.runs.end(run.id, execution.wave, location, ending, None, at.now())
    _inquire(run, execution.wave, left, at)
    return int(execution.all_ended, 16)


def _inquire(run: Run, wave: str, locations: Iterable[Location], at: Poller) -> None:
    at.inquiries.send(Inquiry("evidence", run.id, wave, where.account, where.region) for where in locations)


def _stop(execution: Execution, at: Poller) -> Iterable[Seen]:
    assert execution.id  # noqa: S101
    at.automation.stop(execution.id)
    return ()


def _close(run: Run, execution: Execution, at: Poller) -> Iterator[Seen]:
    status = "Refused" if execution.state is ExecutionState.REFUSED else "NotStarted"
    _end_rest(run, execution, 0, Ending(status, execution.reason), at)
    yield Closed(execution.key)


def _ask_evidence(run: Run, wave: str, at: Poller) -> Iterable[Seen]:
    _inquire(run, wave, (found.location for found in at.runs.locations(run.id, wave, LocationState.ENDED)), at)
    return ()


def _give_up(run: Run, wave: str, at: Poller) -> Iterable[Seen]:
    sentence = "its evidence could not be read, however often it was tried"
    left = [at.runs.locations(run.id, wave, state) for state in (LocationState.RESOLVED, LocationState.ENDED)]
    for where in chain(*left):
        for page in range(where.pages_collected, where.pages):
            unread = (Result(i, Outcome.UNVERIFIED, Cause.UNREADABLE, sentence) for i in at.runs.roster(where, page))
            at.runs.record(where, page, unread)
    return ()


def _publish(run: Run, kind: AlertKind, at: Poller) -> Iterator[Seen]:
    alert = compose(kind, _briefing(run, at))
    at.alerts.publish(alert)
    at.runs.keep_alert(run.id, alert, at.now())
    yield Published(kind)


def _briefing(run: Run, at: Poller) -> Briefing:
    bare = Briefing(run, _timezone(run, at))
    causes = [cause for cause, _ in bare.causes()[:MAX_CAUSES]]
    return Briefing(
        run,
        bare.timezone,
        examples={cause: at.runs.problems(run.id, f"instance#{cause}#", EXAMPLES) for cause in causes},
        unreachable=at.runs.problems(run.id, "location#", 20) if bare.out_of_reach else (),
        warnings=tuple(_warnings(run)),
    )


def _timezone(run: Run, at: Poller) -> str:
    """The campaign's zone; UTC where its version cannot be read, since people must be told all the same."""
    try:
        return at.registry.spec(run.campaign, run.spec).timezone
    except Refused:
        return "UTC"


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
