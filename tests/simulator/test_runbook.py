"""The interpreter: what each action does, how values flow between steps, and where a failure leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from simulator.automation import PLACEHOLDER, StepFailure, run_script
from simulator.fleet import Behaviour, Ping
from tests.simulator.scene import HUB, IRELAND, ROLE, RUN, Scene, runbook


def play(
    scene: Scene, steps: list[dict[str, Any]], parameters: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """The execution of these steps in the hub itself. Keyword arguments are the runbook's parameters."""
    outputs = more.pop("outputs", ())
    content = runbook(steps, parameters or {}, outputs)
    name = f"Steps{len(scene.world.automation.at(HUB, IRELAND))}"
    scene.keep(name, content, HUB, regions=(IRELAND,))
    given = {"AutomationAssumeRole": [ROLE], "Operation": ["Install"], "NotAfter": ["2026-12-02T02:00:00Z"]}
    id_ = scene.ssm.start_automation_execution(
        DocumentName=name, Parameters=given | more, Tags=[{"Key": "patchtide:run", "Value": RUN}]
    )["AutomationExecutionId"]
    return scene.finish(id_)


def script(name: str, code: str, *outputs: tuple[str, str], payload: Any = None, **more: Any) -> dict[str, Any]:
    """A step that runs `code` as the body of a handler."""
    body = "\n".join(f"    {line}" for line in code.splitlines())
    return {
        "name": name,
        "action": "aws:executeScript",
        "inputs": {
            "Runtime": "python3.11",
            "Handler": "handle",
            "Script": f"from datetime import datetime, timezone\ndef handle(events, context):\n{body}\n",
            "InputPayload": payload or {},
        },
        "outputs": [{"Name": one, "Selector": f"$.Payload.{one}", "Type": kind} for one, kind in outputs],
    } | more


def statuses(seen: dict[str, Any]) -> dict[str, str]:
    return {step["StepName"]: step["StepStatus"] for step in seen["StepExecutions"]}


def step(seen: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in seen["StepExecutions"] if one["StepName"] == name)
    return found


def nap(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "action": "aws:sleep", "inputs": {"Duration": "PT1M"}} | more


# --- values -------------------------------------------------------------------------------------------------------------


def test_values_flow_from_parameters_through_scripts_with_their_types(scene: Scene) -> None:
    declared = {
        "Count": {"type": "Integer"},
        "Wanted": {"type": "Boolean", "default": False},
        "Names": {"type": "StringList"},
        "Filters": {"type": "MapList"},
        "Labels": {"type": "StringMap"},
    }
    payload = {name: f"{{{{ {name} }}}}" for name in declared} | {"Sentence": "{{ Count }} of {{ Names }}"}
    seen = play(
        scene,
        [
            script("see", "return events | {'Twice': events['Count'] * 2}", ("Twice", "Integer"), payload=payload),
            script("again", "return {'Same': events['it']}", ("Same", "Integer"), payload={"it": "{{ see.Twice }}"}),
        ],
        declared,
        Count=["3"],
        Wanted=["true"],
        Names=["a", "b"],
        Filters=['{"Key": "k"}'],
        Labels=['{"x": "y"}'],
        outputs=("see.Twice", "again.Same", "see.Payload"),
    )
    assert seen["AutomationExecutionStatus"] == "Success"
    assert (seen["Outputs"]["see.Twice"], seen["Outputs"]["again.Same"]) == (["6"], ["6"])
    given = scene.world.automation.get(HUB, IRELAND, seen["AutomationExecutionId"]).steps[0].values["Payload"]
    assert given == {
        "Count": 3,
        "Wanted": True,
        "Names": ["a", "b"],
        "Filters": [{"Key": "k"}],
        "Labels": {"x": "y"},
        "Sentence": '3 of ["a", "b"]',
        "Twice": 6,
    }


def test_a_runbook_knows_where_and_what_it_is(scene: Scene) -> None:
    names = ("automation:EXECUTION_ID", "global:ACCOUNT_ID", "global:REGION", "global:DATE")
    seen = play(scene, [script("see", "return events", payload={name: f"{{{{{name}}}}}" for name in names})])
    found = scene.world.automation.get(HUB, IRELAND, seen["AutomationExecutionId"]).steps[0].values["Payload"]
    assert found == dict(zip(names, (seen["AutomationExecutionId"], HUB, IRELAND, "2026-12-01"), strict=True))


