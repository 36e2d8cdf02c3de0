"""Fleets that a seed makes up, with everything the matter with them that is known from the field; and the truth about each."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator import sample
from simulator.clock import PacedClock
from simulator.fleet import FOREIGN_SNAPSHOT, Account, Behaviour, Node, Organization
from simulator.proof.history import Action, History, Scenario
from simulator.proof.scenarios import Facts, deploy, put
from simulator.world import Switches, World

BEGINS = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
START = BEGINS + timedelta(hours=1)
REGIONS = ("eu-west-1", "eu-west-2")
RUN = "web-20261201T1000Z"
FOLDER = f"runs/web/{RUN}"
PACE = 8  # patching takes an eighth of its time, so that a thousand fleets are patched in a minute
REASON = "the vendor supports no newer kernel"

# Why a node of each behaviour does not come out right, in our closed list. Written from facts of the field, not from our code.
CAUSES: Mapping[Behaviour, str] = {
    Behaviour.DISK_FULL: "DISK_FULL",
    Behaviour.REPO_DOWN: "REPO",
    Behaviour.REPO_METADATA: "REPO",
    Behaviour.WSUS_UNREACHABLE: "REPO",
    Behaviour.PKG_LOCK: "PKG_LOCK",
    Behaviour.PKG_CONFLICT: "PKG_CONFLICT",
    Behaviour.PATCH_FAILS: "PATCH_FAILED",
    Behaviour.AGENT_LOST_AFTER_REBOOT: "TIMEOUT",
    Behaviour.AGENT_OFFLINE: "AGENT_LOST",
    Behaviour.NOT_MANAGED: "NOT_MANAGED",
    Behaviour.PENDING_REBOOT: "PENDING_REBOOT",
    Behaviour.OVERWRITTEN: "OVERWRITTEN",
    Behaviour.SENTINEL: "SCAN_BROKEN",
    Behaviour.NOEXEC: "NOEXEC",
    Behaviour.NO_PYTHON: "PYTHON",
    Behaviour.WINDOWS_UPDATE: "WINDOWS_UPDATE",
    Behaviour.OUT_OF_MEMORY: "OUT_OF_MEMORY",
    Behaviour.NO_PERMISSION: "PROFILE_DENIED",
    Behaviour.SLOW: "TIMEOUT",
    Behaviour.TERMINATED: "GONE",
}
WINDOWS = (Behaviour.FALSE_FAILURE, Behaviour.WINDOWS_UPDATE, Behaviour.WSUS_UNREACHABLE)
# Of a Scan only these come out otherwise than well: it installs nothing, and reboots nothing.
SCANNED_BADLY = (
    Behaviour.AGENT_OFFLINE,
    Behaviour.NOT_MANAGED,
    Behaviour.OVERWRITTEN,
    Behaviour.SENTINEL,
)


@dataclass
class Fleet:
    """A fleet, what is asked of it, and what is planted in it."""

    seed: int
    operation: str
    item: dict[str, Any]
    organization: Organization
    expected: list[Node] = field(default_factory=list)
    spared: set[str] = field(default_factory=set)
    denied: list[Account] = field(default_factory=list)  # no read role: nobody knows its instances
    disabled: list[tuple[Account, str]] = field(default_factory=list)
    powerless: set[str] = field(default_factory=set)  # accounts without an execution role
    joiners: list[Node] = field(default_factory=list)


def fleet(seed: int) -> Fleet:
    """The fleet of a seed."""
    rng = random.Random(f"fleet {seed}")  # noqa: S311 - a story
    made = Organization(sample.HUB, REGIONS, seed)
    unit = made.add_unit("Production")
    operation = "Scan" if rng.random() < 0.15 else "Install"
    item: dict[str, Any] = {
        "campaign": "web",
        "schedule": f"at({START:%Y-%m-%dT%H:%M:%S})",
        "duration": 6,
        "accounts": [unit.id],
        "regions": list(REGIONS),
        "targets": "tag:PatchGroup=web",
        "operation": operation,
        "maxConcurrency": "100%",
        "maxErrors": "100%",
    }
    if rng.random() < 0.4:
        item["exceptions"] = [
            {"targets": "tag:Legacy=yes", "reason": REASON, "approvedBy": "jane@example.com", "expires": "2026-12-01"},
            {"targets": "tag:Ring=0", "reason": "long over", "approvedBy": "jane@example.com", "expires": "2026-11-30"},
        ]
    planted = Fleet(seed, operation, item, made)
    for number in range(rng.choice((1, 2, 3))):
        _account(planted, rng, unit, number)
    return planted


def _account(planted: Fleet, rng: random.Random, unit: Any, number: int) -> None:
    made, trouble = planted.organization, rng.random()
    roles = dict(sample.ONBOARDED)
    if trouble < 0.06:
        roles.pop(sample.READ_ROLE)
    elif trouble < 0.12:
        roles.pop("AWS-SystemsManager-AutomationExecutionRole")
    regions = REGIONS[:1] if 0.12 <= trouble < 0.2 else REGIONS
    account = made.add_account(f"prod-{number}", unit, id=f"{number + 1:012d}", roles=roles, regions=regions)
    if 0.2 <= trouble < 0.25:
        account.state = "SUSPENDED"
    planted.denied += [account] if trouble < 0.06 else []
    planted.powerless |= {account.id} if 0.06 <= trouble < 0.12 else set()
    for region in REGIONS:
        if region not in regions:
            planted.disabled.append((account, region))
            continue
        for place in range(rng.randrange(5)):
            node = _node(planted, rng, account, region, place)
            if account.state == "ACTIVE" and account not in planted.denied:
                planted.expected.append(node)


def _node(planted: Fleet, rng: random.Random, account: Account, region: str, place: int) -> Node:
    behaviour = rng.choice(list(Behaviour)) if rng.random() < 0.7 else Behaviour.HEALTHY
    tags = {"PatchGroup": "web", "Ring": str(rng.randrange(2)), "Legacy": rng.choice(("yes", "no", "no", "no"))}
    node = planted.organization.add_node(
        account,
        region,
        f"{account.name}-{place}",
        behaviour,
        tags=tags,
        platform="Windows" if behaviour in WINDOWS else "Linux",
        missing=rng.choice((0, 1, 4)) if behaviour is Behaviour.HEALTHY else 4,
        hybrid=rng.random() < 0.05 and behaviour not in (Behaviour.NOT_MANAGED, Behaviour.TERMINATED),
    )
    if tags["Legacy"] == "yes" and "exceptions" in planted.item:
        planted.spared.add(node.id)
    return node


def played(planted: Fleet, rng: random.Random) -> History:
    """The campaign to its end, with nothing going wrong but what is planted."""
    named = "exceptions" in planted.item
    switches = Switches(
        evidence_delay=timedelta(seconds=rng.choice((0, 20, 120))),
        incomplete_command=rng.choice(("Success", "Failed")),
        forgiven_failures_fail=rng.random() < 0.5,
        zero_targets=rng.choice(("Success", "Failed")),
    )
    worlds: list[World] = []

    def build() -> World:
        world = deploy(World(PacedClock(BEGINS, PACE), planted.organization, planted.seed, switches))
        worlds.append(world)
        for node in planted.expected:
            if rng.random() < 0.05 and node.managed and node.id.startswith("i-"):
                world.set_state(node, "stopped")
        return world

    def join() -> None:
        made = planted.organization
        open_to = [one for one in made.accounts.values() if one.name.startswith("prod") and one.state == "ACTIVE"]
        places = {(node.account, node.region) for node in planted.expected}
        account = rng.choice(open_to) if open_to else None
        if account and (account.id, REGIONS[0]) in places and account.id not in planted.powerless and not named:
            planted.joiners.append(
                made.add_node(account, REGIONS[0], "late", tags={"PatchGroup": "web", "Ring": "1", "Legacy": "no"})
            )

    actions = [put(BEGINS + timedelta(minutes=1), planted.item)]
    if rng.random() < 0.3:
        actions.append(Action(START - timedelta(minutes=3), "an instance joins", lambda _: join()))
    scenario = Scenario(
        f"fleet {planted.seed}", BEGINS, BEGINS + timedelta(days=2), build, tuple(actions), Facts(()), 0
    )
    history = History(scenario)
    history.play()
    return history


def truth(planted: Fleet, history: History, read_at: Mapping[str, datetime]) -> dict[str, tuple[str, str, bool]]:
    """Of each expected instance: what became of it, the cause, and whether it is compliant; from the world alone.

    What was overwritten later was still there when it was read: when that was is the one thing taken from the report.
    """
    found = {}
    known = history.world.ground_truth(RUN, [node.id for node in planted.expected])
    for node in planted.expected:
        became = known[node.id]
        if became == "unverified" and node.behaviour is Behaviour.OVERWRITTEN and _in_time(node, read_at):
            became = "nonCompliant" if planted.operation == "Scan" and node.missing else "compliant"
        found[node.id] = _truth(planted, node, became)
    return found


def _in_time(node: Node, read_at: Mapping[str, datetime]) -> bool:
    """Whether its evidence was read before somebody else wrote over it."""
    assert node.patch_state
    foreign = node.patch_state.snapshot_id == FOREIGN_SNAPSHOT
    return not foreign or read_at[node.id] < node.patch_state.ended_at


def _truth(planted: Fleet, node: Node, became: str) -> tuple[str, str, bool]:
    if node.id in planted.spared:
        return "excluded", "EXCEPTED", False
    if node.account in planted.powerless:
        return "notStarted", "ROLE_DENIED", False
    if node.state == "stopped":
        return "unreachable", "STOPPED_INSTANCE" if became == "notStarted" else "AGENT_LOST", False
    if planted.operation == "Scan" and became in ("compliant", "nonCompliant"):
        return "scanned", "", became == "compliant"
    cause = CAUSES.get(node.behaviour, "") if became not in ("compliant", "nonCompliant") else ""
    if planted.operation == "Scan" and node.behaviour not in SCANNED_BADLY:
        cause = ""
    return became, cause, became == "compliant"


@dataclass(frozen=True)
class Told:
    """What the service says: the report for programs, its rows by instance, and the last mail."""

    report: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, str]]
    mail: str
    subject: str

    @property
    def read_at(self) -> dict[str, datetime]:
        """When the evidence of each instance was read."""
        return {id_: datetime.fromisoformat(row["capturedAt"]) for id_, row in self.rows.items()}


def told(history: History) -> Told:
    """What the files of the report and the mails say."""
    written = history.memory.written
    table = csv.DictReader(io.StringIO(written[f"{FOLDER}/instances.csv"].decode(), newline=""))
    rows = {row["instanceId"]: row for row in table}
    mail = history.memory.mails[-1]
    return Told(json.loads(written[f"{FOLDER}/report.json"]), rows, mail.text, mail.subject)


def outcomes(found: Mapping[str, tuple[str, str, bool]]) -> dict[str, int]:
    """How many there are of each outcome."""
    return dict(Counter(outcome for outcome, _, _ in found.values()))
