"""A report's files are read by spreadsheets and by Athena, and neither may be told what to do by an instance's name."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from patchtide.core.campaign import Campaign
from patchtide.core.outcome import Patch
from patchtide.core.report.tables import COLUMNS, PATCH_COLUMNS, InstanceTable, Occasion, PatchTable, safe
from patchtide.core.run import Run
from simulator.template import ROOT, load
from tests.values import a_run

NOW = datetime(2026, 12, 13, 3, 0, tzinfo=UTC)
START = datetime(2026, 12, 12, 22, 0, tzinfo=UTC)


def run() -> Run:
    return a_run("dev", START, START)


def spec() -> Campaign:
    from cli.files import load as document
    from patchtide.core.document import read

    return read(document(ROOT / "examples/campaigns/dev-weekly.yaml"), default_regions=("eu-west-1",)).valid()


ROW = {
    "kind": "instance",
    "wave": "all",
    "account": "000011112222",
    "accountName": "dev",
    "region": "eu-west-1",
    "instance": "i-0123456789abcdef0",
    "name": "=cmd|'/c calc'!A1",
    "outcome": "failed",
    "cause": "DISK_FULL",
    "sentence": 'no space left on "the, disk"',
    "failed": "2",
    "readAt": "2026-12-13T02:00:00Z",
}


def written(*rows: dict[str, str]) -> tuple[str, str]:
    table, lines = io.StringIO(newline=""), io.StringIO(newline="")
    made = InstanceTable(table, lines, Occasion(run(), spec(), NOW))
    for row in rows:
        made.write(row)
    return table.getvalue(), lines.getvalue()


def test_the_table_is_rfc_4180_and_reads_back_as_it_was() -> None:
    table, _ = written(ROW)
    assert table.endswith("\r\n")
    (row,) = csv.DictReader(io.StringIO(table, newline=""))
    assert row["accountId"] == "000011112222"  # its leading zeros are kept
    assert row["causeText"] == ROW["sentence"]
    assert (row["failed"], row["missing"], row["compliant"]) == ("2", "0", "false")
    assert (row["capturedAt"], row["reportedAt"]) == ("2026-12-13T02:00:00Z", "2026-12-13T03:00:00Z")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_a_formula(start: str) -> None:
    table, _ = written(ROW | {"name": f"{start}1+1"})
    (row,) = csv.DictReader(io.StringIO(table, newline=""))
    assert row["instanceName"] == f"'{start}1+1"
    assert safe(-1) == -1  # a number is a number


def test_the_lines_have_every_column_under_athenas_spelling_with_its_type() -> None:
    _, lines = written(ROW, ROW | {"kind": "joined"})
    first, second = (json.loads(line) for line in lines.splitlines())
    assert list(first) == [name.lower() for name, _, _ in COLUMNS]
    kinds = {"string": str, "int": int, "boolean": bool}
    assert all(type(first[name.lower()]) is kinds[kind] for name, kind, _ in COLUMNS)
    assert first["instancename"] == ROW["name"]  # programs get it as it is
    assert (first["latejoiner"], second["latejoiner"]) == (False, True)


def test_the_templates_table_has_these_columns() -> None:
    described = load(ROOT / "template.yaml")["Resources"]["InstancesTable"]["Properties"]["TableInput"]
    columns = [(one["Name"], one["Type"]) for one in described["StorageDescriptor"]["Columns"]]
    assert columns == [(name.lower(), kind) for name, kind, _ in COLUMNS]


def test_patches_are_a_line_each() -> None:
    into = io.StringIO(newline="")
    patch = Patch("kernel", "kernel.x86_64", "Missing", "Critical", "Security", ("CVE-2026-1", "CVE-2026-2"))
    PatchTable(into, Occasion(run(), spec(), NOW)).write(ROW, [patch])
    (row,) = csv.DictReader(io.StringIO(into.getvalue(), newline=""))
    assert tuple(row) == PATCH_COLUMNS
    assert (row["patch"], row["state"], row["cves"]) == ("kernel", "Missing", "CVE-2026-1 CVE-2026-2")
