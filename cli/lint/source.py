"""A runbook as it stands in its file: its values, the line of each, and what its comments tell the linter to leave alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cli.lint.finding import Finding, error, warning
from patchtide.core.problem import part, shown

MAX_VALUES = 50_000  # aliases can make a file of some lines mean as many as one likes
MAX_DEPTH = 64
MAX_BITS = 512  # of a number; Python refuses to write those of thousands of digits

IGNORE = re.compile(r"#\s*lint:\s*ignore\b[ \t]*(\S*)[ \t]*(.*?)\s*$")
_COMMENT = re.compile(r"\s*#")


@dataclass(frozen=True)
class Ignore:
    """A comment that asks for a code to be left alone, in the line below the comments or in its own."""

    line: int
    code: str
    reason: str
    covers: frozenset[int]

    def spares(self, finding: Finding) -> bool:
        """Whether this finding is meant. Without a reason none is."""
        return bool(self.reason) and finding.code == self.code and finding.line in self.covers


@dataclass(frozen=True)
class Source:
    """What a file holds. `document` is None where it holds no runbook at all."""

    document: Mapping[str, Any] | None
    findings: tuple[Finding, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    blocks: Mapping[str, int] = field(default_factory=dict)
    ignores: tuple[Ignore, ...] = ()
    is_json: bool = False

    def line(self, path: str) -> int | None:
        """The line where a path stands, or else what it would be a part of."""
        while path and path not in self.lines:
            path = re.sub(r"[.\[]?[^.\[]*$", "", path)
        return self.lines.get(path)

    def placed(self, finding: Finding) -> Finding:
        """The finding with its line."""
        return finding if finding.line is not None else replace(finding, line=self.line(finding.path))


def read(text: str) -> Source:
    """The runbook in a text that is YAML or JSON."""
    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import MappingNode

    is_json = _is_json(text)
    ignores = () if is_json else tuple(_ignores(text))
    try:
        # YAML reads JSON too, but for tabs, which JSON has nowhere else than between its values.
        yaml = YAML(typ="safe", pure=True)
        root = yaml.compose(text.replace("\t", " ") if is_json else text)
        if not isinstance(root, MappingNode):
            return Source(None, (_no_runbook(root),))
        reader = _Reader(yaml.constructor)
        document = reader.value(root, "", 0)
    except Exception as fault:  # noqa: BLE001 - some files are such that ruamel itself falls over them
        return Source(None, (_unreadable(fault, text),))
    return Source(document, tuple(reader.findings), reader.lines, reader.blocks, ignores, is_json)


def refused(code: str, message: str, hint: str, line: int | None = None) -> Source:
    """A source that holds no runbook, for one reason."""
    return Source(None, (replace(error("", code, message, hint), line=line),))


def _is_json(text: str) -> bool:
    try:
        return text.lstrip().startswith("{") and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _no_runbook(root: Any) -> Finding:
    if root is None:
        return error("", "empty", "the file is empty", "Write a runbook: schemaVersion, description, mainSteps")
    return error("", "not-a-mapping", "the file holds no fields", "Write `field: value` lines, as runbooks have them")


def _unreadable(fault: Exception, text: str) -> Finding:
    if isinstance(fault, (RecursionError, _TooMuchError)):
        return error("", "yaml", "the file is nested too deeply, or its aliases mean too much", "Write it plainly")
    what = (getattr(fault, "problem", None) or str(fault).partition("\n")[0])[:200]
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    position = getattr(fault, "position", None)
    line = mark.line + 1 if mark else text.count("\n", 0, position) + 1 if isinstance(position, int) else None
    hint = "Mend that line: look at its indentation, and quote values that have : # * & ! [ { or @ in them"
    return replace(error("", "yaml", f"this is not YAML: {what}", hint), line=line)


def _ignores(text: str) -> Iterator[Ignore]:
    """Each comment with the lines that it covers: its own, and the first below that is more than a comment."""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if found := IGNORE.search(line):
            below = number
            while _COMMENT.match(line) and below < len(lines) and _COMMENT.match(lines[below]):
                below += 1
            covers = {number, below + 1} if _COMMENT.match(line) else {number}
            yield Ignore(number, found[1], found[2], frozenset(covers))


class _TooMuchError(Exception):
    pass


class _Reader:
    """Turns YAML's nodes into plain values, and writes down where each stands."""

    def __init__(self, maker: Any) -> None:
        self.findings: list[Finding] = []
        self.lines: dict[str, int] = {}
        self.blocks: dict[str, int] = {}
        self._left = MAX_VALUES
        self._makers: dict[str, Callable[[Any], Any]] = {
            "null": lambda _: None,
            "bool": maker.construct_yaml_bool,
            "int": maker.construct_yaml_int,
            "float": maker.construct_yaml_float,
        }

    def value(self, node: Any, path: str, depth: int) -> Any:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise _TooMuchError
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            return [self.value(entry, f"{path}[{number}]", depth + 1) for number, entry in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: Any, path: str, depth: int) -> dict[str, Any]:
        from ruamel.yaml.nodes import ScalarNode

        made: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, entry in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                message = f"line {line} has a list or a mapping for a name"
                self.findings.append(replace(error(path, "yaml", message, "Write a plain name"), line=line))
                continue
            name = key.value
            at = f"{path}.{part(name)}" if path else part(name)
            if name == "<<" and not key.style:
                merged |= _merged(self.value(entry, at, depth + 1))
                continue
            if name in first:
                message = f"{shown(name)} is given in line {first[name]} and again in line {line}"
                self.findings.append(replace(error(at, "twice", message, "Keep one of them"), line=line))
                continue
            first[name] = self.lines[at] = line
            made[name] = self.value(entry, at, depth + 1)
        return merged | made

    def _scalar(self, node: Any, path: str) -> Any:
        tag = str(node.tag or "")
        kind = tag.removeprefix("tag:yaml.org,2002:")
        if node.style == "|":
            self.blocks[path] = node.start_mark.line + 2
        if not tag.startswith("tag:yaml.org"):
            message = f"{tag} is a tag, and Automation knows none"
            hint = "Write the value; a tag such as !Ref belongs into a CloudFormation template"
            self.findings.append(warning(path, "tag", message, hint))
        if kind not in self._makers:
            return str(node.value)
        try:
            made = self._makers[kind](node)
        except (ValueError, LookupError, ArithmeticError):
            return str(node.value)
        return str(node.value) if isinstance(made, int) and made.bit_length() > MAX_BITS else made


def _merged(value: Any) -> dict[str, Any]:
    """What `<<` brings along: of several mappings, the first that has a name wins."""
    made: dict[str, Any] = {}
    for one in reversed(value if isinstance(value, list) else [value]):
        made |= one if isinstance(one, dict) else {}
    return made
