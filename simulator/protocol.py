"""Between HTTP and our services, by AWS's own service models.

A `Service` has one method per operation. Requests and answers are both held against the model that botocore ships: what
botocore checks itself (required, unknown, types, minima), and the maxima, patterns and enums that it leaves to AWS.
Answers are let off the minima and empty strings, because AWS's own answers break them (an empty `Outputs`, say).
"""

from __future__ import annotations

import inspect
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

Params = dict[str, Any]
Check = Callable[[Any, str, list[str]], None]
T = TypeVar("T")


# --- who is asking, and what may go wrong -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caller:
    """Who asks, and in which Region."""

    account: str
    region: str
    arn: str
    access_key: str = ""


@dataclass(frozen=True)
class Identity:
    """Whose an access key is."""

    account: str
    arn: str
    expires_at: datetime | None = None


class Identities:
    """Whose each access key is. Twelve digits are the key of that account's root, so a test can be anybody."""

    def __init__(self) -> None:
        self._known: dict[str, Identity] = {}

    def give(self, key: str, account: str, arn: str, expires_at: datetime | None = None) -> None:
        """Let the key be this principal's."""
        self._known[key] = Identity(account, arn, expires_at)

    def of(self, key: str) -> Identity | None:
        """Whose key it is, or None when nobody has it."""
        if re.fullmatch(r"\d{12}", key):
            return Identity(key, f"arn:aws:iam::{key}:root")
        return self._known.get(key)


class ServiceError(Exception):
    """An error that AWS would answer with."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class BrokenDoubleError(BaseException):
    """A fault of the simulator itself. Not an Exception, so that no code under test can swallow it."""


@dataclass(frozen=True)
class Request:
    """An HTTP request, as far as it matters."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


# --- holding values against a shape -------------------------------------------------------------------------------------

_UNICODE = ((r"\p{L}", r"\w"), (r"\p{N}", r"\d"), (r"\p{Z}", r"\s"))  # as near as Python's re comes
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (datetime, int, float, str),
    "blob": (bytes, str),
}


@cache
def _pattern(text: str) -> re.Pattern[str] | None:
    for theirs, ours in _UNICODE:
        text = text.replace(theirs, ours)
    try:
        return re.compile(text)
    except re.error:
        return None  # written for another engine; nothing can be said


