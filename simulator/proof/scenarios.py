"""What is played: the reference campaign, the smallest one, and whatever a seed makes up.

A scenario says what it is in plain instants and names, worked out by hand or by the generator. Nothing of the service's rules
is used for it, so that the oracle judges by what was meant and not by what the service made of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from patchtide.aws.runs import Runs
from patchtide.aws.service import Switch
from patchtide.core.orders import Kind, Order
from patchtide.core.override import Override
from patchtide.core.pause import Pause
from simulator import sample
from simulator.clock import PacedClock
from simulator.fleet import (
    EXECUTION_ROLE,
    FOREIGN_SNAPSHOT,
    Behaviour,
    Node,
    Organization,
    PatchState,
)
from simulator.memory import BUCKET, RETENTION, Memory
from simulator.proof.history import Action, Scenario
from simulator.template import ROOT
from simulator.world import Calendar, Switches, World

ALPHA, BETA = "111122223333", "444455556666"
REGIONS = ("eu-west-1", "eu-west-2")
BEGINS = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
BOSS = "arn:aws:sts::999900001111:assumed-role/Operators/boss@example.com"


Span = tuple[datetime, datetime]
Rings = tuple[tuple[str, Mapping[str, Any]], ...]


@dataclass(frozen=True)
class Ring:
    """One wave of an occurrence as it was meant: when it may start, whom it is for, and what lets the next one begin."""

    name: str
    start: datetime
    last_start: datetime
    end: datetime
    nodes: frozenset[str]
    max_failed: int = 10**9
    soak: timedelta = timedelta(0)
    most: int = 10**9  # instances that it may patch at all


@dataclass(frozen=True)
class Occurrence:
    """One run that must come, by its id, if it is `sure`. `end` is how it must end where nothing disturbs it."""

    run: str
    campaign: str
    rings: tuple[Ring, ...]
    end: str = ""
    sure: bool = True


@dataclass(frozen=True)
class Facts:
    """What was meant: who is to be patched when, and when nothing may start. `barred` are the spans in which a campaign was
    disabled, deleted, stopped, or not approved; `overdue` is by when people must hear that a campaign has not begun; `tampered` are the spans in which a list of
    patches was another than its name says; `calendar` says that its starts have to read one, `foretold` that it was known when it
    closes."""

    occurrences: tuple[Occurrence, ...] = ()
    cap: int = 0
    calendar: bool = False
    closed: tuple[Span, ...] = ()
    tampered: tuple[Span, ...] = ()
    foretold: bool = False
    paused: tuple[Span, ...] = ()
    barred: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    overdue: Mapping[str, datetime] = field(default_factory=dict)


def deploy(world: World) -> World:
    """The world with the hub's runbooks, and the spoke's in every account that was onboarded."""
    sample.deploy(world, ROOT / "template.yaml", world.organization.hub, world.hub_region)
    for account in world.organization.accounts.values():
        if sample.READ_ROLE in account.roles:
            sample.onboard(world, account.id)
    return world


def put(at: datetime, item: Mapping[str, Any]) -> Action:
    """Somebody puts an item into the campaigns table."""
    return Action(at, f"put {item['campaign']}", lambda memory: memory.put(item), item)


# --- making one ---------------------------------------------------------------------------------------------------------


@cache
def _organization(nodes: tuple[tuple[str, int, Behaviour], ...]) -> Organization:
    made = Organization(sample.HUB, REGIONS, 1)
    letters = {name[0] for name, _, _ in nodes}
    accounts = {
        name: made.add_account(name, id=id_, roles=sample.ONBOARDED)
        for name, id_ in (("a", ALPHA), ("b", BETA))
        if name in letters
    }
    for name, ring, behaviour in nodes:
        tags = {"PatchGroup": "web", "Ring": str(ring)}
        made.add_node(accounts[name[0]], REGIONS[int(name[1]) - 1], name, behaviour, tags=tags)
    return made


def fresh(organization: Organization) -> Organization:
    """The organisation as it was, to be played in: its nodes change, all else is shared."""
    made = object.__new__(Organization)
    made.__dict__.update(organization.__dict__)
    made.nodes = {id_: Node(**node.__dict__) for id_, node in organization.nodes.items()}
    by_location: dict[tuple[str, str], list[Node]] = {}
    for node in made.nodes.values():
        by_location.setdefault((node.account, node.region), []).append(node)
    made._by_location = by_location
    return made


@dataclass(frozen=True)
class Plan:
    """How a scenario differs from the simplest: one wave that succeeds, an hour (`ahead`) after its item was put.

    `nodes` are named by account (a, b), Region (1, 2) and number: a1-0, each with its ring. `in_world` happens to the world at
    an instant, `people` is what they do.
    """

    name: str
    nodes: tuple[tuple[str, int, Behaviour], ...]
    end: str
    item: Mapping[str, Any] = field(default_factory=dict)
    rings: Rings = (("all", {}),)
    hours: float = 2
    cutoff: float = 1
    pace: float = 16
    switches: Switches = field(default_factory=Switches)
    facts: Mapping[str, Any] = field(default_factory=dict)
    people: tuple[Action, ...] = ()
    in_world: tuple[tuple[datetime, Callable[[World], None]], ...] = ()
    prepare: Callable[[World], None] = lambda _: None
    asleep: tuple[Span, ...] = ()
    headless: Span | None = None
    max_in_flight: int = 0
    sure: bool = True
    strict: bool = True
    others: tuple[tuple[Mapping[str, Any], Occurrence], ...] = ()
    ahead: timedelta = HOUR


START = BEGINS + HOUR
RUN = f"web-{START:%Y%m%dT%H%MZ}"


def made(plan: Plan) -> Scenario:
    """The scenario that the plan describes."""
    organization, begins = _organization(plan.nodes), START - plan.ahead
    item = {
        "campaign": "web",
        "schedule": f"at({START:%Y-%m-%dT%H:%M:%S})",
        "duration": plan.hours,
        "cutoff": f"{int(plan.cutoff * 60)}m",
        "accounts": [one.id for one in organization.accounts.values() if one.id != sample.HUB],
        "regions": sorted({node.region for node in organization.nodes.values()}),
        "targets": "tag:PatchGroup=web",
        "maxConcurrency": "100%",
        "maxErrors": "100%",
        **plan.item,
    }
    last = START + timedelta(hours=plan.hours - plan.cutoff)
    end = START + timedelta(hours=plan.hours)
    rings = tuple(
        Ring(name, START, last, end, _ids(organization, number if len(plan.rings) > 1 else None), **said)
        for number, (name, said) in enumerate(plan.rings)
    )
    occurrence = Occurrence(RUN, "web", rings, plan.end, plan.sure)

    def build() -> World:
        clock = PacedClock(begins, 1)
        world = deploy(World(clock, fresh(organization), 1, plan.switches))
        for at, act in plan.in_world:
            world.clock.at(at, partial(act, world))
        plan.prepare(world)
        clock.pace(plan.pace)
        return world

    puts = tuple(put(begins, other) for other, _ in plan.others)
    return Scenario(
        plan.name,
        begins,
        START + timedelta(hours=max(9, plan.hours + 5)),
        build,
        (put(begins, item), *puts, *plan.people),
        Facts((occurrence, *(other for _, other in plan.others)), cap=plan.max_in_flight, **plan.facts),
        plan.max_in_flight,
        asleep=plan.asleep,
        headless=plan.headless,
        strict=plan.strict,
    )


def _ids(organization: Organization, ring: int | None) -> frozenset[str]:
    return frozenset(node.id for node in organization.nodes.values() if ring is None or node.tags["Ring"] == str(ring))


def _healthy(*names: str) -> tuple[tuple[str, int, Behaviour], ...]:
    return tuple((name, 0, Behaviour.HEALTHY) for name in names)


# --- the scenarios ------------------------------------------------------------------------------------------------------

TROUBLES = {"a1-2": Behaviour.DISK_FULL, "b2-1": Behaviour.PENDING_REBOOT}


def reference() -> Scenario:
    """Three waves over four locations in one evening; one instance fails, one owes a reboot, two waves are gated."""
    nodes = tuple(
        (f"{letter}{place}-{ring}", ring, TROUBLES.get(f"{letter}{place}-{ring}", Behaviour.HEALTHY))
        for letter in "ab"
        for place in (1, 2)
        for ring in range(3)
    )
    waves = [
        {"name": "canary", "targets": "tag:Ring=0", "gate": {"maxErrors": 0, "soak": "5m"}},
        {"name": "early", "targets": "tag:Ring=1", "gate": {"maxErrors": 1, "minCompliance": 50}},
        {"name": "broad", "targets": "tag:Ring=2"},
    ]
    rings: Rings = (
        ("canary", {"max_failed": 0, "soak": timedelta(minutes=5)}),
        ("early", {"max_failed": 1}),
        ("broad", {}),
    )
    return made(Plan("reference", nodes, "failed", {"waves": waves}, rings, hours=5, pace=8))


def smallest() -> Scenario:
    """One wave in two locations of one account."""
    return made(Plan("smallest", _healthy("a1-0", "a2-0"), "succeeded"))


def single() -> Scenario:
    """One instance."""
    return made(Plan("single", _healthy("a1-0"), "succeeded", pace=60))


def announced() -> Scenario:
    """One instance, more than a day ahead: people are told of it the evening before."""
    return made(Plan("announced", _healthy("a1-0"), "succeeded", pace=60, ahead=timedelta(hours=25)))


def tight() -> Scenario:
    """Nobody is awake until two minutes before the last start: what is asked for in time may arrive too late."""
    last = START + HOUR
    asleep = ((START - timedelta(minutes=5), last - timedelta(minutes=1)),)
    return made(Plan("tight", _healthy("a1-0"), "succeeded", pace=60, asleep=asleep, strict=False))


def headless() -> Scenario:
    """The dispatcher does not run for an hour around the start: nobody opens the run, and that must not be silent."""
    away = (START - HOUR, START + 30 * MINUTE)
    facts = {"overdue": {"web": START + 13 * MINUTE}}  # ten minutes of patience, and two ticks
    return made(Plan("headless", _healthy("a1-0"), "succeeded", hours=4, pace=60, headless=away, facts=facts))


def forgetful() -> Scenario:
    """AWS forgets a token after ten minutes, and after the first start nobody is awake for half an hour."""
    asleep = ((START + timedelta(seconds=1), START + timedelta(minutes=31)),)
    switches = Switches(token_retention=timedelta(minutes=10))
    return made(Plan("forgetful", _healthy("a1-0"), "succeeded", pace=60, asleep=asleep, switches=switches))


def hidden() -> Scenario:
    """What was just started cannot be read for some minutes."""
    switches = Switches(read_gap=timedelta(seconds=150))
    return made(Plan("hidden", _healthy("a1-0"), "succeeded", pace=1, switches=switches))


def crowded() -> Scenario:
    """One at a time, and more than the window has room for: whoever waits at the cutoff must not be patched after it."""
    nodes = _healthy(*(f"a1-{number}" for number in range(6)))
    switches = Switches(delivery_timeout="turn")
    item = {"maxConcurrency": 1}
    return made(Plan("crowded", nodes, "failed", item, hours=1, cutoff=0.25, pace=1, switches=switches))


def foreign() -> Scenario:
    """Somebody else installs right after our own install failed, and what they write looks well."""

    def install(world: World) -> None:
        for node in world.organization.nodes.values():
            node.patch_state = PatchState(
                "Install", FOREIGN_SNAPSHOT, world.clock.now - timedelta(seconds=30), world.clock.now, installed=124
            )

    nodes = (("a1-0", 0, Behaviour.DISK_FULL),)
    times = tuple((START + timedelta(seconds=15 * n), install) for n in range(1, 40))
    return made(Plan("foreign", nodes, "failed", pace=4, in_world=times))


def stale() -> Scenario:
    """Last month's install left a state with the same snapshot id, which the campaign gives; this month's fails."""
    snapshot = "0f5a17a5-1111-4111-8111-111111111111"

    def prepare(world: World) -> None:
        for node in world.organization.nodes.values():
            node.patch_state = PatchState("Install", snapshot, BEGINS - 40 * HOUR, BEGINS - 39 * HOUR, installed=120)

    nodes = (("a1-0", 0, Behaviour.DISK_FULL),)
    return made(Plan("stale", nodes, "failed", {"snapshotId": snapshot}, prepare=prepare))


def broken() -> Scenario:
    """The patch scan itself cannot run, and leaves a row that says nothing is missing; a foreign scan overwrites another."""

    def date(world: World) -> None:
        """Another way in which AWS writes such a row: with its real times."""
        for node in world.organization.nodes.values():
            if node.behaviour is Behaviour.SENTINEL and node.patch_state and node.patch_state.ended_at.year < 2000:
                node.patch_state = replace(node.patch_state, started_at=START, ended_at=world.clock.now)

    nodes = (("a1-0", 0, Behaviour.SENTINEL), ("a1-1", 0, Behaviour.OVERWRITTEN))
    times = tuple((START + timedelta(seconds=20 * n), date) for n in range(1, 30))
    return made(Plan("broken", nodes, "failed", in_world=times))


def swapped() -> Scenario:
    """Somebody changes the runbook between two waves."""

    def swap(world: World) -> None:
        hub, region, name = world.organization.hub, world.hub_region, "Patchtide-PatchFleet"
        content = json.loads(world.documents.owned(hub, region, name).version(None).content)
        content["description"] = "changed"
        params = {"Name": name, "Content": json.dumps(content), "DocumentFormat": "JSON"}
        _, version = world.documents.update(hub, region, params)
        world.documents.set_default(hub, region, name, version.number)

    nodes = (("a1-0", 0, Behaviour.HEALTHY), ("a1-1", 1, Behaviour.HEALTHY))
    waves = [
        {"name": "canary", "targets": "tag:Ring=0", "gate": {"soak": "10m"}},
        {"name": "broad", "targets": "tag:Ring=1"},
    ]
    rings: Rings = (("canary", {"soak": timedelta(minutes=10)}), ("broad", {}))
    at = ((START + timedelta(minutes=5), swap),)
    return made(Plan("swapped", nodes, "", {"waves": waves}, rings, hours=4, in_world=at, pace=60, strict=False))


def gated() -> Scenario:
    """The first wave fails, its gate allows no failure, and its evidence takes some minutes."""
    nodes = (("a1-0", 0, Behaviour.PATCH_FAILS), ("a1-1", 1, Behaviour.HEALTHY))
    waves = [
        {"name": "canary", "targets": "tag:Ring=0", "gate": {"maxErrors": 0}},
        {"name": "broad", "targets": "tag:Ring=1"},
    ]
    rings: Rings = (("canary", {"max_failed": 0}), ("broad", {}))
    return made(
        Plan("gated", nodes, "halted", {"waves": waves}, rings, pace=8, switches=Switches(evidence_delay=40 * MINUTE))
    )


def baked() -> Scenario:
    """The second wave waits until the first has baked."""
    nodes = (("a1-0", 0, Behaviour.HEALTHY), ("a1-1", 1, Behaviour.HEALTHY))
    waves = [
        {"name": "canary", "targets": "tag:Ring=0", "gate": {"soak": "20m"}},
        {"name": "broad", "targets": "tag:Ring=1"},
    ]
    rings: Rings = (("canary", {"soak": timedelta(minutes=20)}), ("broad", {}))
    return made(Plan("baked", nodes, "succeeded", {"waves": waves}, rings, hours=4, pace=60))


def unapproved() -> Scenario:
    """Somebody approves what they were not shown."""
    wrong = order(START - 30 * MINUTE, RUN, "approve", wave="all", digest="0123456789ab")
    facts = {"barred": {"web": ((BEGINS, BEGINS + 24 * HOUR),)}}
    return made(
        Plan("unapproved", _healthy("a1-0"), "skipped", {"approval": "required"}, facts=facts, people=(wrong,), pace=60)
    )


def closing() -> Scenario:
    """A calendar is closed for the first twenty minutes of the window."""
    closed = (START - 10 * MINUTE, START + 20 * MINUTE)

    def prepare(world: World) -> None:
        world.calendars[sample.HUB, REGIONS[0], "freeze"] = Calendar("OPEN", [closed])

    item = {"calendars": ["freeze"], "onCalendarClosed": "postpone"}
    facts = {"closed": (closed,), "calendar": True}
    return made(Plan("closing", _healthy("a1-0"), "succeeded", item, prepare=prepare, facts=facts, pace=60))


def shutting() -> Scenario:
    """A calendar closes in the middle of the window, while instances wait for their turn."""
    closed = (START + 33.5 * MINUTE, START + 6 * HOUR)  # seconds before the third of them has its turn

    def prepare(world: World) -> None:
        world.calendars[sample.HUB, REGIONS[0], "freeze"] = Calendar("OPEN", [closed])

    nodes = _healthy(*(f"a1-{number}" for number in range(6)))
    item = {"calendars": ["freeze"], "maxConcurrency": 1}
    facts = {"closed": (closed,), "calendar": True, "foretold": True}
    switches = Switches(delivery_timeout="turn")
    return made(
        Plan("shutting", nodes, "failed", item, prepare=prepare, facts=facts, pace=1, switches=switches, strict=False)
    )


def tampered() -> Scenario:
    """The list of patches is another than its name says from before the window on, then gone, and back after twenty minutes."""
    span, good = (START - 5 * MINUTE, START + 20 * MINUTE), "patches: [{id: kernel.x86_64}]"
    override = Override(BUCKET, hashlib.sha256(good.encode()).hexdigest())

    def write(memory: Memory, text: str) -> None:
        memory.files = {override.key: text} if text else {}

    moments = ((BEGINS, good), (span[0], "patches: [{id: backdoor}]"), (START + 10 * MINUTE, ""), (span[1], good))
    people = tuple(Action(at, "write the list", partial(write, text=text)) for at, text in moments)
    item, facts = {"installOverrideList": override.url}, {"tampered": (span,)}
    return made(Plan("tampered", _healthy("a1-0"), "succeeded", item, facts=facts, people=people, pace=60))


def paused() -> Scenario:
    """The service is paused for the first quarter of an hour."""
    span = (START - 10 * MINUTE, START + 15 * MINUTE)
    people = (turn(span[0], on=True), turn(span[1], on=False))
    return made(Plan("paused", _healthy("a1-0"), "succeeded", facts={"paused": (span,)}, people=people, pace=60))


def stopped() -> Scenario:
    """Somebody stops the run before it begins."""
    at = START - 5 * MINUTE
    facts = {"barred": {"web": ((at, BEGINS + 24 * HOUR),)}}
    people = (order(at, RUN, "stop", now=True),)
    return made(Plan("stopped", _healthy("a1-0"), "stopped", facts=facts, people=people, pace=60))


def disabled() -> Scenario:
    """Somebody disables the campaign when its run is ready to start."""
    at = START - 5 * MINUTE
    scenario = made(Plan("disabled", _healthy("a1-0"), "missed", pace=60))
    off = put(at, {**scenario.actions[0].item, "state": "DISABLED"})
    facts = replace(scenario.facts, barred={"web": ((at, BEGINS + 24 * HOUR),)})
    return replace(scenario, actions=(*scenario.actions, off), facts=facts)


def too_many() -> Scenario:
    """The campaign matches more than it may."""
    rings: Rings = (("all", {"most": 1}),)
    return made(Plan("too many", _healthy("a1-0", "a1-1"), "halted", {"maxInstances": 1}, rings, pace=60))


def nobody() -> Scenario:
    """Not one instance matches."""
    nodes = (("a1-0", 0, Behaviour.HEALTHY),)
    plan = Plan("nobody", nodes, "no targets", {"targets": "tag:PatchGroup=typo"}, pace=60)
    scenario = made(plan)
    (occurrence,) = scenario.facts.occurrences
    rings = tuple(replace(ring, nodes=frozenset()) for ring in occurrence.rings)
    facts = replace(scenario.facts, occurrences=(replace(occurrence, rings=rings),))
    return replace(scenario, facts=facts)


def outsider(*, onboarded: bool = False) -> Scenario:
    """One of two accounts never let the collector in."""
    scenario = made(Plan("outsider", _healthy("a1-0", "b1-0"), "failed", pace=60))
    if onboarded:
        return scenario

    def build() -> World:
        world = scenario.build()
        accounts = dict(world.organization.accounts)
        accounts[BETA] = replace(accounts[BETA], roles={EXECUTION_ROLE: None})
        world.organization.accounts = accounts
        return world

    return replace(scenario, build=build)


def twins() -> Scenario:
    """Two campaigns for the same instances at the same time, and a stack that patches two at a time."""
    nodes = _healthy("a1-0", "a1-1", "a2-0")
    ring = Ring("all", START, START + HOUR, START + 2 * HOUR, _ids(_organization(nodes), None))
    twin = {
        "campaign": "twin",
        "schedule": f"at({START:%Y-%m-%dT%H:%M:%S})",
        "duration": 2,
        "cutoff": 1,
        "accounts": [ALPHA],
        "regions": list(REGIONS),
        "targets": "tag:PatchGroup=web",
        "maxConcurrency": "100%",
        "maxErrors": "100%",
    }
    other = Occurrence(f"twin-{START:%Y%m%dT%H%MZ}", "twin", (ring,))
    return made(Plan("twins", nodes, "", max_in_flight=2, others=((twin, other),), pace=16, strict=False))


def spliced() -> Scenario:
    """What people write tries to reach a runbook's own language."""
    nodes = _healthy("a1-0")
    item = {"installOverrideList": "s3://patches/{{ssm:/secret}}"}
    return made(Plan("spliced", nodes, "", item, sure=False, pace=60))


