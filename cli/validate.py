"""`patchtide validate` and `patchtide schedule`: what can be told without a network and without credentials."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import Exit, Format, Output, Query, fail, now, say, stamp, write, write_json, write_table

if TYPE_CHECKING:
    from patchtide.core.problem import Problem
    from patchtide.core.reading import Reading


def validate(
    files: Annotated[list[Path], typer.Argument(help="Campaign files, YAML or JSON.")],
    default_region: Annotated[
        list[str] | None, typer.Option(help="A Region of the stack's DefaultRegions; repeat for more.")
    ] = None,
    output: Output = Format.TABLE,
    query: Query = "",
) -> None:
    """Check campaign files as the service will, offline: all errors at once, each with its path, value and fix."""
    del query  # it was chosen when it was read
    readings = {path: _checked(path, tuple(default_region or ())) for path in files}
    report(readings, output)
    if any(reading.problems for reading in readings.values()):
        raise typer.Exit(Exit.INVALID)


def _checked(path: Path, regions: tuple[str, ...]) -> Reading:
    """What the file says, with all that is wrong in the order of its lines."""
    from cli.files import examine
    from patchtide.core.document import read
    from patchtide.core.reading import Reading

    file = examine(path)
    reading = Reading(None) if file.document is None else read(file.document, default_regions=regions, now=now())
    problems = [file.placed(problem) for problem in (*file.problems, *reading.problems)]
    problems.sort(key=lambda problem: (problem.line is None, problem.line))
    warnings = tuple(file.placed(warning) for warning in reading.warnings)
    return Reading(None if problems else reading.campaign, tuple(problems), warnings)


def schema() -> None:
    """The JSON Schema of a campaign, for editors: every field with what it is, its type and its default."""
    from patchtide.core.document import schema

    write_json(schema())


def report(readings: Mapping[Path, Reading], output: Format) -> None:
    """What was read: one object for one file, and a list for several."""
    del output  # it was chosen when it was read
    answers = [_answer(path, reading) for path, reading in readings.items()]
    write(answers[0] if len(answers) == 1 else answers, lambda: _tell(readings))


def _tell(readings: Mapping[Path, Reading]) -> None:
    from cli.files import said

    for path, reading in readings.items():
        for problem in reading.problems:
            say(said(path, problem))
        for warning in reading.warnings:
            say(said(path, warning, "warning"))
        if reading.campaign:
            say(f"{path}: valid")


def _answer(path: Path, reading: Reading) -> dict[str, object]:
    return {
        "file": str(path),
        "valid": reading.campaign is not None,
        "errors": [_problem(problem) for problem in reading.problems],
        "warnings": [_problem(problem) for problem in reading.warnings],
    }


def _problem(problem: Problem) -> dict[str, object]:
    line = {} if problem.line is None else {"line": problem.line}
    return {"path": problem.path, "code": problem.code, "message": problem.message, "hint": problem.hint, **line}


def schedule(
    expression: Annotated[str, typer.Argument(help="cron(…), rate(…) or at(…), as AWS writes them.")],
    timezone: Annotated[str, typer.Option(help="IANA zone in which the expression is read.")] = "UTC",
    offset: Annotated[int, typer.Option(help="Days after the expression's date.", min=0, max=27)] = 0,
    after: Annotated[
        str | None, typer.Option(help="Only occurrences after this; ISO 8601, UTC unless it says.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 5,
    start_date: Annotated[str | None, typer.Option(help="First date, ISO 8601.")] = None,
    end_date: Annotated[str | None, typer.Option(help="Last date, ISO 8601.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """When a schedule is due next, in its zone and in UTC. The service computes occurrences by the same function."""
    from zoneinfo import ZoneInfoNotFoundError

    from patchtide.core.errors import InvalidSchedule
    from patchtide.core.schedule import Schedule, occurrences

    try:
        wanted = Schedule(expression, timezone, offset, _date(start_date), _date(end_date))
        found = list(islice(occurrences(wanted, _moment(after) if after else now()), count))
    except InvalidSchedule as error:
        fail(Exit.INVALID, str(error))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        fail(Exit.INVALID, f"{error}. Write an IANA zone such as Europe/London, and dates as yyyy-mm-dd")
    if output is Format.JSON:
        write_json([{"at": stamp(o.at), "local": o.local.isoformat(), "note": o.note} for o in found])
        return
    write_table(("at", "local", "note"), [(stamp(o.at), f"{o.local:%a %Y-%m-%d %H:%M %Z}", o.note) for o in found])
    if not found:
        say("No occurrence is left to come.")


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
