"""References: whether what a `{{ reference }}` stands for is there, and is there in time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cli.lint.finding import Finding, error, meant, warning
from cli.lint.runbook import Runbook, Step
from cli.lint.schema import LISTED_TYPES, VARIABLES
from cli.lint.shape import Field, Kind, as_map, below, one_reference
from patchtide.core.problem import shown

REFERENCE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NESTED = re.compile(r"\{\{(?:(?!\}\}).)*\{\{", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_.-]+)?")
# Not references: an execution knows them only where a maintenance window or a rate control fills them in.
PSEUDO = {("aws:runCommand", "InstanceIds"): "RESOURCE_ID"}


def references(runbook: Runbook) -> Iterator[Finding]:
    """What is wrong with each reference of each step."""
    for step in runbook.steps:
        for name, value in step.inputs.items():
            if (step.action, name) in (("aws:executeScript", "Script"), ("aws:loop", "Steps")):
                continue
            for path, text in texts(value, step.at("inputs", name)):
                yield from _text(runbook, step, name, text, path)


def texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in a value, with its path."""
    match value:
        case str():
            yield path, value
        case Mapping():
            for name, inner in value.items():
                yield from texts(inner, below(path, name))
        case list():
            for place, inner in enumerate(value):
                yield from texts(inner, f"{path}[{place}]")


def named(value: Any) -> set[str]:
    """Whatever a value refers to."""
    return {found.strip() for _, text in texts(value, "") for found in REFERENCE.findall(text)}


def _text(runbook: Runbook, step: Step, name: str, text: str, path: str) -> Iterator[Finding]:
    if _NESTED.search(text):
        yield error(
            path, "reference-nested", f"{shown(text)} has a reference in a reference", "Refer to one name at a time"
        )
        return
    for found in dict.fromkeys(one.strip() for one in REFERENCE.findall(text)):
        if PSEUDO.get((step.action, name)) != found:
            yield from _reference(runbook, step, name, found, path)


def _reference(runbook: Runbook, step: Step, where: str, said: str, path: str) -> Iterator[Finding]:
    kind, colon, name = said.partition(":")
    if colon and kind == "ssm":
        hint = "Make it the default of a parameter, and refer to that"
        yield error(path, "reference-ssm", f"{shown(said)} cannot be referred to by a step", hint)
    elif colon and kind in VARIABLES:
        if name not in VARIABLES[kind]:
            known = [f"{kind}:{one}" for one in VARIABLES[kind]]
            yield error(
                path, "reference", f"there is no {shown(said)}", meant(said, known, f"Write {', '.join(known)}")
            )
    elif colon and kind == "variable":
        if name not in runbook.variables:
            hint = meant(name, runbook.variables, "Add it to variables")
            yield error(path, "reference", f"there is no variable {shown(name)}", hint)
    elif not _NAME.fullmatch(said):
        hint = "If it is meant for something else than Automation, try whether it stays as it is"
        yield warning(path, "reference-syntax", f"{shown(said)} is no reference", hint)
    elif "." not in said:
        if said not in runbook.parameters:
            yield error(path, "reference", f"{shown(said)} is no parameter", _nearest(runbook, said))
    else:
        yield from _output(runbook, step, where, said, path)


def _nearest(runbook: Runbook, said: str) -> str:
    outputs = [f"{step.name}.{name}" for step in runbook.steps for name in step.gives() or ()]
    return meant(said, (*runbook.parameters, *outputs), "Add a parameter of that name")


def _output(runbook: Runbook, step: Step, where: str, said: str, path: str) -> Iterator[Finding]:
    name, _, output = said.partition(".")
    giver = runbook.by_name.get(name)
    if giver is None:
        yield error(path, "reference", f"{shown(said)} is the output of no step", _nearest(runbook, said))
        return
    gives = giver.gives()
    if gives is not None and output not in gives:
        first = output.partition(".")[0]
        if first != output and first in gives:
            message = f"nothing says that a reference can lead into {name}.{first}"
            yield warning(path, "reference-deep", message, f"Add an output to {name}, with a Selector")
        else:
            hint = meant(output, gives, f"{name} gives {', '.join(gives) or 'nothing'}")
            yield error(path, "reference", f"{name} gives no {shown(output)}", hint)
    if step.number in runbook.alive and not _in_time(runbook, step, where, giver):
        message = f"{name} never runs before {step.name or 'this step'}"
        yield error(path, "reference-order", message, "Refer to a step that has run by then")


def _in_time(runbook: Runbook, step: Step, where: str, giver: Step) -> bool:
    """Whether the one step can have run when the other reads its inputs. A loop's condition is read after its steps."""
    if step.action == "aws:loop" and where == "LoopCondition" and (giver == step or giver.loop == step.number):
        return True
    return step.number in runbook.after(giver)


def scripts(runbook: Runbook) -> Iterator[Finding]:
    """References in a script, where they may stay as they are."""
    for step in runbook.steps:
        script = step.inputs.get("Script")
        if step.action == "aws:executeScript" and isinstance(script, str):
            for found in sorted(named(script)):
                if found in runbook.parameters or found.partition(".")[0] in runbook.by_name or ":" in found:
                    hint = "Hand it over by InputPayload"
                    message = f"nothing says that {shown(found)} is replaced in a script"
                    yield warning(step.at("inputs", "Script"), "script-reference", message, hint)


def defaults(runbook: Runbook) -> Iterator[Finding]:
    """References in the defaults of parameters, which cannot lead to other parameters."""
    for name, said in runbook.parameters.items():
        default = as_map(said).get("default")
        for found in sorted(named(default)):
            path = below(below("parameters", name), "default")
            if found in runbook.parameters:
                yield error(path, "reference-nested", f"{shown(found)} is a parameter, too", "Refer to it in the step")
            elif found.partition(":")[0] not in ("ssm", *VARIABLES):
                message = f"nothing says that a default can refer to {shown(found)}"
                yield warning(path, "reference-syntax", message, "Refer to {{ssm:name}}, or write the value")


def unused(runbook: Runbook) -> Iterator[Finding]:
    """Parameters that nothing refers to."""
    used = named(runbook.said.get("mainSteps")) | named(runbook.said.get("assumeRole"))
    for name in runbook.parameters:
        if name not in used:
            path = below("parameters", name)
            yield warning(
                path, "unused-parameter", f"nothing refers to the parameter {shown(name)}", "Use it, or remove it"
            )


_FITS: Mapping[Kind, tuple[str, ...]] = {
    Kind.LIST: LISTED_TYPES,
    Kind.MAP: ("StringMap",),
    Kind.INTEGER: ("Integer",),
    Kind.BOOLEAN: ("Boolean",),
}


def types(runbook: Runbook) -> Iterator[Finding]:
    """Inputs that are one parameter, of a type that the action does not take."""
    for step in runbook.steps:
        table: Mapping[str, Field] = step.known.inputs if step.known else {}
        for name, value in step.inputs.items():
            kind = as_map(runbook.parameters.get(one_reference(value) or "")).get("type")
            fits = _FITS.get(table[name].kind) if name in table else None
            if fits and isinstance(kind, str) and kind not in fits and not kind.startswith("List<"):
                message = f"{name} is {table[name].kind}, and the parameter is a {kind}"
                hint = f"Give the parameter the type {' or '.join(fits)}"
                yield warning(step.at("inputs", name), "reference-type", message, hint)
