"""What the linter says of runbooks: of ours nothing, of the blog's what it does to servers, of broken ones where and what."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cli.lint import lint
from cli.lint.finding import Severity
from cli.lint.schema import ACTIONS
from cli.main import app
from runbooks.embed import RUNBOOKS
from simulator.template import ROOT

runner = CliRunner()
GONE = object()  # what is left out

# One of each kind, and nothing wrong with it.
WHOLE = """\
schemaVersion: "0.3"
description: Patches one server, behind an approval.
assumeRole: "{{ Role }}"
parameters:
  Role: {type: "AWS::IAM::Role::Arn", description: The role., default: ""}
  InstanceId: {type: String, description: The server.}
  Operation: {type: String, description: What to do., allowedValues: [Scan, Install], default: Scan}
  SnapshotId: {type: String, description: The snapshot., default: "", allowedPattern: "(^$)|^[0-9a-f-]{36}$"}
  RebootOption: {type: String, description: Whether to reboot., default: NoReboot}
  NotAfter: {type: String, description: Until when it may start.}
  Servers: {type: StringList, description: More servers., minItems: 0, maxItems: 5}
  Image: {type: String, description: An image., default: "{{ ssm:/images/web }}"}
variables:
  tries: {type: Integer, default: 0}
mainSteps:
  - name: fence
    action: aws:executeScript
    timeoutSeconds: 60
    inputs:
      Runtime: python3.11
      Handler: fence
      InputPayload: {NotAfter: "{{ NotAfter }}"}
      Script: |
        import json
        import boto3
        def fence(events, context):
            return {"Left": 3600}
    outputs:
      - {Name: Left, Selector: $.Payload.Left, Type: Integer}
  - name: ask
    action: aws:approve
    onFailure: Abort
    inputs:
      Approvers: ["{{ Role }}", jane]
      MinRequiredApprovals: 1
      NotificationArn: arn:aws:sns:eu-west-1:111122223333:Automation-asks
      Message: May {{ automation:EXECUTION_ID }} begin?
  - name: look
    action: aws:executeAwsApi
    onCancel: step:tidy
    inputs:
      Service: ec2
      Api: DescribeInstances
      InstanceIds: ["{{ InstanceId }}"]
    outputs:
      - {Name: Platform, Selector: "$.Reservations[0].Instances[0].PlatformDetails"}
      - {Name: Ids, Selector: $.Reservations..InstanceId, Type: StringList}
  - name: choose
    action: aws:branch
    inputs:
      Choices:
        - {NextStep: image, Variable: "{{ look.Platform }}", StringEquals: Windows}
        - NextStep: patch
          And:
            - {Variable: "{{ look.Platform }}", StartsWith: Linux}
            - Not: {Variable: "{{ Operation }}", StringEquals: Scan}
      Default: image
  - name: image
    action: aws:createImage
    inputs: {InstanceId: "{{ InstanceId }}", ImageName: "before-{{ global:DATE }}", NoReboot: true}
  - name: patch
    action: aws:runCommand
    timeoutSeconds: 10800
    maxAttempts: 1
    onFailure: step:tidy
    inputs:
      DocumentName: AWS-RunPatchBaseline
      InstanceIds: ["{{ InstanceId }}"]
      TimeoutSeconds: "{{ fence.Left }}"
      Comment: run {{ automation:EXECUTION_ID }}
      Parameters:
        Operation: "{{ Operation }}"
        SnapshotId: "{{ SnapshotId }}"
        RebootOption: "{{ RebootOption }}"
  - name: each
    action: aws:loop
    inputs:
      Iterators: "{{ Servers }}"
      IteratorDataType: String
      MaxIterations: 5
      Steps:
        - name: stop
          action: aws:changeInstanceState
          inputs: {InstanceIds: ["{{ each.CurrentIteratorValue }}"], DesiredState: stopped, CheckStateOnly: false}
        - name: rest
          action: aws:sleep
          inputs: {Duration: PT1M30S}
  - name: ready
    action: aws:waitForAwsResourceProperty
    timeoutSeconds: 600
    inputs:
      Service: ec2
      Api: describe_instance_status
      InstanceIds: "{{ look.Ids }}"
      PropertySelector: $.InstanceStatuses[0].InstanceState.Name
      DesiredValues: [running]
    nextStep: count
  - name: count
    action: aws:updateVariable
    inputs: {Name: "variable:tries", Value: 1}
  - name: tag
    action: aws:createTags
    isCritical: false
    onFailure: Continue
    inputs:
      ResourceIds: ["{{ image.ImageId }}"]
      Tags: [{Key: tries, Value: "{{ variable:tries }}"}, {Key: base, Value: "{{ Image }}"}]
    isEnd: true
  - name: tidy
    action: aws:executeAutomation
    inputs:
      DocumentName: Tidy
      RuntimeParameters: {Region: "{{ global:REGION }}", Snapshot: "{{ SnapshotId }}"}
outputs:
  - patch.CommandId
  - look.Platform
"""


def plain(text: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return found


def written(said: Any) -> bytes:
    into = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.width = 10_000
    yaml.dump(said, into)
    return into.getvalue().encode("utf-8", "surrogatepass")


def put(said: Any, where: str, value: Any) -> Any:
    """The same with another value at a path, or without what is there."""
    *way, last = [int(one) if one.isdigit() else one for one in re.findall(r"[^.\[\]]+", where)]
    made = inner = deepcopy(said)
    for one in way:
        inner = inner[one]
    if value is GONE:
        del inner[last]
    elif isinstance(inner, list) and last == len(inner):
        inner.append(value)
    else:
        inner[last] = value
    return made


def told(content: bytes | str) -> list[tuple[str, str]]:
    return [(one.path, one.code) for one in lint(content.encode() if isinstance(content, str) else content)]


def told_of(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    return told(written(said))


def made(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A runbook of these steps."""
    return {"schemaVersion": "0.3", "description": "Some steps.", "mainSteps": list(steps), **more}


