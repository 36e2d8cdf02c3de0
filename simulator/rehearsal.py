"""A rehearsal: a campaign as people wrote it, played on a pretend fleet by the service's own code, under the virtual clock.

    told = rehearse(document, fleet, seed, failure_rate, now, say)

Real are the campaign, its schedule, its freezes, every rule, every request and every mail. Pretended are the accounts, the
servers and the time; what AWS alone could say (a calendar, an alarm, a runbook of one's own) is assumed, and `notes` say how.
The fleet is one of `simulator.pretend`'s. The same seed tells the same story, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

from pydantic.alias_generators import to_camel

from patchtide.aws.runs import Registry, Runs
from patchtide.core.bounds import OURS
from patchtide.core.campaign import FLEET_RUNBOOK, INSTANCE_RUNBOOK, Campaign, Freeze
from patchtide.core.closures import frozen_spans
from patchtide.core.cost import cost_of
from patchtide.core.document import canonical, read
from patchtide.core.due import wake_at
from patchtide.core.errors import OperatorError
from patchtide.core.gate import judge
from patchtide.core.orders import Order, spoken
from patchtide.core.override import Override, named
from patchtide.core.reading import SERVICE_FIELDS
from patchtide.core.run import Run, WaveRun, approve_by, baked_at, last_start, opens_at
from patchtide.core.schedule import next_occurrence, occurrences
from patchtide.core.states import RUN_ENDS, RunState, WaveState
from patchtide.core.summary import counts
from simulator import sample
from simulator.automation import Step
from simulator.clock import Clock
from simulator.fleet import Behaviour
from simulator.memory import BUCKET, RETENTION, Memory
from simulator.pretend import Fleet, made_up, organization, troubled
from simulator.proof.history import MINUTE, History, Scenario, silent
from simulator.proof.scenarios import Facts, deploy, put
from simulator.world import Calendar, World

APPROVER = "rehearsal"
DAY = timedelta(days=1)
AFTERWARDS = timedelta(hours=3)  # after the last window; by then everything of a run is told
LONGEST = timedelta(days=120)  # waves come up to 27 days after the first, and each may be postponed by 31
EMPTY_CALENDAR = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Patchtide//rehearsal//EN\r\nEND:VCALENDAR\r\n"
SOME_LIST = "patches: [{id: kernel.x86_64}]\n"
STAND_IN = Override(BUCKET, hashlib.sha256(SOME_LIST.encode()).hexdigest())


@dataclass(frozen=True)
class Closure:
    """A calendar of the campaign's that is closed: on these days, or throughout."""

    calendar: str
    days: Freeze | None = None


Say = Callable[[float, str], None]
"""Hears how far the rehearsal is, from 0 to 1, and where the run stands."""


class NeverDueError(OperatorError):
    """The campaign's schedule has no moment left, so there is nothing to rehearse."""

    def __init__(self, expression: str, after: datetime) -> None:
        super().__init__(
            f"schedule: {expression!r} has no moment after {after:%Y-%m-%d %H:%M}Z, so nothing would ever run. "
            "Check the year, the day and endDate, or rehearse from an earlier moment"
        )


# --- what is told -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """Something that happened: to the wave, or to the whole run where none is named."""

    at: datetime
    wave: str
    what: str


@dataclass(frozen=True)
class Told:
    """An alert as it would be sent."""

    at: datetime
    severity: str
    event: str
    subject: str
    body: str


@dataclass(frozen=True)
class WaveTold:
    """What became of a wave. `baked_at` is until when it baked, where its gate let the next one begin; `gate` what it said."""

    name: str
    state: str
    reason: str
    window_start: datetime
    last_start: datetime
    window_end: datetime
    locations: int
    out_of_reach: int
    executions: int
    expected: int
    outcomes: Mapping[str, int]
    causes: Mapping[str, int]
    started_at: datetime | None
    ended_at: datetime | None
    baked_at: datetime | None
    gate: str
    approved_by: str

    @property
    def took(self) -> timedelta | None:
        """From its first start to the last end of anything in it."""
        return self.ended_at - self.started_at if self.started_at and self.ended_at else None


@dataclass(frozen=True)
class Units:
    """What a bill is made of. `invocations` are those of minutes in which the run, or somebody's word, asked for something; in
    `idle_minutes` dispatcher and poller are woken, look at what is due and find nothing. `dollars` are the steps' alone."""

    automation_steps: int
    script_steps: int
    invocations: Mapping[str, int]
    dynamodb_reads: int
    dynamodb_writes: int
    dynamodb_rows_written: int
    sns_publishes: int
    s3_puts: int
    sqs_messages: int
    idle_minutes: int
    dollars: float
    prices_of: date


