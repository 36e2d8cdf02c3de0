"""The in-process door: every boto3 client in the process reaches the world, or moto for what the world does not have.

    with Wire(world) as wire:
        boto3.client("ssm").start_automation_execution(...)
        wire.move_to(world.clock.now + timedelta(minutes=10))

botocore does its whole work: it validates, signs, parses and retries. Only the network is not there. Time stands still, and
`datetime.now` agrees with the world's clock, until the world's clock is moved.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from io import BytesIO
from types import TracebackType
from typing import Any
from unittest.mock import patch

import botocore.endpoint
import botocore.session
import time_machine
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.handlers import BUILTIN_HANDLERS, REGISTER_FIRST
from botocore.httpsession import URLLib3Session
from botocore.loaders import Loader, create_loader
from moto import mock_aws
from moto.core.models import botocore_stubber

from simulator.clock import Clock
from simulator.protocol import (
    BrokenDoubleError,
    Caller,
    Door,
    Reply,
    Request,
    ServiceError,
    access_key,
    encode_error,
    service_model,
    signed_for,
)
from simulator.world import World


@dataclass(frozen=True)
class Call:
    """One attempt of a boto3 call, as it goes over the wire."""

    service: str
    operation: str
    url: str
    body: bytes
    headers: dict[str, str]
    number: int

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}"

    @property
    def params(self) -> dict[str, Any]:
        """What was sent, where it is JSON; nothing else is."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


Refusal = tuple[str, str] | BaseException
Before = Callable[[Call], Refusal | None]
After = Callable[[Call], None]


class Wire(AbstractContextManager["Wire"]):
    """Connects the process to a world while it is entered.

    `before` callbacks run before a call has its effect: they may raise, or give (code, message) to have AWS refuse the call
    or an exception to have the network fail; botocore's own retries see either. `after` callbacks run when the effect has
    been applied and nobody knows it yet; one that raises loses the answer. What raises a BaseException kills the caller.
    `calls` counts what the world's own did, `sent` whatever was done, by the simulator too.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.before: list[Before] = []
        self.after: list[After] = []
        self.slept = timedelta(0)
        self._door = Door(world.services.values(), world.identities, lambda: world.clock.now)
        self._silence = 0
        self._number = 0
        self._stack = ExitStack()

    def __enter__(self) -> Wire:
        if _wires:
            raise RuntimeError("a wire is entered already: two worlds would share moto's tables and the time")
        with ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, self._environment()))
            for name in (
                "AWS_PROFILE",
                "AWS_DEFAULT_PROFILE",
                "AWS_SESSION_TOKEN",
                "AWS_ENDPOINT_URL",
                "MOTO_ACCOUNT_ID",
            ):
                os.environ.pop(name, None)
            stack.enter_context(mock_aws(config={"core": {"mock_credentials": False, "reset_boto3_session": True}}))
            # moto answers only when asked: its own handler would answer a second time.
            stack.enter_context(patch.object(botocore_stubber, "enabled", new=False))
            stack.enter_context(patch.object(botocore.endpoint, "time", _Sleepless(self)))
            stack.enter_context(patch.object(URLLib3Session, "send", _no_network))
            stack.enter_context(patch.object(botocore.session, "create_loader", _shared_loader))
            stack.enter_context(world_time(self.world.clock))
            _wires.append(self)
            stack.callback(_wires.remove, self)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.world.organization.hub,
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_DEFAULT_REGION": self.world.hub_region,
            "AWS_REGION": self.world.hub_region,
            "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    # --- time -----------------------------------------------------------------------------------------------------

    def move_to(self, when: datetime) -> None:
        """Let time pass until then, with everything that is due in the world."""
        with self.quiet():
            self.world.clock.advance_to(when)

    # --- calls ----------------------------------------------------------------------------------------------------

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Calls in here are the simulator's own: neither counted nor observed."""
        self._silence += 1
        try:
            yield
        finally:
            self._silence -= 1

    def send(self, service: str, operation: str, request: AWSPreparedRequest) -> AWSResponse:
        """The answer to a request, with everything that observers make of it."""
        self.sent[f"{service}:{operation}"] += 1
        if self._silence:
            return self._performed(request)
        self._number += 1
        call = Call(service, operation, request.url, _body(request), _headers(request), self._number)
        self.calls[str(call)] += 1
        for look in list(self.before):
            refusal = look(call)
            if isinstance(refusal, BaseException):
                raise refusal
            if refusal is not None:
                return _response(request, _refused(service, *refusal))
        response = self._performed(request)
        for note in list(self.after):
            note(call)
        return response

    def caller(self, call: Call) -> Caller:
        """Who signed a call, and for which Region."""
        key = access_key(call.headers) or self.world.organization.hub
        identity = self.world.identities.of(key)
        if identity is None:
            raise BrokenDoubleError(f"nobody has the key {key}")
        return Caller(identity.account, signed_for(call.headers) or self.world.hub_region, identity.arn, key)

    def _performed(self, request: AWSPreparedRequest) -> AWSResponse:
        headers = _headers(request)
        if self._door.service(headers) is not None:
            method = str(request.method)
            return _response(request, self._door.answer(Request(request.url, headers, _body(request), method)))
        return self._from_moto(request, headers)

    def _from_moto(self, request: AWSPreparedRequest, headers: dict[str, str]) -> AWSResponse:
        key = access_key(headers)
        identity = self.world.identities.of(key) if key else None
        if identity is not None:
            headers_sent: Any = request.headers  # the stubs take them for a plain mapping of objects
            headers_sent["x-moto-account-id"] = identity.account
        answered = botocore_stubber.process_request(request)
        if answered is None:
            raise BrokenDoubleError(f"neither the simulator nor moto answers {request.url}")
        status, given, body = answered
        return _answer(request, status, given, body)


