from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.fleet import Behaviour, Ping
from tests.simulator.scene import ALPHA, IRELAND, Scene

WEB = [{"Key": "tag:PatchGroup", "Values": ["web"]}]


def send(scene: Scene, **changes: Any) -> str:
    request = {
        "DocumentName": "AWS-RunPatchBaseline",
        "Targets": WEB,
        "Parameters": {"Operation": ["Install"]},
        "MaxErrors": "100%",
    } | changes
    sent = scene.client("ssm", ALPHA).send_command(
        **{name: value for name, value in request.items() if value is not None}
    )
    id_: str = sent["Command"]["CommandId"]
    return id_


def finish(scene: Scene, id_: str) -> dict[str, Any]:
    command = scene.world.commands.get(ALPHA, IRELAND, id_)
    while not command.over:
        due = scene.world.clock.next_at()
        assert due is not None
        scene.move_to(due)
    (found,) = scene.client("ssm", ALPHA).list_commands(CommandId=id_)["Commands"]
    listed: dict[str, Any] = found
    return listed


def details(scene: Scene, id_: str) -> list[str]:
    pages = scene.client("ssm", ALPHA).get_paginator("list_command_invocations").paginate(CommandId=id_)
    return [one["StatusDetails"] for page in pages for one in page["CommandInvocations"]]


def test_a_command_stops_at_one_error_more_than_allowed_and_the_rest_is_terminated(scene: Scene) -> None:
    scene.add(*[Behaviour.DISK_FULL] * 6)
    id_ = send(scene, MaxConcurrency="1", MaxErrors="2")
    command = finish(scene, id_)
    assert (command["Status"], command["StatusDetails"], command["ErrorCount"]) == ("Failed", "Failed", 3)
    assert details(scene, id_) == ["Failed"] * 3 + ["Terminated"] * 3
    assert len(scene.world.effects) == 3


def test_with_no_errors_allowed_one_is_too_many(scene: Scene) -> None:
    scene.add(Behaviour.DISK_FULL, Behaviour.HEALTHY)
    id_ = send(scene, MaxConcurrency="1", MaxErrors=None)
    assert finish(scene, id_)["Status"] == "Failed"
    assert details(scene, id_) == ["Failed", "Terminated"]


def test_what_already_runs_may_end_after_the_limit_was_passed(scene: Scene) -> None:
    scene.add(Behaviour.DISK_FULL, Behaviour.HEALTHY)
    id_ = send(scene, MaxConcurrency="2", MaxErrors="0")
    assert finish(scene, id_)["Status"] == "Failed"
    assert details(scene, id_) == ["Failed", "Success"]


@pytest.mark.parametrize("status", ["Failed", "Success"])
def test_errors_within_the_limit_leave_a_command_incomplete(scene_with: Callable[..., Scene], status: str) -> None:
    scene = scene_with(incomplete_command=status)
    scene.add(Behaviour.DISK_FULL, *[Behaviour.HEALTHY] * 3)
    command = finish(scene, send(scene))
    assert (command["Status"], command["StatusDetails"]) == (status, "Incomplete")


def test_four_undeliverable_and_one_success_are_a_success(scene: Scene) -> None:
    nodes = scene.add(*[Behaviour.HEALTHY] * 5)
    for node in nodes[1:]:
        node.state = "stopped"
        node.ping = Ping.LOST
    id_ = send(scene, MaxErrors="0")
    command = finish(scene, id_)
    assert (command["Status"], command["ErrorCount"]) == ("Success", 0)
    assert sorted(details(scene, id_)) == ["Success", *["Undeliverable"] * 4]


