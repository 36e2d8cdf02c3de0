"""What becomes of a node, as every reader sees it: the patch state, the command's invocation, and the world's own truth."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.fleet import Behaviour, Ping
from tests.simulator.scene import ALPHA, RUN, SNAPSHOT, START, Scene


def state_of(scene: Scene, id_: str) -> dict[str, Any]:
    found = scene.client("ssm", ALPHA).describe_instance_patch_states(InstanceIds=[id_])["InstancePatchStates"]
    return found[0] if found else {}


def invocation_of(scene: Scene, id_: str) -> dict[str, Any]:
    found = scene.client("ssm", ALPHA).list_command_invocations(InstanceId=id_, Details=True)["CommandInvocations"]
    return found[0] if found else {}


def patched(scene: Scene, behaviour: Behaviour, **more: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The state, the invocation and the truth of a node of this kind, some time after it was patched."""
    parameters = more.pop("parameters", {})
    (node,) = scene.add(behaviour, **more)
    scene.play(parameters=parameters)
    scene.wait(minutes=6)
    return state_of(scene, node.id), invocation_of(scene, node.id), scene.world.ground_truth(RUN, [node.id])[node.id]


def ours(invocation: dict[str, Any]) -> dict[str, Any]:
    """The step that is not for another platform."""
    plugins = invocation["CommandPlugins"]
    (found,) = [plugin for plugin in plugins if "unsupported platform" not in plugin["Output"]]
    step: dict[str, Any] = found
    return step


def pings(scene: Scene) -> dict[str, str]:
    known = scene.client("ssm", ALPHA).describe_instance_information()["InstanceInformationList"]
    return {one["InstanceId"]: one["PingStatus"] for one in known}


def states(scene: Scene, *ids: str) -> list[str]:
    """How EC2 has the instances, or all there are."""
    found = scene.client("ec2", ALPHA).describe_instances(InstanceIds=list(ids))["Reservations"]
    return [one["State"]["Name"] for reservation in found for one in reservation["Instances"]]


def test_a_healthy_node_ends_compliant_with_evidence_of_the_run(scene: Scene) -> None:
    state, invocation, truth = patched(scene, Behaviour.HEALTHY)
    assert (state["Operation"], state["SnapshotId"]) == ("Install", SNAPSHOT)
    assert state["OperationEndTime"] > START
    assert (state["MissingCount"], state["FailedCount"], state["InstalledCount"]) == (0, 0, 124)
    assert (invocation["Status"], invocation["Comment"]) == ("Success", f"patchtide {RUN}")
    assert truth == "compliant"


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        (Behaviour.DISK_FULL, 155, "No space left on device"),
        (Behaviour.REPO_DOWN, 156, "Unable to download payload"),
        (Behaviour.PKG_LOCK, 1, "holding the yum lock"),
        (Behaviour.NOEXEC, 126, "/_script.sh: Permission denied"),
        (Behaviour.NO_PYTHON, 1, "Apt requires Python3 to be installed."),
        (Behaviour.REPO_METADATA, 1, "[Errno 256] No more mirrors to try."),
        (Behaviour.WINDOWS_UPDATE, 4294967295, "HRESULT: 0x80248007"),
        (Behaviour.WSUS_UNREACHABLE, 4294967295, "HRESULT: 0x8024402C"),
        (Behaviour.OUT_OF_MEMORY, 137, "Killed"),
        (Behaviour.NO_PERMISSION, 1, "not authorized to perform: ssm:GetDeployablePatchSnapshotForInstance"),
    ],
)
def test_a_broken_node_fails_with_its_exit_code_and_leaves_no_patch_state(
    scene: Scene, behaviour: Behaviour, code: int, words: str
) -> None:
    state, invocation, truth = patched(scene, behaviour)
    assert state == {}
    assert (invocation["Status"], invocation["StatusDetails"], ours(invocation)["ResponseCode"]) == (
        "Failed",
        "Failed",
        code,
    )
    assert words in ours(invocation)["Output"]
    assert truth == "failed"


