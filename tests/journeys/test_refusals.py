"""What AWS refuses for a while, or for good, takes nothing from what is known, and starts nothing twice."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from patchtide.core.states import RunState
from simulator.fleet import Behaviour
from simulator.proof.faults import Killed
from simulator.wire import Call
from tests.journeys.small import ALPHA, Play, dies_once, opened, organization


@pytest.fixture
def play() -> Iterator[Play]:
    with opened() as found:
        yield found


DENIED = ("AccessDeniedException", "not now")
Refusing = Callable[[Call], bool]


def refuse(play: Play, operation: str, when: Refusing, answer: tuple[str, str] = DENIED) -> list[Call]:
    """Have AWS refuse calls of an operation for which it holds; the list fills with those refused."""
    refused: list[Call] = []

    def look(call: Call) -> tuple[str, str] | None:
        if str(call) != operation or not when(call):
            return None
        refused.append(call)
        return answer

    play.stack.wire.before.append(look)
    return refused


def test_a_look_that_is_refused_does_not_end_an_execution_that_patches(play: Play) -> None:
    play.bumpy = True
    start = play.world.clock.now
    spell = (start + timedelta(minutes=7), start + timedelta(minutes=10))
    refused = refuse(play, "ssm:GetAutomationExecution", lambda _: spell[0] <= play.world.clock.now <= spell[1])
    play.put()
    play.run(hours=6)
    assert refused
    assert play.runs()[0].run.state is RunState.SUCCEEDED
    assert any("PollerFunction: failed: web-" in failure for failure in play.stack.failures)


def test_a_look_that_is_refused_for_good_ends_long_after_the_window(play: Play) -> None:
    play.bumpy = True
    refuse(play, "ssm:GetAutomationExecution", lambda _: bool(play.world.effects))
    play.put(duration=1, cutoff="10m")
    play.run(hours=5)
    assert not play.runs()[0].run.open
    assert play.subjects()[-1].startswith(("[patch] OK", "[patch] FAILED"))


def test_a_start_that_was_taken_and_is_refused_when_asked_again_is_found(play: Play) -> None:
    killed = dies_once(play, "ssm:StartAutomationExecution", "after")
    refuse(play, "ssm:StartAutomationExecution", lambda _: bool(killed))
    play.put()
    with pytest.raises(Killed):
        play.run(hours=6)
    play.stack.restart()
    play.run(hours=6)
    assert play.world.executions_started == 1
    assert play.runs()[0].run.state is RunState.SUCCEEDED


def test_a_start_that_is_refused_from_the_first_is_told_with_the_reason(play: Play) -> None:
    refuse(play, "ssm:StartAutomationExecution", lambda _: True)
    play.put()
    play.run(hours=6)
    assert play.runs()[0].run.state is RunState.FAILED
    assert set(play.runs()[0].latest[0].outcomes) == {"notStarted"}
    assert "START_REFUSED" in play.mails[-1]["Message"]
    assert play.world.effects == []


@pytest.mark.parametrize("answer", ["ThrottlingException", "AutomationExecutionLimitExceededException"])
def test_a_start_that_must_wait_is_asked_for_again_while_its_window_lasts(play: Play, answer: str) -> None:
    busy_until = play.world.clock.now + timedelta(minutes=20)
    refuse(play, "ssm:StartAutomationExecution", lambda _: play.world.clock.now < busy_until, (answer, "later"))
    play.put()
    play.run(hours=6)
    assert play.world.executions_started == 1
    assert play.runs()[0].run.state is RunState.SUCCEEDED


def test_two_transactions_that_meet_are_tried_again_and_nobody_is_told_twice(play: Play) -> None:
    met: list[Call] = []

    def meet(_: Call) -> bool:
        return play.stack.wire.calls["sns:Publish"] > 0 and not met

    met = refuse(play, "dynamodb:TransactWriteItems", meet, ("TransactionCanceledException", "conflict"))
    play.put()
    play.run(hours=6)
    assert met
    assert len(play.subjects()) == len(set(play.subjects())) == 2


def test_evidence_stands_where_its_explanation_is_refused() -> None:
    with opened(organization({"a-1": Behaviour.DISK_FULL})) as play:
        refuse(play, "ssm:ListCommandInvocations", lambda _: True)
        play.put()
        play.run(hours=6)
        outcomes = dict(play.runs()[0].latest[0].outcomes)
        assert outcomes["compliant"] == 3
        assert sum(outcomes.values()) == 4


def test_a_mail_that_is_refused_is_sent_when_it_can_be(play: Play) -> None:
    play.bumpy = True
    refuse(play, "sns:Publish", lambda _: play.stack.wire.calls["sns:Publish"] < 3, ("AuthorizationError", "no"))
    play.put()
    play.run(hours=6)
    assert len(play.subjects()) == len(set(play.subjects())) == 2


def test_an_item_deleted_and_put_anew_before_its_window_is_run_once_and_goes_on(play: Play) -> None:
    play.put(schedule="cron(0 10 * * ? *)")
    play.run(hours=50 / 60)  # the run of 10:00 is open by now
    assert len(play.runs()) == 1
    with play.stack.wire.quiet():
        play.table.client.delete_item(TableName="CampaignsTable", Key={"campaign": "web"})
    play.stack.drain()
    play.put(schedule="cron(0 10 * * ? *)")
    play.run(hours=30)
    assert [found.run.id for found in play.runs()] == ["web-20261201T1000Z", "web-20261202T1000Z"]
    assert [found.run.state for found in play.runs()] == [RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_nobody_is_patched_in_an_account_that_is_left_out(play: Play) -> None:
    play.put(excludeAccounts=[ALPHA])
    play.run(hours=6)
    assert ALPHA not in {delivery.account for delivery in play.world.effects}
