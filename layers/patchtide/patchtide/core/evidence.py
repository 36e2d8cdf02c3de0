"""What may be believed about an instance, and what follows from it.

AWS keeps one patch state per instance, written by whoever patched or scanned last (facts: Patch Manager, "compliance data
overwrites"). It is evidence for a run only when it carries the run's own snapshot id and operation and ended after the
run's execution started. What a command said is never evidence of success; it explains a failure.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from patchtide.core.campaign import Operation
from patchtide.core.causes import explain, explain_ending, explain_patch_state
from patchtide.core.frozen import frozen
from patchtide.core.outcome import Cause, Instance, Outcome, Result

SENTINEL_YEAR = 1990  # rows of a scan that could not run carry dates of 1970 and counts of -1


@frozen
class PatchState:
    """One answer of DescribeInstancePatchStates, with absent counts as 0."""

    instance: str
    operation: str
    operation_end_at: datetime
    snapshot: str = ""
    baseline: str = ""
    installed: int = 0
    missing: int = 0
    failed: int = 0
    pending_reboot: int = 0
    rejected: int = 0
    critical_non_compliant: int = 0
    security_non_compliant: int = 0
    other_non_compliant: int = 0
    installed_other: int = 0
    operation_start_at: datetime | None = None

    @property
    def broken(self) -> bool:
        """Whether this is the row of a scan that could not run, and not of one that found nothing."""
        counts = (self.installed, self.missing, self.failed, self.pending_reboot)
        return min(counts) < 0 or self.operation_end_at.year < SENTINEL_YEAR

    @property
    def non_compliant(self) -> int:
        """Patches that AWS counts against the instance, by whatever severity."""
        return self.critical_non_compliant + self.security_non_compliant + self.other_non_compliant


@frozen
class Invocation:
    """What Run Command says of one instance: AWS's StatusDetails, the exit code, the tail of its output, whether the agent had
    begun, the step of the document that failed, and whether the command says that it is the run's.

    `script` is the one of the runbook's scripts that failed: pre, health or post, `patched` whether a patch command was sent at all, and
    `restored` whether the root volume was put back."""

    instance: str
    status: str
    details: str
    exit_code: int | None = None
    output: str = ""
    begun: bool = False
    step: str = ""
    ours: bool = False
    patched: bool = True
    script: str = ""
    restored: bool = False

    @property
    def delivered(self) -> bool:
        """Whether the command reached the instance."""
        return self.details.replace(" ", "") not in _UNDELIVERED

    @property
    def taken_back(self) -> bool:
        """Whether it was cancelled before it was the instance's turn."""
        return self.details == "Cancelled" and not self.begun

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status not in ("Pending", "InProgress", "Delayed", "Cancelling")


_UNDELIVERED = frozenset(
    {"Undeliverable", "DeliveryTimedOut", "Terminated", "AccessDenied", "InvalidPlatform", "Pending", "Delayed"}
)


@frozen
class Ending:
    """How the location's own part ended: the step's status in the hub, and the sentence AWS or the runbook gave."""

    status: str
    reason: str = ""

    @property
    def not_started(self) -> bool:
        """Whether nothing was sent to any instance here."""
        return self.status in ("NotStarted", "NotAttempted", "Refused", "Withheld")


@frozen
class Expectation:
    """What evidence must show to be this run's own. `snapshot` is None where the runbook takes none.

    `commands_known` says that the runbook marks its commands as the run's, so that an instance without one was sent none.
    `withheld` is why what waited for its turn was taken back, where it was not the window that closed. `checked` says that the
    runbook has scripts that may call an instance unwell on which every patch is in.
    """

    snapshot: str | None
    operation: Operation
    started_at: datetime
    commands_known: bool = False
    withheld: str = ""
    checked: bool = False

    def names(self, state: PatchState) -> bool:
        """Whether the state carries the run's snapshot id and operation."""
        return state.operation == self.operation and (
            self.snapshot is None or state.snapshot.lower() == self.snapshot.lower()
        )