@pytest.mark.parametrize(
    ("behaviour", "name", "version"),
    [
        (Behaviour.HEALTHY, "Amazon Linux", "2023"),
        (Behaviour.NO_PYTHON, "Debian GNU/Linux", "12"),
        (Behaviour.WINDOWS_UPDATE, "Microsoft Windows Server 2022 Datacenter", "10.0.20348"),
    ],
)
def test_a_node_has_the_platform_that_its_trouble_is_of(
    scene: Scene, behaviour: Behaviour, name: str, version: str
) -> None:
    scene.add(behaviour)
    (known,) = scene.client("ssm", ALPHA).describe_instance_information()["InstanceInformationList"]
    assert (known["PlatformName"], known["PlatformVersion"]) == (name, version)
    assert known["PlatformType"] == ("Windows" if "Windows" in name else "Linux")
    assert known["AgentVersion"]


def test_a_conflict_fails_every_patch_of_the_transaction_and_nothing_reboots(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.PKG_CONFLICT)
    id_, seen = scene.start(), set()
    while not scene.world.automation.get("999900001111", "eu-west-1", id_).over:
        scene.wait(seconds=30)
        seen.add(pings(scene)[node.id])
    scene.wait(minutes=1)
    state, step = state_of(scene, node.id), ours(invocation_of(scene, node.id))
    assert (state["FailedCount"], state["MissingCount"], state["InstalledPendingRebootCount"]) == (4, 0, 0)
    assert (node.missing, seen, step["ResponseCode"]) == (4, {"Online"}, 1)
    assert "conflicts with mod_http2" in step["Output"]
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "failed"}


def test_a_slow_install_ends_at_the_documents_own_timeout_with_its_agent_there_all_the_time(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.SLOW)
    id_ = scene.start()
    scene.wait(minutes=119)
    assert (invocation_of(scene, node.id)["Status"], pings(scene)[node.id]) == ("InProgress", "Online")
    scene.finish(id_)
    invocation = invocation_of(scene, node.id)
    assert (invocation["Status"], invocation["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    assert ours(invocation)["ResponseCode"] == -1
    assert state_of(scene, node.id) == {}
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "failed"}


def test_an_instance_that_is_terminated_under_its_patches_is_gone_an_hour_later(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.TERMINATED)
    client = scene.client("ssm", ALPHA)
    id_ = scene.start()
    assert (states(scene), pings(scene)) == (["running"], {node.id: "Online"})
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "notStarted"}
    scene.wait(minutes=20)
    assert (states(scene, node.id), pings(scene)) == (["terminated"], {})
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        client.describe_instance_patches(InstanceId=node.id)
    scene.wait(minutes=60)
    assert states(scene) == []
    assert invocation_of(scene, node.id)["Status"] == "InProgress"
    scene.finish(id_)
    assert invocation_of(scene, node.id)["StatusDetails"] == "ExecutionTimedOut"
    assert state_of(scene, node.id) == {}
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "gone"}


def test_an_instance_that_goes_after_it_was_patched_leaves_its_evidence(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    scene.play()
    scene.wait(minutes=1)
    scene.world.set_state(node, "terminated")
    assert state_of(scene, node.id)["SnapshotId"] == SNAPSHOT
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "compliant"}


def test_an_instance_that_is_stopped_under_its_patches_is_not_heard_of_again(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    scene.world.clock.at(START + timedelta(minutes=5), lambda: scene.world.set_state(node, "stopped"))
    scene.play()
    assert scene.world.clock.now - START > timedelta(hours=2)
    assert invocation_of(scene, node.id)["StatusDetails"] == "ExecutionTimedOut"
    assert (states(scene), pings(scene)) == (["stopped"], {node.id: "ConnectionLost"})
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "failed"}
    scene.world.set_state(node, "running")
    scene.play()
    assert invocation_of(scene, node.id)["Status"] == "Success"


