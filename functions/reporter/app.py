"""A run ended: its report is written into the bucket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from patchtide.aws import clients
from patchtide.aws.reports import Archive
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.settings import Settings
from patchtide.aws.table import Table
from patchtide.flow import records
from patchtide.flow.reporter import Reporter, report

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def now() -> datetime:
    """The moment, read here and nowhere else."""
    return datetime.now(UTC)


logger = Logger()
settings = Settings.from_environment()
table = Table(clients.dynamodb(), settings["RUNS_TABLE"])
clients.s3()  # every report is written there: made now, while Lambda gives a function that is being loaded a whole processor
reporter = Reporter(
    registry=Registry(table),
    runs=Runs(table, settings.retention, now),
    archive=Archive(clients.s3, settings["REPORTS_BUCKET"]),
    now=now,
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> records.Answer:
    """Each run's report is written; those that could not be yet are reported, so that only they come again."""
    return records.from_queue(event["Records"], lambda run: report(run, reporter))