def gone(result: Result) -> Result:
    """What becomes of a result when its instance exists no more: evidence that it left stands, nothing else is to be had."""
    if result.operation_end_at is not None or result.outcome is Outcome.EXCLUDED:
        return result
    return Result(result.instance, Outcome.GONE, Cause.GONE, "it was terminated during the run, and left no evidence")


def overwritten(result: Result, by: str) -> Result:
    """The result with who wrote over its evidence, as far as that can be told."""
    return replace(result, sentence=f"{result.sentence} ({by})") if by else result


def doubt(state: PatchState | None, expected: Expectation) -> tuple[Cause, str] | None:
    """Why this patch state is no evidence for the run, or None when it is."""
    if state is None:
        return Cause.NO_EVIDENCE, "no patch state is known for it"
    if state.broken and expected.names(state):  # its dates are of 1970, so this comes before they are looked at
        return Cause.SCAN_BROKEN, "the patch scan could not run on it (update source unreachable)"
    if state.operation_end_at < expected.started_at:
        return (
            Cause.NO_EVIDENCE,
            f"its last patch state is of {state.operation_end_at:%Y-%m-%d %H:%MZ}, before this run",
        )
    if not expected.names(state):
        by = f"{state.operation} of {state.operation_end_at:%H:%MZ}, snapshot {state.snapshot[:8] or 'none'}"
        return Cause.OVERWRITTEN, f"its patch state was written by something else: {by}"
    return None


def judge(
    instance: Instance,
    state: PatchState | None,
    invocation: Invocation | None,
    ending: Ending,
    expected: Expectation,
) -> Result:
    """The outcome of one expected instance. Only a patch state that is this run's own can make it compliant."""
    if instance.excepted:
        return Result(instance, Outcome.EXCLUDED, Cause.EXCEPTED, instance.excepted)
    if instance.held_by:
        return Result(instance, Outcome.EXCLUDED, Cause.HELD, f"run {instance.held_by} has it")
    if invocation is not None and (invocation.script or invocation.restored):
        return _by_script(instance, invocation)
    if invocation is not None and not invocation.patched:
        invocation = None  # a script was run, and then no patch command was sent
    unsure = doubt(state, expected)
    if state is not None and unsure is None:
        return _from_evidence(instance, state, invocation, expected)
    assert unsure is not None  # noqa: S101 - no state is always a doubt
    return _without_evidence(instance, unsure, invocation, ending, expected)


_SCRIPTS = {"health": (Cause.UNWELL, "HealthScript"), "post": (Cause.HOOK_FAILED, "PostScript")}


def _by_script(instance: Instance, invocation: Invocation) -> Result:
    """What becomes of an instance that one of the runbook's scripts failed on, or whose root volume was put back: its patch state, if
    it has one, says nothing of that."""
    if invocation.script == "pre":
        sentence = f"its PreScript failed (exit code {invocation.exit_code}), so nothing was patched"
        return Result(instance, Outcome.NOT_STARTED, Cause.HOOK_FAILED, sentence)
    if invocation.script:
        cause, name = _SCRIPTS[invocation.script]
        sentence = f"it was patched, and then its {name} failed (exit code {invocation.exit_code})"
    else:
        cause, sentence = explain(invocation.details, invocation.exit_code, invocation.output, invocation.step)
    put_back = "; its root volume was put back to what it was before" if invocation.restored else ""
    return Result(instance, Outcome.FAILED, cause, f"{sentence}{put_back}")


