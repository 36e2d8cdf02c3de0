"""The hub that the command talks to: where its tables are, and how they are read."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer

from cli.console import Exit, Format, Output, Query, fail, now

if TYPE_CHECKING:
    from patchtide.aws.items import Items
    from patchtide.aws.runs import Registry, Runs
    from patchtide.aws.service import Switch

Profile = Annotated[str | None, typer.Option("--profile", help="AWS profile.", rich_help_panel="Hub")]
RegionName = Annotated[str | None, typer.Option("--region", help="The hub's Region.", rich_help_panel="Hub")]
StackName = Annotated[
    str, typer.Option("--stack", envvar="PATCHTIDE_STACK", help="The hub's stack.", rich_help_panel="Hub")
]
STACK = "patchtide"
_SHARED: tuple[tuple[str, object, object], ...] = (
    ("profile", None, Profile),
    ("region", None, RegionName),
    ("stack", STACK, StackName),
    ("output", Format.TABLE, Output),
    ("query", "", Query),
)


@dataclass(frozen=True)
class Hub:
    """The hub's tables, and the switch that pauses everything."""

    stack: str
    items: Items
    registry: Registry
    runs: Runs
    switch: Switch


def online(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options that every command against a hub has; it gets the hub as `at`."""
    hints = get_type_hints(command, localns={"Hub": object}, include_extras=True)
    own = [
        one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for one in inspect.signature(command).parameters.values()
        if one.name != "at"
    ]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in _SHARED
    ]

    @wraps(command)
    def call(**given: Any) -> None:
        where = {name: given.pop(name) for name in ("profile", "region", "stack")}
        del given["output"], given["query"]  # they were chosen when they were read
        with hub(**where) as at:
            command(at=at, **given)

    call.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in (*own, *shared)}
    return call


@contextmanager
def hub(profile: str | None, region: str | None, stack: str) -> Iterator[Hub]:
    """The hub, and sentences with exit codes for what AWS may answer."""
    from botocore.exceptions import BotoCoreError, NoCredentialsError, TokenRetrievalError

    from patchtide.core.errors import CloudError

    if profile:
        os.environ["AWS_PROFILE"] = profile
    if region:
        os.environ["AWS_DEFAULT_REGION"] = os.environ["AWS_REGION"] = region
    try:
        yield _open(stack)
    except (NoCredentialsError, TokenRetrievalError) as error:
        fail(Exit.CREDENTIALS, f"{error}. Sign in, or name a --profile")
    except CloudError as error:
        denied = error.code in ("AccessDenied", "AccessDeniedException", "NoCredentialsError", "ExpiredTokenException")
        fail(Exit.CREDENTIALS if denied else Exit.ERROR, str(error))
    except BotoCoreError as error:
        fail(Exit.ERROR, f"{error}. Name the hub's --region and --profile")


def _open(stack: str) -> Hub:
    from patchtide.aws import clients
    from patchtide.aws.items import Items
    from patchtide.aws.runs import Registry, Runs
    from patchtide.aws.service import Switch
    from patchtide.aws.table import Table

    names = _names(stack)
    table = Table(clients.dynamodb(), names["RunsTable"])
    return Hub(
        stack,
        Items(clients.dynamodb(), names["CampaignsTable"]),
        Registry(table),
        Runs(table, timedelta(days=365), now),
        Switch(table),
    )


def principal() -> str:
    """Who is calling, as AWS STS says it: what anybody could claim of themselves is not asked for."""
    from patchtide.aws import clients
    from patchtide.aws.faults import asking

    with asking("ask who you are"):
        return clients.sts().get_caller_identity()["Arn"]


def _names(stack: str) -> dict[str, str]:
    return {name: physical(stack, name) for name in ("CampaignsTable", "RunsTable")}


def physical(stack: str, resource: str) -> str:
    """What AWS calls one of the stack's resources, its name, URL or ARN: as the environment says (PATCHTIDE_RUNS_TABLE for RunsTable),
    or else CloudFormation."""
    if said := _said(resource):
        return said
    from patchtide.aws.faults import asking

    with asking(f"find {resource} of the stack {stack}"):
        found = client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=resource)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])


def parameter(stack: str, name: str) -> str:
    """The value of one of the stack's parameters: as the environment says (PATCHTIDE_OWN_RUNBOOKS for OwnRunbooks), or else
    CloudFormation. Empty where it has none."""
    if (said := _said(name)) is not None:
        return said
    from patchtide.aws.faults import asking

    with asking(f"read the parameters of the stack {stack}"):
        (found,) = client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return next((one["ParameterValue"] for one in found.get("Parameters", []) if one["ParameterKey"] == name), "")


def client(service: str) -> Any:
    """A client of a service that the command alone asks. Those of the functions are in `patchtide.aws.clients`: what stands there
    ships with its model."""
    import boto3

    from patchtide.aws.clients import CONFIG

    return boto3.client(cast("Any", service), config=CONFIG)


def _said(name: str) -> str | None:
    return os.environ.get("PATCHTIDE" + re.sub(r"([A-Z])", r"_\1", name).upper())
