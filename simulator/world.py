"""The world: one fleet, its documents, executions, commands and calendars, and a log of what really reached the nodes."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from simulator.automation import RUN_TAG, Automation
from simulator.clock import Clock
from simulator.documents import Library
from simulator.fleet import FORGOTTEN_AFTER, Behaviour, Node, Organization, Ping, State
from simulator.powers import Powers
from simulator.protocol import Identities, Service
from simulator.runcommand import Delivery, Origin, RunCommand
from simulator.services import all_services

__all__ = ["RUN_TAG", "Calendar", "Delivery", "Origin", "Switches", "Truth", "World"]

Truth = Literal[
    "compliant", "pendingReboot", "nonCompliant", "failed", "unreachable", "unverified", "notStarted", "gone"
]


@dataclass(frozen=True)
class Switches:
    """What AWS does not document, or documents in two ways. A service must be right whichever way each of them stands."""

    unstarted_pairs_listed: bool = False
    """Whether a multi-account execution lists the locations it has not begun, as Pending steps."""
    forgiven_failures_fail: bool = True
    """Whether an execution ends Failed though no more targets failed than its MaxErrors allows (seen so in the field)."""
    zero_targets: Literal["Success", "Failed"] = "Success"
    """How a child execution, or a command, ends that finds no target at all."""
    delivery_timeout: Literal["command", "turn"] = "command"
    """Whether an instance may wait for its turn until the command's delivery timeout, or is given that time when its turn comes."""
    incomplete_command: Literal["Success", "Failed"] = "Failed"
    """The status of a command whose details are Incomplete: some failed, fewer than MaxErrors allows."""
    stop_reaches_children: bool = False
    """Whether stopping a parent execution stops its children as well."""
    steps_in_answer: int = 100
    """How many steps GetAutomationExecution lists before it says that they are truncated."""
    token_retention: timedelta = timedelta(hours=24)
    """How long a ClientToken is remembered. After that the same request starts a second execution."""
    child_names_parent: bool = True
    """Whether a child in another account says which hub execution it belongs to."""
    evidence_delay: timedelta = timedelta(seconds=20)
    """How long a patch state takes to become visible after its command has ended."""
    entries_in_order: bool = False
    """Whether TargetLocations entries run one after the other, and not side by side."""
    locations_ramp: bool = False
    """Whether locations start 1, 2, 4 … up to their concurrency, as targets do."""
    read_gap: timedelta = timedelta(0)
    """How long an execution that was just started cannot be read."""
    empty_pages: bool = True
    """Whether the first page of Organizations is empty and has a NextToken."""
    concurrent_executions: int = 100
    """How many executions of an account run at once in a Region. What is beyond waits, Pending."""
    concurrent_rate_controlled: int = 25
    """How many of those may be rate-controlled ones, that is executions with Targets."""
    queued_executions: int = 5000
    """How many executions may wait. What is beyond is refused."""


@dataclass
class Calendar:
    """A Change Calendar: open or closed by default, and the spans in which it is the other way."""

    default: Literal["OPEN", "CLOSED"] = "OPEN"
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)

    def state(self, when: datetime) -> str:
        """OPEN or CLOSED."""
        inside = any(start <= when < end for start, end in self.spans)
        return ("CLOSED" if self.default == "OPEN" else "OPEN") if inside else self.default

    def next_transition(self, when: datetime) -> datetime | None:
        """When the state changes next, if it ever does."""
        edges = sorted(edge for span in self.spans for edge in span if edge > when)
        return next((edge for edge in edges if self.state(edge) != self.state(when)), None)


@dataclass(frozen=True)
class Image:
    """What an image has of a node: how many patches were in, and how many were missing."""

    node: str
    installed: int
    missing: int