def alone(action: str, inputs: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A runbook of one step."""
    return made({"name": "only", "action": action, "inputs": dict(inputs), **more})


def sleep(name: str, **more: Any) -> dict[str, Any]:
    """A step that does no harm."""
    return {"name": name, "action": "aws:sleep", "inputs": {"Duration": "PT1S"}, **more}


# --- ours, and the blog's -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_nothing_is_wrong_with_our_own_runbooks(path: Path) -> None:
    assert lint(path.read_bytes()) == ()


def test_nothing_is_wrong_with_a_runbook_of_every_kind_of_step() -> None:
    assert lint(WHOLE.encode()) == ()
    assert lint(written(plain(WHOLE))) == ()


BLOG = """\
description: Runs AWS-RunPatchBaseline on one instance
schemaVersion: "0.3"
assumeRole: "{{ AutomationAssumeRole }}"
parameters:
  AutomationAssumeRole: {type: String, description: The role to run as, default: ""}
  Operation: {type: String, description: Scan or Install, allowedValues: [Scan, Install]}
  SnapshotId: {type: String, description: The snapshot of the baseline, default: ""}
  InstanceId: {type: String, description: The instance to patch}
  InstallOverrideList: {type: String, description: What to install instead, default: ""}
mainSteps:
  - name: runPatchBaseline
    action: aws:runCommand
    timeoutSeconds: 120
    maxAttempts: 3
    onFailure: Abort
    inputs:
      DocumentName: AWS-RunPatchBaseline
      InstanceIds: ["{{ InstanceId }}"]
      Parameters:
        Operation: "{{ Operation }}"
        SnapshotId: "{{ SnapshotId }}"
        InstallOverrideList: "{{ InstallOverrideList }}"
outputs:
  - runPatchBaseline.Output
"""


def test_the_blogs_runbook_is_found_to_give_up_early_and_to_patch_twice() -> None:
    found = {one.code: one for one in lint(BLOG.encode())}
    errors = [one for one in found.values() if one.severity is Severity.ERROR]
    assert [(one.line, one.path, one.code) for one in errors] == [
        (13, "mainSteps[0].timeoutSeconds", "patch-timeout"),
        (14, "mainSteps[0].maxAttempts", "patch-attempts"),
    ]
    assert errors[0].message == "after 120 seconds the step would end TimedOut while the server is still being patched"
    assert errors[1].message == "it is tried 3 times, and a second command breaks a first that still runs"
    assert set(found) - {"patch-timeout", "patch-attempts"} == {"patch-fence", "patch-reboot"}


def test_it_is_found_out_under_other_names_too() -> None:
    for name in (
        "AWS-RunPatchBaselineWithHooks",
        "Acme-RunPatchBaseline",
        "arn:aws:ssm:eu-west-1:111122223333:document/Acme-RunPatchBaseline",
        "AWS-ApplyPatchBaseline",
    ):
        codes = {code for _, code in told(BLOG.replace("AWS-RunPatchBaseline\n", f"{name}\n"))}
        assert {"patch-timeout", "patch-attempts"} <= codes
    by_parameter = put(plain(BLOG), "mainSteps[0].inputs.DocumentName", "{{ Document }}")
    document = {"type": "String", "description": "Which.", "default": "AWS-RunPatchBaseline"}
    by_parameter = put(by_parameter, "parameters.Document", document)
    assert {"patch-timeout", "patch-attempts"} <= {code for _, code in told_of(by_parameter)}


def test_a_command_that_does_not_patch_may_be_short_and_tried_again() -> None:
    assert told(BLOG.replace("AWS-RunPatchBaseline\n", "AWS-RunShellScript\n")) == []


# --- what can be wrong --------------------------------------------------------------------------------------------------

# A value at a path of WHOLE, and what is told of it: the path (of the change itself where it is ""), and the code.
Row = tuple[str, Any, str, str]

PATCH = "mainSteps[5]"
LOOP = "mainSteps[6]"
SCRIPT = "mainSteps[0].inputs.Script"
LOOK = "mainSteps[2]"
CHOICES = "mainSteps[3].inputs.Choices"


def each(where: str, code: str, *values: Any, at: str = "") -> list[Row]:
    return [(where, value, at, code) for value in values]


MALFORMED: list[Row] = [
    # The top.
    *each("schemaVersion", "missing", GONE),
    *each("schemaVersion", "schema-version", "0.4", "2.2", 3, None, 0.3),
    *each("mainStep", "unknown", []),
    *each("description", "no-description", "", GONE),
    *each("assumeRole", "assume-role", "{{ ssm:/role }}", "admin", "arn:aws:iam::111122223333:user/me"),
    *each("assumeRole", "reference", "{{ Rolle }}"),
    *each("outputs[0]", "reference", "patch", "nobody.CommandId", "patch.CommandIds", "choose.Anything"),
    *each("outputs[0]", "type", 5),
    *each("outputs", "type", "patch.CommandId", {"patch": {}}),
    *each("files", "files-unused", {"a.zip": {"checksums": {"sha256": "0"}}}),
    *each("variables.tries", "missing", {"default": 0}, at="variables.tries.type"),
    *each("variables.tries.type", "parameter-type", "Number"),
    # Parameters.
    *each("parameters.InstanceId", "type", "String"),
    *each("parameters.InstanceId.type", "missing", GONE),
    *each("parameters.InstanceId.type", "parameter-type", "string", "Text", "AWS::EC2::VPC::Id"),
    *each("parameters.InstanceId.descripton", "unknown", "The server."),
    *each("parameters.InstanceId.description", "no-description", GONE),
    *each("parameters.InstanceId.allowedPattern", "pattern-compile", "^(i-", "[z-a]", "x{2,1}"),
    *each("parameters.InstanceId.displayType", "choice", "textbox"),
    *each("parameters.Operation.default", "default-value", "Reboot", "scan"),
    *each("parameters.SnapshotId.default", "default-pattern", "none"),
    *each("parameters.SnapshotId.default", "default-type", 7),
    *each("parameters.Servers.maxItems", "range", -1),
    *each("parameters.Servers.minItems", "range", 9, at="parameters.Servers.maxItems"),
    *each("parameters.Servers.default", "default-type", "i-1"),
    *each("parameters.Image.default", "reference-nested", "{{ InstanceId }}"),
    *each("parameters.Image.default", "reference-syntax", "{{ look.Platform }}"),
    *each("parameters.Unused", "unused-parameter", {"type": "String", "description": "Nothing."}),
    *each("parameters." + "x" * 51, "range", {"type": "String", "description": "Long."}),
    # Steps.
    *each("mainSteps[1]", "type", "a step"),
    *each("mainSteps[1].action", "missing", GONE),
    *each("mainSteps[1].action", "action", "aws:aprove", "approve", "aws:runDocument", "", 5, None),
    *each("mainSteps[1].inputs", "missing", GONE),
    *each("mainSteps[1].name", "pattern", "ask me", "ask-me", ""),
    *each("mainSteps[1].name", "missing", GONE),
    *each("mainSteps[1].timeoutSecond", "unknown", 60),
    *each("mainSteps[1].precondition", "unknown", {}),
    *each("mainSteps[1].timeoutSeconds", "type", "soon", 1.5, [60], None, "60"),
    *each("mainSteps[1].timeoutSeconds", "range", 0, -5),
    *each("mainSteps[1].timeoutSeconds", "timeout", 31 * 86_400),
    *each("mainSteps[0].timeoutSeconds", "timeout", 601),
    *each(f"{LOOK}.timeoutSeconds", "timeout", 26),
    *each("mainSteps[1].maxAttempts", "range", 0),
    *each("mainSteps[1].isCritical", "type", "perhaps", 1, "true"),
    *each("mainSteps[1].onFailure", "choice", "Ignore", "abort"),
    *each("mainSteps[1].onFailure", "reference-step", "{{ Operation }}", "step:{{ Operation }}"),
    *each("mainSteps[1].timeoutSeconds", "reference-step", "{{ Operation }}"),
    *each("mainSteps[1].onFailure", "target", "step:nobody", "step:loook"),
    *each("mainSteps[1].onFailure", "target-outside", "step:stop"),
    *each("mainSteps[1].nextStep", "target", "nobody", ""),
    *each(f"{CHOICES}[0].NextStep", "target", "imag"),
    *each("mainSteps[3].inputs.Default", "target", "nobody"),
    *each(f"{LOOP}.inputs.Steps[0].nextStep", "target", "sleep"),
    *each(f"{LOOK}.onCancel", "on-cancel", "step:ask", "step:image", "step:tag"),
    *each(f"{LOOK}.onCancel", "choice", "Continue"),
    *each(f"{LOOP}.onCancel", "on-cancel", "step:tidy"),
    *each("mainSteps[8].onCancel", "on-cancel", "step:tidy"),
    *each("mainSteps[9].nextStep", "end-and-next", "tidy"),
    *each("mainSteps[7].nextStep", "unreachable", "tidy", at="mainSteps[8]"),
    *each(f"{LOOK}.outputs[0].Selector", "selector", "Reservations[0]"),
    *each(f"{LOOK}.outputs[0].Selector", "missing", GONE),
    *each(f"{LOOK}.outputs[0].Type", "choice", "Text", "string"),
    *each(f"{LOOK}.outputs[0].Typ", "unknown", "String"),
    *each(f"{LOOK}.outputs[1].Name", "reference", "Idss", at="mainSteps[7].inputs.InstanceIds"),
    # References.
    *each("mainSteps[1].inputs.Message", "reference", "{{ Instanceid }}", "{{ nobody.Output }}", "{{ fence.left }}"),
    *each("mainSteps[1].inputs.Message", "reference", "{{ global:TODAY }}", "{{ automation:ID }}", "{{ variable:x }}"),
    *each("mainSteps[1].inputs.Message", "reference-ssm", "{{ ssm:/message }}", "{{ssm:message}}"),
    *each("mainSteps[1].inputs.Message", "reference-nested", "{{ fence.{{ Operation }} }}", "{{ {{ Operation }}"),
    *each("mainSteps[1].inputs.Message", "reference-order", "{{ look.Platform }}", "{{ ask.ApprovalStatus }}"),
    *each(
        "mainSteps[1].inputs.Message", "reference-syntax", "{{ .Names }}", "{{ a | b }}", "{{}}", "{{ resolve:ssm:x }}"
    ),
    *each("mainSteps[1].inputs.Message", "reference-deep", "{{ fence.Payload.Left }}"),
    *each("mainSteps[1].inputs.Message", "reference-order", "{{ each.CurrentIteratorValue }}"),
    *each(f"{LOOP}.inputs.Iterators", "reference-type", "{{ InstanceId }}"),
    # Scripts.
    *each("mainSteps[0].inputs.Runtime", "runtime", "python", "nodejs20", "python3.99", "Python3.11", "python3.8"),
    *each("mainSteps[0].inputs.Handler", "handler", "fenc", "json"),
    *each("mainSteps[0].inputs.Handler", "missing", GONE, at="mainSteps[0].inputs.Handler"),
    *each(SCRIPT, "missing", GONE),
    *each(SCRIPT, "script-syntax", "def fence(events, context)\n    return 1", "  def fence(e, c): pass", "\x00"),
    *each(SCRIPT, "script-import", "import requests\ndef fence(events, context): pass"),
    *each(SCRIPT, "script-reference", "def fence(events, context):\n    return '{{ Operation }}'"),
    *each(SCRIPT, "handler", "def fence(): pass", "def fence(events): pass", at="mainSteps[0].inputs.Handler"),
    *each(
        SCRIPT, "handler", "def fence(a, b, c): pass", "def fence(a, b, *, c): pass", at="mainSteps[0].inputs.Handler"
    ),
    # Calls.
    *each(f"{LOOK}.inputs.Service", "service", "ecc", "EC2", "nothing-like-it"),
    *each(f"{LOOK}.inputs.Service", "missing", GONE),
    *each(f"{LOOK}.inputs.Api", "api", "DescribeInstance", "describe_instance", "describeInstances", "Reboot"),
    *each(f"{LOOK}.inputs.InstanceId", "api-parameter", "i-1"),
    *each("mainSteps[7].inputs.PropertySelector", "selector", "InstanceStatuses[0]"),
    *each("mainSteps[7].inputs.DesiredValues", "range", []),
    *each("mainSteps[7].inputs.DesiredValues[0]", "desired-boolean", "true"),
    # Branches and loops.
    *each(f"{CHOICES}[0].NextStep", "missing", GONE),
    *each(f"{CHOICES}[0].Variable", "missing", GONE),
    *each(f"{CHOICES}[0].StringEqual", "operator", "Windows"),
    *each(f"{CHOICES}[0].StringEquals", "operator", GONE, at=f"{CHOICES}[0]"),
    *each(f"{CHOICES}[0].EndsWith", "exclusive", "s", at=f"{CHOICES}[0]"),
    *each(f"{CHOICES}[1].And", "type", "both"),
    *each(f"{CHOICES}[1].And[1].Not.Variable", "missing", GONE),
    *each(f"{LOOP}.inputs.MaxIterations", "range", 0, 101),
    *each(f"{LOOP}.inputs.IteratorDataType", "choice", "Text", "string"),
    *each(f"{LOOP}.inputs.LoopCondition", "exclusive", {"Variable": "{{ Operation }}", "StringEquals": "Scan"}),
    *each(f"{LOOP}.inputs.Iterators", "missing", GONE),
    *each(f"{LOOP}.inputs.Steps[1].inputs.Duration", "duration", "10m", "P", "PT", "P1M", "-PT5M"),
    *each(f"{LOOP}.inputs.Steps[1].inputs.Duration", "range", "P7D", "PT604800S", "P2W"),
    *each(f"{LOOP}.inputs.Steps[1].inputs.Timestamp", "exclusive", "2027-01-31T22:00:00Z"),
    *each(f"{LOOP}.inputs.Steps[1].inputs", "missing", {}, at=f"{LOOP}.inputs.Steps[1].inputs.Duration"),
    *each(
        f"{LOOP}.inputs.Steps[1].inputs",
        "timestamp",
        {"Timestamp": "tonight"},
        at=f"{LOOP}.inputs.Steps[1].inputs.Timestamp",
    ),
    # Other inputs.
    *each("mainSteps[1].inputs.Aprovers", "unknown", []),
    *each("mainSteps[1].inputs.Approvers", "range", [], [str(number) for number in range(11)]),
    *each("mainSteps[1].inputs.MinRequiredApprovals", "range", 0),
    *each("mainSteps[1].inputs.Message", "range", "x" * 4097),
    *each("mainSteps[1].inputs.NotificationArn", "topic", "arn:aws:sns:eu-west-1:111122223333:asks"),
    *each("mainSteps[4].inputs.NoReboot", "image-reboots", GONE, at="mainSteps[4]"),
    *each("mainSteps[4].inputs.NoReboot", "type", "yes", "true"),
    *each("mainSteps[4].inputs.SnapshotLocation", "undocumented-input", "regional"),
    *each(f"{LOOP}.inputs.Steps[0].inputs.DesiredState", "choice", "halted", "Stopped"),
    *each("mainSteps[9].inputs.ResourceType", "choice", "Instance"),
    *each("mainSteps[8].inputs.Name", "pattern", "tries"),
    *each("mainSteps[10].inputs.Targets", "missing", [{"Key": "tag:a"}], at="mainSteps[10].inputs.TargetParameterName"),
    *each("mainSteps[10].inputs.DocumentName", "pattern", "Tidy up!"),
    *each("mainSteps[10].inputs.MaxErrors", "pattern", "many", "101%"),
    # Commands.
    *each(f"{PATCH}.inputs.InstanceIds", "missing", GONE),
    *each(f"{PATCH}.inputs.InstanceIds", "range", [f"i-{number}" for number in range(51)]),
    *each(f"{PATCH}.inputs.InstanceIds", "type", "i-0123456789abcdef0"),
    *each(f"{PATCH}.inputs.TimeoutSeconds", "range", 29),
    *each(f"{PATCH}.inputs.MaxConcurrency", "pattern", "0", "200%"),
    *each(f"{PATCH}.inputs.Comment", "range", "x" * 101),
    *each(f"{PATCH}.inputs.Comment", "range", "x" * 101 + "{{ Operation }}"),
    *each(f"{PATCH}.inputs.TimeoutInSeconds", "unknown", 30),
    *each(f"{PATCH}.inputs.DocumentHashType", "choice", "Md5"),
    # Patching sense.
    *each(f"{PATCH}.timeoutSeconds", "patch-timeout", 120, 7199),
    *each(f"{PATCH}.timeoutSeconds", "patch-timeout", GONE, at=PATCH),
    *each(f"{PATCH}.inputs.TimeoutSeconds", "patch-timeout", 3601, at=f"{PATCH}.timeoutSeconds"),
    *each(f"{PATCH}.maxAttempts", "patch-attempts", 2),
    *each(f"{PATCH}.onFailure", "patch-attempts", "step:ask"),
    *each(f"{PATCH}.inputs.Parameters.RebootOption", "patch-reboot", GONE),
    *each(f"{PATCH}.inputs.Parameters.SnapshotId", "patch-snapshot", GONE, "", "5eeda5ca-0000-4000-8000-000000000000"),
    *each(f"{PATCH}.inputs.Parameters.Operation", "patch-install", "Install", ["Install"]),
    *each(f"{PATCH}.inputs.Parameters.Operation", "patch-parameter", "install", "Patch", GONE),
    *each(f"{PATCH}.inputs.Parameters.RebootOption", "patch-parameter", "Never"),
    *each(f"{PATCH}.inputs.Parameters.SnapshotID", "patch-parameter", "{{ SnapshotId }}"),
    *each(f"{PATCH}.inputs.Parameters.BaselineOverride", "patch-baseline-override", "s3://lists/baseline.json"),
    *each("mainSteps[0].onFailure", "patch-fence", "Continue", "step:look", at=PATCH),
]


# What may be meant, or what AWS says nothing about. Of some codes it depends on the value.
WARNINGS = {
    "default-pattern",
    "default-type",
    "desired-boolean",
    "end-and-next",
    "files-unused",
    "image-reboots",
    "no-description",
    "patch-baseline-override",
    "patch-fence",
    "patch-install",
    "patch-reboot",
    "patch-snapshot",
    "reference-deep",
    "reference-step",
    "reference-syntax",
    "reference-type",
    "script-import",
    "script-reference",
    "target-outside",
    "undocumented-input",
    "unused-parameter",
}
EITHER = {"api", "choice", "parameter-type", "patch-attempts", "patch-timeout", "runtime", "schema-version", "service"}
EITHER |= {"timeout", "type"}


@pytest.mark.parametrize(("where", "value", "at", "code"), MALFORMED)
def test_what_is_wrong_is_told_once_with_its_path(where: str, value: Any, at: str, code: str) -> None:
    found = lint(written(put(plain(WHOLE), where, value)))
    # Whoever takes a reference away leaves a parameter that nothing refers to.
    (one,) = (one for one in found if one.code == code or one.code != "unused-parameter")
    assert (one.path, one.code) == (at or where, code)
    assert one.message
    assert one.hint
    assert one.line
    assert one.severity is (Severity.WARNING if code in WARNINGS else Severity.ERROR) or code in EITHER


# Each action with the inputs that it cannot do without.
LEAST: Mapping[str, Mapping[str, Any]] = {
    "aws:approve": {"Approvers": ["jane"]},
    "aws:assertAwsResourceProperty": {
        "Service": "ssm",
        "Api": "GetCalendarState",
        "CalendarNames": ["Freeze"],
        "PropertySelector": "$.State",
        "DesiredValues": ["OPEN"],
    },
    "aws:branch": {"Choices": [{"NextStep": "next", "Variable": "{{ global:REGION }}", "StringEquals": "eu-west-1"}]},
    "aws:changeInstanceState": {"InstanceIds": ["i-1"], "DesiredState": "running"},
    "aws:copyImage": {"SourceRegion": "eu-west-1", "SourceImageId": "ami-1", "ImageName": "copy"},
    "aws:createImage": {"InstanceId": "i-1", "ImageName": "image", "NoReboot": False},
    "aws:createStack": {"StackName": "stack"},
    "aws:createTags": {"ResourceIds": ["i-1"], "Tags": [{"Key": "a", "Value": "b"}]},
    "aws:deleteImage": {"ImageId": "ami-1"},
    "aws:deleteStack": {"StackName": "stack"},
    "aws:executeAutomation": {"DocumentName": "Other"},
    "aws:executeAwsApi": {"Service": "sns", "Api": "list_topics"},
    "aws:executeScript": {"Runtime": "PowerShell 7.0", "Script": "Get-Date"},
    "aws:executeStateMachine": {"stateMachineArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:one"},
    "aws:invokeLambdaFunction": {"FunctionName": "function"},
    "aws:invokeWebhook": {"IntegrationName": "hook"},
    "aws:loop": {"Iterators": ["a"], "Steps": [sleep("inside")]},
    "aws:pause": {},
    "aws:runCommand": {"DocumentName": "AWS-RunShellScript", "InstanceIds": ["{{ RESOURCE_ID }}"]},
    "aws:runInstances": {"ImageId": "ami-1", "MinInstanceCount": 1},
    "aws:sleep": {"Duration": "P1DT2H"},
    "aws:updateVariable": {"Name": "variable:{{ global:REGION }}", "Value": "x"},
    "aws:waitForAwsResourceProperty": {
        "Service": "rds",
        "Api": "DescribeDBInstances",
        "PropertySelector": "$.DBInstances[0].DBInstanceStatus",
        "DesiredValues": ["available"],
    },
}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_needs_no_more_than_it_is_documented_to(action: str) -> None:
    least = LEAST[action]
    assert told_of(made({"name": "only", "action": action, "inputs": least}, sleep("next"))) == []
    for name, field in ACTIONS[action].inputs.items():
        if field.required:
            without = {other: value for other, value in least.items() if other != name}
            assert ("mainSteps[0].inputs." + name, "missing") in told_of(alone(action, without))


# An action, its inputs, what else the step has, and what is told of it: the rest of the path, and the code.
STEPS: list[tuple[str, Mapping[str, Any], Mapping[str, Any], str, str]] = [
    ("aws:approve", {"Approvers": ["a", "b"], "MinRequiredApprovals": 3}, {}, ".inputs.MinRequiredApprovals", "range"),
    (
        "aws:createStack",
        {"StackName": "s", "TemplateBody": "{}", "TemplateURL": "https://x"},
        {},
        ".inputs.TemplateURL",
        "exclusive",
    ),
    (
        "aws:createStack",
        {"StackName": "s", "DisableRollback": True, "OnFailure": "DELETE"},
        {},
        ".inputs.OnFailure",
        "exclusive",
    ),
    ("aws:createStack", {"StackName": "s"}, {"maxAttempts": 2}, ".maxAttempts", "no-token"),
    (
        "aws:createTags",
        {"ResourceType": "Parameter", "ResourceIds": ["a", "b"], "Tags": [{}]},
        {},
        ".inputs.ResourceIds",
        "range",
    ),
    ("aws:executeAutomation", {"DocumentName": "Other", "TargetParameterName": "Id"}, {}, ".inputs.Targets", "missing"),
    (
        "aws:executeAwsApi",
        {"Service": "s3", "Api": "GetObject", "Bucket": "b", "Key": "k"},
        {},
        ".inputs.Api",
        "streaming",
    ),
    ("aws:executeAwsApi", {"Service": "s3api", "Api": "GetBucketAcl"}, {}, ".inputs.Bucket", "missing"),
    (
        "aws:executeScript",
        {"Runtime": "PowerShell 7.0", "Script": "ls", "Handler": "x"},
        {},
        ".inputs.Handler",
        "handler",
    ),
    ("aws:executeScript", {"Runtime": "PowerShell 7.0", "Attachment": "a.zip"}, {}, ".inputs.Script", "missing"),
    ("aws:invokeLambdaFunction", {"FunctionName": "f"}, {"timeoutSeconds": 301}, ".timeoutSeconds", "timeout"),
    ("aws:invokeLambdaFunction", {"FunctionName": "f", "LogType": "Head"}, {}, ".inputs.LogType", "choice"),
    ("aws:loop", {"Iterators": ["a"], "Steps": []}, {}, ".inputs.Steps", "range"),
    (
        "aws:loop",
        {"Iterators": [str(one) for one in range(101)], "Steps": [sleep("in")]},
        {},
        ".inputs.Iterators",
        "range",
    ),
    ("aws:loop", {"LoopCondition": {"Not": []}, "Steps": [sleep("in")]}, {}, ".inputs.LoopCondition.Not", "type"),
    ("aws:pause", {"Duration": "PT1H"}, {}, ".inputs.Duration", "unknown"),
    (
        "aws:runCommand",
        {"DocumentName": "D-1", "InstanceIds": ["i"], "Targets": [{"Key": "tag:a"}]},
        {},
        ".inputs.Targets",
        "exclusive",
    ),
    (
        "aws:runCommand",
        {"DocumentName": "D-1", "Targets": [{"Key": "ResourceGroup"}]},
        {},
        ".inputs.Targets[0].Key",
        "target-key",
    ),
    (
        "aws:runCommand",
        {"DocumentName": "D-1", "Targets": [{"Value": "a", "Key": "b"}]},
        {},
        ".inputs.Targets[0].Value",
        "unknown",
    ),
    (
        "aws:runCommand",
        {"DocumentName": "D-1", "InstanceIds": ["i"], "TimeoutSeconds": 2_592_001},
        {},
        ".inputs.TimeoutSeconds",
        "range",
    ),
    (
        "aws:runCommand",
        {"DocumentName": "D-1", "InstanceIds": ["i"], "Parameters": ["ls"]},
        {},
        ".inputs.Parameters",
        "type",
    ),
    ("aws:sleep", {"Duration": "PT1S"}, {"nextStep": "only"}, "", "endless"),
    ("aws:sleep", {"Duration": "PT1S"}, {"outputs": "none"}, ".outputs", "type"),
]


@pytest.mark.parametrize(("action", "inputs", "more", "at", "code"), STEPS)
def test_what_is_wrong_with_a_step_alone_is_told(
    action: str, inputs: Mapping[str, Any], more: Mapping[str, Any], at: str, code: str
) -> None:
    assert told_of(alone(action, inputs, **more)) == [(f"mainSteps[0]{at}", code)]


@pytest.mark.parametrize("pattern", [r"\p{L}+", "(?<name>a)b", "a(?i)b", "[a-z&&[^x]]+", r"\Qa.b\E"])
def test_a_pattern_that_java_alone_reads_is_left_to_java(pattern: str) -> None:
    assert told_of(put(plain(WHOLE), "parameters.Operation.allowedPattern", pattern)) == []


def test_imports_that_need_not_succeed_are_none() -> None:
    script = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import mypy_boto3_ec2
try:
    import fast
except ImportError:
    import json
def fence(events, context): pass
"""
    assert told_of(put(plain(WHOLE), SCRIPT, script)) == []


# --- where steps lead ---------------------------------------------------------------------------------------------------


def test_two_steps_of_one_name_are_told_of_once() -> None:
    assert told_of(made(sleep("a"), sleep("a"))) == [("mainSteps[1].name", "twice")]
    loop = {"name": "l", "action": "aws:loop", "inputs": {"Iterators": ["x"], "Steps": [sleep("a")]}}
    assert told_of(made(sleep("a"), loop)) == [("mainSteps[1].inputs.Steps[0].name", "twice")]


def test_what_is_behind_an_end_is_told_once_with_the_end() -> None:
    (found,) = lint(written(made(sleep("a", isEnd=True), sleep("b"), sleep("c"))))
    assert (found.path, found.code) == ("mainSteps[1]", "unreachable")
    assert found.message == "no way leads to this step: a before it is an end"


def test_failure_and_cancelling_lead_to_a_step_too() -> None:
    assert told_of(made(sleep("a", isEnd=True, onFailure="step:b"), sleep("b"))) == []
    tidy = {"name": "b", "action": "aws:pause", "inputs": {}}
    assert told_of(made(sleep("a", isEnd=True, onCancel="step:b"), tidy)) == [("mainSteps[0].onCancel", "on-cancel")]


def test_a_circle_without_a_way_out_is_told_once() -> None:
    assert told_of(made(sleep("a"), sleep("b"), sleep("c", nextStep="b"))) == [("mainSteps[1]", "endless")]


def test_a_circle_that_a_branch_leaves_is_a_way_to_wait() -> None:
    choice = {"NextStep": "done", "Variable": "{{ look.State }}", "StringEquals": "ready"}
    look = {
        "name": "look",
        "action": "aws:executeAwsApi",
        "inputs": {"Service": "sts", "Api": "GetCallerIdentity"},
        "outputs": [{"Name": "State", "Selector": "$.Arn"}],
    }
    branch = {"name": "branch", "action": "aws:branch", "inputs": {"Choices": [choice]}}
    assert told_of(made(look, branch, sleep("again", nextStep="look"), sleep("done"))) == []


def test_a_loops_condition_reads_what_its_steps_give_and_so_may_what_follows() -> None:
    ask = {
        "name": "ask",
        "action": "aws:invokeLambdaFunction",
        "inputs": {"FunctionName": "f", "InputPayload": {"turn": "{{ again.CurrentIteration }}"}},
        "outputs": [{"Name": "More", "Selector": "$.More", "Type": "Boolean"}],
    }
    condition = {"Variable": "{{ ask.More }}", "BooleanEquals": True}
    loop = {"name": "again", "action": "aws:loop", "inputs": {"Steps": [ask], "LoopCondition": condition}}
    after = {"name": "after", "action": "aws:deleteImage", "inputs": {"ImageId": "{{ ask.Payload }}"}}
    assert told_of(made(loop, after)) == []
    assert told_of(made(after, loop)) == [("mainSteps[0].inputs.ImageId", "reference-order")]


def test_a_loop_in_a_loop_is_undocumented() -> None:
    inner = {"name": "inner", "action": "aws:loop", "inputs": {"Iterators": ["x"], "Steps": [sleep("a")]}}
    outer = {"name": "outer", "action": "aws:loop", "inputs": {"Iterators": ["x"], "Steps": [inner]}}
    assert told_of(made(outer)) == [("mainSteps[0].inputs.Steps[0]", "nested-loop")]


# --- patching sense -----------------------------------------------------------------------------------------------------


def test_a_change_calendar_is_a_fence_too() -> None:
    said = put(plain(WHOLE), "mainSteps[0].inputs.InputPayload.NotAfter", "tonight")
    assert (PATCH, "patch-fence") in told_of(said)
    calendar = {
        "name": "open",
        "action": "aws:assertAwsResourceProperty",
        "inputs": LEAST["aws:assertAwsResourceProperty"],
    }
    said["mainSteps"].insert(0, calendar)
    assert told_of(said) == [("parameters.NotAfter", "unused-parameter")]


def test_a_fence_that_a_branch_goes_around_is_none() -> None:
    around = {"NextStep": "look", "Variable": "{{ Operation }}", "StringEquals": "Install"}
    said = plain(WHOLE)
    said["mainSteps"].insert(0, {"name": "hurry", "action": "aws:branch", "inputs": {"Choices": [around]}})
    assert ("mainSteps[6]", "patch-fence") in told_of(said)


def test_a_failure_to_patch_that_goes_on_as_if_nothing_was_is_told() -> None:
    said = put(plain(WHOLE), f"{PATCH}.onFailure", "Continue")
    said["mainSteps"][9]["onFailure"] = "step:tidy"
    assert told_of(said) == []  # its CommandId is an output
    blind = put(said, "outputs[0]", "look.Platform")
    assert told_of(blind) == [(f"{PATCH}.onFailure", "patch-ignored")]
    assert told_of(put(blind, f"{PATCH}.isCritical", True)) == []
    assert told_of(put(blind, "mainSteps[6].inputs.Steps[0].inputs.AdditionalInfo", "{{ patch.Status }}")) == []


def test_the_time_to_deliver_counts_as_far_as_it_is_known() -> None:
    def codes(step: Any, command: Any) -> list[tuple[str, Severity]]:
        said = put(put(plain(WHOLE), f"{PATCH}.timeoutSeconds", step), f"{PATCH}.inputs.TimeoutSeconds", command)
        return [(one.code, one.severity) for one in lint(written(said))]

    assert codes(7800, 600) == []
    assert codes(7799, 600) == [("patch-timeout", Severity.ERROR)]
    assert codes(7200, "{{ fence.Left }}") == []
    assert codes(7200, GONE) == [("patch-timeout", Severity.WARNING)]
    assert codes(10_800, GONE) == []
    assert ("patch-timeout", Severity.ERROR) in codes("7199", "{{ fence.Left }}")


def test_many_servers_need_an_allowance_for_errors() -> None:
    said = put(put(plain(WHOLE), f"{PATCH}.inputs.InstanceIds", GONE), f"{PATCH}.inputs.Targets", [{"Key": "tag:a"}])
    assert told_of(said) == [(f"{PATCH}.inputs.MaxErrors", "patch-errors")]


def test_whether_a_scan_may_reboot_need_not_be_said() -> None:
    said = put(put(plain(WHOLE), f"{PATCH}.inputs.Parameters.RebootOption", GONE), "parameters.RebootOption", GONE)
    assert told_of(put(said, f"{PATCH}.inputs.Parameters.Operation", "Scan")) == []


# --- files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "empty", None),
        (b"# nothing yet", "empty", None),
        (b"- a list", "not-a-mapping", None),
        (b"words", "not-a-mapping", None),
        (b"a: 1\nb: c: d\n", "yaml", 2),
        (b"a: 1\n\tb: 2\n", "yaml", 2),
        (b"a: 1\n---\na: 2\n", "yaml", 2),
        (b"a: &a [*a]", "yaml", None),
        (b"a: " + b"[" * 1500, "yaml", None),
        (b"a: 1\nb: \xff\n", "encoding", 2),
        (b"x" * 300_000, "too-large", None),
    ],
)
def test_a_file_that_holds_no_runbook_is_told_so(content: bytes, code: str, line: int | None) -> None:
    (found,) = lint(content)
    assert (found.path, found.code, found.line) == ("", code, line)