@dataclass(frozen=True)
class FleetTold:
    """The pretend fleet in numbers. `behaviours` are those of its instances that something is the matter with."""

    made_up: bool
    accounts: int
    regions: int
    instances: int
    behaviours: Mapping[str, int]


@dataclass(frozen=True)
class Rehearsal:
    """What would happen. `violations` are what the world itself saw and must never see; `notes` say what was assumed."""

    campaign: str
    run: str
    state: str
    why: str
    seed: int
    failure_rate: float
    timezone: str
    begins: datetime
    scheduled_at: datetime
    ended_at: datetime
    fleet: FleetTold
    timeline: tuple[Entry, ...]
    alerts: tuple[Told, ...]
    waves: tuple[WaveTold, ...]
    calls: Mapping[str, int]
    units: Units
    installs: int
    violations: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def fine(self) -> bool:
        """Whether the run ended well: nothing failed, though a reboot may be owed."""
        return self.state in ("succeeded", "incomplete") and not self.violations


def as_json(value: object) -> Any:
    """The rehearsal, or a part of it, as JSON answers write it."""
    match value:
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        case date():
            return f"{value:%Y-%m-%d}"
        case Mapping():
            return {str(name): as_json(entry) for name, entry in value.items()}
        case tuple():
            return [as_json(entry) for entry in value]
        case WaveTold():
            took = {"tookMinutes": round(value.took.total_seconds() / 60) if value.took else None}
            return _fields(value) | took
        case Entry() | Told() | Units() | FleetTold() | Rehearsal():
            return _fields(value)
    return value


def _fields(value: Any) -> dict[str, Any]:
    return {to_camel(name): as_json(getattr(value, name)) for name in value.__dataclass_fields__}


# --- the campaign as it is played ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Script:
    """What is played: the item as it is put, the campaign that it means, and the notes on what was changed or assumed."""

    item: Mapping[str, Any]
    campaign: Campaign
    notes: tuple[str, ...]


def _script(document: Mapping[str, Any], now: datetime) -> _Script:
    """The document as it can be played. What the pretend hub cannot have is replaced, and said."""
    item = {
        name: value for name, value in canonical(document).items() if name not in SERVICE_FIELDS and value is not None
    }
    asked, notes = read(item, now=now).valid(), []
    if not asked.enabled:
        item["state"] = "ENABLED"
        notes.append("state is DISABLED, so nothing would run: it is played as if it were ENABLED.")
    if asked.runbook.name not in OURS:
        stand_in = INSTANCE_RUNBOOK if asked.runbook.target_parameter else FLEET_RUNBOOK
        for name in ("targetParameterName", "runbookParameters", "runbookVersion"):
            item.pop(name, None)
        item["runbook"] = stand_in
        notes.append(f"runbook {asked.runbook.name} is not known here: it is played with {stand_in} instead.")
    elif asked.runbook.version.isdigit():
        item["runbookVersion"] = "$DEFAULT"
        notes.append(f"runbookVersion {asked.runbook.version} is not known here: the version that ships is played.")
    if named(asked.install_override_list):
        item["installOverrideList"] = STAND_IN.url
        notes.append("installOverrideList is taken to be there and what its name says: another is played in its place.")
    return _Script(_stored(item), read(item, now=now).valid(), tuple(notes))


def _stored(value: Any) -> Any:
    """A YAML value as DynamoDB takes it: fractions are decimals."""
    match value:
        case float():
            return Decimal(str(value))
        case Mapping():
            return {str(name): _stored(entry) for name, entry in value.items()}
        case list():
            return [_stored(entry) for entry in value]
    return value


def _span(campaign: Campaign, now: datetime) -> tuple[datetime, datetime]:
    """When the rehearsal begins, and when it is over whatever happens. It begins a day before the next occurrence, or after the
    one before that; of what is ad hoc, or counts from the moment when it is taken, now."""
    now = now.astimezone(UTC).replace(second=0, microsecond=0)
    schedule = campaign.schedule
    if schedule is None:
        return now, now + LONGEST
    found = next_occurrence(replace(schedule, anchor=now), now)
    if found is None:
        raise NeverDueError(schedule.expression, now)
    if schedule.expression.startswith("rate") and not schedule.start:
        return now, found.at + LONGEST
    earlier = [one.at for one in takewhile(lambda one: one.at < found.at, occurrences(schedule, found.at - DAY))]
    return max((found.at - DAY, *earlier)).astimezone(UTC), found.at + LONGEST


