"""The in-memory door: the service's own code over a world, with nothing of botocore between them.

    memory = Memory(world)
    memory.dispatcher().dispatch()

What stands behind each boto3 client is a plain object here, so that all of `aws` is played as well as all of `flow`, and a
call costs microseconds. Requests to the world's own services are held against AWS's models as in every other door. Every
call crosses one `Boundary`, where it can be counted, watched and disturbed.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TextIO, cast

from botocore.exceptions import ClientError
from botocore.loaders import Loader

from patchtide.aws import inquiries
from patchtide.aws.alerts import Alerts
from patchtide.aws.automation import Automation
from patchtide.aws.calendars import Alarms, Calendars, FreezeFiles
from patchtide.aws.inquiries import Inquiries
from patchtide.aws.items import Items
from patchtide.aws.organization import Organization
from patchtide.aws.overrides import Overrides
from patchtide.aws.reports import Archive, ReportQueue
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.service import Slots, Switch
from patchtide.aws.spokes import Spokes
from patchtide.aws.table import Table
from patchtide.core.bounds import Bounds
from patchtide.core.request import Hub
from patchtide.flow.collector import Collector, ahead, collect
from patchtide.flow.dispatcher import Dispatcher, dispatch
from patchtide.flow.intake import Intake, sweep, take
from patchtide.flow.permits import Guards
from patchtide.flow.poller import Poller, poll
from patchtide.flow.reporter import Reporter, report
from simulator.fleet import ADMINISTRATION_ROLE
from simulator.protocol import Caller, Params, ServiceError, operation_name
from simulator.tables import CancelledError, Tables
from simulator.template import ROOT, load
from simulator.world import World

RETENTION = timedelta(days=400)
READ_ROLE = "Patchtide-Collector"
BUCKET = "reports"
TOPIC = "alerts"
QUEUE = "inquiries"
REPORTS = "reports"
QUESTIONS = 20  # of one invocation
VISIBILITY = timedelta(seconds=1800)
RECEIVES = 5  # of a message, until it is a dead letter
STREAM_TRIES = 11

# What only reads. A reply of these that is lost has lost nothing.
READS = ("get_", "batch_get_", "describe_", "list_", "query", "scan", "assume_role")


@dataclass(frozen=True)
class Call:
    """One call that crosses the boundary."""

    number: int
    worker: str
    service: str
    operation: str
    params: Params
    caller: Caller

    @property
    def name(self) -> str:
        """What is called, as `service.operation`."""
        return f"{self.service}.{self.operation}"

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.operation.startswith(READS)


Perform = Callable[[], Params]
Who = Callable[[], Caller]
Watch = Callable[[Call, Perform], Params]


class Boundary:
    """What every call crosses. `watch`, where there is one, performs the call or does something else in its place."""

    def __init__(self) -> None:
        self.calls = 0
        self.worker = ""
        self.watch: Watch | None = None

    def cross(
        self, service: str, operation: str, params: Params, perform: Callable[[Caller], Params], who: Who
    ) -> Params:
        """The answer to the call."""
        self.calls += 1
        try:
            caller = who()
            if self.watch is None:
                return perform(caller)
            call = Call(self.calls, self.worker, service, operation, params, caller)
            return self.watch(call, lambda: perform(caller))
        except ServiceError as error:
            raise refusal(error.code, error.message, operation, error.status, error) from error


def refusal(
    code: str, message: str, operation: str, status: int = 400, cause: ServiceError | None = None
) -> ClientError:
    """The error that botocore would raise."""
    answer: dict[str, Any] = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    if isinstance(cause, CancelledError):
        answer["CancellationReasons"] = [{"Code": reason} for reason in cause.reasons]
    return ClientError(cast("Any", answer), operation)


class Api:
    """What a boto3 client looks like: a method per operation, and paginators."""

    def __init__(
        self,
        boundary: Boundary,
        service: str,
        perform: Callable[[Caller, str, Params], Params],
        who: Who,
    ) -> None:
        self._boundary, self._service, self._perform, self._who = boundary, service, perform, who
        self.meta = _Meta()

    def __getattr__(self, operation: str) -> Callable[..., Params]:
        if operation.startswith("_"):
            raise AttributeError(operation)

        def call(**params: Any) -> Params:
            if "Body" in params:  # a file is what it was when it was sent, however late that arrives
                params["Body"] = params["Body"].read()
            return self._boundary.cross(
                self._service, operation, params, lambda caller: self._perform(caller, operation, params), self._who
            )

        setattr(self, operation, call)
        return call

    def close(self) -> None:
        """There is no connection to close."""

    def get_paginator(self, operation: str) -> Paginator:
        """The operation, page after page."""
        return Paginator(getattr(self, operation), _pagination(self._service)[operation_name(self._service, operation)])


@dataclass(frozen=True)
class _Meta:
    partition: str = "aws"


@dataclass(frozen=True)
class Paginator:
    """A boto3 paginator: it goes on while there is a token, as AWS's own description of the operation has it."""

    call: Callable[..., Params]
    rule: Mapping[str, Any]

    def paginate(self, **params: Any) -> Iterator[Params]:
        """The pages. `MaxItems` ends them early, `PageSize` is of each."""
        config = params.pop("PaginationConfig", {})
        most = config.get("MaxItems")
        if "PageSize" in config:
            params[self.rule["limit_key"]] = config["PageSize"]
        while True:
            page = self.call(**params)
            if most is not None:
                page = page | {"Items": page["Items"][:most]}
                most -= len(page["Items"])
            yield page
            token = page.get(self.rule["output_token"])
            if most == 0 or not token:
                return
            params[self.rule["input_token"]] = token