class Checker:
    """Makes, once for each shape, a function that says what is wrong with a value."""

    def __init__(self, *, lenient: bool) -> None:
        self._lenient = lenient
        self._made: dict[str, Check] = {}

    def of(self, shape: Shape) -> Check:
        """The check of a shape."""
        name = shape.name
        if name not in self._made:
            # Shapes may contain themselves, so the name must lead somewhere while the check is still being made.
            self._made[name] = lambda value, path, wrong: self._made[name](value, path, wrong)
            self._made[name] = self._make(shape)
        return self._made[name]

    def _make(self, shape: Shape) -> Check:
        match shape:
            case StructureShape():
                return self._structure(shape)
            case ListShape():
                return self._list(shape)
            case MapShape():
                return self._map(shape)
        return self._scalar(shape)

    def _structure(self, shape: StructureShape) -> Check:
        members = {name: (self.of(member), _camel(name)) for name, member in shape.members.items()}
        required = tuple(shape.required_members)

        def check(value: Any, path: str, wrong: list[str]) -> None:
            if not isinstance(value, dict):
                wrong.append(_fault(value, path, "Member must be a structure"))
                return
            at = f"{path}." if path else ""
            wrong += [
                _fault("null", f"{at}{_camel(name)}", "Member must not be null", quote=False)
                for name in required
                if value.get(name) is None
            ]
            for name, inner in value.items():
                if name in members:
                    one, called = members[name]
                    one(inner, f"{at}{called}", wrong)
                else:
                    wrong.append(_fault(inner, f"{at}{name}", f"Member must be one of: {', '.join(members)}"))

        return check

    def _list(self, shape: ListShape) -> Check:
        one, bounds = self.of(shape.member), self._bounds(shape, "length")

        def check(value: Any, path: str, wrong: list[str]) -> None:
            if not isinstance(value, list | tuple):
                wrong.append(_fault(value, path, "Member must be a list"))
                return
            bounds(value, len(value), path, wrong)
            for number, inner in enumerate(value, 1):
                one(inner, f"{path}.{number}.member", wrong)

        return check

    def _map(self, shape: MapShape) -> Check:
        key, one, bounds = self.of(shape.key), self.of(shape.value), self._bounds(shape, "length")

        def check(value: Any, path: str, wrong: list[str]) -> None:
            if not isinstance(value, dict):
                wrong.append(_fault(value, path, "Member must be a map"))
                return
            bounds(value, len(value), path, wrong)
            for name, inner in value.items():
                key(name, f"{path}.key", wrong)
                one(inner, f"{path}.{name}.member", wrong)

        return check

    def _scalar(self, shape: Shape) -> Check:
        kind = shape.type_name
        types, numeric = _TYPES[kind], kind in ("integer", "long", "float", "double")
        bounds = self._bounds(shape, "value" if numeric else "length")
        metadata = shape.metadata
        allowed: frozenset[str] = frozenset(metadata.get("enum", ()))
        listed = f"Member must satisfy enum value set: [{', '.join(metadata.get('enum', ()))}]"
        written = metadata.get("pattern")
        pattern = _pattern(written) if written else None
        lenient = self._lenient

        def check(value: Any, path: str, wrong: list[str]) -> None:
            if not isinstance(value, types) or (isinstance(value, bool) and kind != "boolean"):
                wrong.append(_fault(value, path, f"Member must be a {kind}"))
                return
            if numeric:
                bounds(value, value, path, wrong)
            elif isinstance(value, str) and (value or not lenient):
                bounds(value, len(value), path, wrong)
                if allowed and value not in allowed:
                    wrong.append(_fault(value, path, listed))
                if pattern and not pattern.fullmatch(value):
                    wrong.append(_fault(value, path, f"Member must satisfy regular expression pattern: {written}"))

        return check

    def _bounds(self, shape: Shape, what: str) -> Callable[[Any, Any, str, list[str]], None]:
        least = None if self._lenient else shape.metadata.get("min")
        most = shape.metadata.get("max")

        def check(value: Any, size: Any, path: str, wrong: list[str]) -> None:
            if least is not None and size < least:
                wrong.append(_fault(value, path, f"Member must have {what} greater than or equal to {least}"))
            if most is not None and size > most:
                wrong.append(_fault(value, path, f"Member must have {what} less than or equal to {most}"))

        return check


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _fault(value: Any, path: str, constraint: str, *, quote: bool = True) -> str:
    shown = f"'{value}'" if quote else str(value)
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"


# --- services ----------------------------------------------------------------------------------------------------------


