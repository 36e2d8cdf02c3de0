"""Patching sense: what is right for AWS, and still patches twice, late, or without anybody knowing.

A step that sends AWS-RunPatchBaseline is not like others. What it started goes on when the step has timed out, a second
command on the same server breaks the first, and Automation may hold a step back until long after its window. All codes
begin with `patch-`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cli.lint.finding import Finding, error, meant, warning
from cli.lint.references import named
from cli.lint.runbook import Runbook, Step
from cli.lint.shape import as_int, as_list, as_map, below, one_reference
from patchtide.core.problem import shown

EXECUTION = 7200  # the seconds that AWS-RunPatchBaseline may take once it runs
DELIVERY = 3600  # the seconds that Run Command waits for a server to take a command, unless told otherwise
BASELINE = "AWS-RunPatchBaseline"

# AWS's own, its WithHooks and Association forms, and whatever is named after them.
_PATCHES = re.compile(r"(?:run|apply)-?patch-?baseline", re.IGNORECASE)
_NOT_AFTER = re.compile(r"not_?after", re.IGNORECASE)

PARAMETERS = ("Operation", "AssociationId", "SnapshotId", "InstallOverrideList", "BaselineOverride", "RebootOption")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "Operation": ("Scan", "Install"),
    "RebootOption": ("RebootIfNeeded", "NoReboot"),
}


def patching(runbook: Runbook) -> Iterator[Finding]:
    """What is wrong with each step that patches."""
    for step in runbook.steps:
        if step.action == "aws:runCommand" and (document := _document(runbook, step)):
            yield from _time(runbook, step)
            yield from _attempts(runbook, step)
            yield from _fence(runbook, step)
            yield from _parameters(step, document)
            yield from _ignored(runbook, step)
            yield from _rate(step)


def _document(runbook: Runbook, step: Step) -> str:
    """The document that the step sends, if that one patches."""
    name = _value(runbook, step.inputs.get("DocumentName"))
    last = name.rpartition("/")[2] if isinstance(name, str) else ""
    return last if _PATCHES.search(last) else ""


def _value(runbook: Runbook, said: object) -> object:
    """What is said, or else the default of the parameter that it refers to."""
    reference = one_reference(said)
    return said if reference is None else as_map(runbook.parameters.get(reference)).get("default")


def _time(runbook: Runbook, step: Step) -> Iterator[Finding]:
    """A step that ends before the command does says TimedOut of a server on which patching goes on."""
    if "timeoutSeconds" not in step.said:
        hint = f"Write timeoutSeconds: {DELIVERY + EXECUTION}, or more"
        yield warning(step.path, "patch-timeout", "nothing says how long the step waits for the command", hint)
    seconds = as_int(_value(runbook, step.said.get("timeoutSeconds")))
    if seconds is None:
        return
    given = as_int(_value(runbook, step.inputs.get("TimeoutSeconds"))) or 0
    delivery = given if "TimeoutSeconds" in step.inputs else DELIVERY
    hint = f"Write at least {delivery + EXECUTION}: {BASELINE} may take {EXECUTION}"
    hint += f", after {delivery} that a server has to take the command" if delivery else ""
    if seconds < given + EXECUTION:
        message = f"after {seconds} seconds the step would end TimedOut while the server is still being patched"
        yield error(step.at("timeoutSeconds"), "patch-timeout", message, hint)
    elif seconds < delivery + EXECUTION:
        message = f"after {seconds} seconds the step may end TimedOut while a server that was late is being patched"
        yield warning(step.at("timeoutSeconds"), "patch-timeout", message, hint)


def _attempts(runbook: Runbook, step: Step) -> Iterator[Finding]:
    """Nothing is tried twice: a second command breaks a first that still runs."""
    attempts = as_int(_value(runbook, step.said.get("maxAttempts")))
    if attempts is not None and attempts > 1:
        message = f"it is tried {attempts} times, and a second command breaks a first that still runs"
        hint = "Write maxAttempts: 1; to patch again, start again"
        yield error(step.at("maxAttempts"), "patch-attempts", message, hint)
    failed = runbook.by_name.get(step.target("onFailure") or "")
    if failed and step.number in runbook.reached([failed.number]):
        message = "its failure leads back to it, and a second command breaks a first that still runs"
        yield warning(step.at("onFailure"), "patch-attempts", message, "Lead to a step that waits for the first to end")


def _fence(runbook: Runbook, step: Step) -> Iterator[Finding]:
    """AWS may hold an execution back for hours: only what runs in it can tell that its window is closed."""
    fences = [one.number for one in runbook.steps if _is_fence(one) and not _climbed(runbook, one, step)]
    if step.number in runbook.reached([0], without=fences):
        hint = "Add a first step that fails once NotAfter has passed, like the fence of Patchtide's runbooks"
        yield warning(step.path, "patch-fence", "nothing before it fails when the window is closed", hint)


def _is_fence(step: Step) -> bool:
    """A step that reads until when something may start, or asks a Change Calendar."""
    if step.action == "aws:assertAwsResourceProperty":
        return step.inputs.get("Api") in ("GetCalendarState", "get_calendar_state")
    return step.action == "aws:executeScript" and any(_NOT_AFTER.search(one) for one in named(step.inputs))


def _climbed(runbook: Runbook, fence: Step, step: Step) -> bool:
    """Whether a step runs although the fence has failed."""
    failed = runbook.by_name.get(fence.target("onFailure") or "")
    if failed is None:
        return fence.said.get("onFailure") == "Continue"
    return step.number in runbook.reached([failed.number])


def _parameters(step: Step, document: str) -> Iterator[Finding]:
    given = step.inputs.get("Parameters", {})
    if not isinstance(given, Mapping):
        return  # one reference, for all of them
    path = step.at("inputs", "Parameters")
    operation = _single(given.get("Operation"))
    if document == BASELINE:
        yield from _choices(given, path)
    if operation == "Install":
        hint = "Take it as a parameter, so that the same runbook can scan"
        yield warning(f"{path}.Operation", "patch-install", "it installs, whoever starts it and for whatever", hint)
    if operation != "Scan" and "RebootOption" not in given:
        hint = "Pass RebootOption, as a parameter: the default, RebootIfNeeded, reboots after whatever was installed"
        yield warning(f"{path}.RebootOption", "patch-reboot", "nobody can say whether it may reboot", hint)
    yield from _snapshot(given, path)
    if "BaselineOverride" in given:
        message = "each account's own baseline is set aside, and its compliance is reported against another"
        hint = "Leave it out, unless a patch policy passes it"
        yield warning(f"{path}.BaselineOverride", "patch-baseline-override", message, hint)


def _single(value: Any) -> Any:
    """A parameter's value; Run Command takes a list of one, too."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _choices(given: Mapping[str, Any], path: str) -> Iterator[Finding]:
    for name, said in given.items():
        value = _single(said)
        if name not in PARAMETERS:
            hint = meant(name, PARAMETERS, f"{BASELINE} has {', '.join(PARAMETERS)}")
            yield error(below(path, name), "patch-parameter", f"{BASELINE} has no parameter {shown(name)}", hint)
        elif name in CHOICES and "{{" not in str(value) and value not in CHOICES[name]:
            hint = meant(value, CHOICES[name], f"Write {' or '.join(CHOICES[name])}")
            yield error(f"{path}.{name}", "patch-parameter", f"{shown(value)} is no {name}", hint)
    if "Operation" not in given:
        message = f"{BASELINE} has to have an Operation"
        yield error(f"{path}.Operation", "patch-parameter", message, "Pass it, as a parameter")