def _from_evidence(
    instance: Instance, state: PatchState, invocation: Invocation | None, expected: Expectation
) -> Result:
    cause, sentence = Cause.NONE, ""
    if expected.operation == "Scan":
        outcome = Outcome.SCANNED
        if state.missing or state.non_compliant:
            sentence = f"{state.missing} missing, {state.non_compliant} against its baseline"
    elif state.failed:
        outcome = Outcome.FAILED
        cause, sentence = explain_patch_state(state.failed, invocation.output if invocation else "")
    elif state.pending_reboot:
        outcome, cause = Outcome.PENDING_REBOOT, Cause.PENDING_REBOOT
        sentence = f"{state.pending_reboot} patches wait for a reboot"
    elif state.missing or state.non_compliant or state.rejected:
        outcome, cause = Outcome.NON_COMPLIANT, Cause.MISSING
        sentence = f"{max(state.missing, state.non_compliant, state.rejected)} patches count against its baseline"
    else:
        outcome = Outcome.COMPLIANT
        if invocation and invocation.over and invocation.status != "Success":
            # AWS has open bugs where the document exits 1 though every patch is in (facts: failures.md, S44).
            sentence = f"SSM said {invocation.details}, but its patch state shows nothing missing"
    return Result(
        instance,
        outcome,
        cause,
        sentence,
        installed=state.installed,
        missing=state.missing,
        failed=state.failed,
        pending_reboot=state.pending_reboot,
        operation_end_at=state.operation_end_at,
        baseline=state.baseline,
        installed_other=state.installed_other,
        rejected=state.rejected,
        critical=state.critical_non_compliant,
        security=state.security_non_compliant,
        other=state.other_non_compliant,
        operation_start_at=state.operation_start_at,
    )


def _without_evidence(
    instance: Instance,
    unsure: tuple[Cause, str],
    invocation: Invocation | None,
    ending: Ending,
    expected: Expectation,
) -> Result:
    if invocation is not None:
        cause, sentence = explain(invocation.details, invocation.exit_code, invocation.output, invocation.step)
        if invocation.taken_back:
            why = expected.withheld or "the window closed before it was its turn"
            return Result(
                instance, Outcome.NOT_STARTED, Cause.WITHHELD if expected.withheld else Cause.WINDOW_CLOSED, why
            )
        if invocation.details == "Cancelled":
            sentence = "its command was cancelled while it was at work: patches may be in"
            return Result(instance, Outcome.UNVERIFIED, Cause.NO_EVIDENCE, sentence)
        if invocation.details == "Terminated":  # the command was stopped before it was this instance's turn
            return Result(instance, Outcome.NOT_STARTED, cause, sentence)
        if not invocation.delivered:
            return Result(instance, Outcome.UNREACHABLE, cause, sentence)
        if not invocation.over:
            return Result(instance, Outcome.UNVERIFIED, cause, sentence)
        if invocation.status != "Success":
            return Result(instance, Outcome.FAILED, cause, sentence)
        return Result(instance, Outcome.UNVERIFIED, *unsure)
    if ending.not_started:
        causes = {"Refused": Cause.START_REFUSED, "Withheld": Cause.WITHHELD}
        cause = causes.get(ending.status, Cause.WINDOW_CLOSED)
        return Result(instance, Outcome.NOT_STARTED, cause, ending.reason)
    if ending.status != "Success" and (known := explain_ending(ending.reason)):
        return Result(instance, Outcome.NOT_STARTED, known, ending.reason)
    if instance.state in ("stopped", "stopping"):
        return Result(
            instance, Outcome.UNREACHABLE, Cause.STOPPED_INSTANCE, f"it was {instance.state} when the run began"
        )
    if not instance.ping:
        return Result(
            instance, Outcome.UNREACHABLE, Cause.NOT_MANAGED, "SSM does not know it: no agent, or no instance profile"
        )
    if instance.ping != "Online":
        return Result(instance, Outcome.UNREACHABLE, Cause.AGENT_LOST, f"its agent was {instance.ping} before the run")
    if ending.status != "Success" and expected.commands_known:
        sentence = f"no command was sent to it before its location ended {ending.status}"
        return Result(instance, Outcome.NOT_STARTED, Cause.NOT_REACHED, sentence)
    if ending.status != "Success":
        return Result(
            instance, Outcome.UNVERIFIED, Cause.NOT_REACHED, ending.reason or f"its location ended {ending.status}"
        )
    return Result(instance, Outcome.UNVERIFIED, *unsure)
