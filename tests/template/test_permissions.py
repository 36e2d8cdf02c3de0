"""Who may do what: the hub's and the spoke's policies, action by action."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import pytest

from patchtide.core.bounds import OURS
from simulator.template import ROOT, Template, load

HUB = load(ROOT / "template.yaml")["Resources"]
SPOKE = load(ROOT / "spoke/template.yaml")["Resources"]

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
PUBLISH = {"sns:Publish", "kms:Decrypt", "kms:GenerateDataKey"}
CHANGE = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}
GROUPS = {
    "tag:GetResources",
    "resource-groups:ListGroupResources",
    "cloudformation:DescribeStacks",
    "cloudformation:ListStackResources",
}
MAY = {
    "IntakeRole": LOGS
    | PUBLISH
    | CHANGE
    | {
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:Query",
        "dynamodb:Scan",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
        "sqs:SendMessage",
    },
    "DispatcherRole": LOGS
    | CHANGE
    | {
        "dynamodb:DeleteItem",
        "dynamodb:Query",
        "sqs:SendMessage",
        "cloudwatch:DescribeAlarms",
        "s3:GetObject",
        "ssm:GetCalendarState",
        "ssm:StartAutomationExecution",
        "ssm:AddTagsToResource",
        "ssm:DescribeDocument",
        "ssm:ModifyDocumentPermission",
        "ssm:DescribeAutomationExecutions",
        "iam:PassRole",
        "organizations:ListAccountsForParent",
        "organizations:ListOrganizationalUnitsForParent",
    },
    "PollerRole": LOGS
    | PUBLISH
    | CHANGE
    | {
        "dynamodb:BatchGetItem",
        "dynamodb:DeleteItem",
        "dynamodb:Query",
        "sqs:SendMessage",
        "ssm:GetAutomationExecution",
        "ssm:DescribeAutomationStepExecutions",
        "ssm:StopAutomationExecution",
    },
    "CollectorRole": LOGS
    | CHANGE
    | {
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "sts:AssumeRole",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
    },
    "ReporterRole": LOGS
    | {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "s3:PutObject",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
    },
    "TickRole": {"lambda:InvokeFunction", "sqs:SendMessage"},
    "AdministrationRole": {"sts:AssumeRole"},
    "ExecutionRole": GROUPS
    | {
        "ssm:StartAutomationExecution",
        "ssm:GetAutomationExecution",
        "ssm:AddTagsToResource",
        "iam:PassRole",
        "ssm:SendCommand",
        "ssm:CancelCommand",
        "ssm:ListCommands",
        "ssm:ListCommandInvocations",
        "ssm:DescribeInstanceInformation",
        "ec2:DescribeInstances",
        "ec2:DescribeTags",
    },
    "CarePolicy": {
        "ec2:CreateImage",
        "ec2:CreateReplaceRootVolumeTask",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceStatus",
        "ec2:DescribeReplaceRootVolumeTasks",
        "ec2:StartInstances",
        "ec2:StopInstances",
        "elasticloadbalancing:DeregisterTargets",
        "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:RegisterTargets",
    },
    "ScriptsPolicy": {"ssm:SendCommand"},
    "ReadRole": GROUPS
    | {
        "ec2:DescribeInstances",
        "ssm:DescribeInstanceInformation",
        "ssm:DescribeInstancePatches",
        "ssm:DescribeInstancePatchStates",
        "ssm:ListCommandInvocations",
        "ssm:ListCommands",
        "ssm:ListComplianceItems",
        "ssm:GetAutomationExecution",
        "ssm:CancelCommand",
        "ssm:StopAutomationExecution",
    },
}

# Every statement on all resources, and why there is no narrower one.
ON_EVERYTHING = {
    ("QueuesPolicy", "OnlyOverTls"): "a queue's policy speaks of that queue",
    ("AlertsKey", "TheAccountsOwnPoliciesDecide"): "a key's policy speaks of that key",
    ("AlertsKey", "AlarmsPublish"): "a key's policy speaks of that key",
    ("DispatcherRole", "LookAtAlarms"): "DescribeAlarms returns composite alarms only to who may see all",
    ("DispatcherRole", "FindWhatItStarted"): "DescribeAutomationExecutions lists, and has no resource of its own",
    ("ExecutionRole", "FindInstancesAndFollowCommands"): "these list, or cancel by a command's id: AWS has no resource",
    ("CarePolicy", "FollowAllThat"): "these list, and have no resource of their own",
    ("ReadRole", "TakeBackWhatWaits"): "a command is cancelled by its id: AWS has no resource for it",
    ("ReadRole", "FindInstancesAndTheirResults"): "these list; patch states have had a resource only lately",
}

# Permissions that are no operation of an API.
NO_OPERATION = {"iam:PassRole", "lambda:InvokeFunction", "s3:ListBucket"}
MODELS = {
    "dynamodb": ("dynamodb", "dynamodbstreams"),
    "tag": ("resourcegroupstaggingapi",),
    "elasticloadbalancing": ("elbv2",),
}


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every policy, with the resource it belongs to; those of trust are among them."""
    for resources in (HUB, SPOKE):
        for name, body in resources.items():
            if body["Type"] != "AWS::SSM::Document":
                yield from ((name, statement) for statement in _within(body))


