"""What a run costs, as `patchtide plan` says it before and as the pretend world counts it after, a unit at a time."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from bench.figures import Control, Figure, Target
from bench.items import write_units
from bench.world import BEGINS, Bench, Played, Size, stage
from patchtide.core import cost
from patchtide.core.campaign import Campaign
from patchtide.core.location import Location
from patchtide.core.request import MAX_ACCOUNTS, Hub, Site, Work, plan
from simulator.fleet import ADMINISTRATION_ROLE
from simulator.proof.history import silent

STEPS = "automation_step"  # a unit is named as its price is in prices.toml
SECONDS = "automation_script_second"
LASTS = timedelta(days=2)  # in which whatever was started comes to its end
TOGETHER = MAX_ACCOUNTS  # accounts that are rendered and started at once


@cache
def prices() -> Mapping[str, Any]:
    """The price list that the service itself goes by."""
    return tomllib.loads((Path(cost.__file__).parent / "prices.toml").read_text(encoding="utf-8"))


def dollars(units: Mapping[str, float]) -> float:
    """What these units cost by that list."""
    return sum(count * float(prices()[unit]) for unit, count in units.items())


def modelled(campaign: Campaign, size: Size) -> Mapping[str, float]:
    """The units of a run as `patchtide plan` reckons them."""
    return cost.cost_of(campaign, size.locations, size.instances).units


def counted(played: Played) -> Mapping[str, float]:
    """The units of a run as they were used: steps in the world, all else as it crossed the boundary. What takes time, the world
    does not know: a script's seconds are those of the model, for each that was begun; a function's are not counted."""
    calls, steps = played.calls, played.steps()
    collections = played.invocations()["collector"]
    return {
        STEPS: steps.total(),
        SECONDS: steps["aws:executeScript"] * cost.SCRIPT,
        "lambda_request": played.invocations().total(),
        "dynamodb_write_unit": sum(map(write_units, calls)),
        "dynamodb_read_unit": played.read_units,
        "sqs_request": sum(call.service == "sqs" for call in calls) + 2 * collections,  # received, and deleted
        "sns_publish": sum(call.service == "sns" for call in calls),
        "s3_put": sum(call.service == "s3" for call in calls),
    }


def errors(model: Mapping[str, float], count: Mapping[str, float]) -> Mapping[str, float]:
    """By which share of what was counted the model is off, for each unit that both of them know."""
    return {unit: (found - count[unit]) / count[unit] for unit, found in model.items() if count.get(unit)}


def off(model: Mapping[str, float], count: Mapping[str, float]) -> float:
    """By which share of what was counted the model is off in dollars, over the units that both of them know."""
    both = {unit: count[unit] for unit in model if unit in count}
    return abs(dollars({unit: model[unit] for unit in both}) / dollars(both) - 1)


def cost_model_error(bench: Bench) -> Figure:
    """costModelError."""
    sizes = (bench.sizes[0], bench.sizes[-1])
    largest = Size(bench.scale.largest, 1)  # of a runbook for fleets, a location costs the same whatever is in it
    compared = [(size, modelled(bench.play(size).campaign, size), counted(bench.play(size))) for size in sizes]
    bench.say(f"starting {largest.locations:,} locations at once")
    campaign, count = started(largest, bench.play(sizes[0]))
    compared.append((largest, modelled(campaign, largest), count))
    parts: dict[str, float] = {}
    for size, model, found in compared:
        parts |= {f"{size.accounts} accounts, counted: {unit}": number for unit, number in found.items()}
        parts |= {f"{size.accounts} accounts, off: {unit}": share for unit, share in errors(model, found).items()}
        parts[f"{size.accounts} accounts, off in dollars"] = off(model, found)
    accounts = ", ".join(f"{size.accounts:,}" for size, _, _ in compared)
    return Figure(
        "costModelError",
        "what `patchtide plan` says a run costs, against what was counted",
        f"|dollars by the model ÷ (counted × price) - 1|, the largest over {accounts} accounts, over all units that can be counted; "
        f"over {largest.accounts:,}, Automation alone",
        max(off(model, found) for _, model, found in compared),
        Target("most", 0.02),
        Control(
            "a model that forgets the hub's own step for each location",
            max(off({**model, STEPS: model[STEPS] - size.locations}, found) for size, model, found in compared),
        ),
        None,
        parts,
    )


def started(size: Size, like: Played) -> tuple[Campaign, Mapping[str, float]]:
    """The campaign over a fleet that is too large to be played: its requests, as the service renders them, are sent straight into
    the world, and the steps that begin are counted there."""
    history, campaign = stage(size)
    world, run = history.world, like.dossier().run
    hub = Hub(f"arn:aws:iam::{world.organization.hub}:role/{ADMINISTRATION_ROLE}")
    work = Work(campaign, run, campaign.waves[0], hub, BEGINS.replace(year=BEGINS.year + 1))
    with silent(), history.memory.quietly():
        ssm = history.memory.client("ssm")
        for first in range(0, len(campaign.accounts), TOGETHER):
            places = product(campaign.accounts[first : first + TOGETHER], campaign.regions)
            for execution in plan(work, (Site(Location(*place), size.per_location) for place in places)):
                ssm.start_automation_execution(**_apart(execution.request, first))
        world.clock.advance_to(BEGINS + LASTS)
    done = Played(size, campaign, history, run.id)
    steps = done.steps()
    return campaign, {STEPS: steps.total(), SECONDS: steps["aws:executeScript"] * cost.SCRIPT}


def _apart(request: str, first: int) -> Mapping[str, Any]:
    """The request with a token of its own: planned by themselves, all of them would be the run's first."""
    return {**json.loads(request), "ClientToken": f"00000000-0000-4000-8000-{first:012d}"}


FIGURES: Mapping[str, Callable[[Bench], Figure]] = {"costModelError": cost_model_error}
