"""`patchtide simulate`: the campaign's next occurrence, played before it happens. No network, no credentials."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer

from cli.console import (
    Exit,
    Format,
    Output,
    Query,
    data,
    fail,
    now,
    prose,
    say,
    write,
    write_fields,
    write_lines,
    write_table,
)

if TYPE_CHECKING:
    from cli.files import File
    from patchtide.core.campaign import Campaign
    from patchtide.core.problem import Problem
    from simulator.pretend import Fleet
    from simulator.rehearsal import Closure, Rehearsal, WaveTold

PATIENCE = 2  # seconds after which a terminal is shown how far it is
WIDEST = 72  # columns of the picture, wherever it is drawn
TOP = 8  # calls that are listed by name
HOURS = (1, 2, 3, 6, 12, 24, 48, 72, 168, 336, 672)  # between two marks of the ruler
MARK = 8  # columns that a mark takes


def simulate(
    file: Annotated[Path, typer.Argument(help="A campaign file, YAML or JSON.")],
    fleet: Annotated[
        Path | None,
        typer.Option(help="A file with the accounts and instances; else they are made up from the campaign."),
    ] = None,
    instances: Annotated[
        int, typer.Option(help="How many instances each location of a made-up fleet has.", min=1, max=500)
    ] = 5,
    failure_rate: Annotated[
        str, typer.Option(help="The share of the instances that something is the matter with, e.g. 5%.")
    ] = "0%",
    seed: Annotated[int, typer.Option(help="Another seed is another story; the same is the same.")] = 1,
    approve: Annotated[
        bool, typer.Option("--approve/--no-approve", help="Approve what asks for it, or let it lapse.")
    ] = True,
    closed: Annotated[
        list[str] | None,
        typer.Option(
            help="A calendar of the campaign's that is closed, NAME or NAME=2026-12-20..2027-01-05; repeat for more."
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Take it to be this moment; ISO 8601, UTC unless it says. Else it is now.")
    ] = None,
    default_region: Annotated[
        list[str] | None, typer.Option(help="A Region of the stack's DefaultRegions; repeat for more.")
    ] = None,
    mails: Annotated[bool, typer.Option("--mails", help="Also the text of every alert.")] = False,
    output: Output = Format.TABLE,
    query: Query = "",
) -> None:
    """Play the campaign's next occurrence on a pretend fleet: the real engine, virtual time, no AWS.

    Shows when each wave would start and end, whom it would ask, every alert, the calls and what they cost. Exits 6 when the run
    would not end well.
    """
    del query  # it was chosen when it was read
    moment, rate = _moment(at), _percent(failure_rate)
    document, campaign = _campaign(file, tuple(default_region or ()), moment, output)
    pretended = _fleet(fleet, campaign, output) if fleet else None
    closures = [_closure(text, campaign) for text in closed or ()]
    from patchtide.core.errors import OperatorError
    from simulator.rehearsal import as_json, rehearse

    try:
        with _progress() as heard:
            told = rehearse(
                document,
                pretended,
                seed,
                rate,
                moment,
                heard,
                instances=instances,
                approve=approve,
                closed=closures,
                freezes=dict(_beside(file, campaign)),
            )
    except OperatorError as error:
        fail(Exit.INVALID, f"{file}: {error}")
    write(as_json(told), lambda: _show(told, mails=mails))
    for note in told.notes:
        say(f"Note: {note}")
    if told.violations:
        fail(Exit.ERROR, f"This must never be, please report it: {told.violations[0]}")
    if not told.fine:
        raise typer.Exit(Exit.RUN_FAILED)


# --- what is played -----------------------------------------------------------------------------------------------------


def _moment(text: str | None) -> datetime:
    if text is None:
        return now()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}. Write e.g. 2026-12-01T09:00", param_hint="--at") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _percent(text: str) -> float:
    from patchtide.core.fields import Percent

    return float(_checked(Percent, text, "--failure-rate"))


def _closure(text: str, campaign: Campaign) -> Closure:
    """A closed calendar as it is typed: its name, and after an equals sign the days, if not all."""
    from patchtide.core.fields import FreezeText
    from simulator.rehearsal import Closure

    name, _, days = text.partition("=")
    known = {one.rpartition("/")[2] for one in campaign.calendars}
    if name not in {*known, *campaign.calendars}:
        has = f"has {', '.join(sorted(known))}" if known else "has none"
        raise typer.BadParameter(f"{name!r} is no calendar of the campaign, which {has}", param_hint="--closed")
    when = _checked(FreezeText, days, "--closed") if days else None
    if isinstance(when, str):
        raise typer.BadParameter(f"{when!r} is a file. Write {name}=2026-12-20..2027-01-05", param_hint="--closed")
    return Closure(name, when)


def _checked(kind: Any, text: str, option: str) -> Any:
    """The value that the text stands for, by the rules for campaigns."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        said = error.errors()[0]["ctx"]
        raise typer.BadParameter(f"{said['message']}. {said['hint']}", param_hint=option) from error


