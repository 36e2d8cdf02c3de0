"""The inputs of each action: what it takes, and what two of them say together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cli.lint.finding import Finding, error, meant, warning
from cli.lint.runbook import Runbook, Step
from cli.lint.schema import CHOICE_OPERATORS, TARGET, Action
from cli.lint.shape import (
    HAS_REFERENCE,
    Field,
    Kind,
    as_int,
    as_list,
    as_map,
    below,
    check,
    check_names,
    check_values,
    one_reference,
)
from patchtide.core.problem import shown

LONGEST_SLEEP = 604_799  # seconds

COMBINE = ("And", "Or", "Not")

_SPAN = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_WEEKS = re.compile(r"P(\d+)W")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?")


def shapes(runbook: Runbook) -> Iterator[Finding]:
    """What each action takes, needs and refuses."""
    for step in runbook.steps:
        if (action := step.known) is None or "inputs" not in step.said:
            continue
        path = step.at("inputs")
        yield from check_values(step.inputs, action.inputs, path)
        yield from _taken(step, action, path)


def _taken(step: Step, action: Action, path: str) -> Iterator[Finding]:
    """What an action takes beside what is documented for it: whatever it hands on to an API."""
    others = [name for name in step.inputs if name not in action.inputs and (action.calls or name in _borrowed(action))]
    yield from check_names(step.inputs, action.inputs | dict.fromkeys(others, Field()), path, step.action)
    if action.like:
        for name in others:
            message = f"{name} is a parameter of {action.like[1]}, and not documented for {step.action}"
            yield warning(below(path, name), "undocumented-input", message, "Try it before you count on it")


def _borrowed(action: Action) -> frozenset[str]:
    from cli.lint.calls import members

    return members(*action.like) if action.like else frozenset()


def together(runbook: Runbook) -> Iterator[Finding]:
    """What the inputs of a step say together."""
    for step in runbook.steps:
        if step.action in _TOGETHER:
            yield from _TOGETHER[step.action](step)


def _one_of(step: Step, names: tuple[str, ...], *, needed: bool) -> Iterator[Finding]:
    """Not several of these inputs at once; and, where one is needed, not none."""
    given = [name for name in names if name in step.inputs]
    if len(given) > 1:
        message = f"{' and '.join(given)} exclude each other"
        yield error(step.at("inputs", given[-1]), "exclusive", message, "Keep one of them")
    elif needed and not given:
        message = f"{step.action} has to have {' or '.join(names)}"
        yield error(step.at("inputs", names[0]), "missing", message, f"Add {' or '.join(names)}")


def _run_command(step: Step) -> Iterator[Finding]:
    yield from _one_of(step, ("InstanceIds", "Targets"), needed=True)
    for place, said in enumerate(as_list(step.inputs.get("Targets"))):
        path = step.at("inputs", f"Targets[{place}]")
        target = as_map(said)
        yield from check_names(target, TARGET, path, "a target")
        yield from check_values(target, TARGET, path)
        if target.get("Key") == "ResourceGroup":
            message = "ResourceGroup is Automation's word, Run Command does not know it"
            yield error(f"{path}.Key", "target-key", message, "Write resource-groups:Name")


def _sleep(step: Step) -> Iterator[Finding]:
    yield from _one_of(step, ("Duration", "Timestamp"), needed=True)
    span, instant = step.inputs.get("Duration"), step.inputs.get("Timestamp")
    if isinstance(span, str) and not HAS_REFERENCE.search(span):
        seconds = _seconds(span)
        path = step.at("inputs", "Duration")
        if seconds is None:
            yield error(path, "duration", f"{shown(span)} is no span of time", "Write it as in ISO 8601, e.g. PT10M")
        elif seconds > LONGEST_SLEEP:
            message = f"{shown(span)} is longer than seven days"
            yield error(path, "range", message, f"At most {LONGEST_SLEEP} seconds are allowed")
    if isinstance(instant, str) and not HAS_REFERENCE.search(instant) and not _INSTANT.fullmatch(instant.strip()):
        hint = "Write it as in ISO 8601, e.g. 2027-01-31T22:00:00Z"
        yield error(step.at("inputs", "Timestamp"), "timestamp", f"{shown(instant)} is no instant", hint)


def _seconds(span: str) -> float | None:
    """The seconds of an ISO 8601 duration without months and years, whose length nobody knows."""
    if weeks := _WEEKS.fullmatch(span):
        return float(weeks[1]) * 604_800
    found = _SPAN.fullmatch(span)
    if found is None or not any(found.groups()):
        return None
    return sum(float(count or 0) * size for count, size in zip(found.groups(), (86_400, 3600, 60, 1), strict=True))


def _approve(step: Step) -> Iterator[Finding]:
    approvers, least = step.inputs.get("Approvers"), as_int(step.inputs.get("MinRequiredApprovals"))
    certain = isinstance(approvers, list) and not any(one_reference(one) is not None for one in approvers)
    if isinstance(approvers, list) and certain and least is not None and least > len(approvers) > 0:
        message = f"{least} must approve, but {len(approvers)} can"
        yield error(step.at("inputs", "MinRequiredApprovals"), "range", message, "Name more, or ask for fewer")
    topic = step.inputs.get("NotificationArn")
    name = topic.rpartition(":")[2] if isinstance(topic, str) else ""
    if name and "{{" not in name and not name.startswith("Automation"):
        message = f"the topic {shown(name)} is not named Automation…"
        yield error(step.at("inputs", "NotificationArn"), "topic", message, "Take one whose name begins with it")


def _loop(step: Step) -> Iterator[Finding]:
    yield from _one_of(step, ("Iterators", "LoopCondition"), needed=True)
    if "IteratorDataType" in step.inputs and "LoopCondition" in step.inputs and "Iterators" not in step.inputs:
        path = step.at("inputs", "IteratorDataType")
        yield error(path, "exclusive", "there are no Iterators whose type it could be", "Remove it, or add Iterators")
    condition = step.inputs.get("LoopCondition")
    if isinstance(condition, Mapping):
        yield from _condition(condition, step.at("inputs", "LoopCondition"))


def _branch(step: Step) -> Iterator[Finding]:
    for place, choice in enumerate(as_list(step.inputs.get("Choices"))):
        path = step.at("inputs", f"Choices[{place}]")
        if not isinstance(choice, Mapping):
            continue
        yield from _needed(choice, "NextStep", path, "a choice")
        yield from _condition({name: value for name, value in choice.items() if name != "NextStep"}, path)


def _needed(said: Mapping[str, Any], name: str, path: str, called: str) -> Iterator[Finding]:
    if name not in said:
        yield error(below(path, name), "missing", f"{called} has to have {name}", f"Add {name}")
    else:
        yield from check(said[name], Field(least=1), below(path, name))


def _condition(said: Mapping[str, Any], path: str) -> Iterator[Finding]:
    """A comparison, or several of them by And, Or and Not."""
    combined = [name for name in COMBINE if name in said]
    operators = [name for name in said if name in CHOICE_OPERATORS]
    unknown = [name for name in said if name not in (*COMBINE, *CHOICE_OPERATORS, "Variable")]
    for name in unknown:
        hint = meant(name, (*CHOICE_OPERATORS, *COMBINE, "Variable"), "Write e.g. StringEquals")
        yield error(below(path, name), "operator", f"{shown(name)} is no operator", hint)
    if not combined:
        yield from _needed(said, "Variable", path, "a condition")
        if not operators and not unknown:
            yield error(path, "operator", "nothing is compared", f"Add one of {', '.join(CHOICE_OPERATORS)}")
    if len(both := [*combined, *operators]) > 1:
        yield error(path, "exclusive", f"{' and '.join(both)} exclude each other", "Combine them by And")
    for name in combined:
        yield from _combined(said[name], name, below(path, name))


def _combined(value: Any, name: str, path: str) -> Iterator[Finding]:
    if name == "Not":
        yield from check(value, Field(Kind.MAP), path)
    else:
        yield from check(value, Field(Kind.LIST, least=1, of=Field(Kind.MAP)), path)
    for place, one in enumerate(as_list(value)):
        if isinstance(one, Mapping):
            yield from _condition(one, f"{path}[{place}]")
    if isinstance(value, Mapping):
        yield from _condition(value, path)


def _create_image(step: Step) -> Iterator[Finding]:
    if "NoReboot" not in step.inputs:
        hint = "Say NoReboot: true to leave it running, or false to say that you know"
        yield warning(step.path, "image-reboots", "without NoReboot the instance is rebooted for its image", hint)


def _create_stack(step: Step) -> Iterator[Finding]:
    yield from _one_of(step, ("TemplateBody", "TemplateURL"), needed=False)
    yield from _one_of(step, ("DisableRollback", "OnFailure"), needed=False)
    yield from _one_of(step, ("StackPolicyBody", "StackPolicyURL"), needed=False)
    if (as_int(step.said.get("maxAttempts")) or 1) > 1 and "ClientRequestToken" not in step.inputs:
        message = "a second attempt makes a second stack of the same name"
        yield warning(step.at("maxAttempts"), "no-token", message, "Add ClientRequestToken")


def _create_tags(step: Step) -> Iterator[Finding]:
    kind, ids = step.inputs.get("ResourceType", "EC2"), as_list(step.inputs.get("ResourceIds"))
    if isinstance(kind, str) and kind != "EC2" and len(ids) > 1 and "{{" not in kind:
        hint = "Keep one, and add a step for each of the others"
        yield error(step.at("inputs", "ResourceIds"), "range", f"of {kind} only one at a time can be tagged", hint)


def _execute_automation(step: Step) -> Iterator[Finding]:
    yield from _one_of(step, ("Targets", "TargetMaps"), needed=False)
    for name, other in (("Targets", "TargetParameterName"), ("TargetParameterName", "Targets")):
        if name in step.inputs and other not in step.inputs and "TargetLocations" not in step.inputs:
            yield error(step.at("inputs", other), "missing", f"{name} needs {other}", f"Add {other}")


def _property(step: Step) -> Iterator[Finding]:
    selector = step.inputs.get("PropertySelector")
    if isinstance(selector, str) and selector and not selector.startswith(("$", "{{")):
        path = step.at("inputs", "PropertySelector")
        yield error(path, "selector", f"{shown(selector)} is no JSONPath", "Begin with $.")
    for place, value in enumerate(as_list(step.inputs.get("DesiredValues"))):
        if value in ("true", "false"):
            path = step.at("inputs", f"DesiredValues[{place}]")
            hint = f"Write {str(value).capitalize()}"
            yield warning(path, "desired-boolean", "a Boolean is compared by its capital letter", hint)


_TOGETHER: Mapping[str, Callable[[Step], Iterator[Finding]]] = {
    "aws:approve": _approve,
    "aws:assertAwsResourceProperty": _property,
    "aws:branch": _branch,
    "aws:createImage": _create_image,
    "aws:createStack": _create_stack,
    "aws:createTags": _create_tags,
    "aws:executeAutomation": _execute_automation,
    "aws:loop": _loop,
    "aws:runCommand": _run_command,
    "aws:sleep": _sleep,
    "aws:waitForAwsResourceProperty": _property,
}
