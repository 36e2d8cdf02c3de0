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
from bench.world import BEGINS, Bench, Played, Size, stage
from patchtide.core import cost
from patchtide.core.campaign import Campaign
from patchtide.core.location import Location
from patchtide.core.request import MAX_ACCOUNTS, Hub, Site, Work, plan
from simulator.fleet import ADMINISTRATION_ROLE
from simulator.proof.history import silent

STEPS = "automation_step"  # a unit is named as its price is in prices.toml
WINDOW = timedelta(days=2)  # in which whatever was started comes to its end
TOGETHER = MAX_ACCOUNTS  # accounts that are rendered and started at once


@cache
def prices() -> Mapping[str, Any]:
    """The price list that the service itself goes by."""
    return tomllib.loads((Path(cost.__file__).parent / "prices.toml").read_text(encoding="utf-8"))


def modelled(campaign: Campaign, size: Size) -> Mapping[str, float]:
    """The units of a run as core/cost.py has them."""
    return {STEPS: cost.cost_of(campaign, size.locations, size.instances).steps}


def modelled_dollars(campaign: Campaign, size: Size) -> float:
    """What `patchtide plan` says that a run costs."""
    return cost.cost_of(campaign, size.locations, size.instances).dollars


def counted(played: Played) -> Mapping[str, float]:
    """The units of a run as they were used: steps in the world, all else as it crossed the boundary."""
    calls = played.calls
    table = [call for call in calls if call.service == "dynamodb"]
    return {
        STEPS: played.steps().total(),
        "lambda_request": played.invocations().total(),
        "dynamodb_read": sum(call.reads for call in table),
        "dynamodb_row_written": sum(len(one.params.get("TransactItems", ("one",))) for one in table if not one.reads),
        "sqs_request": sum(call.service == "sqs" for call in calls),
        "sns_publish": sum(call.service == "sns" for call in calls),
        "s3_put": sum(call.service == "s3" for call in calls),
    }


def errors(model: Mapping[str, float], count: Mapping[str, float]) -> Mapping[str, float]:
    """By which share of what was counted the model is off, for each unit that it knows of."""
    return {unit: abs(found - count[unit]) / count[unit] for unit, found in model.items() if count.get(unit)}


def cost_model_error(bench: Bench) -> Figure:
    """costModelError."""
    sizes = (bench.sizes[0], bench.sizes[-1])
    largest = Size(bench.scale.largest, 1)  # of a runbook for fleets, a location costs the same whatever is in it
    worst: dict[str, float] = {}
    parts: dict[str, float] = {}
    forgetful = 0.0
    for size in (*sizes, largest):
        if size is largest:
            bench.say(f"starting {size.locations:,} locations at once")
            campaign, count = started(size, bench.play(sizes[0]))
        else:
            campaign, count = bench.play(size).campaign, counted(bench.play(size))
        model = modelled(campaign, size)
        worst |= {unit: max(worst.get(unit, 0), error) for unit, error in errors(model, count).items()}
        priced = sum(found * float(prices()[unit]) for unit, found in count.items() if unit in model)
        worst["dollars"] = max(worst.get("dollars", 0), abs(modelled_dollars(campaign, size) - priced) / (priced or 1))
        parts |= {f"{size.accounts} accounts, {unit}": found for unit, found in count.items()}
        parts |= {f"{size.accounts} accounts, {unit} by the model": found for unit, found in model.items()}
        fewer = {STEPS: model[STEPS] - size.locations}
        forgetful = max(forgetful, *errors(fewer, count).values())
    accounts = ", ".join(f"{size.accounts:,}" for size in (*sizes, largest))
    return Figure(
        "costModelError",
        "what `patchtide plan` says a run costs, against what was counted",
        f"|model - counted × price| ÷ (counted × price), the largest over {accounts} accounts and every unit that the model "
        f"knows: {', '.join(unit.replace('_', ' ') for unit in worst if unit != 'dollars')}",
        max(worst.values()),
        Target("most", 0.02),
        Control("a model that forgets the hub's own step for each location", forgetful),
        None,
        {f"error: {unit}": error for unit, error in worst.items()} | parts,
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
        world.clock.advance_to(BEGINS + WINDOW)
    done = Played(size, campaign, history, run.id)
    return campaign, {STEPS: done.steps().total()}


def _apart(request: str, first: int) -> Mapping[str, Any]:
    """The request with a token of its own: planned by themselves, all of them would be the run's first."""
    return {**json.loads(request), "ClientToken": f"00000000-0000-4000-8000-{first:012d}"}


FIGURES: Mapping[str, Callable[[Bench], Figure]] = {"costModelError": cost_model_error}