def _campaign(
    path: Path, regions: tuple[str, ...], moment: datetime, output: Format
) -> tuple[Mapping[str, Any], Campaign]:
    """The document in the file, with the Regions that the stack lends it, and the campaign that it means."""
    from cli.files import examine, said
    from patchtide.core.document import canonical, read

    file = examine(path)
    reading = read(file.document or {}, default_regions=regions, now=moment)
    problems = (*file.problems, *(reading.problems if file.document is not None else ()))
    if problems or file.document is None or reading.campaign is None:
        _refuse(path, file, problems, output)
    for warning in reading.warnings:
        say(said(path, file.placed(warning), "warning"))
    document = canonical(file.document)
    document.setdefault("regions", list(regions))
    return document, reading.campaign


def _fleet(path: Path, campaign: Campaign, output: Format) -> Fleet:
    from cli.files import examine
    from simulator.pretend import read_fleet

    file = examine(path)
    fleet, problems = read_fleet(file.document, campaign) if file.document is not None else (None, ())
    if file.problems or fleet is None:
        _refuse(path, file, (*file.problems, *problems), output)
    return fleet


def _refuse(path: Path, file: File, problems: Iterable[Problem], output: Format) -> NoReturn:
    """Tell what is wrong with a file as `validate` does, in the order of its lines, and end."""
    from cli.validate import report
    from patchtide.core.reading import Reading

    placed = sorted(map(file.placed, problems), key=lambda problem: (problem.line is None, problem.line or 0))
    report({path: Reading(None, tuple(placed))}, output)
    raise typer.Exit(Exit.INVALID)


def _beside(file: Path, campaign: Campaign) -> Iterator[tuple[str, str]]:
    """The freeze files that lie beside the campaign under their keys, as they would in the stack's bucket."""
    for key in campaign.freeze_files:
        path = file.parent / key
        if path.is_file():
            yield key, path.read_text(encoding="utf-8-sig", errors="replace")


@contextmanager
def _progress() -> Iterator[Callable[[float, str], None]]:
    """Who hears how far it is, and shows it on a terminal once that takes longer than people like to wait unasked."""
    if not prose.is_terminal:
        yield lambda _share, _line: None
        return
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(BarColumn(), TextColumn("{task.description}"), console=prose.real, transient=True)
    task, begun = bar.add_task("", total=1.0), time.monotonic()

    def heard(share: float, line: str) -> None:
        if time.monotonic() > begun + PATIENCE:
            bar.start()
            bar.update(task, completed=share, description=escape(line))

    try:
        yield heard
    finally:
        bar.stop()


# --- what is shown ------------------------------------------------------------------------------------------------------


def _show(told: Rehearsal, *, mails: bool) -> None:
    local = _Local(told.timezone)
    write_fields(dict(_head(told, local)))
    _title(f"Timeline, {told.timezone}")
    write_table(("when", "wave", "what"), [(local(one.at), one.wave, one.what) for one in told.timeline])
    if told.waves:
        _title("Waves")
        write_lines(picture(told, max(20, min(WIDEST, data.width - 50))))
        _title("Outcomes")
        write_table(_COLUMNS, [_row(wave, local) for wave in told.waves])
    _title("Alerts")
    write_table(("when", "severity", "subject"), [(local(one.at), one.severity, one.subject) for one in told.alerts])
    if mails:
        for one in told.alerts:
            write_lines(("", f"--- {local(one.at)} {one.severity}", f"Subject: {one.subject}", "", one.body))
    _title("AWS calls")
    write_table(("call", "times"), _calls(told.calls))
    _title("What it costs")
    write_table(("unit", "count"), _units(told))


def _title(text: str) -> None:
    data.print(f"\n{text}", style="bold", markup=False)


