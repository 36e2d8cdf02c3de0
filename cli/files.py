"""Campaign files: YAML or JSON, one campaign a file."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cli.console import Exit, fail
from patchtide.core.problem import Problem, part, shown

LARGEST = 1_000_000  # bytes of a file that is read; an item holds 400 KB


@dataclass(frozen=True)
class File:
    """A campaign file as it was found: the document in it, if there is one, and what is wrong with the file itself.

    `lines` has the line of each path in it, without case, `_` and `-`.
    """

    document: Mapping[str, Any] | None = None
    problems: tuple[Problem, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)

    def placed(self, problem: Problem) -> Problem:
        """The problem with its line: where its path stands, or else what that is a part of."""
        path, shorter = "", problem.path
        while problem.line is None and path != shorter:
            path = shorter
            if line := self.lines.get(_fold(path)):
                return replace(problem, line=line)
            shorter = re.sub(r"[.\[][^.\[]*$", "", path)
        return problem


def load(path: Path) -> Mapping[str, Any]:
    """The document in the file. Ends with a sentence where there is none."""
    file = examine(path)
    if file.document is None or file.problems:
        fail(Exit.INVALID, "\n".join(said(path, problem) for problem in file.problems))
    return file.document


def said(path: Path, problem: Problem, kind: str = "error") -> str:
    """A problem as compilers say theirs, so that editors find the line."""
    place = f"{path}:{problem.line}" if problem.line else f"{path}"
    return f"{place}: {kind}: {problem}"


def examine(path: Path) -> File:
    """The file as it was found. Ends with a sentence where there is no such file."""
    return understood(content_of(path))


def content_of(path: Path, what: str = "a campaign") -> bytes:
    """The file's bytes, or as many of them as show that it is too large. Ends with a sentence where there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        fail(Exit.USAGE, f"{path}: {error.strerror}. Give the path of {what} file")


def understood(content: bytes, what: str = "a campaign") -> File:
    """What a file with that content is."""
    if len(content) > LARGEST:
        return _refused("size", f"the file is larger than {LARGEST} bytes", f"Give {what} file: none is that large")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"line {line} is not UTF-8 text: {content[error.start : error.end]!r}"
        return _refused("encoding", message, "Save it as UTF-8", line)
    return _parsed(text, what)


def _refused(code: str, message: str, hint: str, line: int | None = None) -> File:
    return File(None, (Problem("", code, message, hint, None, line),))


_HINTS = (
    ("'\\t'", "Indent with blanks, not with tabs"),
    ("single document", "Write one campaign a file"),
    ("tag", "Write plain values: there are no tags such as !Ref here"),
    ("mapping values are not allowed", "Quote the value if it has a colon, or look at the indentation"),
    ("alias", "Quote the value if it begins with *"),
    ("special characters", "Remove the control character"),
)
_HINT = "Mend that line: look at its indentation, and quote values that have : # * & ! [ { or @ in them"


def _parsed(text: str, what: str) -> File:
    try:
        with warnings.catch_warnings(action="ignore"):  # what may be meant otherwise is told by its own field
            document, root = _read(text)
        lines, twice = _survey(root)
    except Exception as error:  # noqa: BLE001 - some files are such that ruamel itself falls over them
        return _not_yaml(error, text)
    if not isinstance(document, Mapping):
        code, kind = ("empty", "nothing") if document is None else ("not-a-mapping", _kind(document))
        return _refused(code, f"the file holds {kind}, not {what}", "Write `field: value` lines")
    return File({str(name): value for name, value in document.items()}, tuple(twice), lines)


def _not_yaml(error: Exception, text: str) -> File:
    if isinstance(error, RecursionError):
        return _refused("yaml", "the file is nested too deeply", "No field is more than a few deep")
    what = (getattr(error, "problem", None) or str(error).partition("\n")[0])[:200]
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = getattr(error, "position", None)
    line = mark.line + 1 if mark else text.count("\n", 0, position) + 1 if isinstance(position, int) else None
    hint = next((hint for words, hint in _HINTS if words in what), _HINT)
    return _refused("yaml", f"{f'line {line}' if line else 'the file'} is not YAML: {what}", hint, line)


def _kind(document: object) -> str:
    kinds = {list: "a list", str: "text", set: "a set", bool: "true or false", bytes: "binary data"}
    return kinds.get(type(document), "a number")


def _read(text: str) -> tuple[Any, Any]:
    """The document, and the tree of YAML's nodes that knows where everything stands."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import ConstructorError, SafeConstructor

    roots = []

    class Constructor(SafeConstructor):
        """Dates are left as they are written: one that does not exist is told with its path, as every other value is."""

        def construct_document(self, node: Any) -> Any:
            roots.append(node)
            return super().construct_document(node)

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep=deep)
            except (ValueError, LookupError, ArithmeticError) as error:
                raise ConstructorError(None, None, f"{error}", node.start_mark) from error

    Constructor.yaml_multi_constructors = {}  # whoever adds one to SafeConstructor adds it for the whole process
    Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    yaml.allow_duplicate_keys = True  # they are all told, by `_survey`
    document, is_json = _json(text)
    # YAML reads JSON too, but for tabs (which JSON has nowhere else) and for halves of characters.
    found = yaml.load(text.replace("\t", " ") if is_json else text)
    return document if is_json else found, roots[0] if roots else None


def _json(text: str) -> tuple[Any, bool]:
    try:
        return (json.loads(text), True) if text.lstrip().startswith("{") else (None, False)
    except ValueError:
        return None, False


def _survey(root: Any) -> tuple[dict[str, int], list[Problem]]:
    """The line of each path, and a problem for each key that a mapping has twice."""
    from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

    lines: dict[str, int] = {}
    twice: list[Problem] = []
    seen: set[int] = set()  # an alias is the same node again
    waiting = [("", root)]
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            for number, entry in enumerate(node.value):
                lines.setdefault(_fold(f"{path}[{number}]"), entry.start_mark.line + 1)
                waiting.append((f"{path}[{number}]", entry))
        elif isinstance(node, MappingNode):
            first: dict[str, int] = {}
            for key, entry in node.value:
                if not isinstance(key, ScalarNode):
                    continue
                line, at = key.start_mark.line + 1, f"{path}.{part(key.value)}" if path else part(key.value)
                if key.value in first:
                    message = f"{shown(key.value)} is given in line {first[key.value]} and again in line {line}"
                    twice.append(Problem(at, "twice", message, "Keep one of them", None, line))
                first.setdefault(key.value, line)
                lines.setdefault(_fold(at), line)
                waiting.append((at, entry))
    return lines, sorted(twice, key=lambda problem: problem.line or 0)


def _fold(path: str) -> str:
    return path.replace("_", "").replace("-", "").lower()
