"""Parents, children and grandchildren: how an execution spreads over locations and targets, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.automation import Rollout
from simulator.fleet import EXECUTION_ROLE, Behaviour
from tests.simulator.scene import ALPHA, BETA, FLEET, HUB, IRELAND, LONDON, ROLE, RUN, TOKEN, Scene


def places(execution: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Account, Region and status of each step."""
    return [
        (step["TargetLocation"]["Accounts"][0], step["TargetLocation"]["Regions"][0], step["StepStatus"])
        for step in execution["StepExecutions"]
    ]


# --- locations ----------------------------------------------------------------------------------------------------------


def test_a_child_runs_in_every_location_and_the_hub_sees_only_its_id(scene: Scene) -> None:
    scene.add(Behaviour.HEALTHY)
    seen = scene.play(TargetLocations=scene.locations(ALPHA, BETA, Regions=[IRELAND, LONDON]))
    assert seen["AutomationExecutionStatus"] == "Success"
    assert {place[:2] for place in places(seen)} == {(a, r) for a in (ALPHA, BETA) for r in (IRELAND, LONDON)}
    assert seen["ProgressCounters"] == {
        "TotalSteps": 4,
        "SuccessSteps": 4,
        "FailedSteps": 0,
        "CancelledSteps": 0,
        "TimedOutSteps": 0,
    }
    child = scene.child(seen)
    with pytest.raises(ClientError, match="AutomationExecutionNotFoundException"):
        scene.look(child)
    there = scene.look(child, ALPHA)
    assert (there["AutomationExecutionStatus"], there["ParentAutomationExecutionId"]) == (
        "Success",
        seen["AutomationExecutionId"],
    )
    assert there["Parameters"]["AutomationAssumeRole"] == [f"arn:aws:iam::{ALPHA}:role/{EXECUTION_ROLE}"]


