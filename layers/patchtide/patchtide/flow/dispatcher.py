"""A minute passed: campaigns that are due open runs, and open runs prepare and start what is due.

The dispatcher starts and never publishes; the poller publishes and never starts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from patchtide.core.bounds import NOT_ALLOWED, OURS, Bounds, beyond
from patchtide.core.campaign import Campaign, Wave
from patchtide.core.closures import Opening, closes_after
from patchtide.core.commands import (
    AskTargets,
    Command,
    Find,
    GiveUpTargets,
    Guard,
    LookAtAlarms,
    Permit,
    Plan,
    Prepare,
    Release,
    Reopen,
    Start,
)
from patchtide.core.errors import Busy, CloudError, Overtaken, Refused
from patchtide.core.frozen import frozen
from patchtide.core.gate import YES, Verdict
from patchtide.core.location import Location, grid
from patchtide.core.opening import after_missed, open_run, replacement, retry
from patchtide.core.outcome import Cause
from patchtide.core.pause import SERVICE
from patchtide.core.registration import caught_up, claimed, reclaimed
from patchtide.core.request import Hub, Site, Work, digest_of, plan
from patchtide.core.roster import Inquiry, LocationRun, LocationState
from patchtide.core.run import Execution, Run, RunbookFacts, WaveRun, about, last_start
from patchtide.core.schedule import next_occurrence
from patchtide.core.seen import (
    Deferred,
    Listed,
    NotThere,
    Planned,
    Released,
    Reopened,
    Seen,
    Started,
    StartRefused,
    Undecided,
    Unpreparable,
)
from patchtide.core.states import ExecutionState, RunState
from patchtide.flow.each import LASTS, TickFailed, each
from patchtide.flow.permits import (
    Guards,
    at_opening,
    authentic,
    before_opening,
    in_window,
    look_at_alarms,
    opening,
    permitted,
    under_way,
)
from patchtide.flow.step import step

if TYPE_CHECKING:
    from patchtide.flow.cloud import Automation, Inquiries, Now, Organization, Registry, Runs, Slots

logger = logging.getLogger(__name__)

TICK = timedelta(seconds=1)
MINE = (Prepare, AskTargets, GiveUpTargets, Plan, Permit, Guard, LookAtAlarms, Start, Find, Release, Reopen)


@frozen
class Dispatcher:
    """What the dispatcher works with."""

    registry: Registry
    runs: Runs
    automation: Automation
    organization: Organization
    inquiries: Inquiries
    slots: Slots
    guards: Guards
    hub: Hub
    bounds: Bounds
    shares: bool
    other_approver: bool
    now: Now


def dispatch(at: Dispatcher) -> None:
    """Everything that is due, done. Raises TickFailed at the end, naming what failed."""
    until = at.now() + LASTS
    failed = each(list(at.registry.due(at.now())), lambda campaign: claim(campaign, at), at.now, until)
    due = list(at.runs.due(at.now()))
    told = replace(at, guards=replace(at.guards, switched=SERVICE in due))
    failed += each([run for run in due if run != SERVICE], lambda run: advance(run, told), at.now, until)
    if failed:
        raise TickFailed(failed)


def claim(campaign: str, at: Dispatcher) -> None:
    """The campaign's due occurrence, claimed and opened as a run by exactly one worker. After an outage in which several
    were missed, one run speaks for all of them."""
    held = at.registry.get(campaign)
    if held is None or held.next_at is None or held.due_at is None or held.due_at > at.now():
        return
    spec = at.registry.spec(campaign, held.version)
    due, missed = caught_up(held, spec, at.now())
    run = replace(open_run(due, spec, at.now(), other_approver=at.other_approver), capped=at.hub.max_in_flight > 0)
    if missed:
        run = after_missed(run, missed, held.next_at, at.now())
    following = replace(claimed(due, spec), run=run.id)
    try:
        at.registry.claim(following, run)
    except Overtaken:
        if at.registry.get(campaign) != held:
            raise
        if at.runs.load(run.id).run.state is RunState.REPLACED:  # it made room, and nothing has taken its place yet
            again = replace(run, id=f"{run.id}-v{held.version}")
            at.registry.claim(replace(following, run=again.id), again)
            return
        # Nobody moved it on, so it is the run that exists already: the occurrence is taken, and must not be asked for for ever.
        at.registry.save(following)
        logger.warning("%s had its run %s already", campaign, run.id, extra=about(run))
        return
    logger.info("opened %s, window %s to %s", run.id, run.window.start, run.window.end, extra=about(run))


def advance(run_id: str, at: Dispatcher) -> None:
    """The dispatcher's turn at one run."""
    step(run_id, at.runs, MINE, lambda command, run: _perform(command, run, at), at.now)


