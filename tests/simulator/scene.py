"""A small organisation with a runbook for fleets and one for instances: what the simulator's tests start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from simulator.clock import Clock
from simulator.fleet import ADMINISTRATION_ROLE, Account, Behaviour, Node, Organization
from simulator.memory import Memory
from simulator.wire import Wire
from simulator.world import Switches, World

HUB = "999900001111"
ALPHA, BETA = "111122223333", "444455556666"
IRELAND, LONDON = "eu-west-1", "eu-west-2"
START = datetime(2026, 12, 1, 22, 0, tzinfo=UTC)
SNAPSHOT = "0e1f8f0c-8c59-4b34-9d1c-3a3c8f1f8f11"
TOKEN = "7f0c1a52-6f0e-5d4c-9d55-1f2e3d4c5b6a"  # noqa: S105 - a ClientToken is no secret
RUN = "web-20261201T2200Z"
ROLE = f"arn:aws:iam::{HUB}:role/{ADMINISTRATION_ROLE}"

_FENCE = """
from datetime import datetime, timezone
def fence(events, context):
    closes = datetime.fromisoformat(events["NotAfter"].replace("Z", "+00:00"))
    left = int((closes - datetime.now(timezone.utc)).total_seconds())
    if left < 30:
        raise RuntimeError(f"the window closed at {events['NotAfter']}")
    return {"SecondsLeft": left}
