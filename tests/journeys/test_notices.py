"""What people hear besides what a run tells: a day ahead, in chat, in programs, on the dashboard."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from patchtide.aws.telemetry import Telemetry
from patchtide.core.states import RunState, WaveState
from patchtide.core.tally import Tally
from simulator.fleet import Behaviour
from tests.journeys.small import ALPHA, opened, organization
from tests.values import a_run

EVENING = "at(2026-12-03T20:00:00)"
BEFORE = datetime(2026, 12, 2, 20, 0, tzinfo=UTC)


def test_a_run_is_told_of_a_day_ahead_once_however_often_it_is_edited() -> None:
    with opened(speed=20) as play:
        play.put(schedule=EVENING)
        play.run_to(BEFORE + timedelta(hours=2))
        (notice,) = play.mails
        assert notice["Subject"].startswith("[patch] TOMORROW web: Thu 03 Dec 20:00 UTC")
        assert notice["MessageAttributes"]["audience"]["Value"] == "owner"
        play.put(schedule=EVENING, description="edited")
        play.run(hours=48)
        assert len([subject for subject in play.subjects() if "TOMORROW" in subject]) == 1
        assert play.runs()[0].run.state == RunState.SUCCEEDED


def test_a_campaign_that_is_written_hours_before_it_runs_is_no_news_to_its_author() -> None:
    with opened(speed=20) as play:
        play.put(schedule="at(2026-12-01T20:00:00)")
        play.run(hours=20)
        assert not [subject for subject in play.subjects() if "TOMORROW" in subject]


def test_one_that_was_paused_or_moved_meanwhile_is_not_announced() -> None:
    with opened(speed=20) as play:
        play.put(schedule=EVENING)
        play.put(campaign="moved", schedule=EVENING)
        play.run(hours=1)
        play.put(schedule=EVENING, state="DISABLED")
        play.put(campaign="moved", schedule="at(2026-12-05T20:00:00)")
        play.run_to(BEFORE + timedelta(hours=2))
        assert play.mails == []
        play.run_to(BEFORE + timedelta(hours=50))
        assert [subject for subject in play.subjects() if "TOMORROW" in subject] == [
            "[patch] TOMORROW moved: Sat 05 Dec 20:00 UTC (20:00Z)"
        ]


def test_an_exception_that_is_about_to_end_makes_the_notice_a_warning() -> None:
    with opened(speed=20) as play:
        legacy = {"targets": "tag:Ring=2", "reason": "old", "approvedBy": "jane", "expires": "2026-12-10"}
        play.put(schedule=EVENING, exceptions=[legacy])
        play.run_to(BEFORE + timedelta(hours=1))
        (mail,) = play.mails
        assert mail["MessageAttributes"]["severity"]["Value"] == "WARNING"
        assert mail["MessageAttributes"]["event"]["Value"] == "exception.expiring"
        assert "2026-12-10: old (jane)" in mail["Message"]


def test_programs_get_numbers_and_teams_can_filter_by_their_accounts() -> None:
    with opened(organization({"a-1": Behaviour.DISK_FULL}), speed=20) as play:
        region = play.stack.template.region
        sns, sqs = boto3.client("sns", region_name=region), boto3.client("sqs", region_name=region)
        with play.stack.wire.quiet():
            queue = sqs.create_queue(QueueName="team")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            sns.subscribe(
                TopicArn=play.stack._attribute("AlertsTopic", ""),
                Protocol="sqs",
                Endpoint=arn,
                Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"accounts": [ALPHA]})},
            )
        play.put()
        play.run(hours=8)
        with play.stack.wire.quiet():
            (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        told = json.loads(message["Body"])
        assert (told["schema"], told["event"], told["status"]) == ("patchtide.alert/1", "run.failed", "triggered")
        assert told["outcomes"] == {"compliant": 3, "failed": 1}
        assert told["causes"] == {"DISK_FULL": 1}
        assert told["dedupKey"] == play.runs()[0].run.id


def test_chat_is_told_in_one_thread_and_people_are_told_though_chat_cannot_be() -> None:
    with opened(speed=20, parameters={"EnableChat": "yes"}) as play:
        region = play.stack.template.region
        with play.stack.wire.quiet():
            sqs = boto3.client("sqs", region_name=region)
            queue = sqs.create_queue(QueueName="chat")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            topic = play.stack._attribute("ChatTopic", "")
            boto3.client("sns", region_name=region).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        play.put()
        play.run(hours=8)
        with play.stack.wire.quiet():
            found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        cards = [json.loads(json.loads(one["Body"])["Message"]) for one in found]
        assert {card["metadata"]["threadId"] for card in cards} == {play.runs()[0].run.id}
        assert len(cards) == len(play.mails) == 2
        with play.stack.wire.quiet():
            boto3.client("sns", region_name=region).delete_topic(TopicArn=topic)
        play.put(campaign="again")
        play.run(hours=8)
        assert len(play.mails) == 4


def test_what_is_drawn_is_a_line_in_the_log_with_few_names(capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run("web", BEFORE, BEFORE)
    tally = Tally(
        instances=4, compliant=2, outcomes={"compliant": 2, "failed": 1, "excluded": 1}, causes={"EXCEPTED": 1}
    )
    wave = run.waves[0].__class__("all", state=WaveState.SETTLED, tally=tally)
    Telemetry().ended(run.__class__(**{**run.__dict__, "waves": (wave,), "state": RunState.FAILED}))
    ended, campaign = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (ended["state"], ended["RunsEnded"]) == ("failed", [1.0])
    (names,) = ended["_aws"]["CloudWatchMetrics"][0]["Dimensions"]
    assert set(names) == {"service", "state"}
    assert campaign["campaign"] == "web"
    assert campaign["Compliance"] == [pytest.approx(100 * 2 / 3)]
    assert campaign["InstancesToLookAt"] == [1.0]


def test_owners_hear_of_their_own_account_alone_and_only_once() -> None:
    with opened(organization({"a-1": Behaviour.DISK_FULL}), speed=20) as play:
        play.put(notify={"owners": True, "runbook": "https://wiki.example.com/patching"})
        play.run(hours=30)
        (slice_,) = [mail for mail in play.mails if mail["MessageAttributes"]["audience"]["Value"] == "owner"]
        assert slice_["Subject"] == f"[patch] YOURS web: 1 instance of account {ALPHA}, 1 cause"
        assert json.loads(slice_["MessageAttributes"]["accounts"]["Value"]) == [ALPHA]
        assert "a-1" in slice_["Message"]
        assert all("Runbook: https://wiki.example.com/patching" in mail["Message"] for mail in play.mails)


def test_a_campaign_that_tells_its_owners_nothing_gets_no_slices() -> None:
    with opened(organization({"a-1": Behaviour.DISK_FULL}), speed=20) as play:
        play.put()
        play.run(hours=8)
        assert {mail["MessageAttributes"]["audience"]["Value"] for mail in play.mails} == {"oncall"}


def test_what_asks_for_nothing_is_told_together_in_the_morning_and_stays_apart_from_what_does() -> None:
    with opened(speed=20) as play:
        for name, hour in (("one", 12), ("two", 18)):
            play.put(campaign=name, schedule=f"at(2026-12-01T{hour}:00:00)", notify={"digest": True})
        play.put(campaign="three")
        play.run(hours=40)
        told = [mail for mail in play.mails if mail["MessageAttributes"]["audience"]["Value"] == "oncall"]
        subjects = [mail["Subject"] for mail in told]
        (digest,) = [mail for mail in told if mail["Subject"].startswith("[patch] DIGEST")]
        assert digest["Subject"].endswith(": 2 runs came out well")
        assert "OK one" in digest["Message"]
        assert "OK two" in digest["Message"]
        assert not [one for one in subjects if "DIGEST" not in one and ("one" in one or "two" in one)]
        assert [one for one in subjects if one.startswith("[patch] OK three")]
        play.put(campaign="later", schedule="at(2026-12-04T20:00:00)", notify={"digest": True})
        play.run(hours=72)
        assert len([subject for subject in play.subjects() if subject.startswith("[patch] DIGEST")]) == 2
