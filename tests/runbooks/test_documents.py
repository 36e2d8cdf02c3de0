"""The three runbooks: what Automation and the service ask of them, and what must hold in each."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from patchtide.core.campaign import BLOG_RUNBOOK, FLEET_RUNBOOK, INSTANCE_RUNBOOK, Campaign, Runbook, Target, Wave
from patchtide.core.request import Hub, Work, parameters
from runbooks.embed import RUNBOOKS
from runbooks.fence import LONGEST
from simulator.documents import check_runbook, references
from simulator.template import load
from tests.values import a_run

EXECUTION = 7200  # what AWS-RunPatchBaseline allows itself
COMMENT = 100  # characters of a command's comment
AT = datetime(2026, 11, 28, 22, tzinfo=UTC)

each_runbook = pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)


def patching(said: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(step for step in said["mainSteps"] if step["action"] == "aws:runCommand")
    return found


def commands(said: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for step in said["mainSteps"] if step["action"] == "aws:runCommand"]


def test_the_runbooks_are_those_that_campaigns_know() -> None:
    assert {path.stem for path in RUNBOOKS} == {FLEET_RUNBOOK, INSTANCE_RUNBOOK, BLOG_RUNBOOK}


@each_runbook
def test_automation_accepts_it(path: Path) -> None:
    content = json.dumps(load(path))
    check_runbook(content)
    assert len(content.encode()) <= 64 * 1024


@each_runbook
def test_every_parameter_is_described_and_used(path: Path) -> None:
    said = load(path)
    assert all(parameter["description"] for parameter in said["parameters"].values())
    used = references(said["mainSteps"]) | references(said["assumeRole"])
    assert set(said["parameters"]) <= used


@each_runbook
def test_the_first_step_is_the_fence_and_its_failure_ends_everything(path: Path) -> None:
    first = load(path)["mainSteps"][0]
    assert (first["name"], first["action"], first["onFailure"]) == ("fence", "aws:executeScript", "Abort")
    assert first["inputs"]["InputPayload"] == {"NotAfter": "{{ NotAfter }}"}


@each_runbook
def test_the_script_stands_alone_as_automation_runs_it(path: Path) -> None:
    inputs = load(path)["mainSteps"][0]["inputs"]
    assert "{{" not in inputs["Script"]  # Automation would take it for a reference
    names: dict[str, Any] = {}
    exec(compile(inputs["Script"], "script", "exec"), names)  # noqa: S102 - as Automation does
    assert names[inputs["Handler"]]({"NotAfter": ""}, {}) == {"SecondsLeft": 3600}


@each_runbook
def test_no_command_and_no_script_repeats(path: Path) -> None:
    steps = load(path)["mainSteps"]
    assert {step["maxAttempts"] for step in steps if step["action"] in ("aws:runCommand", "aws:executeScript")} == {1}


@each_runbook
def test_the_step_outlasts_the_delivery_and_the_patching(path: Path) -> None:
    for step in commands(load(path)):
        assert step["timeoutSeconds"] >= LONGEST + EXECUTION
        assert step["inputs"]["TimeoutSeconds"] in ("{{ fence.SecondsLeft }}", "{{ fenceAgain.SecondsLeft }}")


@each_runbook
def test_nothing_but_the_patch_baseline_is_run(path: Path) -> None:
    for step in commands(load(path)):
        inputs = step["inputs"]
        if inputs["DocumentName"] == "{{ shell.Document }}":  # people's own scripts, of the runbook for instances
            assert (path.stem, set(inputs["Parameters"])) == (INSTANCE_RUNBOOK, {"commands", "executionTimeout"})
        else:
            assert inputs["DocumentName"] == "AWS-RunPatchBaseline"
            assert set(inputs["Parameters"]) == {"Operation", "SnapshotId", "InstallOverrideList", "RebootOption"}


@each_runbook
def test_the_comment_names_the_run_and_never_grows_too_long(path: Path) -> None:
    said = load(path)
    longest = re.search(r"\{0,(\d+)\}", said["parameters"]["RunId"]["allowedPattern"])
    assert longest
    for step in commands(said):
        comment = step["inputs"]["Comment"]
        assert comment.startswith("patchtide {{ RunId }}")
        assert len(comment.replace("{{ RunId }}", "x" * int(longest[1]))) <= COMMENT


@each_runbook
def test_what_may_be_left_out_has_a_default_that_is_allowed(path: Path) -> None:
    said = load(path)["parameters"]
    required = {name for name, parameter in said.items() if "default" not in parameter}
    assert required <= {"Operation", "Targets", "InstanceId"}
    for parameter in said.values():
        assert "default" not in parameter or allows(parameter, parameter["default"])


def test_the_fleet_is_reached_by_targets_under_rate_control() -> None:
    inputs = patching(load(runbook(FLEET_RUNBOOK)))["inputs"]
    assert {name: inputs[name] for name in ("Targets", "MaxConcurrency", "MaxErrors")} == {
        name: f"{{{{ {name} }}}}" for name in ("Targets", "MaxConcurrency", "MaxErrors")
    }


def test_the_blogs_runbook_keeps_the_blogs_names() -> None:
    said = load(runbook(BLOG_RUNBOOK))
    blog = ["AutomationAssumeRole", "Operation", "SnapshotId", "InstanceId", "InstallOverrideList"]
    assert list(said["parameters"]) == [*blog, "RebootOption", "NotAfter", "RunId"]
    assert said["outputs"] == ["runPatchBaseline.Output"]
    optional = {"AutomationAssumeRole", "SnapshotId", "InstallOverrideList", "NotAfter", "RunId"}
    assert {name for name, parameter in said["parameters"].items() if parameter.get("default") == ""} == optional


@each_runbook
def test_the_service_sends_what_it_declares_and_allows(path: Path) -> None:
    declared = load(path)["parameters"]
    sent = dict(sent_to(path.stem))
    assert set(sent) <= set(declared)
    assert {name for name, parameter in declared.items() if "default" not in parameter} <= {*sent, "InstanceId"}
    for name, values in sent.items():
        assert all(allows(declared[name], value) for value in values), name


def runbook(name: str) -> Path:
    return next(path for path in RUNBOOKS if path.stem == name)


def allows(parameter: dict[str, Any], value: str) -> bool:
    if "allowedValues" in parameter:
        return value in parameter["allowedValues"]
    return bool(re.search(parameter.get("allowedPattern", ""), value))


def sent_to(name: str) -> Iterator[tuple[str, list[str]]]:
    """The service's own parameters for a campaign that sets everything, under the longest names there are."""
    wave = Wave("all", (Target("tag:Stage", ("Prod",)),), ("111122223333",), "10%", "0")
    campaign = Campaign(
        name="c" * 48,
        accounts=wave.accounts,
        regions=("eu-west-1",),
        waves=(wave,),
        duration=timedelta(hours=4),
        install_override_list="s3://patch-lists/kernel.yaml",
        runbook=Runbook(name, target_parameter=None if name == FLEET_RUNBOOK else "InstanceId"),
    )
    run = a_run(campaign.name, AT.replace(second=59), AT)
    hub = Hub("arn:aws:iam::999900001111:role/Administration")
    yield from parameters(Work(campaign, run, wave, hub, run.window.last_start), wave.targets).items()
