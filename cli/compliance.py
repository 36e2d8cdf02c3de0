"""`patchtide compliance …`: how compliant everything is, was, and why not."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import Exit, data, fail, now, say, stamp, write, write_lines, write_table
from cli.hub import Hub, online

if TYPE_CHECKING:
    from patchtide.core.history import Point

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="How compliant everything is, how it was, and what is missing."
)

Subject = Annotated[str, typer.Argument(help="A run's id, or a campaign: then its last run.")]
Into = Annotated[Path, typer.Option("--out", help="The folder that the files are written into.")]
BARS = "▁▂▃▄▅▆▇█"
POINT = ("run", "state", "expected", "excepted", "compliant", "percent", "percentWithExceptions")


@app.command()
@online
def summary(
    at: Hub,
    campaign: Annotated[str | None, typer.Argument(help="Only this campaign, account by account.")] = None,
    fail_under: Annotated[float, typer.Option(help="Exit with 8 when any is less compliant than this percentage.")] = 0,
) -> None:
    """How each campaign came out the last time; of one campaign, each account."""
    found = list(_last_of_accounts(campaign, at)) if campaign else list(_last_of_campaigns(at))
    first = "account" if campaign else "campaign"
    rows = [[getattr(point, first), *(_cell(_told(point)[name]) for name in POINT)] for point in found]
    write([_told(point) for point in found], lambda: write_table((first, *POINT), rows))
    if any((point.compliance.percent or 0) < fail_under for point in found):
        raise typer.Exit(Exit.NOT_COMPLIANT)


def _last_of_campaigns(at: Hub) -> Iterator[Point]:
    for name in sorted(str(item["campaign"]) for item in at.items.every()):
        yield from at.runs.trend(name, 1)


def _last_of_accounts(campaign: str, at: Hub) -> Iterator[Point]:
    last = {point.account: point for point in at.runs.accounts(campaign)}
    yield from sorted(last.values(), key=lambda point: (point.compliance.percent or 0.0, point.account))


def _told(point: Point) -> dict[str, Any]:
    """A point as JSON answers write it."""
    return {
        "campaign": point.campaign,
        "run": point.run,
        "account": point.account,
        "at": stamp(point.at),
        "state": point.state,
        "operation": point.operation,
        "expected": point.compliance.expected,
        "excepted": point.compliance.excepted,
        "compliant": point.compliance.compliant,
        "percent": point.compliance.percent,
        "percentWithExceptions": point.compliance.raw_percent,
        "outcomes": dict(point.outcomes),
        "locations": point.locations,
        "unreachable": point.unreachable,
    }


def _cell(value: object) -> object:
    from patchtide.core.compliance import spoken

    return spoken(value) if isinstance(value, float) or value is None else value


@app.command()
@online
def trend(
    at: Hub,
    campaign: Annotated[str, typer.Argument(help="The campaign.")],
    account: Annotated[str, typer.Option(help="Only this account.")] = "",
    most: Annotated[int, typer.Option("--most", min=1, help="At most so many runs.")] = 13,
) -> None:
    """How compliant a campaign was, run after run, from Patchtide's own record: AWS keeps only the last patch state."""
    found = list(at.runs.accounts(campaign, account))[-most:] if account else list(at.runs.trend(campaign, most))
    write([_told(point) for point in found], lambda: _draw(found))


def _draw(found: Sequence[Point]) -> None:
    write_table(("at", *POINT), [[stamp(p.at), *(_cell(_told(p)[name]) for name in POINT)] for p in found])
    known = [point.compliance.percent for point in found]
    if known:
        data.print("".join(" " if one is None else BARS[min(7, int(one / 12.5))] for one in known), markup=False)


@app.command()
@online
def missing(
    at: Hub,
    of: Subject,
    instances: Annotated[bool, typer.Option("--instances", help="Instance by instance.")] = False,
    cve: Annotated[str, typer.Option(help="Only patches against this one, e.g. CVE-2026-12345.")] = "",
) -> None:
    """The patches that still count against instances: missing, failed, rejected or waiting for a reboot."""
    from patchtide.core.report.figures import Figures

    figures, rows = Figures(), []
    run = _run_of(of, at)
    for row, found in at.runs.patches(run):
        patches = [one for one in found if not cve or cve.upper() in one.cves]
        figures.add_patches(patches)
        rows += [
            {"account": row["account"], "region": row["region"], "instance": row["instance"]}
            | {"patch": one.title, "state": one.state, "severity": one.severity, "cves": " ".join(one.cves)}
            for one in patches
        ]
    groups = [
        {"patch": one.title, "severity": one.severity, "classification": one.classification, "instances": one.instances}
        | {"states": ", ".join(f"{count} {state}" for state, count in one.states.items())}
        for one in figures.by_patch
    ]
    shown: list[dict[str, Any]] = rows if instances else groups
    write({"run": run, "patches": shown}, lambda: _list(shown, run))


