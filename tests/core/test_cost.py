"""What a run costs: the model against what the world counts, and against sums done by hand."""

from datetime import UTC, datetime
from typing import Any

import pytest

from patchtide.core.cost import Cost, cost_of
from patchtide.core.document import read
from simulator.rehearsal import Rehearsal, rehearse

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


def item(accounts: int, **more: Any) -> dict[str, Any]:
    return {
        "campaign": "web",
        "schedule": "cron(0 22 ? * SAT *)",
        "duration": 4,
        "accounts": [f"{100_000_000_000 + number}" for number in range(accounts)],
        "regions": ["eu-west-1", "eu-west-2"],
        "targets": "tag:PatchGroup=web",
        "maxConcurrency": "100%",
        "maxErrors": "100%",
        "locationMaxConcurrency": "100%",
    } | more


def cost(locations: int, instances: int, **more: Any) -> Cost:
    return cost_of(read(item(1, **more), now=NOW).valid(), locations, instances)


def played(accounts: int, instances: int, **more: Any) -> Rehearsal:
    return rehearse(item(accounts, **more), None, 1, 0, NOW, lambda share, standing: None, instances=instances)


@pytest.mark.parametrize(
    ("more", "steps", "scripts"),
    [
        ({}, 30, 20),  # a fence and a command in each of ten locations, and a step of the hub's for each
        ({"runbook": "Patchtide-PatchInstance", "targetParameterName": "InstanceId"}, 10 + 100 * 4, 200),
    ],
)
def test_steps_are_counted_by_runbook(more: dict[str, Any], steps: int, scripts: int) -> None:
    units = cost(10, 100, **more).units
    assert (units["automation_step"], units["automation_script_second"]) == (steps, scripts)


def test_a_price_is_there_for_each_unit_and_the_parts_make_up_the_whole() -> None:
    found = cost(2000, 100_000)
    assert found.dollars == pytest.approx(sum(found.units[unit] * found.prices[unit] for unit in found.units))
    assert found.parts["automation_step"] == pytest.approx(12.0)
    assert 12.0 < found.dollars < 12.4


@pytest.mark.parametrize("instances", [3, 50])
@pytest.mark.parametrize("runbook", ["Patchtide-PatchFleet", "Automation-RunPatchBaseline"])
def test_the_steps_are_those_that_the_world_counts(runbook: str, instances: int) -> None:
    told = played(3, instances, runbook=runbook)
    expected = cost_of(read(item(3, runbook=runbook), now=NOW).valid(), 6, 6 * instances)
    assert told.units.automation_steps == expected.steps


def test_nothing_costs_nothing() -> None:
    assert cost(0, 0).parts["automation_step"] == 0
