"""How the command speaks: data on stdout, prose on stderr, and an exit code that a script can read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 200  # columns where nobody's window sets a limit


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width, console.soft_wrap = WIDE, True
    return console


data = _console(stderr=False)
prose = _console(stderr=True)


class Exit(IntEnum):
    """What the exit code says."""

    OK = 0
    ERROR = 1
    USAGE = 2
    CREDENTIALS = 4
    INVALID = 5
    RUN_FAILED = 6
    TIMED_OUT = 7
    INTERRUPTED = 130


class Format(StrEnum):
    """How data is written."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[Format, typer.Option("--output", "-o", help="How data is written to stdout.")]


def write_json(value: object) -> None:
    """The value on stdout, as JSON that other programs read."""
    data.print(json.dumps(value, indent=2, default=str), markup=False, soft_wrap=True)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows on stdout, as wide as they need to be where stdout is no terminal."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    data.print(table, soft_wrap=False)


def write_fields(fields: Mapping[str, object]) -> None:
    """Names and values on stdout, a line each."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        data.print(f"{name:<{width}}  {value}", markup=False)


def say(text: str) -> None:
    """A sentence for people, on stderr."""
    prose.print(text, markup=False)


def fail(code: Exit, text: str) -> NoReturn:
    """Say why on stderr, and end with the code."""
    say(text)
    raise typer.Exit(code)


def now() -> datetime:
    """The moment, read here and nowhere else in the command."""
    return datetime.now(UTC)


def stamp(moment: datetime | None) -> str | None:
    """An instant as the JSON answers write it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else None