"""

_COMMON: Mapping[str, Any] = {
    "AutomationAssumeRole": {"type": "String", "default": ""},
    "Operation": {"type": "String", "allowedValues": ["Scan", "Install"]},
    "SnapshotId": {"type": "String", "default": ""},
    "RebootOption": {"type": "String", "default": "RebootIfNeeded"},
    "NotAfter": {"type": "String", "allowedPattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"},
    "RunId": {"type": "String", "default": ""},
}


def runbook(
    steps: list[dict[str, Any]], parameters: Mapping[str, Any], outputs: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "schemaVersion": "0.3",
        "description": "for tests",
        "assumeRole": "{{ AutomationAssumeRole }}",
        "parameters": {**_COMMON, **parameters},
        "outputs": list(outputs),
        "mainSteps": steps,
    }


def patching(**addressees: Any) -> list[dict[str, Any]]:
    fence = {
        "name": "fence",
        "action": "aws:executeScript",
        "inputs": {
            "Runtime": "python3.11",
            "Handler": "fence",
            "Script": _FENCE,
            "InputPayload": {"NotAfter": "{{ NotAfter }}"},
        },
        "outputs": [{"Name": "SecondsLeft", "Selector": "$.Payload.SecondsLeft", "Type": "Integer"}],
    }
    names = ("Operation", "SnapshotId", "RebootOption")
    patch = {
        "name": "patch",
        "action": "aws:runCommand",
        "timeoutSeconds": 28800,
        "onFailure": "Abort",
        "inputs": {
            "DocumentName": "AWS-RunPatchBaseline",
            "Comment": "patchtide {{ RunId }}",
            "TimeoutSeconds": "{{ fence.SecondsLeft }}",
            "Parameters": {name: f"{{{{ {name} }}}}" for name in names} | {"InstallOverrideList": ""},
            **addressees,
        },
    }
    return [fence, patch]


FLEET = runbook(
    patching(Targets="{{ Targets }}", MaxConcurrency="{{ MaxConcurrency }}", MaxErrors="{{ MaxErrors }}"),
    {
        "Targets": {"type": "MapList"},
        "MaxConcurrency": {"type": "String", "default": "100%"},
        "MaxErrors": {"type": "String", "default": "100%"},
    },
    ("patch.CommandId",),
)
INSTANCE = runbook(patching(InstanceIds=["{{ InstanceId }}"]), {"InstanceId": {"type": "String"}}, ("patch.Status",))


@dataclass
class Scene:
    """A world behind one of its doors: in process, in memory, or as a server."""

    world: World
    entered: Wire | None = None
    memory: Memory | None = None
    url: str | None = None
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def client(self, service: str, account: str = HUB, region: str = IRELAND) -> Any:
        """A client of anybody's, anywhere: a real boto3 client, or what stands for one in memory."""
        key = (service, account, region)
        if key not in self._clients:
            self._clients[key] = self.with_keys(service, account, "x", None, region)
        return self._clients[key]

    def with_keys(self, service: str, key: str, secret: str, token: str | None, region: str = IRELAND) -> Any:
        """A client with these keys."""
        if self.memory:
            return self.memory.connect(service, region, key)
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )

    @property
    def wire(self) -> Wire:
        """The in-process door, of a test that is about it."""
        assert self.entered
        return self.entered

    def move_to(self, when: datetime) -> None:
        """Let time pass until then."""
        if self.entered:
            self.entered.move_to(when)
        else:
            self.world.clock.advance_to(when)

    @property
    def ssm(self) -> Any:
        return self.client("ssm")

    def keep(
        self, name: str, content: Mapping[str, Any], *accounts: str, regions: tuple[str, ...] = (IRELAND, LONDON)
    ) -> None:
        """Have a runbook in each of the accounts and Regions."""
        for account in accounts or (HUB, ALPHA, BETA):
            for region in regions:
                params = {"Name": name, "Content": json.dumps(content), "DocumentType": "Automation"}
                self.world.documents.create(account, region, params)

    def add(self, *behaviours: Behaviour, account: str = ALPHA, region: str = IRELAND, **more: Any) -> list[Node]:
        """New nodes of the group `web`."""
        organization = self.world.organization
        tags = {"PatchGroup": "web", **more.pop("tags", {})}
        at = organization.accounts[account]
        return [organization.add_node(at, region, f"{b}-{n}", b, tags=tags, **more) for n, b in enumerate(behaviours)]

    def locations(self, *accounts: str, **changes: Any) -> list[dict[str, Any]]:
        entry = {
            "Accounts": list(accounts or (ALPHA,)),
            "Regions": [IRELAND],
            "TargetLocationMaxConcurrency": "100%",
            "TargetLocationMaxErrors": "100%",
        }
        return [entry | changes]

    def request(self, **changes: Any) -> dict[str, Any]:
        """A request for the fleet runbook; None takes something out of it."""
        parameters = {
            "AutomationAssumeRole": [ROLE],
            "Operation": ["Install"],
            "SnapshotId": [SNAPSHOT],
            "NotAfter": ["2026-12-02T02:00:00Z"],
            "RunId": [RUN],
            "Targets": [json.dumps({"Key": "tag:PatchGroup", "Values": ["web"]})],
        } | changes.pop("parameters", {})
        request = {
            "DocumentName": "Fleet",
            "Parameters": {name: values for name, values in parameters.items() if values is not None},
            "TargetLocations": self.locations(),
            "Tags": [{"Key": "patchtide:run", "Value": RUN}],
        } | changes
        return {name: value for name, value in request.items() if value is not None}

    def start(self, **changes: Any) -> str:
        id_: str = self.ssm.start_automation_execution(**self.request(**changes))["AutomationExecutionId"]
        return id_

    def start_each(self, target: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """One execution for each instance."""
        return self.start(
            DocumentName="Instance",
            Targets=[target or {"Key": "tag:PatchGroup", "Values": ["web"]}],
            TargetParameterName="InstanceId",
            parameters={"Targets": None},
            **({"MaxConcurrency": "100%", "MaxErrors": "100%"} | changes),
        )

    def look(self, id_: str, account: str = HUB, region: str = IRELAND) -> dict[str, Any]:
        found: dict[str, Any] = self.client("ssm", account, region).get_automation_execution(AutomationExecutionId=id_)
        seen: dict[str, Any] = found["AutomationExecution"]
        return seen

    def finish(self, id_: str, account: str = HUB, region: str = IRELAND) -> dict[str, Any]:
        """The execution at its end."""
        execution = self.world.automation.get(account, region, id_)
        while not execution.over:
            due = self.world.clock.next_at()
            assert due is not None, f"nothing will happen, and {id_} is {execution.status}"
            self.move_to(due)
        return self.look(id_, account, region)

    def play(self, **changes: Any) -> dict[str, Any]:
        """An execution from start to end."""
        return self.finish(self.start(**changes))

    def wait(self, **span: float) -> None:
        self.move_to(self.world.clock.now + timedelta(**span))

    def child(self, execution: Mapping[str, Any]) -> str:
        id_: str = execution["StepExecutions"][0]["Outputs"]["ExecutionId"][0]
        return id_


def make_world(switches: Switches | None = None, seed: int = 1, tagged: int = 0) -> World:
    """Two accounts in a unit, two Regions, and as many healthy nodes in the first as wanted."""
    organization = Organization(HUB, (IRELAND, LONDON), seed)
    production = organization.add_unit("Production")
    alpha: Account = organization.add_account("alpha", production, id=ALPHA)
    organization.add_account("beta", production, id=BETA)
    for number in range(tagged):
        organization.add_node(alpha, IRELAND, f"web-{number}", tags={"PatchGroup": "web"})
    return World(Clock(START), organization, seed, switches)
