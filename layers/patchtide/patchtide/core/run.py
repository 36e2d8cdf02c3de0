"""A run: the service's record of one occurrence of a campaign, from opened to ended.

Theory of operation
-------------------
A run has waves, a wave has executions, an execution covers many locations. Waves and executions move through the tables
below and only forward; what is terminal stays. A window that closes too early does not end a wave whose instances are
known: its executions expire, and each of its instances is recorded as not started. Two functions carry everything:

- `fold(run, seen)` takes in what was seen (time passing, what the collectors counted, what AWS answered) and says what the
  run becomes, alerts included;
- `due(run, now)` says what the run still asks for. It is worked out from the run alone, so a command that was lost, with
  the machine that should have performed it, is simply asked for again, with the same token.

`ask(run, commands, now)` notes who was asked when, and is saved before anything is performed: a second worker sees the
note and leaves the command alone until `PATIENCE` is over, which is longer than any worker lives.

What must never be: two executions for the same locations (the token is derived, never drawn); a start at or after
`window.last_start`; a wave that ends while one of its locations is unaccounted for; success without evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import Literal, assert_never
from uuid import UUID, uuid5

from patchtide.core.outcome import FINE, Outcome

NAMESPACE = UUID("6b0f7c1e-58a4-5d0e-9d2a-6d1d0a7f3c21")

PREPARE_LEAD = timedelta(minutes=15)  # how long before its window a run finds out what it will patch
PATIENCE = timedelta(minutes=3)  # longer than any worker lives: after this, what was asked and not answered is lost
TOKEN_TRUST = timedelta(minutes=10)  # AWS does not say how long it remembers a token (facts: ssm.md 1.5)
VISIBLE = timedelta(minutes=5)  # how long a started execution may be "not found" before it counts as lost
STOP_GRACE = timedelta(minutes=60)  # how long after the window a stopped execution may take to end
EVIDENCE_GRACE = timedelta(minutes=10)  # how long after a location ended its evidence may still arrive
COLLECT_AGAIN = timedelta(minutes=1)
GIVE_UP = timedelta(minutes=60)  # how long evidence may stay unread before it is recorded as unverified


class RunState(StrEnum):
    """Whether a run still has something to do, and if not, how it ended."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    INCOMPLETE = "incomplete"  # nothing failed, but some instances still need a reboot
    FAILED = "failed"
    NO_TARGETS = "no targets"
    MISSED = "missed"


class WaveState(StrEnum):
    """Where a wave stands."""

    PLANNED = "planned"
    PREPARING = "preparing"  # its locations are known and each is being asked for its targets
    READY = "ready"  # the expected set is frozen
    RUNNING = "running"
    COLLECTING = "collecting"  # nothing runs any more; the evidence is being read
    SETTLED = "settled"
    EMPTY = "empty"  # not one instance to patch
    EXPIRED = "expired"  # the window closed before anything was known of it
    BROKEN = "broken"  # it could not even be prepared


class ExecutionState(StrEnum):
    """Where one Automation execution stands."""

    PLANNED = "planned"
    STARTING = "starting"  # asked for; nobody has said yet that it started
    RUNNING = "running"
    ENDED = "ended"
    REFUSED = "refused"
    EXPIRED = "expired"  # the window closed before it was started


class Move(StrEnum):
    """What moves a wave or an execution on."""

    LISTED = "locations listed"
    FROZEN = "targets frozen"
    FOUND_NOTHING = "no targets"
    UNPREPARABLE = "preparation refused"
    ASKED = "start asked"
    STARTED = "started"
    NOT_THERE = "not found by its tag"
    REFUSED = "start refused"
    CLOSED = "window closed"
    ENDED = "ended"
    ALL_ENDED = "all executions ended"
    EVIDENCED = "evidence complete"


