"""`patchtide demo`: the main job on a pretend organisation, from the items people write to the mails on-call reads.

The handlers, the template, the runbooks and every boto3 request are the real ones; only the servers, the organisation and
the time are pretended. What came of it is counted twice: from the service's own tables, and by the world itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from patchtide.aws import clients
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.table import Table
from patchtide.core.summary import counts, progress, summary
from simulator import sample
from simulator.stack import Stack
from simulator.wire import Wire
from simulator.world import World

BEGINS = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
ENDS = datetime(2026, 12, 13, 6, 0, tzinfo=UTC)
ADHOC_AT = datetime(2026, 12, 3, 17, 20, tzinfo=UTC)


def campaigns(world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two items that people put into the table: Patch Tuesday + 4 for production, and the blog's runbook for
    development, ad hoc."""
    units = {unit.name: unit.id for unit in world.organization.units.values()}
    monthly = {
        "campaign": "prod-monthly",
        "description": "Monthly OS patching, production",
        "owner": "platform-team@example.com",
        "schedule": "cron(0 22 ? * TUE#2 *)",
        "scheduleTimezone": "Europe/London",
        "scheduleOffset": 4,
        "duration": 5,
        "cutoff": 1,
        "accounts": [units["Production"]],
        "targets": "tag:PatchGroup=prod",
        "maxConcurrency": "25%",
        "maxErrors": "20%",
    }
    adhoc = {
        "campaign": "dev-windows-now",
        "description": "Out-of-band update, put into the table by hand",
        "duration": 6,
        "cutoff": 1,
        "accounts": [units["Development"]],
        "regions": ["eu-west-1", "eu-west-2"],
        "targets": "tag:PatchGroup=dev",
        "runbook": "Automation-RunPatchBaseline",
        "maxConcurrency": 10,
        "maxErrors": "50%",
    }
    return monthly, adhoc


@dataclass
class Play:
    """The demo under way."""

    world: World
    stack: Stack
    console: Console
    mails: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    live: Live | None = None
    written: int = -1

    @property
    def _table(self) -> Table:
        return Table(clients.dynamodb(), "RunsTable")

    def runs(self) -> list[str]:
        """The ids of all runs, oldest first."""
        registry = Registry(self._table)
        names = ("dev-windows-now", "prod-monthly")
        return [run for name in names for run in reversed(registry.runs_of(name, 100))]

    def book(self) -> Runs:
        """The runs as the service keeps them."""
        return Runs(self._table, timedelta(days=365), lambda: self.world.clock.now)

    def look(self) -> None:
        """Show what changed: a table that is redrawn on a terminal, a line a change elsewhere."""
        writes = self.stack.wire.calls["dynamodb:TransactWriteItems"]
        if writes == self.written:
            return
        self.written = writes
        with self.stack.wire.quiet():
            self._collect_mails()
            for run in self.runs():
                line = progress(self.book().load(run))
                if self.shown.get(run) != line:
                    self.shown[run] = line
                    if self.live is None:
                        self.console.print(f"{self.world.clock.now:%Y-%m-%d %H:%M}Z {run} {line}", markup=False)
        if self.live is not None:
            self.live.update(self._grid())

    def _collect_mails(self) -> None:
        for mail in self.stack.mails():
            attributes = {name: found["Value"] for name, found in mail["MessageAttributes"].items()}
            self.mails.append(
                {
                    "run": attributes.get("runId", ""),
                    "severity": attributes["severity"],
                    "subject": mail["Subject"],
                    "body": mail["Message"],
                    "sentAt": f"{self.world.clock.now:%Y-%m-%dT%H:%M:%SZ}",
                }
            )
            if self.live is None:
                self.console.print(f"{self.world.clock.now:%Y-%m-%d %H:%M}Z mail: {mail['Subject']}", markup=False)

    def _grid(self) -> Grid:
        grid = Grid("run", "progress", title=f"{self.world.clock.now:%a %Y-%m-%d %H:%M} UTC, virtual time", box=None)
        for run, line in self.shown.items():
            grid.add_row(run, Text(line))
        for mail in self.mails[-3:]:
            grid.add_row("mail", Text(mail["subject"]))  # as it is: its brackets are no markup
        return grid


@contextmanager
def opened(seed: int, console: Console) -> Iterator[Play]:
    """The demo's world with the stack deployed into it."""
    world = sample.world(BEGINS, seed)
    with Wire(world) as wire:
        parameters = {
            "DefaultRegions": ",".join(sample.REGIONS),
            "OnCallEmail": "oncall@example.com",
            "LogLevel": "ERROR",
        }
        stack = Stack(world, wire, parameters)
        yield Play(world, stack, console)


