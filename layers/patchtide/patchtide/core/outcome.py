"""What is known of one instance, and why."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from patchtide.core.frozen import frozen


class Outcome(StrEnum):
    """What is known of one instance at the end of a wave. Every expected instance has exactly one."""

    COMPLIANT = "compliant"
    SCANNED = "scanned"  # a Scan that reported, whatever it found: nothing was to be installed
    PENDING_REBOOT = "pendingReboot"
    NON_COMPLIANT = "nonCompliant"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNVERIFIED = "unverified"
    GONE = "gone"
    EXCLUDED = "excluded"
    NOT_STARTED = "notStarted"


FINE = frozenset({Outcome.COMPLIANT, Outcome.SCANNED})
# What a retry tries again: whatever is not known to be patched. A reboot that is still to come is not patched for again.
LEFT = frozenset(set(Outcome) - FINE - {Outcome.PENDING_REBOOT, Outcome.GONE})


class Cause(StrEnum):
    """Why an instance or a location did not come out right: a closed list, so that counts of it mean something."""

    NONE = ""
    DISK_FULL = "DISK_FULL"
    AGENT_LOST = "AGENT_LOST"
    NOT_MANAGED = "NOT_MANAGED"
    ROLE_DENIED = "ROLE_DENIED"
    REGION_DISABLED = "REGION_DISABLED"
    REPO = "REPO"
    PKG_CONFLICT = "PKG_CONFLICT"
    PKG_LOCK = "PKG_LOCK"
    REBOOT_TIMEOUT = "REBOOT_TIMEOUT"
    PENDING_REBOOT = "PENDING_REBOOT"
    TIMEOUT = "TIMEOUT"
    THROTTLED = "THROTTLED"
    PATCH_FAILED = "PATCH_FAILED"
    MISSING = "MISSING"
    OVERWRITTEN = "OVERWRITTEN"
    NO_EVIDENCE = "NO_EVIDENCE"
    SCAN_BROKEN = "SCAN_BROKEN"
    NOT_REACHED = "NOT_REACHED"
    WINDOW_CLOSED = "WINDOW_CLOSED"
    START_REFUSED = "START_REFUSED"
    GROUP_MISSING = "GROUP_MISSING"
    TOO_MANY = "TOO_MANY"
    HELD = "HELD"
    EXCEPTED = "EXCEPTED"
    GONE = "GONE"
    STOPPED_INSTANCE = "STOPPED_INSTANCE"
    NOT_SHARED = "NOT_SHARED"
    QUOTA = "QUOTA"
    HOOK_FAILED = "HOOK_FAILED"
    UNWELL = "UNWELL"
    PAYLOAD = "PAYLOAD"
    NOEXEC = "NOEXEC"
    PYTHON = "PYTHON"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    WINDOWS_UPDATE = "WINDOWS_UPDATE"
    PROFILE_DENIED = "PROFILE_DENIED"
    WITHHELD = "WITHHELD"
    UNREADABLE = "UNREADABLE"
    OTHER = "OTHER"


@frozen
class Instance:
    """One expected instance, as it was when the set was frozen. `ping` is SSM's word: Online, ConnectionLost, Inactive, or
    empty when SSM does not know the instance; `agent` the version of its agent. `state` is EC2's word, empty for what is no EC2
    instance. `held_by` is the run that has it, and `excepted` the exception that spares it: either way it is left alone."""

    id: str
    name: str = ""
    platform: str = ""
    ping: str = ""
    held_by: str = ""
    agent: str = ""
    patch_group: str = ""
    state: str = ""
    excepted: str = ""

    @property
    def left_alone(self) -> bool:
        """Whether this run does nothing to it."""
        return bool(self.held_by or self.excepted)


@frozen
class Patch:
    """One patch that counts against an instance, as DescribeInstancePatches has it. `state` is AWS's, e.g. Missing."""

    title: str
    id: str = ""
    state: str = ""
    severity: str = ""
    classification: str = ""
    cves: tuple[str, ...] = ()


@frozen
class Result:
    """What became of one instance: the outcome, the cause with its sentence, and the counts the outcome stands on."""

    instance: Instance
    outcome: Outcome
    cause: Cause = Cause.NONE
    sentence: str = ""
    installed: int = 0
    missing: int = 0
    failed: int = 0
    pending_reboot: int = 0
    operation_end_at: datetime | None = None
    baseline: str = ""
    installed_other: int = 0
    rejected: int = 0
    critical: int = 0
    security: int = 0
    other: int = 0
    operation_start_at: datetime | None = None

    @property
    def compliant(self) -> bool:
        """Whether its own patch state shows nothing that counts against it: after an Install, or of a Scan that found nothing."""
        against = self.missing + self.failed + self.pending_reboot + self.rejected
        against += self.critical + self.security + self.other
        return self.outcome in FINE and not against

    @property
    def owing(self) -> bool:
        """Whether its own patch state says that some of its patches count against it, so that they can be named."""
        return self.operation_end_at is not None and not self.compliant

    @property
    def lost(self) -> bool:
        """Whether it left no evidence, though it was meant to: then it may not exist any more."""
        spared = self.outcome in (Outcome.EXCLUDED, Outcome.NOT_STARTED)
        return self.operation_end_at is None and self.outcome not in FINE and not spared

    @property
    def may_change(self) -> bool:
        """Whether patch data that is still on its way may change it: nothing is known for sure, or a command failed in a way
        that says nothing about what it had installed by then."""
        if self.operation_end_at is not None:
            return False
        return self.outcome is Outcome.UNVERIFIED or (self.outcome is Outcome.FAILED and self.cause in VAGUE)


VAGUE = frozenset({Cause.OTHER, Cause.TIMEOUT, Cause.REBOOT_TIMEOUT, Cause.PKG_CONFLICT})
