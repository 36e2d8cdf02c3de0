"""Python's own values in and out of a DynamoDB client, where botocore has `{"S": "text"}`.

boto3's resource does the same in general: it copies every request deeply, then walks through it and its model, three times. For
a page of 50 rows that takes longer than all that botocore does, so here only the members that hold attributes are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# The members that map names to attributes, and those that list such maps, in all requests and answers for items.
ONE = frozenset({"Attributes", "ExclusiveStartKey", "ExpressionAttributeValues", "Item", "Key", "LastEvaluatedKey"})
MANY = frozenset({"Items", "Keys"})

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def speak_plainly(client: DynamoDBClient) -> DynamoDBClient:
    """The client, which from now on takes and gives Python's own values."""
    client.meta.events.register("provide-client-params.dynamodb", _given)  # type: ignore[arg-type]
    client.meta.events.register("after-call.dynamodb", _answered)
    return client


def _given(params: Mapping[str, Any], **_: object) -> dict[str, Any]:
    return {name: _sent(name, value) for name, value in params.items()}


def _sent(name: str, value: Any) -> Any:
    """A member of a request as botocore takes it. What was given stays as it is, since a caller may send it again."""
    if isinstance(value, Mapping):
        if name in ONE:
            return {attribute: _attribute(found) for attribute, found in value.items()}
        return {inner: _sent(inner, found) for inner, found in value.items()}
    if isinstance(value, list):
        return [_sent("Item" if name in MANY else "", one) for one in value]
    return value


def _attribute(value: Any) -> Any:
    """A value as DynamoDB has it. Nearly all are text or whole numbers, and boto3 asks eight times before it knows."""
    kind = type(value)
    if kind is str:
        return {"S": value}
    return {"N": str(value)} if kind is int else _serialize(value)


def _answered(parsed: dict[str, Any], **_: object) -> None:
    for name in parsed.keys() - {"ResponseMetadata", "Error"}:
        parsed[name] = _got(name, parsed[name])


def _got(name: str, value: Any) -> Any:
    """A member of an answer as we read it."""
    if isinstance(value, dict):
        if name in ONE:
            return {attribute: _deserialize(found) for attribute, found in value.items()}
        # Whatever was read from several tables at once comes under the tables' own names.
        return {inner: _got("Items" if name == "Responses" else inner, found) for inner, found in value.items()}
    if isinstance(value, list):
        return [_got("Item" if name in MANY else "", one) for one in value]
    return value