def _snapshot(given: Mapping[str, Any], path: str) -> Iterator[Finding]:
    snapshot = _single(given.get("SnapshotId"))
    if not snapshot:
        message = "its results cannot be told from those of anybody else"
        yield warning(f"{path}.SnapshotId", "patch-snapshot", message, "Pass SnapshotId, as a parameter: one per run")
    elif "{{" not in str(snapshot):
        message = "it is the same for every run, and after three days AWS makes another of it"
        yield warning(f"{path}.SnapshotId", "patch-snapshot", message, "Take it as a parameter: one per run")


def _ignored(runbook: Runbook, step: Step) -> Iterator[Finding]:
    """A failure that ends as a success, unless something looks at the step's outcome."""
    if step.said.get("onFailure") != "Continue" or step.said.get("isCritical") is True:
        return
    seen = [one for other in runbook.steps if other != step for one in named(other.inputs)]
    seen += [one for one in as_list(runbook.said.get("outputs")) if isinstance(one, str)]
    if not any(one.startswith(f"{step.name}.") for one in seen):
        hint = f"Write onFailure: Abort, isCritical: true, or look at {step.name}.Status in a later step"
        yield warning(step.at("onFailure"), "patch-ignored", "its failure is looked at by nothing", hint)


def _rate(step: Step) -> Iterator[Finding]:
    """Run Command's own limits are 50 at once and no error at all."""
    if "Targets" in step.inputs and "MaxErrors" not in step.inputs:
        message = "the first server that fails ends the command for all that were not reached"
        hint = "Pass MaxErrors, e.g. 10%: Run Command's default is 0"
        yield warning(step.at("inputs", "MaxErrors"), "patch-errors", message, hint)
