"""Shapes: what a value has to look like, as a table says it, and what is told where it looks otherwise.

A table has a `Field` for each name. A value that is one `{{ reference }}` fits every shape: what it stands for is known
only when the runbook runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cli.lint.finding import Finding, error, meant, nearest, warning
from patchtide.core.problem import part, shown

ONE_REFERENCE = re.compile(r"\s*\{\{([^{}]*)\}\}\s*")
HAS_REFERENCE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_DIGITS = re.compile(r"\s*-?[0-9]{1,18}\s*")


class Kind(StrEnum):
    """What a value is, in the words of its findings."""

    ANY = "anything"
    TEXT = "text"
    SCALAR = "text or a number"
    INTEGER = "a whole number"
    BOOLEAN = "true or false"
    LIST = "a list"
    MAP = "a mapping"


@dataclass(frozen=True)
class Field:
    """What a name takes. `least` and `most` bound a number, the characters of a text or the entries of a list."""

    kind: Kind = Kind.TEXT
    required: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    least: int | None = None
    most: int | None = None
    of: Field | None = None

    def bounds(self) -> str:
        """From where to where, in words."""
        if self.most is None:
            return f"at least {self.least}"
        return f"at most {self.most}" if self.least is None else f"{self.least} to {self.most}"


Table = Mapping[str, Field]


def as_map(value: object) -> Mapping[str, Any]:
    """The value if it is a mapping, else one that is empty."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: object) -> Sequence[Any]:
    """The value if it is a list, else one that is empty."""
    return value if isinstance(value, list) else []


def as_int(value: object) -> int | None:
    """The whole number that a value is, or that it has in quotes."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def below(path: str, name: object) -> str:
    """The path of a name inside of what stands at a path."""
    return f"{path}.{part(str(name))}" if path else part(str(name))


def one_reference(value: object) -> str | None:
    """What a value refers to, if it is one reference and nothing else."""
    found = ONE_REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return found[1].strip() if found else None


def check_names(said: Mapping[str, Any], table: Table, path: str, called: str) -> Iterator[Finding]:
    """What a mapping has that its table has not, and what it lacks."""
    for name in said:
        if name not in table:
            hint = meant(name, table, f"Remove it; {called} has {', '.join(table) or 'none'}")
            yield error(below(path, name), "unknown", f"{shown(name)} is nothing that {called} has", hint)
    for name, field in table.items():
        if field.required and name not in said:
            yield error(below(path, name), "missing", f"{called} has to have {name}", f"Add {name}: {field.kind}")


def check_values(said: Mapping[str, Any], table: Table, path: str) -> Iterator[Finding]:
    """What is wrong with each value by itself."""
    for name, value in said.items():
        if name in table:
            yield from check(value, table[name], below(path, name))


def check(value: Any, field: Field, path: str) -> Iterator[Finding]:
    """What is wrong with a value."""
    if one_reference(value) is not None or field.kind is Kind.ANY:
        return
    if not _fits(value, field.kind):
        yield _misfit(value, field.kind, path)
    if isinstance(value, str) and field.kind in (Kind.TEXT, Kind.SCALAR):
        yield from _text(value, field, path)
    elif isinstance(value, list) and field.kind is Kind.LIST:
        yield from _bounds(len(value), field, path, f"has {len(value)} entries")
        for place, entry in enumerate(value):
            yield from check(entry, field.of or _ANYTHING, f"{path}[{place}]")
    elif field.kind is Kind.INTEGER and (number := as_int(value)) is not None:
        yield from _bounds(number, field, path, f"is {number}")


_ANYTHING = Field(Kind.ANY)
_CLASSES: Mapping[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str,),
    Kind.SCALAR: (str, int, float),
    Kind.INTEGER: (int,),
    Kind.BOOLEAN: (bool,),
    Kind.LIST: (list,),
    Kind.MAP: (dict,),
}


def _fits(value: Any, kind: Kind) -> bool:
    return isinstance(value, _CLASSES[kind]) and (kind is Kind.BOOLEAN or not isinstance(value, bool))


def _misfit(value: Any, kind: Kind, path: str) -> Finding:
    """A value of another kind. Where it could be read as one of the right kind, nothing says whether Automation does."""
    hint = ""
    match kind, value:
        case Kind.TEXT, bool() | int() | float():
            hint = f'Quote it: "{shown(value)}"'
        case Kind.INTEGER, str() if _DIGITS.fullmatch(value):
            hint = "Write it without quotes"
        case Kind.BOOLEAN, str() if value.casefold() in ("true", "false"):
            hint = f"Write {value.casefold()}, without quotes"
        case Kind.LIST, str() | int() | float():
            hint = "Write it behind a dash, or in brackets"
    if hint:
        return warning(path, "type", f"{shown(value)} is not {kind}, as it is documented to be", hint)
    return error(path, "type", f"{'nothing' if value is None else shown(value)} is not {kind}", f"Write {kind}")


def _text(value: str, field: Field, path: str) -> Iterator[Finding]:
    literal = HAS_REFERENCE.sub("", value)
    if literal != value:  # only the length of what is certain can be too much
        if field.most is not None and len(literal) > field.most:
            yield error(path, "range", f"it has more than {field.most} characters", f"It takes {field.bounds()}")
        return
    yield from _bounds(len(value), field, path, f"has {len(value)} characters")
    if field.choices and value not in field.choices:
        near = nearest(value, field.choices)
        message = f"{shown(value)} is not one of {', '.join(field.choices)}"
        spelled = near is not None and near.casefold() == value.casefold()
        hint = f"Write {near}" if near else f"Write one of {', '.join(field.choices)}"
        yield (warning if spelled else error)(path, "choice", message, hint)
    elif field.pattern and not re.fullmatch(field.pattern, value):
        yield error(path, "pattern", f"{shown(value)} does not match {field.pattern}", "Write it as AWS takes it")


def _bounds(size: int, field: Field, path: str, what: str) -> Iterator[Finding]:
    if (field.least is not None and size < field.least) or (field.most is not None and size > field.most):
        yield error(path, "range", f"it {what}", f"It takes {field.bounds()}")
