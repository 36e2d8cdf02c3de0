"""What a run costs, in the units that AWS bills. Automation's steps are nearly all of it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from patchtide.core.campaign import Campaign
from patchtide.core.frozen import frozen
from patchtide.core.roster import PAGE

# Steps of the shipped runbooks: one execution of each runs through so many. Of others it is not known before they ran.
STEPS = {"Patchtide-PatchFleet": 2, "Patchtide-PatchInstance": 3, "Automation-RunPatchBaseline": 2}
USUAL = 2

SCRIPT = 2  # seconds of a fence: it compares two times, and Python has to start
TWICE = 2  # units for each KB of an item, because all that we write are transactions
INSTANCE_BYTES = 160  # of one instance on a page of those expected
CALL = 0.06  # seconds until AWS answers, of a function of half a GB
MAILS, FILES = 3, 7  # a day before, at its start, at its end; and a report
TICKS = 60  # invocations of dispatcher and poller each that an ordinary run wants


@frozen
class Cost:
    """A run in units, each named as its price is in `prices.toml`, and what the price list of that day says they cost, in US
    dollars."""

    units: Mapping[str, float]
    prices: Mapping[str, float]
    dated: date

    @property
    def steps(self) -> int:
        """Automation steps."""
        return int(self.units["automation_step"])

    @property
    def dollars(self) -> float:
        """All of it."""
        return sum(self.parts.values())

    @property
    def parts(self) -> Mapping[str, float]:
        """Dollars by unit."""
        return {unit: count * self.prices[unit] for unit, count in self.units.items()}


def cost_of(campaign: Campaign, locations: int, instances: int) -> Cost:
    """What a run over so many locations and instances costs, told of all of its waves together."""
    listed = _prices()
    prices = {name: float(price) for name, price in listed.items() if name != "dated"}
    units = (
        _automation(campaign, locations, instances) | _record(locations, instances) | _functions(locations, instances)
    )
    return Cost(units, prices, listed["dated"])


def _automation(campaign: Campaign, locations: int, instances: int) -> dict[str, float]:
    """A step in the hub for each location, the steps of its runbook there; and where each instance has an execution of its own,
    one step that starts it and its runbook's. One step of each runbook is a script."""
    own = STEPS.get(campaign.runbook.name, USUAL)
    scripts = instances if campaign.runbook.target_parameter else locations
    steps = locations + (instances * (1 + own) if campaign.runbook.target_parameter else locations * own)
    return {"automation_step": steps, "automation_script_second": scripts * SCRIPT}


def _record(locations: int, instances: int) -> dict[str, float]:
    """What is kept of it. A location is written down, frozen, counted, held, ended and put into the trend, two of these with their
    index; each of its pages is its roster, then the location's marker and the counters; and each instance is a row. All of it is
    read again for the report, and some of it by each tick."""
    pages = _pages(locations, instances)
    roster = math.ceil(instances / pages * INSTANCE_BYTES / 1024) if pages else 0
    written = locations * 8 + pages * (roster + 2) + instances + TICKS
    read = locations * 9 + pages * math.ceil(roster / 4) + TICKS * 3
    return {"dynamodb_write_unit": written * TWICE, "dynamodb_read_unit": read}


def _functions(locations: int, instances: int) -> dict[str, float]:
    """Who does it. A location is asked about twice, twenty questions an invocation, in seven calls: its role, what EC2 and SSM
    say of it, its evidence, who else was patched, and what is written of it."""
    asked = math.ceil(locations / 20) * 2
    calls = locations * 5 + _pages(locations, instances) * 2
    return {
        "lambda_request": asked + 2 * TICKS,
        "lambda_gb_second": (calls + 2 * TICKS * 3) * CALL / 2,
        "sqs_request": locations * 2 / 10 + 2 * asked,
        "sns_publish": MAILS,
        "s3_put": FILES,
    }


def _pages(locations: int, instances: int) -> int:
    return max(locations, math.ceil(instances / PAGE))


@cache
def _prices() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "prices.toml").read_text(encoding="utf-8"))
