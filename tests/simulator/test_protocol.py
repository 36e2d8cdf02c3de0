"""What botocore lets through and AWS does not, and what our own services may not answer."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.fleet import Behaviour
from simulator.protocol import (
    BrokenDoubleError,
    Caller,
    Door,
    Identities,
    Request,
    Service,
    ServiceError,
    page,
    service_model,
)
from tests.simulator.scene import START, Scene

CALLER = Caller("111111111111", "eu-west-1", "arn:aws:iam::111111111111:root")


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("changes", "path", "constraint"),
    [
        ({"MaxConcurrency": "0"}, "maxConcurrency", "regular expression pattern"),
        ({"MaxErrors": "150%"}, "maxErrors", "regular expression pattern"),
        ({"DocumentName": "no spaces"}, "documentName", "regular expression pattern"),
        ({"ClientToken": "x" * 36}, "clientToken", "regular expression pattern"),
        ({"Mode": "Manual"}, "mode", "enum value set: [Auto, Interactive]"),
        (
            {"Parameters": {"RunId": ["x" * 513]}},
            "parameters.RunId.member.1.member",
            "length less than or equal to 512",
        ),
        ({"Parameters": {"x" * 51: ["1"]}}, "parameters.key", "length less than or equal to 50"),
        (
            {"TargetLocations": [{"Accounts": ["111122223333"] * 51, "Regions": ["eu-west-1"]}]},
            "targetLocations.1.member.accounts",
            "length less than or equal to 50",
        ),
        (
            {"TargetLocations": [{"ExcludeAccounts": ["ou-wrong"], "Regions": ["eu-west-1"]}]},
            "targetLocations.1.member.excludeAccounts.1.member",
            "regular expression pattern",
        ),
        (
            {"Targets": [{"Key": "tag:A", "Values": ["1"]}, {"Key": "tag:B", "Values": ["1"]}]},
            "targets",
            "length less than or equal to 1",
        ),
        ({"Tags": [{"Key": "a*b", "Value": "c"}]}, "tags.1.member.key", "regular expression pattern"),
    ],
)
def test_what_botocore_lets_through_is_refused_in_aws_words(
    scene: Scene, changes: dict[str, Any], path: str, constraint: str
) -> None:
    with pytest.raises(ClientError) as error:
        scene.ssm.start_automation_execution(**({"DocumentName": "Fleet"} | changes))
    code, message = refusal(error)
    assert code == "ValidationException"
    assert "validation error" in message
    assert f"at '{path}' failed to satisfy constraint: Member must" in message
    assert constraint in message


@pytest.mark.parametrize(
    ("service", "operation", "params", "code"),
    [
        ("organizations", "describe_account", {"AccountId": "12"}, "InvalidInputException"),
        ("sts", "assume_role", {"RoleArn": "arn:aws:iam::1:role/x", "RoleSessionName": "a b"}, "ValidationError"),
        ("resource-groups", "list_group_resources", {"Group": "no spaces"}, "BadRequestException"),
        (
            "resourcegroupstaggingapi",
            "get_resources",
            {"TagFilters": [{"Key": "x" * 129}]},
            "InvalidParameterException",
        ),
        ("ssm", "describe_instance_patch_states", {"InstanceIds": ["i-0123456789abcdef0"] * 51}, "ValidationException"),
        ("ssm", "describe_automation_executions", {"MaxResults": 51}, "ValidationException"),
    ],
)
def test_limits_hold_for_every_service(
    scene: Scene, service: str, operation: str, params: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as error:
        getattr(scene.client(service), operation)(**params)
    assert refusal(error)[0] == code


def test_an_operation_that_is_not_done_here_says_so(scene: Scene) -> None:
    with pytest.raises(ClientError) as error:
        scene.ssm.describe_patch_baselines()
    assert refusal(error) == ("UnknownOperationException", "The simulator does not do ssm DescribePatchBaselines")


def test_a_method_that_is_no_operation_is_found_when_the_service_is_made() -> None:
    class Odd(Service):
        name = "ssm"
        signing_name = "ssm"

        def start_something(self, caller: Caller) -> dict[str, Any]:
            raise NotImplementedError

    with pytest.raises(BrokenDoubleError, match=r"ssm has no operation for Odd\.start_something"):
        Odd()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"AutomationExecutionId": "short", "Extra": 1}, "Value '1' at 'Extra'"),
        ({"AutomationExecutionId": 7}, "Member must be a string"),
        ({"AutomationExecutionId": "x" * 37}, "length less than or equal to 36"),
        (None, "Member must be a structure"),
    ],
)
def test_an_answer_that_aws_could_not_give_is_our_fault_and_loud(answer: Any, fault: str) -> None:
    class Wrong(Service):
        name = "ssm"
        signing_name = "ssm"

        def start_automation_execution(self, caller: Caller, **params: Any) -> Any:
            return answer

    with pytest.raises(BrokenDoubleError, match=fault):
        Wrong().answer("StartAutomationExecution", {"DocumentName": "Fleet"}, CALLER)


def test_a_fault_of_ours_is_no_exception_that_code_under_test_could_swallow() -> None:
    class Faulty(Service):
        name = "ssm"
        signing_name = "ssm"

        def get_document(self, caller: Caller, **params: Any) -> dict[str, Any]:
            raise KeyError(params["Name"])

    with pytest.raises(BrokenDoubleError, match="ssm GetDocument failed"):
        Faulty().answer("GetDocument", {"Name": "Fleet"}, CALLER)
    assert not issubclass(BrokenDoubleError, Exception)


def test_a_request_lacking_what_is_required_is_refused() -> None:
    class Quiet(Service):
        name = "ssm"
        signing_name = "ssm"

        def get_document(self, caller: Caller, **params: Any) -> dict[str, Any]:
            return {}

    with pytest.raises(ServiceError, match=r"1 validation error detected: Value null at 'name' .* must not be null"):
        Quiet().answer("GetDocument", {}, CALLER)


def test_a_door_answers_a_stranger_as_aws_does(scene: Scene) -> None:
    door = Door(scene.world.services.values(), Identities(), lambda: START)
    scope = (
        "AWS4-HMAC-SHA256 Credential=AKIASTRANGER/20261201/eu-west-1/{}/aws4_request, SignedHeaders=host, Signature=0"
    )
    answers = {}
    for service, target in (("ssm", "AmazonSSM.ListCommands"), ("ec2", ""), ("sts", "")):
        headers = {"Authorization": scope.format(service), "X-Amz-Target": target}
        reply = door.answer(Request("https://example.com/", headers, b"{}"))
        answers[service] = (reply.status, reply.body.decode())
    assert (answers["ssm"][0], "UnrecognizedClientException" in answers["ssm"][1]) == (400, True)
    assert (answers["ec2"][0], "<Code>AuthFailure</Code>" in answers["ec2"][1]) == (401, True)
    assert (answers["sts"][0], "<Code>InvalidClientTokenId</Code>" in answers["sts"][1]) == (403, True)


def test_every_modelled_pattern_that_python_can_read_is_held(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    for wrong in ("i-12345", node.id + "\n"):
        with pytest.raises(ClientError, match="regular expression pattern"):
            scene.ssm.describe_instance_patch_states(InstanceIds=[wrong])


def test_pages_lead_from_one_to_the_next() -> None:
    first, token = page(list("abcde"), None, 2)
    second, token = page(list("abcde"), token, 2)
    third, end = page(list("abcde"), token, 2)
    assert (first, second, third, end) == (["a", "b"], ["c", "d"], ["e"], None)
    with pytest.raises(ServiceError, match="InvalidNextToken"):
        page(list("abcde"), "made up", 2)


def test_the_models_are_read_once() -> None:
    assert service_model("ssm") is service_model("ssm")