def test_aliases_cannot_mean_more_than_anybody_can_read() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    assert [one.code for one in lint(bomb.encode())] == ["yaml"]


def test_anchors_and_merges_mean_what_they_mean_in_yaml() -> None:
    steps = "mainSteps:\n  - &a {name: a, action: aws:sleep, inputs: {Duration: PT1S}}\n  - {<<: *a, name: b}\n"
    assert told(f'schemaVersion: "0.3"\ndescription: Two.\n{steps}') == []


def test_a_name_that_is_given_twice_and_a_tag_are_told_with_their_lines() -> None:
    text = WHOLE.replace("description: Patches one", "description: One\ndescription: !Sub Patches one")
    assert [(one.line, one.path, one.code) for one in lint(text.encode())] == [(3, "description", "twice")]
    text = WHOLE.replace("description: Patches one", "description: !Sub Patches one")
    assert [(one.line, one.path, one.code) for one in lint(text.encode())] == [(2, "description", "tag")]


def test_a_large_runbook_is_told_to_be_too_large_and_of_what_else_is_wrong_with_it() -> None:
    text = BLOG.replace("Runs AWS", "x" * 70_000)
    assert {"too-large", "patch-timeout"} <= {code for _, code in told(text)}


def test_json_is_read_too_and_its_scripts_are_undocumented() -> None:
    content = json.dumps(plain(WHOLE), indent="\t").encode()
    (found,) = lint(content)
    assert (found.path, found.code, found.severity) == (SCRIPT, "script-in-json", Severity.WARNING)
    assert b'"Script":' in content.splitlines()[(found.line or 0) - 1]


