"""Many locations at once: whoever does not answer keeps nobody else waiting."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from patchtide.aws.runs import Registry, Runs
from patchtide.core.document import read
from patchtide.core.roster import LocationState
from simulator.clock import Clock
from simulator.memory import RETENTION, Call
from simulator.pretend import made_up, organization
from simulator.proof.history import History, Scenario, silent
from simulator.proof.scenarios import BEGINS, Facts, deploy, put
from simulator.world import World

DARK, BUSY = "eu-west-2", "100000000003"
REGIONS = ["eu-central-1", "eu-west-1", DARK]
ACCOUNTS = [f"{100_000_000_000 + number}" for number in range(20)]
DUE = BEGINS.replace(hour=12)
ITEM: dict[str, Any] = {
    "campaign": "wide",
    "schedule": f"at({DUE:%Y-%m-%dT%H:%M:%S})",
    "duration": 4,
    "accounts": ACCOUNTS,
    "regions": REGIONS,
    "targets": "tag:PatchGroup=web",
    "locationMaxConcurrency": "100%",
    "locationMaxErrors": "100%",
}


def playing() -> History:
    campaign = read(ITEM, now=BEGINS).valid()
    fleet = organization(made_up(campaign, 2), campaign, 1)
    build = lambda: deploy(World(Clock(BEGINS), fleet, 1))  # noqa: E731
    return History(
        Scenario("wide", BEGINS, DUE + timedelta(hours=8), build, (put(BEGINS, ITEM),), Facts()), remembers=False
    )


def where(call: Call) -> str:
    return call.caller.region if call.service in ("ec2", "ssm") and call.worker == "collector" else ""


def troubled(call: Call) -> str | None:
    """One Region answers nothing, one account throttles whatever it is asked."""
    if where(call) == DARK:
        return "N"
    return "E:ThrottlingException" if where(call) and call.caller.account == BUSY else None


def reached(history: History) -> dict[str, datetime]:
    """When each location was first known, minute by minute."""
    seen: dict[str, datetime] = {}
    with silent():
        while history.now < DUE and history.step():
            with history.memory.quietly():
                book = Runs(history.memory.table(), RETENTION, history.memory.now)
                for run in Registry(history.memory.table()).runs_of("wide", 1):
                    for one in book.locations(run, "all"):
                        if one.state is not LocationState.EXPECTED:
                            seen.setdefault(str(one.location), history.now)
    return seen


@pytest.fixture(scope="module")
def well() -> dict[str, datetime]:
    return reached(playing())


def test_a_dark_region_and_a_busy_account_delay_nobody_else(well: dict[str, datetime]) -> None:
    history = playing()
    history.disturb = troubled
    found = reached(history)
    others = {place for place in well if not place.endswith(DARK) and not place.startswith(BUSY)}
    assert len(others) == 38
    assert {place: found.get(place) for place in others} == {place: well[place] for place in others}


def test_who_does_not_answer_is_asked_little_by_a_sandbox_that_knows(well: dict[str, datetime]) -> None:
    history = playing()
    history.disturb = troubled
    reached(history)
    asked = Counter(call.caller.region for call, _, _ in history.seen if where(call) == DARK)
    minutes = 15  # in which the wave finds out what it will patch
    assert (
        1 <= asked[DARK] <= minutes / 3
    )  # once for each time that all are asked, and not once for each of twenty locations


def test_a_region_that_answers_again_is_heard_before_the_window() -> None:
    history = playing()
    again = DUE - timedelta(minutes=8)
    history.disturb = lambda call: troubled(call) if history.now < again else None
    found = reached(history)
    assert len(found) == 60
    assert max(found.values()) <= DUE - timedelta(minutes=1)
