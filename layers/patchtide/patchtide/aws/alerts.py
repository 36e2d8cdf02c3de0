"""The topic of the people on call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchtide.aws.faults import asking
from patchtide.core.alerts import Alert

if TYPE_CHECKING:
    from types_boto3_sns import SNSClient


class Alerts:
    """The alerts topic. Attributes are for filter policies: a pager can take `severity` CRITICAL alone."""

    def __init__(self, client: SNSClient, topic: str) -> None:
        self.client, self.topic = client, topic

    def publish(self, alert: Alert) -> None:
        """Tell whoever subscribed."""
        attributes = {
            "id": alert.id,
            "event": alert.event,
            "severity": alert.severity,
            "campaign": alert.campaign,
            "runId": alert.run,
            "audience": "oncall",
        }
        with asking(f"publish {alert.id}"):
            self.client.publish(
                TopicArn=self.topic,
                Subject=alert.subject,
                Message=alert.body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": text} for name, text in attributes.items() if text
                },
            )
