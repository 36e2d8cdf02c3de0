"""`Patchtide-PatchInstance` with its options, played step by step: what happens to the instance, whichever step fails."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from patchtide.core.campaign import INSTANCE_RUNBOOK
from runbooks.embed import RUNBOOKS
from runbooks.shell import shell
from simulator.fleet import Behaviour, Node, Ping
from simulator.memory import Memory
from simulator.template import load
from tests.simulator.scene import HUB, IRELAND, ROLE, RUN, SNAPSHOT, Scene, make_world

RUNBOOK = load(next(path for path in RUNBOOKS if path.stem == INSTANCE_RUNBOOK))
EVERYTHING = {
    "TargetGroupArn": "GROUP",
    "ImageFirst": "yes",
    "PreScript": "service web stop",
    "HealthScript": "curl -f localhost",
    "PostScript": "service web start",
}
BEFORE = ["drain", "waitDrained", "chooseImage", "image", "choosePre", "pre", "fenceAgain"]
AFTER = [
    "chooseHealth",
    "health",
    "choosePost",
    "post",
    "chooseReturn",
    "giveBack",
    "waitHealthy",
    "chooseStop",
    "done",
]
WHOLE = ["fence", "choose", "look", "shell", "chooseStart", "chooseDrain", *BEFORE, "patchWithCare", *AFTER]


@dataclass
class Care:
    """An instance, its target group, and a place to play the runbook in."""

    scene: Scene
    node: Node
    group: str

    def play(self, stop_at: str = "", **parameters: str) -> dict[str, Any]:
        """The execution at its end; it is stopped when it comes to that step."""
        given = {
            "AutomationAssumeRole": ROLE,
            "Operation": "Install",
            "InstanceId": self.node.id,
            "SnapshotId": SNAPSHOT,
            "RunId": RUN,
            "NotAfter": "2026-12-02T10:00:00Z",
        }
        given |= {name: self.group if value == "GROUP" else value for name, value in parameters.items()}
        id_ = self.scene.ssm.start_automation_execution(
            DocumentName=INSTANCE_RUNBOOK,
            Parameters={name: [value] for name, value in given.items()},
            Tags=[{"Key": "patchtide:run", "Value": RUN}],
        )["AutomationExecutionId"]
        execution = self.scene.world.automation.get(HUB, IRELAND, id_)
        while stop_at and (execution.current is None or execution.current.name != stop_at):
            due = self.scene.world.clock.next_at()
            assert due, f"it never came to {stop_at}"
            self.scene.move_to(due)
        if stop_at:
            self.scene.ssm.stop_automation_execution(AutomationExecutionId=id_, Type="Cancel")
        seen = self.scene.finish(id_)
        self.scene.wait(minutes=10)  # what was begun and is not waited for comes about
        return seen

    def health(self) -> str:
        elb = self.scene.client("elbv2")
        (found,) = elb.describe_target_health(TargetGroupArn=self.group, Targets=[{"Id": self.node.id}])[
            "TargetHealthDescriptions"
        ]
        state: str = found["TargetHealth"]["State"]
        return state

    @property
    def installs(self) -> int:
        return self.scene.world.installs_delivered


@pytest.fixture
def care() -> Care:
    return cared(Behaviour.HEALTHY)


def cared(behaviour: Behaviour) -> Care:
    world = make_world()
    scene = Scene(world, memory=Memory(world))
    scene.keep(INSTANCE_RUNBOOK, RUNBOOK, HUB, regions=(IRELAND,))
    (node,) = scene.add(behaviour, account=HUB)
    return Care(scene, node, world.add_target_group(HUB, IRELAND, "web", [node]))


def path(seen: dict[str, Any]) -> list[str]:
    """The steps that were played, in their order."""
    played = [step for step in seen["StepExecutions"] if step["StepStatus"] != "Pending"]
    return [step["StepName"] for step in sorted(played, key=lambda step: step["ExecutionStartTime"])]


def failed(seen: dict[str, Any]) -> list[str]:
    return [step["StepName"] for step in seen["StepExecutions"] if step["StepStatus"] in ("Failed", "TimedOut")]


def test_without_options_it_is_the_fence_and_the_command(care: Care) -> None:
    seen = care.play()
    assert (path(seen), seen["AutomationExecutionStatus"]) == (["fence", "choose", "patch"], "Success")


def test_with_every_option_the_instance_goes_the_whole_way(care: Care) -> None:
    seen = care.play(**EVERYTHING)
    assert (path(seen), seen["AutomationExecutionStatus"]) == (WHOLE, "Success")
    assert care.health() == "healthy"
    assert care.installs == 1
    assert seen["Outputs"]["image.ImageId"][0].startswith("ami-")
    comments = [one.params.get("Comment") for one in reversed(care.scene.world.commands.at(HUB, IRELAND))]
    assert comments == [f"patchtide {RUN} pre", f"patchtide {RUN}", f"patchtide {RUN} health", f"patchtide {RUN} post"]


@pytest.mark.parametrize(
    ("option", "steps"),
    [
        ({"TargetGroupArn": "GROUP"}, ["drain", "waitDrained", "patchWithCare", "giveBack", "waitHealthy"]),
        ({"ImageFirst": "yes"}, ["image", "patchWithCare"]),
        ({"RestoreOnFailure": "yes"}, ["image", "patchWithCare"]),
        ({"PreScript": "true"}, ["pre", "patchWithCare"]),
        ({"HealthScript": "true"}, ["patchWithCare", "health"]),
        ({"PostScript": "true"}, ["patchWithCare", "post"]),
        ({"StartStopped": "yes"}, ["findState", "patchWithCare"]),
    ],
)
def test_each_option_by_itself(care: Care, option: dict[str, str], steps: list[str]) -> None:
    seen = care.play(**option)
    quiet = ("choose", "fence", "look", "shell", "done")
    assert [one for one in path(seen) if not one.startswith(quiet)] == steps
    assert seen["AutomationExecutionStatus"] == "Success"
    assert care.installs == 1


def test_what_is_stopped_is_started_patched_and_stopped_again(care: Care) -> None:
    care.scene.world.set_state(care.node, "stopped")
    seen = care.play(StartStopped="yes")
    assert seen["AutomationExecutionStatus"] == "Success"
    assert care.installs == 1
    assert care.node.state == "stopped"


def test_what_runs_is_not_stopped(care: Care) -> None:
    care.play(StartStopped="yes")
    assert care.node.state == "running"


@pytest.mark.parametrize(
    ("behaviour", "options", "failing", "installs", "health"),
    [
        (Behaviour.HEALTHY, {"PreScript": "exit 3"}, "pre", 0, "healthy"),
        (Behaviour.DISK_FULL, {}, "patchWithCare", 1, "healthy"),
        (Behaviour.HEALTHY, {"HealthScript": "exit 7"}, "health", 1, "unused"),
        (Behaviour.HEALTHY, {"PostScript": "exit 1"}, "post", 1, "healthy"),
        (Behaviour.HEALTHY, {"HealthScript": "exit 7", "RestoreOnFailure": "yes"}, "health", 1, "healthy"),
        (Behaviour.DISK_FULL, {"RestoreOnFailure": "yes"}, "patchWithCare", 1, "healthy"),
    ],
)
def test_whatever_fails_the_instance_is_left_as_it_should_be(
    behaviour: Behaviour, options: dict[str, str], failing: str, installs: int, health: str
) -> None:
    care = cared(behaviour)
    missing = care.node.missing
    seen = care.play(**EVERYTHING | options)
    assert failed(seen) == [failing]
    assert (seen["AutomationExecutionStatus"], path(seen)[-1]) == ("Failed", "done")
    assert (care.installs, care.health()) == (installs, health)
    if "RestoreOnFailure" in options:
        assert [one for one in ("restore", "waitRestored", "waitForRestoredAgent", "rescan") if one in path(seen)]
        assert care.node.missing == missing
        assert care.node.patch_state
        assert care.node.patch_state.operation == "Scan"


def test_a_stopped_instance_on_which_patching_fails_is_stopped_again() -> None:
    care = cared(Behaviour.DISK_FULL)
    care.scene.world.set_state(care.node, "stopped")
    seen = care.play(StartStopped="yes")
    assert seen["AutomationExecutionStatus"] == "Failed"
    assert care.node.state == "stopped"


@pytest.mark.parametrize("step", ["drain", *BEFORE, "patchWithCare", *AFTER[:6]])
def test_an_execution_that_is_cancelled_puts_the_instance_back(care: Care, step: str) -> None:
    seen = care.play(stop_at=step, **EVERYTHING)
    assert seen["AutomationExecutionStatus"] == "Cancelled"
    assert care.health() == "healthy"


@pytest.mark.parametrize("step", ["start", "waitForAgent", "chooseDrain", "patchWithCare"])
def test_an_execution_that_is_cancelled_stops_what_it_has_started(care: Care, step: str) -> None:
    care.scene.world.set_state(care.node, "stopped")
    care.play(stop_at=step, StartStopped="yes")
    assert care.node.state == "stopped"


def test_the_window_is_looked_at_again_when_the_preparations_are_done(care: Care) -> None:
    seen = care.play(**EVERYTHING, NotAfter="2026-12-01T22:04:00Z")
    assert failed(seen) == ["waitDrained"] or "fenceAgain" in failed(seen)
    assert care.installs == 0
    assert care.health() == "healthy"


def test_what_ssm_does_not_know_is_left_alone(care: Care) -> None:
    care.node.ping = Ping.NEVER
    seen = care.play(**EVERYTHING)
    assert failed(seen) == ["look"]
    assert care.health() == "healthy"


@pytest.mark.parametrize(
    ("platform", "document"),
    [("Windows", "AWS-RunPowerShellScript"), ("Linux", "AWS-RunShellScript"), ("MacOS", "AWS-RunShellScript")],
)
def test_a_script_is_run_in_the_instances_own_shell(platform: str, document: str) -> None:
    assert shell({"Platform": platform}, {}) == {"Document": document}


def test_every_step_has_been_played() -> None:
    """Between them the tests above come by every step, so none is there for show."""
    wanted = {step["name"] for step in RUNBOOK["mainSteps"]}
    seen: set[str] = set()
    for behaviour, options in (
        (Behaviour.HEALTHY, {}),
        (Behaviour.HEALTHY, EVERYTHING | {"StartStopped": "yes"}),
        (Behaviour.DISK_FULL, EVERYTHING | {"RestoreOnFailure": "yes"}),
        (Behaviour.HEALTHY, EVERYTHING | {"HealthScript": "exit 1"}),
    ):
        care = cared(behaviour)
        if "StartStopped" in options:
            care.scene.world.set_state(care.node, "stopped")
        seen |= set(path(care.play(**options)))
    seen |= set(path(cared(Behaviour.HEALTHY).play(stop_at="chooseReturn", **EVERYTHING)))
    assert seen == wanted


def test_it_stays_within_what_a_document_may_be() -> None:
    assert len(json.dumps(RUNBOOK).encode()) < 48 * 1024