@cache
def service_model(name: str) -> ServiceModel:
    """AWS's own description of a service, as botocore ships it."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


@cache
def _checkers(service: str) -> tuple[Checker, Checker]:
    """What holds requests and answers of the service against its model. Every world may use the same."""
    del service  # it is what keeps one service's shapes from another's
    return Checker(lenient=False), Checker(lenient=True)


@dataclass(frozen=True)
class Operation:
    """One operation of a service: how it is checked, and who does it."""

    model: OperationModel
    perform: Callable[..., Params]
    request: Check | None
    answer: Check | None


class Service:
    """A service: one method per operation, named as boto3 names it, taking the caller and the request's members."""

    name: ClassVar[str]
    signing_name: ClassVar[str]
    invalid: ClassVar[str] = "ValidationException"  # the code for a request that does not fit the model
    unknown_key: ClassVar[tuple[str, int, str]] = (
        "UnrecognizedClientException",
        400,
        "The security token included in the request is invalid.",
    )
    expired_key: ClassVar[tuple[str, int]] = ("ExpiredTokenException", 400)

    def __init__(self) -> None:
        self.model = service_model(self.name)
        requests, answers = _checkers(self.name)
        self.operations: dict[str, Operation] = {}
        for method, model in _operations(type(self)).items():  # type: ignore[arg-type] # a class is hashable
            self.operations[model.name] = Operation(
                model,
                getattr(self, method),
                requests.of(model.input_shape) if model.input_shape else None,
                answers.of(model.output_shape) if model.output_shape else None,
            )

    def admit(self, caller: Caller) -> None:
        """Refuse callers that may not come in at all."""

    def answer(self, operation: str, params: Params, caller: Caller, *, checked: bool = True) -> Params:
        """What the operation answers. Raises ServiceError where AWS would answer with an error.

        Whoever has seen the same requests checked before may leave it out.
        """
        self.admit(caller)
        known = self.operations.get(operation)
        if known is None:
            raise ServiceError("UnknownOperationException", f"The simulator does not do {self.name} {operation}")
        if not checked:
            return known.perform(caller, **params)
        self._hold(known, params)
        try:
            answer = known.perform(caller, **params)
        except ServiceError:
            raise
        except Exception as error:
            raise BrokenDoubleError(f"{self.name} {operation} failed: {error!r}") from error
        wrong: list[str] = []
        if known.answer:
            known.answer(answer, "", wrong)
        if wrong:
            raise BrokenDoubleError(f"{self.name} {operation} would answer what AWS cannot: {'; '.join(wrong)}")
        return answer

    def _hold(self, operation: Operation, params: Params) -> None:
        wrong: list[str] = []
        if operation.request:
            operation.request(params, "", wrong)
        if wrong:
            count = f"{len(wrong)} validation error{'s' if len(wrong) > 1 else ''} detected"
            raise ServiceError(self.invalid, f"{count}: {'; '.join(wrong)}")


@cache
def _operations(kind: type[Service]) -> dict[str, OperationModel]:
    """The operations that a service does, by the names of their methods."""
    model, by_method = service_model(kind.name), _by_method(kind.name)
    found = sorted(_public(kind))
    if strange := [method for method in found if method not in by_method]:
        raise BrokenDoubleError(f"{kind.name} has no operation for {kind.__name__}.{strange[0]}")
    return {method: model.operation_model(by_method[method]) for method in found}


@cache
def _by_method(service: str) -> dict[str, str]:
    return {xform_name(operation): operation for operation in service_model(service).operation_names}


def operation_name(service: str, method: str) -> str:
    """AWS's name of the operation that boto3 names so."""
    return _by_method(service).get(method, method)


