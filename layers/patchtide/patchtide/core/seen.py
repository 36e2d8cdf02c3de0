"""What a run is told: time that passed, what was counted, what AWS and people said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from patchtide.core.gate import Verdict
from patchtide.core.orders import Order
from patchtide.core.run import AlertKind, Execution, RunbookFacts, Withheld
from patchtide.core.tally import Tally


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
    at: datetime | None = None


@dataclass(frozen=True)
class Unpreparable:
    """The wave cannot be prepared, and why."""

    wave: str
    reason: str


@dataclass(frozen=True)
class Planned:
    """The wave's executions, with their requests rendered; a digest of all that they will do; and when a calendar closes."""

    wave: str
    executions: tuple[Execution, ...]
    digest: str = ""
    closes_at: datetime | None = None


@dataclass(frozen=True)
class Permitted:
    """Whether the wave may start something now. A "no" comes with what becomes of it."""

    wave: str
    verdict: Verdict
    withheld: Withheld = ""


@dataclass(frozen=True)
class Barred:
    """Why nothing more may begin of a wave that is under way; empty when nothing bars it."""

    wave: str
    reason: str


@dataclass(frozen=True)
class Postponed:
    """The wave's window, and with it those of the waves behind it, begins at another time."""

    wave: str
    start: datetime
    reason: str


@dataclass(frozen=True)
class AlarmsSeen:
    """What the alarms of the wave's gate say: quiet (yes), one is on (no), or they cannot be known (wait)."""

    wave: str
    verdict: Verdict


@dataclass(frozen=True)
class Ordered:
    """A person gave an order."""

    order: Order


@dataclass(frozen=True)
class Reopened:
    """What came of an order that asks for another run."""

    order: str
    accepted: bool
    answer: str


@dataclass(frozen=True)
class OrderTold:
    """The answer stands beside the order, where the command that gave it looks."""

    order: str


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
class Deferred:
    """The start was not sent: something stood in its way at the last moment."""

    execution: tuple[str, int]
    reason: str


@dataclass(frozen=True)
class NotThere:
    """No execution carries its tag: the start never happened."""

    execution: tuple[str, int]


@dataclass(frozen=True)
class Undecided:
    """Nobody can tell whether it was started, so nothing is started in its place."""

    execution: tuple[str, int]
    reason: str


@dataclass(frozen=True)
class Released:
    """Its instances no longer count as in flight."""

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
class Missed:
    """AWS says that it knows no such execution, though it was started. One such answer is not believed."""

    execution: tuple[str, int]
    at: datetime


@dataclass(frozen=True)
class Closed:
    """Every location of an execution that never ran is written down as not started."""

    execution: tuple[str, int]


@dataclass(frozen=True)
class Published:
    """A person was told."""

    alert: tuple[AlertKind, str, str]


@dataclass(frozen=True)
class Told:
    """The campaign's item shows this state."""

    phase: str


@dataclass(frozen=True)
class Reported:
    """The report is written; the SHA-256 of its manifest."""

    digest: str


Seen = (
    Clock
    | Counted
    | Listed
    | Unpreparable
    | Planned
    | Permitted
    | Barred
    | Postponed
    | AlarmsSeen
    | Started
    | StartRefused
    | Deferred
    | NotThere
    | Undecided
    | Looked
    | Missed
    | Closed
    | Released
    | Ordered
    | Reopened
    | OrderTold
    | Published
    | Told
    | Reported
)