def test_a_script_sees_the_virtual_time(scene: Scene) -> None:
    scene.wait(hours=3)
    seen = play(scene, [script("look", "return {'At': datetime.now(timezone.utc).isoformat()}", ("At", "String"))])
    assert step(seen, "look")["Outputs"]["At"][0].startswith("2026-12-02T01:00:0")


def test_a_script_that_raises_fails_its_step_with_its_own_words(scene: Scene) -> None:
    seen = play(scene, [script("check", "raise RuntimeError('closed at 02:00')")])
    assert "RuntimeError - closed at 02:00" in step(seen, "check")["FailureMessage"]
    assert "closed at 02:00" in seen["FailureMessage"]
    assert step(seen, "check")["FailureDetails"]["FailureType"] == "Action"


def test_an_output_of_the_wrong_type_fails_its_step(scene: Scene) -> None:
    seen = play(scene, [script("count", "return {'Left': 'many'}", ("Left", "Integer"))])
    assert "Left is 'many', which is no Integer" in step(seen, "count")["FailureMessage"]
    seen = play(scene, [script("count", "return {}", ("Left", "Integer"))])
    assert "selects nothing" in step(seen, "count")["FailureMessage"]


def test_what_a_script_returns_has_to_be_json() -> None:
    with pytest.raises(StepFailure, match="TypeError"):
        run_script("def h(events, context):\n    return {1, 2}", "h", {})


def test_steps_that_were_never_reached_stay_pending_and_their_outputs_are_a_sentence(scene: Scene) -> None:
    seen = play(
        scene,
        [script("first", "raise ValueError('no')"), script("second", "return {'X': 'y'}", ("X", "String"))],
        outputs=("second.X",),
    )
    assert statuses(seen) == {"first": "Failed", "second": "Pending"}
    assert seen["Outputs"] == {"second.X": [PLACEHOLDER]}


def test_a_step_that_was_passed_over_has_no_value_to_give(scene: Scene) -> None:
    seen = play(
        scene,
        [
            nap("start", nextStep="use"),
            script("make", "return {'X': 'y'}", ("X", "String")),
            script("use", "return {}", payload={"x": "{{ make.X }}"}),
        ],
    )
    assert "Failed to resolve input make.X" in step(seen, "use")["FailureMessage"]


# --- where a failure leads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "after", "ending"),
    [
        ({}, "Pending", "Failed"),
        ({"onFailure": "Abort"}, "Pending", "Failed"),
        ({"onFailure": "Continue"}, "Success", "Success"),
        ({"onFailure": "Continue", "isCritical": True}, "Success", "Failed"),
        ({"onFailure": "step:last"}, "Pending", "Failed"),
        ({"onFailure": "step:last", "isCritical": False}, "Pending", "Success"),
        ({"onFailure": "Continue", "isEnd": True}, "Pending", "Success"),
    ],
)
def test_a_failure_leads_where_the_step_says(scene: Scene, more: dict[str, Any], after: str, ending: str) -> None:
    seen = play(scene, [script("bad", "raise ValueError('no')", **more), nap("next"), nap("last")])
    assert (statuses(seen)["next"], seen["AutomationExecutionStatus"]) == (after, ending)


def test_a_step_is_tried_as_often_as_it_says(scene: Scene) -> None:
    code = "if datetime.now(timezone.utc).second < 10:\n    raise ValueError('too early')\nreturn {}"
    assert play(scene, [script("try", code, maxAttempts=2)])["AutomationExecutionStatus"] == "Failed"
    assert play(scene, [script("try", code, maxAttempts=20)])["AutomationExecutionStatus"] == "Success"


def test_a_step_that_times_out_leaves_its_command_running(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY, account=HUB)
    inputs = {
        "DocumentName": "AWS-RunPatchBaseline",
        "InstanceIds": [node.id],
        "Parameters": {"Operation": ["Install"]},
    }
    seen = play(scene, [{"name": "patch", "action": "aws:runCommand", "timeoutSeconds": 120, "inputs": inputs}])
    assert (statuses(seen)["patch"], seen["AutomationExecutionStatus"]) == ("TimedOut", "TimedOut")
    scene.wait(hours=1)
    assert node.patch_state is not None
    assert (node.patch_state.operation, node.missing) == ("Install", 0)


