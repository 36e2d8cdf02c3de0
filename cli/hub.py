"""The hub that the command talks to: where its tables are, and how they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import Exit, fail, now

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


@dataclass(frozen=True)
class Hub:
    """The hub's tables, and the switch that pauses everything."""

    items: Items
    registry: Registry
    runs: Runs
    switch: Switch


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
    """The tables' names, from the environment or from the stack."""
    given = {"CampaignsTable": "PATCHTIDE_CAMPAIGNS_TABLE", "RunsTable": "PATCHTIDE_RUNS_TABLE"}
    if all(os.environ.get(variable) for variable in given.values()):
        return {name: os.environ[variable] for name, variable in given.items()}
    import boto3

    from patchtide.aws.faults import asking

    with asking(f"find the stack {stack}"):
        cloudformation = boto3.client("cloudformation")
        return {
            name: cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=name)[
                "StackResourceDetail"
            ]["PhysicalResourceId"]
            for name in given
        }
