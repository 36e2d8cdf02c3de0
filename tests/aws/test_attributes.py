"""Python's own values go into DynamoDB and come out, in each kind of request that carries items."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from patchtide.aws import clients

ITEM = {
    "pk": "a",
    "sk": "1",
    "count": 3,
    "fine": True,
    "nothing": None,
    "some": ["x", Decimal("1.5")],
    "deep": {"y": 2},
}
READ = {**ITEM, "count": Decimal(3), "deep": {"y": Decimal(2)}}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        clients.dynamodb.cache_clear()
        client: Any = clients.dynamodb()
        client.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            Tags=[{"Key": "owner", "Value": "us"}],
        )
        yield client
        clients.dynamodb.cache_clear()


def test_an_item_comes_out_as_it_went_in_whichever_way(table: Any) -> None:
    key = {"pk": "a", "sk": "1"}
    table.put_item(TableName="t", Item=ITEM)
    assert table.get_item(TableName="t", Key=key)["Item"] == READ
    assert table.scan(TableName="t")["Items"] == [READ]
    change = {"UpdateExpression": "SET fine = :no", "ExpressionAttributeValues": {":no": False}}
    changed = table.update_item(TableName="t", Key=key, ReturnValues="ALL_NEW", **change)
    assert changed["Attributes"] == READ | {"fine": False}
    wanted = {"t": {"Keys": [key]}}
    assert table.batch_get_item(RequestItems=wanted)["Responses"] == {"t": [READ | {"fine": False}]}
    got = table.transact_get_items(TransactItems=[{"Get": {"TableName": "t", "Key": key}}])
    assert got["Responses"] == [{"Item": READ | {"fine": False}}]
    table.batch_write_item(RequestItems={"t": [{"PutRequest": {"Item": ITEM | {"sk": "2"}}}]})
    table.transact_write_items(TransactItems=[{"Delete": {"TableName": "t", "Key": key}}])
    assert table.scan(TableName="t")["Items"] == [READ | {"sk": "2"}]


def test_a_page_is_followed_by_the_next(table: Any) -> None:
    for number in range(5):
        table.put_item(TableName="t", Item={"pk": "a", "sk": f"{number}"})
    pages = table.get_paginator("query").paginate(
        TableName="t",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": "a"},
        PaginationConfig={"PageSize": 2},
    )
    assert [[item["sk"] for item in page["Items"]] for page in pages] == [["0", "1"], ["2", "3"], ["4"]]


def test_what_a_caller_gave_is_still_his(table: Any) -> None:
    action = {"Put": {"TableName": "t", "Item": dict(ITEM)}}
    table.transact_write_items(TransactItems=[action])
    assert action["Put"]["Item"] == ITEM
    table.transact_write_items(TransactItems=[action])


def test_only_our_client_is_changed(table: Any) -> None:
    table.put_item(TableName="t", Item={"pk": "a", "sk": "1"})
    plain: Any = boto3.client("dynamodb")
    assert plain.scan(TableName="t")["Items"] == [{"pk": {"S": "a"}, "sk": {"S": "1"}}]


def test_a_refusal_is_botocores_own(table: Any) -> None:
    with Stubber(table) as stub:
        stub.add_client_error("get_item", "ResourceNotFoundException", "no table")
        with pytest.raises(table.exceptions.ResourceNotFoundException, match="no table"):
            table.get_item(TableName="t", Key={"pk": "a"})
