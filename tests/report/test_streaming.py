"""A report is written row by row: a larger fleet takes more disk, and no more memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from patchtide.aws.reports import Folder
from patchtide.core.audit import Line
from patchtide.core.campaign import Campaign
from patchtide.core.history import Point
from patchtide.core.location import Location
from patchtide.core.outcome import Patch
from patchtide.core.roster import LocationRun, LocationState
from patchtide.core.tally import Tally
from patchtide.core.view import Dossier
from patchtide.flow.reporter import Reporter, write
from tests.report.pages import NAMES, START, rows, run, spec


class Specs:
    """The version that the run was opened with."""

    def spec(self, campaign: str, version: int) -> Campaign:
        del campaign, version
        return spec()


class Rows:
    """As many rows as one likes, made as they are read; like the table's, which come a page at a time."""

    def __init__(self, count: int) -> None:
        self.count = count

    def locations(self, run: str, wave: str, state: LocationState | None) -> Iterator[LocationRun]:
        del state
        for account in list(NAMES)[:40]:
            yield LocationRun(run, wave, Location(account, "eu-west-1"), account_name=NAMES[account])

    def instances(self, run: str) -> Iterator[Mapping[str, str]]:
        del run
        return rows(self.count)

    def joined(self, run: str) -> Iterator[Mapping[str, str]]:
        del run
        return iter(())

    def patches(self, run: str) -> Iterator[tuple[Mapping[str, str], tuple[Patch, ...]]]:
        del run
        patch = Patch("kernel", "kernel.x86_64", "Missing", "Critical", "Security")
        return ((row, (patch,)) for row in rows(self.count) if row.get("cause") == "MISSING")

    def audit(self, run: str) -> Iterator[Line]:
        del run
        return iter(())

    def trend(self, campaign: str, most: int) -> tuple[Point, ...]:
        del campaign, most
        return ()


def peak(count: int, out: Path) -> int:
    """The bytes that Python held at the most while the report of so many instances was written."""
    reporter = Reporter(Specs(), Rows(count), Folder(out), lambda: START)  # type: ignore[arg-type]
    ended = replace(run(), reported="")
    tracemalloc.start()
    write(Dossier(ended, {wave.name: Tally() for wave in ended.waves}), reporter)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_four_times_the_fleet_takes_hardly_more_memory(tmp_path: Path) -> None:
    peak(100, tmp_path / "warm")  # what is imported and compiled once
    small, large = peak(5_000, tmp_path / "small"), peak(20_000, tmp_path / "large")
    assert large <= 1.2 * small
    lines = (tmp_path / "large/instances.csv").read_bytes().count(b"\r\n")
    assert lines == 1 + 20_000
    assert (tmp_path / "large/instances.csv").stat().st_size > 10 * (tmp_path / "large/report.html").stat().st_size


def test_a_list_of_all_rows_would_be_noticed(tmp_path: Path) -> None:
    tracemalloc.start()
    held = list(rows(20_000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == 20_000
    assert most > 2 * peak(5_000, tmp_path)