def _list(shown: Sequence[dict[str, Any]], run: str) -> None:
    if shown:
        write_table(tuple(shown[0]), [tuple(entry.values()) for entry in shown])
    else:
        say(f"No instance of {run} owes a patch, as far as its evidence says.")


@app.command()
@online
def report(
    at: Hub,
    of: Annotated[str, typer.Argument(help="A run's id, or a campaign: then its last run, or a period of it.")] = "",
    out: Into = Path("out/report"),
    since: Annotated[
        datetime | None, typer.Option(help="A period's first day; of all campaigns, if none is named.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Its last day; today, if not given.")] = None,
) -> None:
    """Write the report of a run, or of a period: a page for people, tables and JSON for programs. Changes nothing."""
    if not of and since is None:
        fail(Exit.USAGE, "Name a run or a campaign, or a period by --since.")
    if since:
        _write_period(of, since, until or now(), out, at)
    else:
        _write_run(_run_of(of, at), out, at)
    files = sorted(str(path) for path in out.iterdir() if path.is_file())
    write({"files": files}, lambda: write_lines(files))


def _run_of(of: str, at: Hub) -> str:
    """The run of that id; of a campaign, its last one."""
    from patchtide.core.errors import Refused

    last = at.registry.runs_of(of, 1)
    if last:
        return last[0]
    try:
        return at.runs.load(of).run.id
    except Refused as gone:
        if gone.code == "NotFound":
            fail(Exit.ERROR, f"There is no run and no campaign {of!r} that has run. See `patchtide run list`.")
        raise


def _write_run(run: str, out: Path, at: Hub) -> None:
    from patchtide.aws.reports import Folder
    from patchtide.flow.reporter import Reporter, write

    write(at.runs.load(run), Reporter(at.registry, at.runs, Folder(out), now))


def _write_period(campaign: str, since: datetime, until: datetime, out: Path, at: Hub) -> None:
    from patchtide.core.report import page

    first = datetime.combine(since.date(), time(), UTC)
    last = datetime.combine(until.date(), time(), UTC) + timedelta(days=1)
    names = [campaign] if campaign else sorted(str(item["campaign"]) for item in at.items.every())
    points = sorted(
        (one for name in names for one in at.runs.trend(name, 10_000) if first <= one.at < last), key=lambda one: one.at
    )
    accounts = sorted(
        (one for name in names for one in at.runs.accounts(name) if first <= one.at < last), key=lambda one: one.at
    )
    made = page.of_period(campaign or "All campaigns", first, last - timedelta(days=1), points, accounts, now())
    out.mkdir(parents=True, exist_ok=True)
    with (out / "period.html").open("w", encoding="utf-8") as into:
        page.write(into, made)
    told = {"runs": [_told(one) for one in points], "accounts": [_told(one) for one in accounts]}
    (out / "period.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


@app.command()
@online
def evidence(
    at: Hub,
    run: Annotated[str, typer.Argument(help="The run's id.")],
    out: Annotated[Path | None, typer.Option("--out", help="The archive; RUN.zip if not given.")] = None,
) -> None:
    """All that an auditor asks for, in one archive: the report, the campaign's version, the audit trail, what people were told,
    and a manifest of SHA-256 sums."""
    from patchtide.aws.reports import digest_of

    archive = out or Path(f"{run}.zip")
    with TemporaryDirectory() as room:
        found = at.runs.load(run).run
        folder = Path(room)
        _write_run(run, folder, at)
        for name, text in _papers(run, at):
            (folder / name).write_text(text, encoding="utf-8")
        names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
        sums = "".join(f"{digest_of(folder / name)}  {name}\n" for name in names)
        (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")
        _pack(folder, (*names, "SHA256SUMS"), archive)
    if found.open:
        say(f"{run} is still {found.phase}: this is what is known by now.")
    write({"archive": str(archive), "files": [*names, "SHA256SUMS"]}, lambda: write_lines([str(archive)]))


def _papers(run: str, at: Hub) -> Iterator[tuple[str, str]]:
    """What belongs to a run beside its report: the version it was opened with, what is kept of it, what people were told."""
    from patchtide.aws.table import body

    found = at.runs.load(run).run
    spec = json.loads(body(at.registry.spec(found.campaign, found.spec)))
    yield "campaign.json", json.dumps({"version": found.spec, "author": found.author, **spec}, indent=2) + "\n"
    yield "run.json", json.dumps(json.loads(body(found)), indent=2) + "\n"
    yield "alerts.txt", "\n".join(f"{sent}  {alert.subject}\n\n{alert.body}\n" for alert, sent in at.runs.alerts(run))


def _pack(folder: Path, names: Iterable[str], archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as into:
        for name in names:
            into.write(folder / name, name)
