"""A run: the service's record of one occurrence of a campaign, from opened to ended, as plain values.

`advance` says what a run becomes when something was seen, `due` what it still asks for; the states are in `states`.
"""

from __future__ import annotations

from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid5

from patchtide.core.frozen import frozen
from patchtide.core.gate import Gate
from patchtide.core.orders import Answered
from patchtide.core.states import OVER, ExecutionState, RunState, WaveState
from patchtide.core.tally import Tally

NAMESPACE = UUID("6b0f7c1e-58a4-5d0e-9d2a-6d1d0a7f3c21")

PREPARE_LEAD = timedelta(minutes=15)  # how long before its window a wave finds out what it will patch
APPROVAL_LEAD = timedelta(hours=24)  # and how long when people have to approve it: they sleep, too
PATIENCE = timedelta(minutes=3)  # longer than any worker lives: after this, what was asked and not answered is lost
TOKEN_TRUST = timedelta(minutes=10)  # AWS does not say how long it remembers a token (facts: ssm.md 1.5)
VISIBLE = timedelta(minutes=5)  # how long an execution must be "not found", time after time, before it counts as lost
STOP_GRACE = timedelta(minutes=60)  # how long after the window a stopped execution may take to end
EVIDENCE_GRACE = timedelta(minutes=10)  # how long after a location ended its evidence may still arrive
EVIDENCE_AFTER = (1, 2, 4, 7)  # minutes after its end in which a location is asked for it; later on, in every fifth
COLLECT_AGAIN = timedelta(minutes=1)
GIVE_UP = timedelta(minutes=60)  # how long evidence may stay unread before it is recorded as unverified
LATE = timedelta(minutes=10)  # how long after its time a wave that has not started becomes news
REPORT_PATIENCE = timedelta(minutes=20)  # longer than the reporter lives
REPORT_ASKS = 5  # after that the queue's dead letters have told people, and the command can write it
HALT_LEAD = timedelta(minutes=1)  # how long before the cutoff what still waits for its turn is taken back

# How something that was not started came to be so, as far as a person or a rule decided it.
Withheld = Literal["", "halted", "skipped", "stopped", "replaced"]
Trigger = Literal["schedule", "adhoc", "retry", "manual"]


@frozen
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

    def moved(self, start: datetime) -> Window:
        """The same window from another start."""
        return Window(start, start + (self.end - self.start), self.cutoff)


@frozen
class Approval:
    """Who let a wave begin, when, and the digest of what was shown to them."""

    by: str
    at: datetime
    digest: str


@frozen
class WaveRun:
    """One wave of a run. `locations` is how many locations it expects; `reason` says why it ended early.

    `approval` says that it may not begin before a person said so; `source` is the run whose failed instances it retries,
    empty where its targets say who is meant. `hold` is why it cannot start just now, None while nobody has looked; `barred` is
    why what waits in AWS is taken back, too, and `taken_back` why some was.
    `closes_at` is when a calendar or a freeze that is known of closes, if that is before its window does.
    """

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
    window: Window | None = None
    gate: Gate = field(default_factory=Gate)
    approval: bool = False
    max_instances: int = 0
    source: str = ""
    listed_at: datetime | None = None
    digest: str = ""
    approved: Approval | None = None
    withheld: Withheld = ""
    hold: str | None = None
    barred: str = ""
    taken_back: str = ""
    closes_at: datetime | None = None
    started_at: datetime | None = None
    settled_at: datetime | None = None
    alarm: str | None = None
    halt_asked_at: datetime | None = None
    halts: int = 0
    late: bool = False
    closing: bool = False

    @property
    def asks_approval(self) -> bool:
        """Whether people are asked to approve it just now: all that it would do is known."""
        known = self.state in (WaveState.READY, WaveState.RUNNING) and self.planned and bool(self.digest)
        return self.approval and not self.approved and not self.withheld and known


