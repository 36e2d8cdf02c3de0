"""Small files that people put into the stack's bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from patchtide.aws.faults import asking
from patchtide.core.errors import Refused

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# Who may not list the bucket, as no function may, is told of what is not there that access is denied.
MISSING = ("NoSuchKey", "AccessDenied")


def content(client: S3Client, bucket: str, key: str, largest: int) -> bytes:
    """The file as it is now. Raises Refused where there is none to be read, or one of more than `largest` bytes."""
    action = f"read {key}"
    with asking(action):
        try:
            found = client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                raise Refused(action, "NoSuchKey", f"{bucket} has no {key}") from error
            raise
        if found["ContentLength"] > largest:
            raise Refused(action, "TooLarge", f"{key} has over {largest} bytes")
        return found["Body"].read()