def test_an_instance_that_is_stopped_from_the_start_is_out_of_reach(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    node.state = "stopped"
    assert (states(scene), pings(scene)) == (["stopped"], {node.id: "ConnectionLost"})
    scene.play()
    invocation = invocation_of(scene, node.id)
    assert (invocation["Status"], invocation["StatusDetails"]) == ("Failed", "Undeliverable")
    assert (invocation["CommandPlugins"], scene.world.effects) == ([], [])
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "unreachable"}


def test_an_instance_may_come_later_and_is_none_of_what_was_there_before(scene: Scene) -> None:
    (first,) = scene.add(Behaviour.HEALTHY)
    scene.world.clock.at(START + timedelta(minutes=2), lambda: scene.add(Behaviour.HEALTHY))
    scene.play()
    early, late = scene.client("ssm", ALPHA).describe_instance_information()["InstanceInformationList"]
    assert early["InstanceId"] == first.id != late["InstanceId"]
    assert [delivery.node for delivery in scene.world.effects] == [first.id]


def test_a_failed_patch_is_counted_in_the_state(scene: Scene) -> None:
    state, invocation, truth = patched(scene, Behaviour.PATCH_FAILS)
    assert (state["FailedCount"], state["SecurityNonCompliantCount"]) == (1, 1)
    assert (invocation["StatusDetails"], truth) == ("Failed", "failed")


def test_an_agent_lost_in_the_reboot_leaves_the_command_in_progress_for_two_hours(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.AGENT_LOST_AFTER_REBOOT)
    scene.start()
    scene.wait(minutes=90)
    assert invocation_of(scene, node.id)["Status"] == "InProgress"
    assert node.ping is Ping.LOST
    scene.wait(minutes=40)
    assert invocation_of(scene, node.id)["StatusDetails"] == "ExecutionTimedOut"
    assert state_of(scene, node.id) == {}
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "failed"}


def test_an_offline_agent_gets_nothing_until_delivery_closes(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.AGENT_OFFLINE)
    id_ = scene.start()
    scene.wait(hours=3, minutes=50)
    assert invocation_of(scene, node.id)["Status"] == "Delayed"
    scene.finish(id_)
    invocation = invocation_of(scene, node.id)
    assert (invocation["Status"], invocation["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    assert invocation["CommandPlugins"] == []
    assert scene.world.effects == []
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "unreachable"}


def test_an_agent_that_comes_back_in_time_gets_its_command(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.AGENT_OFFLINE)
    scene.start()
    scene.wait(hours=1)
    scene.world.set_ping(node, Ping.ONLINE)
    assert [delivery.node for delivery in scene.world.effects] == [node.id]


def test_a_node_that_ssm_does_not_know_is_no_target(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.NOT_MANAGED)
    scene.add(Behaviour.HEALTHY)
    scene.play()
    assert invocation_of(scene, node.id) == {}
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "unreachable"}


def test_a_false_failure_is_compliant_all_the_same(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.FALSE_FAILURE, platform="Windows")
    scene.play()
    scene.wait(minutes=1)
    state, invocation = state_of(scene, node.id), invocation_of(scene, node.id)
    windows = invocation["CommandPlugins"][0]
    assert (windows["Name"], windows["ResponseCode"], invocation["Status"]) == ("PatchWindows", 1, "Failed")
    assert (state["MissingCount"], state["FailedCount"]) == (0, 0)
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "compliant"}


def test_a_reboot_that_is_still_owed_counts_against_the_node(scene: Scene) -> None:
    state, invocation, truth = patched(scene, Behaviour.PENDING_REBOOT)
    assert (state["InstalledPendingRebootCount"], state["OtherNonCompliantCount"]) == (4, 4)
    assert (invocation["Status"], truth) == ("Success", "pendingReboot")