@frozen
class Execution:
    """One SSM Automation execution in the hub.

    `request` is the rendered StartAutomationExecution request as JSON, kept before it is sent and sent as it was kept.
    `mark` is what the last look showed; a look that shows the same has nothing to tell. `ended` has one bit for each of the
    request's locations, in their order, as hexadecimal digits: a thousand of them fit into the item of one execution. `share`
    is how many locations it may work on at once, of the wave's limit, when that limit is a count.

    A location whose instances are named one by one may need several executions: `part` of `parts`. With `in_turn` a part
    waits for the one before, because its limit of instances at a time is a count that all of them share. `doubt` is why
    nobody can tell whether it started; `released` says that its instances no longer count as in flight. `missing_since` is
    since when AWS has said, at every look, that it knows no such execution.
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
    instances: int = 0
    part: int = 1
    parts: int = 1
    in_turn: bool = False
    doubt: str = ""
    released: bool = False
    missing_since: datetime | None = None

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


AlertKind = Literal[
    "started",
    "wave",
    "approve",
    "late",
    "closing",
    "postponed",
    "undecided",
    "missed-before",
    "succeeded",
    "incomplete",
    "failed",
    "no-targets",
    "missed",
    "halted",
    "skipped",
    "stopped",
    "replaced",
]


@frozen
class PendingAlert:
    """Something a person must still hear. One kind is raised once per run and wave (and `about`), so these name it."""

    kind: AlertKind
    raised_at: datetime
    asked_at: datetime | None = None
    wave: str = ""
    about: str = ""

    @property
    def key(self) -> tuple[AlertKind, str, str]:
        """What names it within its run."""
        return self.kind, self.wave, self.about


@frozen
class RunbookFacts:
    """What AWS says of the runbook before it is used: the version that `$DEFAULT` meant, its hash and its parameters."""

    version: str
    hash: str
    parameters: tuple[str, ...]


@frozen
class Run:
    """One occurrence of a campaign version, and all that became of it.

    `version` counts saves: who saves must have loaded the latest. `told` is the state last written onto the item. `author`
    is the principal known to have written the campaign's version, and with `other_approver` may not approve it. `retry_of`
    is the run that this one tries again. `missed` counts earlier occurrences that nobody opened, since `missed_since`. `capped`
    says that the stack limits how many instances are in flight. `audited` counts the lines of the audit trail, `seal` is the last
    one's. `reported` is the SHA-256 of its report's manifest, once that is written; `report_asks` says how often it was asked for.
    `started_by` is the principal who asked for it by hand, and `because` is why.
    """

    id: str
    campaign: str
    spec: int
    trigger: Trigger
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
    author: str = ""
    other_approver: bool = False
    retry_of: str = ""
    retries: int = 0
    orders: tuple[Answered, ...] = ()
    missed: int = 0
    missed_since: datetime | None = None
    capped: bool = False
    audited: int = 0
    seal: str = ""
    report_asked_at: datetime | None = None
    report_asks: int = 0
    reported: str = ""
    started_by: str = ""
    because: str = ""

    @property
    def open(self) -> bool:
        """Whether the run has not ended."""
        return self.state is RunState.OPEN

    @property
    def current(self) -> WaveRun | None:
        """The first wave that is not over."""
        return next((wave for wave in self.waves if wave.state not in OVER), None)

    @property
    def phase(self) -> str:
        """How it ended, or where its first unfinished wave stands."""
        if not self.open:
            return self.state.value
        wave = self.current
        if wave is None:
            return "open"
        if wave.state is WaveState.PLANNED and self.before(wave):
            return "baking"
        if wave.state is WaveState.READY and wave.asks_approval:
            return "waiting for approval"
        return wave.state.value

    def wave(self, name: str) -> WaveRun:
        """The wave of that name."""
        return next(wave for wave in self.waves if wave.name == name)

    def before(self, wave: WaveRun) -> WaveRun | None:
        """The wave before that one; None before the first."""
        place = [one.name for one in self.waves].index(wave.name)
        return self.waves[place - 1] if place else None

    def after(self, wave: WaveRun) -> tuple[WaveRun, ...]:
        """The waves behind that one."""
        place = [one.name for one in self.waves].index(wave.name)
        return self.waves[place + 1 :]

    def window_of(self, wave: WaveRun) -> Window:
        """The wave's own window."""
        return wave.window or self.window

    def execution(self, key: tuple[str, int]) -> Execution:
        """The execution of that wave and number."""
        return next(execution for execution in self.executions if execution.key == key)

    def executions_of(self, wave: str) -> tuple[Execution, ...]:
        """The executions of one wave."""
        return tuple(execution for execution in self.executions if execution.wave == wave)

    def changed_runbook(self, found: RunbookFacts) -> str:
        """Why the runbook is no longer the one that the run was prepared for; empty when it is, or none was seen yet."""
        if self.runbook is None or self.runbook.hash == found.hash:
            return ""
        return f"the runbook changed during the run, from version {self.runbook.version} to {found.version}"

    def answered(self, order: str) -> Answered | None:
        """What the run said to the order, when it has taken it in."""
        return next((one for one in self.orders if one.order.id == order), None)


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