def _perform(command: Command, run: Run, at: Dispatcher) -> Iterable[Seen]:
    match command:
        case Prepare(wave):
            return _prepare(run, wave, at)
        case AskTargets(wave):
            return _ask_targets(run, wave, at)
        case GiveUpTargets(wave):
            return _give_up(run, wave, at)
        case Plan(wave):
            return _plan(run, wave, at)
        case Permit(wave):
            return (at_opening(run, run.wave(wave), _spec(run, at), at.guards),)
        case Guard(wave):
            said = under_way(run, run.wave(wave), _spec(run, at), at.guards)
            return (said,) if said else ()
        case LookAtAlarms(wave):
            return (look_at_alarms(run.wave(wave), at.guards),)
        case Start(key):
            return _start(run, run.execution(key), at)
        case Find(key):
            return _find(run.execution(key), at)
        case Release(key):
            return _release(run.execution(key), at)
        case Reopen(order):
            return _reopen(run, order, at)
        case _:
            raise AssertionError(command)


def _spec(run: Run, at: Dispatcher) -> Campaign:
    return at.registry.spec(run.campaign, run.spec)


# --- before the window ----------------------------------------------------------------------------------------------


def _prepare(run: Run, wave_name: str, at: Dispatcher) -> Iterator[Seen]:
    spec, wave = _spec(run, at), run.wave(wave_name)
    if closed := before_opening(run, wave, spec, at.guards):
        yield closed
        return
    try:
        runbook = _within_bounds(spec, at)
        locations = _again(run, wave, at) if wave.source else _locations(spec, spec.wave(wave_name), at)
    except Refused as refused:
        yield Unpreparable(wave_name, str(refused))
        return
    if at.shares and spec.runbook.name not in OURS and not spec.runbook.name.startswith("arn:"):
        _share(run, spec.runbook.name, {where.account for where in locations}, at)
    yield _listed(run, wave_name, locations, runbook, at)


def _share(run: Run, runbook: str, accounts: Iterable[str], at: Dispatcher) -> None:
    """Have the accounts see the hub's runbook, those that joined since the last run too. Where that is refused, the accounts that
    see it already are patched, and the others tell that they do not."""
    try:
        at.automation.share(runbook, accounts)
    except Refused as refused:
        logger.warning("%s: %s", run.id, refused, extra=about(run))


def _within_bounds(spec: Campaign, at: Dispatcher) -> RunbookFacts:
    """What AWS knows of the runbook. Raises Refused where the stack does not allow what the campaign asks for: it may have been
    taken when more was allowed, and of some things only AWS knows what is in them."""
    if problems := beyond(spec, at.bounds):
        raise Refused("prepare it", NOT_ALLOWED, " | ".join(map(str, problems)))
    runbook = at.automation.runbook(spec.runbook)
    if another := at.bounds.another(spec.runbook.name, runbook.hash):
        raise Refused("prepare it", NOT_ALLOWED, another)
    if not (verdict := authentic(spec, at.guards)):
        raise (Refused if verdict.answer == "no" else Busy)("prepare it", "OverrideList", verdict.reason)
    return runbook


def _listed(run: Run, wave: str, locations: Mapping[Location, str], runbook: RunbookFacts, at: Dispatcher) -> Listed:
    return Listed(wave, at.runs.add_locations(run.id, wave, locations), runbook, at.now())


def _locations(spec: Campaign, wave: Wave, at: Dispatcher) -> Mapping[Location, str]:
    """The wave's locations: a part of the campaign's, whatever the wave says; with the names of their accounts."""
    children = spec.include_child_units
    names = at.organization.accounts(spec.accounts, children=children)
    accounts = set(names)
    if wave.accounts:
        accounts &= set(at.organization.accounts(wave.accounts, children=children))
    if spec.exclude_accounts:
        accounts -= set(at.organization.accounts(spec.exclude_accounts, children=True))
    return {where: names[where.account] for where in grid(accounts, wave.regions or spec.regions)}


