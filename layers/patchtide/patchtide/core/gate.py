"""Whether a wave came out well enough for the next one to begin.

All of it is counted on complete evidence: a gate is asked when its wave is settled, and never before. AWS's own MaxErrors is
sent as well, but only as a backstop: it counts neither what it never reached nor what left no evidence.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from patchtide.core.frozen import frozen
from patchtide.core.outcome import Outcome
from patchtide.core.tally import Tally

ERRORS = (Outcome.FAILED, Outcome.UNREACHABLE, Outcome.UNVERIFIED, Outcome.NON_COMPLIANT, Outcome.NOT_STARTED)


@frozen
class Gate:
    """What must be true of a wave before the next may begin.

    `max_errors` is a count or a percentage of the wave's instances, `min_compliance` a percentage of them; `alarms` are
    CloudWatch alarms of the hub that must be quiet from the wave's start until the next one's.
    """

    max_errors: str = "10%"
    min_compliance: float | None = None
    soak: timedelta = timedelta(0)
    alarms: tuple[str, ...] = ()


@frozen
class Verdict:
    """Yes, no (for good) or wait (it may change), with the reason that people read."""

    answer: Literal["yes", "no", "wait"]
    reason: str = ""

    def __bool__(self) -> bool:
        return self.answer == "yes"


YES = Verdict("yes")


def errors(tally: Tally) -> int:
    """What counts against `max_errors`: every instance that failed, was not reached or has no evidence, and every location
    that was out of reach, since nobody knows how many instances it has."""
    return tally.count(*ERRORS) + tally.unreachable


def allowed(limit: str, size: int) -> int:
    """How many errors a limit allows of that many instances. Fractions are rounded down: 2% of 40 allows none."""
    return size * int(limit.removesuffix("%")) // 100 if limit.endswith("%") else int(limit)


def compliance(tally: Tally) -> float:
    """The percentage of the expected instances, without those under an exception, that are compliant; of a Scan, that
    reported."""
    asked = tally.instances - tally.excepted
    return 100 * tally.count(Outcome.COMPLIANT, Outcome.SCANNED) / asked if asked else 0.0


def judge(gate: Gate, tally: Tally) -> Verdict:
    """What the gate says of a settled wave, but for its bake time, approval and alarms, which take time."""
    if errors(tally) > (most := allowed(gate.max_errors, tally.instances)):
        limit = gate.max_errors if gate.max_errors.isdigit() else f"{gate.max_errors} = {most}"
        return Verdict("no", f"{_bad(tally)}; gate allows {limit}")
    if gate.min_compliance is not None and compliance(tally) < gate.min_compliance:
        return Verdict("no", f"{compliance(tally):.1f}% compliant, gate wants {gate.min_compliance:g}%")
    return YES


def _bad(tally: Tally) -> str:
    failed = tally.count(*ERRORS)
    parts = [f"{failed} of {tally.instances} failed or unverified"] if failed or not tally.unreachable else []
    if tally.unreachable:
        parts.append(f"{tally.unreachable} {'location' if tally.unreachable == 1 else 'locations'} out of reach")
    return ", ".join(parts)
