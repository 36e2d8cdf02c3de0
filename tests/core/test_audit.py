"""The audit trail: what it says of a run, and how it shows that somebody was at it."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from patchtide.core.audit import Line, lines
from patchtide.core.orders import Answered, Order
from patchtide.core.run import Execution, Run
from patchtide.core.states import ExecutionState
from tests.values import a_run

NOW = datetime(2026, 12, 12, 22, 0, tzinfo=UTC)
OPENED = a_run("web", NOW, NOW)

PLANNED = Execution("all", 1, '{"a": 1}', 1, "token-1")


def running(**changes: object) -> Run:
    execution = replace(PLANNED, state=ExecutionState.STARTING, asked_at=NOW, first_asked_at=NOW)
    return replace(OPENED, executions=(replace(execution, **changes),))  # type: ignore[arg-type]


def said(found: tuple[Line, ...]) -> list[tuple[str, str]]:
    return [(line["what"], line["said"]) for line in (json.loads(one.text) for one in found)]


def test_a_start_has_a_line_when_it_is_asked_for_and_one_when_it_is_answered() -> None:
    asked = running()
    request = hashlib.sha256(b'{"a": 1}').hexdigest()
    assert said(lines(replace(asked, executions=(PLANNED,)), asked, NOW)) == [
        ("start asked", f"token token-1, request {request}")
    ]
    assert said(lines(asked, running(state=ExecutionState.RUNNING, id="e-1"), NOW)) == [("started", "e-1")]


def test_what_did_not_change_has_no_line() -> None:
    assert lines(running(), running(), NOW) == ()


def test_a_stop_a_refusal_and_an_end_say_so() -> None:
    going = running(state=ExecutionState.RUNNING, id="e-1")
    assert said(lines(going, running(state=ExecutionState.RUNNING, id="e-1", stop_asked_at=NOW), NOW)) == [
        ("stop asked", "e-1")
    ]
    assert said(lines(running(), running(state=ExecutionState.REFUSED, reason="denied"), NOW)) == [
        ("refused", "denied")
    ]
    ended = running(state=ExecutionState.ENDED, id="e-1", status="Success")
    assert said(lines(going, ended, NOW)) == [("ended", "Success")]


def test_a_persons_word_is_in_it() -> None:
    run = OPENED
    order = Order("o-1", "approve", "arn:aws:sts::1:assumed-role/Ops/me", NOW, wave="all")
    told = replace(run, orders=(Answered(order, True, "wave all may begin"),))
    assert said(lines(run, told, NOW)) == [
        ("order", "approve by arn:aws:sts::1:assumed-role/Ops/me, accepted: wave all may begin")
    ]


def test_each_line_seals_the_one_before_also_over_several_saves() -> None:
    first = running()
    (one,) = lines(replace(first, executions=(PLANNED,)), first, NOW)
    kept = replace(first, audited=1, seal=one.seal)
    later = NOW + timedelta(minutes=1)
    (two,) = lines(kept, replace(running(state=ExecutionState.RUNNING, id="e-1"), audited=1, seal=one.seal), later)
    assert (one.number, two.number) == (1, 2)
    assert json.loads(one.text)["before"] == ""
    assert json.loads(two.text)["before"] == one.seal == hashlib.sha256(one.text.encode()).hexdigest()


def test_a_line_that_somebody_changed_no_longer_has_its_seal() -> None:
    first = running()
    (one,) = lines(replace(first, executions=(PLANNED,)), first, NOW)
    assert replace(one, text=one.text.replace("token-1", "token-2")).seal != one.seal
