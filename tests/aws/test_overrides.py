"""Override lists in the bucket, on moto's S3 and on that of the in-memory door."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import boto3
import pytest
from moto import mock_aws

from patchtide.aws import clients
from patchtide.aws.overrides import Overrides
from patchtide.core.errors import Refused
from patchtide.core.override import LARGEST, Override
from simulator.clock import Clock
from simulator.fleet import Organization
from simulator.memory import BUCKET, Memory
from simulator.world import World

LIST = b"patches:\n  - id: kernel.x86_64\n    title: kernel.x86_64:4.14.243\n"
NAMED = Override(BUCKET, hashlib.sha256(LIST).hexdigest())
Put = Callable[[str, str], object]


@pytest.fixture(params=["moto", "memory"])
def bucket(request: pytest.FixtureRequest) -> Iterator[tuple[Overrides, Put]]:
    if request.param == "memory":
        memory = Memory(World(Clock(datetime(2026, 12, 1, tzinfo=UTC)), Organization.build()))
        yield Overrides(lambda: memory.client("s3"), BUCKET), memory.files.__setitem__
        return
    with mock_aws():
        clients.s3.cache_clear()
        clients.s3().create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield (
            Overrides(clients.s3, BUCKET),
            lambda key, text: clients.s3().put_object(Bucket=BUCKET, Key=key, Body=text.encode()),
        )
    clients.s3.cache_clear()


def test_the_digest_is_of_what_is_there_and_not_of_its_name(bucket: tuple[Overrides, Put]) -> None:
    overrides, put = bucket
    put(NAMED.key, LIST.decode())
    assert overrides.digest(NAMED) == NAMED.digest
    put(NAMED.key, "patches: [{id: backdoor}]")
    assert overrides.digest(NAMED) != NAMED.digest


def test_what_is_not_there_is_too_large_or_elsewhere_is_refused(bucket: tuple[Overrides, Put]) -> None:
    overrides, put = bucket
    with pytest.raises(Refused, match="NoSuchKey"):
        overrides.digest(NAMED)
    put(NAMED.key, "x" * (LARGEST + 1))
    with pytest.raises(Refused, match="TooLarge"):
        overrides.digest(NAMED)
    with pytest.raises(Refused, match="OtherBucket"):
        overrides.digest(Override("others", NAMED.digest))


@mock_aws
def test_a_list_is_kept_once_under_its_digest_and_never_written_over() -> None:
    client = boto3.client("s3", region_name="eu-west-1")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    overrides = Overrides(lambda: client, BUCKET)
    assert overrides.put(LIST) == overrides.put(LIST) == NAMED
    assert len(client.list_object_versions(Bucket=BUCKET)["Versions"]) == 1
    client.put_object(Bucket=BUCKET, Key=NAMED.key, Body=b"something else")
    overrides.put(LIST)
    assert overrides.digest(NAMED) != NAMED.digest  # whoever uses it finds out
