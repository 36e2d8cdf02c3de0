"""A run ended: its report is written into the bucket, and what should be remembered of it for years is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

from patchtide.core import audit
from patchtide.core.advance import fold
from patchtide.core.campaign import Campaign
from patchtide.core.errors import Busy, Overtaken, Refused
from patchtide.core.frozen import frozen
from patchtide.core.history import Point
from patchtide.core.report import page
from patchtide.core.report.figures import Figures, Group, differences
from patchtide.core.report.tables import InstanceTable, Occasion, PatchTable, write_json
from patchtide.core.roster import LocationRun, LocationState
from patchtide.core.run import Run, about
from patchtide.core.seen import Reported
from patchtide.core.summary import summary
from patchtide.core.view import Dossier

if TYPE_CHECKING:
    from patchtide.flow.cloud import Archive, Now, Registry, Runs

logger = logging.getLogger(__name__)

TREND = 13  # runs: a year of monthly ones, and the same month of the year before
TRIES = 5


@frozen
class Reporter:
    """What the reporter works with."""

    registry: Registry
    runs: Runs
    archive: Archive
    now: Now
    draw: Callable[[TextIO, page.Page], None] = page.write


def folder(run: Run) -> str:
    """Where the files of a run's report are in the bucket."""
    return f"runs/{run.campaign}/{run.id}"


def lake(run: Run) -> str:
    """Where the run's lines for Athena are in the bucket: a day is a partition."""
    return f"instances/dt={run.scheduled_at:%Y-%m-%d}/{run.id}.ndjson.gz"


def report(run_id: str, at: Reporter) -> None:
    """The run's report, if it has ended and has none yet. Writing it twice writes the same; it is marked as written last, so
    whoever dies in between has it written again. Raises Busy when its run kept changing."""
    try:
        dossier = at.runs.load(run_id)
    except Refused as refused:
        if refused.code != "NotFound":
            raise
        logger.warning("%s is not kept any more: there is nothing to report", run_id)
        return
    if dossier.run.open or dossier.run.reported:
        return
    written = write(dossier, at)
    at.runs.remember(written.points)
    for _ in range(TRIES):
        try:
            at.runs.save(dossier.run, fold(dossier.run, [Reported(written.digest)], at.now()), at.now())
        except Overtaken:
            dossier = at.runs.load(run_id)
        else:
            logger.info("wrote the report of %s", run_id, extra=about(dossier.run))
            return
    raise Busy("keep the report", "Overtaken", f"{run_id} changed {TRIES} times meanwhile")


@frozen
class Written:
    """A report that was written: the SHA-256 of its manifest, and what should be remembered of it."""

    digest: str
    points: tuple[Point, ...]


def write(dossier: Dossier, at: Reporter) -> Written:
    """All files of the report. Nothing of the run is changed, so that anybody who may read may have one."""
    run = dossier.run
    spec = at.registry.spec(run.campaign, run.spec)
    occasion = Occasion(run, spec, at.now())
    figures, digests = Figures(), dict[str, str]()
    for row in _locations(run, at):
        figures.add_location(row)
    with ExitStack() as files:
        drafts = {key: files.enter_context(at.archive.file(key)) for key in _tables(run)}
        csv, patches_csv, lines = (drafts[key].text for key in _tables(run))
        table = InstanceTable(csv, lines, occasion)
        for row in at.runs.instances(run.id):
            named = _named(row, figures)
            figures.add(named)
            table.write(named)
        for row in at.runs.joined(run.id):
            named = _named(row, figures)
            figures.add_joined(named)
            table.write(named)
        patches = PatchTable(patches_csv, occasion)
        for row, found in at.runs.patches(run.id):
            figures.add_patches(found)
            patches.write(row, found)
    digests |= {key: draft.digest for key, draft in drafts.items()}
    lines_digest = digests.pop(lake(run))  # it is not beside the others, so it stands in report.json
    trail = tuple(
        islice(at.runs.audit(run.id), run.audited)
    )  # what came since this run was loaded is not this report's
    with at.archive.file(f"{folder(run)}/audit.ndjson") as draft:
        draft.text.writelines(f"{line.text}\n" for line in trail)
    digests[f"{folder(run)}/audit.ndjson"] = draft.digest
    points = tuple(_points(run, spec, figures))
    warnings = (*_warnings(dossier, figures), *_of_trail(run, trail))
    with at.archive.file(f"{folder(run)}/report.json") as draft:
        told = as_json(dossier, spec, figures, warnings)
        write_json(draft.text, told | {"lines": {"key": lake(run), "sha256": lines_digest}})
    digests[f"{folder(run)}/report.json"] = draft.digest
    with at.archive.file(f"{folder(run)}/report.html") as draft:
        trend = _with(points[0], at.runs.trend(run.campaign, TREND))
        at.draw(draft.text, page.of_run(run, spec, figures, trend, warnings, at.now()))
    digests[f"{folder(run)}/report.html"] = draft.digest
    with at.archive.file(f"{folder(run)}/SHA256SUMS") as draft:
        draft.text.writelines(f"{digest}  {key.rpartition('/')[2]}\n" for key, digest in sorted(digests.items()))
    return Written(draft.digest, points)


