"""The StartAutomationExecution request of one execution, rendered once and sent as it was rendered.

Every concurrency and error limit is said explicitly: AWS's own defaults run one location at a time and stop at the first
error (facts: ssm.md, trap 1). Limits of sizes come from botocore's service model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from patchtide.core.campaign import Campaign, Wave
from patchtide.core.location import Location, grid, rectangles
from patchtide.core.run import Execution, Run, client_token, snapshot_id

MAX_ACCOUNTS = 50  # TargetLocation.Accounts
MAX_ENTRIES = 10  # of the 100 TargetLocations AWS allows: 500 accounts are enough to lose at once
TAG = "patchtide:run"


@dataclass(frozen=True)
class Hub:
    """What the hub account lends to every start: the role that Automation assumes there."""

    administration_role: str


def plan(campaign: Campaign, run: Run, wave: Wave, locations: Iterable[Location], hub: Hub) -> tuple[Execution, ...]:
    """The executions that cover each of the locations exactly once, with their requests."""
    entries = rectangles(locations, MAX_ACCOUNTS)
    counted = not campaign.location_max_concurrency.endswith("%")
    size = 1 if counted else MAX_ENTRIES  # a count is a limit over all, so each execution gets one entry and a share
    chunks = [entries[first : first + size] for first in range(0, len(entries), size)]
    return tuple(
        _execution(campaign, run, wave, number, chunk, hub, counted=counted) for number, chunk in enumerate(chunks, 1)
    )


def _execution(
    campaign: Campaign,
    run: Run,
    wave: Wave,
    number: int,
    entries: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...],
    hub: Hub,
    *,
    counted: bool,
) -> Execution:
    pairs = sum(len(accounts) * len(regions) for accounts, regions in entries)
    token = client_token(run.id, wave.name, number)
    return Execution(
        wave=wave.name,
        number=number,
        request=json.dumps(_request(campaign, run, wave, token, entries, hub), sort_keys=True),
        locations=pairs,
        token=token,
        share=min(int(campaign.location_max_concurrency), pairs) if counted else 0,
        limit=int(campaign.location_max_concurrency) if counted else 0,
    )


def _request(
    campaign: Campaign,
    run: Run,
    wave: Wave,
    token: str,
    entries: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...],
    hub: Hub,
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "DocumentName": campaign.runbook.name,
        # As written, not as the hub numbers it: every member account counts the versions of its own copy.
        "DocumentVersion": campaign.runbook.version,
        "Parameters": parameters(campaign, run, wave, hub),
        "ClientToken": token,
        "Mode": "Auto",
        "TargetLocations": [
            {
                "Accounts": list(accounts),
                "Regions": list(regions),
                "TargetLocationMaxConcurrency": _share(campaign.location_max_concurrency, len(accounts) * len(regions)),
                "TargetLocationMaxErrors": campaign.location_max_errors,
                "ExecutionRoleName": campaign.execution_role,
            }
            for accounts, regions in entries
        ],
        "Tags": [{"Key": TAG, "Value": run.id}, {"Key": start_tag(token), "Value": wave.name}],
    }
    if campaign.runbook.target_parameter:
        request |= {
            "TargetParameterName": campaign.runbook.target_parameter,
            "Targets": [target.for_automation() for target in wave.targets],
            "MaxConcurrency": wave.max_concurrency,
            "MaxErrors": wave.max_errors,
        }
    return request


def _share(limit: str, pairs: int) -> str:
    return limit if limit.endswith("%") else str(min(int(limit), pairs))


def start_tag(token: str) -> str:
    """The tag key by which one start can be found again: AWS filters executions by tag key alone."""
    return f"patchtide:start:{token}"


def parameters(campaign: Campaign, run: Run, wave: Wave, hub: Hub) -> dict[str, list[str]]:
    """The runbook parameters, of those it declares: AWS refuses a start that names one the runbook does not have.

    Values are never empty: the model wants at least one character, so what is not set is left out.
    """
    ours: dict[str, list[str]] = {
        "AutomationAssumeRole": [hub.administration_role],
        "Operation": [campaign.operation],
        "RebootOption": [campaign.reboot_option],
        "SnapshotId": [campaign.snapshot_id or snapshot_id(run.id, wave.name)],
        "NotAfter": [f"{run.window.last_start:%Y-%m-%dT%H:%M:%SZ}"],
        "RunId": [run.id],
    }
    if campaign.install_override_list:
        ours["InstallOverrideList"] = [campaign.install_override_list]
    if not campaign.runbook.target_parameter:
        ours["Targets"] = [json.dumps(target.for_run_command()) for target in wave.targets]
        ours["MaxConcurrency"] = [wave.max_concurrency]
        ours["MaxErrors"] = [wave.max_errors]
    declared = run.runbook.parameters if run.runbook else tuple(ours)
    given = {name: list(values) for name, values in campaign.runbook.parameters.items()}
    return given | {name: values for name, values in ours.items() if name in declared}


def expected_snapshot(campaign: Campaign, run: Run, wave: str) -> str | None:
    """The snapshot id that the wave's evidence must carry; None where the runbook takes none."""
    if run.runbook and "SnapshotId" not in run.runbook.parameters:
        return None
    return campaign.snapshot_id or snapshot_id(run.id, wave)


def locations_of(request: Mapping[str, Any]) -> tuple[Location, ...]:
    """The locations that a rendered request covers."""
    return tuple(
        location for entry in request["TargetLocations"] for location in grid(entry["Accounts"], entry["Regions"])
    )