def _assumed(campaign: Campaign, fleet: Fleet, closed: Sequence[Closure], freezes: Mapping[str, str]) -> Iterator[str]:
    """What was assumed where AWS would be asked, a sentence each."""
    for name in campaign.calendars:
        when = ", ".join(f"closed on {one.days}" if one.days else "closed" for one in _closures(name, closed))
        yield f"calendar {_bare(name)} is taken to be {when or 'open'}."
    for key in campaign.freeze_files:
        if key not in freezes:
            yield f"freeze {key} is in the stack's bucket and not beside the campaign: it is taken to freeze nothing."
    alarms = dict.fromkeys(alarm for wave in campaign.waves for alarm in wave.gate.alarms)
    if alarms:
        yield f"alarm {', '.join(alarms)} is taken to be quiet."
    for selector in dict.fromkeys(campaign.accounts):
        if not any(one.within(selector, deep=campaign.include_child_units) for one in fleet.members):
            yield f"the fleet has nothing in {selector}, which the campaign names."
    if any(one.startswith("r-") for one in campaign.accounts):
        yield "the management account is below the root, too, and StackSets with service-managed permissions leave it out: onboard it, or exclude it."


def _bare(calendar: str) -> str:
    return calendar.rpartition("/")[2]


def _closures(calendar: str, closed: Iterable[Closure]) -> list[Closure]:
    return [one for one in closed if one.calendar in (calendar, _bare(calendar))]


def _calendar(name: str, closed: Iterable[Closure], zone: ZoneInfo) -> Calendar:
    closures = _closures(name, closed)
    days = [one.days for one in closures if one.days]
    throughout = len(days) < len(closures)
    return Calendar("CLOSED") if throughout else Calendar("OPEN", [span for span, _ in frozen_spans(days, zone)])


def _world(script: _Script, fleet: Fleet, seed: int, begins: datetime, closed: Sequence[Closure]) -> World:
    world = deploy(World(Clock(begins), organization(fleet, script.campaign, seed), seed))
    for name in script.campaign.calendars:
        region, account = name.split(":")[3:5] if name.startswith("arn:") else (world.hub_region, sample.HUB)
        world.calendars[account, region, _bare(name)] = _calendar(name, closed, ZoneInfo(script.campaign.timezone))
    return world


# --- playing ------------------------------------------------------------------------------------------------------------


def rehearse(
    document: Mapping[str, Any],
    fleet: Fleet | None,
    seed: int,
    failure_rate: float,
    now: datetime,
    say: Say,
    *,
    instances: int = 5,
    approve: bool = True,
    closed: Sequence[Closure] = (),
    freezes: Mapping[str, str] | None = None,
) -> Rehearsal:
    """What would happen at the campaign's next occurrence, from a day before it until everybody was told how it ended.

    `failure_rate` is the percentage of instances that something is the matter with; `instances` how many there are in each
    location of a fleet that is made up. With `approve`, a wave is approved as soon as that is asked for. `closed` says which
    calendars are closed, all others are open; `freezes` are the texts of iCalendar files by their keys. Raises InvalidCampaign, NeverDueError.
    """
    script = _script(document, now)
    begins, ends = _span(script.campaign, now)
    fleet = troubled(fleet or made_up(script.campaign, instances), failure_rate, seed)
    assumed = _assumed(script.campaign, fleet, closed, freezes or {})
    script = replace(script, notes=(*script.notes, *assumed))
    scenario = Scenario(
        f"rehearsal of {script.campaign.name}",
        begins,
        ends,
        lambda: _world(script, fleet, seed, begins, closed),
        (put(begins, script.item),),
        Facts(calendar=bool(script.campaign.calendars)),
    )
    with silent():
        history = History(scenario, remembers=False)
        _furnish(history.memory, script.campaign, freezes or {})
        play = _Play(history, script.campaign, say, approve=approve)
        play.to_the_end()
    return _told(play, script, fleet, seed, failure_rate)


