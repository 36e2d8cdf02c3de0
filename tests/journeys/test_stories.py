"""What must never go wrong, one story a row: real handlers, virtual time, and the world's own log for a judge.

A story puts items, lets time pass and has people act. Then each run must stand in its state, the mails must be these and say this,
and the world must have seen one start for each chunk, and no delivery outside a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator.fleet import Behaviour, Organization, Ping
from simulator.world import Switches
from tests.journeys.small import Play, many, opened, organization, rings, same_evening

EVENING = datetime(2026, 12, 1, 20, tzinfo=UTC)
AT_EIGHT: dict[str, Any] = {"schedule": "at(2026-12-01T20:00:00)"}
TOMORROW: dict[str, Any] = {"schedule": "at(2026-12-02T20:00:00)", "approval": "required"}
CANARY = datetime(2026, 12, 9, 22, tzinfo=UTC)
ALL = ("a-1", "a-2", "b-1", "b-2")

Act = Callable[[Play], None]


@dataclass(frozen=True)
class Story:
    """`items` are put at once, then the acts follow each other, then time passes until `ends`.

    `states` and `patched` are of each run, by its id less the campaign's first run's; `says` is a text of the mail with that head.
    """

    items: Sequence[Mapping[str, Any]]
    states: Sequence[str]
    told: Sequence[str]
    patched: Sequence[str]
    starts: int
    says: Mapping[str, str] = field(default_factory=dict)
    acts: Sequence[Act] = ()
    ends: datetime = EVENING + timedelta(hours=16)
    fleet: Callable[[], Organization] = organization
    switches: Switches = field(default_factory=Switches)
    speed: float = 12
    bumpy: bool = False


def until(moment: datetime) -> Act:
    return lambda play: play.run_to(moment)


def phase(name: str) -> Act:
    def wait(play: Play) -> None:
        play.run_until(name)

    return wait


def order(kind: Any, answer: str, **said: Any) -> Act:
    """A person's order to the last run; an empty digest is filled in with what is shown."""

    def give(play: Play) -> None:
        run = play.runs()[-1].run
        if said.get("digest") == "":
            said["digest"] = run.wave(said["wave"]).digest
        got = play.order(kind, run.id, **said)
        assert answer in got, got

    return give


def again(**item: Any) -> Act:
    return lambda play: play.put(**item)


def nobody_wakes_it_until(moment: datetime) -> Act:
    def pass_time(play: Play) -> None:
        play.stack.drain()
        play.stack.wire.move_to(moment)

    return pass_time


def five_ticks_a_minute(play: Play) -> None:
    once = play.stack.tick
    play.stack.tick = lambda times=1: once(times=5)  # type: ignore[method-assign]


def a_second_worker_at_every_write(play: Play) -> None:
    """Whenever a dispatcher or a poller is about to write, another of its kind runs from start to end first."""
    running: list[str] = []
    invoke = play.stack.invoke

    def noting(function: str, event: Mapping[str, Any]) -> Any:
        running.append(function)
        try:
            return invoke(function, event)
        finally:
            running.pop()

    def meet(call: object) -> None:
        writes = str(call) in ("dynamodb:TransactWriteItems", "ssm:StartAutomationExecution", "sns:Publish")
        if writes and running in (["DispatcherFunction"], ["PollerFunction"]):
            play.stack.invoke(running[0], {})

    play.stack.invoke = noting  # type: ignore[method-assign]
    play.stack.wire.before.append(meet)


def everybody_is_well(play: Play) -> None:
    for node in play.world.organization.nodes.values():
        node.behaviour = Behaviour.HEALTHY
        play.world.set_ping(node, Ping.ONLINE)


def troubled(**troubles: Behaviour) -> Callable[[], Organization]:
    return lambda: organization({name.replace("_", "-"): behaviour for name, behaviour in troubles.items()})


def stopped(where: str, told: Sequence[str], patched: Sequence[str], starts: int, **item: Any) -> Story:
    return Story(
        items=[AT_EIGHT | item],
        acts=[until(EVENING - timedelta(minutes=16)), phase(where), order("stop", "yes", now=True, reason="incident")],
        states=["stopped"],
        told=[*told, "STOPPED web"],
        says={"STOPPED web": "stopped by boss@example.com: incident"},
        patched=patched,
        starts=starts,
        ends=EVENING + timedelta(hours=20),
        speed=3,
    )


