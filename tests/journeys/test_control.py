"""What keeps a run back, and the people who do: windows, calendars, freezes, approval, stop, pause, retry, catch-up, overlap."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patchtide.core.states import ExecutionState, RunState
from simulator.fleet import Behaviour
from simulator.proof.faults import Killed
from simulator.world import Calendar, Switches
from tests.journeys.small import (
    ALPHA,
    BETA,
    BOSS,
    NOW,
    REGION,
    Play,
    dies_once,
    many,
    opened,
    organization,
    same_evening,
)

EVENING = datetime(2026, 12, 1, 20, tzinfo=UTC)
AT_EIGHT = "at(2026-12-01T20:00:00)"
DAILY = "cron(0 20 * * ? *)"
FREEZE_FILE = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//freezes//EN
BEGIN:VEVENT
UID:freeze-1
DTSTAMP:20261101T000000Z
DTSTART;VALUE=DATE:20261201
DTEND;VALUE=DATE:20261203
SUMMARY:Launch
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")


@pytest.fixture
def play() -> Iterator[Play]:
    with opened(speed=12) as found:
        yield found


def heads(play: Play) -> list[str]:
    return [subject.split(":")[0].removeprefix("[patch] ") for subject in play.subjects()]


# --- windows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivery", ["command", "turn"])
def test_a_window_that_closes_takes_back_what_waits_and_records_it_as_not_started(delivery: Any) -> None:
    """One instance at a time takes longer than the window: what waits at the cutoff is never reached, whichever way AWS
    counts a delivery timeout, and what is being patched finishes."""
    with opened(many(), Switches(delivery_timeout=delivery)) as play:
        play.put(schedule=AT_EIGHT, duration=1, cutoff="30m", maxConcurrency=1)
        play.run(hours=20)
        run = play.runs()[0].run
        outcomes = play.outcomes(run.id)
        assert run.state is RunState.FAILED
        assert sorted(name for name, outcome in outcomes.items() if outcome == "compliant") == play.patched()
        assert set(outcomes.values()) == {"compliant", "notStarted"}
        assert 0 < len(play.patched()) < len(outcomes)
        assert heads(play) == ["STARTED web", "CLOSING web", "FAILED web"]
        assert "cutoff reached: 2 of 2 locations are still at work" in play.said("CLOSING web")
        assert "WINDOW_CLOSED" in play.said("FAILED web")
        play.prove()


def test_an_execution_that_never_got_its_turn_is_stopped_by_the_fence(play: Play) -> None:
    play.put(schedule=AT_EIGHT, duration=1, cutoff="45m", locationMaxConcurrency=1)
    play.run(hours=20)
    assert play.runs()[0].run.open is False
    play.prove()


# --- calendars and freezes ------------------------------------------------------------------------------------------


def calendar(play: Play, *spans: tuple[datetime, datetime]) -> str:
    play.world.calendars[play.world.organization.hub, REGION, "Freeze"] = Calendar("OPEN", list(spans))
    return f"arn:aws:ssm:{REGION}:{play.world.organization.hub}:document/Freeze"


def test_a_closed_calendar_skips_the_run_before_anything_is_asked_and_says_so(play: Play) -> None:
    closed = calendar(play, (EVENING - timedelta(hours=1), EVENING + timedelta(hours=9)))
    play.put(schedule=AT_EIGHT, calendars=[closed])
    play.run(hours=20)
    assert play.runs()[0].run.state is RunState.SKIPPED
    assert play.patched() == []
    assert play.subjects() == ["[patch] SKIPPED web wave all: calendar Freeze is closed"]
    assert play.stack.wire.calls["sts:AssumeRole"] == 0


def test_a_calendar_that_cannot_be_read_is_closed(play: Play) -> None:
    play.put(schedule=AT_EIGHT, calendars=["There-is-none"])
    play.run(hours=20)
    assert play.runs()[0].run.state is RunState.SKIPPED
    assert "could not be read" in play.subjects()[0]
    assert play.patched() == []


def test_a_calendar_that_cannot_be_read_for_a_while_only_delays(play: Play) -> None:
    play.bumpy = True
    name = calendar(play)
    until = EVENING + timedelta(minutes=20)
    play.stack.wire.before.append(
        lambda call: (
            ("ThrottlingException", "later")
            if str(call) == "ssm:GetCalendarState" and play.world.clock.now < until
            else None
        )
    )
    play.put(schedule=AT_EIGHT, calendars=[name])
    play.run(hours=20)
    run = play.runs()[0].run
    assert run.state is RunState.SUCCEEDED
    assert run.started_at
    assert run.started_at >= until


def test_what_is_postponed_moves_the_waves_behind_it_and_never_into_the_next_run(play: Play) -> None:
    waves: list[dict[str, Any]] = [
        {"name": "one", "targets": "tag:Ring=0"},
        {"name": "two", "targets": "tag:Ring=2", "scheduleOffset": 2},
    ]
    play.put(schedule=AT_EIGHT, freeze=["2026-12-01"], onCalendarClosed="postpone", waves=waves)
    play.run(hours=24 * 5)
    starts = [wave.started_at for wave in play.runs()[0].run.waves]
    assert [f"{start:%d %H:%M}" for start in starts if start] == ["02 20:00", "04 20:00"]
    play.prove()
    play.put(
        campaign="weekly",
        schedule="cron(0 20 ? * MON *)",
        freeze=["2026-12-07..2026-12-09"],
        onCalendarClosed="postpone",
        waves=[waves[0], waves[1] | {"scheduleOffset": 5}],
    )
    play.put(campaign="daily", schedule=DAILY, freeze=["2026-12-07"], onCalendarClosed="postpone")
    play.run(hours=24 * 3)
    skipped = [dossier.run for dossier in play.runs("daily") if dossier.run.state is RunState.SKIPPED]
    assert [run.id for run in skipped] == ["daily-20261207T2000Z"]
    assert "no day is open before the next run" in play.said("SKIPPED daily")
    assert "no day is open before the next run" in play.said("SKIPPED weekly")


def test_a_calendar_that_opens_within_the_window_is_waited_for(play: Play) -> None:
    closed = calendar(play, (EVENING - timedelta(hours=1), EVENING + timedelta(minutes=40)))
    play.put(schedule=AT_EIGHT, calendars=[closed], onCalendarClosed="postpone")
    play.run(hours=20)
    started = play.runs()[0].run.waves[0].started_at
    assert started
    assert EVENING + timedelta(minutes=40) <= started < EVENING + timedelta(minutes=43)
    play.prove()


def test_nothing_reaches_an_instance_once_a_calendar_that_was_known_of_has_closed() -> None:
    with opened() as play:
        closes = EVENING + timedelta(minutes=25)
        play.put(schedule=AT_EIGHT, calendars=[calendar(play, (closes, closes + timedelta(days=1)))], maxConcurrency=1)
        play.run(hours=20)
        assert play.patched()
        assert all(delivery.at < closes for delivery in play.world.effects)


def test_a_calendar_that_opens_and_closes_again_is_kept_to_both_times() -> None:
    with opened(many(), speed=1) as play:
        opens, closes = EVENING + timedelta(minutes=20), EVENING + timedelta(minutes=50)
        name = calendar(play, (EVENING - timedelta(hours=1), opens), (closes, closes + timedelta(days=1)))
        play.put(schedule=AT_EIGHT, maxConcurrency=1, duration=6, calendars=[name], onCalendarClosed="postpone")
        play.run(hours=22)
        assert play.world.effects
        assert all(opens <= delivery.at < closes for delivery in play.world.effects)


def test_freezes_come_from_a_file_too(play: Play) -> None:
    with play.stack.wire.quiet():
        bucket = play.stack._attribute("ReportsBucket", "")
        play.stack._client("s3").put_object(Bucket=bucket, Key="company.ics", Body=FREEZE_FILE.encode())
    play.put(schedule=AT_EIGHT, freeze="company.ics", onCalendarClosed="postpone")
    play.run(hours=72)
    run = play.runs()[0].run
    assert f"{run.waves[0].window.start:%d %H:%M}" == "03 20:00"  # type: ignore[union-attr]
    assert run.state is RunState.SUCCEEDED


@pytest.mark.parametrize("content", [None, "this is no calendar"])
def test_a_freeze_file_that_cannot_be_read_is_a_freeze(play: Play, content: str | None) -> None:
    if content:
        with play.stack.wire.quiet():
            bucket = play.stack._attribute("ReportsBucket", "")
            play.stack._client("s3").put_object(Bucket=bucket, Key="company.ics", Body=content.encode())
    play.put(schedule=AT_EIGHT, freeze="company.ics")
    play.run(hours=20)
    assert play.runs()[0].run.state is RunState.SKIPPED
    assert "the freezes in company.ics could not be read" in play.said("SKIPPED web")


# --- approval -------------------------------------------------------------------------------------------------------


def waiting(play: Play, **changes: Any) -> str:
    """The id of a run of tomorrow evening that waits for approval."""
    play.put(schedule="at(2026-12-02T20:00:00)", approval="required", **changes)
    play.run_to(EVENING + timedelta(hours=1))
    run = play.runs()[0].run
    assert run.phase == "waiting for approval"
    return run.id


def shown(play: Play, wave: str = "all") -> str:
    return play.runs()[-1].run.wave(wave).digest


def test_an_approved_run_begins_at_its_time_and_the_record_says_who_let_it(play: Play) -> None:
    run = waiting(play)
    text = play.mail("APPROVE? web: 4 instances, by Wed 02 Dec 20:00")
    assert text.splitlines()[1] == "ACTION: approve before Wed 02 Dec 20:00 UTC (20:00Z), or it is SKIPPED."
    assert f"patchtide run approve {run} all --digest {shown(play)}" in " ".join(text.split())
    assert play.order("approve", run, wave="all", digest=shown(play)) == "yes: wave all may begin"
    assert play.patched() == []
    play.run(hours=30)
    done = play.runs()[0].run
    assert done.state is RunState.SUCCEEDED
    assert done.waves[0].approved
    assert done.waves[0].approved.by == BOSS
    play.prove()


def test_a_campaign_that_changed_needs_a_new_approval(play: Play) -> None:
    run = waiting(play)
    outdated = shown(play)
    assert play.order("approve", run, wave="all", digest=outdated) == "yes: wave all may begin"
    play.put(schedule="at(2026-12-02T20:00:00)", approval="required", targets="tag:Ring=2")
    play.run(hours=1)
    old, new = play.runs()
    assert (old.run.state, new.run.phase) == (RunState.REPLACED, "waiting for approval")
    assert new.run.id == "web-20261202T2000Z-v2"
    assert "is not what would run now" in play.order("approve", new.run.id, wave="all", digest=outdated)
    assert play.order("approve", new.run.id, wave="all", digest=shown(play)).startswith("yes")
    play.run(hours=30)
    assert play.patched() == ["a-2", "b-2"]
    assert [dossier.run.state for dossier in play.runs()] == [RunState.REPLACED, RunState.SUCCEEDED]
    play.prove()


def test_a_run_that_waits_outlives_a_pause_of_its_campaign(play: Play) -> None:
    run = waiting(play)
    play.order("approve", run, wave="all", digest=shown(play))
    item = {"schedule": "at(2026-12-02T20:00:00)", "approval": "required"}
    play.put(**item, state="DISABLED")
    play.run(hours=0.5)
    assert play.runs()[-1].run.id == run
    play.put(**item)
    play.run(hours=0.5)
    again = play.runs()[-1].run
    assert (again.id, again.phase) == ("web-20261202T2000Z-v3", "waiting for approval")
    assert play.order("approve", again.id, wave="all", digest=shown(play)).startswith("yes")
    play.run(hours=30)
    assert play.runs()[-1].run.state is RunState.SUCCEEDED


def test_a_run_that_waits_and_is_moved_to_another_hour_is_run_then(play: Play) -> None:
    play.put(schedule="cron(0 20 ? * WED *)", approval="required")
    play.run_to(EVENING + timedelta(hours=1))
    play.put(schedule="cron(0 18 ? * WED *)", approval="required")
    play.run(hours=1)
    again = play.runs()[0].run
    assert (again.id, again.phase) == ("web-20261202T1800Z", "waiting for approval")
    assert play.order("approve", again.id, wave="all", digest=again.waves[0].digest).startswith("yes")
    play.run(hours=30)
    assert play.patched() == ["a-1", "a-2", "b-1", "b-2"]


def test_however_often_a_campaign_changes_the_run_that_waits_is_of_the_last_version(play: Play) -> None:
    waiting(play)
    for number in range(2, 12):
        play.put(schedule="at(2026-12-02T20:00:00)", approval="required", description=f"edit {number}")
        play.run(hours=0.1)
    open_ = [dossier.run.spec for dossier in play.runs() if dossier.run.open]
    assert open_ == [11]


def test_a_run_that_was_replaced_is_not_tried_again(play: Play) -> None:
    run = waiting(play)
    play.put(schedule="at(2026-12-02T20:00:00)", approval="required", description="new")
    play.run(hours=0.5)
    assert play.order("retry", run) == "no: another run took its place: retry that one"


def test_to_try_again_is_not_to_approve(play: Play) -> None:
    run = waiting(play)
    play.order("reject", run, wave="all", digest=shown(play), reason="no")
    play.run(hours=1)
    assert play.order("retry", run, failed_only=True).startswith("yes")
    play.run(hours=6)
    assert play.patched() == []


def test_one_location_that_does_not_answer_does_not_keep_people_from_being_asked(play: Play) -> None:
    play.bumpy = True
    play.stack.wire.before.append(
        lambda call: (
            ("ThrottlingException", "later") if str(call) == "sts:AssumeRole" and BETA.encode() in call.body else None
        )
    )
    play.put(schedule="at(2026-12-02T20:00:00)", approval="required")
    play.run_to(EVENING + timedelta(hours=2))
    assert "1 of 2 locations" in play.said("APPROVE? web")


def test_a_run_whose_start_is_in_the_air_is_not_replaced(play: Play) -> None:
    run = waiting(play)
    play.order("approve", run, wave="all", digest=shown(play))
    dies_once(play, "ssm:StartAutomationExecution", "after")
    with pytest.raises(Killed):
        play.run(hours=30)
    play.stack.restart()
    play.put(schedule="at(2026-12-02T20:00:00)", approval="required", description="edited in the very minute")
    play.run(hours=30)
    assert [dossier.run.state for dossier in play.runs()] == [RunState.SUCCEEDED]
    assert play.patched() == ["a-1", "a-2", "b-1", "b-2"]
    play.prove()


def test_an_approved_run_whose_start_never_was_goes_on_though_its_campaign_was_edited_meanwhile(play: Play) -> None:
    run = waiting(play)
    play.order("approve", run, wave="all", digest=shown(play))
    dies_once(play, "ssm:StartAutomationExecution", "before")
    with pytest.raises(Killed):
        play.run(hours=30)
    play.stack.restart()
    play.put(schedule="at(2026-12-02T20:00:00)", approval="required", description="edited in the very minute")
    play.turn(on=True)
    play.run(hours=0.3)
    play.turn(on=False)
    play.run(hours=30)
    assert [dossier.run.state for dossier in play.runs()] == [RunState.SUCCEEDED]
    play.prove()


def test_an_ad_hoc_campaign_put_anew_while_its_run_waits_has_one_run(play: Play) -> None:
    play.put(approval="required")
    play.run(hours=0.2)
    with play.stack.wire.quiet():
        play.table.client.delete_item(TableName="CampaignsTable", Key={"campaign": "web"})
    play.stack.drain()
    play.put(approval="required")
    play.run(hours=0.4)
    assert [dossier.run.id for dossier in play.runs() if dossier.run.open] == [play.runs()[-1].run.id]
    assert not any("EXCLUDED" in subject for subject in play.subjects())


def test_who_wrote_a_campaign_may_not_approve_it_where_the_stack_says_so() -> None:
    with opened(speed=12, parameters={"RequireOtherApprover": "yes"}) as play:
        run = waiting(play)
        nobody = play.order("approve", run, wave="all", digest=shown(play))
        assert "nobody knows who wrote this version" in nobody
        author = play.runs()[0].run.author
        assert author == ""


def test_a_gate_asks_for_approval_of_the_next_wave_within_the_same_window(play: Play) -> None:
    play.put(waves=same_evening({"approval": "required"}))
    play.run(hours=1)
    run = play.runs()[0].run
    assert (run.phase, play.patched()) == ("waiting for approval", ["a-1"])
    assert "Evidence: ring-0 1/1." in play.said("APPROVE? web wave ring-1")
    assert play.order("approve", run.id, wave="ring-1", digest=shown(play, "ring-1")).startswith("yes")
    play.run(hours=4)
    assert play.patched() == ["a-1", "b-1"]
    assert play.runs()[0].run.state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("wave", "answer"),
    [("none", "it has no wave 'none', it has all"), ("all", "wave all needs no approval")],
)
def test_an_order_that_cannot_be_is_answered_with_the_reason(play: Play, wave: str, answer: str) -> None:
    play.put(schedule=AT_EIGHT)
    play.run_to(EVENING - timedelta(minutes=10))
    assert play.order("approve", play.runs()[0].run.id, wave=wave, digest="x") == f"no: {answer}"


# --- stop, pause, disable -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["running", "collecting"])
def test_a_stop_that_reaches_the_children_in_aws_takes_back_no_more_than_one_that_does_not(phase: str) -> None:
    with opened(switches=Switches(stop_reaches_children=True), speed=3) as play:
        play.put(schedule=AT_EIGHT, maxConcurrency=1, waves=same_evening({}, {}))
        play.run_to(EVENING - timedelta(minutes=1))
        run = play.run_until(phase)
        before = len(play.world.effects)
        assert play.order("stop", run.id, now=True, reason="incident").startswith("yes")
        stopped_at = play.world.clock.now
        play.run(hours=20)
        done = play.runs()[0].run
        assert done.state is RunState.STOPPED
        assert all(delivery.at <= stopped_at for delivery in play.world.effects)
        assert len(play.world.effects) <= before + 2
        for wave, tally in zip(done.waves, play.runs()[0].latest, strict=True):
            assert sum(tally.outcomes.values()) == wave.tally.instances
        assert play.order("stop", run.id, now=True) == "no: it has ended already: stopped"
        play.prove()


def test_a_run_can_be_stopped_before_anything_is_known_of_it(play: Play) -> None:
    play.bumpy = True
    play.stack.wire.before.append(
        lambda call: ("ThrottlingException", "later") if str(call) == "ssm:DescribeDocument" else None
    )
    play.put(schedule=AT_EIGHT)
    play.run_to(EVENING - timedelta(minutes=10))
    run = play.runs()[0].run
    assert run.phase == "planned"
    assert play.order("stop", run.id, now=True).startswith("yes")
    assert play.runs()[0].run.state is RunState.STOPPED
    assert "stopped by boss@example.com" in play.said("STOPPED web")


def test_a_stop_after_the_current_wave_lets_it_finish(play: Play) -> None:
    play.put(schedule=AT_EIGHT, waves=same_evening({}, {}))
    play.run_to(EVENING + timedelta(minutes=2))
    run = play.runs()[0].run
    assert play.order("stop", run.id, now=False).startswith("yes")
    play.run(hours=20)
    assert play.runs()[0].run.state is RunState.STOPPED
    assert play.patched() == ["a-1"]
    assert play.outcomes(run.id) == {"a-1": "compliant"}


def test_a_disabled_campaign_starts_nothing_more_and_goes_on_when_enabled(play: Play) -> None:
    play.put(schedule=AT_EIGHT)
    play.run_to(EVENING - timedelta(minutes=5))
    play.put(schedule=AT_EIGHT, state="DISABLED")
    play.run_to(EVENING + timedelta(minutes=30))
    assert play.patched() == []
    assert "its campaign is DISABLED" in play.said("LATE web")
    play.put(schedule=AT_EIGHT)
    play.run_to(EVENING + timedelta(hours=6))
    assert play.runs()[0].run.state is RunState.SUCCEEDED
    play.prove()


def test_a_disabled_campaign_that_stays_so_ends_as_not_started(play: Play) -> None:
    play.put(schedule=AT_EIGHT)
    play.run_to(EVENING - timedelta(minutes=5))
    play.put(schedule=AT_EIGHT, state="DISABLED")
    play.run(hours=20)
    assert play.runs()[0].run.state is RunState.MISSED
    assert "its campaign is DISABLED" in play.said("MISSED web")


def test_the_pause_stops_every_start_and_people_hear_of_it_and_of_its_end(play: Play) -> None:
    play.put(schedule=AT_EIGHT, targets="tag:Ring=0,1")
    play.put(campaign="other", schedule=AT_EIGHT, targets="tag:Ring=2")
    play.turn(on=True, reason="INC-1")
    play.run_to(EVENING + timedelta(minutes=30))
    assert play.patched() == []
    assert "the service is paused by boss@example.com" in play.said("LATE web")
    play.turn(on=False, reason="over")
    play.run(hours=20)
    assert play.runs()[0].run.state is RunState.SUCCEEDED
    assert [head for head in heads(play) if head.endswith("campaigns, by boss@example.com")] == [
        "PAUSED all campaigns, by boss@example.com",
        "RESUMED all campaigns, by boss@example.com",
    ]
    play.prove()


@pytest.mark.parametrize("by", ["pause", "state", "calendar"])
@pytest.mark.parametrize("runbook", ["Patchtide-PatchFleet", "Patchtide-PatchInstance"])
def test_what_waits_in_aws_is_taken_back_when_something_bars_the_run(by: str, runbook: str) -> None:
    with opened(many(), speed=3) as play:
        item = {
            "schedule": AT_EIGHT,
            "duration": 6,
            "maxConcurrency": 1,
            "calendars": [calendar(play)],
            "runbook": runbook,
        }
        play.put(**item)
        play.run_to(EVENING + timedelta(minutes=5))
        before = len(play.world.effects)
        now = play.world.clock.now
        match by:
            case "pause":
                play.turn(on=True)
            case "state":
                play.put(**item | {"state": "DISABLED"})
            case "calendar":
                calendar(play, (now, now + timedelta(days=2)))
        play.run(hours=20)
        assert len(play.world.effects) > 0
        assert all(delivery.at <= now + timedelta(minutes=3) for delivery in play.world.effects)
        assert len(play.world.effects) <= before + 4
        run = play.runs()[0].run
        assert not run.open
        assert set(play.outcomes(run.id).values()) == {"compliant", "notStarted"}


def test_what_is_taken_back_is_the_runs_own_and_not_that_of_one_with_a_longer_name() -> None:
    with opened(many(), speed=3) as play:
        play.put(schedule=AT_EIGHT, targets="tag:Ring=0,1", maxConcurrency=1)
        play.put(campaign="my-web", schedule=AT_EIGHT, targets="tag:Ring=2", duration=8, maxConcurrency=1)
        play.run_to(EVENING + timedelta(minutes=3))
        play.order("stop", "web-20261201T2000Z", now=True)
        play.run(hours=20)
        assert play.runs("my-web")[0].run.state is RunState.SUCCEEDED


def test_a_pause_that_cannot_be_read_is_a_pause(play: Play) -> None:
    play.bumpy = True
    refused: list[Any] = []

    def refuse(call: Any) -> Any:
        if str(call) == "dynamodb:GetItem" and call.params["Key"].get("sk") == {"S": "pause"}:
            refused.append(call)
            return ("AccessDeniedException", "no")
        return None

    play.stack.wire.before.append(refuse)
    play.put(schedule=AT_EIGHT)
    play.run(hours=20)
    assert refused
    assert play.patched() == []
    assert play.runs()[0].run.state is RunState.MISSED


# --- retry ----------------------------------------------------------------------------------------------------------


def test_a_retry_of_the_failed_only_reaches_them_and_nobody_else_and_counts_by_itself() -> None:
    with opened(organization({"a-1": Behaviour.DISK_FULL, "b-2": Behaviour.AGENT_OFFLINE}), speed=12) as play:
        play.put(schedule=AT_EIGHT)
        play.run(hours=20)
        first = play.runs()[0].run
        assert first.state is RunState.FAILED
        for node in play.world.organization.nodes.values():
            node.behaviour = Behaviour.HEALTHY
            play.world.set_ping(node, type(node.ping).ONLINE)
        answer = play.order("retry", first.id, failed_only=True)
        assert answer.startswith(f"yes: opened {first.id}-r1, window until ")
        play.run(hours=6)
        again = next(dossier.run for dossier in play.runs() if dossier.run.retry_of)
        assert (again.id, again.state, again.trigger) == (f"{first.id}-r1", RunState.SUCCEEDED, "retry")
        assert play.outcomes(again.id) == {"a-1": "compliant", "b-2": "compliant"}
        assert play.patched(again.id) == ["a-1", "b-2"]
        assert play.outcomes(first.id)["a-1"] == "failed"  # what was is not rewritten
        assert "there is nothing to try again" in play.order("retry", again.id, failed_only=True)
        play.prove()


def test_a_retry_of_a_halted_run_goes_on_with_the_waves_that_never_began() -> None:
    with opened(organization({"a-1": Behaviour.DISK_FULL}), speed=12) as play:
        play.put(waves=same_evening({"maxErrors": 0}, {"maxErrors": 0}))
        play.run(hours=6)
        first = play.runs()[0].run
        assert first.state is RunState.HALTED
        for node in play.world.organization.nodes.values():
            node.behaviour = Behaviour.HEALTHY
        assert play.order("retry", first.id).startswith("yes")
        play.run(hours=6)
        again = play.runs()[-1].run
        assert again.state is RunState.SUCCEEDED
        assert play.patched(again.id) == ["a-1", "a-2", "b-1", "b-2"]
        play.prove()


def test_a_retry_of_a_wave_that_never_began_leaves_out_whom_the_others_patched(play: Play) -> None:
    play.put(waves=[{"name": "canary", "targets": "tag:Ring=0", "gate": {"approval": "required"}}, {"name": "rest"}])
    play.run(hours=6)
    first = play.runs()[0].run
    assert (first.state, play.patched()) == (RunState.SKIPPED, ["a-1"])
    assert play.order("retry", first.id).startswith("yes")
    play.run(hours=0.5)
    again = play.runs()[-1].run
    assert play.order("approve", again.id, wave="rest", digest=again.wave("rest").digest).startswith("yes")
    play.run(hours=6)
    assert play.patched(again.id) == ["a-2", "b-1", "b-2"]
    play.prove()


def test_a_retry_at_a_location_that_was_out_of_reach_leaves_out_whom_an_earlier_wave_had(play: Play) -> None:
    play.put(duration=6, waves=[{"name": "canary", "targets": "tag:Ring=0", "gate": {"soak": "2h"}}, {"name": "rest"}])
    play.run_until("baking")
    roles = play.world.organization.accounts[ALPHA].roles
    held = dict(roles)
    roles.clear()
    play.stack.restart()
    play.run(hours=12)
    first = play.runs()[0].run
    roles.update(held)
    play.stack.restart()
    assert play.order("retry", first.id).startswith("yes")
    play.run(hours=12)
    assert (play.patched(first.id), play.patched(f"{first.id}-r1")) == (["a-1", "b-1", "b-2"], ["a-2"])


def test_an_open_run_is_not_retried(play: Play) -> None:
    play.put(schedule=AT_EIGHT)
    play.run_to(EVENING + timedelta(minutes=2))
    assert play.order("retry", play.runs()[0].run.id).startswith("no: it is still open")


# --- missed and late ------------------------------------------------------------------------------------------------


def test_a_long_outage_is_told_once_and_the_runs_go_on(play: Play) -> None:
    play.put(schedule="rate(6 hours)", duration=1, cutoff="30m")
    play.stack.drain()
    play.stack.wire.move_to(NOW + timedelta(hours=39, minutes=50))
    play.run(hours=4)
    runs = [dossier.run for dossier in play.runs()]
    assert len(runs) == 2
    assert (runs[0].state, runs[0].missed) == (RunState.MISSED, 5)
    assert runs[1].state is RunState.SUCCEEDED
    assert [subject for subject in play.subjects() if "runs since" in subject] == [
        "[patch] MISSED web: 5 runs since Tue 01 Dec 15:00 UTC (15:00Z)"
    ]


def test_a_run_that_nobody_opens_is_noticed_from_the_index_alone(play: Play) -> None:
    play.bumpy = True
    play.put(schedule=AT_EIGHT)
    play.stack.drain()
    invoke = play.stack.invoke

    def broken(function: str, event: Any) -> Any:
        if function == "DispatcherFunction":
            raise RuntimeError("it does not start")
        return invoke(function, event)

    play.stack.invoke = broken  # type: ignore[method-assign]
    play.run_to(EVENING + timedelta(minutes=12))
    assert play.subjects() == ["[patch] OVERDUE web: due 2026-12-01 20:00Z, nobody has opened it"]
    play.run_to(EVENING + timedelta(minutes=20))
    assert len(play.subjects()) == 1


def test_a_run_that_is_open_and_does_not_start_is_told_late(play: Play) -> None:
    play.bumpy = True
    play.put(schedule=AT_EIGHT)
    play.run_to(EVENING - timedelta(minutes=5))
    invoke = play.stack.invoke
    play.stack.invoke = lambda function, event: (  # type: ignore[method-assign]
        None if function == "DispatcherFunction" else invoke(function, event)
    )
    play.run_to(EVENING + timedelta(minutes=12))
    assert "nothing says why" in play.said("LATE web")


# --- overlap --------------------------------------------------------------------------------------------------------


def test_two_campaigns_never_have_the_same_instance_and_the_second_says_who_has_it() -> None:
    with opened() as play:
        play.put(schedule=AT_EIGHT, targets="tag:Ring=0,1")
        play.put(campaign="other", schedule="at(2026-12-01T20:05:00)")
        play.run(hours=20)
        first, second = play.runs()[0].run, play.runs("other")[0].run
        assert play.patched(first.id) == ["a-1", "b-1"]
        assert play.patched(second.id) == ["a-2", "b-2"]
        assert play.outcomes(second.id) == {
            "a-1": "excluded",
            "b-1": "excluded",
            "a-2": "compliant",
            "b-2": "compliant",
        }
        assert second.state is RunState.INCOMPLETE
        assert f"run {first.id} has it" in play.said("EXCLUDED other")
        play.prove()


def test_a_campaign_all_of_whose_instances_another_has_patches_nobody() -> None:
    with opened() as play:
        play.put(schedule=AT_EIGHT)
        play.put(campaign="other", schedule="at(2026-12-01T20:05:00)", targets="tag:Ring=0")
        play.run(hours=20)
        second = play.runs("other")[0].run
        assert play.outcomes(second.id) == {"a-1": "excluded"}
        assert second.state is RunState.INCOMPLETE
        assert play.patched(second.id) == []


def test_a_run_that_waits_for_its_approval_keeps_nobody_from_the_runs_before_its_window(play: Play) -> None:
    waiting(play)
    play.put(campaign="other", schedule="at(2026-12-02T02:00:00)", freeze=["2026-12-24"], onCalendarClosed="postpone")
    play.run(hours=20)
    assert play.runs("other")[0].run.state is RunState.SUCCEEDED
    assert len(play.patched()) == 4


def test_once_a_run_is_done_with_an_instance_another_may_have_it(play: Play) -> None:
    play.put(schedule=AT_EIGHT)
    play.put(campaign="other", schedule="at(2026-12-01T23:30:00)")
    play.run(hours=24)
    assert play.runs("other")[0].run.state is RunState.SUCCEEDED
    assert len(play.patched()) == 8


# --- the stack's cap ------------------------------------------------------------------------------------------------


def test_no_more_instances_are_in_flight_than_the_stack_allows() -> None:
    with opened(speed=12, parameters={"MaxInstancesInFlight": "2"}) as play:
        play.put(schedule=AT_EIGHT)
        play.put(campaign="other", schedule=AT_EIGHT, targets="tag:Nobody=1")
        spans: list[tuple[datetime, int]] = []

        def watch(call: Any) -> None:
            if str(call) == "ssm:StartAutomationExecution":
                going = [
                    one.instances
                    for dossier in play.runs()
                    for one in dossier.run.executions
                    if one.state in (ExecutionState.STARTING, ExecutionState.RUNNING)
                ]
                spans.append((play.world.clock.now, sum(going)))

        play.stack.wire.before.append(watch)
        play.run(hours=20)
        assert play.runs()[0].run.state is RunState.SUCCEEDED
        assert play.patched() == ["a-1", "a-2", "b-1", "b-2"]
        assert len(spans) == 2
        play.prove()


# --- exactly one start ----------------------------------------------------------------------------------------------


def test_a_start_of_which_nobody_can_tell_is_not_repeated_and_a_person_is_told(play: Play) -> None:
    play.bumpy = True
    play.put(schedule=AT_EIGHT)
    play.run_to(EVENING - timedelta(minutes=5))
    killed = dies_once(play, "ssm:StartAutomationExecution", "after")

    def refuse(call: Any) -> Any:
        if killed and str(call) in ("ssm:StartAutomationExecution", "ssm:DescribeAutomationExecutions"):
            return ("AccessDeniedException", "not now")
        return None

    play.stack.wire.before.append(refuse)
    with pytest.raises(Killed):
        play.run(hours=6)
    play.stack.restart()
    play.run(hours=20)
    run = play.runs()[0].run
    assert play.world.executions_started == 1
    assert not run.open
    assert "It will NOT be started again" in play.said("UNDECIDED web")
    assert run.state is RunState.SUCCEEDED  # it had started, and its evidence says so
    play.prove()
