"""The AWS blog's command line, as the AWS CLI reads it, beside the campaign that docs/campaigns.md writes for it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
import pytest

from cli.files import load
from simulator import sample
from simulator.demo import put
from simulator.fleet import Organization, Platform
from simulator.template import ROOT
from simulator.wire import Call
from tests import commandline
from tests.journeys.small import ALPHA, BETA, REGION, Play, opened

REGIONS = ("us-east-1", "us-west-2")
SYSTEMS: tuple[Platform, ...] = ("Windows", "Windows", "Linux")
PAGE = (ROOT / "docs/campaigns.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples/campaigns/blog.yaml"
pytestmark = pytest.mark.skipif(not commandline.PYTHON.exists(), reason="needs `make setup`: the AWS CLI")

# What the service says beyond the command line, and nothing else: the token and the tags by which a start happens once and is found
# again, two of AWS's own defaults, the fence, the snapshot, the run's name, and a default of the runbook's.
MORE = {
    "ClientToken",
    "DocumentVersion",
    "Mode",
    "Tags",
    "Parameters.NotAfter",
    "Parameters.RebootOption",
    "Parameters.RunId",
    "Parameters.SnapshotId",
}


@cache
def command_line(*changes: tuple[str, str]) -> Mapping[str, Any]:
    """The request that the AWS CLI makes of the command in the docs, with some words put in the place of others."""
    (text,) = re.findall(r"^```sh\n(aws ssm start-automation-execution .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (reading,) = commandline.read([shlex.split(text.replace("\\\n", " "))[1:]])
    assert not reading.wrong
    return reading.request


@contextmanager
def blogs_world() -> Iterator[Play]:
    """Two accounts in two Regions, each with the resource group and an instance that is not in it."""
    made = Organization(sample.HUB, (REGION, *REGIONS), 1)
    unit = made.add_unit("Windows")
    for name, id_ in (("a", ALPHA), ("b", BETA)):
        account = made.add_account(name, unit, id=id_, roles=sample.ONBOARDED)
        for region in REGIONS:
            for number, system in enumerate(SYSTEMS, 1):
                made.add_node(account, region, f"{name}-{region}-{number}", tags={"OS": system}, platform=system)
            made.add_group(account, region, "Windows-Servers", {"OS": ["Windows"]})
    with opened(made) as play:
        yield play


@cache
def sent() -> tuple[Mapping[str, Any], list[str]]:
    """The one request that the campaign makes the service send, as it goes over the wire, and who was patched by it. Its list of
    patches is one that is in this stack's bucket; in the request it has the example's name again."""
    starts: list[Mapping[str, Any]] = []

    def note(call: Call) -> None:
        if str(call) == "ssm:StartAutomationExecution":
            starts.append(call.params)

    with blogs_world() as play:
        play.stack.wire.after.append(note)
        item = load(EXAMPLE)
        there, named = play.write_list(), item["installOverrideList"]
        put(play.stack, {**item, "installOverrideList": there})
        play.run(hours=8)
        (start,) = starts
        assert start["Parameters"]["InstallOverrideList"] == [there]
        return {**start, "Parameters": {**start["Parameters"], "InstallOverrideList": [named]}}, play.patched()


def flat(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request with each parameter of the runbook under a name of its own."""
    parameters = {f"Parameters.{name}": value for name, value in request["Parameters"].items()}
    return {**{name: value for name, value in request.items() if name != "Parameters"}, **parameters}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> set[str]:
    """What is in one request alone, or otherwise in the other."""
    one, other = flat(theirs), flat(ours)
    return (one.keys() ^ other.keys()) | {name for name in one.keys() & other.keys() if one[name] != other[name]}


def test_the_campaign_sends_the_blogs_command_line_and_what_is_named_here() -> None:
    ours, _ = sent()
    assert differences(command_line(), ours) == MORE
    assert not MORE & flat(command_line()).keys()
    assert (ours["DocumentVersion"], ours["Mode"]) == ("$DEFAULT", "Auto")
    assert ours["Parameters"]["RebootOption"] == ["RebootIfNeeded"]


def test_both_patch_the_same_instances() -> None:
    _, patched = sent()
    with blogs_world() as play:
        client = boto3.client("ssm", region_name=REGION)
        with play.stack.wire.quiet():
            client.start_automation_execution(**command_line())
        play.run(hours=8)
        assert play.patched() == patched
    assert len(patched) == 2 * len(REGIONS) * 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("--max-errors 2", "--max-errors 3"), "MaxErrors"),
        (("--max-concurrency 20%", ""), "MaxConcurrency"),
        (("Values=Windows-Servers", "Values=Linux-Servers"), "Targets"),
        ((",us-west-2,Exec", ",us-west-1,Exec"), "TargetLocations"),
        (("TargetLocationMaxErrors=50%", "TargetLocationMaxErrors=5%"), "TargetLocations"),
        (("ExecutionRoleName=AWS", "ExecutionRoleName=Other"), "TargetLocations"),
        (("Operation=Install", "Operation=Scan"), "Parameters.Operation"),
        (("--target-parameter-name InstanceId", "--target-parameter-name Node"), "TargetParameterName"),
    ],
)
def test_a_word_of_the_command_line_that_the_campaign_does_not_say_would_be_noticed(
    change: tuple[str, str], field: str
) -> None:
    assert differences(command_line(change), sent()[0]) == MORE | {field}


def test_the_item_in_the_docs_is_the_example() -> None:
    written = [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert load(EXAMPLE)["installOverrideList"] == command_line()["Parameters"]["InstallOverrideList"][0]
    assert "```yaml\n" + "\n".join(written) + "\n```" in PAGE
