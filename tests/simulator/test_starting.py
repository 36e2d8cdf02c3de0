"""StartAutomationExecution: what is refused at once, and what is found out only later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.fleet import Behaviour
from tests.simulator.scene import ALPHA, HUB, ROLE, RUN, TOKEN, Scene

INVALID = "InvalidAutomationExecutionParametersException"


def refused(scene: Scene, code: str, **changes: Any) -> str:
    with pytest.raises(ClientError) as error:
        scene.start(**changes)
    assert error.value.response["Error"]["Code"] == code
    message: str = error.value.response["Error"]["Message"]
    return message


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"Colour": ["red"]}, "Parameter Colour is not defined"),
        ({"Operation": None}, "Parameter Operation is required"),
        ({"Operation": ["Uninstall"]}, "allowed are Scan, Install"),
        ({"NotAfter": ["tomorrow"]}, "does not match"),
        ({"RunId": ["a", "b"]}, "takes one value"),
        ({"Targets": ["PatchGroup"]}, "Expecting value"),
        ({"AutomationAssumeRole": ["admin"]}, "format of the supplied assume role ARN isn't valid"),
        ({"AutomationAssumeRole": [f"arn:aws:iam::{HUB}:role/Nobody"]}, "unable to be assumed"),
        ({"AutomationAssumeRole": [f"arn:aws:iam::{ALPHA}:role/Admin"]}, "unable to be assumed"),
    ],
)
def test_parameters_must_fit_the_runbook(scene: Scene, parameters: dict[str, Any], words: str) -> None:
    assert words in refused(scene, INVALID, parameters=parameters)


def test_the_runbook_must_be_there(scene: Scene) -> None:
    refused(scene, "AutomationDefinitionNotFoundException", DocumentName="Nothing")
    refused(scene, "AutomationDefinitionNotFoundException", DocumentName="AWS-RunPatchBaseline")
    refused(scene, "AutomationDefinitionVersionNotFoundException", DocumentVersion="7")


def test_targets_need_a_parameter_of_the_runbook_that_is_theirs(scene: Scene) -> None:
    targets = [{"Key": "tag:PatchGroup", "Values": ["web"]}]
    instance = {"DocumentName": "Instance", "parameters": {"Targets": None}}
    assert "TargetParameterName is required" in refused(scene, INVALID, Targets=targets, **instance)
    for name in ("instanceid", "AutomationAssumeRole"):
        message = refused(scene, INVALID, Targets=targets, TargetParameterName=name, **instance)
        assert "not a parameter of the runbook that can be targeted" in message
    assert "Targets are required" in refused(scene, INVALID, TargetParameterName="InstanceId", **instance)


def test_at_most_five_tags_are_given_at_the_start(scene: Scene) -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(6)]
    refused(scene, "ValidationException", Tags=tags)
    scene.start(Tags=tags[:5])


def test_the_same_token_with_the_same_request_is_the_same_execution(scene: Scene) -> None:
    scene.add(Behaviour.HEALTHY)
    first = scene.start(ClientToken=TOKEN)
    scene.wait(hours=1)
    assert scene.start(ClientToken=TOKEN.upper()) == first
    assert scene.world.executions_started == 1
    refused(scene, "IdempotentParameterMismatch", ClientToken=TOKEN, parameters={"Operation": ["Scan"]})


def test_a_token_is_one_accounts_in_one_region(scene: Scene) -> None:
    here = scene.start(ClientToken=TOKEN)
    there = scene.client("ssm", HUB, "eu-west-2").start_automation_execution(**scene.request(ClientToken=TOKEN))
    assert here != there["AutomationExecutionId"]


def test_a_token_is_forgotten_after_its_time(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(token_retention=timedelta(minutes=10))
    first = scene.start(ClientToken=TOKEN)
    scene.wait(minutes=9)
    assert scene.start(ClientToken=TOKEN) == first
    scene.wait(minutes=2)
    assert scene.start(ClientToken=TOKEN) != first
    assert scene.world.executions_started == 2


def test_a_refused_request_does_not_use_up_its_token(scene: Scene) -> None:
    refused(scene, INVALID, ClientToken=TOKEN, parameters={"Operation": None})
    scene.start(ClientToken=TOKEN)


def test_what_is_wrong_in_a_member_account_is_found_out_later(scene: Scene) -> None:
    scene.world.organization.accounts[ALPHA].roles.clear()
    assert scene.play()["AutomationExecutionStatus"] == "Failed"


def test_an_execution_can_hide_for_a_while(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(read_gap=timedelta(seconds=30))
    id_ = scene.start()
    with pytest.raises(ClientError, match="AutomationExecutionNotFoundException"):
        scene.look(id_)
    assert scene.ssm.describe_automation_executions()["AutomationExecutionMetadataList"] == []
    scene.wait(seconds=31)
    assert scene.look(id_)["AutomationExecutionId"] == id_


def test_executions_are_found_by_what_they_carry(scene: Scene) -> None:
    scene.add(Behaviour.HEALTHY)
    ours = scene.start(Tags=[{"Key": "patchtide:run", "Value": RUN}, {"Key": "patchtide:start:x", "Value": "all"}])
    scene.finish(ours)
    other = scene.start(Tags=None)

    def found(key: str, *values: str) -> list[str]:
        answer = scene.ssm.describe_automation_executions(Filters=[{"Key": key, "Values": list(values)}])
        return [one["AutomationExecutionId"] for one in answer["AutomationExecutionMetadataList"]]

    assert found("TagKey", "patchtide:start:x") == [ours]
    assert found("ExecutionId", other) == [other]
    assert found("DocumentNamePrefix", "Fle") == [other, ours]
    assert found("ExecutionStatus", "Success") == [ours]
    assert found("AutomationType", "Local") == []
    assert found("StartTimeAfter", "2026-12-01T22:05:00Z") == [other]
    assert found("StartTimeBefore", "2026-12-01T22:05:00Z") == [ours]


def test_the_newest_executions_come_first_and_in_pages(scene: Scene) -> None:
    ids = [scene.start() for _ in range(5)]
    pages = scene.ssm.get_paginator("describe_automation_executions").paginate(PaginationConfig={"PageSize": 2})
    found = [[one["AutomationExecutionId"] for one in page["AutomationExecutionMetadataList"]] for page in pages]
    assert [len(page) for page in found] == [2, 2, 1]
    assert [id_ for page in found for id_ in page] == ids[::-1]


def test_an_execution_without_locations_runs_where_it_was_started(scene: Scene) -> None:
    scene.add(Behaviour.HEALTHY, account=HUB)
    seen = scene.play(TargetLocations=None)
    assert seen["AutomationExecutionStatus"] == "Success"
    assert [step["StepName"] for step in seen["StepExecutions"]] == ["fence", "patch"]
    assert seen["Parameters"]["AutomationAssumeRole"] == [ROLE]
