"""Every role has the rights that it needs and no others: what the journeys ask for, held against the policies.

All journeys are played with the policies enforced (tests/journeys/small.py), so a permission that is missing fails them. Here are
those that between them do everything: a permission that nobody asked for is too much, and each, taken away, must be missed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest

from simulator import sample
from simulator.fleet import Behaviour
from simulator.judge import Question
from simulator.world import Calendar, Switches
from tests.journeys.small import ALPHA, BETA, OWN_RUNBOOK, REGION, Play, judge, many, opened, organization, same_evening
from tests.template.test_permissions import MAY, listed

FREEZE = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nEND:VCALENDAR\r\n"

# What AWS itself does in a role's name, or does beside a call that it was asked for, and no call of ours shows.
AWS_ASKS = {
    "logs:CreateLogStream": "Lambda writes the log",
    "logs:PutLogEvents": "Lambda writes the log",
    "kms:Decrypt": "SNS, when it is published to a topic under a key of one's own",
    "kms:GenerateDataKey": "SNS, when it is published to a topic under a key of one's own",
    "dynamodb:DescribeStream": "Lambda reads the stream",
    "dynamodb:GetRecords": "Lambda reads the stream",
    "dynamodb:GetShardIterator": "Lambda reads the stream",
    "dynamodb:ListStreams": "Lambda reads the stream",
    "sqs:ChangeMessageVisibility": "Lambda reads the queue",
    "sqs:DeleteMessage": "Lambda reads the queue",
    "sqs:GetQueueAttributes": "Lambda reads the queue",
    "sqs:ReceiveMessage": "Lambda reads the queue",
    "lambda:InvokeFunction": "EventBridge Scheduler wakes the functions",
}
BESIDE = {
    ("IntakeRole", "sqs:SendMessage"): "Lambda sends the records that failed to the dead letters",
    ("TickRole", "sqs:SendMessage"): "EventBridge Scheduler sends the ticks that failed to the dead letters",
    ("ExecutionRole", "ssm:AddTagsToResource"): "an execution's tags may be handed down to those it starts",
    ("ExecutionRole", "ssm:GetAutomationExecution"): "Automation follows the executions that it starts for targets",
    ("ExecutionRole", "ssm:CancelCommand"): "Automation cancels what a stopped step has sent, or does not: unknown",
    ("ExecutionRole", "ec2:DescribeTags"): "AWS's own sample has it for finding targets",
}


def everything() -> Iterator[Play]:
    """Plays that between them do everything that the service does."""
    fleet = organization({"a-1": Behaviour.DISK_FULL, "a-2": Behaviour.OVERWRITTEN, "b-1": Behaviour.PATCH_FAILS})
    unit = next(one for one in fleet.units.values() if one.name == "Web")
    with opened(fleet, Switches(steps_in_answer=1), speed=20) as play:
        with play.stack.wire.quiet():
            bucket = play.stack._attribute("ReportsBucket", "")
            play.stack._client("s3").put_object(Bucket=bucket, Key="company.ics", Body=FREEZE)
        play.alarm("quiet", "OK")
        play.world.calendars[play.world.organization.hub, REGION, "Freeze"] = Calendar("OPEN", [])
        play.put(
            accounts=[unit.id],
            calendars=["Freeze"],
            freeze="company.ics",
            waves=same_evening({"alarms": ["quiet"], "maxErrors": "100%"}, {"maxErrors": "100%"}),
            notify={"owners": True},
        )
        play.put(campaign="wrong", duration=1, cutoff=2)
        play.run(hours=8)
        yield play
    with opened(speed=20, parameters={"MaxInstancesInFlight": "10", "EnableChat": "yes"}) as play:
        play.put(targets="ResourceGroup=web-servers", runbook="Automation-RunPatchBaseline", notify={"digest": True})
        play.run(hours=40)
        play.put(campaign="fleet", targets="ResourceGroup=web-servers")
        play.run(hours=8)
        play.put(campaign="gone", schedule="at(2026-12-20T20:00:00)")
        play.run(hours=1)
        with play.stack.wire.quiet():
            play.stack._client("dynamodb").delete_item(TableName="CampaignsTable", Key={"campaign": {"S": "gone"}})
        play.run(hours=1)
        yield play
    with opened(many()) as play:  # the cutoff comes while some wait for their turn, and an answer is lost
        lost: list[object] = []

        def lose(call: object) -> None:
            if str(call) == "ssm:StartAutomationExecution" and len(lost) < 9:
                lost.append(call)
                raise ConnectionError

        play.bumpy = True
        play.stack.wire.after.append(lose)
        play.put(
            duration=2,
            cutoff=1,
            maxConcurrency=1,
            runbook="Patchtide-PatchInstance",
        )
        play.run(hours=6)
        yield play
    slow = organization({"a-1": Behaviour.SLOW, "b-1": Behaviour.SLOW})
    with opened(slow) as play:  # the window ends before the second location's turn comes
        play.put(duration=1, cutoff="45m", locationMaxConcurrency=1)
        play.run(hours=6)
        yield play
    for runbook in ("Patchtide-PatchFleet", "Patchtide-PatchInstance"):
        with opened(many()) as play:
            play.put(maxConcurrency=1, runbook=runbook)
            run = play.run_until("running")
            assert play.order("stop", run.id, now=True).startswith("yes")
            play.run(hours=6)
            play.put(campaign="asks", approval="required")
            play.run(hours=1)
            play.put(campaign="asks", approval="required", description="edited while it waits for approval")
            play.run(hours=1)
            yield play

    fleet = organization({"a-1": Behaviour.DISK_FULL})
    stopped = next(node for node in fleet.nodes.values() if node.name == "a-2")
    with opened(fleet, spoke={"AllowCare": "yes", "AllowScripts": "yes"}) as play:
        play.world.set_state(stopped, "stopped")
        group = play.world.add_target_group(ALPHA, REGION, "web", fleet.nodes.values())
        options = {"StartStopped": "yes", "RestoreOnFailure": "yes", "HealthScript": "true", "TargetGroupArn": group}
        play.put(accounts=[ALPHA], runbook="Patchtide-PatchInstance", runbookParameters=options)
        play.run(hours=8)
        yield play
    with opened(parameters={"OwnRunbooks": "Acme-Patch", "ShareOwnRunbooks": "yes"}) as play:
        sample.deploy(play.world, OWN_RUNBOOK, sample.HUB, REGION)
        for account in (ALPHA, BETA):
            play.lend_the_hubs_runbook(account)
        play.put(runbook="Acme-Patch", targetParameterName="InstanceId")
        play.run(hours=8)
        yield play


Asked = Mapping[Question, str]


@pytest.fixture(scope="module")
def asked() -> Asked:
    """Every question that was asked, with the policies of whoever asked."""
    found: dict[Question, str] = {}
    for play in everything():
        assert not play.powers.refused
        found |= play.powers.asked
    return found


@pytest.fixture(scope="module")
def used(asked: Asked) -> set[tuple[str, str]]:
    return {(role_of(one), one.action) for one in asked}


def role_of(question: Question) -> str:
    """The role's logical id in its template."""
    name = question.principal.split("/")[1]
    named = {
        "patchtide-collector": "CollectorRole",
        sample.READ_ROLE: "ReadRole",
        "AWS-SystemsManager-AutomationExecutionRole": "ExecutionRole",
        "AWS-SystemsManager-AutomationAdministrationRole": "AdministrationRole",
    }
    return named.get(name, name)


