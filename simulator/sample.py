"""The organisation of the demo: two units, five member accounts, two Regions, 154 instances, some of them in trouble.

One account, legacy-prod, was never onboarded: it has neither the execution role nor the read role.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from simulator.clock import Clock
from simulator.fleet import ADMINISTRATION_ROLE, EXECUTION_ROLE, Account, Behaviour, Organization, Unit
from simulator.template import ROOT, Template, load
from simulator.world import Switches, World

HUB = "999900001111"
REGIONS = ("eu-west-1", "eu-west-2")
READ_ROLE = "Patchtide-Collector"
SPOKE_PARAMETERS = {
    "AdministrationRoleArn": f"arn:aws:iam::{HUB}:role/{ADMINISTRATION_ROLE}",
    "CollectorRoleArn": f"arn:aws:iam::{HUB}:role/patchtide-collector",
    "HomeRegion": REGIONS[0],
}
ONBOARDED: dict[str, tuple[str, ...] | None] = {EXECUTION_ROLE: None, READ_ROLE: None}

# What is wrong, by account: so many of the first instances of its first Region.
TROUBLE = {
    "payments-prod": (Behaviour.DISK_FULL, Behaviour.DISK_FULL, Behaviour.AGENT_OFFLINE),
    "web-prod": (Behaviour.REPO_DOWN, Behaviour.PENDING_REBOOT, Behaviour.SLOW_EVIDENCE),
    "shop-dev": (Behaviour.FALSE_FAILURE, Behaviour.PATCH_FAILS),
    "data-dev": (Behaviour.NOT_MANAGED, Behaviour.OVERWRITTEN),
}


def organization(seed: int) -> Organization:
    """The demo's organisation. Names, ids and troubles follow from the seed."""
    made = Organization(HUB, REGIONS, seed)
    production, development = made.add_unit("Production"), made.add_unit("Development")
    _account(made, "payments-prod", "111122223333", production, 20)
    _account(made, "web-prod", "444455556666", production, 18)
    _account(made, "shop-dev", "222233334444", development, 15)
    _account(made, "data-dev", "555566667777", development, 16)
    _account(made, "legacy-prod", "777788889999", production, 8, onboarded=False)
    return made


def _account(made: Organization, name: str, id_: str, unit: Unit, size: int, *, onboarded: bool = True) -> None:
    account = made.add_account(name, unit, id=id_, roles=ONBOARDED if onboarded else {})
    group = name.rsplit("-", 1)[1]
    for region in REGIONS:
        troubles = _troubles(name) if region == REGIONS[0] else cycle([Behaviour.HEALTHY])
        for number, behaviour in enumerate(islice(troubles, size), 1):
            _node(made, account, region, f"{name.split('-')[0]}-{number:02d}", group, behaviour, number)
        made.add_group(account, region, f"{group}-windows", {"PatchGroup": [group], "OS": ["Windows"]})


def _troubles(name: str) -> Iterator[Behaviour]:
    yield from TROUBLE.get(name, ())
    yield from cycle([Behaviour.HEALTHY])


def _node(
    made: Organization, account: Account, region: str, name: str, group: str, behaviour: Behaviour, number: int
) -> None:
    windows = behaviour is Behaviour.FALSE_FAILURE or (behaviour is Behaviour.HEALTHY and number % 4 == 0)
    platform = "Windows" if windows or (group == "dev" and behaviour is Behaviour.PATCH_FAILS) else "Linux"
    tags = {"PatchGroup": group, "OS": platform}
    made.add_node(account, region, name, behaviour, tags=tags, platform="Windows" if platform == "Windows" else "Linux")


def world(now: datetime, seed: int, switches: Switches | None = None) -> World:
    """The demo's world, with the spokes onboarded as spoke/template.yaml does it."""
    return world_on(Clock(now), seed, switches)


def world_on(clock: Clock, seed: int, switches: Switches | None = None) -> World:
    """The same on a given clock."""
    made = World(clock, organization(seed), seed, switches)
    for account in made.organization.accounts.values():
        if EXECUTION_ROLE in account.roles:
            onboard(made, account.id)
    return made


def onboard(made: World, account: str, root: Path = ROOT) -> None:
    """Deploy the spoke's runbooks into every Region of an account."""
    for region in sorted(made.organization.accounts[account].regions):
        deploy(made, root / "spoke/template.yaml", account, region)


def deploy(made: World, path: Path, account: str, region: str) -> None:
    """Create the runbooks of a template in one Region of an account."""
    for document in _runbooks(path, account, region):
        made.documents.create(account, region, dict(document))


@cache
def _runbooks(path: Path, account: str, region: str) -> tuple[Mapping[str, Any], ...]:
    """The runbooks that a template deploys there, as CreateDocument takes them."""
    documents = Template(load(path), account, region, SPOKE_PARAMETERS).of_type("AWS::SSM::Document")
    return tuple(
        {
            "Name": properties["Name"],
            "Content": json.dumps(properties["Content"]),
            "DocumentType": properties["DocumentType"],
            "DocumentFormat": "JSON",
        }
        for properties in documents.values()
    )
