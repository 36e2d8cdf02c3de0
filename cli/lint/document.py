"""What is around the steps: the top of a runbook, its parameters, variables, outputs and files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from cli.lint.finding import Finding, error, meant, warning
from cli.lint.runbook import Runbook
from cli.lint.schema import (
    MAX_FILES,
    MAX_PARAMETER_NAME,
    MAX_PARAMETERS,
    PARAMETER,
    RESOURCE_TYPES,
    TOP,
    TYPES,
)
from cli.lint.shape import HAS_REFERENCE, as_int, as_list, as_map, below, check_names, check_values, one_reference
from patchtide.core.problem import shown

# Java's regular expressions, by which AWS matches, know words that Python's do not.
_JAVA_ONLY = re.compile(r"\\[pPQEhHRXzGk]|&&|\(\?<[a-zA-Z]|.\(\?[a-zA-Z-]+\)|\(\?[a-zA-Z]*[dUu]")
_ARN = re.compile(r"arn:[^:]*:iam::[^:]*:role/.+")
LONGEST_MATCHED = 200  # characters: a pattern can take for ever over long texts


def top(runbook: Runbook) -> Iterator[Finding]:
    """What stands at the top: known names, the version, who runs it."""
    said = runbook.said
    yield from check_names(said, TOP, "", "a runbook")
    yield from check_values(said, TOP, "")
    yield from _version(said)
    if not said.get("description"):
        hint = "Say what it does, what it changes, and what to do if it fails"
        yield warning("description", "no-description", "nothing says what the runbook is for", hint)
    yield from _assume_role(runbook)


def _version(said: Mapping[str, Any]) -> Iterator[Finding]:
    version = said.get("schemaVersion")
    if isinstance(version, float) and version == 0.3:
        yield warning("schemaVersion", "schema-version", "0.3 is a number", 'Quote it: "0.3"')
    elif "schemaVersion" in said and version != "0.3":
        hint = 'Write "0.3"; other versions are of documents of other kinds'
        yield error("schemaVersion", "schema-version", f"{shown(version)} is not the version of a runbook", hint)


def _assume_role(runbook: Runbook) -> Iterator[Finding]:
    role = runbook.said.get("assumeRole")
    if not isinstance(role, str) or not role:
        return
    if (reference := one_reference(role)) is not None:
        if reference.startswith("ssm:"):
            hint = "Take it as a parameter, or write the role's ARN"
            yield error("assumeRole", "assume-role", "the role cannot come from Parameter Store", hint)
        elif reference not in runbook.parameters:
            hint = meant(reference, runbook.parameters, f"Add a parameter {reference}, with an empty default")
            yield error("assumeRole", "reference", f"{shown(reference)} is no parameter", hint)
    elif not HAS_REFERENCE.search(role) and not _ARN.fullmatch(role):
        hint = "Write arn:aws:iam::111122223333:role/Name, or a parameter"
        yield error("assumeRole", "assume-role", f"{shown(role)} is no ARN of a role", hint)


def parameters(runbook: Runbook) -> Iterator[Finding]:
    """What is wrong with each parameter."""
    if len(runbook.parameters) > MAX_PARAMETERS:
        message = f"these are {len(runbook.parameters)} parameters"
        yield error("parameters", "range", message, f"An execution takes at most {MAX_PARAMETERS}")
    for name, said in runbook.parameters.items():
        path = below("parameters", name)
        if len(name) > MAX_PARAMETER_NAME:
            message = f"its name has {len(name)} characters"
            yield error(path, "range", message, f"At most {MAX_PARAMETER_NAME} are allowed")
        if not isinstance(said, Mapping):
            yield error(path, "type", f"{shown(said)} is not a mapping", "Write its fields: type, description, default")
            continue
        yield from check_names(said, PARAMETER, path, "a parameter")
        yield from check_values(said, PARAMETER, path)
        yield from _parameter(said, path)


def _parameter(said: Mapping[str, Any], path: str) -> Iterator[Finding]:
    if not said.get("description"):
        hint = "Say what it is for, and whether it is (Required) or (Optional)"
        yield warning(below(path, "description"), "no-description", "nothing says what the parameter is for", hint)
    yield from _type(said.get("type"), below(path, "type"), (*TYPES, *RESOURCE_TYPES))
    try:
        pattern = _pattern(said)
    except (re.error, OverflowError, RecursionError) as fault:
        pattern, message = None, f"it is no regular expression: {fault}"
        yield error(below(path, "allowedPattern"), "pattern-compile", message, "Mend it")
    for least, most in (("minItems", "maxItems"), ("minChars", "maxChars")):
        low, high = as_int(said.get(least)), as_int(said.get(most))
        if low is not None and high is not None and low > high >= 0:
            yield error(below(path, most), "range", f"{most} {high} is less than {least} {low}", "Swap them")
    if "default" in said and not HAS_REFERENCE.search(str(said["default"])):
        yield from _default(said, pattern, below(path, "default"))


def _type(kind: object, path: str, known: tuple[str, ...]) -> Iterator[Finding]:
    if not isinstance(kind, str) or kind in known:
        return
    message, hint = f"{shown(kind)} is no type of a parameter", meant(kind, known, f"Write one of {', '.join(TYPES)}")
    if re.fullmatch(r"(List<)?AWS::\w+::\w+(::\w+)*>?", kind):
        yield warning(path, "parameter-type", f"{shown(kind)} is not among the documented types", hint)
    else:
        yield error(path, "parameter-type", message, hint)


def _pattern(said: Mapping[str, Any]) -> re.Pattern[str] | None:
    """The pattern as Python has it; None where there is none, or where Java alone understands it."""
    pattern = said.get("allowedPattern")
    if not isinstance(pattern, str) or _JAVA_ONLY.search(pattern):
        return None
    with warnings.catch_warnings(action="ignore"):
        return re.compile(pattern)


_DEFAULTS: Mapping[str, tuple[type, str, str]] = {
    "String": (str, "text", "Quote it"),
    "StringList": (list, "a list", "Write it behind a dash, or in brackets"),
    "Boolean": (bool, "true or false", "Write true or false, without quotes"),
    "Integer": (int, "a whole number", "Write it without quotes"),
    "MapList": (list, "a list", "Write a list of mappings"),
    "StringMap": (dict, "a mapping", "Write `name: value` lines, or {}"),
}
_STRICT = ("Boolean", "Integer")  # of these it is documented that nothing in quotes is taken


def _default(said: Mapping[str, Any], pattern: re.Pattern[str] | None, path: str) -> Iterator[Finding]:
    default, kind = said["default"], said.get("type")
    if isinstance(kind, str) and kind in _DEFAULTS:
        wanted, words, hint = _DEFAULTS[kind]
        if not isinstance(default, wanted) or (wanted is int and isinstance(default, bool)):
            tell = error if kind in _STRICT else warning
            yield tell(path, "default-type", f"{shown(default)} is not {words}, though the type is {kind}", hint)
            return
    allowed = as_list(said.get("allowedValues"))
    for value in default if isinstance(default, list) else [default]:
        if allowed and value not in allowed:
            hint = meant(value, map(str, allowed), "Allow it, or take another default")
            yield error(path, "default-value", f"{shown(value)} is not one of the allowedValues", hint)
        if pattern and isinstance(value, str) and len(value) <= LONGEST_MATCHED and not pattern.fullmatch(value):
            hint = "Allow it, e.g. (^$)|… for one that may be empty, or take another default"
            yield warning(path, "default-pattern", f"{shown(value)} does not match allowedPattern", hint)


def variables(runbook: Runbook) -> Iterator[Finding]:
    """What is wrong with each variable."""
    for name, said in runbook.variables.items():
        path = below("variables", name)
        kind = as_map(said).get("type")
        if not isinstance(kind, str):
            hint = f"Write one of {', '.join(TYPES)}"
            yield error(below(path, "type"), "missing", "a variable has to have a type", hint)
        else:
            yield from _type(kind, below(path, "type"), TYPES)


def outputs(runbook: Runbook) -> Iterator[Finding]:
    """Outputs that no step gives."""
    said = runbook.said.get("outputs")
    if "outputs" in runbook.said and not isinstance(said, list):
        tell = warning if isinstance(said, Mapping) else error  # it is documented as such, and every example is a list
        yield tell("outputs", "type", f"{shown(said)} is not a list", "Write a list of step.Output")
    for place, name in enumerate(as_list(said)):
        path = f"outputs[{place}]"
        if not isinstance(name, str):
            yield error(path, "type", f"{shown(name)} is not text", "Write step.Output")
            continue
        step, dot, output = (one_reference(name) or name).partition(".")
        found = runbook.by_name.get(step)
        if step.startswith("variable:"):
            continue
        if found is None or not dot:
            hint = meant(step, runbook.by_name, "Write step.Output, with a step of this runbook")
            yield error(path, "reference", f"{shown(name)} is the output of no step", hint)
        elif (gives := found.gives()) is not None and output.split(".")[0] not in gives:
            hint = meant(output, gives, f"{step} gives {', '.join(gives) or 'nothing'}")
            yield error(path, "reference", f"{step} gives no {shown(output)}", hint)


def files(runbook: Runbook) -> Iterator[Finding]:
    """Files without a step that has them as its attachment, and the other way round."""
    listed = as_map(runbook.said.get("files"))
    attached = [
        (step.at("inputs", "Attachment"), step.inputs["Attachment"])
        for step in runbook.steps
        if step.action == "aws:executeScript" and isinstance(step.inputs.get("Attachment"), str)
    ]
    if len(listed) > MAX_FILES:
        yield error("files", "range", f"these are {len(listed)} files", f"A runbook has at most {MAX_FILES}")
    if listed and not attached:
        hint = "Name one as the Attachment of an aws:executeScript step, or remove files"
        yield warning("files", "files-unused", "no step has any of the files as its Attachment", hint)
    for path, name in attached:
        if listed and name not in listed:
            yield warning(path, "files-unknown", f"{shown(name)} is not among the files", meant(name, listed, "Add it"))