def _within(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "Effect" in value and "Action" in value:
            yield value
        else:
            for inner in value.values():
                yield from _within(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _within(inner)


def listed(value: Any) -> list[Any]:
    """What is there, an entry that only some parameters bring out among it."""
    entries = value if isinstance(value, list) else [value]
    return [one["Fn::If"][1] if isinstance(one, dict) and "Fn::If" in one else one for one in entries]


def of_role(name: str) -> Iterator[dict[str, Any]]:
    properties = {**HUB, **SPOKE}[name]["Properties"]
    for policy in properties.get("Policies", [properties]):
        yield from _within(policy["PolicyDocument"]["Statement"])


def trust(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = {**HUB, **SPOKE}[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    return found


def test_no_policy_names_actions_by_a_wildcard() -> None:
    assert not [
        (name, action) for name, statement in statements() for action in listed(statement["Action"]) if "*" in action
    ]


def test_whoever_speaks_of_all_resources_has_a_reason() -> None:
    found = {(name, statement["Sid"]) for name, statement in statements() if "*" in listed(statement.get("Resource"))}
    assert found == set(ON_EVERYTHING)


def test_every_role_is_known_here() -> None:
    kinds = ("AWS::IAM::Role", "AWS::IAM::RolePolicy")
    assert {name for name, body in {**HUB, **SPOKE}.items() if body["Type"] in kinds} == set(MAY)


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_what_it_needs_and_nothing_else(role: str) -> None:
    assert {action for statement in of_role(role) for action in listed(statement["Action"])} == MAY[role]
    assert all(statement["Effect"] == "Allow" and statement["Sid"] for statement in of_role(role))


@pytest.mark.parametrize("role", ["DispatcherRole", "PollerRole"])
def test_who_asks_the_indexes_may(role: str) -> None:
    resources = [
        resource["Fn::Sub"]
        for statement in of_role(role)
        if statement["Action"] == "dynamodb:Query"
        for resource in listed(statement["Resource"])
    ]
    assert resources == ["${RunsTable.Arn}/index/due", "${RunsTable.Arn}/index/problems"]


def test_every_action_exists() -> None:
    actions = {action for _, statement in statements() for action in listed(statement["Action"])} - NO_OPERATION
    assert not {action for action in actions if action.split(":")[1] not in operations(action.split(":")[0])}


@cache
def operations(prefix: str) -> frozenset[str]:
    loaded = [botocore.session.get_session().get_service_model(service) for service in MODELS.get(prefix, (prefix,))]
    return frozenset(name for model in loaded for name in model.operation_names)


@pytest.mark.parametrize("role", ["DispatcherRole", "ExecutionRole"])
def test_a_role_is_lent_to_automation_and_to_nobody_else(role: str) -> None:
    (lending,) = (statement for statement in of_role(role) if statement["Action"] == "iam:PassRole")
    assert lending["Condition"] == {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}}
    assert lending["Resource"] != "*"


@pytest.mark.parametrize("role", ["DispatcherRole", "ExecutionRole"])
def test_starting_is_allowed_by_all_three_kinds_of_arn(role: str) -> None:
    (starting,) = (statement for statement in of_role(role) if statement["Action"] == "ssm:StartAutomationExecution")
    kinds = {arn["Fn::Sub"].split(":")[-1 if ":*" not in arn["Fn::Sub"][-2:] else -2] for arn in starting["Resource"]}
    assert {kind.split("/")[0] for kind in kinds} == {"document", "automation-definition", "automation-execution"}
    assert {kind.split("/")[1] for kind in kinds} == {*OURS, "*"}
    assert [kind for kind in kinds if kind.endswith("/*")] == ["automation-execution/*"]


# --- runbooks of people's own ------------------------------------------------------------------------------------------


def dispatcher(own: str, share: str = "no") -> list[dict[str, Any]]:
    """The dispatcher's statements where these runbooks are given, and shared or not."""
    parameters = {"OwnRunbooks": own, "ShareOwnRunbooks": share}
    template = Template(load(ROOT / "template.yaml"), "999900001111", "eu-west-1", parameters)
    found: list[dict[str, Any]] = template.of_type("AWS::IAM::Role")["DispatcherRole"]["Policies"][0]["PolicyDocument"][
        "Statement"
    ]
    return found


def usable(own: str) -> set[str]:
    """What the dispatcher may look at and start, without Patchtide's own."""
    (used,) = (one for one in dispatcher(own) if one["Sid"] == "LookAtOwnRunbooksAndStartThem")
    assert used["Action"] == ["ssm:DescribeDocument", "ssm:StartAutomationExecution"]
    return {
        arn.removeprefix("arn:aws:ssm:eu-west-1:999900001111:") for arn in used["Resource"] if "Patchtide-" not in arn
    }


def test_runbooks_are_shared_only_where_people_want_that() -> None:
    assert "ssm:ModifyDocumentPermission" not in str(dispatcher("Acme-Patch"))
    sharing = [one for one in dispatcher("Acme-Patch", "yes") if "ssm:ModifyDocumentPermission" in one["Action"]]
    assert [one["Sid"] for one in sharing] == ["LookAtOwnRunbooksAndStartThem"]
    assert "ssm:ModifyDocumentPermission" not in str(dispatcher("", "yes"))


def test_without_runbooks_of_ones_own_there_is_no_statement_and_no_wildcard() -> None:
    assert "LookAtOwnRunbooksAndStartThem" not in {one["Sid"] for one in dispatcher("")}
    resources = [arn for one in dispatcher("") if "ssm:DescribeDocument" in one["Action"] for arn in one["Resource"]]
    assert resources
    assert not [arn for arn in resources if "*" in arn]


def test_a_runbook_of_ones_own_is_reached_by_its_name_and_a_shared_one_by_its_arn() -> None:
    assert usable("Acme-Patch") == {"document/Acme-Patch", "automation-definition/Acme-Patch:*"}
    shared = "arn:aws:ssm:eu-west-1:111122223333:document/Shared"
    found = usable(f"Acme-Patch@{'a' * 64},{shared}@{'b' * 64},Acme-Scan,{shared}-2,Acme-Last")
    nothing = {f"automation-definition/{arn}:*" for arn in (shared, f"{shared}-2")}  # a document has no such name
    assert nothing < found
    assert found - nothing == {shared, f"{shared}-2"} | {
        f"{kind}{name}{end}"
        for name in ("Acme-Patch", "Acme-Scan", "Acme-Last")
        for kind, end in (("document/", ""), ("automation-definition/", ":*"))
    }


def test_the_policy_fits_however_long_the_names_are() -> None:
    own = ",".join(f"{'x' * 127}{number}@{'a' * 64}" for number in range(5))
    assert re.search(load(ROOT / "template.yaml")["Parameters"]["OwnRunbooks"]["AllowedPattern"], own)
    assert len(json.dumps(dispatcher(own), separators=(",", ":"))) < 10_000  # IAM takes 10,240 of a role


@pytest.mark.parametrize(
    "own",
    ["*", "Acme-*", "a,b", "Acme-Patch,", ",Acme", "A B C", "Acme@abc", "arn:aws:ssm:*:*:document/Acme", "a" * 129],
)
def test_a_list_that_would_widen_is_no_list(own: str) -> None:
    assert not re.search(load(ROOT / "template.yaml")["Parameters"]["OwnRunbooks"]["AllowedPattern"], own)


def test_six_are_too_many() -> None:
    pattern = load(ROOT / "template.yaml")["Parameters"]["OwnRunbooks"]["AllowedPattern"]
    assert re.search(pattern, ",".join(["Acme"] * 5))
    assert not re.search(pattern, ",".join(["Acme"] * 6))


# --- one organization ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["AdministrationRole", "CollectorRole"])
def test_the_hub_reaches_no_role_outside_of_its_organization(role: str) -> None:
    (reaching,) = (statement for statement in of_role(role) if statement["Action"] == "sts:AssumeRole")
    condition, given, _ = reaching["Condition"]["Fn::If"]
    assert (condition, given) == ("HasOrganization", {"StringEquals": {"aws:ResourceOrgID": {"Ref": "OrganizationId"}}})


def test_the_bucket_gives_nothing_but_overrides_and_only_to_its_organization() -> None:
    policy = {"OrganizationId": "o-a1b2c3d4e5"}
    for parameters, most in (({}, 0), (policy, 1)):
        template = Template(load(ROOT / "template.yaml"), "999900001111", "eu-west-1", parameters)
        (document,) = (one["PolicyDocument"] for one in template.of_type("AWS::S3::BucketPolicy").values())
        allowed = [one for one in document["Statement"] if one["Effect"] == "Allow"]
        assert len(allowed) == most
        for one in allowed:
            assert (one["Action"], one["Resource"]) == ("s3:GetObject", "ReportsBucket.Arn/overrides/*")
            assert one["Condition"] == {
                "StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"},
                "Bool": {"aws:SecureTransport": True},
            }


# --- the spoke -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "hub"), [("ExecutionRole", "AdministrationRoleArn"), ("ReadRole", "CollectorRoleArn")]
)
def test_a_spoke_trusts_one_role_of_the_hub_and_asks_for_its_organization(role: str, hub: str) -> None:
    first = trust(role)[0]
    assert first["Principal"] == {"AWS": {"Ref": hub}}
    condition, given, _ = first["Condition"]["Fn::If"]
    assert (condition, given) == (
        "HasOrganization",
        {"StringEquals": {"aws:PrincipalOrgID": {"Ref": "OrganizationId"}}},
    )


@pytest.mark.parametrize("role", ["ExecutionRole", "ReadRole", "AdministrationRole"])
def test_nobody_is_trusted_at_large(role: str) -> None:
    for statement in trust(role):
        assert ":root" not in str(statement["Principal"])
        assert statement["Principal"] != "*"
        if "Service" in statement["Principal"]:
            assert set(statement["Condition"]) == {"StringEquals", "ArnLike"}
            assert "aws:SourceAccount" in statement["Condition"]["StringEquals"]
            assert "aws:SourceArn" in statement["Condition"]["ArnLike"]


def test_a_spoke_can_be_sent_nothing_but_the_patch_baseline() -> None:
    sending = [statement for statement in of_role("ExecutionRole") if statement["Action"] == "ssm:SendCommand"]
    resources = [resource["Fn::Sub"] for statement in sending for resource in listed(statement["Resource"])]
    assert [resource.split(":")[-1] for resource in resources] == [
        "document/AWS-RunPatchBaseline",
        "instance/*",
        "managed-instance/*",
    ]


def test_a_spoke_can_keep_untagged_instances_out_of_reach() -> None:
    (instances,) = (statement for statement in of_role("ExecutionRole") if statement["Sid"] == "SendThemToInstances")
    condition, tagged, _ = instances["Condition"]["Fn::If"]
    assert (condition, tagged) == ("PatchesOnlyTagged", {"StringEquals": {"ssm:resourceTag/PatchManaged": "true"}})


def test_a_spoke_has_its_roles_once_and_its_runbooks_wherever_the_hub_has_none() -> None:
    conditions = {
        body["Type"]: {other["Condition"] for other in SPOKE.values() if other["Type"] == body["Type"]}
        for body in SPOKE.values()
    }
    assert conditions == {
        "AWS::IAM::Role": {"IsHome"},
        "AWS::IAM::RolePolicy": {"MayRunScripts", "MayTakeCare"},
        "AWS::ResourceGroups::Group": {"MakesGroup"},
        "AWS::SSM::Document": {"NeedsRunbooks"},
    }


def test_the_spokes_template_fits_into_a_request() -> None:
    assert (ROOT / "spoke/template.yaml").stat().st_size <= 51_200