def _with(point: Point, trend: Iterable[Point]) -> tuple[Point, ...]:
    """The trend up to this run, with this run's own point."""
    before = [one for one in trend if one.run != point.run and one.at <= point.at]
    return (*before[-(TREND - 1) :], point)


def _tables(run: Run) -> tuple[str, str, str]:
    return f"{folder(run)}/instances.csv", f"{folder(run)}/patches.csv", lake(run)


def _locations(run: Run, at: Reporter) -> Iterator[Mapping[str, str]]:
    for wave in run.waves:
        for where in at.runs.locations(run.id, wave.name, None):
            yield _location_row(where)


def _location_row(where: LocationRun) -> Mapping[str, str]:
    out = where.state is LocationState.UNREACHABLE
    return {
        "kind": "location",
        "wave": where.wave,
        "account": where.location.account,
        "accountName": where.account_name,
        "region": where.location.region,
        "cause": where.cause.value if out else "",
        "sentence": where.sentence,
    }


def _named(row: Mapping[str, str], figures: Figures) -> Mapping[str, str]:
    return {**row, "accountName": figures.names.get(row["account"], "")}


def _points(run: Run, spec: Campaign, figures: Figures) -> Iterator[Point]:
    """What is remembered: the run as a whole, and each account."""
    for account, group in (("", figures.total), *figures.accounts.items()):
        yield Point(
            run.id,
            run.campaign,
            run.scheduled_at,
            run.state.value,
            spec.operation,
            group.compliance,
            dict(group.ordered),
            account,
            group.locations,
            group.unreachable,
        )


def _warnings(dossier: Dossier, figures: Figures) -> Iterator[str]:
    counted = {
        wave.name: (tally.instances, tally.outcomes)
        for wave, tally in zip(dossier.run.waves, dossier.latest, strict=True)
    }
    for difference in differences(figures, counted):
        yield f"The rows do not add up to what was counted as they were written: {difference}."
    if figures.joined:
        yield f"{len(figures.joined)} instances were patched though they matched only after the set was frozen; see Late joiners."


def _of_trail(run: Run, trail: Sequence[audit.Line]) -> Iterator[str]:
    for fault in audit.faults(trail, audit.End(run.audited, run.seal)):
        yield f"The audit trail is not what was written: {fault}."


def as_json(dossier: Dossier, spec: Campaign, figures: Figures, warnings: Iterable[str]) -> dict[str, Any]:
    """The report for programs: the run, and every number of the page."""
    run = dossier.run
    return {
        "schema": "patchtide.report/1",
        **summary(dossier, figures.unreachable),
        "campaignVersion": run.spec,
        "operation": spec.operation,
        "compliance": _group(figures.total),
        "accounts": [
            {"account": account, "name": figures.names.get(account, ""), **_group(group)}
            for account, group in figures.by_account
        ],
        "causes": [
            {
                "cause": one.cause,
                "instances": one.instances,
                "locations": one.locations,
                "sentence": one.sentence,
                "fix": one.fix,
                "accounts": dict(one.accounts.most_common()),
            }
            for one in figures.by_cause
        ],
        "patches": [
            {"patch": one.title, "severity": one.severity, "instances": one.instances, "states": dict(one.states)}
            for one in figures.by_patch
        ],
        "exceptions": [
            {
                "reason": one.reason,
                "approvedBy": one.approved_by,
                "expires": f"{one.expires}",
                "ticket": one.ticket,
                "instances": figures.exceptions.get(str(one)[:500], 0),
            }
            for one in spec.exceptions
        ],
        "auditTrail": {"lines": run.audited, "seal": run.seal},
        "lateJoiners": [
            {name: row.get(name, "") for name in ("account", "region", "instance", "outcome", "sentence")}
            for row in figures.joined
        ],
        "warnings": list(warnings),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "expected": group.expected,
        "excepted": group.excepted,
        "compliant": group.compliant,
        "percent": group.compliance.percent,
        "percentWithExceptions": group.compliance.raw_percent,
        "outcomes": dict(group.ordered),
        "locations": group.locations,
        "unreachable": group.unreachable,
    }
