"""The campaigns table: people's items, and the few fields on them that are ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from patchtide.aws.faults import asking
from patchtide.aws.table import CONDITION_FAILED
from patchtide.core.errors import Overtaken

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class Items:
    """The campaigns table."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self.client, self.name = client, name

    def get(self, campaign: str) -> Mapping[str, Any] | None:
        """The item as it is now, or None when there is none."""
        with asking(f"read campaign {campaign}"):
            found = self.client.get_item(TableName=self.name, Key={"campaign": campaign}, ConsistentRead=True)
        return found.get("Item")

    def every(self) -> Iterator[Mapping[str, Any]]:
        """All items, a page at a time."""
        with asking("list campaigns"):
            for page in self.client.get_paginator("scan").paginate(TableName=self.name):
                yield from page["Items"]

    def write_back(self, campaign: str, fields: Mapping[str, object]) -> None:
        """Set the service's fields on the item (None removes one). An item deleted meanwhile is not brought back."""
        try:
            self._update(campaign, fields, "attribute_exists(campaign)")
        except Overtaken:
            return  # nobody is left to read it, or a newer run has said its own

    def apply(self, campaign: str, fields: Mapping[str, object]) -> None:
        """Set (None: remove) people's fields; the item is made when there is none."""
        self._update(campaign, fields, None)

    def delete(self, campaign: str) -> None:
        """Take the item away. What is being patched finishes; nothing more of it begins."""
        with asking(f"delete campaign {campaign}"):
            self.client.delete_item(TableName=self.name, Key={"campaign": campaign})

    def _update(self, campaign: str, fields: Mapping[str, object], condition: str | None) -> None:
        names = {f"#n{number}": name for number, name in enumerate(fields)}
        kept = {short: name for short, name in names.items() if fields[name] is not None}
        gone = [short for short, name in names.items() if fields[name] is None]
        change = ("SET " + ", ".join(f"{short} = :{short[1:]}" for short in kept)) if kept else ""
        change += (" REMOVE " + ", ".join(gone)) if gone else ""
        request: dict[str, Any] = {"ExpressionAttributeNames": names}
        if kept:
            request["ExpressionAttributeValues"] = {f":{short[1:]}": fields[name] for short, name in kept.items()}
        if condition and (last := next((short for short, name in kept.items() if name == "lastRunAt"), None)):
            # A run may not overwrite what a later run, which ended sooner, has said of itself.
            condition += f" AND (attribute_not_exists(lastRunAt) OR lastRunAt <= :{last[1:]})"
        if condition:
            request["ConditionExpression"] = condition
        with asking(f"write campaign {campaign}"):
            try:
                self.client.update_item(
                    TableName=self.name, Key={"campaign": campaign}, UpdateExpression=change.strip(), **request
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == CONDITION_FAILED:
                    raise Overtaken("write the item", CONDITION_FAILED, campaign) from error
                raise
