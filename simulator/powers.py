"""Who may do what: everybody everything, or what the policies of the templates say.

    world.powers = Policies(hub, organization, judge)

Every call over the wire and every act of Automation asks. What was asked is kept, so that a test can tell which permission
nobody needs, and which of them, taken away, is missed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from simulator.fleet import AUTOMATION, Organization
from simulator.judge import Judge, Question
from simulator.protocol import Caller
from simulator.template import ROOT, Template, load

if TYPE_CHECKING:
    from simulator.wire import Call


@dataclass(frozen=True)
class Place:
    """Where a call goes."""

    account: str
    region: str
    organization: str


Asked = tuple[str, Sequence[str], Mapping[str, str]]
"""An action, what it is done to, and condition keys."""


class Powers:
    """Everybody may do everything."""

    limited = False

    def may(self, principal: str, action: str, resources: Sequence[str], region: str, **context: str) -> bool:
        """Whether the principal may do this to each of the resources. Condition keys are written `iam__passedtoservice`."""
        del principal, action, resources, region, context
        return True

    def trusted(self, role: str, principal: str, **context: str) -> bool:
        """Whether the role lets the principal, an ARN or a service, play it."""
        del role, principal, context
        return True


class Policies(Powers):
    """What the hub's template and the spoke's say, by the judge."""

    limited = True

    def __init__(self, hub: Template, organization: Organization, spoke: Mapping[str, str], judge: Judge) -> None:
        self._hub, self._organization, self._spoke, self._judge = hub, organization, spoke, judge
        self.asked: dict[Question, str] = {}
        self.refused: list[str] = []
        self._roles: dict[str, Mapping[str, Role]] = {}

    def may(self, principal: str, action: str, resources: Sequence[str], region: str, **context: str) -> bool:
        """Whether the policies of the principal's role allow it. Whoever plays no role of ours may do everything."""
        role = self._role_of(principal)
        if role is None:
            return True
        questions = [
            Question(principal, action, resource, region, self._keys({**context, **self._owner_of(action, resource)}))
            for resource in resources
        ]
        self.asked.update(dict.fromkeys(questions, role.policies))
        wrong = [one for one in questions if not self._judge.allows(role.policies, one)]
        self.refused += [f"{principal.split('/')[1]} may not {one.action} on {one.resource}" for one in wrong]
        return not wrong

    def trusted(self, role: str, principal: str, **context: str) -> bool:
        """Whether the role's trust policy names the principal, under its conditions."""
        found = self._role(role.split(":")[4], role.rpartition("/")[2])
        if found is None:
            return True
        # The engine takes an account's root for any service that is named, and for nobody else.
        who = f"arn:aws:iam::{role.split(':')[4]}:root" if principal == AUTOMATION else principal
        question = Question(who, "sts:AssumeRole", role, "", self._keys(context))
        good = self._judge.trusts(found.trust, question)
        if not good:
            self.refused.append(f"{role} does not trust {principal}")
        return good

    def lend(self, account: str, name: str, policy: Mapping[str, Any]) -> None:
        """More rights for a role, as a stack of somebody else's gives them."""
        role = self._role(account, name)
        assert role, f"{account} has no role {name}"  # noqa: S101 - a mistake of the test's
        policies = json.dumps([*json.loads(role.policies), policy])
        self._roles[account] = {**self._roles[account], name: replace(role, policies=policies)}

    def _owner_of(self, action: str, resource: str) -> Mapping[str, str]:
        """The organization of a role that is to be assumed: nothing else of ours is held against it."""
        owned = action == "sts:AssumeRole" and resource.split(":")[4] in self._organization.accounts
        return {"aws__resourceorgid": self._organization.id} if owned else {}

    def _keys(self, context: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        keys = {name.replace("__", ":", 1): value for name, value in context.items()}
        return tuple(sorted({"aws:principalorgid": self._organization.id, **keys}.items()))

    def _role_of(self, principal: str) -> Role | None:
        account, rest = principal.split(":", 5)[4:]
        kind, _, name = rest.partition("/")
        return self._role(account, name.partition("/")[0]) if kind in ("assumed-role", "role") else None

    def _role(self, account: str, name: str) -> Role | None:
        if account not in self._roles:
            hub = account == self._organization.hub
            template = self._hub if hub else Template(_spoke(), account, self._hub.region, self._spoke)
            roles = template.of_type("AWS::IAM::Role")
            more = template.of_type("AWS::IAM::RolePolicy").values()
            self._roles[account] = {
                str(body.get("RoleName", logical)): Role.of(body, [one for one in more if one["RoleName"] == logical])
                for logical, body in roles.items()
            }
        return self._roles[account].get(name)


@dataclass(frozen=True)
class Role:
    """A role's policies and its trust policy, as JSON."""

    policies: str
    trust: str

    @classmethod
    def of(cls, body: Mapping[str, Any], more: Iterable[Mapping[str, Any]]) -> Role:
        """The role of a template, with the policies that stand in resources of their own."""
        policies = [policy["PolicyDocument"] for policy in (*body["Policies"], *more)]
        return cls(json.dumps(policies), json.dumps(body["AssumeRolePolicyDocument"]))


@cache
def _spoke() -> Mapping[str, Any]:
    return load(ROOT / "spoke/template.yaml")


# --- what a call over the wire asks for ---------------------------------------------------------------------------------


Asks = Callable[["Call", Place], Iterator[Asked]]


def asked_by(call: Call, at: Place) -> Iterator[Asked]:
    """The permissions that AWS looks for when it gets this call: action, resources, condition keys.

    From AWS's Service Authorization Reference; of a runbook's start all three kinds of ARN that it has checked over the years.
    """
    kind = f"{call.service}:{call.operation}"
    if kind not in _ASKS:
        raise NotImplementedError(f"nobody has said what {kind} asks for")
    yield from _ASKS[kind](call, at)


def _everything(action: str) -> Asks:
    def asks(call: Call, at: Place) -> Iterator[Asked]:
        del call, at
        yield action, ["*"], {}

    return asks


def _table(action: str) -> Asks:
    def asks(call: Call, at: Place) -> Iterator[Asked]:
        yield action, [_table_arn(call.params, at)], {}

    return asks


def _table_arn(params: Mapping[str, Any], at: Place) -> str:
    index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
    return f"arn:aws:dynamodb:{at.region}:{at.account}:table/{params['TableName']}{index}"


def _transaction(call: Call, at: Place) -> Iterator[Asked]:
    actions = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
    for item in call.params["TransactItems"]:
        ((kind, params),) = item.items()
        yield f"dynamodb:{actions[kind]}", [_table_arn(params, at)], {}


def _batch(call: Call, at: Place) -> Iterator[Asked]:
    for table in call.params["RequestItems"]:
        yield f"dynamodb:{call.operation}", [_table_arn({"TableName": table}, at)], {}


def _send(call: Call, at: Place) -> Iterator[Asked]:
    queue = call.params["QueueUrl"].rpartition("/")[2]
    yield "sqs:SendMessage", [f"arn:aws:sqs:{at.region}:{at.account}:{queue}"], {}


def _form(call: Call) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(call.body.decode()).items()}


