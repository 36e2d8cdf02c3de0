"""What becomes of a node, as every reader sees it: the patch state, the command's invocation, and the world's own truth."""

from __future__ import annotations

from typing import Any

import pytest

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


def exit_code(invocation: dict[str, Any]) -> int:
    """The exit code of the step that is not for another platform."""
    code: int = invocation["CommandPlugins"][1]["ResponseCode"]
    return code


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
    ],
)
def test_a_broken_node_fails_with_its_exit_code_and_leaves_no_patch_state(
    scene: Scene, behaviour: Behaviour, code: int, words: str
) -> None:
    state, invocation, truth = patched(scene, behaviour)
    assert state == {}
    assert (invocation["Status"], exit_code(invocation)) == ("Failed", code)
    assert words in invocation["CommandPlugins"][1]["Output"]
    assert truth == "failed"


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
