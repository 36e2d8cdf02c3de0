"""How our values lie in DynamoDB: a value as JSON in `body`, and beside it what conditions and indexes need.

A condition that fails on our own retry (the write was applied, its answer was lost) is told from one that somebody else
caused by a stamp of our own, read back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from botocore.exceptions import ClientError

from patchtide.aws.faults import asking
from patchtide.core.errors import Busy, Overtaken

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")
Item = Mapping[str, Any]

CONDITION_FAILED = "ConditionalCheckFailedException"
CANCELLED = "TransactionCanceledException"
PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
KEYS = 100  # DynamoDB's limit for one BatchGetItem; a hundred of our items are well below its 16 MB
PAUSES = (0.05, 0.2, 0.6, None)  # seconds


def body(value: object) -> str:
    """A frozen value as JSON."""
    return msgspec.json.encode(value).decode()


def value(item: Item, kind: type[T]) -> T:
    """The value that `body` wrote. Fields added since have their defaults."""
    return cast("T", _decoded(item["body"], cast("Hashable", kind)))


@lru_cache(maxsize=512)
def _decoded(text: str, kind: Any) -> object:
    """Values never change, so one that is read again, a tick later or by the next command, is not made again."""
    return msgspec.json.decode(text, type=kind)


def read(item: Item, kind: type[T]) -> T:
    """The same, not kept: of what there may be a hundred thousand, each read once."""
    return msgspec.json.decode(item["body"], type=kind)


def moment(at: datetime) -> str:
    """An instant as text that sorts in time, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Table:
    """One DynamoDB table."""

    def __init__(self, client: DynamoDBClient, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.client, self.name, self.sleep = client, name, sleep
        self._at_hand: dict[tuple[str, str], Item | None] = {}

    def get(self, **key: str) -> Item | None:
        """The item as it is now."""
        named = key.get("pk", ""), key.get("sk", "")
        if named in self._at_hand:
            return self._at_hand.pop(named)
        with asking(f"read {key}"):
            return self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")

    def get_all(self, keys: Iterable[Mapping[str, str]]) -> Iterator[Item]:
        """The items with these keys that are there, as they are now, in no order: a call for each hundred."""
        waiting = list(keys)
        for pause in PAUSES:
            left: list[Mapping[str, str]] = []
            for first in range(0, len(waiting), KEYS):
                found, unread = self._get_some(waiting[first : first + KEYS])
                yield from found
                left += unread
            if not left:
                return
            if pause is None:
                raise Busy(
                    f"read {len(left)} items", "ProvisionedThroughputExceededException", "DynamoDB left them out"
                )
            self.sleep(pause)
            waiting = left

    def _get_some(self, keys: list[Mapping[str, str]]) -> tuple[list[Item], list[Mapping[str, str]]]:
        with asking(f"read {len(keys)} items"):
            answer = self.client.batch_get_item(
                RequestItems={self.name: {"Keys": cast("Any", keys), "ConsistentRead": True}}
            )
        unread = cast("Any", answer.get("UnprocessedKeys", {})).get(self.name, {}).get("Keys", [])
        return cast("Any", answer["Responses"].get(self.name, [])), unread

    @contextmanager
    def ahead(self, keys: Iterable[Mapping[str, str]]) -> Iterator[None]:
        """Within, the items with these keys are read already, together, and `get` has each at hand once: whoever asks again,
        because something changed meanwhile, is told how it is by then."""
        wanted = [(key["pk"], key["sk"]) for key in keys]
        found = {(str(item["pk"]), str(item["sk"])): item for item in self.get_all(_keys(wanted))}
        self._at_hand = {key: found.get(key) for key in wanted}
        try:
            yield
        finally:
            self._at_hand = {}

    def query(self, condition: str, values: Mapping[str, object], **more: object) -> Iterator[Item]:
        """The items under a key condition, page after page."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,  # type: ignore[arg-type]
            **more,  # type: ignore[arg-type]
        )
        with asking(f"query {condition}"):
            for page in pages:
                yield from page["Items"]

    def under(self, pk: str, prefix: str) -> Iterator[Item]:
        """The items of one partition whose sort key has the prefix, as they are now."""
        return self.query("pk = :pk AND begins_with(sk, :sk)", {":pk": pk, ":sk": prefix}, ConsistentRead=True)

    def put(self, item: Item) -> Mapping[str, Any]:
        """A transaction's Put of this item."""
        return {"Put": {"TableName": self.name, "Item": item}}

    def put_new(self, item: Item) -> Mapping[str, Any]:
        """A transaction's Put of this item, if nothing is there."""
        return {"Put": {"TableName": self.name, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}

    def put_if(self, item: Item, condition: str, values: Mapping[str, object], **names: str) -> Mapping[str, Any]:
        """A transaction's Put of this item, on a condition; `names` are the condition's `#short` names."""
        return {
            "Put": _named({**self.put_new(item)["Put"], "ConditionExpression": condition, **_valued(values)}, names)
        }

    def update(
        self, key: Mapping[str, str], change: str, values: Mapping[str, object], condition: str = "", **names: str
    ) -> Mapping[str, Any]:
        """A transaction's Update of one item, on a condition if there is one; `names` are the `#short` names of both."""
        request: dict[str, Any] = {"TableName": self.name, "Key": key, "UpdateExpression": change, **_valued(values)}
        return {"Update": _named(request | ({"ConditionExpression": condition} if condition else {}), names)}

    def delete(self, key: Mapping[str, str]) -> Mapping[str, Any]:
        """A transaction's Delete of one item, if it is there."""
        return {"Delete": {"TableName": self.name, "Key": key, "ConditionExpression": "attribute_exists(pk)"}}

    def transact(self, what: str, actions: list[Mapping[str, Any]]) -> None:
        """All of these or none. Raises Overtaken when a condition did not hold.

        Two transactions that meet on one item are both legal, and one is cancelled: botocore does not try that again.
        """
        for pause in PAUSES:
            try:
                self._transact(what, actions)
            except Busy as busy:
                if busy.code != CANCELLED or pause is None:
                    raise
                self.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that two who met do not meet again
            else:
                return

    def _transact(self, what: str, actions: list[Mapping[str, Any]]) -> None:
        with asking(what):
            try:
                self.client.transact_write_items(TransactItems=cast("Any", actions))
            except ClientError as error:
                if error.response["Error"]["Code"] != CANCELLED:
                    raise
                reasons = {str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])} - {
                    "None"
                }
                if "ConditionalCheckFailed" in reasons:
                    raise Overtaken(what, CANCELLED, f"conditions: {sorted(reasons)}") from error
                if reasons <= PASSING:
                    raise Busy(what, CANCELLED, f"met another transaction: {sorted(reasons)}") from error
                raise


def _keys(named: Iterable[tuple[str, str]]) -> Iterator[Mapping[str, str]]:
    return ({"pk": pk, "sk": sk} for pk, sk in dict.fromkeys(named))


def _valued(values: Mapping[str, object]) -> dict[str, Any]:
    return {"ExpressionAttributeValues": values}


def _named(request: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return request | (
        {"ExpressionAttributeNames": {f"#{short}": name for short, name in names.items()}} if names else {}
    )
