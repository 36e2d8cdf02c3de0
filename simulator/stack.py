"""The hub's stack played in one process: the real handlers, wired as template.yaml says, under the virtual clock.

Tables, queue and topic are moto's; SSM and the organisation are the world's. The clock jumps to the next thing due: minutes
in which no campaign and no run is due are skipped, since a tick in them changes nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3

from patchtide.aws import clients
from patchtide.core.pause import SERVICE
from simulator.judge import Judge
from simulator.powers import Guarded, Policies
from simulator.template import ROOT, Feed, Schedule, Stream, Template, load
from simulator.wire import Wire
from simulator.world import World

MINUTE = timedelta(minutes=1)
STREAM_TRIES = 10
CLIENTS = (
    clients.cloudwatch,
    clients.dynamodb,
    clients.organizations,
    clients.s3,
    clients.sns,
    clients.sqs,
    clients.ssm,
    clients.sts,
)
TABLE_WRITES = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")  # transactions write the runs alone
QUEUE_WRITES = ("sqs:SendMessage", "sqs:SendMessageBatch")


@dataclass(frozen=True)
class Context:
    """What Lambda tells a function about its invocation."""

    function_name: str
    timeout: int  # seconds
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 512
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN."""
        return f"arn:aws:lambda:eu-west-1:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """How long it may still take: no time passes within an invocation."""
        return self.timeout * 1000


class Stack:
    """The hub's stack. `stack.mails` are the alerts as the topic's subscribers got them."""

    def __init__(
        self, world: World, wire: Wire, parameters: Mapping[str, str] | None = None, root: Path = ROOT
    ) -> None:
        self.world, self.wire, self.root = world, wire, root
        self.template = Template(
            load(root / "template.yaml"),
            account=world.organization.hub,
            region=world.hub_region,
            parameters=parameters or {},
            attribute=self._attribute,
        )
        self._clients: dict[str, Any] = {}
        self._modules: dict[str, ModuleType] = {}
        self._iterators: dict[str, str] = {}
        self._tries: dict[str, int] = {}
        self._drained: dict[str, int] = {}
        self._again: set[str] = set()
        self.invocations = 0
        self.running = ""
        self._principals: dict[str, str] = {}
        self.failures: list[str] = []
        with wire.quiet():
            self._deploy()

    # --- resources ---------------------------------------------------------------------------------------------------

    def _attribute(self, resource: str, name: str) -> str:
        account, region = self.template.account, self.template.region
        kind = self.template.document["Resources"][resource]["Type"]
        properties = self.template.document["Resources"][resource].get("Properties", {})
        match kind, name:
            case "AWS::SQS::Queue", "":
                return f"https://sqs.{region}.amazonaws.com/{account}/{resource}"
            case "AWS::SQS::Queue", "Arn":
                return f"arn:aws:sqs:{region}:{account}:{resource}"
            case "AWS::S3::Bucket", "":
                return f"patchtide-{account}-{resource.lower()}"
            case "AWS::S3::Bucket", "Arn":
                return f"arn:aws:s3:::patchtide-{account}-{resource.lower()}"
            case "AWS::SNS::Topic", _:
                return f"arn:aws:sns:{region}:{account}:{resource}"
            case "AWS::IAM::Role", "Arn":
                return f"arn:aws:iam::{account}:role/{self.template.resolve(properties.get('RoleName', resource))}"
            case "AWS::DynamoDB::Table", "Arn":
                return f"arn:aws:dynamodb:{region}:{account}:table/{resource}"
        return f"{resource}.{name}" if name else resource

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=self.template.region)  # type: ignore[call-overload]
        return self._clients[service]

    def _deploy(self) -> None:
        for name, properties in self.template.of_type("AWS::DynamoDB::Table").items():
            self._client("dynamodb").create_table(TableName=name, **_table(properties))
        for name, properties in self.template.of_type("AWS::SQS::Queue").items():
            visibility = str(properties.get("VisibilityTimeout", 30))
            self._client("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": visibility})
        for name in self.template.of_type("AWS::SNS::Topic"):
            topic = self._client("sns").create_topic(Name=name)["TopicArn"]
            if name == "AlertsTopic":
                self._mailbox(topic)
        for name in self.template.of_type("AWS::S3::Bucket"):
            self._client("s3").create_bucket(
                Bucket=self._attribute(name, ""),
                CreateBucketConfiguration={"LocationConstraint": self.template.region},
            )
        for properties in self.template.of_type("AWS::SSM::Document").values():
            self._client("ssm").create_document(
                Name=properties["Name"],
                Content=json.dumps(properties["Content"]),
                DocumentType=properties["DocumentType"],
                DocumentFormat="JSON",
            )
        for made in CLIENTS:
            made.cache_clear()

    def _mailbox(self, topic: str) -> None:
        sqs = self._client("sqs")
        self._mail_queue = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
        arn = f"arn:aws:sqs:{self.template.region}:{self.template.account}:mailbox"
        self._client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def mails(self) -> Iterator[Mapping[str, Any]]:
        """The alerts that came since the last time, as SNS delivers them: Subject, Message, Timestamp, MessageAttributes."""
        with self.wire.quiet():
            sqs = self._client("sqs")
            while True:
                got = sqs.receive_message(QueueUrl=self._mail_queue, MaxNumberOfMessages=10).get("Messages", [])
                if not got:
                    return
                for message in got:
                    sqs.delete_message(QueueUrl=self._mail_queue, ReceiptHandle=message["ReceiptHandle"])
                    mail = json.loads(message["Body"])
                    yield mail | {"Message": json.loads(mail["Message"])["text"]}  # a queue gets what programs get

    def stored(self) -> Iterator[tuple[str, bytes]]:
        """What the bucket holds: each object's key and content."""
        with self.wire.quiet():
            s3, bucket = self._client("s3"), self._attribute("ReportsBucket", "")
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for found in page.get("Contents", ()):
                    yield found["Key"], s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()

    # --- functions ---------------------------------------------------------------------------------------------------

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """What the real handler answers to the event, under the environment that the template gives it."""
        self.invocations += 1
        quiet = {"POWERTOOLS_METRICS_DISABLED": "true"}  # metrics are lines of a log that nobody reads here
        with _environment({**self.template.environment(function), **quiet}):
            if function not in self._modules:
                self._modules[function] = self._open(function)
            handler: Callable[[Any, Any], Any] = self._modules[function].handler
            self.running = function
            try:
                return handler(json.loads(json.dumps(event)), Context(function, self.template.timeout(function)))
            finally:
                self.running = ""

    def _open(self, function: str) -> ModuleType:
        folder, handler = self.template.code(function)
        path = self.root / folder / f"{handler.split('.')[0]}.py"
        spec = importlib.util.spec_from_file_location(f"local_{function}", path)
        assert spec  # noqa: S101 - the path was just made
        assert spec.loader  # noqa: S101
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    def guard(self, judge: Judge, spoke: Mapping[str, str]) -> Policies:
        """From here on every function has the rights of its own role, every role that it assumes those of the spoke's template, with
        these parameters, and Automation those of the roles that it plays. Tells what was asked."""
        powers = Policies(self.template, self.world.organization, spoke, judge)
        self.world.powers = powers
        self.wire.before.append(Guarded(powers, self._principal, self.wire.caller, self.world.organization.id))
        return powers

    def _principal(self) -> str:
        """Whose rights a call has that is signed with the function's own keys; nobody's when no function is at work."""
        if not self.running:
            return ""
        if self.running in self._principals:
            return self._principals[self.running]
        role = str(self.template.resolve(self.template.resources[self.running]["Properties"]["Role"])).rpartition("/")[
            2
        ]
        found = f"arn:aws:sts::{self.template.account}:assumed-role/{role}/{self.running}"
        return self._principals.setdefault(self.running, found)

    def restart(self) -> None:
        """Forget every warm function, as after a deployment or a kill."""
        self._modules.clear()

    # --- events ------------------------------------------------------------------------------------------------------

    def tick(self, times: int = 1) -> None:
        """This minute's wake-up of every scheduled function, delivered so many times, and all that follows from it."""
        for wired in self.template.wiring():
            if isinstance(wired, Schedule) and self.world.clock.now.minute % _minutes(wired) == 0:
                for _ in range(times):
                    self._wake(wired.function)
                self.drain()

    def _wake(self, function: str) -> None:
        """A function that fails is not tried again before the next minute; what it said is kept."""
        try:
            self.invoke(function, _schedule_event(self.world.clock.now))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, Lambda goes on
            self.failures.append(f"{function}: {error}")

    def drain(self) -> None:
        """Streams and queues delivered until nothing is left to deliver now."""
        sources = [wired for wired in self.template.wiring() if not isinstance(wired, Schedule)]
        while sum(self._deliver(wired) for wired in sources):  # every source has its turn before the next look
            pass

    def _deliver(self, wired: Stream | Feed) -> bool:
        """Whether anything was delivered. Where nothing was written since nothing was left, there is no need to look."""
        name, writes = (wired.table, TABLE_WRITES) if isinstance(wired, Stream) else (wired.queue, QUEUE_WRITES)
        written = sum(self.wire.sent[write] for write in writes)
        if self._drained.get(name) == written:
            return False
        delivered = self._deliver_stream(wired) if isinstance(wired, Stream) else self._deliver_queue(wired)
        if not delivered and name not in self._again:
            self._drained[name] = written
        return delivered

    def _deliver_stream(self, wired: Stream) -> bool:
        with self.wire.quiet():
            client = self._client("dynamodbstreams")
            if wired.table not in self._iterators:
                self._iterators[wired.table] = self._first_iterator(client, wired.table)
            answer = client.get_records(ShardIterator=self._iterators[wired.table])
            records = [_stream_record(record) for record in answer["Records"]]
        if not records:
            return False
        failed = _failures(self.invoke(wired.function, {"Records": records}))
        self._come_again(wired.table, failed)
        self._tries[wired.table] = self._tries.get(wired.table, 0) + 1 if failed else 0
        if not failed:
            self._iterators[wired.table] = answer["NextShardIterator"]
        elif self._tries[wired.table] > STREAM_TRIES:
            raise RuntimeError(
                f"{wired.function} failed the same records {STREAM_TRIES} times: they are dead letters now"
            )
        return True  # what failed comes again, and keeps its place until then

    def _first_iterator(self, client: Any, table: str) -> str:
        stream = client.list_streams(TableName=table)["Streams"][0]["StreamArn"]
        shard = client.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]
        found: str = client.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        return found

    def _deliver_queue(self, wired: Feed) -> bool:
        url = self._attribute(wired.queue, "")
        with self.wire.quiet():
            got = list(_received(self._client("sqs"), url, wired.batch))
        if not got:
            return False
        records = [_queue_record(message, self._attribute(wired.queue, "Arn")) for message in got]
        try:
            failed = _failures(self.invoke(wired.function, {"Records": records}))
        except BaseException as error:  # a batch that fails as a whole comes again as a whole
            self._again.add(wired.queue)
            if not isinstance(error, Exception):
                raise
            self.failures.append(f"{wired.function}: {error}")
            failed = {message["MessageId"] for message in got}
        self._come_again(wired.queue, failed)
        with self.wire.quiet():
            for message in got:
                if message["MessageId"] not in failed:
                    self._client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return True

    def _come_again(self, name: str, failed: set[str]) -> None:
        """Records that failed come again by themselves, and nobody has to write anything for that."""
        if failed:
            self._again.add(name)

    # --- time --------------------------------------------------------------------------------------------------------

    def due_at(self) -> datetime | None:
        """When the service next has something to do, by its own index. A switch that people have heard of asks for nothing."""
        with self.wire.quiet():
            found = [
                item
                for kind in ("campaign", "run", "notice")
                for item in self._client("dynamodb").query(
                    TableName="RunsTable",
                    IndexName="due",
                    KeyConditionExpression="due = :due",
                    ExpressionAttributeValues={":due": {"S": kind}},
                    Limit=2,
                )["Items"]
            ]
            asking = [item for item in found if item["sk"]["S"] != "pause" or not self._told_of_switch()]
        return min((datetime.fromisoformat(item["dueAt"]["S"]) for item in asking), default=None)

    def _told_of_switch(self) -> bool:
        key = {"pk": {"S": SERVICE}, "sk": {"S": "pause"}}
        return '"told":true' in self._client("dynamodb").get_item(TableName="RunsTable", Key=key)["Item"]["body"]["S"]

    def run(self, until: datetime, each_tick: Callable[[], None] = lambda: None) -> None:
        """Time passes until then: the world's own events, and a tick in each minute in which something is due."""
        while True:
            self.drain()
            moment = self._next_tick()
            if moment is None or moment > until:
                self.wire.move_to(until)
                return
            self.wire.move_to(moment)
            self.tick()
            each_tick()

    def _next_tick(self) -> datetime | None:
        """The first full minute at which something is due."""
        due = self.due_at()
        return max(_minute_after(self.world.clock.now), _minute_after(due - MINUTE)) if due else None