def _furnish(memory: Memory, campaign: Campaign, freezes: Mapping[str, str]) -> None:
    """What the hub has beside the world: freeze files, a list of patches, quiet alarms."""
    memory.files.update({key: freezes.get(key, EMPTY_CALENDAR) for key in campaign.freeze_files})
    memory.files[STAND_IN.key] = SOME_LIST
    memory.alarms.update({alarm: "OK" for wave in campaign.waves for alarm in wave.gate.alarms})


@dataclass
class _Play:
    """A rehearsal under way."""

    history: History
    campaign: Campaign
    say: Say
    approve: bool
    run: Run | None = None
    entries: list[Entry] = field(default_factory=list)
    looked: int = -1
    minutes: int = 0
    approved: set[str] = field(default_factory=set)

    @property
    def memory(self) -> Memory:
        """The hub's stack."""
        return self.history.memory

    def to_the_end(self) -> None:
        """Everything, minute by minute, until the run has ended and all of it is told."""
        while not self._over() and self.history.step():
            self.minutes += 1
            if self.history.changes != self.looked:
                self.looked = self.history.changes
                self._look()
            self.say(self._share(), self._standing())

    def _over(self) -> bool:
        if self.run is None:
            return False
        late = self.history.now > self.run.window_of(self.run.waves[-1]).end + AFTERWARDS
        return late or (not self.run.open and wake_at(self.run, self.history.now) is None)

    def _share(self) -> float:
        begins = self.history.scenario.begins
        ends = self.run.window_of(self.run.waves[-1]).end if self.run else begins + DAY
        return min(1.0, (self.history.now - begins) / (ends - begins))

    def _standing(self) -> str:
        """The virtual time, and where the run stands then."""
        wave = self.run.current if self.run else None
        phase = self.run.phase if self.run else "waiting for its time"
        return f"{_Local(self.campaign.timezone)(self.history.now)}  {f'{wave.name} ' if wave else ''}{phase}"

    def _look(self) -> None:
        """See what has changed, and do what people do then."""
        with self.memory.quietly():
            table = self.memory.table()
            # The next occurrence's run may be opened, to be approved, while this one goes on: it is another story.
            id_ = self.run.id if self.run else next(iter(Registry(table).runs_of(self.campaign.name, 1)), "")
            if not id_:
                return
            book = Runs(table, RETENTION, self.memory.now)
            before, self.run = self.run, book.load(id_).run
            news = happened(before, self.run, self.campaign)
            self.entries += [Entry(self.history.now, wave, what) for wave, what in news]
            if self.approve:
                self._approve(self.run, book)

    def _approve(self, run: Run, book: Runs) -> None:
        """Approve what people were just asked to approve."""
        wave = run.current
        asked = f"{run.id}/approve/{wave.name}/{wave.digest}" if wave else ""
        told = any(mail.attributes.get("id") == asked for mail in self.memory.mails)
        if wave and wave.asks_approval and told and asked not in self.approved:
            self.approved.add(asked)
            name = f"{APPROVER}-{len(self.approved)}"
            book.order(run.id, Order(name, "approve", APPROVER, self.history.now, wave=wave.name, digest=wave.digest))


# --- what happened, in words --------------------------------------------------------------------------------------------


def happened(before: Run | None, after: Run, campaign: Campaign) -> Iterator[tuple[str, str]]:
    """What is new in a run, each with its wave, or with none where it is about the run."""
    local = _Local(campaign.timezone)
    known = before or _as_opened(after)
    if before is None:
        yield "", f"run {after.id} is opened, with {_many(len(after.waves), 'wave')}"
    for wave in after.waves:
        yield from ((wave.name, what) for what in _news(known, after, wave, local))
    if known.open and not after.open:
        yield "", f"the run ends {after.state}: {RUN_ENDS[after.state]}"
    if after.reported and not known.reported:
        yield "", "its report is written"


def _as_opened(run: Run) -> Run:
    """The run as it was before anything became of it. Its own window is what the first wave's was."""
    windows = [run.window_of(wave) for wave in run.waves]
    later = windows[0].start - run.window.start
    waves = zip(run.waves, windows, strict=True)
    fresh = (WaveRun(wave.name, window=window.moved(window.start - later)) for wave, window in waves)
    return replace(run, waves=tuple(fresh), state=RunState.OPEN, reported="")


@dataclass(frozen=True)
class _Local:
    """Instants as people in a zone read them."""

    zone: str

    def __call__(self, moment: datetime) -> str:
        return f"{moment.astimezone(ZoneInfo(self.zone)):%a %d %b %H:%M %Z}"