def poisoned_less() -> Scenario:
    """The same without the poison."""
    return made(Plan("poisoned less", _healthy("a1-0"), "succeeded", pace=60))


def poisoned() -> Scenario:
    """Another campaign's registration and another run's row cannot be read at all."""
    key = "poison"

    def spoil(memory: Memory) -> None:
        rows = (
            {"pk": f"campaign#{key}", "sk": "registration", "due": "campaign", "changes": 1},
            {"pk": f"run#{key}", "sk": "run", "due": "run", "version": 1, "phase": "running"},
        )
        for row in rows:
            item = {**row, "body": "{", "dueAt": f"{BEGINS:%Y-%m-%dT%H:%M:%SZ}"}
            memory.tables.put_item(TableName="RunsTable", Item=item)

    people = (Action(BEGINS, "spoil", spoil),)
    return made(Plan("poisoned", _healthy("a1-0"), "succeeded", people=people, pace=60))


def order(at: datetime, run: str, kind: Kind, **said: Any) -> Action:
    """An order, as the command writes it; one to a run that is not there is refused by the command itself."""

    def act(memory: Memory) -> None:
        with memory.quietly():
            runs = Runs(memory.table(), RETENTION, lambda: at)
            if memory.tables.tables["RunsTable"].items.get((f"run#{run}", "run")):
                runs.order(run, Order(f"{kind}-{at:%d%H%M}", kind, BOSS, at, **said))

    return Action(at, kind, act)


def turn(at: datetime, *, on: bool) -> Action:
    """The service-wide switch, turned as the command turns it."""

    def act(memory: Memory) -> None:
        with memory.quietly():
            Switch(memory.table()).turn(Pause(on, BOSS, at, "incident"))

    return Action(at, f"pause {on}", act)


ALL: Mapping[str, Callable[[], Scenario]] = {
    made_.__name__: made_
    for made_ in (
        reference,
        smallest,
        single,
        announced,
        tight,
        headless,
        forgetful,
        hidden,
        crowded,
        foreign,
        stale,
        broken,
        swapped,
        gated,
        baked,
        unapproved,
        closing,
        shutting,
        tampered,
        paused,
        stopped,
        disabled,
        too_many,
        nobody,
        outsider,
        twins,
        spliced,
        poisoned,
    )
}
