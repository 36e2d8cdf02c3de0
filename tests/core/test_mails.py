"""Every text that people are told is as it was read and found good: a change of one is seen, and meant."""

import json
from typing import get_args

import pytest

from patchtide.core.alerts import SCHEMA, card, machine
from patchtide.core.run import AlertKind
from tests.core.mails import FOLDER, alerts, text

ALERTS = alerts()


@pytest.mark.parametrize("name", ALERTS)
def test_a_text_is_as_it_was_agreed(name: str) -> None:
    kept = FOLDER / f"{name}.txt"
    assert kept.read_text(encoding="utf-8") == text(ALERTS[name]), "read it, then run `python -m tests.core.mails`"


def test_every_kind_of_message_has_its_file_and_no_file_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(ALERTS)
    assert {f"run.{kind}" for kind in get_args(AlertKind)} <= set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_the_first_five_lines_say_what_to_do_what_else_why_and_one_command(name: str) -> None:
    alert = ALERTS[name]
    lines = alert.body.splitlines()
    assert alert.subject.isascii()
    assert len(alert.subject) <= 99
    assert alert.body.isascii()
    assert "\t" not in alert.body
    assert max(map(len, lines)) <= 72
    assert lines[1].startswith("ACTION: ")
    if name != "campaign.invalid":  # its errors come first: they are what to do
        assert "patchtide" in lines[4]
        assert not any(line.startswith(" ") for line in lines[:5])


@pytest.mark.parametrize("name", ALERTS)
def test_programs_get_the_same_with_a_key_by_which_it_is_one_incident(name: str) -> None:
    alert = ALERTS[name]
    told = json.loads(json.dumps(machine(alert)))
    assert (told["schema"], told["text"], told["event"]) == (SCHEMA, alert.body, alert.event)
    assert told["status"] in ("info", "triggered", "resolved")
    assert told["dedupKey"] == (alert.run or alert.id)
    if alert.event.startswith("run."):
        assert set(told) >= {"expected", "outcomes", "causes", "locations", "unreachable", "windowEndsAt"}


@pytest.mark.parametrize("name", ALERTS)
def test_chat_gets_a_card_in_one_thread_for_each_run(name: str) -> None:
    alert = ALERTS[name]
    told = card(alert)
    assert (told["version"], told["source"]) == ("1.0", "custom")
    assert told["content"]["textType"] == "client-markdown"
    assert 0 < len(told["content"]["title"]) <= 250
    assert told["content"]["description"].startswith("*")
    assert told["metadata"]["threadId"] == (alert.run or alert.campaign or alert.id)
    assert len(json.dumps(told)) < 32_000


def test_what_was_triggered_is_resolved_when_the_run_comes_out_well() -> None:
    assert ALERTS["run.succeeded"].status == "resolved"
    assert ALERTS["run.failed"].status == "triggered"