WAVE_MOVES: Mapping[WaveState, Mapping[Move, WaveState]] = {
    WaveState.PLANNED: {
        Move.LISTED: WaveState.PREPARING,
        Move.FOUND_NOTHING: WaveState.EMPTY,
        Move.UNPREPARABLE: WaveState.BROKEN,
        Move.CLOSED: WaveState.EXPIRED,
    },
    WaveState.PREPARING: {
        Move.FROZEN: WaveState.READY,
        Move.FOUND_NOTHING: WaveState.EMPTY,
    },
    WaveState.READY: {Move.ASKED: WaveState.RUNNING, Move.CLOSED: WaveState.EXPIRED},
    WaveState.RUNNING: {Move.ALL_ENDED: WaveState.COLLECTING},
    WaveState.COLLECTING: {Move.EVIDENCED: WaveState.SETTLED},
}

EXECUTION_MOVES: Mapping[ExecutionState, Mapping[Move, ExecutionState]] = {
    ExecutionState.PLANNED: {Move.ASKED: ExecutionState.STARTING, Move.CLOSED: ExecutionState.EXPIRED},
    ExecutionState.STARTING: {
        Move.STARTED: ExecutionState.RUNNING,
        Move.REFUSED: ExecutionState.REFUSED,
        Move.NOT_THERE: ExecutionState.PLANNED,
    },
    ExecutionState.RUNNING: {Move.ENDED: ExecutionState.ENDED},
}

OVER = frozenset({WaveState.SETTLED, WaveState.EMPTY, WaveState.EXPIRED, WaveState.BROKEN})
STOPPED = frozenset({ExecutionState.ENDED, ExecutionState.REFUSED, ExecutionState.EXPIRED})


@dataclass(frozen=True)
class Window:
    """`[start, end)`, aware instants; nothing new starts from `end - cutoff` on."""

    start: datetime
    end: datetime
    cutoff: timedelta

    @property
    def last_start(self) -> datetime:
        """The first instant at which nothing may start any more; the runbooks' `NotAfter`."""
        return self.end - self.cutoff

    def open_at(self, now: datetime) -> bool:
        """Whether something may start now."""
        return self.start <= now < self.last_start


@dataclass(frozen=True)
class Tally:
    """What the collectors counted of a wave, each location and each page of instances exactly once."""

    resolved: int = 0  # locations whose targets are known, or known to be out of reach
    unreachable: int = 0  # of those, out of reach
    empty: int = 0  # of those, with nothing to patch
    collected: int = 0  # locations whose evidence is complete
    instances: int = 0  # the expected set
    outcomes: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)

    @property
    def patching(self) -> int:
        """Locations with something to patch."""
        return self.resolved - self.unreachable - self.empty

    def count(self, *outcomes: Outcome) -> int:
        """Instances with one of these outcomes."""
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes)

    @property
    def open_instances(self) -> int:
        """Expected instances of which nothing is known yet."""
        return self.instances - sum(self.outcomes.values())


@dataclass(frozen=True)
class WaveRun:
    """One wave of a run. `locations` is how many locations it expects; `reason` says why it ended early."""

    name: str
    state: WaveState = WaveState.PLANNED
    locations: int = 0
    planned: bool = False
    tally: Tally = field(default_factory=Tally)
    reason: str = ""
    prepare_asked_at: datetime | None = None
    targets_asked_at: datetime | None = None
    evidence_asked_at: datetime | None = None
    collecting_since: datetime | None = None


@dataclass(frozen=True)
class Execution:
    """One SSM Automation execution in the hub.

    `request` is the rendered StartAutomationExecution request as JSON, kept before it is sent and sent as it was kept.
    `mark` is what the last look showed; a look that shows the same has nothing to tell. `ended` has one bit for each of the
    request's locations, in their order, as hexadecimal digits: a thousand of them fit into the item of one execution. `share` is how many locations it
    may work on at once, of the wave's limit, when that limit is a count.
    """

    wave: str
    number: int
    request: str
    locations: int
    token: str
    share: int = 0
    limit: int = 0
    state: ExecutionState = ExecutionState.PLANNED
    id: str | None = None
    asked_at: datetime | None = None
    first_asked_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    stop_asked_at: datetime | None = None
    status: str = ""
    reason: str = ""
    mark: str = ""
    ended: str = "0"
    closed: bool = False

    @property
    def ended_locations(self) -> int:
        """How many of its locations have ended."""
        return int(self.ended, 16).bit_count()

    @property
    def all_ended(self) -> str:
        """What `ended` is when every location has."""
        return f"{(1 << self.locations) - 1:x}"

    @property
    def key(self) -> tuple[str, int]:
        """What names it within its run."""
        return self.wave, self.number


