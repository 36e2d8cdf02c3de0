"""A collector and a reporter in a process of their own, with AWS' answers made as they are asked for: how much memory they need.

    python -m bench.stream 100000 stream < templates.json

Everything of ours is real; what stands behind it is a table and a fleet that hold nothing. `list` is the control: a report whose
rows are all read before the first is written. It prints the most memory that the process ever had, in MiB.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from patchtide.aws import clients
from patchtide.aws.reports import BLOCK, Archive
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.spokes import Spokes
from patchtide.aws.table import Table, body
from patchtide.core.evidence import Ending
from patchtide.core.location import Location
from patchtide.core.outcome import Instance
from patchtide.core.request import expected_snapshot
from patchtide.core.roster import Inquiry, LocationRun, LocationState
from patchtide.core.run import Run, evidence_since
from patchtide.flow.collector import Collector, ahead, collect
from patchtide.flow.reporter import Reporter, write

PER_LOCATION = 50
TOGETHER = 20  # questions of one invocation
REGIONS = ("eu-west-1", "eu-west-2")
PAGE = 3_000  # rows of about 300 bytes: a megabyte
RETENTION = timedelta(days=400)
FIRST = 100_000_000_000

Params = dict[str, Any]


@dataclass(frozen=True)
class Fleet:
    """So many instances, and what the table would hold of them. The items are those of a run that was played."""

    instances: int
    run: Mapping[str, Any]
    tally: Mapping[str, Any]
    executions: tuple[Mapping[str, Any], ...]
    version: Mapping[str, Any]
    row: Mapping[str, Any]

    @property
    def pk(self) -> str:
        """The run's partition."""
        return str(self.run["pk"])

    @property
    def id(self) -> str:
        """The run's id."""
        return self.pk.removeprefix("run#")

    def locations(self) -> Iterator[Location]:
        """Every location, in the order of its key."""
        for number in range(self.instances // PER_LOCATION):
            yield Location(f"{FIRST + number // len(REGIONS)}", REGIONS[number % len(REGIONS)])

    def ids(self, location: Location) -> Iterator[str]:
        """Its instances."""
        place = (int(location.account) - FIRST) * len(REGIONS) + REGIONS.index(location.region)
        return (f"i-{place * PER_LOCATION + number:017x}" for number in range(PER_LOCATION))

    def item(self, sk: str) -> Mapping[str, Any]:
        """One item under the run."""
        kind, wave, account, region, *_ = sk.split("#")
        location = Location(account, region)
        if kind == "location":
            at = self.location(wave, location)
            return {"pk": self.pk, "sk": sk, "body": body(at), "state": at.state.value, "pages": 0, "partsEnded": 0}
        assert kind == "roster", sk  # noqa: S101 - nothing else is read by its key
        expected = tuple(
            Instance(
                id_,
                f"web-{id_[-6:]}",
                "Amazon Linux 2023",
                "Online",
                agent="3.3.1611.0",
                patch_group="web",
                state="running",
            )
            for id_ in self.ids(location)
        )
        return {"pk": self.pk, "sk": sk, "body": body(expected)}

    def location(self, wave: str, location: Location) -> LocationRun:
        """A location that has ended well and awaits its evidence."""
        return LocationRun(
            self.id,
            wave,
            location,
            state=LocationState.ENDED,
            instances=PER_LOCATION,
            pages=1,
            ending=Ending("Success"),
            ended_at=datetime(2026, 12, 5, 22, 30, tzinfo=UTC),
            account_name=f"account-{location.account[-5:]}",
        )

    def under(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        """The items of the run whose sort key has the prefix, as they are asked for."""
        wave = str(self.tally["sk"]).rpartition("#")[2]
        if prefix == "run":
            yield from (self.run, *self.executions, self.tally)
        elif prefix.startswith("location#"):
            for where in self.locations():
                yield self.item(f"location#{wave}#{where.account}#{where.region}")
        elif prefix.startswith("instance#"):
            for where in self.locations():
                place = f"instance#{wave}#{where.account}#{where.region}"
                yield from ({**self.row, "sk": f"{place}#{id_}", "name": f"web-{id_[-6:]}"} for id_ in self.ids(where))


class Stored:
    """DynamoDB's client over such a fleet. What is written is forgotten."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.outcomes: Counter[str] = Counter()  # of rows that were written

    def get_item(self, Key: Mapping[str, str], **_: Any) -> Params:  # noqa: N803 - AWS's word
        """GetItem."""
        return {"Item": self._found(Key)}

    def batch_get_item(self, RequestItems: Mapping[str, Any], **_: Any) -> Params:  # noqa: N803
        """BatchGetItem."""
        found = {name: [self._found(key) for key in asked["Keys"]] for name, asked in RequestItems.items()}
        return {"Responses": found, "UnprocessedKeys": {}}

    def _found(self, key: Mapping[str, str]) -> Mapping[str, Any]:
        if key["pk"].startswith("campaign#"):
            return self.fleet.version
        return self.fleet.run if key["sk"] == "run" else self.fleet.item(key["sk"])

    def get_paginator(self, operation: str) -> Stored:
        """Query's; there is no other."""
        assert operation == "query"  # noqa: S101
        return self

    def paginate(self, **params: Any) -> Iterator[Params]:
        """The pages, each made when it is asked for."""
        values = params["ExpressionAttributeValues"]
        items = self.fleet.under(values[":sk"]) if values.get(":pk") == self.fleet.pk else iter(())
        yield {"Items": list(islice(items, PAGE))}
        while page := list(islice(items, PAGE)):
            yield {"Items": page}

    def transact_write_items(self, TransactItems: list[Any]) -> Params:  # noqa: N803
        """TransactWriteItems."""
        for action in TransactItems:
            self.outcomes.update([action.get("Put", {}).get("Item", {}).get("outcome", "no row")])
        return {}


class Answering:
    """Any client of a location: every instance has been patched by the run, and nothing else is to be told."""

    def __init__(self, run: Run, snapshot: str) -> None:
        self.run, self.snapshot = run, snapshot
        self.since = evidence_since(run, run.waves[0].name)

    def get_paginator(self, operation: str) -> _Pages:
        """The pages of an operation."""
        return _Pages(self, operation)

    def close(self) -> None:
        """There is no connection to close."""

    def page(self, operation: str, params: Params) -> Params:
        """The only page of an answer."""
        match operation:
            case "describe_instance_patch_states":
                return {"InstancePatchStates": [self._state(id_) for id_ in params["InstanceIds"]]}
            case "list_commands":
                return {"Commands": []}
            case "describe_instances":
                return {"Reservations": []}
        return {"CommandInvocations": []}

    def _state(self, id_: str) -> Params:
        return {
            "InstanceId": id_,
            "PatchGroup": "web",
            "BaselineId": "pb-0123456789abcdef0",
            "SnapshotId": self.snapshot,
            "InstalledCount": 124,
            "OperationStartTime": self.since + timedelta(minutes=1),
            "OperationEndTime": self.since + timedelta(minutes=9),
            "Operation": "Install",
        }


@dataclass(frozen=True)
class _Pages:
    client: Answering
    operation: str

    def paginate(self, **params: Any) -> Iterator[Params]:
        yield self.client.page(self.operation, params)


class _Tokens:
    """STS, which lets everybody in."""

    class meta:  # noqa: N801 - as boto3 has it
        partition = "aws"

    def assume_role(self, **_: Any) -> Params:
        """AssumeRole."""
        keys = {"AccessKeyId": "key", "SecretAccessKey": "secret", "SessionToken": "token"}
        return {"Credentials": keys | {"Expiration": datetime(2100, 1, 1, tzinfo=UTC)}}


class _Bucket:
    """S3, which reads what it is sent, block by block, and forgets it."""

    def put_object(self, **params: Any) -> None:
        """PutObject."""
        while params["Body"].read(BLOCK):
            pass


class _Listed(Runs):
    """Reads all rows before it hands out the first."""

    def instances(self, run: str, wave: str = "") -> Iterator[Mapping[str, str]]:
        """The rows of all instances."""
        return iter(list(super().instances(run, wave)))


def follow(fleet: Fleet, now: datetime, *, listed: bool) -> Counter[str]:
    """Collect all of the fleet, then report it; what was written of its instances."""
    stored = Stored(fleet)
    table = Table(stored, "runs", sleep=lambda _: None)  # type: ignore[arg-type]
    runs = (_Listed if listed else Runs)(table, RETENTION, lambda: now)
    registry = Registry(table)
    dossier = runs.load(fleet.id)
    spec = registry.spec(dossier.run.campaign, dossier.run.spec)
    wave = dossier.run.waves[0].name
    answering = Answering(dossier.run, expected_snapshot(spec, dossier.run, wave) or "")
    spokes = Spokes(_Tokens(), "reader", lambda: now, connect=lambda *_, **__: answering)  # type: ignore[arg-type]
    collector = Collector(registry, runs, spokes, lambda: now)
    questions = (Inquiry("evidence", fleet.id, wave, where.account, where.region) for where in fleet.locations())
    while batch := list(islice(questions, TOGETHER)):
        with ahead(batch, collector):
            for question in batch:
                collect(question, collector)
    archive = Archive(lambda: _Bucket(), "reports")  # type: ignore[arg-type, return-value]
    ended = replace(dossier, run=replace(dossier.run, reported=""))
    write(ended, Reporter(registry, runs, archive, lambda: now))
    return stored.outcomes


def peak() -> float:
    """The most memory that this process ever had, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says of a process begins with what its parent had
        (most,) = (
            line.split()[1] for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")
        )
        return int(most) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # in bytes, where there is no /proc


def main() -> int:
    """The program."""
    count, way = int(sys.argv[1]), sys.argv[2]
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    hub = (clients.dynamodb(), clients.sts(), clients.s3())  # never asked, but every function has them
    logging.disable(logging.CRITICAL)
    told = json.load(sys.stdin)
    fleet = Fleet(count, executions=tuple(told.pop("executions")), **told)
    now = datetime(2026, 12, 5, 22, 45, tzinfo=UTC)
    outcomes = follow(fleet, now, listed=way == "list")
    sys.stdout.write(json.dumps({"compliant": outcomes["compliant"], "mib": peak(), "clients": len(hub)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