def _publish(call: Call, at: Place) -> Iterator[Asked]:
    del at
    yield "sns:Publish", [_form(call)["TopicArn"]], {}


def _assume(call: Call, at: Place) -> Iterator[Asked]:
    del at
    yield "sts:AssumeRole", [_form(call)["RoleArn"]], {}


def _object(action: str) -> Asks:
    def asks(call: Call, at: Place) -> Iterator[Asked]:
        del at
        parts = urlsplit(call.url)
        bucket, _, rest = parts.netloc.partition(".s3.")
        path = unquote(parts.path.lstrip("/"))
        if not rest:
            bucket, _, path = path.partition("/")
        yield action, [f"arn:aws:s3:::{bucket}/{path}"], {}

    return asks


def _parent(action: str) -> Asks:
    def asks(call: Call, at: Place) -> Iterator[Asked]:
        parent = call.params["ParentId"]
        kind = "root" if parent.startswith("r-") else "ou"
        yield action, [f"arn:aws:organizations::000000000000:{kind}/o-simulated00/{parent}"], {}

    return asks


def _execution(action: str) -> Asks:
    def asks(call: Call, at: Place) -> Iterator[Asked]:
        id_ = call.params["AutomationExecutionId"]
        yield action, [f"arn:aws:ssm:{at.region}:{at.account}:automation-execution/{id_}"], {}

    return asks