def test_without_a_reboot_every_node_owes_one(scene: Scene) -> None:
    state, _, truth = patched(scene, Behaviour.HEALTHY, parameters={"RebootOption": ["NoReboot"]})
    assert (state["InstalledPendingRebootCount"], state["RebootOption"]) == (4, "NoReboot")
    assert truth == "pendingReboot"


def test_rejected_patches_make_a_node_non_compliant(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    node.rejected = 2
    scene.play()
    scene.wait(minutes=1)
    assert state_of(scene, node.id)["InstalledRejectedCount"] == 2
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "nonCompliant"}


def test_a_foreign_scan_overwrites_the_evidence(scene: Scene) -> None:
    state, invocation, truth = patched(scene, Behaviour.OVERWRITTEN)
    assert state["Operation"] == "Scan"
    assert state["SnapshotId"] != SNAPSHOT
    assert (invocation["Status"], truth) == ("Success", "unverified")


def test_the_foreign_scan_is_somebodys_command(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.OVERWRITTEN)
    scene.play()
    scene.wait(minutes=2)
    client = scene.client("ssm", ALPHA)
    named = client.list_compliance_items(ResourceIds=[node.id], MaxResults=1)["ComplianceItems"][0]["ExecutionSummary"]
    (command,) = client.list_commands(CommandId=named["ExecutionId"])["Commands"]
    assert (command["DocumentName"], command["Comment"]) == ("AWS-RunPatchBaseline", "nightly compliance scan")
    assert (command["Parameters"]["Operation"], command["Status"]) == (["Scan"], "Success")
    assert named["ExecutionTime"] == command["RequestedDateTime"] > START
    theirs, ours_ = client.list_command_invocations(InstanceId=node.id)["CommandInvocations"]
    assert (theirs["CommandId"], ours_["Comment"]) == (command["CommandId"], f"patchtide {RUN}")
    assert [delivery.command for delivery in scene.world.effects] == [ours_["CommandId"]]


def test_a_scan_that_could_not_run_writes_sentinels(scene: Scene) -> None:
    state, _, truth = patched(scene, Behaviour.SENTINEL)
    assert (state["MissingCount"], state["OperationEndTime"].year) == (-1, 1970)
    assert truth == "unverified"


def test_slow_evidence_shows_four_minutes_later(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.SLOW_EVIDENCE)
    scene.play()
    scene.wait(minutes=3)
    assert state_of(scene, node.id) == {}
    scene.wait(minutes=2)
    assert state_of(scene, node.id)["SnapshotId"] == SNAPSHOT
    assert scene.world.ground_truth(RUN, [node.id]) == {node.id: "compliant"}


def test_a_scan_changes_nothing_and_reports_what_is_missing(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    scene.play(parameters={"Operation": ["Scan"]})
    scene.wait(minutes=1)
    state = state_of(scene, node.id)
    assert (state["Operation"], state["MissingCount"], node.missing) == ("Scan", 4, 4)
    assert node.ping is Ping.ONLINE
    assert scene.world.installs_delivered == 0


def test_a_node_is_away_while_it_reboots(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    id_ = scene.start()
    pings = set()
    while not scene.world.automation.get("999900001111", "eu-west-1", id_).over:
        scene.wait(seconds=30)
        (known,) = scene.client("ssm", ALPHA).describe_instance_information()["InstanceInformationList"]
        pings.add(known["PingStatus"])
    assert pings == {"Online", "ConnectionLost"}
    assert node.ping is Ping.ONLINE


def test_two_patch_commands_at_once_trip_over_each_other(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    scene.start()
    second = scene.start(Tags=[{"Key": "patchtide:run", "Value": "another"}])
    scene.finish(second)
    codes = [
        one.exit_code
        for one in (command.invocations[node.id] for command in scene.world.commands.at(ALPHA, "eu-west-1"))
    ]
    assert set(codes) & {152, 155}
    assert sorted(scene.world.ground_truth(run, [node.id])[node.id] for run in (RUN, "another")) == [
        "compliant",
        "failed",
    ]
