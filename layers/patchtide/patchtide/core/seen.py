"""What a run is told: time that passed, what was counted, what AWS and people said."""

from __future__ import annotations

from datetime import datetime

from patchtide.core.frozen import frozen
from patchtide.core.gate import Verdict
from patchtide.core.orders import Order
from patchtide.core.run import AlertKind, Execution, RunbookFacts, Withheld
from patchtide.core.tally import Tally


@frozen
class Clock:
    """Time passed."""

    now: datetime


@frozen
class Counted:
    """What the collectors have counted by now."""

    wave: str
    tally: Tally


@frozen
class Listed:
    """The wave's locations are written down and may be asked for their targets."""

    wave: str
    locations: int
    runbook: RunbookFacts
    at: datetime | None = None


@frozen
class Unpreparable:
    """The wave cannot be prepared, and why."""

    wave: str
    reason: str


@frozen
class Planned:
    """The wave's executions, with their requests rendered; a digest of all that they will do; and when a calendar closes."""

    wave: str
    executions: tuple[Execution, ...]
    digest: str = ""
    closes_at: datetime | None = None


@frozen
class Permitted:
    """Whether the wave may start something now. A "no" comes with what becomes of it."""

    wave: str
    verdict: Verdict
    withheld: Withheld = ""


@frozen
class Barred:
    """Why nothing more may begin of a wave that is under way; empty when nothing bars it."""

    wave: str
    reason: str


@frozen
class Postponed:
    """The wave's window, and with it those of the waves behind it, begins at another time."""

    wave: str
    start: datetime
    reason: str


@frozen
class AlarmsSeen:
    """What the alarms of the wave's gate say: quiet (yes), one is on (no), or they cannot be known (wait)."""

    wave: str
    verdict: Verdict


@frozen
class Ordered:
    """A person gave an order."""

    order: Order


@frozen
class Reopened:
    """What came of an order that asks for another run."""

    order: str
    accepted: bool
    answer: str


@frozen
class OrderTold:
    """The answer stands beside the order, where the command that gave it looks."""

    order: str


@frozen
class Started:
    """AWS says the execution runs, under this id."""

    execution: tuple[str, int]
    id: str
    at: datetime


@frozen
class StartRefused:
    """AWS will not start it."""

    execution: tuple[str, int]
    reason: str


@frozen
class Deferred:
    """The start was not sent: something stood in its way at the last moment."""

    execution: tuple[str, int]
    reason: str


@frozen
class NotThere:
    """No execution carries its tag: the start never happened."""

    execution: tuple[str, int]


@frozen
class Undecided:
    """Nobody can tell whether it was started, so nothing is started in its place."""

    execution: tuple[str, int]
    reason: str


@frozen
class Released:
    """Its instances no longer count as in flight."""

    execution: tuple[str, int]


@frozen
class Looked:
    """What an execution looks like now; its ended locations are written down already."""

    execution: tuple[str, int]
    mark: str
    ended: str
    status: str
    over: bool
    reason: str = ""


@frozen
class Missed:
    """AWS says that it knows no such execution, though it was started. One such answer is not believed."""

    execution: tuple[str, int]
    at: datetime


@frozen
class Closed:
    """Every location of an execution that never ran is written down as not started."""

    execution: tuple[str, int]


@frozen
class Published:
    """A person was told."""

    alert: tuple[AlertKind, str, str]


@frozen
class Told:
    """The campaign's item shows this state."""

    phase: str


@frozen
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
