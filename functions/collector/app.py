"""A location is asked about: its targets before anything is patched, its evidence after."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from patchtide.aws import clients, inquiries
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.settings import Settings
from patchtide.aws.spokes import Spokes
from patchtide.aws.table import Table
from patchtide.core.errors import Busy
from patchtide.flow import records
from patchtide.flow.collector import Collector, ahead, collect

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SPARE = 100_000  # milliseconds: with less left no question is begun, for one that meets silence takes as long


def now() -> datetime:
    """The moment, read here and nowhere else."""
    return datetime.now(UTC)


logger = Logger()
settings = Settings.from_environment()
clients.read_models("ec2", "ssm")  # now, while Lambda gives a function that is being loaded a whole processor
table = Table(clients.dynamodb(), settings["RUNS_TABLE"])
collector = Collector(
    registry=Registry(table),
    runs=Runs(table, settings.retention, now),
    spokes=Spokes(clients.sts(), settings["READ_ROLE_NAME"], now=now),
    now=now,
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> records.Answer:
    """Each question is answered; those that could not be yet are reported, so that only they come again."""

    def answer(body: str) -> None:
        if context.get_remaining_time_in_millis() < SPARE:
            raise Busy("answer", "OutOfTime", "this invocation is nearly over")
        collect(inquiries.read(body), collector)

    with ahead(inquiries.readable(record["body"] for record in event["Records"]), collector):
        return records.from_queue(event["Records"], answer)