@cache
def _pagination(service: str) -> Mapping[str, Mapping[str, Any]]:
    return cast("Mapping[str, Mapping[str, Any]]", Loader().load_service_model(service, "paginators-1")["pagination"])


@dataclass(eq=False)
class Message:
    """A message in a queue."""

    body: str
    visible_at: datetime
    received: int = 0

    @property
    def is_question(self) -> bool:
        """Whether it is for the collector."""
        return _is_question(self.body)


@dataclass(frozen=True)
class Mail:
    """An alert as it reached the topic."""

    at: datetime
    subject: str
    text: str
    attributes: Mapping[str, str]


@dataclass
class Memory:
    """The hub's stack in memory. Each function is warm until it is killed, and there can be several of each."""

    world: World
    max_in_flight: int = 0
    bounds: Bounds = field(default_factory=Bounds)
    checked: bool = True  # whether requests and answers are held against AWS's models
    boundary: Boundary = field(default_factory=Boundary)
    tables: Tables = field(default_factory=Tables)
    messages: deque[Message] = field(default_factory=deque)
    dead: list[str] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    written: dict[str, bytes] = field(default_factory=dict)
    pages: bool = False  # whether reports have a page for people, which takes longer than all the rest of a small run
    alarms: dict[str, str] = field(default_factory=dict)
    _clients: dict[str, Api] = field(default_factory=dict)
    _warm: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, properties in _table_resources().items():
            self.tables.make(name, properties)

    def now(self) -> datetime:
        """The time it is."""
        return self.world.clock.now

    # --- clients -----------------------------------------------------------------------------------------------------

    def client(self, service: str) -> Any:
        """The hub's client of a service."""
        if service not in self._clients:
            own: Mapping[str, Callable[[Caller, str, Params], Params]] = {
                "dynamodb": lambda _, operation, params: getattr(self.tables, operation)(**params),
                "sqs": self._sqs,
                "sns": self._sns,
                "s3": self._s3,
                "cloudwatch": self._cloudwatch,
            }
            organization = self.world.organization
            here = Caller(
                organization.hub, self.world.hub_region, f"arn:aws:iam::{organization.hub}:root", organization.hub
            )
            made = own.get(service) or self._of_world(service)
            self._clients[service] = Api(self.boundary, service, made, lambda: here)
        return self._clients[service]

    def connect(self, service: str, region_name: str, aws_access_key_id: str, **_: object) -> Api:
        """What boto3.client makes of a role's keys."""

        def caller() -> Caller:
            known = self.world.services[service]
            identity = self.world.identities.of(aws_access_key_id)
            if identity is None:
                code, status, message = known.unknown_key
                raise ServiceError(code, message, status)
            if identity.expires_at is not None and self.world.clock.now >= identity.expires_at:
                code, status = known.expired_key
                raise ServiceError(code, "The security token included in the request is expired", status)
            return Caller(identity.account, region_name, identity.arn, aws_access_key_id)

        return Api(self.boundary, service, self._of_world(service), caller)

    def _of_world(self, service: str) -> Callable[[Caller, str, Params], Params]:
        # The world may be replaced by one like it, so it is looked up with every call.
        return lambda caller, operation, params: self.world.services[service].answer(
            operation_name(service, operation), params, caller, checked=self.checked
        )

    def _sqs(self, _: Caller, operation: str, params: Params) -> Params:
        if operation == "send_message":
            self.messages.append(Message(params["MessageBody"], self.now()))
            return {"MessageId": "1"}
        assert operation == "send_message_batch"  # noqa: S101 - we send nothing else
        for entry in params["Entries"]:
            self.messages.append(Message(entry["MessageBody"], self.now()))
        return {"Successful": [{"Id": entry["Id"]} for entry in params["Entries"]]}

    def _sns(self, _: Caller, operation: str, params: Params) -> Params:
        assert operation == "publish"  # noqa: S101
        subject, text = params["Subject"], json.loads(params["Message"])["default"]
        if not subject.isascii() or not subject.isprintable() or len(subject) > 99:
            raise ServiceError("InvalidParameter", f"Invalid parameter: Subject {subject!r}")
        if len(params["Message"].encode()) > 262_144:
            raise ServiceError("InvalidParameter", "Invalid parameter: Message too long")
        attributes = {name: said["StringValue"] for name, said in params.get("MessageAttributes", {}).items()}
        if wrong := [name for name, said in attributes.items() if not said.isprintable()]:
            raise ServiceError("InvalidParameterValue", f"The message attributes {wrong} contain invalid characters")
        self.mails.append(Mail(self.now(), subject, text, attributes))
        return {"MessageId": str(len(self.mails))}

    def _s3(self, _: Caller, operation: str, params: Params) -> Params:
        if operation == "put_object":
            self.written[params["Key"]] = params["Body"]
            return {}
        assert operation == "get_object"  # noqa: S101
        text = self.files.get(params["Key"])
        if text is None:
            raise ServiceError("NoSuchKey", "The specified key does not exist.", 404)
        return {"ContentLength": len(text.encode()), "Body": io.BytesIO(text.encode())}

    def _cloudwatch(self, _: Caller, operation: str, params: Params) -> Params:
        assert operation == "describe_alarms"  # noqa: S101
        found = [
            {"AlarmName": name, "StateValue": self.alarms[name]} for name in params["AlarmNames"] if name in self.alarms
        ]
        return {"MetricAlarms": found, "CompositeAlarms": []}

    # --- functions ---------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """Forget every warm function."""
        self._warm.clear()

    def cold(self) -> dict[str, Any]:
        """Set the warm functions aside, so that other sandboxes of the same functions are at work; give it back to `warm`."""
        aside, self._warm = self._warm, {}
        return aside

    def warm(self, aside: dict[str, Any]) -> None:
        """Let the functions that were set aside be at work again."""
        self._warm = aside

    def table(self) -> Table:
        """The runs table."""
        return Table(self.client("dynamodb"), "RunsTable", sleep=lambda _: None)

    def _made(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._warm:
            self._warm[name] = make()
        return self._warm[name]

    def intake(self) -> Intake:
        """The intake function's own."""
        table = self.table()

        def make() -> Intake:
            return Intake(
                items=Items(self.client("dynamodb"), "CampaignsTable"),
                registry=Registry(table),
                runs=Runs(table, RETENTION, self.now),
                alerts=Alerts(self.client("sns"), TOPIC),
                default_regions=(self.world.hub_region,),
                bounds=self.bounds,
                now=self.now,
            )

        return cast("Intake", self._made("intake", make))

    def dispatcher(self) -> Dispatcher:
        """The dispatcher function's own."""

        def make() -> Dispatcher:
            table = self.table()
            registry, automation = Registry(table), Automation(self.client("ssm"))
            return Dispatcher(
                registry=registry,
                runs=Runs(table, RETENTION, self.now),
                automation=automation,
                organization=Organization(self.client("organizations")),
                inquiries=Inquiries(self.client("sqs"), QUEUE),
                slots=Slots(table),
                guards=Guards(
                    registry=registry,
                    switch=Switch(table),
                    calendars=Calendars(self.client("ssm")),
                    files=FreezeFiles(lambda: self.client("s3"), BUCKET),
                    overrides=Overrides(lambda: self.client("s3"), BUCKET),
                    alarms=Alarms(lambda: self.client("cloudwatch")),
                    automation=automation,
                    now=self.now,
                ),
                hub=Hub(
                    f"arn:aws:iam::{self.world.organization.hub}:role/{ADMINISTRATION_ROLE}",
                    self.max_in_flight,
                ),
                bounds=self.bounds,
                shares=False,
                other_approver=False,
                now=self.now,
            )

        return cast("Dispatcher", self._made("dispatcher", make))

    def poller(self) -> Poller:
        """The poller function's own."""

        def make() -> Poller:
            table = self.table()
            return Poller(
                items=Items(self.client("dynamodb"), "CampaignsTable"),
                registry=Registry(table),
                runs=Runs(table, RETENTION, self.now),
                automation=Automation(self.client("ssm")),
                inquiries=Inquiries(self.client("sqs"), QUEUE),
                reports=ReportQueue(self.client("sqs"), REPORTS),
                switch=Switch(table),
                alerts=Alerts(self.client("sns"), TOPIC),
                telemetry=_Untold(),
                now=self.now,
            )

        return cast("Poller", self._made("poller", make))

    def collector(self) -> Collector:
        """The collector function's own."""

        def make() -> Collector:
            table = self.table()
            return Collector(
                registry=Registry(table),
                runs=Runs(table, RETENTION, self.now),
                spokes=Spokes(self.client("sts"), READ_ROLE, now=self.now, connect=self.connect),
                now=self.now,
            )

        return cast("Collector", self._made("collector", make))

    def reporter(self) -> Reporter:
        """The reporter function's own."""

        def make() -> Reporter:
            table = self.table()
            return Reporter(
                registry=Registry(table),
                runs=Runs(table, RETENTION, self.now),
                archive=Archive(lambda: self.client("s3"), BUCKET),
                now=self.now,
                **({} if self.pages else {"draw": _no_page}),
            )

        return cast("Reporter", self._made("reporter", make))

    # --- invocations -------------------------------------------------------------------------------------------------

    def dispatch(self) -> None:
        """One invocation of the dispatcher."""
        with self._as("dispatcher"):
            dispatch(self.dispatcher())

    def poll(self) -> None:
        """One invocation of the poller."""
        with self._as("poller"):
            poll(self.poller())

    def take(self, campaign: str) -> None:
        """One invocation of intake, for one changed item."""
        with self._as("intake"):
            take(campaign, self.intake())

    def sweep(self) -> None:
        """One invocation of intake, by its schedule."""
        with self._as("intake"):
            sweep(self.intake())

    def receive(self, messages: Sequence[str], note: Callable[[Exception], None]) -> list[int]:
        """One invocation of the function that these messages are for: the collector's are questions, the reporter's are names of
        runs. Which of them failed, each told to `note`: none keeps another from its answer."""
        if not _is_question(messages[0]):
            with self._as("reporter"):
                return _each(messages, lambda name: report(name, self.reporter()), note)
        with self._as("collector"), ahead(inquiries.readable(messages), self.collector()):
            return _each(messages, lambda text: collect(inquiries.read(text), self.collector()), note)

    @contextmanager
    def _as(self, worker: str) -> Iterator[None]:
        before, self.boundary.worker = self.boundary.worker, worker
        try:
            yield
        finally:
            self.boundary.worker = before

    # --- what people write -------------------------------------------------------------------------------------------

    def put(self, item: Mapping[str, Any]) -> None:
        """Put an item into the campaigns table, as a person does it: not a call of the service's."""
        self.tables.put_item(TableName="CampaignsTable", Item=item)

    def delete(self, campaign: str) -> None:
        """Delete an item, as a person does it."""
        self.tables.delete_item(TableName="CampaignsTable", Key={"campaign": campaign})

    def item(self, campaign: str) -> Mapping[str, Any]:
        """The item as a person sees it."""
        found: Mapping[str, Any] = self.tables.get_item(TableName="CampaignsTable", Key={"campaign": campaign})["Item"]
        return found

    def rows(self, pk: str, prefix: str = "") -> Iterable[Mapping[str, Any]]:
        """The raw rows of a partition of the runs table."""
        return self.tables.tables["RunsTable"].under(pk, prefix)

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Calls in here are the simulator's own: nobody watches or counts them."""
        watch, calls = self.boundary.watch, self.boundary.calls
        self.boundary.watch = None
        try:
            yield
        finally:
            self.boundary.watch, self.boundary.calls = watch, calls


def _is_question(message: str) -> bool:
    return message.startswith("{")


def _each(messages: Iterable[str], story: Callable[[str], None], note: Callable[[Exception], None]) -> list[int]:
    """Which messages failed, as Lambda's own contract for batches has it: each is told, and none stops another."""
    failed = []
    for number, message in enumerate(messages):
        try:
            story(message)
        except Exception as error:  # noqa: BLE001 - whatever one raises, the others have their turn
            note(error)
            failed.append(number)
    return failed


class _Untold:
    """Metrics are lines in a log, and nobody reads one here."""

    def ended(self, run: object) -> None:
        del run


def _no_page(into: TextIO, page: object) -> None:
    del into, page


@cache
def _table_resources() -> dict[str, Mapping[str, Any]]:
    resources = load(ROOT / "template.yaml")["Resources"]
    return {name: body["Properties"] for name, body in resources.items() if body["Type"] == "AWS::DynamoDB::Table"}


def rendered(call: Call) -> str:
    """The call as one line, with who asks and where, that reads the same in every process."""
    where = f"{call.caller.account} {call.caller.region}"
    return f"{where} {call.name} {json.dumps(call.params, sort_keys=True, default=str)}"
