"""What says that nothing may start just now: SSM Change Calendars, iCalendar files in the stack's bucket, CloudWatch alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from patchtide.aws.faults import asking
from patchtide.aws.files import content
from patchtide.core.closures import Opening

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_s3 import S3Client
    from types_boto3_ssm import SSMClient

LARGEST = 1_000_000  # bytes of an iCalendar file: a company's freezes are a few kilobytes


class Calendars:
    """Change Calendars in the hub's Region, and in others by ARN."""

    def __init__(self, client: SSMClient) -> None:
        self.client = client

    def opening(self, names: Iterable[str], at: datetime) -> Opening:
        """Whether all calendars are open at the instant, and until when it stays so, as far as AWS says."""
        with asking("read the calendars"):
            said = self.client.get_calendar_state(CalendarNames=list(names), AtTime=f"{at:%Y-%m-%dT%H:%M:%SZ}")
        until = said.get("NextTransitionTime")
        changes_at = datetime.fromisoformat(until) if until else None
        return Opening(said.get("State") == "OPEN", changes_at)


class FreezeFiles:
    """iCalendar files in the stack's bucket."""

    def __init__(self, client: Callable[[], S3Client], bucket: str) -> None:
        self.client, self.bucket = client, bucket

    def text(self, key: str) -> str:
        """The file's text. Raises Refused where there is none to be read."""
        return content(self.client(), self.bucket, key, LARGEST).decode("utf-8-sig", errors="replace")


class Alarms:
    """CloudWatch alarms in the hub's Region."""

    def __init__(self, client: Callable[[], CloudWatchClient]) -> None:
        self.client = client

    def states(self, names: Iterable[str]) -> Mapping[str, str]:
        """The state of each alarm that exists: OK, ALARM or INSUFFICIENT_DATA."""
        with asking("read the alarms"):
            pages = (
                self.client()
                .get_paginator("describe_alarms")
                .paginate(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
            )
            return {
                alarm["AlarmName"]: alarm["StateValue"]
                for page in pages
                for alarm in (*page["MetricAlarms"], *page["CompositeAlarms"])
            }