# --- actions ------------------------------------------------------------------------------------------------------------


def test_a_command_to_one_node_gives_its_exit_code_and_output(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.DISK_FULL, account=HUB)
    inputs = {
        "DocumentName": "AWS-RunPatchBaseline",
        "InstanceIds": ["{{ InstanceId }}"],
        "Parameters": {"Operation": "{{ Operation }}"},
    }
    seen = play(
        scene,
        [{"name": "patch", "action": "aws:runCommand", "inputs": inputs}],
        {"InstanceId": {"type": "String"}},
        InstanceId=[node.id],
    )
    outputs = step(seen, "patch")["Outputs"]
    assert (outputs["Status"], outputs["ResponseCode"]) == (["Failed"], ["155"])
    assert step(seen, "patch")["Inputs"]["InstanceIds"] == f'["{node.id}"]'
    assert scene.world.effects[0].run == RUN
    assert scene.world.effects[0].root == seen["AutomationExecutionId"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"TimeoutSeconds": 10}, "greater than or equal to 30"),
        ({"Comment": "x" * 101}, "less than or equal to 100"),
        ({"Parameters": {"Operation": ["Remove"]}}, "InvalidParameters"),
        ({"InstanceIds": ["i-0123456789abcdef0"]}, "InvalidInstanceId"),
        ({"DocumentName": "Nothing"}, "InvalidDocument"),
    ],
)
def test_a_command_that_run_command_refuses_fails_its_step(scene: Scene, wrong: dict[str, Any], words: str) -> None:
    (node,) = scene.add(Behaviour.HEALTHY, account=HUB)
    inputs = {
        "DocumentName": "AWS-RunPatchBaseline",
        "InstanceIds": [node.id],
        "Parameters": {"Operation": ["Scan"]},
    } | wrong
    seen = play(scene, [{"name": "patch", "action": "aws:runCommand", "inputs": inputs}])
    assert words in step(seen, "patch")["FailureMessage"]


def test_sleeping_takes_its_time_and_a_past_moment_none(scene: Scene) -> None:
    long = {"name": "long", "action": "aws:sleep", "inputs": {"Duration": "PT1H30M"}}
    past = {"name": "past", "action": "aws:sleep", "inputs": {"Timestamp": "2020-01-01T00:00:00Z"}}
    seen = play(scene, [long, past])
    took = [(one["ExecutionEndTime"] - one["ExecutionStartTime"]).total_seconds() for one in seen["StepExecutions"]]
    assert took == [5400, 0]


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        ({"Variable": "{{ Operation }}", "StringEquals": "Install"}, True),
        ({"Variable": "{{ Operation }}", "StringEquals": "Scan"}, False),
        ({"Not": {"Variable": "{{ Operation }}", "StringEquals": "Scan"}}, True),
        ({"Variable": "{{ Count }}", "NumericGreater": 2}, True),
        ({"Variable": "{{ Count }}", "NumericLesser": 2}, False),
        ({"Variable": "{{ Wanted }}", "BooleanEquals": True}, False),
        (
            {
                "And": [
                    {"Variable": "{{ Count }}", "NumericEquals": 3},
                    {"Variable": "{{ Operation }}", "StartsWith": "Inst"},
                ]
            },
            True,
        ),
        (
            {
                "Or": [
                    {"Variable": "{{ Count }}", "NumericEquals": 9},
                    {"Variable": "{{ Operation }}", "EndsWith": "x"},
                ]
            },
            False,
        ),
    ],
)
def test_a_branch_goes_by_what_holds(scene: Scene, choice: dict[str, Any], taken: bool) -> None:
    declared = {"Count": {"type": "Integer", "default": 3}, "Wanted": {"type": "Boolean", "default": False}}
    branch = {
        "name": "choose",
        "action": "aws:branch",
        "inputs": {"Choices": [{"NextStep": "yes", **choice}], "Default": "no"},
    }
    seen = play(scene, [branch, nap("no", isEnd=True), nap("yes", isEnd=True)], declared)
    assert statuses(seen) == {
        "choose": "Success",
        "no": "Pending" if taken else "Success",
        "yes": "Success" if taken else "Pending",
    }


