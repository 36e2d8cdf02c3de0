"""The sample events: each is for a function that exists, and is what really wakes it."""

import json
from pathlib import Path
from typing import Any

import pytest

from patchtide.aws.inquiries import read
from simulator.template import ROOT, load

FUNCTIONS = {
    name: body["Properties"]
    for name, body in load(ROOT / "template.yaml")["Resources"].items()
    if body["Type"] == "AWS::Serverless::Function"
}
EVENTS = sorted((ROOT / "events").glob("*.json"))
SOURCES = {"aws:dynamodb": "DynamoDB", "aws.scheduler": "ScheduleV2", "aws:sqs": "SQS"}


def function(path: Path) -> str:
    return f"{path.stem.partition('-')[0].capitalize()}Function"


def source(event: dict[str, Any]) -> str:
    return SOURCES[event["Records"][0]["eventSource"] if "Records" in event else event["source"]]


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.name)
def test_an_event_is_of_the_kind_that_wakes_its_function(path: Path) -> None:
    woken_by = {event["Type"] for event in FUNCTIONS[function(path)]["Events"].values()}
    assert source(json.loads(path.read_text(encoding="utf-8"))) in woken_by


def test_every_function_has_an_event_of_each_kind_that_wakes_it() -> None:
    shown = {(function(path), source(json.loads(path.read_text(encoding="utf-8")))) for path in EVENTS}
    woken = {(name, event["Type"]) for name, body in FUNCTIONS.items() for event in body["Events"].values()}
    assert shown == woken


@pytest.mark.parametrize("purpose", ["targets", "evidence"])
def test_a_question_is_one_that_the_collector_can_read(purpose: str) -> None:
    event = json.loads((ROOT / f"events/collector-{purpose}.json").read_text(encoding="utf-8"))
    (record,) = event["Records"]
    assert read(record["body"]).purpose == purpose


def test_the_stream_tells_nothing_but_the_key() -> None:
    for name in ("intake", "intake-remove"):
        (record,) = json.loads((ROOT / f"events/{name}.json").read_text(encoding="utf-8"))["Records"]
        assert record["dynamodb"]["Keys"] == {"campaign": {"S": "dev-weekly"}}
        assert not {"NewImage", "OldImage"} & set(record["dynamodb"])