class World:
    """Everything there is. Its story follows from the seed and from what is asked of it."""

    def __init__(
        self,
        clock: Clock,
        organization: Organization,
        seed: int = 0,
        switches: Switches | None = None,
        hub_region: str | None = None,
    ) -> None:
        self.clock = clock
        self.organization = organization
        self.seed = seed
        self.switches = switches or Switches()
        self.hub_region = hub_region or organization.regions[0]
        self.identities = Identities()
        self.powers = Powers()
        self.documents = Library(clock)
        self.calendars: dict[tuple[str, str, str], Calendar] = {}
        self.target_groups: dict[str, dict[str, tuple[str, datetime]]] = {}
        self.images: dict[str, Image] = {}
        self.root_tasks: dict[str, tuple[str, datetime]] = {}
        self.effects: list[Delivery] = []
        self._deliveries: defaultdict[tuple[str | None, str], list[Delivery]] = defaultdict(list)
        self._attempts: set[tuple[str | None, str, str]] = set()
        self._awaited: set[tuple[str | None, str]] = set()
        self._lost: set[tuple[str, str]] = set()
        self._ids: defaultdict[str, int] = defaultdict(int)
        self.commands = RunCommand(self)
        self.automation = Automation(self)

    @cached_property
    def services(self) -> dict[str, Service]:
        """The APIs that show this world, by boto3's names for them."""
        return {service.name: service for service in all_services(self)}

    def take_image(self, node: Node, id_: str) -> None:
        """Keep what the node's root volume has now."""
        self.images[id_] = Image(node.id, node.installed, node.missing)

    def replace_root(self, node: Node, image: Image) -> str:
        """The node's root volume is put back to the image; the id of the task. Its agent is away meanwhile."""
        id_ = f"replacevol-0{self.random('root', self.new_id('root')).getrandbits(64):016x}"
        ready = self.clock.now + timedelta(minutes=4)
        self.root_tasks[id_] = (node.id, ready)
        self.set_ping(node, Ping.LOST)

        def back() -> None:
            node.installed, node.missing = image.installed, image.missing
            self.set_ping(node, Ping.ONLINE)

        self.clock.at(ready + timedelta(seconds=40), back)
        return id_

    def add_target_group(self, account: str, region: str, name: str, nodes: Iterable[Node] = ()) -> str:
        """The ARN of a new target group of a load balancer, with these healthy nodes in it."""
        arn = f"arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{name}/{self.random(name).getrandbits(64):016x}"
        self.target_groups[arn] = {node.id: ("initial", self.clock.now) for node in nodes}
        return arn

    # --- chance ---------------------------------------------------------------------------------------------------

    def random(self, *names: object) -> random.Random:
        """A source of chance for just this purpose, so that one more question elsewhere changes nothing here."""
        return random.Random(f"{self.seed} {' '.join(map(str, names))}")  # noqa: S311 - a story, not a secret

    def new_id(self, kind: str) -> str:
        """The next id of its kind, in the form of a UUID."""
        self._ids[kind] += 1
        bits = self.random("id", kind, self._ids[kind]).getrandbits(128)
        return str(uuid.UUID(int=bits, version=4))

    # --- what happens to nodes ------------------------------------------------------------------------------------

    def set_ping(self, node: Node, ping: Ping) -> None:
        """The node's agent is heard of, or no longer. Commands that waited for it are delivered at once."""
        if node.ping is Ping.ONLINE:
            node.pinged_at = self.clock.now
        node.ping = ping
        if ping is Ping.ONLINE:
            node.pinged_at = self.clock.now
            self.commands.wake(node)

    def set_state(self, node: Node, state: State) -> None:
        """The instance is started, stopped or terminated, and its agent, where SSM knows it, comes and goes with it.

        What is to happen later is told to the clock: `world.clock.at(when, lambda: world.set_state(node, "stopped"))`.
        """
        if state == "terminated" and node.state != "terminated":
            self.clock.after(FORGOTTEN_AFTER, lambda: self.organization.forget(node))
        node.state = state
        if node.managed:
            self.set_ping(node, Ping.ONLINE if state == "running" else Ping.LOST)

    def attempt(self, origin: Origin, account: str, region: str) -> None:
        """Note that a patch command was sent at the location."""
        self._attempts.add((origin.run, account, region))

    def await_node(self, origin: Origin, node: Node) -> None:
        """Note that a patch command was on its way to the node."""
        self._awaited.add((origin.run, node.id))

    def deliver(self, delivery: Delivery) -> None:
        """Note that a patch command reached an agent."""
        self.effects.append(delivery)
        self._deliveries[delivery.run, delivery.node].append(delivery)

    def lose(self, command: str, node: Node) -> None:
        """Note that the node went down under a patch command."""
        self._lost.add((command, node.id))

    # --- counters -------------------------------------------------------------------------------------------------

    @property
    def installs_delivered(self) -> int:
        """How many times an Install reached an agent."""
        return sum(delivery.operation == "Install" for delivery in self.effects)

    @property
    def executions_started(self) -> int:
        """How many executions somebody started in the hub; children do not count."""
        hub = self.organization.accounts[self.organization.hub]
        started = (execution for region in hub.regions for execution in self.automation.at(hub.id, region))
        return sum(not execution.is_child for execution in started)

    def instances_installed_twice(self) -> dict[str, tuple[str, ...]]:
        """The instances of each run that an Install reached more than once. No run but a broken one has any."""
        twice: defaultdict[str, list[str]] = defaultdict(list)
        for (run, node), deliveries in self._deliveries.items():
            if run is not None and sum(delivery.operation == "Install" for delivery in deliveries) > 1:
                twice[run].append(node)
        return {run: tuple(sorted(nodes)) for run, nodes in twice.items()}

    def delivered_outside(self, windows: Mapping[str, tuple[datetime, datetime]]) -> tuple[Delivery, ...]:
        """Installs that reached an agent before the run's start or not before its last start."""
        outside = []
        for delivery in self.effects:
            window = windows.get(delivery.run or "")
            if delivery.operation == "Install" and window and not window[0] <= delivery.at < window[1]:
                outside.append(delivery)
        return tuple(outside)

    # --- the truth ------------------------------------------------------------------------------------------------

    def ground_truth(self, run: str, expected: Iterable[str]) -> dict[str, Truth]:
        """What really became, or will become, of each instance in the run: from the nodes and the log of deliveries alone."""
        return {node: self._truth(run, node) for node in expected}

    def _truth(self, run: str, node_id: str) -> Truth:
        node = self.organization.nodes.get(node_id)
        delivered = self._deliveries.get((run, node_id))
        if node is None:
            return "notStarted"
        if delivered:
            return _truth_of(node, delivered[0], lost=(delivered[0].command, node_id) in self._lost)
        if (run, node.account, node.region) not in self._attempts:
            return "notStarted"
        if not node.managed or (run, node_id) in self._awaited:
            return "unreachable"
        return "notStarted"


