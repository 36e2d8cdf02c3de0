"""The built functions answer their sample events in Lambda's own runtime, and do there what they are for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from simulator.ministack import PYTHON
from simulator.server import STACK, Local, local
from simulator.template import ROOT, Template, load
from tests.ship.runtime import MISSING, awake

DOCUMENT = load(ROOT / "template.yaml")
TEMPLATE = Template(DOCUMENT, "999900001111", "eu-west-1")
FUNCTIONS = [name for name, body in DOCUMENT["Resources"].items() if body["Type"] == "AWS::Serverless::Function"]

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        MISSING or not PYTHON.exists(), reason="needs `make setup` on Linux: SAM, ministack, the runtime"
    ),
]


class Deployed:
    """The stack in the local world, its own functions asleep: whatever happens there is done by those that were built."""

    def __init__(self, world: Local) -> None:
        self.world = world
        found = world.ministack.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        self.names = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}
        self.functions = world.ministack.client("lambda")
        for source in self.functions.list_event_source_mappings()["EventSourceMappings"]:
            self.functions.delete_event_source_mapping(UUID=source["UUID"])

    def environment(self, function: str) -> dict[str, str]:
        """What CloudFormation gave a function, and where its AWS is."""
        given = self.functions.get_function_configuration(FunctionName=self.names[function])["Environment"]["Variables"]
        assert given.keys() >= TEMPLATE.environment(function).keys()
        return {
            **self.world.environment,
            **given,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TEMPLATE.timeout(function)),
        }

    @property
    def campaigns(self) -> Any:
        """The table that people write."""
        return boto3.resource("dynamodb", endpoint_url=self.world.ministack.url).Table(self.names["CampaignsTable"])


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    with local(minute=3600) as world:  # nobody else's tick comes within the test
        yield Deployed(world)


def events(function: str) -> list[Path]:
    return sorted((ROOT / "events").glob(f"{function.removesuffix('Function').lower()}*.json"))


def well(event: dict[str, Any]) -> Any:
    """What a function says to an event when nothing is wrong."""
    return {"batchItemFailures": []} if "Records" in event else None


def test_a_built_function_answers_its_sample_events(
    deployed: Deployed, shipped: Path, native: Path, tmp_path: Path
) -> None:
    deployed.campaigns.put_item(
        Item={
            "campaign": "dev-weekly",  # as the events of the intake have it
            "schedule": "cron(0 22 ? * SAT *)",
            "duration": 4,
            "accounts": ["111122223333"],
            "regions": ["eu-west-1"],
            "targets": "tag:PatchGroup=dev",
        }
    )
    for name in FUNCTIONS:
        log = tmp_path / f"{name}.log"
        with awake(shipped / name, [native, shipped / "PatchtideLayer"], deployed.environment(name), log) as wake:
            found = {path.name: wake(path.read_bytes()) for path in events(name)}
        expected = {path.name: well(json.loads(path.read_bytes())) for path in events(name)}
        assert found
        assert found == expected, log.read_text(encoding="utf-8")
    taken = deployed.campaigns.get_item(Key={"campaign": "dev-weekly"})["Item"]
    assert (taken["status"], bool(taken["nextRunAt"])) == ("VALID", True)


def test_a_function_that_cannot_load_says_so(shipped: Path, native: Path, tmp_path: Path) -> None:
    layers = [native, shipped / "PatchtideLayer"]
    with awake(shipped / "PollerFunction", layers, {}, tmp_path / "log") as wake:
        assert wake(b"{}")["errorType"] == "KeyError"


def test_a_layer_that_is_missing_is_missed(shipped: Path, tmp_path: Path) -> None:
    with awake(shipped / "PollerFunction", [], {}, tmp_path / "log") as wake:
        assert wake(b"{}")["errorType"] == "Runtime.ImportModuleError"
