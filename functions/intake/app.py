"""A campaign item changed: it is validated, its version kept, and the answer written back onto the item."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from patchtide.aws import clients
from patchtide.aws.alerts import Alerts
from patchtide.aws.items import Items
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.settings import Settings
from patchtide.aws.table import Table
from patchtide.flow import records
from patchtide.flow.intake import Intake, sweep, take

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def now() -> datetime:
    """The moment, read here and nowhere else."""
    return datetime.now(UTC)


logger = Logger()
settings = Settings.from_environment()
table = Table(clients.dynamodb(), settings["RUNS_TABLE"])
intake = Intake(
    items=Items(clients.dynamodb(), settings["CAMPAIGNS_TABLE"]),
    registry=Registry(table),
    runs=Runs(table, settings.retention, now),
    alerts=Alerts(clients.sns(), settings["ALERTS_TOPIC_ARN"], settings.chat_topic),
    default_regions=settings.default_regions,
    bounds=settings.bounds,
    now=now,
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> records.Answer | None:
    """Each changed item is taken or refused; those that failed are reported, so that only they come again.

    Woken by its schedule, it looks at all items for what the stream never told.
    """
    if "Records" not in event:
        sweep(intake)
        return None
    return records.from_stream(event["Records"], "campaign", lambda campaign: take(campaign, intake))