def test_every_finding_has_the_line_where_it_is() -> None:
    text = WHOLE.replace("import boto3", "import boto4").replace("MaxIterations: 5", "MaxIterations: 500")
    lines = text.splitlines()
    assert [(one.code, lines[(one.line or 0) - 1].strip()) for one in lint(text.encode())] == [
        ("script-import", "import boto4"),
        ("range", "MaxIterations: 500"),
    ]
    broken = WHOLE.replace("return {", "return return {")
    (found,) = lint(broken.encode())
    assert broken.splitlines()[(found.line or 0) - 1].strip().startswith("return return")
    assert found.message.startswith("line 4 of the script is not Python: ")


# --- what is left alone -------------------------------------------------------------------------------------------------


def remarked(comment: str) -> str:
    return BLOG.replace("timeoutSeconds: 120", f"timeoutSeconds: 120 {comment}")


def test_a_finding_is_left_alone_for_a_reason() -> None:
    for text in (
        remarked("# lint: ignore patch-timeout it only ever scans"),
        BLOG.replace("    timeoutSeconds", "    # lint: ignore patch-timeout it only ever scans\n    timeoutSeconds"),
        BLOG.replace(
            "    timeoutSeconds", "    # lint: ignore patch-timeout scans\n    # and more\n    timeoutSeconds"
        ),
    ):
        assert {code for _, code in told(text)} == {"patch-attempts", "patch-fence", "patch-reboot"}


