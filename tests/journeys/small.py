"""A small organisation and one campaign, played through the real handlers: what the journeys start from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from patchtide.aws import clients
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.service import Switch
from patchtide.aws.table import Table
from patchtide.core.orders import Kind, Order
from patchtide.core.pause import Pause
from patchtide.core.run import Run
from patchtide.core.view import Dossier
from simulator import sample
from simulator.clock import PacedClock
from simulator.demo import put
from simulator.fleet import EXECUTION_ROLE, Behaviour, Organization
from simulator.judge import Judge
from simulator.powers import Policies
from simulator.proof.faults import Killed
from simulator.stack import Stack
from simulator.template import ROOT, Template, load
from simulator.wire import Wire
from simulator.world import Switches, World

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
REGION = "eu-west-1"
ALPHA, BETA = "111122223333", "444455556666"
RINGS = {"a-1": "0", "b-1": "1", "a-2": "2", "b-2": "2"}
BOSS = "arn:aws:sts::999900001111:assumed-role/Operators/boss@example.com"
OWN_RUNBOOK = ROOT / "examples/runbook/template.yaml"
LIST = b"patches:\n  - id: kernel.x86_64\n    title: kernel.x86_64:4.14.243\n"
LIST_KEY = f"overrides/{hashlib.sha256(LIST).hexdigest()}.yaml"
ITEM: Mapping[str, Any] = {
    "campaign": "web",
    "duration": 4,
    "cutoff": 1,
    "accounts": [ALPHA, BETA],
    "regions": [REGION],
    "targets": "tag:PatchGroup=web",
    "maxConcurrency": "100%",
    "maxErrors": "100%",
}


@cache
def judge() -> Judge:
    """One engine for all tests of a process."""
    return Judge()


def rings(**changes: Any) -> dict[str, Any]:
    """Patch Tuesday + 1, + 4 and + 10 days: three rings over nine days, with bake times and gates."""
    waves: list[dict[str, Any]] = [
        {"name": "canary", "targets": "tag:Ring=0", "scheduleOffset": 1, "gate": {"maxErrors": 0, "soak": "48h"}},
        {"name": "early", "targets": "tag:Ring=1", "scheduleOffset": 4, "gate": {"maxErrors": 0, "soak": "24h"}},
        {"name": "broad", "targets": "tag:Ring=2", "scheduleOffset": 10},
    ]
    return {"schedule": "cron(0 22 ? * TUE#2 *)", "waves": waves} | changes


def same_evening(*gates: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rings that share one window, with these gates; the last has none."""
    return [{"name": f"ring-{n}", "targets": f"tag:Ring={n}", "gate": gate} for n, gate in enumerate((*gates, {}))]


def dies_once(play: Play, operation: str, moment: str) -> list[object]:
    """Have the worker die at its first call of an operation, `before` or `after` its effect; the list then has that call."""
    died: list[object] = []

    def die(call: object) -> None:
        if str(call) == operation and not died:
            died.append(call)
            raise Killed(operation)

    getattr(play.stack.wire, moment).append(die)
    return died