AlertKind = Literal["started", "succeeded", "incomplete", "failed", "no-targets", "missed"]


@dataclass(frozen=True)
class PendingAlert:
    """Something a person must still hear. One kind is raised once per run, so run and kind name it."""

    kind: AlertKind
    raised_at: datetime
    asked_at: datetime | None = None


@dataclass(frozen=True)
class RunbookFacts:
    """What AWS says of the runbook before it is used: the version that `$DEFAULT` meant, its hash and its parameters."""

    version: str
    hash: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One occurrence of a campaign version, and all that became of it.

    `version` counts saves: who saves must have loaded the latest. `told` is the state last written onto the item.
    """

    id: str
    campaign: str
    spec: int
    trigger: Literal["schedule", "adhoc"]
    scheduled_at: datetime
    opened_at: datetime
    window: Window
    waves: tuple[WaveRun, ...]
    executions: tuple[Execution, ...] = ()
    state: RunState = RunState.OPEN
    runbook: RunbookFacts | None = None
    alerts: tuple[PendingAlert, ...] = ()
    told: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    version: int = 0

    @property
    def open(self) -> bool:
        """Whether the run has not ended."""
        return self.state is RunState.OPEN

    @property
    def phase(self) -> str:
        """How it ended, or where its first unfinished wave stands."""
        if not self.open:
            return self.state.value
        return next((wave.state.value for wave in self.waves if wave.state not in OVER), "open")

    def wave(self, name: str) -> WaveRun:
        """The wave of that name."""
        return next(wave for wave in self.waves if wave.name == name)

    def execution(self, key: tuple[str, int]) -> Execution:
        """The execution of that wave and number."""
        return next(execution for execution in self.executions if execution.key == key)

    def executions_of(self, wave: str) -> tuple[Execution, ...]:
        """The executions of one wave."""
        return tuple(execution for execution in self.executions if execution.wave == wave)


def run_id(campaign: str, at: datetime) -> str:
    """The id of a campaign's run at an instant: readable, and the same for everybody who works it out."""
    seconds = "%S" if at.second else ""
    return f"{campaign}-{at.astimezone(UTC):%Y%m%dT%H%M{seconds}Z}"


def client_token(run: str, wave: str, number: int) -> str:
    """The token of one start: asking twice with it is asking once."""
    return str(uuid5(NAMESPACE, f"{run}/{wave}/{number}/start"))


def snapshot_id(run: str, wave: str) -> str:
    """The patch snapshot that all instances of a wave share, and by which their evidence is known as ours."""
    return str(uuid5(NAMESPACE, f"{run}/{wave}/snapshot"))


def evidence_since(run: Run, wave: str) -> datetime:
    """From when on evidence may be the wave's own: the first time a start was asked for.

    Not when the answer came: a worker may die between the two, and the answer then comes minutes after the first patch.
    """
    asked = [execution.first_asked_at for execution in run.executions_of(wave) if execution.first_asked_at]
    return min(asked, default=run.window.start)


# --- what is seen ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clock:
    """Time passed."""

    now: datetime


@dataclass(frozen=True)
class Counted:
    """What the collectors have counted by now."""

    wave: str
    tally: Tally


@dataclass(frozen=True)
class Listed:
    """The wave's locations are written down and may be asked for their targets."""

    wave: str
    locations: int
    runbook: RunbookFacts


@dataclass(frozen=True)
class Unpreparable:
    """The wave cannot be prepared, and why."""

    wave: str
    reason: str


@dataclass(frozen=True)
class Planned:
    """The wave's executions, with their requests rendered."""

    wave: str
    executions: tuple[Execution, ...]


@dataclass(frozen=True)
class Started:
    """AWS says the execution runs, under this id."""

    execution: tuple[str, int]
    id: str
    at: datetime


