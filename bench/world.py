"""What is measured: a campaign over a fleet of alike servers, played in memory by the service's own code, call by call.

    played = play(accounts=1000)

Nothing is wrong with the fleet unless `failure_rate` says so, since what fails is asked about once more and there is no least
number of questions for that. A `hub` other than the real one is the control: it does something that ours does not.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any

from bench.items import read_units
from patchtide.aws.runs import Registry, Runs
from patchtide.core.campaign import Campaign
from patchtide.core.document import read
from patchtide.core.run import Run
from patchtide.core.states import RunState
from patchtide.core.view import Dossier
from simulator.automation import Step
from simulator.clock import Clock
from simulator.memory import RETENTION, Call, Memory, Perform, Watch
from simulator.pretend import Fleet, Member, Server, organization, troubled
from simulator.proof.history import MINUTE, History, Scenario, silent
from simulator.proof.scenarios import Facts, deploy, put
from simulator.protocol import Params
from simulator.world import World

BEGINS = datetime(2026, 12, 4, 22, 0, tzinfo=UTC)  # a day before its window
ENDS = BEGINS + timedelta(days=2)
REGIONS = ("eu-west-1", "eu-west-2")
PER_LOCATION = 50
SEED = 1
# Accounts. In a larger world every request is of a kind that was held against AWS's models in a smaller one.
CHECKED = 20
START = "ssm.start_automation_execution"


def document(accounts: int, **more: Any) -> dict[str, Any]:
    """The campaign's item: every account at once, since what is measured is the largest wave there can be."""
    return {
        "campaign": "web",
        "schedule": "cron(0 22 ? * SAT *)",
        "duration": 4,
        "cutoff": 1,
        "accounts": [f"{100_000_000_000 + number}" for number in range(accounts)],
        "regions": list(REGIONS),
        "targets": "tag:PatchGroup=web",
        "maxConcurrency": "100%",
        "maxErrors": "100%",
        "locationMaxConcurrency": "100%",
        "locationMaxErrors": "100%",
        **more,
    }


@dataclass(frozen=True)
class Size:
    """How large a fleet is."""

    accounts: int
    per_location: int = PER_LOCATION
    regions: int = len(REGIONS)

    @property
    def locations(self) -> int:
        """Each account in each Region."""
        return self.accounts * self.regions

    @property
    def instances(self) -> int:
        """All instances."""
        return self.locations * self.per_location


@dataclass(frozen=True)
class Played:
    """A campaign that was played, and every call that was made for it, in order."""

    size: Size
    campaign: Campaign
    history: History = field(repr=False)
    run: str
    read_units: float = 0

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """All calls."""
        return tuple(call for call, _, _ in self.history.seen)

    @cached_property
    def started(self) -> int:
        """How many calls there were before the first start."""
        return next(number for number, call in enumerate(self.calls) if call.name == START)

    @property
    def memory(self) -> Memory:
        """The stack in which it was played."""
        return self.history.memory

    def dossier(self) -> Dossier:
        """The run as it stands at the end."""
        with self.memory.quietly():
            return Runs(self.memory.table(), RETENTION, self.memory.now).load(self.run)

    def steps(self) -> Counter[str]:
        """The Automation steps that were begun, by what they do, in every account: as the world counted them."""
        return Counter(step.action for step in _steps(self.history.world))

    def invocations(self) -> Counter[str]:
        """How often each function was woken with something to do: every invocation makes at least one call."""
        woken = {(number, call.worker) for call, number, _ in self.history.seen}
        return Counter(worker for _, worker in woken)

    def written(self) -> Iterator[Mapping[str, Any]]:
        """Every item as it was put, over and over where it changed."""
        for call in self.calls:
            for action in call.params.get("TransactItems", ()):
                if "Put" in action:
                    yield action["Put"]["Item"]


def _steps(world: World) -> Iterator[Step]:
    for account in world.organization.accounts.values():
        for region in sorted(account.regions):
            for execution in world.automation.at(account.id, region):
                yield from (step for step in execution.steps if step.started_at)


def stage(
    size: Size, *, hub: type[Memory] = Memory, failure_rate: float = 0, more: Mapping[str, Any] = MappingProxyType({})
) -> tuple[History, Campaign]:
    """The campaign's history, with nothing played yet."""
    item = document(size.accounts, **more)
    campaign = read(item, now=BEGINS).valid()
    fleet = troubled(fleet_of(size), failure_rate, SEED)
    scenario = Scenario(
        "bench",
        BEGINS,
        ENDS,
        lambda: deploy(World(Clock(BEGINS), organization(fleet, campaign, SEED), SEED)),
        (put(BEGINS, item),),
        Facts(),
    )
    history = History(scenario, remembers=False, hub=hub)
    history.memory.checked = size.accounts <= CHECKED
    return history, campaign


def fleet_of(size: Size) -> Fleet:
    """Alike servers, so many in each location."""
    members = tuple(Member(id_, f"account-{id_[-5:]}") for id_ in document(size.accounts)["accounts"])
    tags = {"PatchGroup": "web"}
    servers = tuple(
        Server(member.id, region, f"web-{number:02d}", tags)
        for member in members
        for region in REGIONS
        for number in range(size.per_location)
    )
    return Fleet(members, servers)


