"""A campaign item changed: it is validated, its version kept, and the answer written back onto the item."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from patchtide.aws import clients
from patchtide.aws.alerts import Alerts
from patchtide.aws.items import Items
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.settings import Settings
from patchtide.aws.table import Table
from patchtide.flow.intake import Intake, sweep, take


def now() -> datetime:
    """The moment, read here and nowhere else."""
    return datetime.now(UTC)


logger = Logger()
settings = Settings.from_environment()
processor = BatchProcessor(event_type=EventType.DynamoDBStreams)
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


def _record(record: DynamoDBRecord) -> None:
    assert record.dynamodb  # noqa: S101 - a stream record always has its keys
    take(record.dynamodb.keys["campaign"], intake)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse | None:
    """Each changed item is taken or refused; those that failed are reported, so that only they come again.

    Woken by its schedule, it looks at all items for what the stream never told.
    """
    if "Records" not in event:
        sweep(intake)
        return None
    return process_partial_response(event=event, record_handler=_record, processor=processor, context=context)
