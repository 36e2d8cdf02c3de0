"""The collector's queue: one location a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from patchtide.aws.faults import asking
from patchtide.core.errors import Busy
from patchtide.core.roster import Inquiry

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

BATCH = 10  # SQS's limit


class Inquiries:
    """The collector's queue."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self.client, self.url = client, url

    def send(self, inquiries: Iterable[Inquiry]) -> None:
        """Have each location asked. Raises Busy when the queue did not take all: what it took is asked twice, which is
        harmless."""
        waiting = iter(inquiries)
        while batch := list(islice(waiting, BATCH)):
            entries = [
                {"Id": str(number), "MessageBody": msgspec.json.encode(inquiry).decode()}
                for number, inquiry in enumerate(batch)
            ]
            with asking("send inquiries"):
                answer = self.client.send_message_batch(QueueUrl=self.url, Entries=entries)  # type: ignore[arg-type]
            if failed := answer.get("Failed"):
                raise Busy("send inquiries", failed[0].get("Code", ""), f"{len(failed)} of {len(batch)} were not taken")


def readable(texts: Iterable[str]) -> Iterator[Inquiry]:
    """The inquiries among the messages. Any other is found out by whoever reads it by itself."""
    for text in texts:
        with suppress(msgspec.DecodeError):
            yield read(text)


def read(text: str) -> Inquiry:
    """The inquiry of a message."""
    return msgspec.json.decode(text, type=Inquiry)