def _again(run: Run, wave: WaveRun, at: Dispatcher) -> Mapping[Location, str]:
    """The locations at which the run that is tried again left something undone."""
    left = {where for name, where in at.runs.left_over(wave.source) if name == wave.name}
    before = {one.location: one.account_name for one in at.runs.locations(wave.source, wave.name, None)}
    return {where: before.get(where, "") for where in sorted(left)}


def _ask_targets(run: Run, wave: str, at: Dispatcher) -> Iterable[Seen]:
    waiting = at.runs.locations(run.id, wave, LocationState.EXPECTED)
    at.inquiries.send(Inquiry("targets", run.id, wave, at_.location.account, at_.location.region) for at_ in waiting)
    return ()


def _give_up(run: Run, wave: str, at: Dispatcher) -> Iterable[Seen]:
    silent = list(at.runs.locations(run.id, wave, LocationState.EXPECTED))
    at.runs.out_of_reach(silent, Cause.UNREADABLE, "it did not answer before the window opened")
    return ()


def _plan(run: Run, wave_name: str, at: Dispatcher) -> Iterator[Seen]:
    spec, wave = _spec(run, at), run.wave(wave_name)
    window = run.window_of(wave)
    closes_at = closes_after(max(at.now(), window.start), window.last_start, lambda moment: _read(spec, moment, at))
    not_after = last_start(run, replace(wave, closes_at=closes_at))
    work = Work(spec, run, spec.wave(wave_name), at.hub, not_after)
    frozen = at.runs.locations(run.id, wave_name, LocationState.RESOLVED)
    sites = [_site(one, at) for one in frozen]
    executions = plan(work, sites)
    yield Planned(wave_name, executions, digest_of(executions, sites), closes_at)


def _read(spec: Campaign, moment: datetime, at: Dispatcher) -> Opening:
    """Whether it is open then. Raises Busy where that cannot be read: until when a request may start is written into it."""
    found = opening(spec, moment, at.guards)
    if found.in_doubt:
        raise Busy("plan", "Unreadable", found.reason)
    return found


def _site(found: LocationRun, at: Dispatcher) -> Site:
    if not found.named and not 0 < at.hub.max_in_flight < found.startable:
        return Site(found.location, found.startable, roster=found.roster)
    expected = (one for page in range(found.pages) for one in at.runs.roster(found, page))
    ids = tuple(instance.id for instance in expected if not instance.left_alone)
    return Site(found.location, len(ids), ids, found.roster)


# --- in the window --------------------------------------------------------------------------------------------------


def _start(run: Run, execution: Execution, at: Dispatcher) -> Iterator[Seen]:
    # A second ask may be refused though the first was taken: only what carries no execution was never started.
    asked_before = execution.first_asked_at != execution.asked_at
    verdict = _may_start(run, execution, at)
    if not verdict:
        if not asked_before:
            yield Deferred(execution.key, verdict.reason)
        return  # what was asked for before may run already: it is looked for when its token is old
    try:
        yield Started(execution.key, at.automation.start(execution.request), at.now())
    except Refused as refused:
        found = _found(execution, at) if asked_before else None
        yield Started(execution.key, found, at.now()) if found else StartRefused(execution.key, str(refused))


def _may_start(run: Run, execution: Execution, at: Dispatcher) -> Verdict:
    """Planning is not permission: much may have passed since this start became due."""
    wave = run.wave(execution.wave)
    verdict = permitted(run, wave, _spec(run, at), at.guards)
    if not verdict:
        return verdict
    if wave.approval and (wave.approved is None or wave.approved.digest != wave.digest):
        return Verdict("wait", "nobody has approved what would run now")
    begun = sum(one.instances for one in run.executions_of(wave.name) if one.state is not ExecutionState.PLANNED)
    if 0 < wave.max_instances < begun:
        return Verdict("wait", f"it would patch {begun} instances, maxInstances is {wave.max_instances}")
    capped = _within_cap(execution, at) if run.capped else YES  # whoever is counted is released: both, or neither
    return capped and in_window(run, wave, at.now())  # last of all, for asking the others took its time