@dataclass
class Play:
    """A stack in a world, and what people were told. A tick that fails fails the test, unless it is `bumpy`."""

    world: World
    stack: Stack
    powers: Policies
    mails: list[Mapping[str, Any]] = field(default_factory=list)
    bumpy: bool = False
    orders: list[str] = field(default_factory=list)

    @property
    def book(self) -> Runs:
        return Runs(self.table, timedelta(days=1), lambda: self.world.clock.now)

    @property
    def table(self) -> Table:
        return Table(clients.dynamodb(), "RunsTable")

    def put(self, **changes: object) -> None:
        put(self.stack, {name: value for name, value in {**ITEM, **changes}.items() if value is not None})

    def lend_the_hubs_runbook(self, account: str) -> None:
        """The execution role there may start the hub's own runbook, and do what that does, as docs/deploy.md has it."""
        there = f"arn:aws:ssm:*:{sample.HUB}"
        resources = [f"{there}:document/Acme-Patch", f"{there}:automation-definition/Acme-Patch:*"]
        start = {"Effect": "Allow", "Action": "ssm:StartAutomationExecution", "Resource": resources}
        given = {"HomeRegion": REGION, "ExecutionRoleName": EXECUTION_ROLE}
        (policy,) = Template(load(OWN_RUNBOOK), account, REGION, given).of_type("AWS::IAM::RolePolicy").values()
        self.powers.lend(account, EXECUTION_ROLE, policy["PolicyDocument"])
        self.powers.lend(account, EXECUTION_ROLE, {"Version": "2012-10-17", "Statement": [start]})

    def write_list(self, body: bytes = LIST) -> str:
        """A list of patches is put under the digest of LIST, rightly or not; its URL."""
        with self.stack.wire.quiet():
            bucket = self.stack._attribute("ReportsBucket", "")
            self.stack._client("s3").put_object(Bucket=bucket, Key=LIST_KEY, Body=body)
        return f"s3://{bucket}/{LIST_KEY}"

    def alarm(self, name: str, state: str) -> None:
        """A CloudWatch alarm in that state."""
        with self.stack.wire.quiet():
            cloudwatch = self.stack._client("cloudwatch")
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                MetricName="errors",
                Namespace="web",
                Period=60,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanThreshold",
                Statistic="Sum",
            )
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")

    def run(self, hours: float) -> None:
        """Time passes, as far as the service has anything to do."""
        self.stack.run(self.world.clock.now + timedelta(hours=hours), self.read_mail)
        self.read_mail()
        assert self.bumpy or not self.stack.failures

    def run_to(self, moment: datetime) -> None:
        """Time passes until that moment."""
        self.run((moment - self.world.clock.now) / timedelta(hours=1))

    def run_until(self, phase: str, hours: float = 24) -> Run:
        """Time passes, minute by minute, until the last run is in that phase."""
        for _ in range(int(hours * 60)):
            runs = self.runs()
            if runs and runs[-1].run.phase == phase:
                return runs[-1].run
            self.run(1 / 60)
        raise AssertionError(f"never {phase}")

    def order(self, kind: Kind, run: str, by: str = BOSS, **said: Any) -> str:
        """A person's order, written as the command writes it, and what the run says to it a minute later."""
        id_ = f"order-{len(self.orders) + 1}"
        self.orders.append(id_)
        with self.stack.wire.quiet():
            self.book.order(run, Order(id_, kind, by, self.world.clock.now, **said))
        self.run(2 / 60)
        with self.stack.wire.quiet():
            answer = self.book.answer_to(run, id_)
        assert answer, f"{kind} was not answered"
        return ("yes: " if answer[0] else "no: ") + answer[1]

    def turn(self, *, on: bool, reason: str = "incident") -> None:
        """The service-wide switch, turned as the command turns it."""
        with self.stack.wire.quiet():
            Switch(self.table).turn(Pause(on, BOSS, self.world.clock.now, reason))

    def read_mail(self) -> None:
        self.mails += self.stack.mails()

    def runs(self, campaign: str = "web") -> list[Dossier]:
        """The campaign's runs, oldest first."""
        with self.stack.wire.quiet():
            return [self.book.load(run) for run in reversed(Registry(self.table).runs_of(campaign, 99))]

    def rows(self, run: str) -> dict[str, Mapping[str, str]]:
        with self.stack.wire.quiet():
            return {row["instance"]: row for row in self.book.instances(run)}

    def outcomes(self, run: str) -> dict[str, str]:
        """The outcome of each instance of a run, by the instance's name."""
        names = {node.id: node.name for node in self.world.organization.nodes.values()}
        return {names[id_]: row["outcome"] for id_, row in self.rows(run).items()}

    def patched(self, run: str | None = None) -> list[str]:
        """The names of the instances that an Install really reached, by the world's own log, in order of their names."""
        names = {node.id: node.name for node in self.world.organization.nodes.values()}
        return sorted(names[found.node] for found in self.world.effects if run in (None, found.run))

    def mail(self, words: str) -> str:
        """The text of the one mail whose subject has these words."""
        (found,) = (mail["Message"] for mail in self.mails if words in mail["Subject"])
        return str(found)

    def said(self, words: str) -> str:
        """The same in one line, wherever the mail broke it."""
        return " ".join(self.mail(words).split())

    def prove(self) -> None:
        """By the world's own log, whatever our tables say: each start happened once, no instance had two Installs in a run,
        and every delivery lies in the window of a wave of its run."""
        hub = self.world.automation.at(self.world.organization.hub, REGION)
        tokens = [tag for one in hub if not one.is_child for tag in one.tags if tag.startswith("patchtide:start:")]
        assert len(tokens) == len(set(tokens))
        assert not self.world.instances_installed_twice()
        campaigns = {mail["MessageAttributes"].get("campaign", {}).get("Value", "web") for mail in self.mails}
        runs = {dossier.run.id: dossier.run for campaign in campaigns for dossier in self.runs(campaign)}
        for delivery in self.world.effects:
            run = runs[str(delivery.run)]
            windows = [run.window_of(wave) for wave in run.waves]
            assert any(window.start <= delivery.at < window.last_start for window in windows), delivery

    def item(self, campaign: str = "web") -> dict[str, Any]:
        with self.stack.wire.quiet():
            found: dict[str, Any] = clients.dynamodb().get_item(TableName="CampaignsTable", Key={"campaign": campaign})[
                "Item"
            ]
        return found

    def subjects(self) -> list[str]:
        return [mail["Subject"] for mail in self.mails]

    def ending(self) -> Mapping[str, Any]:
        """The final world, as far as two histories of one campaign must agree on it."""
        (dossier,) = self.runs()
        rows = self.rows(dossier.run.id)
        return {
            "state": dossier.run.state,
            "outcomes": {id_: (row["outcome"], row.get("cause", "")) for id_, row in rows.items()},
            "counted": dict(dossier.latest[0].outcomes),
            "installs": Counter(delivery.node for delivery in self.world.effects),
            "executions": self.world.executions_started,
            "told": sorted(set(self.subjects())),
            "item": self.item()["lastRunStatus"],
        }