STORIES: Mapping[str, Story] = {
    "three rings over nine days with bake and gates": Story(
        items=[rings()],
        states=["succeeded"],
        told=[
            "TOMORROW web",
            "STARTED web wave canary",
            "WAVE OK web wave canary",
            "STARTED web wave early",
            "WAVE OK web wave early",
            "STARTED web wave broad",
            "OK web",
        ],
        says={"WAVE OK web wave canary": "Next is early, Sat 12 Dec 22:00 UTC (22:00Z), after 48 h of bake time."},
        patched=ALL,
        starts=3,
        ends=CANARY + timedelta(days=9, hours=6),
    ),
    "a gate halts the last ring": Story(
        items=[rings()],
        fleet=troubled(b_1=Behaviour.DISK_FULL),
        states=["halted"],
        told=[
            "TOMORROW web",
            "STARTED web wave canary",
            "WAVE OK web wave canary",
            "STARTED web wave early",
            "HALTED web",
        ],
        says={"HALTED web": "Halted: wave early: 1 of 1 failed or unverified; gate allows 0."},
        patched=["a-1", "b-1"],
        starts=2,
        ends=CANARY + timedelta(days=9, hours=6),
    ),
    "a window that closes with work queued": Story(
        items=[AT_EIGHT | {"duration": 1, "cutoff": "30m", "maxConcurrency": 1}],
        fleet=many,
        states=["failed"],
        told=["STARTED web", "CLOSING web", "FAILED web"],
        says={
            "CLOSING web": "cutoff reached: 2 of 2 locations are still at work",
            "FAILED web": "the window closed before it was its turn",
        },
        patched=["a-1", "a-2", "a-3", "b-1", "b-2"],  # of eight and two, one at a time in each location
        starts=1,
        speed=1,
    ),
    "a freeze postpones": Story(
        items=[AT_EIGHT | {"freeze": ["2026-12-01..2026-12-03"], "onCalendarClosed": "postpone"}],
        states=["succeeded"],
        told=["POSTPONED web", "STARTED web", "OK web"],
        says={
            "POSTPONED web": "frozen on 2026-12-01 to 2026-12-03",
            "STARTED web": "Started Fri 04 Dec 20:00 UTC (20:00Z)",
        },
        patched=ALL,
        starts=1,
        ends=EVENING + timedelta(days=4),
    ),
    "an approval is given": Story(
        items=[TOMORROW],
        acts=[phase("waiting for approval"), order("approve", "yes: wave all may begin", wave="all", digest="")],
        states=["succeeded"],
        told=["APPROVE? web", "STARTED web", "OK web"],
        says={"APPROVE? web": "ACTION: approve before Wed 02 Dec 20:00 UTC (20:00Z), or it is SKIPPED."},
        patched=ALL,
        starts=1,
        ends=EVENING + timedelta(days=2),
    ),
    "an approval is refused": Story(
        items=[TOMORROW],
        acts=[phase("waiting for approval"), order("reject", "yes", wave="all", digest="", reason="month-end close")],
        states=["skipped"],
        told=["APPROVE? web", "SKIPPED web wave all"],
        says={"SKIPPED web": "rejected by boss@example.com: month-end close"},
        patched=[],
        starts=0,
        ends=EVENING + timedelta(days=2),
    ),
    "an approval comes too late": Story(
        items=[TOMORROW],
        acts=[
            until(EVENING + timedelta(days=1, minutes=30)),
            order("approve", "no: the run has ended: skipped", wave="all", digest=""),
        ],
        states=["skipped"],
        told=["APPROVE? web", "SKIPPED web wave all"],
        says={"SKIPPED web": "nobody approved it by 2026-12-02 20:00Z"},
        patched=[],
        starts=0,
        ends=EVENING + timedelta(days=2),
    ),
    "an approval is of an outdated digest": Story(
        items=[TOMORROW],
        acts=[
            phase("waiting for approval"),
            order("approve", "is not what would run now", wave="all", digest="0123456789ab"),
        ],
        states=["skipped"],
        told=["APPROVE? web", "SKIPPED web wave all"],
        patched=[],
        starts=0,
        ends=EVENING + timedelta(days=2),
    ),
    "a stop while it is ready": stopped("ready", [], [], 0),
    "a stop while it waits for approval": stopped(
        "waiting for approval", ["APPROVE? web"], [], 0, **(TOMORROW | AT_EIGHT)
    ),
    "a stop while it runs": stopped("running", ["STARTED web"], ALL, 1),
    "a stop while its results are read": stopped(
        "collecting", ["STARTED web wave ring-0"], ["a-1"], 1, waves=same_evening({}, {})
    ),
    "a stop while it bakes": stopped(
        "baking",
        ["STARTED web wave ring-0", "WAVE OK web wave ring-0"],
        ["a-1"],
        1,
        waves=same_evening({"soak": "2h"}),
    ),
    "a retry of the failed only": Story(
        items=[AT_EIGHT],
        fleet=troubled(a_1=Behaviour.DISK_FULL, b_2=Behaviour.AGENT_OFFLINE),
        acts=[until(EVENING + timedelta(hours=10)), everybody_is_well, order("retry", "yes: opened", failed_only=True)],
        states=["failed", "succeeded"],
        told=["STARTED web", "FAILED web", "STARTED web", "OK web"],
        patched=["a-1", "a-1", "a-2", "b-1", "b-2"],  # b-2 was never reached the first time
        starts=3,
    ),
    "an outage of three hours across an occurrence": Story(
        items=[AT_EIGHT | {"duration": 6}],
        acts=[nobody_wakes_it_until(EVENING + timedelta(hours=2, minutes=50))],
        states=["succeeded"],
        told=["STARTED web", "OK web"],
        patched=ALL,
        starts=1,
    ),
    "an outage that outlasts the window": Story(
        items=[AT_EIGHT],
        acts=[nobody_wakes_it_until(EVENING + timedelta(hours=3, minutes=30))],
        states=["missed"],
        told=["MISSED web"],
        says={"MISSED web": "did NOT happen"},
        patched=[],
        starts=0,
    ),
    "the same tick five times": Story(
        items=[AT_EIGHT | {"waves": same_evening({"soak": "10m"}, {})}],
        acts=[five_ticks_a_minute],
        states=["succeeded"],
        told=[
            "STARTED web wave ring-0",
            "WAVE OK web wave ring-0",
            "STARTED web wave ring-1",
            "WAVE OK web wave ring-1",
            "STARTED web wave ring-2",
            "OK web",
        ],
        patched=ALL,
        starts=3,
    ),
    "the same tick twice at once": Story(
        items=[AT_EIGHT | {"waves": same_evening({"soak": "10m"})}],
        acts=[a_second_worker_at_every_write],
        states=["succeeded"],
        told=["STARTED web wave ring-0", "WAVE OK web wave ring-0", "STARTED web wave ring-1", "OK web"],
        patched=["a-1", "b-1"],
        starts=2,
    ),
    "two overlapping campaigns": Story(
        items=[AT_EIGHT | {"targets": "tag:Ring=0,1"}, {"campaign": "other", "schedule": "at(2026-12-01T20:05:00)"}],
        states=["succeeded", "incomplete"],
        told=["STARTED web", "STARTED other", "OK web", "EXCLUDED other"],
        says={"EXCLUDED other": "run web-20261201T2000Z has it"},
        patched=ALL,
        starts=3,
        speed=1,
    ),
    "an account whose role is missing": Story(
        items=[AT_EIGHT],
        fleet=lambda: organization(onboarded=False),
        states=["failed"],
        told=["STARTED web", "FAILED web"],
        says={"STARTED web": "444455556666 eu-west-1 ROLE_DENIED", "FAILED web": "444455556666 eu-west-1 ROLE_DENIED"},
        patched=["a-1", "a-2"],
        starts=1,
    ),
    "zero targets in one location": Story(
        items=[AT_EIGHT | {"targets": "tag:Ring=0"}],
        states=["succeeded"],
        told=["STARTED web", "OK web"],
        patched=["a-1"],
        starts=1,
    ),
    "zero targets in all locations": Story(
        items=[AT_EIGHT | {"targets": "tag:Ring=9"}],
        states=["no targets"],
        told=["NO TARGETS web"],
        says={"NO TARGETS web": "Not one instance matched, in 2 locations. Nothing was patched."},
        patched=[],
        starts=0,
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_every_story_ends_as_it_should_and_the_worlds_own_log_agrees(name: str) -> None:
    story = STORIES[name]
    with opened(story.fleet(), story.switches, speed=story.speed) as play:
        play.bumpy = story.bumpy
        for item in story.items:
            play.put(**item)
        for act in story.acts:
            act(play)
        play.run_to(story.ends)
        assert list(_states(play, story)) == list(story.states)
        assert [subject.removeprefix("[patch] ").split(":")[0] for subject in play.subjects()] == list(story.told)
        for head, text in story.says.items():
            assert text in next(_flat(mail) for mail in play.mails if f"[patch] {head}" in mail["Subject"])
        assert play.patched() == sorted(story.patched)
        assert play.world.executions_started == story.starts
        play.prove()


def _states(play: Play, story: Story) -> Iterator[str]:
    for campaign in dict.fromkeys(str(item.get("campaign", "web")) for item in story.items):
        yield from (dossier.run.state.value for dossier in play.runs(campaign))


def _flat(mail: Mapping[str, Any]) -> str:
    return " ".join(str(mail["Message"]).split())
