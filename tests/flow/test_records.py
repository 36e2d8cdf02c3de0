"""One record that fails comes again, and no other."""

from __future__ import annotations

import logging

import pytest

from patchtide.core.errors import Busy
from patchtide.flow import records

QUEUE = [{"messageId": f"m-{word}", "body": word} for word in ("good", "bad", "late", "fine")]
STREAM = [
    {"dynamodb": {"SequenceNumber": f"{n}", "Keys": {"campaign": {"S": word}}}}
    for n, word in enumerate(("good", "bad"))
]


def story(word: str) -> None:
    if word == "bad":
        raise ValueError("broken")
    if word == "late":
        raise Busy("read", "Throttling", "slow down")


def test_messages_that_fail_are_named_and_the_others_had_their_turn() -> None:
    heard: list[str] = []

    def hear(word: str) -> None:
        heard.append(word)
        story(word)

    answer = records.from_queue(QUEUE, hear)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-bad"}, {"itemIdentifier": "m-late"}]}
    assert heard == ["good", "bad", "late", "fine"]


def test_changes_that_fail_are_named_by_their_place_in_the_stream() -> None:
    assert records.from_stream(STREAM, "campaign", story) == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def test_the_log_says_why_a_record_failed_and_makes_no_fuss_of_one_that_must_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="patchtide"):  # histories are played in silence
        records.from_queue(QUEUE, story)
    assert [(one.levelno, bool(one.exc_info)) for one in caplog.records] == [
        (logging.ERROR, True),
        (logging.WARNING, False),
    ]
    assert "broken" in caplog.text
    assert "m-late comes again" in caplog.text


def test_a_batch_of_which_all_failed_is_an_error_that_an_alarm_hears() -> None:
    with pytest.raises(records.AllFailed, match="all 1 records failed"):
        records.from_queue(QUEUE[1:2], story)
    assert records.from_queue([], story) == {"batchItemFailures": []}
