"""Override lists in the stack's bucket, and what is really in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from patchtide.aws.faults import asking
from patchtide.core.errors import Refused
from patchtide.core.override import LARGEST, Override

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class Overrides:
    """The bucket's folder of override lists."""

    def __init__(self, client: Callable[[], S3Client], bucket: str) -> None:
        self.client, self.bucket = client, bucket

    def digest(self, override: Override) -> str:
        """The SHA-256 of the list as it is now. Raises Refused where there is none to be read."""
        action = f"read {override.url}"
        if override.bucket != self.bucket:
            raise Refused(action, "OtherBucket", f"the stack's bucket is {self.bucket}")
        with asking(action):
            try:
                found = self.client().get_object(Bucket=self.bucket, Key=override.key)
            except ClientError as error:
                if error.response["Error"]["Code"] in (
                    "NoSuchKey",
                    "AccessDenied",
                ):  # without ListBucket, S3 tells no other
                    raise Refused(action, "NoSuchKey", f"{self.bucket} has no {override.key}") from error
                raise
            if found["ContentLength"] > LARGEST:
                raise Refused(action, "TooLarge", f"{override.key} has over {LARGEST} bytes")
            return hashlib.sha256(found["Body"].read()).hexdigest()

    def put(self, content: bytes) -> Override:
        """Keep the list under its digest. What is there already is the same, and is left as it is."""
        override = Override(self.bucket, hashlib.sha256(content).hexdigest())
        with asking(f"write {override.url}"):
            try:
                self.client().put_object(
                    Bucket=self.bucket,
                    Key=override.key,
                    Body=content,
                    ContentType="application/yaml",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
        return override
