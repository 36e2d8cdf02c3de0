"""What a seed makes up: an organisation, a campaign, what people do to it, and what goes wrong.

The same seed makes the same history. Faults come while chaos lasts; after that everything must come right.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator import sample
from simulator.clock import PacedClock
from simulator.fleet import EXECUTION_ROLE, Behaviour, Organization
from simulator.memory import Call
from simulator.proof.faults import Fault, modes
from simulator.proof.history import Action, History, Scenario, Weather
from simulator.proof.scenarios import Facts, Occurrence, Ring, Span, deploy, fresh, order, put, turn
from simulator.world import Calendar, Switches, World

BEGINS = datetime(2026, 12, 1, 0, 0, tzinfo=UTC)
MONTH = timedelta(days=30)
DAY = "1440"  # minutes by which a message comes late
LETTERS = "abc"
ACCOUNTS = ("111122223333", "444455556666", "777788889999")
REGIONS = ("eu-west-1", "eu-west-2")
CALENDAR = "change-calendar"

# How often something is the matter with an instance.
TROUBLED = 0.25
FAILING = (
    Behaviour.DISK_FULL,
    Behaviour.REPO_DOWN,
    Behaviour.PKG_LOCK,
    Behaviour.PATCH_FAILS,
    Behaviour.AGENT_LOST_AFTER_REBOOT,
    Behaviour.AGENT_OFFLINE,
    Behaviour.NOT_MANAGED,
    Behaviour.OVERWRITTEN,
    Behaviour.SENTINEL,
)
OTHERS = (Behaviour.FALSE_FAILURE, Behaviour.PENDING_REBOOT, Behaviour.SLOW_EVIDENCE)

KINDS = (
    "faults",
    "faults",
    "faults",
    "weather",
    "outage",
    "refusals",
    "calendar",
    "people",
    "pause",
    "overlap",
)


@dataclass(frozen=True)
class Story:
    """A scenario and what goes wrong in it. `gentle` says that nothing may change how it ends."""

    seed: int
    kind: str
    scenario: Scenario
    until: datetime  # when chaos is over
    chance: float = 0.0  # of a fault at a call
    outages: tuple[tuple[datetime, datetime], ...] = ()
    dropped: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    refusing: bool = False
    untold: bool = False  # whether the stream tells of nothing at all
    gentle: bool = True

    def history(self, *, calm: bool = False) -> History:
        """The history, or what it would be if nothing went wrong."""
        if calm:
            return History(self.scenario)
        rng = random.Random(f"chaos {self.seed}")  # noqa: S311 - a story
        history = History(self.scenario)
        history.memory.checked = self.seed % 20 == 0  # that requests fit AWS's models is seen often enough
        history.weather = self._weather(rng, lambda: history.now)

        def disturb(call: Call) -> str | None:
            if rng.random() >= self.chance or history.now >= self.until:
                return None
            possible = [mode for mode in modes(call) if self.refusing or Fault(0, mode).passes]
            kind = rng.choice(sorted({mode[0] for mode in possible}))
            return rng.choice([mode for mode in possible if mode[0] == kind])

        if self.chance:
            history.disturb = disturb
        return history

    def _weather(self, rng: random.Random, now: Callable[[], datetime]) -> Weather:
        def ticks(at: datetime) -> int:
            if at >= self.until:
                return 1
            draw = rng.random()
            return 0 if draw < self.dropped else 2 if draw < self.dropped + self.doubled else 1

        lost: set[str] = set()

        def delivery(what: str, name: str) -> tuple[str, ...]:
            if what == "stream" and self.untold:
                return ("lost",)
            if now() >= self.until:
                return ("now",)
            draw = rng.random()
            if what == "queue" and self.kind == "events":
                if name not in lost:  # no question is answered the first time it is asked
                    lost.add(name)
                    return ("lost",) if draw < 0.5 else (DAY,)
                return ("now", "now", DAY) if draw < self.doubled else ("now", DAY) if draw < 0.6 else ("now",)
            if draw < self.dropped and what == "queue":
                return ("lost",)
            if draw < self.dropped + self.doubled:
                return ("now", "now")
            if draw < self.dropped + self.doubled + self.delayed and what == "queue":
                return (str(rng.choice((1, 7, 61))),)
            return ("now",)

        def shuffled(found: list[Any]) -> list[Any]:
            if self.doubled:
                rng.shuffle(found)
            return found

        def awake(at: datetime) -> datetime:
            return next((until for since, until in self.outages if since <= at < until), at)

        return Weather(ticks, delivery, shuffled, awake)


def story(seed: int, kind: str = "") -> Story:
    """What the seed makes up."""
    rng = random.Random(f"story {seed}")  # noqa: S311 - a story
    kind = kind or KINDS[seed % len(KINDS)]
    made = _organization(rng)
    start = _start(rng)
    item, occurrence = _campaign(rng, made, start, kind)
    put_at = BEGINS + timedelta(minutes=rng.randrange(60))
    facts, actions = Facts((occurrence,)), list[Action]()
    calendars: dict[tuple[str, str, str], Calendar] = {}
    match kind:
        case "calendar":
            span = _span(rng, start, (-120, -5, 1, 3, 30), (4, 60, 600))
            calendars[sample.HUB, REGIONS[0], CALENDAR] = Calendar("OPEN", [span])
            item["calendars"] = [CALENDAR]
            facts = replace(facts, calendar=True, closed=(span,))
        case "people":
            actions, facts = _people(rng, start, item, occurrence)
        case "pause":
            span = _span(rng, start, range(-20, 30), (3, 8))
            actions = [turn(span[0], on=True), turn(span[1], on=False)]
            facts = replace(facts, paused=(span,))
        case "overlap":
            second, other = _second(rng, item, occurrence, start)
            actions = [put(put_at + timedelta(minutes=2), second)]
            facts = Facts((occurrence, other), cap=rng.choice((0, 0, 2)))
    pace, switches = rng.choice((16, 60, 120, 120, 120)), _switches(rng)

    def build() -> World:
        world = deploy(World(PacedClock(BEGINS, pace), fresh(made), seed, switches))
        world.calendars.update(calendars)
        return world

    scenario = Scenario(
        f"seed {seed}",
        BEGINS,
        BEGINS + MONTH,
        build,
        tuple(sorted([put(put_at, item), *actions], key=lambda action: action.at)),
        facts,
        facts.cap,
        page=rng.choice((2, 7, 1000)),
    )
    return _disturbed(rng, Story(seed, kind, scenario, start + timedelta(hours=2)), start)


def _span(rng: random.Random, start: datetime, after: Sequence[int], lasts: Sequence[int]) -> Span:
    """A span that begins so many minutes after the window opens, and lasts so many."""
    since = start + timedelta(minutes=rng.choice(after))
    return since, since + timedelta(minutes=rng.choice(lasts))


def _disturbed(rng: random.Random, told: Story, start: datetime) -> Story:
    """The story with what goes wrong in one of its kind."""
    match told.kind:
        case "faults":
            return replace(told, chance=rng.choice((0.005, 0.02, 0.05)))
        case "weather":
            return replace(told, dropped=0.15, doubled=0.25, delayed=0.2, chance=rng.choice((0.0, 0.01)))
        case "events":
            untold, until = rng.random() < 0.5, start + timedelta(hours=30)
            return replace(told, dropped=0.3, doubled=0.3, untold=untold, until=until)
        case "outage":
            away = _span(rng, start, range(-30, 60), (5, 30, 120, 600, 1500))
            return replace(told, outages=(away,), chance=0.01, gentle=False)
        case "refusals":
            return replace(told, chance=rng.choice((0.01, 0.03)), refusing=True, gentle=False)
    return replace(told, chance=rng.choice((0.0, 0.01)), gentle=False)


def _organization(rng: random.Random) -> Organization:
    made = Organization(sample.HUB, REGIONS, rng.randrange(10**6))
    for letter, id_ in zip(LETTERS[: rng.choice((1, 1, 1, 2))], ACCOUNTS, strict=False):
        roles = sample.ONBOARDED if rng.random() > 0.05 else {EXECUTION_ROLE: None}
        account = made.add_account(letter, None, id=id_, roles=roles)
        for place, region in enumerate(REGIONS[: rng.choice((1, 1, 1, 2))], 1):
            for number in range(rng.choice((1, 2, 3))):
                behaviour = Behaviour.HEALTHY
                if rng.random() < TROUBLED:
                    behaviour = rng.choice((*FAILING, *OTHERS, *OTHERS))
                windows = behaviour is Behaviour.FALSE_FAILURE
                ring = str(rng.randrange(2))
                made.add_node(
                    account,
                    region,
                    f"{letter}{place}-{number}",
                    behaviour,
                    tags={"PatchGroup": "web", "Ring": ring},
                    platform="Windows" if windows else "Linux",
                )
    return made


def _start(rng: random.Random) -> datetime:
    return BEGINS + timedelta(days=rng.randrange(1, 20), hours=rng.randrange(24), minutes=rng.choice((0, 7, 30)))


def _campaign(rng: random.Random, made: Organization, start: datetime, kind: str) -> tuple[dict[str, Any], Occurrence]:
    accounts = [account.id for account in made.accounts.values() if account.id != sample.HUB]
    # So long that chaos is over well before it closes, unless its closing is what the story is about.
    duration = 3 if kind == "calendar" else 9
    item: dict[str, Any] = {
        "campaign": "web",
        "duration": duration,
        "cutoff": 1,
        "accounts": accounts,
        "regions": list(REGIONS),
        "targets": "tag:PatchGroup=web",
        "maxConcurrency": "100%",
        "maxErrors": "100%",
        "schedule": f"at({start:%Y-%m-%dT%H:%M:%S})"
        if rng.random() < 0.95
        else f"cron({start.minute} {start.hour} {start.day} * ? *)",
    }
    window = timedelta(hours=duration)
    nodes = list(made.nodes.values())
    rings = [Ring("all", start, start + window - timedelta(hours=1), start + window, _some(nodes, None))]
    if rng.random() < 0.3:
        later = rng.choice((0, 0, 1, 3))
        worst = rng.choice((0, 1, 100))
        soak = rng.choice((0, 10, 30))
        item["waves"] = [
            {"name": "canary", "targets": "tag:Ring=0", "gate": {"maxErrors": worst, "soak": f"{soak}m"}},
            {"name": "broad", "targets": "tag:Ring=1", "scheduleOffset": later},
        ]
        rings = []
        for name, ring, days in (("canary", "0", 0), ("broad", "1", later)):
            at = start + timedelta(days=days)
            rings.append(
                Ring(
                    name,
                    at,
                    at + window - timedelta(hours=1),
                    at + window,
                    _some(nodes, ring),
                    worst if name == "canary" else 10**9,
                    timedelta(minutes=soak) if name == "canary" else timedelta(0),
                )
            )
    return item, Occurrence(f"web-{start:%Y%m%dT%H%MZ}", "web", tuple(rings))


def _some(nodes: list[Any], ring: str | None) -> frozenset[str]:
    return frozenset(node.id for node in nodes if ring in (None, node.tags["Ring"]))


def _switches(rng: random.Random) -> Switches:
    return Switches(
        unstarted_pairs_listed=rng.random() < 0.5,
        forgiven_failures_fail=rng.random() < 0.5,
        zero_targets=rng.choice(("Success", "Failed")),
        delivery_timeout=rng.choice(("command", "turn")),
        incomplete_command=rng.choice(("Success", "Failed")),
        stop_reaches_children=rng.random() < 0.5,
        steps_in_answer=rng.choice((1, 100)),
        token_retention=timedelta(minutes=rng.choice((10, 60, 1440))),
        child_names_parent=rng.random() < 0.5,
        evidence_delay=timedelta(seconds=rng.choice((0, 20, 120))),
        entries_in_order=rng.random() < 0.5,
        locations_ramp=rng.random() < 0.5,
        read_gap=timedelta(seconds=rng.choice((0, 0, 30, 150))),
        empty_pages=rng.random() < 0.5,
    )


# --- what people do -----------------------------------------------------------------------------------------------------


def _people(
    rng: random.Random, start: datetime, item: Mapping[str, Any], occurrence: Occurrence
) -> tuple[list[Action], Facts]:
    at = start + timedelta(minutes=rng.choice((-120, -10, 1, 2, 4, 10)))
    facts = Facts((replace(occurrence, sure=at > start),))
    heard = at + timedelta(minutes=5)
    match rng.choice(("edit", "disable", "delete", "stop", "stop now", "invalid")):
        case "edit":
            changed = {**item, "rebootOption": "NoReboot", "description": "another"}
            return [put(at, changed)], facts
        case "disable":
            back = at + timedelta(minutes=rng.choice((10, 20)))
            off = put(at, {**item, "state": "DISABLED"})
            return [off, put(back, item)], replace(facts, barred={"web": ((heard, back),)})
        case "delete":
            gone = Action(at, "delete web", lambda memory: memory.delete("web"))
            return [gone], replace(facts, barred={"web": ((heard, BEGINS + MONTH),)})
        case "invalid":
            return [put(at, {**item, "duration": "soon"})], facts
        case kind:
            known = at >= start - timedelta(minutes=10)  # before that, the command has no run to give it to
            if known and kind == "stop now":
                facts = replace(facts, barred={"web": ((heard, BEGINS + MONTH),)})
            return [order(at, occurrence.run, "stop", now=kind == "stop now")], facts


def _second(
    rng: random.Random, item: Mapping[str, Any], occurrence: Occurrence, start: datetime
) -> tuple[dict[str, Any], Occurrence]:
    """Another campaign for the same instances, at about the same time."""
    at = start + timedelta(minutes=rng.choice((0, 1, 30, 120)))
    second = {name: value for name, value in item.items() if name != "waves"}
    second |= {"campaign": "twin", "schedule": f"at({at:%Y-%m-%dT%H:%M:%S})"}
    window = timedelta(hours=int(item["duration"]))
    every = frozenset[str]().union(*(ring.nodes for ring in occurrence.rings))
    ring = Ring("all", at, at + window - timedelta(hours=1), at + window, every)
    return second, Occurrence(f"twin-{at:%Y%m%dT%H%MZ}", "twin", (ring,))