def test_without_a_reason_or_without_a_finding_the_comment_is_told_of() -> None:
    for comment, told_too in (
        ("# lint: ignore patch-timeout", "ignore-reason"),
        ("# lint: ignore", "ignore-reason"),
        ("# lint: ignore patch-fence because", "ignore-unused"),
    ):
        found = lint(remarked(comment).encode())
        assert {"patch-timeout", told_too} <= {one.code for one in found if one.line == 13}


def test_a_comment_in_a_script_is_one_too() -> None:
    text = WHOLE.replace("import boto3", "import boto4  # lint: ignore script-import ours, in every account")
    assert told(text) == []


# --- whatever people write ----------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "",
        "{{ x }}",
        "{{ patch.Output }}",
        "{{",
        "step:patch",
        "aws:loop",
        "aws:branch",
        "$.x",
        "0.3",
        "Continue",
        "\ud800",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def ways(said: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a runbook."""
    inner = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for name, value in inner:
        yield (*at, name)
        yield from ways(value, (*at, name))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), VALUES | st.just(GONE)), min_size=1, max_size=6))
def test_whatever_becomes_of_a_runbook_something_can_be_said_of_it(changes: list[tuple[int, Any]]) -> None:
    said = plain(WHOLE)
    for place, value in changes:
        if places := list(ways(said)):
            *way, last = places[place % len(places)]
            inner: Any = said
            for name in way:
                inner = inner[name]
            if value is GONE:
                del inner[last]
            else:
                inner[last] = value
    for content in (json.dumps(said).encode(), written(said)):
        findings = lint(content)
        assert all(one.code and one.message and one.hint and f"{one}{one.path}".isprintable() for one in findings)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.text(max_size=12))
def test_whatever_becomes_of_a_text_something_can_be_said_of_it(start: int, length: int, instead: str) -> None:
    lint((WHOLE[:start] + instead + WHOLE[start + length :]).encode("utf-8", "surrogatepass"))


# --- the docs -----------------------------------------------------------------------------------------------------------


def codes() -> Iterator[str]:
    """Every code that a rule can tell: the second of the four things of which a finding is made, the first of a refusal."""
    for path in (ROOT / "cli/lint").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name("refused"), args=[ast.Constant(str(code)), *_]):
                    yield code
                case ast.Call(args=[_, ast.Constant(str(code)), _, _]) if re.fullmatch("[a-z-]+", code):
                    yield code


def test_every_code_is_in_the_docs_and_no_other() -> None:
    text = (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", text, re.MULTILINE)
    assert {code for cell in listed for code in re.findall(r"`([a-z-]+)`", cell)} == set(codes())


def test_the_example_in_the_docs_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("blog.yaml").write_text(BLOG, encoding="utf-8")
    shown = run("blog.yaml", code=5).stdout
    assert f"```text\n{shown}```" in (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")


# --- the command --------------------------------------------------------------------------------------------------------


def run(*arguments: str | Path, code: int) -> Any:
    result = runner.invoke(app, ["runbook", "lint", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_the_command_tells_people_where_and_programs_everything(tmp_path: Path) -> None:
    path = tmp_path / "blog.yaml"
    path.write_text(BLOG, encoding="utf-8")
    result = run(path, code=5)
    assert result.stderr == "1 checked: 2 errors, 2 warnings\n"
    first = next(line for line in result.stdout.splitlines() if "patch-timeout" in line)
    assert first == (
        f"{path}:13: error: mainSteps[0].timeoutSeconds: after 120 seconds the step would end TimedOut while the server is "
        "still being patched. Write at least 10800: AWS-RunPatchBaseline may take 7200, after 3600 that a server has to take "
        "the command [patch-timeout]"
    )
    rows = json.loads(run(path, "--output", "json", code=5).stdout)
    assert [row["code"] for row in rows if row["severity"] == "error"] == ["patch-timeout", "patch-attempts"]
    assert set(rows[0]) == {"file", "line", "path", "code", "severity", "message", "hint"}
    table = list(csv.DictReader(io.StringIO(run(path, "--output", "csv", code=5).stdout)))
    assert [row["code"] for row in table] == [row["code"] for row in rows]
    assert YAML(typ="safe", pure=True).load(run(path, "-o", "yaml", code=5).stdout) == rows
    assert json.loads(run(path, "--query", "[?severity=='error'].line", code=5).stdout) == [13, 14]


def test_warnings_alone_are_no_failure_unless_they_are_to_count(tmp_path: Path) -> None:
    path = tmp_path / "mild.yaml"
    path.write_text(WHOLE.replace("description: Patches one server, behind an approval.\n", ""), encoding="utf-8")
    assert "no-description" in run(path, code=0).stdout
    run(path, "--strict", code=5)
    path.write_text(WHOLE, encoding="utf-8")
    run(path, path, "--strict", code=0)
    assert run(path, "-o", "json", code=0).stdout == "[]\n"


def test_a_file_without_a_line_to_point_at_is_a_row_too(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("", encoding="utf-8")
    (row,) = csv.DictReader(io.StringIO(run(path, "-o", "csv", code=5).stdout))
    assert (row["file"], row["line"], row["code"]) == (str(path), "", "empty")


def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    assert "No such file" in run(tmp_path / "none.yaml", code=2).stderr


def test_it_needs_neither_network_nor_credentials(tmp_path: Path) -> None:
    path = tmp_path / "whole.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('a connection')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        f"sys.argv = ['patchtide', 'runbook', 'lint', {str(path)!r}]\n"
        "from cli.tree import run\n"
        "try: run()\nexcept SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={}, capture_output=True, text=True)  # noqa: S603 - our own
    assert "1 checked: 0 errors, 0 warnings" in done.stderr
    assert "boto3" not in done.stderr.split()
