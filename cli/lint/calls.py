"""The APIs that steps call: whether there are such a service, operation and parameters. botocore's models say so, offline."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from cli.lint.finding import Finding, error, meant, nearest, warning
from cli.lint.runbook import Runbook, Step
from patchtide.core.problem import shown

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from botocore.model import OperationModel, ServiceModel

# The AWS CLI's names, to which the documentation of Automation points too, where botocore's are others.
CLI_NAMES = {"s3api": "s3", "deploy": "codedeploy", "configservice": "config"}


@cache
def _loader() -> Loader:
    from botocore.loaders import Loader

    return Loader(include_default_search_paths=True)


@cache
def services() -> tuple[str, ...]:
    """The namespaces of all services."""
    return tuple(_loader().list_available_services("service-2"))


@cache
def _service(name: str) -> ServiceModel:
    from botocore.model import ServiceModel

    return ServiceModel(_loader().load_service_model(name, "service-2"), name)


@cache
def _operations(service: str) -> dict[str, str]:
    """A service's operations by their names as AWS and as Python spell them."""
    from botocore import xform_name

    names = _service(service).operation_names
    return {xform_name(name): name for name in names} | {name: name for name in names}


@cache
def _operation(service: str, name: str) -> OperationModel:
    return _service(service).operation_model(name)


@cache
def members(service: str, operation: str) -> frozenset[str]:
    """The parameters that an operation takes."""
    shape = _operation(service, operation).input_shape
    return frozenset(shape.members if shape else ())


def calls(runbook: Runbook) -> Iterator[Finding]:
    """What is wrong with the service, the API and the parameters that a step names."""
    for step in runbook.steps:
        if step.known and step.known.calls:
            yield from _call(step)


def _call(step: Step) -> Iterator[Finding]:
    service, operation = step.inputs.get("Service"), step.inputs.get("Api")
    if not isinstance(service, str) or not service or "{{" in service:
        return
    found = CLI_NAMES.get(service, service)
    if found not in services():
        path, near = step.at("inputs", "Service"), nearest(service, services())
        if near is None or near.casefold() != service.casefold():
            hint = meant(service, services(), "Write the service's name in boto3, e.g. ec2")
            yield error(path, "service", f"botocore knows no service {shown(service)}", hint)
            return
        yield warning(path, "service", f"{shown(service)} is not how the service is spelled", f"Write {near}")
        found = near
    if isinstance(operation, str) and operation and "{{" not in operation:
        yield from _api(step, found, operation)


def _api(step: Step, service: str, operation: str) -> Iterator[Finding]:
    known = _operations(service)
    if operation not in known:
        path, near = step.at("inputs", "Api"), nearest(operation, known)
        if near is None or near.casefold() != operation.casefold():
            hint = meant(operation, known, f"Write one of {service}'s operations, e.g. {next(iter(known.values()))}")
            yield error(path, "api", f"botocore knows no {shown(operation)} of {service}", hint)
            return
        yield warning(path, "api", f"{shown(operation)} is not how the operation is spelled", f"Write {near}")
        operation = near
    yield from _parameters(step, _operation(service, known[operation]))


def _parameters(step: Step, model: OperationModel) -> Iterator[Finding]:
    taken = members(model.service_model.service_name, model.name)
    own = step.known.inputs if step.known else {}
    for name in step.inputs:
        if name not in own and name not in taken:
            hint = meant(name, sorted(taken), f"Remove it; {model.name} takes {', '.join(sorted(taken)) or 'nothing'}")
            message = f"{model.name} has no parameter {shown(name)}"
            yield error(step.at("inputs", name), "api-parameter", message, hint)
    for name in model.input_shape.required_members if model.input_shape else ():
        if name not in step.inputs:
            message = f"{model.name} has to have {name}"
            yield error(step.at("inputs", name), "missing", message, f"Add {name}")
    if model.has_streaming_output or model.has_event_stream_output:
        hint = "Call it in an aws:executeScript step"
        yield error(step.at("inputs", "Api"), "streaming", f"{model.name} answers with a stream", hint)