def document_arn(name: str, account: str, region: str) -> str:
    """The ARN of a document of that account; one of AWS's own belongs to nobody."""
    if name.startswith("arn:"):
        return name
    owner = "" if name.startswith(("AWS-", "Amazon")) else account
    return f"arn:aws:ssm:{region}:{owner}:document/{name}"


def runbook_arns(name: str, version: str, account: str, region: str) -> list[str]:
    """Everything that a start of this runbook may be held against."""
    where = f"arn:aws:ssm:{region}:{account}"
    if name.startswith("arn:"):  # of the old kind of ARN nobody has said how it names another account's
        return [name, f"{where}:automation-execution/*"]
    return [
        f"{where}:document/{name}",
        f"{where}:automation-definition/{name}:{version}",
        f"{where}:automation-execution/*",
    ]


def _start(call: Call, at: Place) -> Iterator[Asked]:
    params = call.params
    version = params.get("DocumentVersion", "$DEFAULT")
    yield "ssm:StartAutomationExecution", runbook_arns(params["DocumentName"], version, at.account, at.region), {}
    if params.get("Tags"):
        yield "ssm:AddTagsToResource", [f"arn:aws:ssm:{at.region}:{at.account}:automation-execution/*"], {}
    for role in params.get("Parameters", {}).get("AutomationAssumeRole", ()):
        yield "iam:PassRole", [role], {"iam:passedtoservice": AUTOMATION}


def _document(call: Call, at: Place) -> Iterator[Asked]:
    yield f"ssm:{call.operation}", [document_arn(call.params["Name"], at.account, at.region)], {}


def _calendars(call: Call, at: Place) -> Iterator[Asked]:
    yield "ssm:GetCalendarState", [document_arn(one, at.account, at.region) for one in call.params["CalendarNames"]], {}


def _group(call: Call, at: Place) -> Iterator[Asked]:
    """AWS says that listing a group's members also takes the permissions by which members are found."""
    name = re.split("[/:]", call.params.get("Group") or call.params.get("GroupName") or "")[-1]
    yield "resource-groups:ListGroupResources", [f"arn:aws:resource-groups:{at.region}:{at.account}:group/{name}"], {}
    yield "tag:GetResources", ["*"], {}
    yield "cloudformation:DescribeStacks", [f"arn:aws:cloudformation:{at.region}:{at.account}:stack/web/1"], {}
    yield "cloudformation:ListStackResources", [f"arn:aws:cloudformation:{at.region}:{at.account}:stack/web/1"], {}


