"""template.yaml read as the local world needs it: resources, with intrinsic functions resolved to local names.

Wiring exists once, in the template; whoever plays the stack locally reads it from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

ROOT = Path(__file__).resolve().parent.parent


def load(path: Path) -> dict[str, Any]:
    """A CloudFormation template as plain values; `!Ref X` becomes `{"Ref": "X"}`, `!Sub` `{"Fn::Sub": …}` and so on."""
    return deepcopy(_parsed(path.read_text(encoding="utf-8")))


@cache
def _parsed(text: str) -> dict[str, Any]:
    """A second of work for each of our templates, and a world is made of three."""
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_multi_constructor("!", _short_form)
    found: dict[str, Any] = yaml.load(text)
    return found


def _short_form(constructor: Any, suffix: str, node: Any) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    value: Any
    if isinstance(node, ScalarNode):
        value = constructor.construct_scalar(node)
        value = value.split(".", 1) if suffix == "GetAtt" else value
    elif isinstance(node, SequenceNode):
        value = constructor.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, MappingNode)  # noqa: S101 - YAML has no fourth kind
        value = constructor.construct_mapping(node, deep=True)
    return {name: value}


@dataclass(frozen=True)
class Schedule:
    """A function that is woken every so often."""

    function: str
    expression: str


@dataclass(frozen=True)
class Stream:
    """A function that is told of a table's changes."""

    function: str
    table: str


@dataclass(frozen=True)
class Feed:
    """A function that a queue feeds."""

    function: str
    queue: str
    batch: int


Wiring = Schedule | Stream | Feed


@dataclass
class Template:
    """One template with its parameters given, and local names for what `Ref` and `GetAtt` ask of resources.

    `attribute(resource, name)` answers `Ref` (name is empty) and `GetAtt`.
    """

    document: Mapping[str, Any]
    account: str
    region: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    attribute: Callable[[str, str], str] = lambda resource, name: f"{resource}.{name}" if name else resource

    @cached_property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """The resources whose condition holds."""
        found: Mapping[str, Mapping[str, Any]] = self.document["Resources"]
        return {name: body for name, body in found.items() if self._holds(body.get("Condition"))}

    def of_type(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """The properties of each resource of that type, resolved."""
        return {
            name: self.resolve(body.get("Properties", {}))
            for name, body in self.resources.items()
            if body["Type"] == kind
        }

    def timeout(self, function: str) -> int:
        """How long a function may take, in seconds."""
        return int(self._said(function)["Timeout"])

    def environment(self, function: str) -> dict[str, str]:
        """The environment that a function is given: the globals' and its own."""
        shared = self._shared.get("Environment", {}).get("Variables", {})
        own = self.resources[function]["Properties"].get("Environment", {}).get("Variables", {})
        return {name: str(self.resolve(value)) for name, value in {**shared, **own}.items()}

    def code(self, function: str) -> tuple[str, str]:
        """A function's folder and its handler."""
        said = self._said(function)
        return str(said["CodeUri"]), str(said["Handler"])

    @property
    def _shared(self) -> Mapping[str, Any]:
        """What the template says of all functions."""
        found: Mapping[str, Any] = self.document.get("Globals", {}).get("Function", {})
        return found

    def _said(self, function: str) -> Mapping[str, Any]:
        return {**self._shared, **self.resources[function]["Properties"]}

    def wiring(self) -> list[Wiring]:
        """Which function is woken by what."""
        found: list[Wiring] = []
        for name, body in self.resources.items():
            for event in body.get("Properties", {}).get("Events", {}).values():
                properties = event["Properties"]
                match event["Type"]:
                    case "Schedule" | "ScheduleV2":
                        expression = properties.get("ScheduleExpression") or properties["Schedule"]
                        found.append(Schedule(name, str(self.resolve(expression))))
                    case "DynamoDB":
                        found.append(Stream(name, _owner(properties["Stream"])))
                    case "SQS":
                        found.append(Feed(name, _owner(properties["Queue"]), int(properties.get("BatchSize", 10))))
                    case other:
                        raise ValueError(f"{name}: the local world cannot play an event of type {other}")
        return found

    def resolve(self, value: Any) -> Any:
        """A value with its intrinsic functions worked out."""
        if isinstance(value, list):
            return [entry for entry in (self.resolve(entry) for entry in value) if entry is not NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name in _INTRINSICS:
                return _INTRINSICS[name](self, argument)
        resolved = {key: self.resolve(entry) for key, entry in value.items()}
        return {key: entry for key, entry in resolved.items() if entry is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        pseudo = {
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::Partition": "aws",
            "AWS::StackName": "patchtide",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.document.get("Parameters", {}):
            return self.parameters.get(name, self.document["Parameters"][name].get("Default", ""))
        return self.attribute(name, "")

    def _sub(self, argument: Any) -> str:
        text, extra = (argument, {}) if isinstance(argument, str) else argument

        def put(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in extra:
                return str(self.resolve(extra[name]))
            return str(self.attribute(*name.split(".", 1)) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", put, text)

    def _holds(self, condition: Any) -> bool:
        if condition is None:
            return True
        if isinstance(condition, str):
            return self._holds(self.document["Conditions"][condition])
        (name, argument), *_ = condition.items()
        match name:
            case "Condition":
                return self._holds(argument)
            case "Fn::Equals":
                return bool(self.resolve(argument[0]) == self.resolve(argument[1]))
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(self._holds(part) for part in argument)
            case "Fn::Or":
                return any(self._holds(part) for part in argument)
            case other:
                raise ValueError(f"the local world does not know the condition {other}")

    def _if(self, argument: Any) -> Any:
        condition, yes, no = argument
        return self.resolve(yes if self._holds(condition) else no)


NO_VALUE = object()

_INTRINSICS: Mapping[str, Callable[[Template, Any], Any]] = {
    "Ref": Template._ref,
    "Fn::GetAtt": lambda template, argument: template.attribute(
        *(argument.split(".", 1) if isinstance(argument, str) else argument)
    ),
    "Fn::Sub": Template._sub,
    "Fn::If": Template._if,
    "Fn::Join": lambda template, argument: argument[0].join(map(str, template.resolve(argument[1]))),
    "Fn::Split": lambda template, argument: str(template.resolve(argument[1])).split(argument[0]),
    "Fn::Select": lambda template, argument: template.resolve(argument[1])[int(argument[0])],
}


def _owner(source: Mapping[str, Any]) -> str:
    """The resource whose ARN an event source names."""
    argument = source["Fn::GetAtt"]
    return str(argument.split(".", 1)[0] if isinstance(argument, str) else argument[0])
