"""A minute passed: due campaigns open runs, and open runs prepare and start what is due."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from patchtide.aws import clients
from patchtide.aws.automation import Automation
from patchtide.aws.calendars import Alarms, Calendars, FreezeFiles
from patchtide.aws.inquiries import Inquiries
from patchtide.aws.organization import Organization
from patchtide.aws.overrides import Overrides
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.service import Slots, Switch
from patchtide.aws.settings import Settings
from patchtide.aws.table import Table
from patchtide.core.request import Hub
from patchtide.flow.dispatcher import Dispatcher, dispatch
from patchtide.flow.permits import Guards

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def now() -> datetime:
    """The moment, read here and nowhere else."""
    return datetime.now(UTC)


logger = Logger()
settings = Settings.from_environment()
table = Table(clients.dynamodb(), settings["RUNS_TABLE"])
registry = Registry(table)
automation = Automation(clients.ssm())
dispatcher = Dispatcher(
    registry=registry,
    runs=Runs(table, settings.retention, now),
    automation=automation,
    organization=Organization(clients.organizations()),
    inquiries=Inquiries(clients.sqs(), settings["COLLECTOR_QUEUE_URL"]),
    slots=Slots(table),
    guards=Guards(
        registry=registry,
        switch=Switch(table),
        calendars=Calendars(clients.ssm()),
        files=FreezeFiles(clients.s3, settings["REPORTS_BUCKET"]),
        overrides=Overrides(clients.s3, settings["REPORTS_BUCKET"]),
        alarms=Alarms(clients.cloudwatch),
        automation=automation,
        now=now,
    ),
    hub=Hub(settings["ADMINISTRATION_ROLE_ARN"], int(settings["MAX_INSTANCES_IN_FLIGHT"])),
    bounds=settings.bounds,
    shares=settings["SHARE_OWN_RUNBOOKS"] == "yes",
    other_approver=settings["REQUIRE_OTHER_APPROVER"] == "yes",
    now=now,
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """What is due is done. The event carries no authority: late, twice or never, the next tick sees the same tables.

    Raises TickFailed at the very end when a campaign or run failed, so that the function's error alarm tells people.
    """
    dispatch(dispatcher)