@dataclass(frozen=True)
class StartRefused:
    """AWS will not start it."""

    execution: tuple[str, int]
    reason: str


@dataclass(frozen=True)
class NotThere:
    """No execution carries its tag: the start never happened."""

    execution: tuple[str, int]


@dataclass(frozen=True)
class Looked:
    """What an execution looks like now; its ended locations are written down already."""

    execution: tuple[str, int]
    mark: str
    ended: str
    status: str
    over: bool
    reason: str = ""


@dataclass(frozen=True)
class Closed:
    """Every location of an execution that never ran is written down as not started."""

    execution: tuple[str, int]


@dataclass(frozen=True)
class Published:
    """A person was told."""

    kind: AlertKind


@dataclass(frozen=True)
class Told:
    """The campaign's item shows this state."""

    phase: str


Seen = (
    Clock
    | Counted
    | Listed
    | Unpreparable
    | Planned
    | Started
    | StartRefused
    | NotThere
    | Looked
    | Closed
    | Published
    | Told
)

# --- what is asked --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prepare:
    """Find out the wave's accounts and locations, and what AWS knows of the runbook."""

    wave: str


@dataclass(frozen=True)
class AskTargets:
    """Have every location that has not answered asked for its targets."""

    wave: str


@dataclass(frozen=True)
class GiveUpTargets:
    """Record the locations that never answered as out of reach."""

    wave: str


@dataclass(frozen=True)
class Plan:
    """Divide the wave's locations into executions and render their requests."""

    wave: str


@dataclass(frozen=True)
class Start:
    """Start an execution."""

    execution: tuple[str, int]


@dataclass(frozen=True)
class Find:
    """Find out by its tag whether an execution was started after all."""

    execution: tuple[str, int]


@dataclass(frozen=True)
class Look:
    """See how an execution is doing."""

    execution: tuple[str, int]


@dataclass(frozen=True)
class Stop:
    """Stop an execution that is still going when its window is over."""

    execution: tuple[str, int]


@dataclass(frozen=True)
class Close:
    """Write down every location of an execution that never ran as not started."""

    execution: tuple[str, int]


@dataclass(frozen=True)
class AskEvidence:
    """Have every ended location whose evidence is not complete asked for it."""

    wave: str


@dataclass(frozen=True)
class GiveUpEvidence:
    """Record what nobody could read as unverified."""

    wave: str


@dataclass(frozen=True)
class Publish:
    """Tell people."""

    kind: AlertKind


@dataclass(frozen=True)
class Tell:
    """Write the run's state onto the campaign's item."""

    phase: str


Command = (
    Prepare
    | AskTargets
    | GiveUpTargets
    | Plan
    | Start
    | Find
    | Look
    | Stop
    | Close
    | AskEvidence
    | GiveUpEvidence
    | Publish
    | Tell
)


# --- what the run becomes -------------------------------------------------------------------------------------------


def open_run(
    campaign: str,
    spec: int,
    trigger: Literal["schedule", "adhoc"],
    scheduled_at: datetime,
    waves: Iterable[str],
    duration: timedelta,
    cutoff: timedelta,
    now: datetime,
) -> Run:
    """A new run of an occurrence, with nothing done yet."""
    return Run(
        id=run_id(campaign, scheduled_at),
        campaign=campaign,
        spec=spec,
        trigger=trigger,
        scheduled_at=scheduled_at,
        opened_at=now,
        window=Window(scheduled_at, scheduled_at + duration, cutoff),
        waves=tuple(WaveRun(name) for name in waves),
    )


def fold(run: Run, seen: Iterable[Seen], now: datetime) -> Run:
    """The run after all of this was seen, with the alerts that the difference calls for."""
    after = _settle(reduce(advance, (*seen, Clock(now)), run), now)
    return replace(after, alerts=after.alerts + tuple(PendingAlert(kind, now) for kind in between(run, after)))