_ASKS: Mapping[str, Asks] = {
    **{
        f"dynamodb:{one}": _table(f"dynamodb:{one}")
        for one in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan")
    },
    "dynamodb:TransactWriteItems": _transaction,
    "dynamodb:BatchGetItem": _batch,
    "dynamodb:BatchWriteItem": _batch,
    "sqs:SendMessage": _send,
    "sqs:SendMessageBatch": _send,
    "sns:Publish": _publish,
    "sts:AssumeRole": _assume,
    "s3:GetObject": _object("s3:GetObject"),
    "s3:HeadObject": _object("s3:GetObject"),
    "s3:PutObject": _object("s3:PutObject"),
    "cloudwatch:DescribeAlarms": _everything("cloudwatch:DescribeAlarms"),
    "organizations:ListAccountsForParent": _parent("organizations:ListAccountsForParent"),
    "organizations:ListOrganizationalUnitsForParent": _parent("organizations:ListOrganizationalUnitsForParent"),
    "ssm:StartAutomationExecution": _start,
    "ssm:DescribeDocument": _document,
    "ssm:ModifyDocumentPermission": _document,
    "ssm:GetCalendarState": _calendars,
    **{
        f"ssm:{one}": _execution(f"ssm:{one}")
        for one in ("GetAutomationExecution", "StopAutomationExecution", "DescribeAutomationStepExecutions")
    },
    **{
        f"ssm:{one}": _everything(f"ssm:{one}")
        for one in (
            "DescribeAutomationExecutions",
            "DescribeInstanceInformation",
            "DescribeInstancePatches",
            "DescribeInstancePatchStates",
            "ListCommandInvocations",
            "ListCommands",
            "ListComplianceItems",
            "CancelCommand",
        )
    },
    "ec2:DescribeInstances": _everything("ec2:DescribeInstances"),
    "resourcegroupstaggingapi:GetResources": _everything("tag:GetResources"),
    "resource-groups:ListGroupResources": _group,
}


def acts(
    service: str, operation: str, params: Mapping[str, Any], account: str, region: str
) -> Iterator[tuple[str, list[str]]]:
    """What a step of a runbook asks for when it calls an API of EC2, of a load balancer or of SSM."""
    where = f"{region}:{account}"
    instance = [f"arn:aws:ec2:{where}:instance/{params.get('InstanceId') or (params.get('InstanceIds') or ['*'])[0]}"]
    match f"{service}:{operation}":
        case "ec2:StartInstances" | "ec2:StopInstances":
            yield f"ec2:{operation}", instance
        case "ec2:CreateImage":
            made = [f"arn:aws:ec2:{region}::image/ami-1", f"arn:aws:ec2:{region}::snapshot/snap-1"]
            yield "ec2:CreateImage", [*instance, *made]
        case "ec2:CreateReplaceRootVolumeTask":
            made = [f"arn:aws:ec2:{where}:volume/vol-1", f"arn:aws:ec2:{where}:replace-root-volume-task/replacevol-1"]
            yield "ec2:CreateReplaceRootVolumeTask", [*instance, f"arn:aws:ec2:{region}::image/ami-1", *made]
        case "elbv2:RegisterTargets" | "elbv2:DeregisterTargets":
            yield f"elasticloadbalancing:{operation}", [params["TargetGroupArn"]]
        case _:
            yield f"{'elasticloadbalancing' if service == 'elbv2' else service}:{operation}", ["*"]


class Guarded:
    """Looks at each call before it has its effect, for a wire's `before`: who asks, and whether that role may.

    A function plays its own role under the template; whoever signs with keys of a role that it assumed plays that one.
    """

    def __init__(
        self, powers: Powers, who: Callable[[], str], identity: Callable[[Call], Caller], organization: str
    ) -> None:
        self._powers, self._who, self._identity, self._organization = powers, who, identity, organization

    def __call__(self, call: Call) -> tuple[str, str] | None:
        """What AWS says to who may not: error code and message."""
        caller = self._identity(call)
        principal = self._who() if caller.arn.endswith(":root") else caller.arn
        if not principal:
            return None  # the operator, not a function
        for action, resources, context in asked_by(call, Place(caller.account, caller.region, self._organization)):
            keys = {name.replace(":", "__"): value for name, value in context.items()}
            if not self._powers.may(principal, action, list(resources), caller.region, **keys):
                said = f"User: {principal} is not authorized to perform: {action} on resource: {resources[0]}"
                return ("AccessDeniedException" if call.service != "sns" else "AuthorizationError"), said
        if call.operation == "AssumeRole" and not self._powers.trusted(_form(call)["RoleArn"], principal):
            return "AccessDenied", f"User: {principal} is not authorized to perform: sts:AssumeRole"
        return None
