"""The topic of the people on call."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from patchtide.aws.faults import asking
from patchtide.core.alerts import Alert, card, machine
from patchtide.core.errors import CloudError

if TYPE_CHECKING:
    from types_boto3_sns import SNSClient
    from types_boto3_sns.type_defs import MessageAttributeValueTypeDef

logger = logging.getLogger(__name__)

MAX_ACCOUNTS = 100  # in an attribute that filter policies look at


class Alerts:
    """The alerts topic, and beside it one for chat. Attributes are for filter policies: a pager can take `severity` CRITICAL alone,
    a team the `accounts` that are its own.

    People get the text, programs (SQS, HTTPS, Lambda) the same as `patchtide.alert/1`.
    """

    def __init__(self, client: SNSClient, topic: str, chat: str = "") -> None:
        self.client, self.topic, self.chat = client, topic, chat

    def publish(self, alert: Alert) -> None:
        """Tell whoever subscribed. Where chat cannot be told, that is logged: people were told already."""
        told = json.dumps(machine(alert))
        bodies = {"default": alert.body} | dict.fromkeys(("sqs", "http", "https", "lambda", "firehose"), told)
        with asking(f"publish {alert.id}"):
            self.client.publish(
                TopicArn=self.topic,
                Subject=alert.subject,
                Message=json.dumps(bodies),
                MessageStructure="json",
                MessageAttributes=_attributes(alert),
            )
        if self.chat:
            try:
                with asking(f"tell chat of {alert.id}"):
                    self.client.publish(TopicArn=self.chat, Message=json.dumps(card(alert)))
            except CloudError as error:
                logger.warning("chat was not told: %s", error)


def _attributes(alert: Alert) -> dict[str, MessageAttributeValueTypeDef]:
    named = {
        "id": alert.id,
        "event": alert.event,
        "severity": alert.severity,
        "campaign": alert.campaign,
        "runId": alert.run,
        "audience": alert.audience,
    }
    found: dict[str, MessageAttributeValueTypeDef] = {
        name: {"DataType": "String", "StringValue": text} for name, text in named.items() if text
    }
    if accounts := alert.facts.get("accounts"):
        found["accounts"] = {"DataType": "String.Array", "StringValue": json.dumps(accounts[:MAX_ACCOUNTS])}
    return found