def organization(troubles: Mapping[str, Behaviour] | None = None, *, onboarded: bool = True) -> Organization:
    """Two accounts in one Region with two instances each, named a-1 to b-2."""
    made = Organization(sample.HUB, [REGION], 1)
    unit = made.add_unit("Web")
    for name, id_ in (("a", ALPHA), ("b", BETA)):
        roles = sample.ONBOARDED if onboarded or name == "a" else {}
        account = made.add_account(name, unit, id=id_, roles=roles)
        for number in (1, 2):
            behaviour = (troubles or {}).get(f"{name}-{number}", Behaviour.HEALTHY)
            tags = {"PatchGroup": "web", "Ring": RINGS[f"{name}-{number}"]}
            made.add_node(account, REGION, f"{name}-{number}", behaviour, tags=tags)
        made.add_group(account, REGION, "web-servers", {"PatchGroup": ["web"]})
    return made


def many() -> Organization:
    """An account with eight instances, so that one at a time there is always somebody who waits for a turn."""
    fleet = organization()
    for account in list(fleet.accounts.values()):
        if account.name == "a":
            for number in range(3, 9):
                fleet.add_node(account, REGION, f"a-{number}", tags={"PatchGroup": "web", "Ring": "2"})
    return fleet


@contextmanager
def opened(
    fleet: Organization | None = None,
    switches: Switches | None = None,
    start: datetime = NOW,
    speed: float = 1,
    parameters: Mapping[str, str] | None = None,
    spoke: Mapping[str, str] | None = None,
) -> Iterator[Play]:
    """The small world with the stack in it: every role has the rights that the templates give it, with these parameters, and no
    others. With `speed` instances are done sooner, and fewer ticks pass."""
    fleet = fleet or organization()
    world = World(PacedClock(start, speed), fleet, 1, switches)
    for account in fleet.accounts.values():
        if account.roles.keys() >= sample.ONBOARDED.keys():
            sample.onboard(world, account.id)
    with Wire(world) as wire:
        stack = Stack(world, wire, {"DefaultRegions": REGION, **(parameters or {})})
        yield Play(world, stack, stack.guard(judge(), {**sample.SPOKE_PARAMETERS, **(spoke or {})}))