def _public(kind: type[Service]) -> set[str]:
    named = {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
    return named - {name for name, _ in inspect.getmembers(Service, inspect.isfunction)}


class Door:
    """Where HTTP requests come in: finds the service and the caller by the signature, and answers as AWS would."""

    def __init__(self, services: Iterable[Service], identities: Identities, now: Callable[[], datetime]) -> None:
        self.services = {service.signing_name: service for service in services}
        self._identities = identities
        self._now = now

    def service(self, headers: Mapping[str, str]) -> Service | None:
        """The service that the request is signed for, if it is one of ours."""
        scope = _scope(headers)
        return self.services.get(scope[2]) if scope else None

    def answer(self, request: Request) -> Reply:
        """The answer to a request for one of the services."""
        service = self.service(request.headers)
        if service is None:
            raise BrokenDoubleError(f"not signed for any service here: {request.url}")
        try:
            caller = self._caller(service, request.headers)
            operation, params = decode(service.model, request)
            return encode(service.model, operation, service.answer(operation, params, caller))
        except ServiceError as error:
            return encode_error(service.model, error)

    def _caller(self, service: Service, headers: Mapping[str, str]) -> Caller:
        key, region, _ = _scope(headers) or ("", "", "")
        identity = self._identities.of(key)
        if identity is None:
            code, status, message = service.unknown_key
            raise ServiceError(code, message, status)
        if identity.expires_at is not None and self._now() >= identity.expires_at:
            code, status = service.expired_key
            raise ServiceError(code, "The security token included in the request is expired", status)
        return Caller(identity.account, region, identity.arn, key)


def _scope(headers: Mapping[str, str]) -> tuple[str, str, str] | None:
    """The access key, Region and service that the request is signed with."""
    found = re.search(r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request", headers.get("Authorization", ""))
    return (found[1], found[2], found[3]) if found else None


def access_key(headers: Mapping[str, str]) -> str | None:
    """The access key that the request is signed with, or None when it is not signed."""
    scope = _scope(headers)
    return scope[0] if scope else None


def signed_for(headers: Mapping[str, str]) -> str | None:
    """The Region that the request is signed for."""
    scope = _scope(headers)
    return scope[1] if scope else None


# --- pages and absent values -------------------------------------------------------------------------------------------


def present(**members: Any) -> Params:
    """The members that there are: AWS leaves out what it has nothing for."""
    return {name: value for name, value in members.items() if value is not None}


def token_at(offset: int) -> str:
    """A NextToken that leads to this offset."""
    return b64encode(f"offset:{offset}".encode()).decode()


def offset_of(token: str | None, code: str = "InvalidNextToken") -> int:
    """Where a NextToken leads. A token that we never gave is refused with the code."""
    if not token:
        return 0
    try:
        return int(b64decode(token, validate=True).decode().removeprefix("offset:"))
    except ValueError:
        raise ServiceError(code, "The specified token is not valid.") from None


def page(
    found: Sequence[T], token: str | None, size: int, code: str = "InvalidNextToken"
) -> tuple[list[T], str | None]:
    """One page of what was found, and the token of the next page, if there is one."""
    start = offset_of(token, code)
    end = start + size
    return list(found[start:end]), token_at(end) if end < len(found) else None


# --- the wire ----------------------------------------------------------------------------------------------------------


def decode(model: ServiceModel, request: Request) -> tuple[str, Params]:
    """The operation that a request asks for, and its members."""
    match model.resolved_protocol:
        case "json":
            return request.headers["X-Amz-Target"].rpartition(".")[2], _object(request.body)
        case "rest-json":
            return _operation_at(model, request.method, urlsplit(request.url).path), _object(request.body)
        case "query" | "ec2" as protocol:
            form = {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
            operation = form.pop("Action", "")
            form.pop("Version", None)
            if operation not in model.operation_names:
                return operation, {}
            shape = model.operation_model(operation).input_shape
            return operation, _from_form(shape, "", _tree(form), ec2=protocol == "ec2") if shape else {}
        case other:
            raise BrokenDoubleError(f"no codec for the protocol {other}")


def _object(body: bytes) -> Params:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        raise ServiceError("SerializationException", "the body is not JSON") from None
    if not isinstance(found, dict):
        raise ServiceError("SerializationException", "the body is not a JSON object")
    return found


def _operation_at(model: ServiceModel, method: str, path: str) -> str:
    found = _routes(model.service_name).get((method, path))
    if found is None:
        raise ServiceError("UnknownOperationException", f"nothing at {method} {path}")
    return found


@cache
def _routes(service: str) -> dict[tuple[str, str], str]:
    model = service_model(service)
    operations = (model.operation_model(name) for name in model.operation_names)
    return {(operation.http["method"], operation.http["requestUri"]): operation.name for operation in operations}


def _tree(form: Mapping[str, str]) -> Params:
    """`A.1.B=x` as nested mappings."""
    tree: Params = {}
    for name, value in form.items():
        *way, last = name.split(".")
        at = tree
        for part in way:
            at = at.setdefault(part, {})
        at[last] = value
    return tree


def _from_form(shape: Shape, path: str, given: Any, *, ec2: bool) -> Any:
    match shape:
        case StructureShape():
            names = {_form_name(member, name, ec2=ec2): name for name, member in shape.members.items()}
            return {
                names.get(key, key): _from_form(shape.members[names[key]], key, inner, ec2=ec2)
                if key in names
                else inner
                for key, inner in given.items()
            }
        case ListShape():
            flat = ec2 or shape.serialization.get("flattened")
            inner = given if flat else given.get(shape.member.serialization.get("name", "member"), {})
            ordered = sorted(inner.items(), key=lambda entry: int(entry[0]))
            return [_from_form(shape.member, path, one, ec2=ec2) for _, one in ordered]
    return _scalar_from(shape, given)


def _form_name(member: Shape, name: str, *, ec2: bool) -> str:
    if not ec2:
        return str(member.serialization.get("name", name))
    if "queryName" in member.serialization:
        return str(member.serialization["queryName"])
    called = str(member.serialization.get("name", name))
    return called[0].upper() + called[1:]


def _scalar_from(shape: Shape, text: Any) -> Any:
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text)
            case "boolean":
                return {"true": True, "false": False}.get(text, text)
    except ValueError:
        pass  # the check says it better
    return text


def encode(model: ServiceModel, operation: str, answer: Params) -> Reply:
    """The answer as the service's protocol writes it."""
    if model.resolved_protocol in ("json", "rest-json"):
        version = model.metadata.get("jsonVersion")
        kind = f"application/x-amz-json-{version}" if version else "application/json"
        return Reply(
            200, json.dumps(answer, default=_moment).encode(), {"Content-Type": kind, "x-amzn-RequestId": _REQUEST_ID}
        )
    shape = model.operation_model(operation).output_shape
    inner = _xml(shape, answer) if shape else ""
    if model.resolved_protocol == "ec2":
        body = f"<{operation}Response><requestId>{_REQUEST_ID}</requestId>{inner}</{operation}Response>"
    else:
        wrapper = shape.serialization.get("resultWrapper", f"{operation}Result") if shape else f"{operation}Result"
        metadata = f"<ResponseMetadata><RequestId>{_REQUEST_ID}</RequestId></ResponseMetadata>"
        body = f"<{operation}Response><{wrapper}>{inner}</{wrapper}>{metadata}</{operation}Response>"
    return Reply(200, body.encode(), {"Content-Type": "text/xml"})


_REQUEST_ID = "00000000-0000-4000-8000-000000000000"


def _moment(value: Any) -> float:
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    raise BrokenDoubleError(f"no JSON for {value!r}")


def _xml(shape: Shape, value: Any) -> str:
    match shape:
        case StructureShape():
            return "".join(
                _element(member, name, value[name]) for name, member in shape.members.items() if name in value
            )
        case ListShape():
            name = shape.member.serialization.get("name", "member")
            return "".join(f"<{name}>{_xml(shape.member, one)}</{name}>" for one in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    return escape(str(value))


def _element(member: Shape, name: str, value: Any) -> str:
    called = member.serialization.get("name", name)
    if isinstance(member, ListShape) and member.serialization.get("flattened"):
        return "".join(f"<{called}>{_xml(member.member, one)}</{called}>" for one in value)
    return f"<{called}>{_xml(member, value)}</{called}>"


def encode_error(model: ServiceModel, error: ServiceError) -> Reply:
    """The error as the service's protocol writes it."""
    code, message = escape(error.code), escape(error.message)
    match model.resolved_protocol:
        case "json" | "rest-json" | "smithy-rpc-v2-cbor":
            body = json.dumps({"__type": error.code, _message_member(model, error.code): error.message})
            kind = f"application/x-amz-json-{model.metadata.get('jsonVersion', '1.1')}"
            return Reply(error.status, body.encode(), {"Content-Type": kind, "x-amzn-ErrorType": error.code})
        case "ec2":
            body = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>{_REQUEST_ID}</RequestID></Response>"
        case "rest-xml":
            body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{_REQUEST_ID}</RequestId></Error>"
        case _:
            kind = "Sender" if error.status < 500 else "Receiver"
            body = f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{_REQUEST_ID}</RequestId></ErrorResponse>"
    return Reply(error.status, body.encode(), {"Content-Type": "text/xml"})


def _message_member(model: ServiceModel, code: str) -> str:
    """What the sentence is called: it differs from error to error."""
    if code in model.shape_names:
        shape = model.shape_for(code)
        if isinstance(shape, StructureShape) and "Message" in shape.members:
            return "Message"
    return "message"
