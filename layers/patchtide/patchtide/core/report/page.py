"""A report's page for people: one file that needs nothing else, with no script in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from patchtide.core.campaign import Campaign
from patchtide.core.causes import FIXES
from patchtide.core.compliance import spoken
from patchtide.core.frozen import frozen
from patchtide.core.history import Point
from patchtide.core.orders import spoken as said_by
from patchtide.core.outcome import Cause, Outcome
from patchtide.core.report.figures import ORDER, Figures, Group, Row, number
from patchtide.core.run import Run, WaveRun
from patchtide.core.states import RUN_ENDS, RunState
from patchtide.core.version import VERSION

WORDS: Mapping[str, str] = {
    Outcome.COMPLIANT: "compliant",
    Outcome.SCANNED: "scanned",
    Outcome.PENDING_REBOOT: "pending reboot",
    Outcome.NON_COMPLIANT: "not compliant",
    Outcome.FAILED: "failed",
    Outcome.UNREACHABLE: "unreachable",
    Outcome.UNVERIFIED: "unverified",
    Outcome.NOT_STARTED: "not started",
    Outcome.GONE: "gone",
    Outcome.EXCLUDED: "left alone",
}
DEFINITIONS: tuple[tuple[str, str], ...] = (
    (
        "Expected",
        "The instances that the campaign's targets matched when each wave's set was frozen, before anything started; stopped and "
        "unmanaged ones too. Instances that matched later are late joiners, and counted nowhere.",
    ),
    (
        "Compliant",
        "Its patch state carries this run's snapshot and operation, ended after the run began, and shows nothing missing, failed, "
        "rejected or waiting for a reboot. What a command said is no evidence.",
    ),
    ("Compliance", "compliant / (expected - active exceptions). Whatever is unknown is not compliant."),
    (
        "Pending reboot",
        "Everything is installed, and the instance has to be rebooted, then scanned, before it counts as compliant.",
    ),
    ("Not compliant", "Patched, and its baseline still counts something against it."),
    ("Failed", "A patch or its command failed on it."),
    ("Unreachable", "The command never reached it: it was stopped, not managed by SSM, or its agent did not answer."),
    (
        "Unverified",
        "Nothing proves what became of it: there is no patch state of this run, or something else wrote over it.",
    ),
    ("Not started", "Nothing was sent to it: the window closed, or the wave was withheld."),
    ("Gone", "It was terminated during the run and left no evidence."),
    ("Left alone", "An exception spares it, or another run had it."),
    ("Location", "One account in one Region. One that is out of reach says nothing of its instances."),
    ("Times", "UTC where they end in Z, otherwise the campaign's own zone, named beside them."),
)
SHOWN_ACCOUNTS = 200
SHOWN_PATCHES = 50
SHOWN_LOCATIONS = 200


@frozen
class Verdict:
    """What the page says first: a sentence, its tone (good, fair, bad or none), and what else must be said at once."""

    text: str
    tone: str
    reasons: tuple[str, ...] = ()


@frozen
class Tile:
    """One number at a glance."""

    name: str
    value: str
    about: str
    tone: str = "none"


@frozen
class Page:
    """What stands on a page. What is empty leaves its section out."""

    title: str
    heading: str
    subtitle: str
    verdict: Verdict
    tiles: Sequence[Tile]
    figures: Figures
    warnings: Sequence[str] = ()
    trend: Sequence[Point] = ()
    runs: Sequence[Point] = ()
    waves: Sequence[Mapping[str, Any]] = ()
    exceptions: Sequence[Mapping[str, Any]] = ()
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)


def write(into: TextIO, page: Page) -> None:
    """Write the page, a piece at a time."""
    figures = page.figures
    accounts, patches = figures.by_account, figures.by_patch
    pieces = _template().generate(
        title=page.title,
        heading=page.heading,
        subtitle=page.subtitle,
        verdict=page.verdict,
        tiles=page.tiles,
        warnings=page.warnings,
        total=figures.total,
        trend=page.trend,
        trend_points=[(f"{point.at:%Y-%m-%d}", point.compliance.percent) for point in page.trend],
        runs=page.runs,
        waves=page.waves,
        causes=figures.by_cause,
        accounts=accounts[:SHOWN_ACCOUNTS],
        more_accounts=max(0, len(accounts) - SHOWN_ACCOUNTS),
        unreachable=figures.unreachable[:SHOWN_LOCATIONS],
        patches=patches[:SHOWN_PATCHES],
        more_patches=max(0, len(patches) - SHOWN_PATCHES),
        exceptions=page.exceptions,
        joined=figures.joined,
        listed=figures.listed,
        unlisted=figures.unlisted,
        names=figures.names,
        facts=page.facts,
        definitions=DEFINITIONS,
    )
    for piece in pieces:
        into.write(piece)


@cache
def _template() -> Any:
    here = Path(__file__).parent
    from jinja2 import (  # last of a report, when all else of it is written
        Environment,
        FileSystemLoader,
        StrictUndefined,
    )

    made = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals.update(words=WORDS, style=_style(here))
    made.filters.update(
        thousands=lambda count: f"{count:,}".replace(",", "\u202f"),
        percent=spoken,
        gapless=_gapless,
        owed=_owed,
        fix=lambda cause: FIXES.get(Cause(cause), ""),
        ordered=lambda outcomes: [(one.value, outcomes[one]) for one in ORDER if outcomes.get(one)],
    )
    return made.get_template("page.html.j2")


def _style(here: Path) -> Any:
    from markupsafe import Markup

    return Markup((here / "style.css").read_text())  # noqa: S704 - our own file


def _owed(row: Row) -> str:
    """The patches that an instance owes, by their states."""
    words = (
        ("missing", "missing"),
        ("failed", "failed"),
        ("pendingReboot", "pending reboot"),
        ("rejected", "rejected"),
    )
    return ", ".join(f"{number(row, name)} {word}" for name, word in words if number(row, name))


def _gapless(points: Sequence[tuple[str, float | None]]) -> Iterator[list[tuple[int, float]]]:
    """The stretches of a trend in which every point is known, as (place, percentage)."""
    run: list[tuple[int, float]] = []
    for place, (_, percent) in enumerate(points):
        if percent is None:
            if run:
                yield run
            run = []
        else:
            run.append((place, percent))
    if run:
        yield run


# --- the page of a run ----------------------------------------------------------------------------------------------


def of_run(
    run: Run, spec: Campaign, figures: Figures, trend: Sequence[Point], warnings: Iterable[str], now: datetime
) -> Page:
    """The page about one run."""
    return Page(
        title=f"{run.campaign}: patch report of {run.scheduled_at:%Y-%m-%d}",
        heading=f"{run.campaign}, {local(run.scheduled_at, spec.timezone)}",
        subtitle=f"Run {run.id}. {spec.description or spec.operation}".strip(". ")
        + f". Written {now:%Y-%m-%d %H:%M}Z.",
        verdict=_verdict(run, figures.total),
        tiles=tiles(figures.total),
        figures=figures,
        warnings=tuple(warnings),
        trend=trend,
        waves=[_wave(run, wave, figures, spec.timezone) for wave in run.waves],
        exceptions=[_exception(one, figures, run, spec) for one in spec.exceptions],
        facts=tuple(_facts(run, spec)),
    )


_TONES = {RunState.SUCCEEDED: "good", RunState.INCOMPLETE: "fair", RunState.REPLACED: "none", RunState.SKIPPED: "fair"}


def _verdict(run: Run, total: Group) -> Verdict:
    word = run.state.value
    parts = [f"{total.compliant} of {total.expected} compliant"] if total.expected else []
    parts += [f"{total.bad} need a look"] if total.bad else []
    parts += [f"{total.unreachable} of {total.locations} locations not reached"] if total.unreachable else []
    text = f"{word[0].upper()}{word[1:]}: {', '.join(parts) or RUN_ENDS.get(run.state, 'nothing was patched')}."
    reasons = dict.fromkeys(f"Wave {wave.name}: {wave.reason}." for wave in run.waves if wave.reason)
    return Verdict(text, _TONES.get(run.state, "bad"), tuple(reasons))


def tiles(total: Group) -> list[Tile]:
    """The five numbers that people look for first."""
    compliance = total.compliance
    percent = compliance.percent
    tone = "none" if percent is None else "good" if percent == 100 else "fair" if percent >= 90 else "bad"
    waiting = total.outcomes[Outcome.PENDING_REBOOT]
    left = total.outcomes[Outcome.EXCLUDED]
    reached = total.locations - total.unreachable
    return [
        Tile("Compliance", spoken(percent), f"{spoken(compliance.raw_percent)} with exceptions counted", tone),
        Tile("Compliant", f"{total.compliant}", f"of {total.expected} expected"),
        Tile("Need a look", f"{total.bad}", "failed, unreached or unproven", "bad" if total.bad else "good"),
        Tile("Pending reboot", f"{waiting}", "then a scan", "fair" if waiting else "none"),
        Tile("Left alone", f"{left}", f"{total.excepted} under an exception"),
        Tile("Locations", f"{reached}", f"of {total.locations} reached", "bad" if total.unreachable else "none"),
    ]


def _wave(run: Run, wave: WaveRun, figures: Figures, zone: str) -> Mapping[str, Any]:
    window = run.window_of(wave)
    return {
        "name": wave.name,
        "state": wave.withheld or wave.state.value,
        "reason": wave.reason,
        "window": f"{local(window.start, zone)} to {window.end:%H:%M}Z",
        "group": figures.waves.get(wave.name, Group()),
        "approved": said_by(wave.approved.by) if wave.approved else "",
    }


def _exception(one: Any, figures: Figures, run: Run, spec: Campaign) -> Mapping[str, Any]:
    day = run.scheduled_at.astimezone(ZoneInfo(spec.timezone)).date()
    return {
        "reason": one.reason,
        "approved_by": one.approved_by,
        "ticket": one.ticket,
        "expires": one.expires,
        "state": "active" if one.active(day) else "expired",
        "spared": figures.exceptions.get(str(one)[:500], 0),
    }


def _facts(run: Run, spec: Campaign) -> Iterator[tuple[str, str]]:
    yield (
        "Campaign",
        f"{run.campaign}, version {run.spec}" + (f", written by {said_by(run.author)}" if run.author else ""),
    )
    if spec.owner:
        yield "Owner", spec.owner
    yield "Asked for", f"{spec.operation}, {spec.reboot_option}"
    yield "Window", f"{local(run.window.start, spec.timezone)} to {local(run.window.end, spec.timezone)}"
    if run.started_at and run.ended_at:
        yield "Ran", f"{run.started_at:%Y-%m-%d %H:%M}Z to {run.ended_at:%Y-%m-%d %H:%M}Z"
    if run.started_by:
        yield "Started by hand", f"by {run.started_by}: {run.because}"
    if run.runbook:
        yield "Runbook", f"{spec.runbook.name}, version {run.runbook.version}, SHA-256 {run.runbook.hash}"
    for wave in run.waves:
        if wave.approved:
            yield (
                "Approved",
                f"{wave.name} by {wave.approved.by} at {wave.approved.at:%Y-%m-%d %H:%M}Z (shown: {wave.approved.digest})",
            )
    for one in run.orders:
        answer = "accepted" if one.accepted else "refused"
        yield "Order", f"{one.order.kind} by {one.order.by} at {one.order.at:%Y-%m-%d %H:%M}Z, {answer}: {one.answer}"
    ids = [execution.id for execution in run.executions if execution.id]
    if ids:
        yield "Automation executions", ", ".join(ids[:20]) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
    if run.retry_of:
        yield "Tries again", run.retry_of
    yield "Audit trail", f"{run.audited} lines, the last sealed {run.seal or 'nothing'}"
    yield "Made by", f"Patchtide {VERSION}"


def local(moment: datetime, zone: str) -> str:
    """An instant as people in the zone read it, and in UTC."""
    there = moment.astimezone(ZoneInfo(zone))
    return f"{there:%a %d %b %Y %H:%M} {there:%Z} ({moment:%H:%M}Z)"


# --- the page of a period -------------------------------------------------------------------------------------------


def of_period(
    heading: str, since: datetime, until: datetime, points: Sequence[Point], accounts: Iterable[Point], now: datetime
) -> Page:
    """The page about a period: every run in it, and how each account came out in the last run of each campaign that asked
    it. `points` are of runs, oldest first; `accounts` are of accounts."""
    last: dict[tuple[str, str], Point] = {}
    for point in accounts:
        last[point.campaign, point.account] = point
    figures = Figures()
    for point in last.values():
        for group in (figures.total, figures.accounts.setdefault(point.account, Group())):
            _take(group, point)
    total = figures.total.compliance
    text = f"{spoken(total.percent)} compliant as of the last run of each campaign, {len(points)} runs in the period."
    campaigns = {point.campaign for point in points}
    return Page(
        title=f"{heading}: patch report {since:%Y-%m-%d} to {until:%Y-%m-%d}",
        heading=f"{heading}, {since:%Y-%m-%d} to {until:%Y-%m-%d}",
        subtitle=f"{len(campaigns)} campaigns. Written {now:%Y-%m-%d %H:%M}Z.",
        verdict=Verdict(text, "none" if total.percent is None else "good" if total.percent == 100 else "fair"),
        tiles=tiles(figures.total),
        figures=figures,
        trend=points if len(campaigns) == 1 else (),
        runs=tuple(reversed(points)),
        facts=(
            ("Counted", "An instance that several campaigns patch is counted in each of them."),
            ("Made by", f"Patchtide {VERSION}"),
        ),
    )


def _take(group: Group, point: Point) -> None:
    group.expected += point.compliance.expected
    group.excepted += point.compliance.excepted
    group.compliant += point.compliance.compliant
    group.outcomes.update(point.outcomes)
    group.locations += point.locations
    group.unreachable += point.unreachable