def advance(run: Run, seen: Seen) -> Run:
    """The run after one thing was seen. What does not apply (late, repeated, out of order) changes nothing."""
    match seen:
        case Clock(now):
            return _pass_time(run, now)
        case Counted(wave, tally):
            return _with_wave(run, replace(run.wave(wave), tally=tally))
        case Listed(wave, locations, runbook):
            found = replace(run.wave(wave), locations=locations)
            move = Move.LISTED if locations else Move.FOUND_NOTHING
            return _with_wave(replace(run, runbook=run.runbook or runbook), _moved(found, move))
        case Unpreparable(wave, reason):
            return _with_wave(run, _moved(run.wave(wave), Move.UNPREPARABLE, reason=reason))
        case Planned(wave, executions):
            found = run.wave(wave)
            if found.state not in (WaveState.READY, WaveState.RUNNING):
                return run
            known = {execution.key for execution in run.executions}
            new = tuple(execution for execution in executions if execution.key not in known)
            return _with_wave(replace(run, executions=run.executions + new), replace(found, planned=True))
        case Started(key, id_, at):
            started = replace(run, started_at=run.started_at or at)
            return _with_execution(started, key, Move.STARTED, id=id_, started_at=at, reason="")
        case StartRefused(key, reason):
            return _with_execution(run, key, Move.REFUSED, reason=reason)
        case NotThere(key):
            return _with_execution(run, key, Move.NOT_THERE, asked_at=None, first_asked_at=None)
        case Looked():
            return _looked(run, seen)
        case Closed(key):
            execution = run.execution(key)
            return _replaced(run, replace(execution, closed=True, ended=execution.all_ended))
        case Published(kind):
            return replace(run, alerts=tuple(alert for alert in run.alerts if alert.kind != kind))
        case Told(phase):
            return replace(run, told=phase)
    assert_never(seen)


def _looked(run: Run, seen: Looked) -> Run:
    execution = run.execution(seen.execution)
    if execution.state is not ExecutionState.RUNNING:
        return run
    execution = replace(execution, mark=seen.mark, ended=seen.ended, status=seen.status)
    run = _replaced(run, execution)
    if not seen.over:
        return run
    return _with_execution(run, seen.execution, Move.ENDED, closed=True, reason=seen.reason)


def _pass_time(run: Run, now: datetime) -> Run:
    if now < run.window.last_start:
        return run
    executions = tuple(
        _moved_execution(execution, Move.CLOSED, reason="the window closed before it could start")
        if execution.state is ExecutionState.PLANNED
        else execution
        for execution in run.executions
    )
    waves = tuple(
        _moved(wave, Move.CLOSED, reason="the window closed before anything could start")
        if wave.state is WaveState.PLANNED or _unplannable(run, wave, now)
        else wave
        for wave in run.waves
    )
    return replace(run, executions=executions, waves=waves)


def _unplannable(run: Run, wave: WaveRun, now: datetime) -> bool:
    """Whether a frozen wave could not be planned for so long that it never will be: a run must end, and be heard of."""
    return wave.state is WaveState.READY and not wave.planned and now >= run.window.last_start + GIVE_UP


def _settle(run: Run, now: datetime) -> Run:
    """What follows from the facts alone: frozen sets, ended waves, the end of the run."""
    for wave in run.waves:
        run = _with_wave(run, _settle_wave(run, wave, now))
    if run.open and all(wave.state in OVER for wave in run.waves):
        run = replace(run, state=_verdict(run), ended_at=now)
    return replace(run, executions=tuple(_stamped(execution, now) for execution in run.executions))


def _stamped(execution: Execution, now: datetime) -> Execution:
    if execution.state in STOPPED and execution.ended_at is None:
        return replace(execution, ended_at=now)
    return execution


def _settle_wave(run: Run, wave: WaveRun, now: datetime) -> WaveRun:
    executions = run.executions_of(wave.name)
    if wave.state is WaveState.PREPARING and wave.tally.resolved >= wave.locations:
        return _moved(wave, Move.FROZEN if wave.tally.instances else Move.FOUND_NOTHING)
    if wave.state is WaveState.READY and any(e.state is not ExecutionState.PLANNED for e in executions):
        return _moved(wave, Move.ASKED)
    ended = covered(run, wave) and all(e.state in STOPPED and e.closed for e in executions)
    if wave.state is WaveState.RUNNING and ended:
        wave = replace(_moved(wave, Move.ALL_ENDED), collecting_since=now)
    if wave.state is WaveState.COLLECTING and wave.tally.collected >= wave.tally.patching:
        return _moved(wave, Move.EVIDENCED)
    return wave