def play(out: Path, seed: int, console: Console) -> dict[str, Any]:
    """The demo's summary, also written to `out/summary.json`; mails go to `out/mails`."""
    nodes = sample.organization(seed).nodes
    console.print(f"A pretend organisation: 5 accounts in 2 units, 2 Regions, {len(nodes)} instances. No AWS is asked.")
    with opened(seed, console) as demo, _drawn(demo):
        monthly, adhoc = campaigns(demo.world)
        put(demo.stack, monthly)
        demo.stack.run(ADHOC_AT, demo.look)
        put(demo.stack, adhoc)
        demo.stack.run(ENDS, demo.look)
        with demo.stack.wire.quiet():
            demo.look()
            told = _summary(demo)
        _keep_reports(demo.stack.stored(), out)
    _keep(told, (monthly, adhoc), out)
    _tell(told, demo, out, console)
    return told


def put(stack: Stack, item: Mapping[str, Any]) -> None:
    """Put an item into the campaigns table, as any tool would."""
    with stack.wire.quiet():
        boto3.resource("dynamodb", region_name=stack.template.region).Table("CampaignsTable").put_item(Item=dict(item))


@contextmanager
def _drawn(demo: Play) -> Iterator[None]:
    if not demo.console.is_terminal:
        yield
        return
    with Live(console=demo.console, refresh_per_second=4, transient=True) as live:
        demo.live = live
        yield
        demo.live = None


def _summary(demo: Play) -> dict[str, Any]:
    book = demo.book()
    runs = []
    windows = {}
    agreed = True
    for run in demo.runs():
        dossier = book.load(run)
        windows[run] = (dossier.run.window.start, dossier.run.window.last_start)
        runs.append(summary(dossier, book.problems(run, "location#")))
        rows = list(book.instances(run))
        truth = demo.world.ground_truth(run, [row["instance"] for row in rows])
        agreed &= Counter(truth.values()) == Counter(row["outcome"] for row in rows)
        agreed &= all(truth[row["instance"]] == row["outcome"] for row in rows)
    twice = sum(len(nodes) for nodes in demo.world.instances_installed_twice().values())
    return {
        "runs": runs,
        "alerts": demo.mails,
        "world": {
            "installsDelivered": demo.world.installs_delivered,
            "instancesInstalledTwice": twice,
            "deliveredOutsideWindow": len(demo.world.delivered_outside(windows)),
            "automationExecutionsStarted": demo.world.executions_started,
            "agreesWithOurRows": agreed,
        },
        "awsCalls": dict(sorted(demo.stack.wire.calls.items())),
    }


def _keep(told: Mapping[str, Any], items: tuple[Mapping[str, Any], ...], out: Path) -> None:
    mails = out / "mails"
    mails.mkdir(parents=True, exist_ok=True)
    for old in mails.glob("*.txt"):
        old.unlink()
    (out / "summary.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    (out / "campaigns.json").write_text(json.dumps(items, indent=2) + "\n", encoding="utf-8")
    for number, mail in enumerate(told["alerts"], 1):
        text = f"Subject: {mail['subject']}\nDate: {mail['sentAt']}\nSeverity: {mail['severity']}\n\n{mail['body']}\n"
        (mails / f"{number:02d}.txt").write_text(text, encoding="utf-8")


def _keep_reports(stored: Iterator[tuple[str, bytes]], out: Path) -> None:
    for key, content in stored:
        path = out / "bucket" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _tell(told: Mapping[str, Any], demo: Play, out: Path, console: Console) -> None:
    grid = Grid(box=None, pad_edge=False)
    for name in ("run", "state", "instances", "outcomes", "locations"):
        grid.add_column(name, no_wrap=name != "outcomes")
    for run in told["runs"]:
        where = run["locations"]
        grid.add_row(
            run["run"],
            run["state"],
            str(run["expectedInstances"]),
            counts(run["outcomes"]),
            f"{where['reached']} of {where['expected']}",
        )
    console.print()
    console.print(grid, soft_wrap=False)
    for mail in told["alerts"]:
        console.print(
            f"\n--- {mail['sentAt']} {mail['severity']}\nSubject: {mail['subject']}\n\n{mail['body']}", markup=False
        )
    world = told["world"]
    console.print(
        f"\nThe world's own count: {world['installsDelivered']} installs delivered, {world['instancesInstalledTwice']} twice, "
        f"{world['deliveredOutsideWindow']} outside a window; it {'agrees' if world['agreesWithOurRows'] else 'DISAGREES'} "
        f"with every row. {sum(told['awsCalls'].values())} AWS calls, {demo.stack.invocations} invocations.",
        markup=False,
    )
    console.print(f"Files: {out / 'summary.json'}, {out / 'mails'}", markup=False)
    for report in sorted((out / "bucket").glob("runs/*/*/report.html")):
        console.print(f"Report, for any browser: {report}", markup=False)
