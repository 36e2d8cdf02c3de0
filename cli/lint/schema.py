"""What an Automation runbook (schema 0.3) is made of, as tables.

From AWS's documentation of runbooks and of each action, and from botocore's model of SSM where that says something. What
only real executions have shown is marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cli.lint.shape import Field, Kind, Table

MAX_BYTES = 64 * 1024

TEXT, SCALAR, INTEGER = Field(), Field(Kind.SCALAR), Field(Kind.INTEGER)
BOOLEAN, LIST, MAP, ANY = Field(Kind.BOOLEAN), Field(Kind.LIST), Field(Kind.MAP), Field(Kind.ANY)
TEXTS, MAPS = Field(Kind.LIST, of=TEXT), Field(Kind.LIST, of=MAP)
NAMED = Field(required=True, least=1)

TYPES = ("String", "StringList", "Boolean", "Integer", "MapList", "StringMap")
# The console offers what the account has of these.
RESOURCE_TYPES = tuple(
    kind
    for one in ("AWS::EC2::Instance::Id", "AWS::S3::Bucket::Name", "AWS::IAM::Role::Arn")
    for kind in (one, f"List<{one}>")
)
LISTED_TYPES = ("StringList", "MapList")

TOP: Table = {
    "schemaVersion": Field(Kind.ANY, required=True),
    "description": TEXT,
    "assumeRole": TEXT,
    "parameters": MAP,
    "variables": MAP,
    "mainSteps": Field(Kind.LIST, required=True, least=1, of=MAP),
    "outputs": ANY,
    "files": MAP,
}

MAX_PARAMETERS = 200
MAX_PARAMETER_NAME = 50
PARAMETER: Table = {
    "type": Field(required=True),
    "description": TEXT,
    "default": ANY,
    "allowedValues": LIST,
    "allowedPattern": TEXT,
    "displayType": Field(choices=("textfield", "textarea")),
    "minItems": Field(Kind.INTEGER, least=0),
    "maxItems": Field(Kind.INTEGER, least=0),
    "minChars": Field(Kind.INTEGER, least=0),
    "maxChars": Field(Kind.INTEGER, least=0),
    "interpolationType": TEXT,
}

MAX_FILES = 5

STEP: Table = {
    "name": Field(required=True, pattern=r"[a-zA-Z0-9_]+"),
    "action": Field(Kind.ANY, required=True),
    "description": TEXT,
    "inputs": Field(Kind.MAP, required=True),
    "maxAttempts": Field(Kind.INTEGER, least=1),
    "timeoutSeconds": Field(Kind.INTEGER, least=1),
    "onFailure": TEXT,
    "onCancel": TEXT,
    "isCritical": BOOLEAN,
    "isEnd": BOOLEAN,
    "nextStep": TEXT,
    "outputs": Field(Kind.LIST, of=MAP),
}
ON_FAILURE = ("Abort", "Continue")
ON_CANCEL = ("Abort",)

OUTPUT: Table = {"Name": NAMED, "Selector": Field(required=True, least=1), "Type": Field(choices=TYPES)}

VARIABLES = {
    "global": ("ACCOUNT_ID", "AWS_PARTITION", "DATE", "DATE_TIME", "REGION"),
    "automation": ("EXECUTION_ID",),
}

CHOICE_OPERATORS = (
    "StringEquals",
    "EqualsIgnoreCase",
    "StartsWith",
    "EndsWith",
    "Contains",
    "NumericEquals",
    "NumericGreater",
    "NumericLesser",
    "NumericGreaterOrEquals",
    "NumericLesserOrEquals",
    "BooleanEquals",
)

# The actions to which onCancel cannot lead, and those that have none.
NEVER_ON_CANCEL = frozenset(
    f"aws:{name}"
    for name in (
        "approve",
        "copyImage",
        "createImage",
        "createStack",
        "createTags",
        "pause",
        "runInstances",
        "sleep",
    )
)
WITHOUT_ON_CANCEL = frozenset({"aws:loop", "aws:updateVariable"})


@dataclass(frozen=True)
class Action:
    """What an action takes and gives. `like` is the API most of whose parameters it takes too.

    `calls` says that its inputs are those of whatever API it names, `longest` the seconds after which AWS ends it.
    """

    inputs: dict[str, Field] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    like: tuple[str, str] | None = None
    calls: bool = False
    longest: int | None = None


# BC: SendCommandRequest and what it is made of.
CONCURRENCY = Field(Kind.SCALAR, pattern=r"([1-9][0-9]*|[1-9][0-9]%|[1-9]%|100%)", most=7)
ERRORS = Field(Kind.SCALAR, pattern=r"([1-9][0-9]*|[0]|[1-9][0-9]%|[0-9]%|100%)", most=7)
DOCUMENT_NAME = Field(required=True, pattern=r"[a-zA-Z0-9_\-.:/]{3,128}")
DOCUMENT_VERSION = Field(pattern=r"[$]LATEST|[$]DEFAULT|[1-9][0-9]*")
TARGETS = Field(Kind.LIST, least=1, most=5, of=MAP)
TARGET: Table = {"Key": Field(required=True, most=163), "Values": Field(Kind.LIST, most=50)}

_CALL = {"Service": NAMED, "Api": NAMED}
_PROPERTY = {
    **_CALL,
    "PropertySelector": Field(required=True, least=1),
    "DesiredValues": Field(Kind.LIST, required=True, least=1),
}

ACTIONS: Mapping[str, Action] = {
    "aws:approve": Action(
        {
            "Approvers": Field(Kind.LIST, required=True, least=1, most=10, of=TEXT),
            "MinRequiredApprovals": Field(Kind.INTEGER, least=1),
            "NotificationArn": TEXT,
            "Message": Field(most=4096),
        },
        ("ApprovalStatus", "ApproverDecisions"),
        longest=30 * 86_400,
    ),
    "aws:assertAwsResourceProperty": Action(_PROPERTY, calls=True),
    "aws:branch": Action({"Choices": Field(Kind.LIST, required=True, least=1, of=MAP), "Default": TEXT}),
    "aws:changeInstanceState": Action(
        {
            "InstanceIds": Field(Kind.LIST, required=True, least=1, of=TEXT),
            "DesiredState": Field(required=True, choices=("running", "stopped", "terminated")),
            "CheckStateOnly": BOOLEAN,
            "Force": BOOLEAN,
            "AdditionalInfo": TEXT,
        },
        ("InstanceStates",),  # seen; the documentation says "None"
    ),
    "aws:copyImage": Action(
        {
            "SourceRegion": NAMED,
            "SourceImageId": NAMED,
            "ImageName": NAMED,
            "ImageDescription": TEXT,
            "Encrypted": BOOLEAN,
            "KmsKeyId": TEXT,
            "ClientToken": TEXT,
        },
        ("ImageId", "ImageState"),
        like=("ec2", "CopyImage"),
    ),
    "aws:createImage": Action(
        {
            "InstanceId": NAMED,
            "ImageName": NAMED,
            "ImageDescription": TEXT,
            "NoReboot": BOOLEAN,
            "BlockDeviceMappings": ANY,
        },
        ("ImageId", "ImageState"),
        like=("ec2", "CreateImage"),
    ),
    "aws:createStack": Action(
        {
            "StackName": NAMED,
            "TemplateBody": Field(least=1),
            "TemplateURL": Field(least=1, most=1024),
            "Capabilities": TEXTS,
            "ClientRequestToken": Field(least=1, most=128),
            "DisableRollback": BOOLEAN,
            "NotificationARNs": Field(Kind.LIST, most=5, of=TEXT),
            "OnFailure": Field(choices=("DO_NOTHING", "ROLLBACK", "DELETE")),
            "Parameters": MAPS,
            "ResourceTypes": TEXTS,
            "RoleARN": TEXT,
            "StackPolicyBody": Field(least=1, most=16384),
            "StackPolicyURL": Field(least=1, most=1350),
            "Tags": Field(Kind.LIST, most=10, of=MAP),
            "TimeoutInMinutes": Field(Kind.INTEGER, least=1),
        },
        ("StackId", "StackStatus", "StackStatusReason"),
        like=("cloudformation", "CreateStack"),
    ),
    "aws:createTags": Action(
        {
            "ResourceIds": Field(Kind.LIST, required=True, least=1, of=TEXT),
            "ResourceType": Field(choices=("EC2", "ManagedInstance", "MaintenanceWindow", "Parameter")),
            "Tags": Field(Kind.LIST, required=True, least=1, of=MAP),
        },
    ),
    "aws:deleteImage": Action({"ImageId": NAMED}),
    "aws:deleteStack": Action(
        {
            "StackName": NAMED,
            "ClientRequestToken": Field(least=1, most=128),
            "RetainResources": TEXTS,
            "RoleARN": TEXT,
        },
        like=("cloudformation", "DeleteStack"),
    ),
    "aws:executeAutomation": Action(
        {
            "DocumentName": DOCUMENT_NAME,
            "DocumentVersion": DOCUMENT_VERSION,
            "RuntimeParameters": MAP,
            "Targets": TARGETS,
            "TargetParameterName": Field(most=50),
            "TargetMaps": Field(Kind.LIST, most=300, of=MAP),
            "TargetLocations": Field(Kind.LIST, least=1, most=100, of=MAP),
            "MaxConcurrency": CONCURRENCY,
            "MaxErrors": ERRORS,
            "Tags": Field(Kind.LIST, most=5, of=MAP),
        },
        ("ExecutionId", "Output", "Status"),
        like=("ssm", "StartAutomationExecution"),
    ),
    "aws:executeAwsApi": Action(_CALL, calls=True, longest=25),
    "aws:executeScript": Action(
        {
            "Runtime": NAMED,
            "Handler": TEXT,
            "InputPayload": Field(Kind.MAP),
            "Script": TEXT,
            "Attachment": TEXT,
        },
        ("Payload",),
        longest=600,
    ),
    "aws:executeStateMachine": Action(
        {"stateMachineArn": NAMED, "input": ANY, "name": TEXT},
        ("executionArn", "input", "name", "output", "startDate", "stateMachineArn", "status", "stopDate"),
        like=("stepfunctions", "StartExecution"),
    ),
    "aws:invokeLambdaFunction": Action(
        {
            "FunctionName": NAMED,
            "Qualifier": SCALAR,
            "InvocationType": Field(choices=("Event", "RequestResponse", "DryRun")),
            "LogType": Field(choices=("None", "Tail")),
            "ClientContext": ANY,
            "InputPayload": ANY,
            "Payload": ANY,
        },
        ("FunctionError", "LogResult", "Payload", "StatusCode"),
        like=("lambda", "Invoke"),
        longest=300,
    ),
    "aws:invokeWebhook": Action({"IntegrationName": NAMED, "Body": ANY}, ("Response", "ResponseCode")),
    "aws:loop": Action(
        {
            "Steps": Field(Kind.LIST, required=True, least=1, of=MAP),
            "Iterators": Field(Kind.LIST, least=1, most=100),
            "IteratorDataType": Field(choices=("Boolean", "Integer", "String", "StringMap")),
            "LoopCondition": MAP,
            "MaxIterations": Field(Kind.INTEGER, least=1, most=100),
        },
        ("CurrentIteration", "CurrentIteratorValue"),
    ),
    "aws:pause": Action(),
    "aws:runCommand": Action(
        {
            "DocumentName": DOCUMENT_NAME,
            "DocumentVersion": DOCUMENT_VERSION,
            "InstanceIds": Field(Kind.LIST, least=1, most=50, of=TEXT),
            "Targets": TARGETS,
            "MaxConcurrency": CONCURRENCY,
            "MaxErrors": ERRORS,
            "Parameters": MAP,
            "TimeoutSeconds": Field(Kind.INTEGER, least=30, most=2_592_000),
            "Comment": Field(most=100),
            "CloudWatchOutputConfig": MAP,
            "DocumentHash": Field(most=256),
            "DocumentHashType": Field(choices=("Sha256", "Sha1")),
            "NotificationConfig": MAP,
            "OutputS3BucketName": Field(most=63),
            "OutputS3KeyPrefix": Field(most=500),
            "ServiceRoleArn": TEXT,
        },
        ("CommandId", "Output", "OutputPayload", "ResponseCode", "Status"),
        like=("ssm", "SendCommand"),
    ),
    "aws:runInstances": Action(
        {
            "ImageId": NAMED,
            "AdditionalInfo": TEXT,
            "BlockDeviceMappings": MAPS,
            "ClientToken": TEXT,
            "DisableApiTermination": BOOLEAN,
            "EbsOptimized": BOOLEAN,
            "IamInstanceProfileArn": TEXT,
            "IamInstanceProfileName": TEXT,
            "InstanceInitiatedShutdownBehavior": TEXT,
            "InstanceType": TEXT,
            "KernelId": TEXT,
            "KeyName": TEXT,
            "MaxInstanceCount": SCALAR,
            "MetadataOptions": MAP,
            "MinInstanceCount": SCALAR,
            "Monitoring": BOOLEAN,
            "NetworkInterfaces": MAPS,
            "Placement": MAP,
            "PrivateIpAddress": TEXT,
            "RamdiskId": TEXT,
            "SecurityGroupIds": TEXTS,
            "SecurityGroups": TEXTS,
            "SubnetId": TEXT,
            "TagSpecifications": MAPS,
            "UserData": TEXT,
        },
        ("InstanceIds", "InstanceStates"),
        like=("ec2", "RunInstances"),
    ),
    "aws:sleep": Action({"Duration": TEXT, "Timestamp": TEXT}),
    "aws:updateVariable": Action(
        {"Name": Field(required=True, pattern=r"variable:.+"), "Value": Field(Kind.ANY, required=True)}
    ),
    "aws:waitForAwsResourceProperty": Action(_PROPERTY, calls=True),
}