def covered(run: Run, wave: WaveRun) -> bool:
    """Whether every location with something to patch belongs to an execution. A save of very many may have been cut short."""
    return (
        wave.planned and sum(execution.locations for execution in run.executions_of(wave.name)) >= wave.tally.patching
    )


def _verdict(run: Run) -> RunState:
    """How a run ended. Success needs evidence for every instance that was expected and every location reached."""
    states = {wave.state for wave in run.waves}
    tallies = [wave.tally for wave in run.waves]
    if WaveState.BROKEN in states:
        return RunState.FAILED
    if run.started_at is None and (
        WaveState.EXPIRED in states or any(e.state is ExecutionState.EXPIRED for e in run.executions)
    ):
        return RunState.MISSED
    if any(tally.unreachable for tally in tallies):
        return RunState.FAILED
    if states == {WaveState.EMPTY}:
        return RunState.NO_TARGETS
    expected = sum(tally.instances for tally in tallies)
    if sum(tally.count(*FINE) for tally in tallies) == expected:
        return RunState.SUCCEEDED
    if sum(tally.count(*FINE, Outcome.PENDING_REBOOT) for tally in tallies) == expected:
        return RunState.INCOMPLETE
    return RunState.FAILED


def between(before: Run, after: Run) -> Iterator[AlertKind]:
    """What people should hear, as the difference of two states of a run."""
    if before.started_at is None and after.started_at is not None:
        yield "started"
    if before.open and not after.open:
        yield _TERMINAL_ALERTS[after.state]


_TERMINAL_ALERTS: Mapping[RunState, AlertKind] = {
    RunState.SUCCEEDED: "succeeded",
    RunState.INCOMPLETE: "incomplete",
    RunState.FAILED: "failed",
    RunState.NO_TARGETS: "no-targets",
    RunState.MISSED: "missed",
}


# --- what the run asks for ------------------------------------------------------------------------------------------


def due(run: Run, now: datetime) -> tuple[Command, ...]:
    """What the run still asks for, in the order in which it should be done."""
    commands = list(_due_waves(run, now)) if run.open else []
    commands += [Publish(alert.kind) for alert in run.alerts if _unanswered(alert.asked_at, now)]
    if run.told != run.phase:
        commands.append(Tell(run.phase))
    return tuple(commands)


def _due_waves(run: Run, now: datetime) -> Iterator[Command]:
    current = next((wave for wave in run.waves if wave.state not in OVER), None)
    if current is None:
        return
    match current.state:
        case WaveState.PLANNED:
            if _unanswered(current.prepare_asked_at, now):
                yield Prepare(current.name)
        case WaveState.PREPARING:
            if now >= min(max(run.window.start, run.opened_at + PREPARE_LEAD), run.window.last_start):
                yield GiveUpTargets(current.name)
            elif _unanswered(current.targets_asked_at, now):
                yield AskTargets(current.name)
        case WaveState.READY | WaveState.RUNNING:
            if not covered(run, current):
                yield Plan(current.name)
            yield from _due_executions(run, current, now)
        case WaveState.COLLECTING:
            if now >= _since(current) + GIVE_UP:
                yield GiveUpEvidence(current.name)
    if current.state in (WaveState.RUNNING, WaveState.COLLECTING):
        ended = sum(execution.ended_locations for execution in run.executions_of(current.name))
        if ended > current.tally.collected and _unanswered(current.evidence_asked_at, now, COLLECT_AGAIN):
            yield AskEvidence(current.name)


def _due_executions(run: Run, wave: WaveRun, now: datetime) -> Iterator[Command]:
    for execution in _startable(run, wave, now):
        yield Start(execution.key)
    for execution in run.executions_of(wave.name):
        match execution.state:
            case ExecutionState.STARTING if _must_be_found(run, execution, now):
                yield Find(execution.key)
            case ExecutionState.STARTING if _unanswered(execution.asked_at, now):
                yield Start(execution.key)
            case ExecutionState.RUNNING:
                yield Look(execution.key)
                if now >= run.window.end and _unanswered(execution.stop_asked_at, now, TOKEN_TRUST):
                    yield Stop(execution.key)
            case ExecutionState.REFUSED | ExecutionState.EXPIRED if not execution.closed:
                yield Close(execution.key)