def who_may(role: str) -> str:
    """The role that a policy which stands by itself belongs to."""
    return "ExecutionRole" if role in ("CarePolicy", "ScriptsPolicy") else role


@pytest.mark.parametrize("role", MAY)
def test_nobody_may_do_what_nobody_needs(role: str, used: set[tuple[str, str]]) -> None:
    unused = {
        action
        for action in MAY[role]
        if (who_may(role), action) not in used and action not in AWS_ASKS and (role, action) not in BESIDE
    }
    assert not unused


def test_what_is_said_to_be_needed_by_aws_alone_is_needed_by_nobody_else(used: set[tuple[str, str]]) -> None:
    assert not {(role, action) for role, action in used if (role, action) in BESIDE or action in AWS_ASKS}


def test_each_permission_taken_away_is_missed(asked: Asked) -> None:
    """Of each statement each action, and each of its resources, once: at least one question is answered otherwise."""
    missed = 0
    for role, policies in {role_of(one): policies for one, policies in asked.items()}.items():
        questions = [one for one in asked if role_of(one) == role]
        for number, poorer in enumerate(poorer_by_one(json.loads(policies))):
            lost, what = poorer
            if all(action in AWS_ASKS or (role, action) in BESIDE for action in listed(what["Action"])):
                continue
            assert not all(judge().allows(json.dumps(lost), one) for one in questions), (role, number, what)
            missed += 1
    assert missed > 60


def poorer_by_one(policies: list[Mapping[str, Any]]) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """The policies without one action of one statement, for each of them."""
    for place, policy in enumerate(policies):
        for number, statement in enumerate(policy["Statement"]):
            for action in listed(statement["Action"]):
                lost = deepcopy([dict(one) for one in policies])
                kept = [one for one in listed(statement["Action"]) if one != action]
                statements = lost[place]["Statement"]
                if kept:
                    statements[number]["Action"] = kept
                else:
                    del statements[number]
                yield lost, {**statement, "Action": action}


def test_only_tagged_instances_are_sent_commands_where_the_spoke_says_so() -> None:
    fleet = organization()
    nodes = {node.name: node for node in fleet.nodes.values()}
    for name in ("a-1", "a-2", "b-1"):
        nodes[name].tags["PatchManaged"] = "true"
    with opened(fleet, speed=20, spoke={"OnlyTagged": "yes"}) as play:
        play.put(runbook="Patchtide-PatchInstance")
        play.run(hours=8)
        assert play.patched() == ["a-1", "a-2", "b-1"]
        assert any("may not ssm:SendCommand" in one for one in play.powers.refused)


def test_a_spoke_of_another_organization_trusts_nobody() -> None:
    with opened(speed=20, spoke={"OrganizationId": "o-somebodyelse"}) as play:
        play.put()
        play.run(hours=8)
        assert play.patched() == []
        assert {one.split(" does not trust ")[0] for one in play.powers.refused} == {
            f"arn:aws:iam::{account}:role/{sample.READ_ROLE}" for account in (ALPHA, BETA)
        }
