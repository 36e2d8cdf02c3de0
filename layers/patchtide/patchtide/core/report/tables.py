"""A report's files for programs: one row per instance as CSV and as NDJSON, and one per patch that counts against an instance."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from patchtide.core.campaign import Campaign
from patchtide.core.frozen import frozen
from patchtide.core.outcome import Patch
from patchtide.core.report.figures import Row, compliant, number
from patchtide.core.request import expected_snapshot
from patchtide.core.run import Run

# What a spreadsheet takes for a formula when a cell begins with it. Instance names are written by whoever owns the instance.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@frozen
class Occasion:
    """What all rows of a report have in common."""

    run: Run
    spec: Campaign
    written_at: datetime


Cell = Callable[[Row, Occasion], Any]


def _text(name: str) -> Cell:
    return lambda row, _: row.get(name, "")


def _count(name: str) -> Cell:
    return lambda row, _: number(row, name)


def _approved(row: Row, at: Occasion) -> str:
    approved = at.run.wave(row["wave"]).approved
    return approved.by if approved else ""


# Each column's name, its type in Athena, and what stands in it.
COLUMNS: tuple[tuple[str, str, Cell], ...] = (
    ("campaign", "string", lambda _, at: at.run.campaign),
    ("campaignVersion", "int", lambda _, at: at.run.spec),
    ("runId", "string", lambda _, at: at.run.id),
    ("scheduledAt", "string", lambda _, at: stamp(at.run.scheduled_at)),
    ("wave", "string", _text("wave")),
    ("accountId", "string", _text("account")),
    ("accountName", "string", _text("accountName")),
    ("region", "string", _text("region")),
    ("instanceId", "string", _text("instance")),
    ("instanceName", "string", _text("name")),
    ("platform", "string", _text("platform")),
    ("agentVersion", "string", _text("agent")),
    ("patchGroup", "string", _text("patchGroup")),
    ("outcome", "string", _text("outcome")),
    ("compliant", "boolean", lambda row, _: compliant(row)),
    ("lateJoiner", "boolean", lambda row, _: row["kind"] == "joined"),
    ("cause", "string", _text("cause")),
    ("causeText", "string", _text("sentence")),
    ("installed", "int", _count("installed")),
    ("installedOther", "int", _count("installedOther")),
    ("missing", "int", _count("missing")),
    ("failed", "int", _count("failed")),
    ("pendingReboot", "int", _count("pendingReboot")),
    ("rejected", "int", _count("rejected")),
    ("criticalNonCompliant", "int", _count("critical")),
    ("securityNonCompliant", "int", _count("security")),
    ("otherNonCompliant", "int", _count("other")),
    ("operation", "string", lambda _, at: at.spec.operation),
    ("rebootOption", "string", lambda _, at: at.spec.reboot_option),
    ("operationStart", "string", _text("startedAt")),
    ("operationEnd", "string", _text("endedAt")),
    ("baselineId", "string", _text("baseline")),
    ("snapshotId", "string", lambda row, at: expected_snapshot(at.spec, at.run, row["wave"]) or ""),
    ("approvedBy", "string", _approved),
    ("capturedAt", "string", _text("readAt")),
    ("reportedAt", "string", lambda _, at: stamp(at.written_at)),
)
PATCH_COLUMNS = (
    "campaign",
    "runId",
    "accountId",
    "region",
    "instanceId",
    "patch",
    "patchId",
    "state",
    "severity",
    "classification",
    "cves",
)


class InstanceTable:
    """Rows of instances, into a CSV file and an NDJSON file at once."""

    def __init__(self, table: TextIO, lines: TextIO, at: Occasion) -> None:
        self._csv, self._lines, self._at = csv.writer(table), lines, at
        self._csv.writerow([name for name, _, _ in COLUMNS])

    def write(self, row: Row) -> None:
        """Write one instance."""
        cells = {name: cell(row, self._at) for name, _, cell in COLUMNS}
        self._csv.writerow([safe(cell) for cell in cells.values()])
        # A path of the bucket says the day; everything else is in the line, so that a table over all of them has it.
        self._lines.write(json.dumps({name.lower(): cell for name, cell in cells.items()}) + "\n")


class PatchTable:
    """Patches that count against instances, into a CSV file."""

    def __init__(self, table: TextIO, at: Occasion) -> None:
        self._csv, self._at = csv.writer(table), at
        self._csv.writerow(PATCH_COLUMNS)

    def write(self, row: Row, patches: Iterable[Patch]) -> None:
        """Write the patches of one instance."""
        where = (self._at.run.campaign, self._at.run.id, row["account"], row["region"], row["instance"])
        for one in patches:
            cells = (*where, one.title, one.id, one.state, one.severity, one.classification, " ".join(one.cves))
            self._csv.writerow([safe(cell) for cell in cells])


def safe(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: text that looks like one begins with an apostrophe."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str) and cell.startswith(FORMULA):
        return f"'{cell}"
    return cell


def stamp(moment: datetime | None) -> str:
    """An instant as files write it; empty where there is none."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else ""


def write_json(into: TextIO, value: Mapping[str, Any] | Sequence[Any]) -> None:
    """The value as JSON that people can read, too."""
    json.dump(value, into, indent=2)
    into.write("\n")