_TRUTHS: Mapping[Behaviour, Truth] = {
    Behaviour.DISK_FULL: "failed",
    Behaviour.REPO_DOWN: "failed",
    Behaviour.PKG_LOCK: "failed",
    Behaviour.PATCH_FAILS: "failed",
    Behaviour.AGENT_LOST_AFTER_REBOOT: "failed",
    Behaviour.PENDING_REBOOT: "pendingReboot",
    Behaviour.OVERWRITTEN: "unverified",
    Behaviour.SENTINEL: "unverified",
    Behaviour.NOEXEC: "failed",
    Behaviour.NO_PYTHON: "failed",
    Behaviour.PKG_CONFLICT: "failed",
    Behaviour.REPO_METADATA: "failed",
    Behaviour.WINDOWS_UPDATE: "failed",
    Behaviour.WSUS_UNREACHABLE: "failed",
    Behaviour.OUT_OF_MEMORY: "failed",
    Behaviour.NO_PERMISSION: "failed",
    Behaviour.SLOW: "failed",
    Behaviour.TERMINATED: "gone",
}


def _truth_of(node: Node, delivery: Delivery, *, lost: bool) -> Truth:
    evident = node.patch_state is not None and node.patch_state.execution_id == delivery.command
    if node.state == "terminated" and not evident:
        return "gone"
    if delivery.clashed or lost:
        return "failed"
    if delivery.operation == "Scan":
        if node.behaviour in (Behaviour.SENTINEL, Behaviour.OVERWRITTEN):
            return "unverified"
        return "nonCompliant" if delivery.missing or node.rejected else "compliant"
    if node.behaviour in _TRUTHS:
        return _TRUTHS[node.behaviour]
    if delivery.reboot_option == "NoReboot" and delivery.missing:
        return "pendingReboot"
    return "nonCompliant" if node.rejected else "compliant"
