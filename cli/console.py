"""How the command speaks: data on stdout, prose on stderr, and an exit code that a script can read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 200  # columns where nobody's window sets a limit


class _Lazy:
    """A console that is made when something is first written to it: what draws takes long to import."""

    def __init__(self, *, stderr: bool) -> None:
        self.__dict__.update(stderr=stderr, made=None, colours=True)

    @property
    def real(self) -> Console:
        """The console itself."""
        if self.__dict__["made"] is None:
            from rich.console import Console

            made = Console(stderr=self.__dict__["stderr"], highlight=False, emoji=False)
            if not made.is_terminal:
                made.width, made.soft_wrap = WIDE, True
            self.__dict__["made"] = made
        return cast("Console", self.__dict__["made"])

    def print(self, *shown: Any, **how: Any) -> None:
        """Write it, with what would move the cursor or colour the rest spelled out: people name their servers as they like."""
        self.real.print(*(harmless(one) if isinstance(one, str) else one for one in shown), **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def harmless(text: str, kept: str = "\n\t") -> str:
    """The text with every character that a terminal would obey, or that hides others, as people write it: \\x1b, \\u202e."""
    return "".join(one if one.isprintable() or one in kept else _spelled(one) for one in text)


def _spelled(one: str) -> str:
    return one.encode("unicode_escape").decode()


data = _Lazy(stderr=False)
prose = _Lazy(stderr=True)


def colourless(wanted: bool) -> bool:
    """Write without colours from here on; so does the environment's NO_COLOR."""
    if wanted:
        data.real.no_color = prose.real.no_color = True
    return wanted


class Exit(IntEnum):
    """What the exit code says."""

    OK = 0
    ERROR = 1
    USAGE = 2
    DIFFERENT = 3
    CREDENTIALS = 4
    INVALID = 5
    RUN_FAILED = 6
    TIMED_OUT = 7
    NOT_COMPLIANT = 8
    INTERRUPTED = 130


class Format(StrEnum):
    """How data is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


@dataclass
class _Chosen:
    """How the command that is running writes its data."""

    output: Format = Format.TABLE
    query: str = ""


_chosen = _Chosen()


def _choose_output(output: Format) -> Format:
    _chosen.output = output
    return output


def _choose_query(query: str) -> str:
    if query:
        from jmespath import compile as parse
        from jmespath.exceptions import JMESPathError

        try:
            parse(query)
        except JMESPathError as error:
            raise typer.BadParameter(f"{query!r} is no JMESPath expression: {error}") from error
    _chosen.query = query
    return query


Output = Annotated[
    Format, typer.Option("--output", "-o", callback=_choose_output, help="How data is written to stdout.")
]
Query = Annotated[str, typer.Option("--query", callback=_choose_query, help="Only this part of the data, as JMESPath.")]


def write(value: object, table: Callable[[], None]) -> None:
    """The data on stdout as it was asked for: `table` writes it for people, everything else is for programs."""
    output, query = _chosen.output, _chosen.query
    if output is Format.TABLE and not query:
        table()
        return
    plain = json.loads(json.dumps(value, default=_plain))
    if query:
        from jmespath import search

        plain = search(query, plain)
    match output:
        case Format.CSV:
            text = _csv(plain)
            data.file.write(harmless(text, kept="\n\r\t") if data.is_terminal else text)
        case Format.YAML:
            data.file.write(_yaml(plain))
        case _:
            write_json(plain)


def _plain(value: object) -> object:
    """What DynamoDB gives that JSON does not know."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else str(value)


def _csv(value: Any) -> str:
    """Rows with a line that names the columns; what is no plain cell is JSON in its cell."""
    from patchtide.core.report.tables import safe

    rows = value if isinstance(value, list) else [value]
    rows = [row if isinstance(row, dict) else {"value": row} for row in rows]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    into = io.StringIO()
    table = csv.writer(into)
    table.writerow([safe(name) for name in columns])
    for row in rows:
        cells = (row.get(name, "") for name in columns)
        table.writerow([safe(json.dumps(cell) if isinstance(cell, (dict, list)) else cell) for cell in cells])
    return into.getvalue()


def _yaml(value: object) -> str:
    from ruamel.yaml import YAML

    into = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment] # fields stay in their order
    yaml.dump(value, into)
    return into.getvalue()


def streams() -> bool:
    """Whether a command that goes on writing does so for programs: a JSON object a line."""
    return _chosen.output is Format.JSON


def write_json(value: object) -> None:
    """The value on stdout, as JSON that other programs read."""
    data.print(json.dumps(value, indent=2, default=str), markup=False, soft_wrap=True)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows on stdout, as wide as they need to be where stdout is no terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(harmless(str(cell), kept="")) for cell in row))
    data.print(table, soft_wrap=False)


def write_lines(lines: Iterable[str]) -> None:
    """Lines on stdout as they are."""
    for line in lines:
        data.print(line, markup=False, soft_wrap=True)


def write_fields(fields: Mapping[str, object]) -> None:
    """Names and values on stdout, a line each."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        data.print(harmless(f"{name:<{width}}  {value}", kept=""), markup=False)


def confirm(word: str, what: str, *, yes: bool) -> None:
    """Have the word typed before something that cannot be taken back; where nobody can, `--yes` says it."""
    if yes:
        return
    try:
        typed = typer.prompt(f"Type {word} to {what}", err=True)
    except typer.Abort:
        fail(Exit.USAGE, f"Nobody was there to confirm. To {what} without a terminal, say --yes.")
    if typed != word:
        fail(Exit.ERROR, "Nothing was changed.")


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