def test_nobody_reached_at_all_is_no_success(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    node.state = "stopped"
    assert finish(scene, send(scene))["Status"] == "Failed"
    node.state, node.ping = "running", Ping.LOST
    late = finish(scene, send(scene))
    assert (late["Status"], late["StatusDetails"], late["DeliveryTimedOutCount"]) == ("TimedOut", "DeliveryTimedOut", 1)


def test_what_waits_for_its_turn_past_the_delivery_timeout_is_not_delivered(scene: Scene) -> None:
    scene.add(*[Behaviour.HEALTHY] * 20)
    id_ = send(scene, MaxConcurrency="1", TimeoutSeconds=1800)
    finish(scene, id_)
    assert set(details(scene, id_)) == {"Success", "DeliveryTimedOut"}
    assert all((delivery.at - scene.world.effects[0].at).total_seconds() < 1800 for delivery in scene.world.effects)


def test_concurrency_in_percent_is_rounded_up(scene: Scene) -> None:
    scene.add(*[Behaviour.HEALTHY] * 11)
    send(scene, MaxConcurrency="10%")
    scene.wait(minutes=1)
    assert len(scene.world.effects) == 2


@pytest.mark.parametrize("outcome", ["Success", "Failed"])
def test_a_command_without_a_target_ends_either_way(scene_with: Callable[..., Scene], outcome: str) -> None:
    scene = scene_with(zero_targets=outcome)
    command = finish(scene, send(scene))
    assert (command["Status"], command["StatusDetails"], command["TargetCount"]) == (outcome, "NoInstancesInTag", 0)


def test_several_targets_are_met_all_together(scene: Scene) -> None:
    front, _ = scene.add(Behaviour.HEALTHY, Behaviour.HEALTHY)
    front.tags["Tier"] = "front"
    send(scene, Targets=[*WEB, {"Key": "tag:Tier", "Values": ["front", "edge"]}])
    scene.wait(minutes=1)
    assert [delivery.node for delivery in scene.world.effects] == [front.id]


def test_a_resource_group_goes_by_run_commands_own_key(scene: Scene) -> None:
    front, _ = scene.add(Behaviour.HEALTHY, Behaviour.HEALTHY)
    front.tags["Tier"] = "front"
    organization = scene.world.organization
    organization.add_group(organization.accounts[ALPHA], IRELAND, "fronts", {"Tier": ["front"]})
    send(scene, Targets=[{"Key": "resource-groups:Name", "Values": ["fronts"]}])
    scene.wait(minutes=1)
    assert [delivery.node for delivery in scene.world.effects] == [front.id]
    with pytest.raises(ClientError, match="not a target key"):
        send(scene, Targets=[{"Key": "ResourceGroup", "Values": ["fronts"]}])


def test_ids_have_to_be_known_and_said_once(scene: Scene) -> None:
    known, unknown = scene.add(Behaviour.HEALTHY, Behaviour.NOT_MANAGED)
    for ids, code in (([unknown.id], "InvalidInstanceId"), ([known.id, known.id], "DuplicateInstanceId")):
        with pytest.raises(ClientError) as error:
            send(scene, Targets=None, InstanceIds=ids)
        assert error.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="either InstanceIds or Targets"):
        send(scene, InstanceIds=[known.id])


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"Operation": ["Patch"]},
        {"Operation": ["Install"], "SnapshotId": ["mine"]},
        {"Operation": ["Install"], "InstallOverrideList": ["ftp://list"]},
        {"Operation": ["Install"], "RebootOption": ["Never"]},
        {"Operation": ["Install"], "Colour": ["red"]},
    ],
)
def test_the_documents_parameters_are_checked(scene: Scene, parameters: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        send(scene, Parameters=parameters)
    assert error.value.response["Error"]["Code"] == "InvalidParameters"


def test_empty_parameters_are_as_good_as_none(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    parameters = {"Operation": ["Install"], "SnapshotId": [""], "InstallOverrideList": [""]}
    assert finish(scene, send(scene, Parameters=parameters))["Status"] == "Success"
    scene.wait(minutes=1)
    assert node.patch_state is not None
    assert len(node.patch_state.snapshot_id) == 36, "every node gets a snapshot of its own then"


def test_a_step_for_another_platform_is_skipped_and_succeeds(scene: Scene) -> None:
    scene.add(Behaviour.DISK_FULL)
    id_ = send(scene)
    finish(scene, id_)
    (found,) = scene.client("ssm", ALPHA).list_command_invocations(CommandId=id_, Details=True)["CommandInvocations"]
    windows, linux = found["CommandPlugins"]
    assert (windows["Status"], windows["ResponseCode"], "skipped" in windows["Output"]) == ("Success", 0, True)
    assert (linux["Status"], linux["ResponseCode"]) == ("Failed", 155)


def test_one_nodes_output_can_be_asked_for(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.REPO_DOWN)
    id_ = send(scene, Comment="by hand")
    finish(scene, id_)
    client = scene.client("ssm", ALPHA)
    found = client.get_command_invocation(CommandId=id_, InstanceId=node.id)
    assert (found["ResponseCode"], found["Comment"]) == (156, "by hand")
    assert "Unable to download payload" in found["StandardErrorContent"]
    with pytest.raises(ClientError, match="InvocationDoesNotExist"):
        client.get_command_invocation(CommandId=id_, InstanceId="i-0123456789abcdef0")


def test_invocations_are_found_by_time_and_in_pages(scene: Scene) -> None:
    scene.add(*[Behaviour.HEALTHY] * 3)
    finish(scene, send(scene))
    later = scene.world.clock.now
    second = send(scene)
    client = scene.client("ssm", ALPHA)
    filters = [{"key": "InvokedAfter", "value": f"{later:%Y-%m-%dT%H:%M:%SZ}"}]
    pages = list(
        client.get_paginator("list_command_invocations").paginate(PaginationConfig={"PageSize": 2}, Filters=filters)
    )
    assert [len(page["CommandInvocations"]) for page in pages] == [2, 1]
    assert {one["CommandId"] for page in pages for one in page["CommandInvocations"]} == {second}


def test_cancelling_stops_what_was_not_delivered_and_nothing_else(scene: Scene) -> None:
    scene.add(*[Behaviour.HEALTHY] * 3)
    id_ = send(scene, MaxConcurrency="1")
    scene.wait(minutes=1)
    scene.client("ssm", ALPHA).cancel_command(CommandId=id_)
    assert finish(scene, id_)["Status"] == "Cancelled"
    assert details(scene, id_) == ["Success", "Cancelled", "Cancelled"]


def test_scripts_run_and_touch_no_patch(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.DISK_FULL)
    id_ = send(scene, DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]})
    assert finish(scene, id_)["Status"] == "Success"
    assert (scene.world.effects, node.missing) == ([], 4)