def _news(before: Run, run: Run, wave: WaveRun, local: _Local) -> Iterator[str]:
    """What is new of one wave."""
    old = before.wave(wave.name)
    if run.window_of(wave) != before.window_of(old):
        yield f"is postponed to {local(run.window_of(wave).start)}" + (f": {wave.hold}" if wave.hold else "")
    elif wave.hold and wave.hold != old.hold:
        yield f"waits: {wave.hold}"
    if wave.locations and not old.locations:
        yield f"asks {_many(wave.locations, 'location')} for the targets there"
    if wave.state is WaveState.READY and old.state is not WaveState.READY:
        yield _frozen(wave)
    if wave.asks_approval and wave.digest and not (old.asks_approval and old.digest):
        yield f"asks for approval, by {local(approve_by(run, wave))}"
    if wave.approved and not old.approved:
        yield f"is approved by {spoken(wave.approved.by)}"
    if wave.started_at and not old.started_at:
        yield f"starts: {_many(len(run.executions_of(wave.name)), 'execution')}, nothing new after {local(last_start(run, wave))}"
    if wave.taken_back and not old.taken_back:
        yield f"what waits is taken back: {wave.taken_back}"
    if wave.halts and not old.halts:
        yield "cutoff: what has not begun is taken back"
    if wave.withheld and not old.withheld:
        yield f"is {wave.withheld}: {wave.reason}"
    if wave.state is not old.state:
        yield from _came_to(run, wave, local)


def _frozen(wave: WaveRun) -> str:
    tally = wave.tally
    beyond = f", {_many(tally.unreachable, 'location')} out of reach" if tally.unreachable else ""
    return f"{_many(tally.instances, 'instance')} in {_many(tally.patching, 'location')} expected{beyond}"


def _came_to(run: Run, wave: WaveRun, local: _Local) -> Iterator[str]:
    """What it means that a wave has come to the state in which it is."""
    match wave.state:
        case WaveState.COLLECTING if wave.started_at:
            yield "all executions have ended, the evidence is read"
        case WaveState.SETTLED:
            yield f"done: {counts(dict(sorted(wave.tally.outcomes.items())))}"
            yield from _gate(run, wave, local)
        case WaveState.EMPTY | WaveState.EXPIRED | WaveState.BROKEN:
            yield f"is {wave.state}" + (f": {wave.reason}" if wave.reason else "")


def _gate(run: Run, wave: WaveRun, local: _Local) -> Iterator[str]:
    following = next(iter(run.after(wave)), None)
    if following and wave.started_at:
        said = judge(wave.gate, wave.tally)
        opens = opens_at(run, following)
        at_once = wave.settled_at is not None and opens <= wave.settled_at
        begins = f"{following.name} may begin {'at once' if at_once else f'from {local(opens)} on'}"
        begins += ", once it is approved" if following.approval else ""
        yield f"gate passed: {begins}" if said else f"gate says no: {said.reason}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# --- what came of it ----------------------------------------------------------------------------------------------------


def _told(play: _Play, script: _Script, fleet: Fleet, seed: int, failure_rate: float) -> Rehearsal:
    history, run, world = play.history, play.run, play.history.world
    alerts = [
        Told(mail.at, mail.attributes["severity"], mail.attributes["event"], mail.subject, mail.text)
        for mail in play.memory.mails
        if run is None or mail.attributes.get("runId", run.id) == run.id
    ]
    return Rehearsal(
        campaign=script.campaign.name,
        run=run.id if run else "",
        state=run.phase if run else "not opened",
        why=RUN_ENDS.get(run.state, "it is still open")
        if run
        else str(play.memory.item(script.campaign.name).get("statusMessage")),
        seed=seed,
        failure_rate=failure_rate,
        timezone=script.campaign.timezone,
        begins=history.scenario.begins,
        scheduled_at=run.scheduled_at if run else history.scenario.begins,
        ended_at=(run.ended_at if run else None) or history.now,
        fleet=_fleet_told(fleet),
        timeline=tuple(play.entries),
        alerts=tuple(alerts),
        waves=tuple(_wave_told(run, wave) for wave in run.waves) if run else (),
        calls=dict(sorted(Counter(call.name for call, _, _ in history.seen).items())),
        units=_units(play),
        installs=world.installs_delivered,
        violations=tuple(violations(world, run)),
        notes=(*script.notes, *_mishaps(history)),
    )