def _minutes(schedule: Schedule) -> int:
    """How many minutes apart it wakes its function."""
    found = re.fullmatch(r"rate\((\d+) minutes?\)", schedule.expression)
    if found is None:
        raise ValueError(f"the local world cannot play {schedule.expression}")
    return int(found[1])


def _minute_after(moment: datetime) -> datetime:
    whole = moment.replace(second=0, microsecond=0)
    return whole + MINUTE


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _table(properties: Mapping[str, Any]) -> dict[str, Any]:
    request = {name: properties[name] for name in ("AttributeDefinitions", "KeySchema") if name in properties}
    request["BillingMode"] = "PAY_PER_REQUEST"
    if "GlobalSecondaryIndexes" in properties:
        request["GlobalSecondaryIndexes"] = properties["GlobalSecondaryIndexes"]
    if "StreamSpecification" in properties:
        request["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    return request


def _schedule_event(now: datetime) -> dict[str, Any]:
    """What EventBridge Scheduler sends a Lambda target that has no input of its own."""
    return {
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000000",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "000000000000",
        "time": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": "eu-west-1",
        "resources": [],
        "detail": "{}",
    }


def _stream_record(record: Mapping[str, Any]) -> dict[str, Any]:
    inner = record["dynamodb"]
    return {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": record["awsRegion"],
        "dynamodb": {
            "Keys": inner["Keys"],
            "SequenceNumber": inner["SequenceNumber"],
            "SizeBytes": 10,
            "StreamViewType": "KEYS_ONLY",
        },
    }


def _received(sqs: Any, url: str, most: int) -> Iterator[Mapping[str, Any]]:
    """Up to so many messages, ten at a time: SQS gives no more, and Lambda asks again."""
    for left in range(most, 0, -10):
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=min(left, 10)).get("Messages", [])
        yield from got
        if len(got) < min(left, 10):
            return


def _queue_record(message: Mapping[str, Any], arn: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": "eu-west-1",
    }


def _failures(answer: Mapping[str, Any] | None) -> set[str]:
    return {failure["itemIdentifier"] for failure in (answer or {}).get("batchItemFailures", [])}
