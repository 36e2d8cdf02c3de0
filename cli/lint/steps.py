"""The steps: what each is made of, and where it leads."""

from __future__ import annotations

from collections.abc import Iterator

from cli.lint.finding import Finding, error, meant, nearest, warning
from cli.lint.runbook import END, Runbook, Step, spread
from cli.lint.schema import ACTIONS, NEVER_ON_CANCEL, ON_CANCEL, ON_FAILURE, OUTPUT, STEP, WITHOUT_ON_CANCEL
from cli.lint.shape import as_int, as_list, as_map, check_names, check_values
from patchtide.core.problem import shown


def made(runbook: Runbook) -> Iterator[Finding]:
    """What each step has and lacks: its names, and the type of each value."""
    names: set[str] = set()
    for step in runbook.steps:
        yield from check_names(step.said, STEP, step.path, "a step")
        yield from check_values(step.said, STEP, step.path)
        if step.name and step.name in names:
            yield error(step.at("name"), "twice", f"another step is named {shown(step.name)}", "Name it otherwise")
        names.add(step.name)
        yield from _settled(step)
        yield from _action(step)
        yield from _outputs(step)


def _settled(step: Step) -> Iterator[Finding]:
    """What of a step is documented as a value, and never as a reference."""
    for name, value in step.said.items():
        if name in STEP and name not in ("action", "description", "inputs", "outputs") and "{{" in str(value):
            hint = "Write the value, or try it before you count on it"
            yield warning(step.at(name), "reference-step", f"nothing says that {name} may be a reference", hint)


def _action(step: Step) -> Iterator[Finding]:
    if "action" in step.said and step.known is None:
        said = step.said["action"]
        hint = meant(said, ACTIONS, "Write an action of Automation, e.g. aws:runCommand")
        yield error(step.at("action"), "action", f"{shown(said)} is no action", hint)
    longest = step.known.longest if step.known else None
    seconds = as_int(step.said.get("timeoutSeconds"))
    if longest is not None and seconds is not None and seconds > longest:
        message = f"{seconds} seconds are more than {step.action} can run: AWS ends it after {longest}"
        tell = error if step.action in ("aws:executeScript", "aws:approve") else warning
        yield tell(step.at("timeoutSeconds"), "timeout", message, f"Write at most {longest}")
    if step.action == "aws:loop" and step.loop is not None:
        hint = "Take the inner loop into a runbook of its own, and start that by aws:executeAutomation"
        yield warning(step.path, "nested-loop", "nothing says that a loop may have loops in it", hint)


def _outputs(step: Step) -> Iterator[Finding]:
    seen: set[str] = set()
    for place, said in enumerate(as_list(step.said.get("outputs"))):
        output = as_map(said)
        path = f"{step.at('outputs')}[{place}]"
        yield from check_names(output, OUTPUT, path, "an output")
        yield from check_values(output, OUTPUT, path)
        selector, name = output.get("Selector"), output.get("Name")
        if isinstance(selector, str) and selector and not selector.startswith("$"):
            hint = f"Write $.{selector}" if selector[:1].isalnum() else "Begin with $."
            yield error(f"{path}.Selector", "selector", f"{shown(selector)} is no JSONPath", hint)
        if isinstance(name, str) and name in seen:
            yield error(f"{path}.Name", "twice", f"another output is named {shown(name)}", "Name it otherwise")
        seen.add(str(name))


def targets(runbook: Runbook) -> Iterator[Finding]:
    """Steps that are led to and are not there, or are not allowed there."""
    for step in runbook.steps:
        yield from _words(step)
        yield from _target(runbook, step, step.at("nextStep"), step.said.get("nextStep"))
        for path, name in step.choices():
            yield from _target(runbook, step, path, name)
        for word in ("onFailure", "onCancel"):
            yield from _target(runbook, step, step.at(word), step.target(word))
        yield from _cancel(runbook, step)
        if step.ends and "nextStep" in step.said:
            hint = "Keep one of them"
            yield warning(step.at("nextStep"), "end-and-next", "isEnd ends here what nextStep would go on with", hint)


def _words(step: Step) -> Iterator[Finding]:
    for word, known in (("onFailure", ON_FAILURE), ("onCancel", ON_CANCEL)):
        said = step.said.get(word)
        if not isinstance(said, str) or said in known or said.startswith("step:") or "{{" in said:
            continue
        hint = meant(said, known, f"Write {', '.join(known)} or step:name")
        spelled = (nearest(said, known) or "").casefold() == said.casefold()
        tell = warning if spelled else error
        yield tell(step.at(word), "choice", f"{shown(said)} is not one of {', '.join(known)}, step:name", hint)


def _target(runbook: Runbook, step: Step, path: str, name: object) -> Iterator[Finding]:
    if not isinstance(name, str) or "{{" in name:
        return
    siblings = {one.name for one in runbook.within(step.loop)} - {""}
    if name in siblings:
        return
    if name in runbook.by_name and name:
        message = f"{shown(name)} is a step of a loop that this one is not in, or the other way round"
        yield warning(path, "target-outside", message, "Lead to a step of the same list")
    else:
        yield error(path, "target", f"there is no step {shown(name)}", meant(name, siblings, "Write a step's name"))


def _cancel(runbook: Runbook, step: Step) -> Iterator[Finding]:
    if "onCancel" in step.said and step.action in WITHOUT_ON_CANCEL:
        yield error(step.at("onCancel"), "on-cancel", f"{step.action} has no onCancel", "Remove it")
    target = runbook.by_name.get(step.target("onCancel") or "")
    if target and target.action in NEVER_ON_CANCEL:
        message = f"onCancel cannot lead to {target.name}, because that is an {target.action}"
        yield error(step.at("onCancel"), "on-cancel", message, "Lead to a step of another action")


def reached(runbook: Runbook) -> Iterator[Finding]:
    """Steps that never run, and steps from which no way leads to an end."""
    lost: set[int] = set()
    for step in runbook.steps:
        if step.number not in runbook.alive | lost:
            lost |= runbook.reached([step.number])
            siblings = [one for one in runbook.within(step.loop) if one.number < step.number]
            before = siblings[-1] if siblings else None
            why = f": {before.name} before it is an end" if before and before.ends else ""
            yield error(step.path, "unreachable", f"no way leads to this step{why}", "Lead to it, or remove it")
    stuck = runbook.alive - _ending(runbook) - {END}
    for step in runbook.steps:
        if step.number in stuck and step.number in (circle := spread(runbook.onward, runbook.onward[step.number])):
            stuck -= circle
            hint = "Let one of the steps be an end, or branch to one"
            yield error(step.path, "endless", "what follows leads only back to this step, and never to an end", hint)


def _ending(runbook: Runbook) -> set[int]:
    """The steps from which an end can be reached."""
    backward: dict[int, set[int]] = {}
    for number, further in runbook.onward.items():
        for one in further:
            backward.setdefault(one, set()).add(number)
    return spread(backward, [END])
