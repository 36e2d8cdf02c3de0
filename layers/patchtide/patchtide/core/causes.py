"""From what AWS and package managers say to a cause, a sentence and a fix that a person can act on at 3 a.m.

The exit codes are those of the Patch Manager troubleshooting page; the fragments come from its examples and from the
issues of amazon-ssm-agent that facts/failures.md lists. First match wins, so the table goes from sure to vague.
"""

from __future__ import annotations

import re

from patchtide.core.outcome import Cause

_TABLE: tuple[tuple[Cause, str, str, frozenset[int]], ...] = (
    (
        Cause.DISK_FULL,
        r"no space left|disk (is )?full|not enough (free |disk )?space|0x80070070",
        "no space left on the disk",
        frozenset({155}),
    ),
    (
        Cause.PKG_LOCK,
        r"another (app|copy|process).{0,40}(lock|running)|could not get lock|lock-frontend|yum\.pid",
        "another package operation held the lock",
        frozenset(),
    ),
    (
        Cause.PKG_CONFLICT,
        r"conflicts? with|depsolv|unmet dependencies|nothing provides|package conflict",
        "packages conflict",
        frozenset(),
    ),
    (
        Cause.REPO,
        r"no more mirrors|repomd\.xml|failed to (fetch|download)|cannot (retrieve|find a valid).{0,40}(repo|metalink)|0x8024|"
        r"unable to download payload",
        "its package source or the patch payload could not be reached",
        frozenset({156, 256}),
    ),
    (
        Cause.REBOOT_TIMEOUT,
        r"reboot.{0,60}(timed? ?out|not come back)|exit(ed)? (code )?194",
        "it did not come back from its reboot",
        frozenset({194, 3010}),
    ),
)

_DETAILS: dict[str, tuple[Cause, str]] = {
    "Undeliverable": (Cause.AGENT_LOST, "the command never reached it: its agent did not answer"),
    "DeliveryTimedOut": (
        Cause.AGENT_LOST,
        "the command never reached it before delivery closed; it will not be patched later",
    ),
    "ExecutionTimedOut": (Cause.TIMEOUT, "patching took longer than the command allows"),
    "TimedOut": (Cause.TIMEOUT, "patching took longer than the command allows"),
    "Terminated": (Cause.NOT_REACHED, "not attempted: too many instances before it had failed"),
    "AccessDenied": (Cause.ROLE_DENIED, "the execution role may not send commands to it"),
    "InvalidPlatform": (Cause.OTHER, "the document does not support its platform"),
    "Cancelled": (Cause.NOT_REACHED, "the command was cancelled"),
    "Delayed": (Cause.AGENT_LOST, "the command waited for its agent, which did not answer"),
    "Pending": (Cause.AGENT_LOST, "the command waited for its agent, which did not answer"),
    "InProgress": (
        Cause.AGENT_LOST,
        "it took the command and has not been heard of since, possibly not back from a reboot",
    ),
}

FIXES: dict[Cause, str] = {
    Cause.DISK_FULL: "free space (often /var), then retry",
    Cause.AGENT_LOST: "look at its console log, start the agent",
    Cause.NOT_MANAGED: "install SSM Agent, attach the instance profile",
    Cause.ROLE_DENIED: "deploy the spoke stack, check the role's trust",
    Cause.REGION_DISABLED: "enable the Region, or leave it out",
    Cause.REPO: "check repository, proxy and S3 endpoint policy",
    Cause.PKG_CONFLICT: "resolve the packages on the host, retry",
    Cause.PKG_LOCK: "stop the other updater (auto-updates?), retry",
    Cause.REBOOT_TIMEOUT: "look at the console, patches may be in",
    Cause.PENDING_REBOOT: "reboot it, then scan",
    Cause.TIMEOUT: "look at its log, give it a longer window",
    Cause.THROTTLED: "try again; raise the quota if it comes back",
    Cause.PATCH_FAILED: "see DescribeInstancePatches, State FAILED",
    Cause.MISSING: "see what its baseline still wants",
    Cause.OVERWRITTEN: "find who else scans or patches it",
    Cause.NO_EVIDENCE: "run a Scan on it",
    Cause.SCAN_BROKEN: "check its update source, run a Scan",
    Cause.NOT_REACHED: "fix what failed first, retry",
    Cause.WINDOW_CLOSED: "lengthen the window, or run it again",
    Cause.START_REFUSED: "mend what AWS refused, run it again",
    Cause.GROUP_MISSING: "create the resource group in that account",
    Cause.HELD: "wait for that run, then retry",
    Cause.WITHHELD: "decide, then `patchtide run retry`",
    Cause.TOO_MANY: "split the targets by a tag",
    Cause.UNREADABLE: "see `patchtide run show`",
    Cause.OTHER: "look at the command's output on the host",
}


def explain(details: str, exit_code: int | None, output: str) -> tuple[Cause, str]:
    """The cause and sentence of one command invocation that did not end well."""
    known = _DETAILS.get(details.replace(" ", ""))
    if known:
        return known
    return _from_output(output, exit_code) or (Cause.OTHER, f"its command ended {details} (exit code {exit_code})")


def explain_patch_state(failed: int, output: str) -> tuple[Cause, str]:
    """The cause and sentence of an instance whose patch state counts failed patches."""
    cause, sentence = _from_output(output, None) or (Cause.PATCH_FAILED, "see its patches in state FAILED")
    return cause, f"{failed} {'patch' if failed == 1 else 'patches'} failed: {sentence}"


def _from_output(output: str, exit_code: int | None) -> tuple[Cause, str] | None:
    for cause, pattern, sentence, codes in _TABLE:
        if exit_code in codes or re.search(pattern, output, re.IGNORECASE):
            return cause, sentence
    return None


def explain_location(code: str, message: str) -> tuple[Cause, str]:
    """The cause and sentence of a location that could not be asked for its targets. `code` is AWS's error code."""
    if role := re.search(r"sts:AssumeRole on resource: (\S+)", message):
        return Cause.ROLE_DENIED, f"{role[1]} cannot be assumed: it is missing, or its trust names another hub"
    for cause, pattern, sentence in _LOCATION:
        if re.search(pattern, f"{code} {message}", re.IGNORECASE):
            return cause, sentence or message
    return Cause.UNREADABLE, message


_LOCATION: tuple[tuple[Cause, str, str], ...] = (
    (
        Cause.REGION_DISABLED,
        r"RegionDisabled|OptInRequired|InvalidClientTokenId|UnrecognizedClient",
        "the Region is not enabled in this account",
    ),
    (Cause.ROLE_DENIED, r"AccessDenied|UnauthorizedOperation|not authorized", ""),
    (
        Cause.GROUP_MISSING,
        r"NotFoundException.*group|group.*NotFoundException",
        "the resource group does not exist here",
    ),
    (
        Cause.THROTTLED,
        r"Throttl|RateExceeded|TooManyRequests|RequestLimitExceeded",
        "AWS kept throttling the questions",
    ),
)
