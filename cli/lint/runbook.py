"""A runbook as rules see it: its steps in one list, those inside of loops too, and which may run after which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cli.lint.schema import ACTIONS, Action
from cli.lint.shape import as_list, as_map, below

END = -1  # where an execution goes when no step is left


@dataclass(frozen=True)
class Step:
    """A step: which of all, where it stands, and the loop that it is a step of, if it is one of a loop."""

    number: int
    path: str
    said: Mapping[str, Any]
    loop: int | None = None

    @property
    def name(self) -> str:
        """Its name, or nothing."""
        return _text(self.said.get("name"))

    @property
    def action(self) -> str:
        """Its action, or nothing."""
        return _text(self.said.get("action"))

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Its inputs, if it has any."""
        return as_map(self.said.get("inputs"))

    @property
    def known(self) -> Action | None:
        """What is known of its action."""
        return ACTIONS.get(self.action)

    @property
    def ends(self) -> bool:
        """Whether the execution is over after it."""
        return self.said.get("isEnd") is True

    def at(self, *names: str) -> str:
        """The path of something in it."""
        path = self.path
        for name in names:
            path = below(path, name)
        return path

    def gives(self) -> tuple[str, ...] | None:
        """The names of its outputs. None where its action is not known."""
        if self.known is None:
            return None
        declared = (as_map(one).get("Name") for one in as_list(self.said.get("outputs")))
        return (*self.known.outputs, *(name for name in declared if isinstance(name, str)))

    def target(self, word: str) -> str | None:
        """The step that `onFailure: step:name` or `onCancel: step:name` names."""
        said = _text(self.said.get(word))
        return said.removeprefix("step:").strip() if said.startswith("step:") else None

    def choices(self) -> Iterator[tuple[str, str]]:
        """The steps that a branch names, each with its path."""
        if self.action == "aws:branch":
            for number, choice in enumerate(as_list(self.inputs.get("Choices"))):
                if isinstance(name := as_map(choice).get("NextStep"), str):
                    yield self.at("inputs", f"Choices[{number}]", "NextStep"), name
            if isinstance(name := self.inputs.get("Default"), str):
                yield self.at("inputs", "Default"), name


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Runbook:
    """What a runbook says, and how it flows."""

    said: Mapping[str, Any]
    blocks: Mapping[str, int] = field(default_factory=dict)
    is_json: bool = False

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """Its parameters by name."""
        return as_map(self.said.get("parameters"))

    @cached_property
    def variables(self) -> Mapping[str, Any]:
        """Its variables by name."""
        return as_map(self.said.get("variables"))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in the order in which they are written."""
        steps: list[Step] = []
        _collect(as_list(self.said.get("mainSteps")), "mainSteps", None, steps)
        return tuple(steps)

    @cached_property
    def by_name(self) -> Mapping[str, Step]:
        """Each step by its name: of several of that name, the first."""
        return {step.name: step for step in reversed(self.steps) if step.name}

    def within(self, loop: int | None) -> list[Step]:
        """The steps of the runbook itself, or those of a loop."""
        return [step for step in self.steps if step.loop == loop]

    @cached_property
    def onward(self) -> Mapping[int, frozenset[int]]:
        """Where each step leads when all goes well."""
        found: dict[int, frozenset[int]] = {}
        self._flow(None, frozenset({END}), found)
        return found

    @cached_property
    def flow(self) -> Mapping[int, frozenset[int]]:
        """Where each step leads, whatever happens."""
        return {step.number: self.onward[step.number] | self._after_trouble(step) for step in self.steps}

    def _flow(self, loop: int | None, after: frozenset[int], found: dict[int, frozenset[int]]) -> None:
        siblings = self.within(loop)
        for place, step in enumerate(siblings):
            following = frozenset({siblings[place + 1].number}) if place + 1 < len(siblings) else after
            leads = self._leads(step, following, after)
            found[step.number] = leads
            if body := self.within(step.number) if step.action == "aws:loop" else []:
                found[step.number] = frozenset({body[0].number})
                self._flow(step.number, leads | found[step.number], found)

    def _leads(self, step: Step, following: frozenset[int], after: frozenset[int]) -> frozenset[int]:
        named = frozenset(self._numbers(name for _, name in step.choices()))
        if step.action == "aws:branch" and "Default" in step.inputs:
            return named or following
        if step.ends:
            return named | after
        # One that is not there is told by itself: what is behind it shall not seem unreachable, too.
        return named | (frozenset(self._numbers([_text(step.said.get("nextStep"))])) or following)

    def _after_trouble(self, step: Step) -> frozenset[int]:
        return frozenset(self._numbers(step.target(word) or "" for word in ("onFailure", "onCancel")))

    def _numbers(self, names: Iterable[str]) -> Iterator[int]:
        yield from (self.by_name[name].number for name in names if name in self.by_name)

    @cached_property
    def alive(self) -> set[int]:
        """The steps that can run at all."""
        return self.reached([0] if self.steps else [])

    def reached(self, start: Collection[int], without: Collection[int] = ()) -> set[int]:
        """The steps that can be reached from some, those included, on ways that lead through none of the others."""
        return spread(self.flow, start, without)

    def after(self, step: Step) -> set[int]:
        """The steps that can run once this one has."""
        return self.reached(self.flow[step.number])


def spread(flow: Mapping[int, Collection[int]], start: Collection[int], without: Collection[int] = ()) -> set[int]:
    """Whatever can be reached in a flow."""
    seen: set[int] = set()
    waiting = [number for number in start if number not in without]
    while waiting:
        if (number := waiting.pop()) not in seen:
            seen.add(number)
            waiting += [further for further in flow.get(number, ()) if further not in without]
    return seen


def _collect(entries: Iterable[Any], path: str, loop: int | None, steps: list[Step]) -> None:
    for place, entry in enumerate(entries):
        if isinstance(entry, Mapping):
            step = Step(len(steps), f"{path}[{place}]", entry, loop)
            steps.append(step)
            if step.action == "aws:loop":
                _collect(as_list(step.inputs.get("Steps")), step.at("inputs", "Steps"), step.number, steps)
