"""Override lists in the stack's bucket, and what is really in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from patchtide.aws.faults import asking
from patchtide.aws.files import content
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
        if override.bucket != self.bucket:
            raise Refused(f"read {override.url}", "OtherBucket", f"the stack's bucket is {self.bucket}")
        return hashlib.sha256(content(self.client(), self.bucket, override.key, LARGEST)).hexdigest()

    def put(self, written: bytes) -> Override:
        """Keep the list under its digest. What is there already is the same, and is left as it is."""
        override = Override(self.bucket, hashlib.sha256(written).hexdigest())
        with asking(f"write {override.url}"):
            try:
                self.client().put_object(
                    Bucket=self.bucket,
                    Key=override.key,
                    Body=written,
                    ContentType="application/yaml",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
        return override