@contextmanager
def world_time(clock: Clock) -> Iterator[None]:
    """`datetime.now` and `time.time` agree with the clock, and stand still between its events."""
    with time_machine.travel(clock.now, tick=False) as traveller:
        clock.watchers.append(traveller.move_to)
        try:
            yield
        finally:
            clock.watchers.remove(traveller.move_to)


# --- botocore's side ----------------------------------------------------------------------------------------------------

_wires: list[Wire] = []


def _before_send(event_name: str, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
    """Answers instead of the network while a wire is entered. Every client has this handler, from its making on."""
    if not _wires:
        return None
    _event, service, operation = event_name.split(".")
    return _wires[-1].send(_client_name(service), operation, request)


BUILTIN_HANDLERS.insert(0, ("before-send", _before_send, REGISTER_FIRST))


@cache
def _client_name(service_id: str) -> str:
    """boto3's name of a service, of the hyphenated id that events carry."""
    return _client_names().get(service_id, service_id)


@cache
def _client_names() -> dict[str, str]:
    loader = Loader()
    ours = ("ssm", "sts", "organizations", "resourcegroupstaggingapi", "resource-groups", "ec2", "elbv2")
    others = (
        "dynamodb",
        "dynamodbstreams",
        "sqs",
        "sns",
        "s3",
        "lambda",
        "events",
        "scheduler",
        "cloudwatch",
        "logs",
        "kms",
    )
    return {
        loader.load_service_model(name, "service-2")["metadata"]["serviceId"].lower().replace(" ", "-"): name
        for name in (*ours, *others)
    }


@cache
def _shared_loader(data_path: str | None = None) -> Loader:
    """One loader for all sessions: each new one would read the same megabytes of service models again."""
    return create_loader(data_path)


class _Sleepless:
    """The time module as botocore's retries see it: they wait, and no time passes."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def sleep(self, seconds: float) -> None:
        self._wire.slept += timedelta(seconds=seconds)


class _Raw(BytesIO):
    """A body as urllib3 would hand it over."""

    def __init__(self, body: bytes | str) -> None:
        super().__init__(body.encode() if isinstance(body, str) else body)

    def stream(self, **_: object) -> Iterator[bytes]:
        while found := self.read():
            yield found


def _no_network(_: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
    raise BrokenDoubleError(f"a client made before simulator.wire was imported wants to reach {request.url}")


def _headers(request: AWSPreparedRequest) -> dict[str, str]:
    sent: Any = request.headers
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in sent.items()}


def _body(request: AWSPreparedRequest) -> bytes:
    body: Any = request.body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    found = body.read()
    body.seek(0)
    return bytes(found)


def _response(request: AWSPreparedRequest, reply: Reply) -> AWSResponse:
    return _answer(request, reply.status, dict(reply.headers), reply.body)


def _answer(request: AWSPreparedRequest, status: int, headers: Any, body: bytes | str) -> AWSResponse:
    return AWSResponse(request.url, status, headers, _Raw(body))


def _refused(service: str, code: str, message: str) -> Reply:
    status = 500 if code.startswith("Internal") else 503 if code.startswith("ServiceUnavailable") else 400
    return encode_error(service_model(service), ServiceError(code, message, status))


__all__ = ["Call", "Wire", "world_time"]
