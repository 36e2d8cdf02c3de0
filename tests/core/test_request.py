"""The request that is sent, against the blog's command line, AWS's model and AWS's limits."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.validate import ParamValidator

from patchtide.core.document import read
from patchtide.core.location import Location, grid, rectangles
from patchtide.core.request import Hub, Site, Work, digest_of, locations_of, plan
from patchtide.core.run import Execution, Run, RunbookFacts
from simulator.protocol import Checker, service_model
from tests.values import a_run as fresh_run

HUB = Hub("arn:aws:iam::999900001111:role/AWS-SystemsManager-AutomationAdministrationRole")
AT = datetime(2026, 12, 12, 22, tzinfo=UTC)
ACCOUNTS = ("111122223333", "444455556666")
BLOG = (
    "AutomationAssumeRole",
    "Operation",
    "SnapshotId",
    "InstanceId",
    "InstallOverrideList",
    "RebootOption",
    "NotAfter",
)

ITEM: dict[str, Any] = {
    "campaign": "windows-monthly",
    "duration": 4,
    "accounts": list(ACCOUNTS),
    "regions": ["us-east-1", "us-west-2"],
    "targets": "ResourceGroup=Windows-Servers",
    "runbook": "Automation-RunPatchBaseline",
    "operation": "Install",
    "snapshotId": "6a6b1c3e-5d6f-4a2b-9c3d-1e2f3a4b5c6d",
    "installOverrideList": "s3://patch-lists/windows.yaml",
    "maxConcurrency": "20%",
    "maxErrors": 2,
    "locationMaxConcurrency": 4,
    "locationMaxErrors": "50%",
    "executionRoleName": "AWS-SystemsManager-AutomationExecutionRole",
}

# The blog's walk-through as its command line: aws ssm start-automation-execution
#   --document-name Automation-RunPatchBaseline --target-parameter-name InstanceId
#   --targets Key=ResourceGroup,Values=Windows-Servers --max-concurrency 20% --max-errors 2
#   --parameters "AutomationAssumeRole=…,Operation=Install,SnapshotId=…,InstallOverrideList=…"
#   --target-locations "Accounts=…,Regions=…,ExecutionRoleName=…,TargetLocationMaxConcurrency=4,TargetLocationMaxErrors=50%"
COMMAND_LINE: dict[str, Any] = {
    "DocumentName": "Automation-RunPatchBaseline",
    "TargetParameterName": "InstanceId",
    "Targets": [{"Key": "ResourceGroup", "Values": ["Windows-Servers"]}],
    "MaxConcurrency": "20%",
    "MaxErrors": "2",
    "TargetLocations": [
        {
            "Accounts": list(ACCOUNTS),
            "Regions": ["us-east-1", "us-west-2"],
            "ExecutionRoleName": "AWS-SystemsManager-AutomationExecutionRole",
            "TargetLocationMaxConcurrency": "4",
            "TargetLocationMaxErrors": "50%",
        }
    ],
}
COMMAND_LINE_PARAMETERS = {
    "AutomationAssumeRole": [HUB.administration_role],
    "Operation": ["Install"],
    "SnapshotId": ["6a6b1c3e-5d6f-4a2b-9c3d-1e2f3a4b5c6d"],
    "InstallOverrideList": ["s3://patch-lists/windows.yaml"],
}


def check(request: dict[str, Any]) -> None:
    """Against AWS's model with the maxima, patterns and enums that botocore leaves unchecked, and against botocore itself."""
    shape = service_model("ssm").operation_model("StartAutomationExecution").input_shape
    assert shape
    wrong: list[str] = []
    Checker(lenient=False).of(shape)(request, "", wrong)
    assert not wrong
    assert not ParamValidator().validate(request, shape).has_errors()


def a_run(parameters: tuple[str, ...] = BLOG) -> Run:
    return replace(fresh_run("windows-monthly", AT, AT), runbook=RunbookFacts("2", "hash", parameters))


