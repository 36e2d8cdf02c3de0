"""A minute passed: open runs advance by what is seen, evidence is asked for, people are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from patchtide.aws import clients
from patchtide.aws.alerts import Alerts
from patchtide.aws.automation import Automation
from patchtide.aws.inquiries import Inquiries
from patchtide.aws.items import Items
from patchtide.aws.reports import ReportQueue
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.service import Switch
from patchtide.aws.settings import Settings
from patchtide.aws.table import Table
from patchtide.aws.telemetry import Telemetry
from patchtide.flow.poller import Poller, poll

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def now() -> datetime:
    """The moment, read here and nowhere else."""
    return datetime.now(UTC)


logger = Logger()
settings = Settings.from_environment()
table = Table(clients.dynamodb(), settings["RUNS_TABLE"])
poller = Poller(
    items=Items(clients.dynamodb(), settings["CAMPAIGNS_TABLE"]),
    registry=Registry(table),
    runs=Runs(table, settings.retention, now),
    automation=Automation(clients.ssm()),
    inquiries=Inquiries(clients.sqs(), settings["COLLECTOR_QUEUE_URL"]),
    reports=ReportQueue(clients.sqs(), settings["REPORTER_QUEUE_URL"]),
    switch=Switch(table),
    alerts=Alerts(clients.sns(), settings["ALERTS_TOPIC_ARN"], settings.chat_topic),
    telemetry=Telemetry(),
    now=now,
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """What is due is done. The event carries no authority: late, twice or never, the next tick sees the same tables.

    Raises TickFailed at the very end when a campaign or run failed, so that the function's error alarm tells people.
    """
    poll(poller)