class _Local:
    """Instants as people in the campaign's zone read them."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)

    def __call__(self, moment: datetime | None) -> str:
        return f"{moment.astimezone(self.zone):%a %d %b %H:%M %Z}" if moment else ""


def _head(told: Rehearsal, local: _Local) -> Iterator[tuple[str, object]]:
    fleet = told.fleet
    yield "campaign", told.campaign
    yield "occurrence", f"{local(told.scheduled_at)} ({told.scheduled_at:%Y-%m-%dT%H:%M:%SZ})"
    yield "run", told.run
    source = "made up from the campaign" if fleet.made_up else "as the file says"
    size = f"{_many(fleet.instances, 'instance')} in {_many(fleet.accounts, 'account')} and {_many(fleet.regions, 'Region')}"
    yield "fleet", f"{size}, {source}; seed {told.seed}"
    if fleet.behaviours:
        troubles = ", ".join(f"{count} {name}" for name, count in fleet.behaviours.items())
        yield "trouble", f"{sum(fleet.behaviours.values())} of them: {troubles}"
    yield "ended", f"{told.state} {local(told.ended_at)}: {told.why}"
    yield "the world", f"{_many(told.installs, 'install')} delivered, {_seen(told.violations)}"


def _seen(violations: tuple[str, ...]) -> str:
    return "; ".join(violations) or "none twice, none outside of a window"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_COLUMNS = ("wave", "state", "expected", "outcomes", "executions", "started", "ended", "took")


def _row(wave: WaveTold, local: _Local) -> tuple[object, ...]:
    done = ", ".join(f"{count} {outcome}" for outcome, count in wave.outcomes.items())
    beyond = f"{_many(wave.out_of_reach, 'location')} out of reach" if wave.out_of_reach else ""
    said = ", ".join(part for part in (done, beyond) if part)
    took = _span(wave.took) if wave.took else ""
    started, ended = local(wave.started_at), local(wave.ended_at)
    return wave.name, wave.state, wave.expected or "", said, wave.executions or "", started, ended, took


def _span(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    parts = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 min"


def _calls(calls: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    most = sorted(calls.items(), key=lambda entry: (-entry[1], entry[0]))
    yield from most[:TOP]
    if len(most) > TOP:
        yield f"{len(most) - TOP} others", sum(count for _, count in most[TOP:])
    yield "total", sum(calls.values())


def _units(told: Rehearsal) -> Iterator[tuple[str, object]]:
    units = told.units
    price = f"${units.dollars:.2f} by the prices of {units.prices_of}"
    yield "Automation steps", f"{units.automation_steps}, {units.script_steps} of them scripts: {price}"
    woken = ", ".join(f"{count} {name}" for name, count in units.invocations.items())
    yield "Lambda invocations", f"{sum(units.invocations.values())}: {woken}"
    yield "DynamoDB reads", units.dynamodb_reads
    yield "DynamoDB writes", f"{units.dynamodb_writes}, {units.dynamodb_rows_written} rows"
    yield "SNS publishes", units.sns_publishes
    yield "SQS messages", units.sqs_messages
    yield "S3 puts", units.s3_puts
    if units.idle_minutes:
        yield "idle minutes", f"{units.idle_minutes}, in each of which two functions look and find nothing to do"


# --- the picture --------------------------------------------------------------------------------------------------------


def picture(told: Rehearsal, width: int) -> Iterator[str]:
    """The waves over time, a row each, so many columns wide: when each is open, at work and baking, and what its gate said."""
    begins = min(wave.window_start for wave in told.waves)
    ends = max(told.ended_at, *(wave.window_end for wave in told.waves))
    left = max(len(wave.name) for wave in told.waves)
    yield f"{'':{left}}  {_ruler(begins, ends, ZoneInfo(told.timezone), width)}".rstrip()
    for wave in told.waves:
        yield f"{wave.name:{left}}  {_bar(wave, begins, ends, width)}  {_words(wave)}".rstrip()
    yield f"{'':{left}}  █ patching  ▒ bake time  ░ window"


def _bar(wave: WaveTold, begins: datetime, ends: datetime, width: int) -> str:
    cells = [" "] * width
    spans: tuple[tuple[str, datetime | None, datetime | None], ...] = (
        ("░", wave.window_start, wave.window_end),
        ("▒", wave.ended_at, wave.baked_at),
        ("█", wave.started_at, wave.ended_at),
    )
    for cell, since, until in spans:
        if since and until and (until > since or cell == "█"):
            first = min(width - 1, _column(since, begins, ends, width))
            last = max(first, _column(until - timedelta(seconds=1), begins, ends, width))
            cells[first : last + 1] = [cell] * (last - first + 1)
    return "".join(cells[:width])


def _column(moment: datetime, begins: datetime, ends: datetime, width: int) -> int:
    return int((moment - begins) / (ends - begins) * width)


def _words(wave: WaveTold) -> str:
    """What people decided about a wave, and what its gate did."""
    parts = [f"approved by {wave.approved_by}" if wave.approved_by else "", "" if wave.started_at else wave.state]
    if wave.gate == "passed":
        soak = wave.baked_at - wave.ended_at if wave.baked_at and wave.ended_at else timedelta(0)
        parts.append("gate passed" + (f", bakes {_span(soak)}" if soak else ""))
    elif wave.gate:
        parts.append(f"gate says {wave.gate}")
    return ", ".join(part for part in parts if part)


def _ruler(begins: datetime, ends: datetime, zone: ZoneInfo, width: int) -> str:
    """Marks of days or hours, in local time, as many as there is room for."""
    hours = (ends - begins) / timedelta(hours=1)
    every = next((step for step in HOURS if width * step / hours >= MARK), HOURS[-1])
    line = [" "] * (width + MARK)
    for moment in _full_hours(begins, ends):
        local = moment.astimezone(zone)
        if local.minute == 0 and (local.toordinal() * 24 + local.hour) % every == 0:
            mark, column = f"{local:%H:%M}" if every < 24 else f"{local:%a %d}", _column(moment, begins, ends, width)
            line[column : column + len(mark)] = mark
    return "".join(line).rstrip()


def _full_hours(begins: datetime, ends: datetime) -> Iterator[datetime]:
    """Every quarter of an hour, since not all zones are whole hours away from each other."""
    moment = begins.replace(minute=begins.minute // 15 * 15, second=0, microsecond=0)
    while moment < ends:
        if moment >= begins:
            yield moment
        moment += timedelta(minutes=15)