def planned(
    item: dict[str, Any], sites: tuple[Site, ...], run: Run | None = None, hub: Hub = HUB
) -> tuple[Execution, ...]:
    campaign, run = read(item).valid(), run or a_run()
    return plan(Work(campaign, run, campaign.waves[0], hub, run.window.last_start), sites)


def requests(item: dict[str, Any], locations: tuple[Location, ...] | None = None, run: Run | None = None) -> list[Any]:
    found = grid(ACCOUNTS, read(item).valid().regions) if locations is None else locations
    executions = planned(item, tuple(Site(location, 2) for location in found), run)
    return [json.loads(execution.request) for execution in executions]


def test_the_blogs_example_is_sent_as_its_command_line_names_it() -> None:
    (request,) = requests(ITEM)
    assert {name: request[name] for name in COMMAND_LINE} == COMMAND_LINE
    assert request["Parameters"].items() >= COMMAND_LINE_PARAMETERS.items()


def test_the_blogs_example_passes_awss_model_and_its_limits() -> None:
    (request,) = requests(ITEM)
    check(request)


def test_the_fence_goes_to_every_runbook_that_takes_it() -> None:
    (request,) = requests(ITEM)
    assert request["Parameters"]["NotAfter"] == ["2026-12-13T01:00:00Z"]


def test_a_runbook_is_sent_only_the_parameters_it_declares() -> None:
    (request,) = requests(ITEM, run=a_run(("Operation",)))
    assert request["Parameters"] == {"Operation": ["Install"]}


def test_a_custom_runbook_gets_what_its_author_wrote() -> None:
    item = ITEM | {"runbook": "My-Runbook", "targetParameterName": "Node", "runbookParameters": {"Note": ["x"]}}
    (request,) = requests(item, run=a_run(("Operation", "Note")))
    assert request["TargetParameterName"] == "Node"
    assert request["Parameters"] == {"Operation": ["Install"], "Note": ["x"]}


def test_the_fleet_runbook_reaches_its_targets_through_run_command() -> None:
    item = ITEM | {"runbook": "Patchtide-PatchFleet", "targets": ["tag:PatchGroup=web", "ResourceGroup=web"]}
    (request,) = requests(item, run=a_run((*BLOG, "Targets", "MaxConcurrency", "MaxErrors")))
    assert "Targets" not in request
    assert [json.loads(target) for target in request["Parameters"]["Targets"]] == [
        {"Key": "tag:PatchGroup", "Values": ["web"]},
        {"Key": "resource-groups:Name", "Values": ["web"]},
    ]
    assert request["Parameters"]["MaxConcurrency"] == ["20%"]
    check(request)


def test_no_parameter_value_is_ever_empty() -> None:
    item = {name: value for name, value in ITEM.items() if name not in ("installOverrideList", "snapshotId")}
    (request,) = requests(item)
    assert all(value for values in request["Parameters"].values() for value in values)


def test_the_same_run_renders_the_same_bytes_and_token() -> None:
    assert requests(ITEM) == requests(ITEM)
    assert requests(ITEM)[0]["ClientToken"] == requests(ITEM)[0]["ClientToken"].lower()


def test_a_location_left_out_does_not_come_back_through_a_product() -> None:
    left_out = Location("444455556666", "us-west-2")
    locations = tuple(where for where in grid(ACCOUNTS, ["us-east-1", "us-west-2"]) if where != left_out)
    item = ITEM | {"locationMaxConcurrency": "100%"}
    (request,) = requests(item, locations)
    assert sorted(locations_of(request)) == sorted(locations)


@pytest.mark.parametrize("accounts", [1, 50, 51, 501, 1203])
def test_any_number_of_accounts_is_covered_exactly_once_within_awss_limits(accounts: int) -> None:
    locations = grid([f"{number:012d}" for number in range(accounts)], ["eu-west-1", "eu-west-2"])
    sent = requests(ITEM | {"locationMaxConcurrency": "100%"}, locations)
    covered = [where for request in sent for where in locations_of(request)]
    assert sorted(covered) == sorted(locations)
    for request in sent:
        check(request)