def test_an_instance_leaves_its_load_balancer_and_comes_back(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY, account=HUB)
    group = scene.world.add_target_group(HUB, IRELAND, "web", [node])
    targets = {"TargetGroupArn": group, "Targets": [{"Id": node.id}]}

    def call(name: str, api: str) -> dict[str, Any]:
        return {"name": name, "action": "aws:executeAwsApi", "inputs": {"Service": "elbv2", "Api": api, **targets}}

    def wait(name: str, state: str) -> dict[str, Any]:
        inputs = {
            "Service": "elbv2",
            "Api": "DescribeTargetHealth",
            "PropertySelector": "$.TargetHealthDescriptions[*].TargetHealth.State",
            "DesiredValues": [state],
            **targets,
        }
        return {"name": name, "action": "aws:waitForAwsResourceProperty", "timeoutSeconds": 900, "inputs": inputs}

    seen = play(
        scene,
        [
            call("leave", "DeregisterTargets"),
            wait("drained", "unused"),
            call("back", "register_targets"),
            wait("well", "healthy"),
        ],
    )
    assert seen["AutomationExecutionStatus"] == "Success"
    took = step(seen, "drained")["ExecutionEndTime"] - step(seen, "drained")["ExecutionStartTime"]
    assert 290 < took.total_seconds() < 330


def test_an_answer_can_be_held_against_what_is_wanted(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY, account=HUB)

    def want(*values: str) -> dict[str, Any]:
        inputs = {
            "Service": "ec2",
            "Api": "DescribeInstances",
            "InstanceIds": [node.id],
            "PropertySelector": "$.Reservations[0].Instances[0].State.Name",
            "DesiredValues": list(values),
        }
        return {"name": "check", "action": "aws:assertAwsResourceProperty", "inputs": inputs}

    assert play(scene, [want("running", "pending")])["AutomationExecutionStatus"] == "Success"
    assert "is running, not one of" in play(scene, [want("stopped")])["FailureMessage"]


def test_a_wait_gives_up_in_the_end(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.AGENT_OFFLINE, account=HUB)
    inputs = {
        "Service": "ssm",
        "Api": "DescribeInstanceInformation",
        "Filters": [{"Key": "InstanceIds", "Values": [node.id]}],
        "PropertySelector": "$.InstanceInformationList[0].PingStatus",
        "DesiredValues": ["Online"],
    }
    seen = play(scene, [{"name": "wait", "action": "aws:waitForAwsResourceProperty", "inputs": inputs}])
    assert (statuses(seen)["wait"], seen["AutomationExecutionStatus"]) == ("TimedOut", "TimedOut")


def test_an_image_is_taken_and_a_server_stopped_and_started(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY, account=HUB)

    def change(state: str) -> dict[str, Any]:
        inputs = {"InstanceIds": [node.id], "DesiredState": state}
        return {"name": state, "action": "aws:changeInstanceState", "inputs": inputs}

    image = {
        "name": "image",
        "action": "aws:createImage",
        "inputs": {"InstanceId": node.id, "ImageName": "before", "NoReboot": True},
    }
    seen = play(scene, [image, change("stopped")], outputs=("image.ImageId",))
    assert seen["Outputs"]["image.ImageId"][0].startswith("ami-0")
    assert (node.state, node.ping) == ("stopped", Ping.LOST)
    play(scene, [change("running")])
    assert (node.state, node.ping) == ("running", Ping.ONLINE)


@pytest.mark.parametrize(
    "odd",
    [
        {"action": "aws:approve", "inputs": {"Approvers": ["me"]}},
        {"action": "aws:executeAwsApi", "inputs": {"Service": "rds", "Api": "StopDBInstance"}},
        {"action": "aws:executeScript", "inputs": {"Runtime": "PowerShell Core 6.0", "Script": "", "Handler": "h"}},
    ],
)
def test_what_is_not_done_here_fails_with_a_clear_sentence(scene: Scene, odd: dict[str, Any]) -> None:
    seen = play(scene, [{"name": "odd", **odd}])
    assert "not done by the simulator" in step(seen, "odd")["FailureMessage"]


def test_an_api_call_is_held_against_its_model(scene: Scene) -> None:
    inputs = {"Service": "ec2", "Api": "DescribeInstances", "Ids": ["i-0123456789abcdef0"]}
    seen = play(scene, [{"name": "ask", "action": "aws:executeAwsApi", "inputs": inputs}])
    assert "at 'Ids' failed to satisfy constraint" in step(seen, "ask")["FailureMessage"]
