"""What a run costs in Automation steps, which is nearly all that it costs."""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from patchtide.core.campaign import Campaign
from patchtide.core.frozen import frozen

# Steps of the shipped runbooks: one execution of each runs through so many. Of others it is not known before they ran.
STEPS = {"Patchtide-PatchFleet": 2, "Patchtide-PatchInstance": 3, "Automation-RunPatchBaseline": 2}
USUAL = 2


@frozen
class Cost:
    """Automation steps and what AWS's price list of that day says they cost, in US dollars."""

    steps: int
    dollars: float
    dated: date


def cost_of(campaign: Campaign, locations: int, instances: int) -> Cost:
    """What a run over so many locations and instances costs: a step in the hub for each location, the steps of its runbook
    there; and where each instance has an execution of its own, one step that starts it and its runbook's."""
    own = STEPS.get(campaign.runbook.name, USUAL)
    steps = locations + (instances * (1 + own) if campaign.runbook.target_parameter else locations * own)
    return Cost(steps, steps * float(_prices()["automation_step"]), _prices()["dated"])


@cache
def _prices() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "prices.toml").read_text(encoding="utf-8"))
