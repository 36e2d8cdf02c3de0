"""The doors answer the sample events as they stand in events/."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.stack import Context
from simulator.template import ROOT
from tests.journeys.small import Play, opened

EVENTS = ROOT / "events"


def event(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def play() -> Iterator[Play]:
    with opened() as found:
        yield found


@pytest.mark.parametrize(
    ("function", "name", "answer"),
    [
        ("IntakeFunction", "intake", {"batchItemFailures": []}),
        ("IntakeFunction", "intake-remove", {"batchItemFailures": []}),
        ("DispatcherFunction", "dispatcher", None),
        ("PollerFunction", "poller", None),
        ("CollectorFunction", "collector-targets", {"batchItemFailures": []}),
        ("CollectorFunction", "collector-evidence", {"batchItemFailures": []}),
        ("ReporterFunction", "reporter", {"batchItemFailures": []}),
    ],
)
def test_a_door_answers_its_sample_event(play: Play, function: str, name: str, answer: object) -> None:
    assert play.stack.invoke(function, event(name)) == answer


def test_one_record_that_fails_is_reported_alone(play: Play) -> None:
    good = event("collector-targets")["Records"][0]
    bad = good | {"messageId": "bad", "body": "not an inquiry"}
    answer = play.stack.invoke("CollectorFunction", {"Records": [good, bad]})
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}


def test_a_question_is_not_begun_when_there_is_no_time_to_meet_silence(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = event("collector-targets")["Records"][0]
    left = iter([100_000, 99_999])
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _: next(left))
    answer = play.stack.invoke("CollectorFunction", {"Records": [first, first | {"messageId": "late"}]})
    assert answer == {"batchItemFailures": [{"itemIdentifier": "late"}]}


def test_a_campaign_that_cannot_be_claimed_does_not_stop_another(play: Play) -> None:
    play.put(campaign="broken")
    play.put()
    play.stack.drain()
    with play.stack.wire.quiet():
        play.table.client.delete_item(TableName="RunsTable", Key={"pk": "campaign#broken", "sk": "version#000001"})
    play.stack.wire.move_to(play.world.clock.now.replace(minute=1))
    with pytest.raises(Exception, match="failed: broken"):  # so that the function's error alarm tells people
        play.stack.invoke("DispatcherFunction", event("dispatcher"))
    assert len(play.runs("web")) == 1