def _fleet_told(fleet: Fleet) -> FleetTold:
    behaviours = Counter(one.behaviour.value for one in fleet.servers if one.behaviour is not Behaviour.HEALTHY)
    regions = {one.region for one in fleet.servers}
    return FleetTold(
        fleet.made_up, len(fleet.members), len(regions), len(fleet.servers), dict(sorted(behaviours.items()))
    )


def _wave_told(run: Run, wave: WaveRun) -> WaveTold:
    window, following = run.window_of(wave), next(iter(run.after(wave)), None)
    ends = [one.ended_at for one in run.executions_of(wave.name) if one.ended_at]
    judged = following is not None and wave.state is WaveState.SETTLED and wave.started_at is not None
    verdict = judge(wave.gate, wave.tally)
    said = wave.alarm or verdict.reason
    return WaveTold(
        name=wave.name,
        state=wave.withheld or wave.state.value,
        reason=wave.reason or wave.hold or "",
        window_start=window.start,
        last_start=last_start(run, wave),
        window_end=window.end,
        locations=wave.locations,
        out_of_reach=wave.tally.unreachable,
        executions=sum(one.id is not None for one in run.executions_of(wave.name)),
        expected=wave.tally.instances,
        outcomes=dict(sorted(wave.tally.outcomes.items())),
        causes=dict(sorted(wave.tally.causes.items())),
        started_at=wave.started_at,
        ended_at=max(ends, default=wave.settled_at) if wave.started_at else None,
        baked_at=baked_at(run, following) if judged and following and not said else None,
        gate=(f"no: {said}" if said else "passed") if judged else "",
        approved_by=spoken(wave.approved.by) if wave.approved else "",
    )


def _units(play: _Play) -> Units:
    """What was used, counted where it was used: steps in the world, everything else as it crossed the boundary."""
    history, usual = play.history, cost_of(play.campaign, 1, 1)
    steps = list(_steps(history.world))
    calls = [call for call, _, _ in history.seen]
    writes = [call for call in calls if call.service == "dynamodb" and not call.reads]
    return Units(
        automation_steps=len(steps),
        script_steps=sum(step.action == "aws:executeScript" for step in steps),
        invocations=_invocations(history),
        dynamodb_reads=sum(call.service == "dynamodb" and call.reads for call in calls),
        dynamodb_writes=len(writes),
        dynamodb_rows_written=sum(len(call.params.get("TransactItems", ("one",))) for call in writes),
        sns_publishes=sum(call.name == "sns.publish" for call in calls),
        s3_puts=sum(call.name == "s3.put_object" for call in calls),
        sqs_messages=sum(len(call.params.get("Entries", ("one",))) for call in calls if call.service == "sqs"),
        idle_minutes=(history.now - history.scenario.begins) // MINUTE - play.minutes,
        dollars=round(len(steps) * usual.prices["automation_step"], 4),
        prices_of=usual.dated,
    )


def _steps(world: World) -> Iterator[Step]:
    """Every step that was begun, of every execution in every account."""
    for account in world.organization.accounts.values():
        for region in sorted(account.regions):
            for execution in world.automation.at(account.id, region):
                yield from (step for step in execution.steps if step.started_at)


def _invocations(history: History) -> dict[str, int]:
    """How often each function was woken with something to do: every invocation makes at least one call."""
    woken = {(number, call.worker) for call, number, _ in history.seen}
    return dict(sorted(Counter(worker for _, worker in woken).items()))


def violations(world: World, run: Run | None) -> Iterator[str]:
    """What must never be, by the world's own log of what reached the servers. Other runs are other stories."""
    for id_, nodes in sorted(world.instances_installed_twice().items()):
        yield from (f"{node} was patched twice by {id_}" for node in nodes)
    waves = {one.id: run.wave(one.wave) for one in run.executions} if run else {}
    for delivery in world.effects:
        if run and delivery.run not in (None, run.id):
            continue
        wave = waves.get(delivery.root)
        if run is None or wave is None:
            yield f"{delivery.node} was patched at {delivery.at:%Y-%m-%d %H:%M}Z by nobody's execution"
        elif not run.window_of(wave).start <= delivery.at < last_start(run, wave):
            yield f"{delivery.node} was patched at {delivery.at:%Y-%m-%d %H:%M}Z, outside of wave {wave.name}'s window"


def _mishaps(history: History) -> Iterator[str]:
    """What failed in the functions themselves: nothing should."""
    if history.failures:
        yield f"{_many(len(history.failures), 'invocation')} failed, the first on {history.failures[0]}"
