"""boto3 clients, made when first used and then shared."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

from patchtide.aws.attributes import speak_plainly

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_organizations import OrganizationsClient
    from types_boto3_s3 import S3Client
    from types_boto3_sns import SNSClient
    from types_boto3_sqs import SQSClient
    from types_boto3_ssm import SSMClient
    from types_boto3_sts import STSClient

# One retry layer, botocore's own. Timeouts are short against a tick of a minute, long against any healthy answer.
CONFIG = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=20)


def read_models(*services: str) -> None:
    """Have AWS's models of these services read, a tenth of a second each: the session keeps them for every client that it makes."""
    for service in services:
        made = boto3.client(cast("Any", service), config=CONFIG)
        made.close()


@cache
def dynamodb() -> DynamoDBClient:
    """DynamoDB in the hub, with Python's own values in items."""
    return speak_plainly(boto3.client("dynamodb", config=CONFIG))


@cache
def ssm() -> SSMClient:
    """Systems Manager in the hub."""
    return boto3.client("ssm", config=CONFIG)


@cache
def sqs() -> SQSClient:
    """SQS in the hub."""
    return boto3.client("sqs", config=CONFIG)


@cache
def sns() -> SNSClient:
    """SNS in the hub."""
    return boto3.client("sns", config=CONFIG)


@cache
def sts() -> STSClient:
    """STS in the hub's Region: tokens of the global endpoint are not valid in opt-in Regions."""
    return boto3.client("sts", config=CONFIG)


@cache
def organizations() -> OrganizationsClient:
    """Organizations."""
    return boto3.client("organizations", config=CONFIG)


@cache
def s3() -> S3Client:
    """S3 in the hub."""
    return boto3.client("s3", config=CONFIG)


@cache
def cloudwatch() -> CloudWatchClient:
    """CloudWatch in the hub."""
    return boto3.client("cloudwatch", config=CONFIG)
