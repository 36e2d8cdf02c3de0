"""What a run asks for. The dispatcher and the poller each perform their own."""

from __future__ import annotations

from patchtide.core.frozen import frozen
from patchtide.core.run import AlertKind


@frozen
class Prepare:
    """Find out the wave's accounts and locations, and what AWS knows of the runbook."""

    wave: str


@frozen
class AskTargets:
    """Have every location that has not answered asked for its targets."""

    wave: str


@frozen
class GiveUpTargets:
    """Record the locations that never answered as out of reach."""

    wave: str


@frozen
class Plan:
    """Divide the wave's locations into executions and render their requests."""

    wave: str


@frozen
class Permit:
    """Find out whether the wave may start something now: the pause, the calendars, the freezes, the alarms."""

    wave: str


@frozen
class Guard:
    """Find out whether something bars a wave that is under way, so that what waits must be taken back."""

    wave: str


@frozen
class LookAtAlarms:
    """See whether the alarms of the wave's gate are quiet."""

    wave: str


@frozen
class Start:
    """Start an execution."""

    execution: tuple[str, int]


@frozen
class Find:
    """Find out by its tag whether an execution was started after all."""

    execution: tuple[str, int]


@frozen
class Look:
    """See how an execution is doing."""

    execution: tuple[str, int]


@frozen
class Stop:
    """Stop an execution that is still going when its window is over, or that a person stopped."""

    execution: tuple[str, int]


@frozen
class Halt:
    """Take back, in every location still at work, what waits for its turn. What is being patched is left to finish."""

    wave: str


@frozen
class Close:
    """Write down every location of an execution that never ran as not started."""

    execution: tuple[str, int]


@frozen
class Release:
    """Have its instances no longer count as in flight."""

    execution: tuple[str, int]


@frozen
class AskEvidence:
    """Have every ended location whose evidence is not complete asked for it."""

    wave: str


@frozen
class GiveUpEvidence:
    """Record what nobody could read as unverified."""

    wave: str


@frozen
class Publish:
    """Tell people."""

    kind: AlertKind
    wave: str = ""
    about: str = ""


@frozen
class Tell:
    """Write the run's state onto the campaign's item."""

    phase: str


@frozen
class AskReport:
    """Have the ended run's report written."""


@frozen
class Reopen:
    """Open the run that an order asks for: a retry, or one of the campaign's new version."""

    order: str


@frozen
class AnswerOrder:
    """Write the answer where the command that gave the order looks."""

    order: str


Command = (
    Prepare
    | AskTargets
    | GiveUpTargets
    | Plan
    | Permit
    | Guard
    | LookAtAlarms
    | Start
    | Find
    | Look
    | Stop
    | Halt
    | Close
    | Release
    | AskEvidence
    | GiveUpEvidence
    | Publish
    | Tell
    | AskReport
    | Reopen
    | AnswerOrder
)