def test_a_count_limits_all_executions_together() -> None:
    locations = (*grid(ACCOUNTS, ["us-east-1"]), Location("111122223333", "us-west-2"))
    executions = planned(ITEM, tuple(Site(location, 2) for location in locations))
    assert sorted((execution.share, execution.locations) for execution in executions) == [(1, 1), (2, 2)]
    assert {execution.limit for execution in executions} == {4}


def test_rectangles_cover_each_location_once() -> None:
    locations = [Location("1" * 12, "a"), Location("1" * 12, "b"), Location("2" * 12, "b")]
    assert rectangles(locations, 50) == ((("1" * 12,), ("a", "b")), (("2" * 12,), ("b",)))


IDS = tuple(f"{'m' * (number % 2)}i-{number:017x}" for number in range(130))
WHERE = Location("111122223333", "us-east-1")
FLEET = ITEM | {"runbook": "Patchtide-PatchFleet", "locationMaxConcurrency": "100%"}


@pytest.mark.parametrize(("item", "most"), [(FLEET, 19), (ITEM, 50)], ids=["fleet", "instance"])
def test_instances_that_are_named_are_each_in_exactly_one_request_within_awss_limits(
    item: dict[str, Any], most: int
) -> None:
    run = a_run((*BLOG, "Targets", "MaxConcurrency", "MaxErrors"))
    executions = planned(item, (Site(WHERE, len(IDS), IDS),), run)
    named: list[str] = []
    for execution in executions:
        request = json.loads(execution.request)
        check(request)
        targets = request.get("Targets") or [json.loads(text) for text in request["Parameters"]["Targets"]]
        assert len(targets) == 1
        assert len(targets[0]["Values"]) <= most
        named += targets[0]["Values"]
    assert sorted(named) == sorted(IDS)
    assert [(one.part, one.parts) for one in executions] == [
        (number, len(executions)) for number in range(1, len(executions) + 1)
    ]


def test_where_the_limit_of_instances_is_a_count_a_locations_parts_take_turns() -> None:
    run = a_run((*BLOG, "Targets"))
    turns = {
        limit: {one.in_turn for one in planned(FLEET | {"maxConcurrency": limit}, (Site(WHERE, 130, IDS),), run)}
        for limit in (5, "10%")
    }
    assert turns == {5: {True}, "10%": {False}}


@pytest.mark.parametrize("cap", [1, 7, 40, 1000])
def test_no_execution_has_more_instances_than_may_be_in_flight(cap: int) -> None:
    sites = tuple(
        Site(where, size, IDS[:size] if size > cap else ())
        for where, size in zip(grid(ACCOUNTS, ["us-east-1", "us-west-2"]), (3, 60, 40, 1), strict=True)
    )
    hub = replace(HUB, max_in_flight=cap)
    executions = planned(FLEET, sites, a_run((*BLOG, "Targets")), hub)
    assert max(one.instances for one in executions) <= cap
    assert sum(one.instances for one in executions) == 104


def test_the_digest_is_of_what_is_done_and_of_whom() -> None:
    def digest(item: dict[str, Any], roster: str) -> str:
        sites = (Site(WHERE, 2, roster=roster),)
        return digest_of(planned(item, sites), sites)

    assert digest(ITEM, "a") == digest(ITEM, "a")
    assert digest(ITEM, "a") != digest(ITEM, "b")
    assert digest(ITEM, "a") != digest(ITEM | {"maxErrors": 3}, "a")


def test_planning_compares_no_site_with_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty thousand locations compared with each other take a function's whole life."""

    def compared(_: object, __: object) -> bool:
        raise AssertionError("two sites were compared")

    monkeypatch.setattr(Site, "__eq__", compared)
    places = [Location(f"{account:012}", region) for account in range(300) for region in ("eu-west-1", "eu-west-2")]
    named = [Site(place, 1, ("i-0123456789abcdef0",), "r") for place in places[:5]]
    sites = (*named, *(Site(place, 3, roster="r") for place in places[5:]))
    executions = planned(ITEM | {"locationMaxConcurrency": "100%"}, sites)
    assert sum(execution.locations for execution in executions) == len(places)