def _within_cap(execution: Execution, at: Dispatcher) -> Verdict:
    most = at.hub.max_in_flight
    try:
        taken = most == 0 or at.slots.take(execution.token, execution.instances, most, at.now())
    except CloudError as error:
        return Verdict("wait", f"how many instances are in flight could not be read: {error.message}")
    return (
        YES if taken else Verdict("wait", f"{most} instances are in flight already, the stack's MaxInstancesInFlight")
    )


def _find(execution: Execution, at: Dispatcher) -> Iterator[Seen]:
    try:
        found = at.automation.find(execution.token)
    except Refused as refused:
        # Not knowing is no reason to start again: it stays as it is, and a person is told.
        yield Undecided(execution.key, f"whether it started cannot be found out: {refused}")
        return
    yield Started(execution.key, found, at.now()) if found else NotThere(execution.key)


def _found(execution: Execution, at: Dispatcher) -> str | None:
    try:
        return at.automation.find(execution.token)
    except Refused as refused:
        raise Busy("find", refused.code, refused.message) from refused


def _release(execution: Execution, at: Dispatcher) -> Iterator[Seen]:
    at.slots.release(execution.token)
    yield Released(execution.key)


# --- another run ----------------------------------------------------------------------------------------------------


def _reopen(run: Run, order_id: str, at: Dispatcher) -> Iterator[Seen]:
    answered = run.answered(order_id)
    assert answered  # noqa: S101 - only what was taken in is due
    if answered.order.kind == "retry":
        yield _retried(run, order_id, answered.answer, at, failed_only=answered.order.failed_only)
    elif not run.open:  # what the new one patches must be off the old one's hands
        yield _replaced(run, order_id, at)


def _retried(run: Run, order_id: str, id_: str, at: Dispatcher, *, failed_only: bool) -> Reopened:
    left = {name: True for name, _ in at.runs.left_over(run.id)}
    number = int(id_.rpartition("-r")[2])
    try:
        again = retry(run, _spec(run, at), left, number, at.now(), failed_only=failed_only)
    except ValueError as nothing:
        return Reopened(order_id, accepted=False, answer=f"there is nothing to try again: {nothing}")
    at.registry.reopen(replace(again, capped=at.hub.max_in_flight > 0))
    return Reopened(
        order_id, accepted=True, answer=f"opened {again.id}, window until {again.window.end:%Y-%m-%d %H:%MZ}"
    )


def _replaced(run: Run, order_id: str, at: Dispatcher) -> Reopened:
    held = at.registry.get(run.campaign)
    if held is None or not held.active:
        if held and held.last_at == run.scheduled_at:  # nothing ran: when it is enabled again, it is due again
            at.registry.save(replace(held, last_at=min(held.last_at, at.now().replace(microsecond=0))))
        return Reopened(order_id, accepted=False, answer="the campaign is DISABLED or deleted")
    if held.adhoc and (held.next_at or held.last_at != run.scheduled_at):
        return Reopened(order_id, accepted=False, answer="its item was put anew, and has a run of its own")
    spec = at.registry.spec(run.campaign, held.version)
    schedule = replace(spec.schedule, anchor=held.anchor) if spec.schedule else None
    found = next_occurrence(schedule, run.scheduled_at - TICK) if schedule else None
    if schedule and (found is None or found.at != run.scheduled_at):
        moved = reclaimed(held, spec, run, at.now())
        if moved != held:
            at.registry.save(moved)
        when = f"{moved.next_at:%Y-%m-%d %H:%MZ}" if moved.next_at else "never"
        return Reopened(
            order_id, accepted=False, answer=f"the new schedule has no run at that time; the next is {when}"
        )
    fresh = replacement(run, held, spec, at.now())
    if at.now() >= fresh.window.start + spec.duration - spec.cutoff:
        return Reopened(order_id, accepted=False, answer="its window is over")
    fresh = replace(fresh, capped=at.hub.max_in_flight > 0)
    at.registry.reopen(fresh, replace(held, run=fresh.id))
    return Reopened(order_id, accepted=True, answer=f"opened {fresh.id}")
