"""A minute passed: campaigns that are due open runs, and open runs prepare and start what is due.

The dispatcher starts and never publishes; the poller publishes and never starts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from patchtide.core.campaign import Campaign
from patchtide.core.errors import Busy, Overtaken, Refused
from patchtide.core.location import Location, grid
from patchtide.core.outcome import Cause
from patchtide.core.registration import claimed
from patchtide.core.request import Hub, plan
from patchtide.core.roster import Inquiry, LocationState
from patchtide.core.run import (
    AskTargets,
    Command,
    Execution,
    Find,
    GiveUpTargets,
    Listed,
    NotThere,
    Plan,
    Planned,
    Prepare,
    Run,
    Seen,
    Start,
    Started,
    StartRefused,
    Unpreparable,
    open_run,
)
from patchtide.flow.cloud import Automation, Inquiries, Now, Organization, Registry, Runs
from patchtide.flow.each import TickFailed, each
from patchtide.flow.step import step

logger = logging.getLogger(__name__)

MINE = (Prepare, AskTargets, GiveUpTargets, Plan, Start, Find)


@dataclass(frozen=True)
class Dispatcher:
    """What the dispatcher works with."""

    registry: Registry
    runs: Runs
    automation: Automation
    organization: Organization
    inquiries: Inquiries
    hub: Hub
    now: Now


def dispatch(at: Dispatcher) -> None:
    """Everything that is due, done. Raises TickFailed at the end, naming what failed."""
    failed = each(list(at.registry.due(at.now())), lambda campaign: claim(campaign, at))
    failed += each(list(at.runs.due(at.now())), lambda run: advance(run, at))
    if failed:
        raise TickFailed(failed)


def claim(campaign: str, at: Dispatcher) -> None:
    """The campaign's due occurrence, claimed and opened as a run by exactly one worker."""
    held = at.registry.get(campaign)
    if held is None or held.next_at is None or held.due_at is None or held.due_at > at.now():
        return
    spec = at.registry.spec(campaign, held.version)
    run = open_run(
        campaign,
        held.version,
        "adhoc" if held.adhoc else "schedule",
        held.next_at,
        [wave.name for wave in spec.waves],
        spec.duration,
        spec.cutoff,
        at.now(),
    )
    try:
        at.registry.claim(claimed(held, spec), run)
    except Overtaken:
        if at.registry.get(campaign) != held:
            raise
        # Nobody moved it on, so it is the run that exists already: the occurrence is taken, and must not be asked for for ever.
        at.registry.save(claimed(held, spec))
        logger.warning("%s had its run %s already", campaign, run.id)
        return
    logger.info("opened %s, window %s to %s", run.id, run.window.start, run.window.end)


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
        case Start(key):
            return _start(run, run.execution(key), at)
        case Find(key):
            return _find(run.execution(key), at)
        case _:
            raise AssertionError(command)


def _spec(run: Run, at: Dispatcher) -> Campaign:
    return at.registry.spec(run.campaign, run.spec)


def _prepare(run: Run, wave_name: str, at: Dispatcher) -> Iterator[Seen]:
    spec = _spec(run, at)
    wave = spec.wave(wave_name)
    try:
        runbook = at.automation.runbook(spec.runbook)
        accounts = at.organization.accounts(wave.accounts, children=spec.include_child_units)
        excluded = (
            at.organization.accounts(spec.exclude_accounts, children=True) if spec.exclude_accounts else frozenset()
        )
    except Refused as refused:
        yield Unpreparable(wave_name, str(refused))
        return
    locations = grid(accounts - excluded, spec.regions)
    yield Listed(wave_name, at.runs.add_locations(run.id, wave_name, locations), runbook)


def _ask_targets(run: Run, wave: str, at: Dispatcher) -> Iterable[Seen]:
    waiting = at.runs.locations(run.id, wave, LocationState.EXPECTED)
    at.inquiries.send(Inquiry("targets", run.id, wave, at_.location.account, at_.location.region) for at_ in waiting)
    return ()


def _give_up(run: Run, wave: str, at: Dispatcher) -> Iterable[Seen]:
    for waiting in at.runs.locations(run.id, wave, LocationState.EXPECTED):
        at.runs.out_of_reach(waiting, Cause.UNREADABLE, "it did not answer before the window opened")
    return ()


def _plan(run: Run, wave: str, at: Dispatcher) -> Iterator[Seen]:
    spec = _spec(run, at)
    locations: list[Location] = [found.location for found in at.runs.locations(run.id, wave, LocationState.RESOLVED)]
    yield Planned(wave, plan(spec, run, spec.wave(wave), locations, at.hub))


def _start(run: Run, execution: Execution, at: Dispatcher) -> Iterator[Seen]:
    # Planning is not permission: much may have passed since this start became due.
    if not run.window.open_at(at.now()):
        return
    try:
        yield Started(execution.key, at.automation.start(execution.request), at.now())
    except Refused as refused:
        # A second ask may be refused though the first was taken: only what carries no execution was never started.
        asked_before = execution.first_asked_at != execution.asked_at
        found = _found(execution, at) if asked_before else None
        yield Started(execution.key, found, at.now()) if found else StartRefused(execution.key, str(refused))


def _find(execution: Execution, at: Dispatcher) -> Iterator[Seen]:
    found = _found(execution, at)
    yield Started(execution.key, found, at.now()) if found else NotThere(execution.key)


def _found(execution: Execution, at: Dispatcher) -> str | None:
    try:
        return at.automation.find(execution.token)
    except Refused as refused:
        # Not knowing is no reason to start again: it stays as it is, and the log says so every few minutes.
        raise Busy("find", refused.code, refused.message) from refused