def test_a_child_may_not_say_whose_it_is(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(child_names_parent=False)
    assert "ParentAutomationExecutionId" not in scene.look(scene.child(scene.play()), ALPHA)


def test_the_list_tells_parents_from_children_and_no_details(scene: Scene) -> None:
    scene.play()
    (parent,) = scene.ssm.describe_automation_executions()["AutomationExecutionMetadataList"]
    (child,) = scene.client("ssm", ALPHA).describe_automation_executions()["AutomationExecutionMetadataList"]
    assert (parent["AutomationType"], child["AutomationType"]) == ("CrossAccount", "Local")
    assert not {"TargetLocations", "ProgressCounters", "StepExecutions", "Parameters"} & set(parent)


@pytest.mark.parametrize("trust", [None, {}, {EXECUTION_ROLE: ("arn:aws:iam::123456789012:root",)}])
def test_a_role_that_cannot_be_assumed_fails_its_location_and_leaves_no_child(
    scene: Scene, trust: dict[str, Any] | None
) -> None:
    account = scene.world.organization.accounts[ALPHA]
    account.roles = trust or {}
    seen = scene.play(TargetLocations=scene.locations(ALPHA, BETA))
    failed = next(step for step in seen["StepExecutions"] if step["StepStatus"] == "Failed")
    arn = f"arn:aws:iam::{ALPHA}:role/{EXECUTION_ROLE}"
    assert f"The execution role {arn} in the target location is unable to be assumed." in failed["FailureMessage"]
    assert "ExecutionId" not in failed["Outputs"]
    assert seen["AutomationExecutionStatus"] == "Failed"


def test_a_role_may_trust_just_the_administration_role(scene: Scene) -> None:
    scene.world.organization.accounts[ALPHA].roles[EXECUTION_ROLE] = (ROLE,)
    assert scene.play()["AutomationExecutionStatus"] == "Success"


def test_a_runbook_that_is_not_shared_looks_like_a_role_that_cannot_be_assumed(scene: Scene) -> None:
    scene.keep("Hubs", FLEET, HUB, regions=(IRELAND,))
    request: dict[str, Any] = {"DocumentName": "Hubs"}
    seen = scene.play(**request)
    assert "unable to be assumed" in seen["StepExecutions"][0]["FailureMessage"]
    scene.ssm.modify_document_permission(Name="Hubs", PermissionType="Share", AccountIdsToAdd=[ALPHA])
    assert scene.play(**request)["AutomationExecutionStatus"] == "Success"
    elsewhere = scene.play(TargetLocations=scene.locations(Regions=[LONDON]), **request)
    assert "unable to be assumed" in elsewhere["StepExecutions"][0]["FailureMessage"]


def test_a_location_whose_own_runbook_differs_may_refuse_the_parameters(scene: Scene) -> None:
    scene.keep("Odd", FLEET, HUB)
    scene.keep("Odd", FLEET | {"parameters": {**FLEET["parameters"], "Ticket": {"type": "String"}}}, ALPHA)
    seen = scene.play(DocumentName="Odd")
    assert "Parameter Ticket is required" in seen["StepExecutions"][0]["FailureMessage"]


def test_a_region_that_is_not_enabled_fails_its_location(scene: Scene) -> None:
    scene.world.organization.accounts[ALPHA].regions.discard(LONDON)
    seen = scene.play(TargetLocations=scene.locations(Regions=[LONDON]))
    assert "security token included in the request is invalid" in seen["StepExecutions"][0]["FailureMessage"]


def test_without_limits_locations_go_one_by_one_and_the_first_failure_ends_it(scene: Scene) -> None:
    scene.world.organization.accounts[ALPHA].roles.clear()
    entry = {"Accounts": [ALPHA, BETA], "Regions": [IRELAND]}
    seen = scene.play(TargetLocations=[entry])
    assert places(seen) == [(ALPHA, IRELAND, "Failed")]
    assert seen["AutomationExecutionStatus"] == "Failed"


def test_locations_that_were_never_begun_may_be_listed_as_pending(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(unstarted_pairs_listed=True)
    scene.world.organization.accounts[ALPHA].roles.clear()
    seen = scene.play(TargetLocations=[{"Accounts": [ALPHA, BETA], "Regions": [IRELAND]}])
    assert places(seen) == [(ALPHA, IRELAND, "Failed"), (BETA, IRELAND, "Pending")]


def test_failures_within_the_limit_may_be_forgiven(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(forgiven_failures_fail=False)
    scene.world.organization.accounts[ALPHA].roles.clear()
    seen = scene.play(TargetLocations=scene.locations(ALPHA, BETA))
    assert (seen["AutomationExecutionStatus"], seen["ProgressCounters"]["FailedSteps"]) == ("Success", 1)


def test_units_are_their_own_accounts_and_those_below_only_when_asked(scene: Scene) -> None:
    organization = scene.world.organization
    unit = next(unit for unit in organization.units.values() if unit.name == "Production")
    below = organization.add_account("gamma", organization.add_unit("Nested", unit))
    scene.keep("Fleet", FLEET, below.id)

    def accounts(**entry: Any) -> set[str]:
        return {place[0] for place in places(scene.play(TargetLocations=scene.locations(unit.id, **entry)))}

    assert accounts() == {ALPHA, BETA}
    assert accounts(IncludeChildOrganizationUnits=True) == {ALPHA, BETA, below.id}
    assert accounts(IncludeChildOrganizationUnits=True, ExcludeAccounts=[ALPHA, below.unit_id]) == {BETA}
    organization.accounts[BETA].state = "SUSPENDED"
    assert accounts() == {ALPHA}


def test_a_unit_without_accounts_fails_the_execution(scene: Scene) -> None:
    empty = scene.world.organization.add_unit("Empty")
    seen = scene.play(TargetLocations=scene.locations(empty.id))
    assert (seen["AutomationExecutionStatus"], seen["StepExecutions"]) == ("Failed", [])


def test_entries_run_side_by_side_or_in_order(scene_with: Callable[..., Scene]) -> None:
    overlaps = []
    for in_order in (False, True):
        scene = scene_with(entries_in_order=in_order)
        scene.add(Behaviour.HEALTHY)
        scene.add(Behaviour.HEALTHY, account=BETA)
        seen = scene.play(TargetLocations=scene.locations(ALPHA) + scene.locations(BETA))
        first, second = seen["StepExecutions"]
        overlaps.append(second["ExecutionStartTime"] < first["ExecutionEndTime"])
        assert seen["AutomationExecutionStatus"] == "Success"
    assert overlaps == [True, False]


def test_an_entrys_own_targets_win_over_those_of_the_request(scene: Scene) -> None:
    web, db = scene.add(Behaviour.HEALTHY, Behaviour.HEALTHY)
    db.tags["PatchGroup"] = "db"
    entry = scene.locations(Targets=[{"Key": "tag:PatchGroup", "Values": ["db"]}], TargetsMaxErrors="100%")
    scene.finish(scene.start_each(TargetLocations=entry))
    assert [delivery.node for delivery in scene.world.effects] == [db.id]
    assert web.patch_state is None


def test_many_steps_are_truncated_and_have_to_be_paged(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(steps_in_answer=3)
    seen = scene.play(TargetLocations=scene.locations(ALPHA, BETA, Regions=[IRELAND, LONDON]))
    assert (len(seen["StepExecutions"]), seen["StepExecutionsTruncated"]) == (3, True)
    assert seen["ProgressCounters"]["TotalSteps"] == 4
    pages = scene.ssm.get_paginator("describe_automation_step_executions").paginate(
        AutomationExecutionId=seen["AutomationExecutionId"], PaginationConfig={"PageSize": 3}
    )
    found = [step["StepExecutionId"] for page in pages for step in page["StepExecutions"]]
    assert len(set(found)) == 4
    backwards = scene.ssm.describe_automation_step_executions(
        AutomationExecutionId=seen["AutomationExecutionId"], ReverseOrder=True
    )["StepExecutions"]
    assert [step["StepExecutionId"] for step in backwards] == found[::-1]


def test_steps_are_found_by_their_status(scene: Scene) -> None:
    scene.world.organization.accounts[ALPHA].roles.clear()
    seen = scene.play(TargetLocations=scene.locations(ALPHA, BETA))
    failed = scene.ssm.describe_automation_step_executions(
        AutomationExecutionId=seen["AutomationExecutionId"],
        Filters=[{"Key": "StepExecutionStatus", "Values": ["Failed", "TimedOut"]}],
    )["StepExecutions"]
    assert [step["TargetLocation"]["Accounts"] for step in failed] == [[ALPHA]]


# --- targets ------------------------------------------------------------------------------------------------------------


def test_each_target_gets_an_execution_of_its_own(scene: Scene) -> None:
    nodes = scene.add(*[Behaviour.HEALTHY] * 3)
    seen = scene.finish(scene.start_each())
    child = scene.look(scene.child(seen), ALPHA)
    assert sorted(child["ResolvedTargets"]["ParameterValues"]) == sorted(node.id for node in nodes)
    assert {step["StepName"] for step in child["StepExecutions"]} == {node.id for node in nodes}
    grandchild = scene.look(child["StepExecutions"][0]["Outputs"]["ExecutionId"][0], ALPHA)
    assert grandchild["Target"] == child["StepExecutions"][0]["StepName"]
    assert grandchild["ParentAutomationExecutionId"] == child["AutomationExecutionId"]
    assert grandchild["Outputs"] == {"patch.Status": ["Success"]}
    assert scene.world.instances_installed_twice() == {}


def test_targets_ramp_up_by_doubling(scene: Scene) -> None:
    scene.add(*[Behaviour.HEALTHY] * 8)
    seen = scene.finish(scene.start_each(MaxConcurrency="4"))
    steps = scene.look(scene.child(seen), ALPHA)["StepExecutions"]
    starts = [step["ExecutionStartTime"] for step in steps]
    assert starts[1] >= steps[0]["ExecutionEndTime"]
    assert starts[1] == starts[2]
    assert starts[3] >= max(step["ExecutionEndTime"] for step in steps[1:3])
    assert starts[3:7] == [starts[3]] * 4
    assert starts[7] == min(step["ExecutionEndTime"] for step in steps[3:7])


def test_one_failed_target_fails_its_parents_though_it_was_allowed(scene: Scene) -> None:
    scene.add(Behaviour.DISK_FULL, Behaviour.HEALTHY)
    seen = scene.finish(scene.start_each())
    child = scene.look(scene.child(seen), ALPHA)
    assert [child["AutomationExecutionStatus"], seen["AutomationExecutionStatus"]] == ["Failed", "Failed"]
    assert sorted(step["StepStatus"] for step in child["StepExecutions"]) == ["Failed", "Success"]


def test_targets_stop_at_one_error_more_than_allowed(scene: Scene) -> None:
    scene.add(*[Behaviour.DISK_FULL] * 5)
    seen = scene.finish(scene.start_each(MaxConcurrency="1", MaxErrors="1"))
    assert len(scene.look(scene.child(seen), ALPHA)["StepExecutions"]) == 2


@pytest.mark.parametrize("outcome", ["Success", "Failed"])
def test_no_targets_at_all_may_end_either_way(scene_with: Callable[..., Scene], outcome: str) -> None:
    scene = scene_with(zero_targets=outcome)
    seen = scene.finish(scene.start_each())
    assert (seen["AutomationExecutionStatus"], places(seen)[0][2]) == (outcome, outcome)
    assert scene.look(scene.child(seen), ALPHA)["StepExecutions"] == []


def test_a_missing_resource_group_fails_its_location(scene: Scene) -> None:
    web, _ = scene.add(Behaviour.HEALTHY, Behaviour.HEALTHY)
    web.tags["Tier"] = "front"
    target = {"Key": "ResourceGroup", "Values": ["fronts"]}
    seen = scene.finish(scene.start_each(target))
    assert "resource group fronts does not exist" in seen["StepExecutions"][0]["FailureMessage"]
    organization = scene.world.organization
    organization.add_group(organization.accounts[ALPHA], IRELAND, "fronts", {"Tier": ["front"]})
    scene.finish(scene.start_each(target))
    assert [delivery.node for delivery in scene.world.effects] == [web.id]


def test_targets_are_resolved_without_asking_ssm(scene: Scene) -> None:
    scene.add(Behaviour.NOT_MANAGED)
    (gone,) = scene.add(Behaviour.HEALTHY)
    gone.state = "terminated"
    seen = scene.finish(scene.start_each())
    child = scene.look(scene.child(seen), ALPHA)
    assert len(child["ResolvedTargets"]["ParameterValues"]) == 2
    assert {step["StepStatus"] for step in child["StepExecutions"]} == {"Failed"}
    grandchild = scene.look(child["StepExecutions"][0]["Outputs"]["ExecutionId"][0], ALPHA)
    assert "InvalidInstanceId" in grandchild["StepExecutions"][1]["FailureMessage"]


def test_rate_control_counts_percentages_up_and_errors_one_further() -> None:
    launched: list[int] = []
    ended: list[bool] = []
    rollout = Rollout(range(50), "10%", "10%", launched.append, lambda: ended.append(True), ramp=False)
    rollout.go_on()
    assert len(launched) == 5
    for _ in range(5):
        rollout.done(well=False)
    assert (len(launched), rollout.exceeded) == (10, False)
    rollout.done(well=False)
    assert (len(launched), rollout.exceeded) == (10, True)
    for _ in range(4):
        assert ended == []
        rollout.done(well=True)
    assert ended == [True]


# --- quotas -------------------------------------------------------------------------------------------------------------


def test_what_is_beyond_the_quota_waits_and_what_is_beyond_the_queue_is_refused(
    scene_with: Callable[..., Scene],
) -> None:
    scene = scene_with(concurrent_executions=2, queued_executions=1)
    scene.add(Behaviour.AGENT_OFFLINE)
    ids = [scene.start() for _ in range(3)]
    with pytest.raises(ClientError, match="AutomationExecutionLimitExceededException"):
        scene.start(ClientToken=TOKEN)
    scene.wait(minutes=1)
    assert [scene.look(id_)["AutomationExecutionStatus"] for id_ in ids] == ["InProgress", "InProgress", "Pending"]
    scene.finish(ids[2])
    scene.start(ClientToken=TOKEN)


def test_what_waits_past_its_window_fails_at_the_fence(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(concurrent_executions=1)
    (node,) = scene.add(Behaviour.AGENT_LOST_AFTER_REBOOT)
    late = scene.add(Behaviour.HEALTHY, account=BETA)
    scene.start()
    waiting = scene.start(TargetLocations=scene.locations(BETA), parameters={"NotAfter": ["2026-12-01T22:30:00Z"]})
    seen = scene.finish(waiting)
    assert seen["AutomationExecutionStatus"] == "Failed"
    assert "the window closed at 2026-12-01T22:30:00Z" in seen["StepExecutions"][0]["FailureMessage"]
    assert [delivery.node for delivery in scene.world.effects] == [node.id]
    assert scene.world.delivered_outside({RUN: (scene.world.clock.now, scene.world.clock.now)}) == tuple(
        scene.world.effects
    )
    assert late[0].patch_state is None


def test_rate_controlled_executions_leave_room_for_their_children(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(concurrent_executions=3, concurrent_rate_controlled=2)
    scene.add(*[Behaviour.HEALTHY] * 2)
    ids = [scene.start_each() for _ in range(3)]
    for id_ in ids:
        scene.finish(id_)
    assert scene.world.installs_delivered == 6


# --- stopping -----------------------------------------------------------------------------------------------------------


def test_stopping_a_parent_leaves_its_children_alone_unless_they_are_reached(scene_with: Callable[..., Scene]) -> None:
    endings = []
    for reached in (False, True):
        scene = scene_with(stop_reaches_children=reached)
        scene.add(Behaviour.HEALTHY)
        id_ = scene.start()
        scene.wait(minutes=2)
        child = scene.child(scene.look(id_))
        scene.ssm.stop_automation_execution(AutomationExecutionId=id_)
        assert scene.look(id_)["AutomationExecutionStatus"] == "Cancelling"
        assert scene.finish(id_)["AutomationExecutionStatus"] == "Cancelled"
        endings.append(scene.finish(child, ALPHA)["AutomationExecutionStatus"])
        scene.wait(hours=1)
        assert scene.world.organization.nodes_at(ALPHA, IRELAND)[0].patch_state is not None, "the command goes on"
    assert endings == ["Success", "Cancelled"]


def test_a_stop_that_completes_begins_nothing_new_and_lets_the_rest_end(scene: Scene) -> None:
    scene.add(Behaviour.HEALTHY)
    entry = scene.locations(ALPHA, BETA, TargetLocationMaxConcurrency="1")
    id_ = scene.start(TargetLocations=entry)
    scene.wait(minutes=2)
    scene.ssm.stop_automation_execution(AutomationExecutionId=id_, Type="Complete")
    assert places(scene.finish(id_)) == [(ALPHA, IRELAND, "Success")]


def test_what_waits_in_the_queue_is_stopped_at_once(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(concurrent_executions=1)
    scene.start()
    waiting = scene.start()
    scene.ssm.stop_automation_execution(AutomationExecutionId=waiting)
    assert scene.look(waiting)["AutomationExecutionStatus"] == "Cancelled"
    scene.wait(hours=1)
    assert scene.look(waiting)["StepExecutions"] == []


def test_what_is_over_cannot_be_stopped(scene: Scene) -> None:
    id_ = scene.start()
    scene.finish(id_)
    for wrong, code in (
        (id_, "InvalidAutomationStatusUpdateException"),
        (TOKEN, "AutomationExecutionNotFoundException"),
    ):
        with pytest.raises(ClientError, match=code):
            scene.ssm.stop_automation_execution(AutomationExecutionId=wrong)


def test_stopping_a_rate_controlled_execution_stops_those_it_started(scene: Scene) -> None:
    scene.add(*[Behaviour.HEALTHY] * 4)
    id_ = scene.start_each()
    scene.wait(minutes=2)
    child = scene.child(scene.look(id_))
    scene.client("ssm", ALPHA).stop_automation_execution(AutomationExecutionId=child)
    seen = scene.finish(child, ALPHA)
    assert seen["AutomationExecutionStatus"] == "Cancelled"
    assert [step["StepStatus"] for step in seen["StepExecutions"]] == ["Cancelled"]