def asks_evidence(age: timedelta) -> bool:
    """Whether a location that ended so long ago is asked for its evidence in this minute.

    Not at once: instances upload what they did when they are done, and who asks too early has to ask again.
    """
    minute = age // timedelta(minutes=1)
    return minute in EVIDENCE_AFTER or (minute > EVIDENCE_AFTER[-1] and minute % 5 == 0)


def evidence_since(run: Run, wave: str) -> datetime:
    """From when on evidence may be the wave's own: the first time a start was asked for.

    Not when the answer came: a worker may die between the two, and the answer then comes minutes after the first patch.
    """
    asked = [execution.first_asked_at for execution in run.executions_of(wave) if execution.first_asked_at]
    return min(asked, default=run.window_of(run.wave(wave)).start)


def last_start(run: Run, wave: WaveRun) -> datetime:
    """From when on nothing of the wave may start: its cutoff, or sooner where a calendar is known to close before."""
    closes = run.window_of(wave).last_start
    return min(closes, wave.closes_at) if wave.closes_at else closes


def baked_at(run: Run, wave: WaveRun) -> datetime:
    """When the wave before has baked long enough, counted from the last instant at which anything of it ended."""
    before = run.before(wave)
    if before is None:
        return run.opened_at
    ends = [execution.ended_at for execution in run.executions_of(before.name) if execution.ended_at]
    return max(ends, default=before.settled_at or run.opened_at) + before.gate.soak


def opens_at(run: Run, wave: WaveRun) -> datetime:
    """The first instant at which the wave may start, as far as time decides it."""
    return max(run.window_of(wave).start, baked_at(run, wave))


def prepares_at(run: Run, wave: WaveRun) -> datetime:
    """When the wave finds out what it will patch: shortly before it may start, or a day where people have to approve it."""
    return opens_at(run, wave) - (APPROVAL_LEAD if wave.approval else PREPARE_LEAD)


def approve_by(run: Run, wave: WaveRun) -> datetime:
    """Until when a wave can be approved: its window's start, or its cutoff where it was ready only within its window."""
    window = run.window_of(wave)
    ready = wave.listed_at or run.opened_at
    return window.start if ready < window.start else last_start(run, wave)


def begun(run: Run, wave: WaveRun) -> bool:
    """Whether anything of the wave may have been started: that nobody has answered yet does not mean that nothing runs."""
    unsent = (ExecutionState.PLANNED, ExecutionState.EXPIRED)
    return wave.started_at is not None or any(
        one.first_asked_at or one.state not in unsent for one in run.executions_of(wave.name)
    )


def about(run: Run) -> dict[str, str]:
    """What a line of the log says of its run beside its words, so that all lines of one are found."""
    return {"run": run.id, "campaign": run.campaign}
