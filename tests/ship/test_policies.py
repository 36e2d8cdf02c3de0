"""Every policy that is deployed, read by a linter of policies that knows what IAM knows."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.template import ROOT, Template, load

CHECKOV = ROOT / ".tools/checkov/bin/python"
ACCOUNT, REGION = "999900001111", "eu-west-1"
# What the resources that policies speak of are called. One of another type would be found to have no ARN.
ARNS = {
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}",
    "AWS::Serverless::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
}
HUB_ROLES = {
    "AdministrationRoleArn": f"arn:aws:iam::{ACCOUNT}:role/AWS-SystemsManager-AutomationAdministrationRole",
    "CollectorRoleArn": f"arn:aws:iam::{ACCOUNT}:role/patchtide-collector",
    "HomeRegion": REGION,
}
# Statements that only some parameters bring out.
DEPLOYED: dict[str, list[dict[str, str]]] = {
    "template.yaml": [{}, {"OrganizationId": "o-a1b2c3d4e5", "EnableChat": "yes"}],
    "spoke/template.yaml": [HUB_ROLES, HUB_ROLES | {"OrganizationId": "o-a1b2c3d4e5", "OnlyTagged": "yes"}],
}

# What parliament takes amiss, and why it is right as it is.
SENDING = "RESOURCE_MISMATCH: [{'action': 'ssm:SendCommand', 'required_format': 'arn:*:ssm:*:*:document/*'}]"
KNOWN = {
    (
        "IntakeRole",
        "RESOURCE_MISMATCH: [{'action': 'dynamodb:ListStreams', 'required_format': '*'}]",
    ): "Lambda asks whether the role may list the stream that wakes the function, as SAM's own policy for it has it",
    (
        "DispatcherRole",
        "RESOURCE_STAR: ['cloudwatch:DescribeAlarms']",
    ): "DescribeAlarms returns composite alarms only to who may see all",
    ("ExecutionRole", SENDING): "documents and instances are two statements: instances alone have tags to ask for",
    (
        "ReadRole",
        "RESOURCE_STAR: ['ssm:DescribeInstancePatchStates', 'ssm:DescribeInstancePatches']",
    ): "patch states have had a resource only lately",
}

pytestmark = pytest.mark.skipif(not CHECKOV.exists(), reason="needs `make setup`: parliament")


def findings(policies: dict[str, Any]) -> dict[str, list[str]]:
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own file
        [CHECKOV, "-W", "ignore", "-P", ROOT / "ship/findings.py"],
        input=json.dumps(policies),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def policies() -> dict[str, Any]:
    """Every policy, by its template, which choice of parameters, its resource and its place there."""
    return {
        f"{path} {number} {name}{place}": policy
        for path, choices in DEPLOYED.items()
        for number, parameters in enumerate(choices)
        for name, properties in deployed(path, parameters).items()
        for place, policy in within(properties, name)
    }


def deployed(path: str, parameters: dict[str, str]) -> dict[str, Any]:
    document = load(ROOT / path)
    kinds = {name: body["Type"] for name, body in document["Resources"].items()}

    def attribute(resource: str, name: str) -> str:
        kind = kinds[resource]
        named = name == "Arn" or (kind == "AWS::SNS::Topic" and not name)
        return ARNS.get(kind, "{}").format(resource) if named else resource

    template = Template(document, ACCOUNT, REGION, parameters, attribute)
    return {name: template.resolve(body.get("Properties", {})) for name, body in template.resources.items()}


def within(value: Any, resource: str, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every policy document below a value."""
    if isinstance(value, list):
        for number, entry in enumerate(value):
            yield from within(entry, resource, f"{place}.{number}")
    elif isinstance(value, dict) and "Statement" in value:
        # A role's trust and a key's policy speak of nothing but that role or key, whatever they say.
        own = {".AssumeRolePolicyDocument": "AWS::IAM::Role", ".KeyPolicy": "AWS::KMS::Key"}.get(place)
        itself = {"Resource": ARNS[own].format(resource)} if own else {}
        yield place, value | {"Statement": [statement | itself for statement in value["Statement"]]}
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from within(entry, resource, f"{place}.{name}")


def test_parliament_finds_nothing_in_any_policy_but_what_has_a_reason() -> None:
    everything = policies()
    assert {name.split()[0] for name in everything} == set(DEPLOYED)
    assert len(everything) > 40
    found = {
        (name.split()[2].partition(".")[0], issue) for name, issues in findings(everything).items() for issue in issues
    }
    assert found == set(KNOWN)


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        ({"Action": "dynamodb:GetItems"}, "UNKNOWN_ACTION"),
        ({"Action": "dinamodb:GetItem"}, "UNKNOWN_PREFIX"),
        ({"Resource": ARNS["AWS::SNS::Topic"].format("AlertsTopic")}, "RESOURCE_MISMATCH"),
        ({"Condition": {"StringEquals": {"dynamodb:LeadingKey": "a"}}}, "UNKNOWN_CONDITION_FOR_ACTION"),
    ],
)
def test_parliament_would_find_a_slip(change: dict[str, Any], issue: str) -> None:
    good = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": ARNS["AWS::DynamoDB::Table"].format("Runs")}
    found = findings({"slip": {"Version": "2012-10-17", "Statement": [good | change]}})
    assert [one.partition(":")[0] for one in found["slip"]] == [issue]
