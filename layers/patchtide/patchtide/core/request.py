"""The StartAutomationExecution request of one execution, rendered once and sent as it was rendered.

Every concurrency and error limit is said explicitly: AWS's own defaults run one location at a time and stop at the first
error (facts: ssm.md, trap 1). Limits of sizes come from botocore's service model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from patchtide.core.campaign import IDS_KEY, Campaign, Target, Wave
from patchtide.core.frozen import frozen
from patchtide.core.location import Location, grid, rectangles
from patchtide.core.run import Execution, Run, client_token, snapshot_id

MAX_ACCOUNTS = 50  # TargetLocation.Accounts
MAX_ENTRIES = 10  # of the 100 TargetLocations AWS allows: 500 accounts are enough to lose at once
MAX_VALUES = 50  # TargetValues
MAX_NAMED = 19  # instance ids in one parameter value of 512 characters (AutomationParameterValue), of hybrid nodes too
TAG = "patchtide:run"


@frozen
class Hub:
    """What the hub lends to every start: the role that Automation assumes there, and how many instances may be in flight
    over all runs at once, 0 being no limit."""

    administration_role: str
    max_in_flight: int = 0


@frozen
class Site:
    """One location of a wave and who is to be patched there: `size` instances, by the wave's targets, or only `ids` of them.

    `roster` is a fingerprint of the instances, so that an approval is of them and of no others.
    """

    location: Location
    size: int
    ids: tuple[str, ...] = ()
    roster: str = ""


@frozen
class Work:
    """What all executions of a wave share: what they do, until when they may start, and how many instances at once."""

    campaign: Campaign
    run: Run
    wave: Wave
    hub: Hub
    not_after: datetime


def plan(work: Work, sites: Iterable[Site]) -> tuple[Execution, ...]:
    """The executions that cover each site exactly once, with their requests.

    Sites that are patched whole share executions, by accounts and Regions. A site of which only some instances are meant gets
    executions of its own that name them, as many as it takes: AWS's targets cannot say "all but these".
    """
    sites = sorted(sites, key=lambda site: site.location)
    cap = work.hub.max_in_flight
    whole = [site for site in sites if _is_whole(site, cap)]
    drafts = [draft for some in _within(whole, cap) for draft in _shared(work, some)]
    drafts += [draft for site in sites if not _is_whole(site, cap) for draft in _named(work, site, cap)]
    return tuple(_execution(work, draft, number) for number, draft in enumerate(drafts, 1))


def _is_whole(site: Site, cap: int) -> bool:
    return not site.ids and not 0 < cap < site.size


@frozen
class _Draft:
    """One execution to be: its rectangles of accounts and Regions, and the instances it is meant for."""

    entries: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    size: int
    targets: tuple[Target, ...]
    part: int = 1
    parts: int = 1


def _within(sites: Iterable[Site], cap: int) -> Iterator[list[Site]]:
    """The sites in groups of at most `cap` instances each, 0 being no limit: what exceeds the stack's cap could never start."""
    group: list[Site] = []
    size = 0
    for site in sites:
        if cap and group and size + site.size > cap:
            yield group
            group, size = [], 0
        group.append(site)
        size += site.size
    if group:
        yield group


def _shared(work: Work, sites: list[Site]) -> Iterator[_Draft]:
    sizes = {site.location: site.size for site in sites}
    entries = rectangles(sizes, MAX_ACCOUNTS)
    counted = not work.campaign.location_max_concurrency.endswith("%")
    width = 1 if counted else MAX_ENTRIES  # a count is a limit over all, so each execution gets one entry and a share
    for first in range(0, len(entries), width):
        chunk = entries[first : first + width]
        covered = [location for accounts, regions in chunk for location in grid(accounts, regions)]
        yield _Draft(chunk, sum(sizes[location] for location in covered), work.wave.targets)


def _named(work: Work, site: Site, cap: int) -> Iterator[_Draft]:
    entry = ((site.location.account,), (site.location.region,))
    most = min(cap or MAX_VALUES, MAX_VALUES if work.campaign.runbook.target_parameter else MAX_NAMED)
    chunks = [site.ids[first : first + most] for first in range(0, len(site.ids), most)]
    for part, ids in enumerate(chunks, 1):
        yield _Draft((entry,), len(ids), (Target(IDS_KEY, ids),), part, len(chunks))


def _execution(work: Work, draft: _Draft, number: int) -> Execution:
    pairs = sum(len(accounts) * len(regions) for accounts, regions in draft.entries)
    token = client_token(work.run.id, work.wave.name, number)
    limit = work.campaign.location_max_concurrency
    return Execution(
        wave=work.wave.name,
        number=number,
        request=json.dumps(_request(work, draft, token), sort_keys=True),
        locations=pairs,
        token=token,
        share=0 if limit.endswith("%") else min(int(limit), pairs),
        limit=0 if limit.endswith("%") else int(limit),
        instances=draft.size,
        part=draft.part,
        parts=draft.parts,
        in_turn=draft.parts > 1 and not work.wave.max_concurrency.endswith("%"),
    )


def digest_of(executions: Iterable[Execution], sites: Iterable[Site]) -> str:
    """A fingerprint of all that the executions will do, and to whom: what an approval is bound to."""
    parts = [execution.request for execution in executions]
    parts += [f"{site.location} {site.size} {site.roster}" for site in sorted(sites, key=lambda site: site.location)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _request(work: Work, draft: _Draft, token: str) -> dict[str, Any]:
    campaign, run, wave = work.campaign, work.run, work.wave
    request: dict[str, Any] = {
        "DocumentName": campaign.runbook.name,
        # As written, not as the hub numbers it: every member account counts the versions of its own copy.
        "DocumentVersion": campaign.runbook.version,
        "Parameters": parameters(work, draft.targets),
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
            for accounts, regions in draft.entries
        ],
        "Tags": [{"Key": TAG, "Value": run.id}, {"Key": start_tag(token), "Value": wave.name}],
    }
    if campaign.runbook.target_parameter:
        request |= {
            "TargetParameterName": campaign.runbook.target_parameter,
            "Targets": [target.for_automation() for target in draft.targets],
            "MaxConcurrency": wave.max_concurrency,
            "MaxErrors": wave.max_errors,
        }
    return request


def _share(limit: str, pairs: int) -> str:
    return limit if limit.endswith("%") else str(min(int(limit), pairs))


def start_tag(token: str) -> str:
    """The tag key by which one start can be found again: AWS filters executions by tag key alone."""
    return f"patchtide:start:{token}"


def parameters(work: Work, targets: Iterable[Target]) -> dict[str, list[str]]:
    """The runbook parameters, of those it declares: AWS refuses a start that names one the runbook does not have.

    Values are never empty: the model wants at least one character, so what is not set is left out.
    """
    campaign, run, wave = work.campaign, work.run, work.wave
    ours: dict[str, list[str]] = {
        "AutomationAssumeRole": [work.hub.administration_role],
        "Operation": [campaign.operation],
        "RebootOption": [campaign.reboot_option],
        "SnapshotId": [campaign.snapshot_id or snapshot_id(run.id, wave.name)],
        "NotAfter": [f"{work.not_after:%Y-%m-%dT%H:%M:%SZ}"],
        "RunId": [run.id],
    }
    if campaign.install_override_list:
        ours["InstallOverrideList"] = [campaign.install_override_list]
    if not campaign.runbook.target_parameter:
        ours["Targets"] = [json.dumps(target.for_run_command()) for target in targets]
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