def play(
    size: Size, *, hub: type[Memory] = Memory, failure_rate: float = 0, more: Mapping[str, Any] = MappingProxyType({})
) -> Played:
    """The campaign from the item's putting until its run has ended and everything of it is told."""
    history, campaign = stage(size, hub=hub, failure_rate=failure_rate, more=more)
    meter = _Meter(history._watch)
    history.memory.boundary.watch = meter
    with silent():
        while history.step() and not over(history):
            pass
    if history.failures:
        raise RuntimeError(f"an invocation failed, so the calls are not those of a run: {history.failures[0]}")
    run = looked_at(history)
    if run is None or (run.state is not RunState.SUCCEEDED and not failure_rate):
        raise RuntimeError(
            f"the run came to {run and run.phase}, so its calls are not those of one in which all goes well"
        )
    return Played(size, campaign, history, run.id, meter.units)


@dataclass
class _Meter:
    """Counts what is read of tables, in DynamoDB's units. As a boundary's `watch` it has every call performed by another."""

    watch: Watch
    units: float = 0

    def __call__(self, call: Call, perform: Perform) -> Params:
        """The answer to the call, counted."""
        answer = self.watch(call, perform)
        self.units += read_units(call, answer)
        return answer


def opened(history: History) -> str:
    """The id of the campaign's run; empty while there is none."""
    with history.memory.quietly():
        return next(iter(Registry(history.memory.table()).runs_of("web", 1)), "")


def looked_at(history: History) -> Run | None:
    """The run as it stands, if there is one."""
    run = opened(history)
    with history.memory.quietly():
        return Runs(history.memory.table(), RETENTION, history.memory.now).load(run).run if run else None


def over(history: History) -> bool:
    """Whether the run has ended, is reported, and asks for nothing more."""
    due = history.due_at()
    if due is not None and due <= history.now + MINUTE:
        return False
    run = looked_at(history)
    return run is not None and not run.open and bool(run.reported)


# --- how much is measured -----------------------------------------------------------------------------------------------

Say = Callable[[str], None]
"""Hears what is being done now."""


@dataclass(frozen=True)
class Scale:
    """The sizes at which everything is measured; a growth needs two or more of a kind."""

    accounts: tuple[int, ...] = (10, 100, 1_000)
    per_location: int = PER_LOCATION
    control: int = 100  # accounts of the fleet that a worse way is measured with
    care: int = 4  # accounts of the fleet in which each instance has an execution of its own
    largest: int = 10_000  # accounts; such a run is built, not played
    looked_at: tuple[int, ...] = (10, 30, 100)  # accounts, whose executions are looked at minute by minute
    campaigns: tuple[int, ...] = (10, 1_000, 10_000)
    ended: tuple[int, ...] = (0, 4_000, 40_000)  # runs, beside so many campaigns
    failures: tuple[int, ...] = (100, 10_000, 100_000)
    streamed: tuple[int, ...] = (10_000, 30_000, 100_000)
    asked: tuple[int, ...] = (200, 2_000, 20_000)  # locations that one collector asks
    connected: tuple[int, ...] = (30, 90)  # accounts that one collector asks over real clients
    collected: int = 20  # accounts whose evidence is read against the clock
    rounds: int = 5  # of that
    imports: int = 12  # of each function
    silent: tuple[int, ...] = (100, 1_000, 10_000)  # accounts with a Region that does not answer


FULL = Scale()
TINY = Scale(
    accounts=(1, 2),
    per_location=3,
    control=2,
    care=1,
    largest=30,
    looked_at=(1, 2),
    campaigns=(2, 20),
    ended=(0, 30),
    failures=(10, 1_000),
    streamed=(200, 800),
    asked=(60, 200),
    connected=(1, 2),
    collected=1,
    rounds=1,
    imports=1,
    silent=(2, 4),
)


@dataclass
class Bench:
    """A measuring under way. What was played once is not played again."""

    scale: Scale = FULL
    say: Say = lambda _: None
    _played: dict[tuple[object, ...], Played] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The fleets that are played, the smallest first."""
        return tuple(Size(accounts, self.scale.per_location) for accounts in self.scale.accounts)

    @property
    def control_size(self) -> Size:
        """The fleet that a worse way is played with."""
        return Size(self.scale.control, self.scale.per_location)

    def play(
        self,
        size: Size,
        *,
        hub: type[Memory] = Memory,
        failure_rate: float = 0,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> Played:
        """A campaign over that fleet, played to its end."""
        key = (size, hub, failure_rate, tuple(sorted(more.items())))
        if key not in self._played:
            self.say(f"playing {size.instances:,} instances in {size.locations:,} locations")
            self._played[key] = play(size, hub=hub, failure_rate=failure_rate, more=more)
            gc.collect()
            gc.freeze()  # what was played stays, and the collector of garbage need not look through it for all that follows
        return self._played[key]
