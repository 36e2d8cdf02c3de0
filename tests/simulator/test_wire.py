"""The in-process door: who reaches what, who is counted, and how a test gets between a call and its effect."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from simulator.fleet import EXECUTION_ROLE, Behaviour
from simulator.proof.faults import Killed
from simulator.wire import Call, Wire
from tests.simulator.scene import ALPHA, HUB, IRELAND, START, TOKEN, Scene, make_world

DOORS = ("wire",)


def table(client: Any, name: str = "things") -> str:
    made = client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    arn: str = made["TableDescription"]["TableArn"]
    return arn


# --- who reaches what ---------------------------------------------------------------------------------------------------


def test_the_process_is_the_hub_and_moto_believes_it(scene: Scene) -> None:
    assert boto3.client("sts").get_caller_identity()["Account"] == HUB
    assert table(boto3.client("dynamodb")) == f"arn:aws:dynamodb:{IRELAND}:{HUB}:table/things"
    sns = boto3.client("sns").create_topic(Name="alerts")["TopicArn"]
    assert sns == f"arn:aws:sns:{IRELAND}:{HUB}:alerts"


def test_an_assumed_role_reaches_its_own_account_in_moto_as_well(scene: Scene) -> None:
    arn = f"arn:aws:iam::{ALPHA}:role/{EXECUTION_ROLE}"
    keys = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], IRELAND)
    assert f":{ALPHA}:" in table(session.client("dynamodb"))
    assert boto3.client("dynamodb").list_tables()["TableNames"] == []


def test_streams_of_moto_can_be_read(scene: Scene) -> None:
    dynamodb, streams = boto3.client("dynamodb"), boto3.client("dynamodbstreams")
    table(dynamodb)
    dynamodb.update_table(
        TableName="things", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
    arn = dynamodb.describe_table(TableName="things")["Table"]["LatestStreamArn"]
    assert streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"] == "ENABLED"


def test_a_client_made_before_the_wire_was_entered_reaches_it_too() -> None:
    client: Any = boto3.client(
        "ssm",
        region_name=IRELAND,
        aws_access_key_id=HUB,
        aws_secret_access_key="x",  # noqa: S106
    )
    for _ in range(2):
        world = make_world()
        with Wire(world) as wire:
            assert client.list_commands()["Commands"] == []
            assert wire.calls == {"ssm:ListCommands": 1}


def _die_behind_a_wire() -> None:
    with Wire(make_world()):
        assert os.environ["AWS_ACCESS_KEY_ID"] == HUB
        raise Killed


def test_the_process_is_as_it_was_when_the_wire_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    before = dict(os.environ)
    with pytest.raises(Killed):
        _die_behind_a_wire()
    assert dict(os.environ) == before
    assert datetime.now(UTC) != START


def test_there_is_one_world_at_a_time(scene: Scene) -> None:
    with pytest.raises(RuntimeError, match="a wire is entered already"), Wire(make_world()):
        pass
    assert boto3.client("sts").get_caller_identity()["Account"] == HUB


def test_time_is_the_worlds_and_stands_still(scene: Scene) -> None:
    assert datetime.now(UTC) == START
    seen: list[datetime] = []
    scene.world.clock.after(90, lambda: seen.append(datetime.now(UTC)))
    scene.wait(minutes=10)
    assert (seen, datetime.now(UTC)) == ([START + timedelta(seconds=90)], START + timedelta(minutes=10))
    assert time.time() == scene.world.clock.now.timestamp()


# --- counting and observing ---------------------------------------------------------------------------------------------


def test_every_call_is_counted_but_the_simulators_own(scene: Scene) -> None:
    dynamodb = boto3.client("dynamodb")
    with scene.wire.quiet():
        table(dynamodb)
        scene.ssm.list_commands()
    scene.ssm.list_commands()
    dynamodb.list_tables()
    scene.client("resourcegroupstaggingapi").get_resources()
    assert scene.wire.calls == {
        "ssm:ListCommands": 1,
        "dynamodb:ListTables": 1,
        "resourcegroupstaggingapi:GetResources": 1,
    }


def test_an_observer_sees_what_is_sent_before_and_after_its_effect(scene: Scene) -> None:
    seen: list[tuple[str, str, int]] = []

    def note(when: str) -> Any:
        return lambda call: seen.append((when, call.params["DocumentName"], scene.world.executions_started))

    scene.wire.before.append(note("before"))
    scene.wire.after.append(note("after"))
    scene.start()
    assert seen == [("before", "Fleet", 0), ("after", "Fleet", 1)]


@pytest.mark.parametrize(("moment", "started"), [("before", 0), ("after", 1)])
def test_a_kill_before_or_after_the_effect_passes_through_everything(scene: Scene, moment: str, started: int) -> None:
    def kill(call: Call) -> None:
        getattr(scene.wire, moment).clear()
        raise Killed(str(call))

    getattr(scene.wire, moment).append(kill)
    with pytest.raises(Killed, match="ssm:StartAutomationExecution"):
        scene.start(ClientToken=TOKEN)
    assert scene.world.executions_started == started
    scene.start(ClientToken=TOKEN)
    assert scene.world.executions_started == 1


def test_a_lost_answer_is_retried_by_botocore_and_the_token_makes_it_one(scene: Scene) -> None:
    lost: list[Call] = []

    def lose(call: Call) -> None:
        if not lost:
            lost.append(call)
            raise ReadTimeoutError(endpoint_url=call.url)

    scene.wire.after.append(lose)
    id_ = scene.start(ClientToken=TOKEN)
    assert scene.wire.calls["ssm:StartAutomationExecution"] == 2
    assert [one.id for one in scene.world.automation.at(HUB, IRELAND)] == [id_]


def test_a_throttle_is_retried_without_anybody_waiting(scene: Scene) -> None:
    refusals = [("ThrottlingException", "Rate exceeded")] * 2
    scene.wire.before.append(lambda call: refusals.pop() if refusals else None)
    began = time.perf_counter()
    assert scene.ssm.list_commands()["Commands"] == []
    assert scene.wire.calls["ssm:ListCommands"] == 3
    assert time.perf_counter() - began < 1
    assert scene.world.clock.now == START


@pytest.mark.parametrize("service", ["ssm", "ec2", "sts", "organizations", "dynamodb", "sns", "sqs", "s3"])
def test_any_service_can_be_made_to_refuse(scene: Scene, service: str) -> None:
    scene.wire.before.append(lambda call: ("AccessDeniedException", "not today"))
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.client(service, config=once)  # type: ignore[call-overload]
    ask = {
        "ssm": "list_commands",
        "ec2": "describe_instances",
        "sts": "get_caller_identity",
        "organizations": "list_roots",
        "dynamodb": "list_tables",
        "sns": "list_topics",
        "sqs": "list_queues",
        "s3": "list_buckets",
    }[service]
    with pytest.raises(ClientError) as error:
        getattr(client, ask)()
    assert error.value.response["Error"] | {"Type": ""} == {
        "Code": "AccessDeniedException",
        "Message": "not today",
        "Type": "",
    }


def test_a_broken_network_can_be_given_as_an_answer(scene: Scene) -> None:
    scene.wire.before.append(lambda call: ReadTimeoutError(endpoint_url=call.url))
    with pytest.raises(ReadTimeoutError):
        boto3.client("dynamodb", config=Config(retries={"total_max_attempts": 1})).list_tables()
    assert scene.wire.calls == {"dynamodb:ListTables": 1}


def test_a_call_may_be_made_in_the_middle_of_another(scene: Scene) -> None:
    scene.add(Behaviour.HEALTHY)

    def nest(call: Call) -> None:
        if call.operation == "StartAutomationExecution" and call.number == 1:
            scene.start(ClientToken=TOKEN)
            boto3.client("dynamodb").list_tables()

    scene.wire.before.append(nest)
    scene.start(ClientToken=TOKEN)
    assert scene.world.executions_started == 1
    assert scene.wire.calls == {"ssm:StartAutomationExecution": 2, "dynamodb:ListTables": 1}


def test_a_moto_effect_is_applied_once_and_before_the_caller_hears_of_it(scene: Scene) -> None:
    dynamodb: Any = boto3.client("dynamodb")
    table(dynamodb)
    key = {"id": {"S": "a"}}

    def kill(call: Call) -> None:
        if call.operation == "UpdateItem":
            raise Killed

    scene.wire.after.append(kill)
    add = {"UpdateExpression": "ADD seen :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    with pytest.raises(Killed):
        dynamodb.update_item(TableName="things", Key=key, **add)
    scene.wire.after.clear()
    assert dynamodb.get_item(TableName="things", Key=key)["Item"]["seen"] == {"N": "1"}


def test_a_call_costs_little(scene: Scene) -> None:
    id_ = scene.start()
    scene.look(id_)
    began = time.perf_counter()
    for _ in range(200):
        scene.look(id_)
    assert (time.perf_counter() - began) / 200 < 0.01