def _startable(run: Run, wave: WaveRun, now: datetime) -> Iterator[Execution]:
    """Planned executions that may start now. Where the wave's limit is a count, the shares of those going on fill it."""
    if not run.window.open_at(now):
        return
    executions = run.executions_of(wave.name)
    limit = max((execution.limit for execution in executions), default=0)
    going = sum(e.share for e in executions if e.state in (ExecutionState.STARTING, ExecutionState.RUNNING))
    for execution in executions:
        if execution.state is ExecutionState.PLANNED:
            if limit and going + execution.share > limit:
                return
            going += execution.share
            yield execution


def _must_be_found(run: Run, execution: Execution, now: datetime) -> bool:
    """A start that nobody answered may not be asked for again once its token is old or its window is over."""
    if not _unanswered(execution.asked_at, now):
        return False
    first = execution.first_asked_at or now
    return now >= first + TOKEN_TRUST or not run.window.open_at(now)


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
            return _with_wave(run, replace(run.wave(wave), prepare_asked_at=now))
        case AskTargets(wave):
            return _with_wave(run, replace(run.wave(wave), targets_asked_at=now))
        case AskEvidence(wave):
            return _with_wave(run, replace(run.wave(wave), evidence_asked_at=now))
        case Start(key):
            execution = run.execution(key)
            noted = replace(execution, asked_at=now, first_asked_at=execution.first_asked_at or now)
            if noted.state is ExecutionState.PLANNED:
                noted = _moved_execution(noted, Move.ASKED)
            return _settle(_replaced(run, noted), now)
        case Find(key):
            return _replaced(run, replace(run.execution(key), asked_at=now))
        case Stop(key):
            return _replaced(run, replace(run.execution(key), stop_asked_at=now))
        case Publish(kind):
            alerts = (replace(alert, asked_at=now) if alert.kind == kind else alert for alert in run.alerts)
            return replace(run, alerts=tuple(alerts))
        case GiveUpTargets() | Plan() | Look() | Close() | GiveUpEvidence() | Tell():
            return run
    assert_never(command)


def wake_at(run: Run, now: datetime) -> datetime | None:
    """When the run next wants attention; None when never again. An open run wants it every minute once it is at work."""
    if not run.open:
        return now if due(run, now) or run.alerts else None
    waiting = [wave for wave in run.waves if wave.state not in OVER]
    idle = (
        waiting
        and waiting[0].state is WaveState.READY
        and waiting[0].planned
        and run.told == run.phase
        and not run.alerts
    )
    return run.window.start if idle and now < run.window.start else now


# --- small change ---------------------------------------------------------------------------------------------------


def _moved(wave: WaveRun, move: Move, *, reason: str = "") -> WaveRun:
    state = WAVE_MOVES.get(wave.state, {}).get(move)
    return wave if state is None else replace(wave, state=state, reason=reason or wave.reason)


def _moved_execution(execution: Execution, move: Move, *, reason: str = "") -> Execution:
    state = EXECUTION_MOVES.get(execution.state, {}).get(move)
    return execution if state is None else replace(execution, state=state, reason=reason or execution.reason)


def _with_wave(run: Run, wave: WaveRun) -> Run:
    return replace(run, waves=tuple(wave if wave.name == old.name else old for old in run.waves))


def _replaced(run: Run, execution: Execution) -> Run:
    return replace(run, executions=tuple(execution if execution.key == old.key else old for old in run.executions))


def _with_execution(run: Run, key: tuple[str, int], move: Move, **changes: object) -> Run:
    execution = run.execution(key)
    if move not in EXECUTION_MOVES.get(execution.state, {}):
        return run
    return _replaced(run, replace(_moved_execution(execution, move), **changes))  # type: ignore[arg-type]
