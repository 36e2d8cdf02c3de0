"""From what AWS and package managers say to a cause, a sentence and a fix that a person can act on at 3 a.m.

The exit codes are those of the Patch Manager troubleshooting page; the fragments come from its examples and from the
issues of amazon-ssm-agent that facts/failures.md lists. First match wins, so the table goes from sure to vague.
"""

from __future__ import annotations

import re

from patchtide.core.outcome import Cause

_WINDOWS_SOURCE = r"0x8024(402c|4019|401c|4022|4017|500c)|0x80072e(e2|e7|fd|fe|ff)|0x80240438"

_TABLE: tuple[tuple[Cause, str, str, frozenset[int]], ...] = (
    (
        Cause.DISK_FULL,
        r"no space left|disk (is )?full|enough (free |disk )?space|insufficient space|0x80070070|needs? (at least )?\d+ ?[KMG]B (more )?(space )?on",
        "no space left on the disk",
        frozenset(),
    ),
    (
        Cause.OUT_OF_MEMORY,
        r"out of memory|cannot allocate memory|MemoryError|oom[- ]kill",
        "it ran out of memory",
        frozenset({137}),
    ),
    (
        Cause.PKG_LOCK,
        r"another (app|copy|process|instance).{0,40}(lock|running)|could not get lock|unable to acquire.{0,20}lock|"
        r"lock-frontend|yum\.pid|zypp.{0,20}lock|0x80240016",
        "another package operation held the lock",
        frozenset(),
    ),
    (
        Cause.PROFILE_DENIED,
        r"AccessDenied|not authorized to perform|UnauthorizedOperation",
        "its instance profile lacks a permission",
        frozenset(),
    ),
    (
        Cause.REPO,
        rf"no more mirrors|repomd\.xml|failed to (fetch|download)|cannot (retrieve|find a valid).{{0,40}}(repo|metalink|metadata)|"
        rf"gpg (check|key)|NO_PUBKEY|not registered with an entitlement|unable to download payload|{_WINDOWS_SOURCE}",
        "its package source or the patch payload could not be reached",
        frozenset({156, 256}),
    ),
    (
        Cause.PKG_CONFLICT,
        r"conflicts? with|depsolv|unmet dependencies|nothing provides|package conflict|dpkg was interrupted|broken packages|"
        r"protected (multilib|packages)",
        "packages conflict",
        frozenset(),
    ),
    (
        Cause.PYTHON,
        r"unsupported package manager and python|python3?:? (command )?not found|no module named|"
        r"(python|python3) (is )?(missing|not installed)",
        "it has no Python that patching can use",
        frozenset(),
    ),
    (
        Cause.NOEXEC,
        r"noexec|permission denied.{0,80}(_script\.sh|ssm/)|(_script\.sh|ssm/).{0,80}permission denied",
        "patching may not be executed on it: its temporary folder is mounted noexec",
        frozenset({126}),
    ),
    (
        Cause.WINDOWS_UPDATE,
        r"0x8024[0-9a-f]{4}|0x80070422|windows update.{0,60}(fail|error|disabled)|wuauserv",
        "Windows Update failed on it",
        frozenset({4294967295, -1}),
    ),
    (
        Cause.THROTTLED,
        r"rate exceeded|ThrottlingException|too many requests",
        "AWS throttled what it asked",
        frozenset(),
    ),
    (
        Cause.REBOOT_TIMEOUT,
        r"reboot.{0,60}(timed? ?out|not come back)|exit(ed)? (code )?194",
        "it did not come back from its reboot",
        frozenset({194, 3010}),
    ),
    (
        Cause.PAYLOAD,
        r"unable to extract tar|patch_states_configuration|unable to load and extract",
        "the patch payload could not be unpacked or loaded: /var is full, or two patch runs met on it",
        frozenset({152, 155}),
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
    Cause.EXCEPTED: "renew or remove the exception when it expires",
    Cause.GONE: "see whether its successor is patched",
    Cause.STOPPED_INSTANCE: "start it, then retry",
    Cause.NOT_SHARED: "share the runbook with that account",
    Cause.QUOTA: "wait, or raise the Automation quota there",
    Cause.HOOK_FAILED: "see the hook's output on the host, retry",
    Cause.UNWELL: "look at the application, then retry",
    Cause.PAYLOAD: "free /var, look for a second patch run",
    Cause.NOEXEC: "mount /tmp and /var/lib/amazon exec, retry",
    Cause.PYTHON: "install python3 on it, retry",
    Cause.OUT_OF_MEMORY: "give it memory or swap, retry",
    Cause.WINDOWS_UPDATE: "reset Windows Update on it, retry",
    Cause.PROFILE_DENIED: "mend its instance profile's policy",
    Cause.UNREADABLE: "see `patchtide run show`",
    Cause.OTHER: "look at the command's output on the host",
}


def explain(details: str, exit_code: int | None, output: str, step: str = "") -> tuple[Cause, str]:
    """The cause and sentence of one command invocation that did not end well. `step` is the document's step that failed."""
    known = _DETAILS.get(details.replace(" ", ""))
    if known:
        return known
    if "hook" in step.lower():
        return Cause.HOOK_FAILED, f"its {step} failed (exit code {exit_code})"
    found = _from_output(output, exit_code)
    if found is None:
        return Cause.OTHER, f"its command ended {details} (exit code {exit_code})"
    cause, sentence = found
    return cause, f"{sentence} (exit code {exit_code})" if exit_code else sentence


def explain_patch_state(failed: int, output: str) -> tuple[Cause, str]:
    """The cause and sentence of an instance whose patch state counts failed patches."""
    cause, sentence = _from_output(output, None) or (Cause.PATCH_FAILED, "see its patches in state FAILED")
    return cause, f"{failed} {'patch' if failed == 1 else 'patches'} failed: {sentence}"


def _from_output(output: str, exit_code: int | None) -> tuple[Cause, str] | None:
    """What the text says comes before what the code says: one code stands for several causes."""
    for cause, pattern, sentence, _ in _TABLE:
        if re.search(pattern, output, re.IGNORECASE):
            return cause, sentence
    for cause, _, sentence, codes in _TABLE:
        if exit_code in codes:
            return cause, sentence
    return None


def explain_ending(reason: str) -> Cause | None:
    """Why nothing of a location was started, from the sentence that Automation gave; None where it says nothing known."""
    return next((cause for cause, pattern in _ENDING if re.search(pattern, reason, re.IGNORECASE)), None)


_ENDING: tuple[tuple[Cause, str], ...] = (
    (Cause.NOT_SHARED, r"document.{0,80}(does not exist|not (been )?shared|not found)|InvalidDocument"),
    (Cause.ROLE_DENIED, r"unable to be assumed|sts:AssumeRole|not authorized|AccessDenied"),
    (Cause.GROUP_MISSING, r"resource group.{0,80}(does not exist|not found)"),
    (Cause.QUOTA, r"ExecutionLimitExceeded|limit.{0,20}exceeded"),
    (Cause.THROTTLED, r"Throttl|Rate exceeded"),
)


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
