"""A rehearsal is the real engine on a pretend fleet: it tells what would happen, and the same seed tells the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from patchtide.core.campaign import Campaign, Freeze
from patchtide.core.document import read
from patchtide.core.run import Execution, Run, WaveRun
from simulator.clock import Clock
from simulator.pretend import Fleet, made_up, organization
from simulator.rehearsal import Closure, NeverDueError, Rehearsal, as_json, rehearse, violations
from simulator.runcommand import Delivery
from simulator.world import World
from tests.values import a_run

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 25, 10, 17, 30, tzinfo=UTC)
START = datetime(2026, 12, 9, 22, 0, tzinfo=UTC)
RUN = "rings-20261209T2200Z"

RINGS: dict[str, Any] = {
    "campaign": "rings",
    "schedule": "at(2026-12-09T22:00:00)",
    "duration": 5,
    "accounts": ["ou-ab12-prodprod", "444455556666"],
    "excludeAccounts": ["777788889999"],
    "regions": ["eu-west-1", "eu-west-2"],
    "targets": "tag:PatchGroup=prod",
    "maxConcurrency": "100%",
    "calendars": ["Freeze"],
    "waves": [
        {"name": "canary", "targets": "tag:Ring=0", "gate": {"maxErrors": 0, "soak": "2h"}},
        {
            "name": "early",
            "targets": "tag:Ring=1",
            "scheduleOffset": 1,
            "gate": {"maxErrors": 1, "approval": "required"},
        },
        {"name": "broad", "targets": "tag:Ring=2,3", "scheduleOffset": 2},
    ],
}


def played(
    document: Mapping[str, Any], fleet: Fleet | None = None, seed: int = 1, rate: float = 0, **how: Any
) -> Rehearsal:
    return rehearse(document, fleet, seed, rate, NOW, lambda _share, _line: None, **how)


def campaign_of(document: Mapping[str, Any]) -> Campaign:
    return read(document, now=NOW).valid()


@cache
def rings() -> Rehearsal:
    return played(RINGS)


@cache
def halted() -> Rehearsal:
    return played(RINGS, rate=30)


def single(**said: Any) -> dict[str, Any]:
    """A campaign of one wave in one location."""
    found = {**RINGS, "campaign": "single", "accounts": ["444455556666"], "regions": ["eu-west-1"], **said}
    return {name: value for name, value in found.items() if name not in ("waves", "calendars", "excludeAccounts")}


# --- what is told -------------------------------------------------------------------------------------------------------


def test_rings_play_through_one_after_the_other() -> None:
    told = rings()
    assert (told.run, told.state, told.fine) == (RUN, "succeeded", True)
    assert [(wave.name, wave.state, wave.gate) for wave in told.waves] == [
        ("canary", "settled", "passed"),
        ("early", "settled", "passed"),
        ("broad", "settled", ""),
    ]
    assert [wave.window_start - START for wave in told.waves] == [timedelta(days=days) for days in (0, 1, 2)]
    for wave in told.waves:
        assert wave.started_at
        assert wave.ended_at
        assert wave.window_start <= wave.started_at < wave.ended_at < wave.last_start
        assert wave.took == wave.ended_at - wave.started_at
        assert wave.outcomes == {"compliant": wave.expected}
    canary = told.waves[0]
    assert canary.baked_at
    assert canary.ended_at
    assert canary.baked_at - canary.ended_at == timedelta(hours=2)


def test_the_first_ring_of_a_made_up_fleet_is_the_smallest() -> None:
    assert [wave.expected for wave in rings().waves] == [4, 12, 24]
    assert rings().fleet.instances == 50  # ten are in an excluded account, and stay there
    assert rings().installs == 40


def test_the_timeline_tells_each_wave_in_words_and_in_order() -> None:
    told = rings()
    assert [entry.at for entry in told.timeline] == sorted(entry.at for entry in told.timeline)
    assert [entry.what for entry in told.timeline if entry.wave == "broad"] == [
        "asks 8 locations for the targets there",
        "24 instances in 8 locations expected",
        "asks for approval, by Fri 11 Dec 22:00 UTC",
        "is approved by rehearsal",
        "starts: 1 execution, nothing new after Sat 12 Dec 02:00 UTC",
        "all executions have ended, the evidence is read",
        "done: 24 compliant",
    ]
    assert told.timeline[0].what == f"run {RUN} is opened, with 3 waves"
    assert [entry.what for entry in told.timeline[-2:]] == [
        "the run ends succeeded: evidence for every instance",
        "its report is written",
    ]


def test_the_alerts_are_those_that_the_service_would_send() -> None:
    told = rings()
    events = [alert.event for alert in told.alerts if alert.event.startswith("run.")]
    assert events == [
        "run.started",
        "run.wave",
        "run.started",
        "run.wave",
        "run.approve",
        "run.started",
        "run.succeeded",
    ]
    approve = next(alert for alert in told.alerts if alert.event == "run.approve")
    assert (approve.severity, approve.subject[:16]) == ("WARNING", "[patch] APPROVE?")
    assert f"patchtide run approve {RUN} broad --digest" in approve.body


def test_what_a_bill_is_made_of_is_counted_where_it_is_used() -> None:
    told, units = rings(), rings().units
    places = 4 + 8 + 8  # the locations of each wave: a step in the hub, and two of the runbook there
    assert (units.automation_steps, units.script_steps) == (places * 3, places)
    assert units.dollars == pytest.approx(places * 3 * 0.002)
    assert units.sns_publishes == told.calls["sns.publish"] == len(told.alerts)
    assert units.s3_puts == told.calls["s3.put_object"] > 0
    reads = ("dynamodb.batch_get_item", "dynamodb.get_item", "dynamodb.query", "dynamodb.scan")
    assert units.dynamodb_reads == sum(told.calls[name] for name in reads)
    assert units.dynamodb_writes == sum(
        count for name, count in told.calls.items() if name.startswith("dynamodb.") and name not in reads
    )
    assert units.dynamodb_rows_written > units.dynamodb_writes
    assert set(units.invocations) == {"collector", "dispatcher", "intake", "poller", "reporter"}
    assert units.invocations["dispatcher"] == units.invocations["poller"]
    minutes = (told.ended_at - told.begins) // timedelta(minutes=1)
    assert units.invocations["poller"] + units.idle_minutes == minutes
    assert told.calls["ssm.start_automation_execution"] == 3


def test_a_gate_halts_what_comes_behind_it_and_leaves_it_untouched() -> None:
    told = halted()
    canary, *behind = told.waves
    assert (told.state, told.fine) == ("halted", False)
    assert canary.gate.startswith("no: ")
    assert told.installs <= canary.expected == 4
    for wave in behind:
        assert (wave.state, wave.executions, wave.started_at, wave.outcomes) == ("halted", 0, None, {})
        assert wave.reason.startswith("wave canary: ")
    assert told.alerts[-1].event == "run.halted"
    assert "Safe now: early, broad untouched." in told.alerts[-1].body


def test_an_approval_that_is_not_given_lapses() -> None:
    told = played(RINGS, approve=False)
    assert told.state == "skipped"
    assert [wave.state for wave in told.waves] == ["settled", "settled", "skipped"]
    assert told.waves[-1].outcomes == {"notStarted": 24}
    assert not any(wave.approved_by for wave in told.waves)
    assert told.installs == 16


def test_the_first_wave_can_ask_for_approval_a_day_ahead() -> None:
    told = played(single(approval="required"))
    assert (told.state, told.waves[0].approved_by) == ("succeeded", "rehearsal")
    assert told.timeline[0].at - told.begins <= timedelta(minutes=2)
    assert told.begins == START - timedelta(days=1)


@pytest.mark.parametrize(("when_closed", "reason"), [("skip", "is closed"), ("postpone", "no day is open")])
def test_a_closed_calendar_skips_the_run(when_closed: str, reason: str) -> None:
    told = played({**RINGS, "onCalendarClosed": when_closed}, closed=[Closure("Freeze")])
    assert (told.state, told.installs) == ("skipped", 0)
    assert all(reason in wave.reason for wave in told.waves)
    assert "calendar Freeze is taken to be closed." in told.notes


def test_a_calendar_that_is_closed_for_some_days_postpones_it() -> None:
    days = Freeze(date(2026, 12, 9), date(2026, 12, 10))
    told = played({**RINGS, "onCalendarClosed": "postpone"}, closed=[Closure("Freeze", days)])
    assert told.state == "succeeded"
    assert [wave.window_start - START for wave in told.waves] == [timedelta(days=days) for days in (2, 3, 4)]
    said = [entry.what for entry in told.timeline if "postponed" in entry.what]
    assert said == [
        "is postponed to Fri 11 Dec 22:00 UTC: calendar Freeze is closed",
        "is postponed to Sat 12 Dec 22:00 UTC",
        "is postponed to Sun 13 Dec 22:00 UTC",
    ]


def test_a_calendar_by_arn_is_known_by_its_name() -> None:
    arn = "arn:aws:ssm:eu-central-1:123456789012:document/Shared"
    assert played({**single(), "calendars": [arn]}).state == "succeeded"
    assert played({**single(), "calendars": [arn]}, closed=[Closure("Shared")]).state == "skipped"


def test_freezes_are_real() -> None:
    told = played({**single(), "freeze": ["2026-12-09..2026-12-10"], "onCalendarClosed": "postpone"})
    assert told.waves[0].window_start == START + timedelta(days=2)
    waited = played({**single(), "freeze": ["2026-12-09"], "onCalendarClosed": "postpone"})
    assert waited.waves[0].started_at == START + timedelta(hours=2)  # the window is still open when that is over
    assert "waits: frozen on 2026-12-09" in [entry.what for entry in waited.timeline]


def test_a_freeze_file_counts_where_it_is_given_and_else_freezes_nothing() -> None:
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20261101T000000Z\r\n"
        "DTSTART;VALUE=DATE:20261209\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    document = {**single(), "freeze": ["calendars/launches.ics"]}
    assert played(document, freezes={"calendars/launches.ics": text}).state == "skipped"
    told = played(document)
    assert told.state == "succeeded"
    assert any("calendars/launches.ics" in note for note in told.notes)


def test_a_scan_is_rehearsed_too() -> None:
    told = played(single(operation="Scan"))
    assert (told.state, told.waves[0].outcomes, told.installs) == ("succeeded", {"scanned": 5}, 0)


def test_how_far_it_is_is_said_while_it_plays() -> None:
    heard: list[tuple[float, str]] = []
    rehearse(single(), None, 1, 0, NOW, lambda share, line: heard.append((share, line)))
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert "Wed 09 Dec 22:00 UTC  all ready" in [line for _, line in heard] or any(
        "all running" in line for _, line in heard
    )


# --- when it begins -----------------------------------------------------------------------------------------------------


def test_it_begins_a_day_before_the_next_occurrence_whenever_that_is() -> None:
    assert rings().begins == START - timedelta(days=1)
    later = rehearse(RINGS, None, 1, 0, NOW + timedelta(days=3), lambda _share, _line: None)
    assert later == rings()


def test_of_occurrences_within_a_day_the_next_one_is_played() -> None:
    told = played(single(schedule="cron(0 0/6 * * ? *)", duration=2, approval="required"))
    assert told.scheduled_at == datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert told.begins == datetime(2026, 11, 25, 6, tzinfo=UTC)
    assert (told.run, told.state) == ("single-20261125T1200Z", "succeeded")
    assert {alert.event for alert in told.alerts} == {"run.approve", "run.started", "run.succeeded"}


def test_what_is_ad_hoc_runs_at_once() -> None:
    told = played({name: value for name, value in single().items() if name != "schedule"})
    assert told.begins == NOW.replace(second=0)
    assert told.scheduled_at - NOW < timedelta(minutes=1)
    assert told.state == "succeeded"


def test_what_counts_from_when_it_is_taken_begins_now() -> None:
    told = played(single(schedule="rate(200 days)"))
    assert told.begins == NOW.replace(second=0)
    assert told.scheduled_at == told.begins + timedelta(days=200, minutes=1)
    assert told.state == "succeeded"


def test_what_is_never_due_is_refused() -> None:
    with pytest.raises(NeverDueError, match="has no moment after 2026-11-25 10:17Z"):
        played(single(schedule="at(2026-01-01T00:00:00)"))


# --- what is assumed ----------------------------------------------------------------------------------------------------


def test_a_runbook_of_ones_own_is_played_with_ours_and_that_is_said() -> None:
    told = played({**single(), "runbook": "Acme-Patch", "runbookVersion": "7", "runbookParameters": {"Who": "me"}})
    assert told.state == "succeeded"
    assert told.notes[0] == "runbook Acme-Patch is not known here: it is played with Patchtide-PatchFleet instead."
    each = played({**single(), "runbook": "Acme-Patch", "targetParameterName": "Server"})
    assert each.notes[0].endswith("it is played with Patchtide-PatchInstance instead.")
    assert each.units.automation_steps == 1 + 5 * 4  # each instance: its own execution, and three steps


def test_a_list_is_taken_to_be_what_its_name_says_and_that_is_said() -> None:
    told = played({**single(), "installOverrideList": f"s3://somewhere/overrides/{'5e' * 32}.yaml"})
    assert told.state == "succeeded"
    assert told.notes[0].startswith("installOverrideList is taken to be there")


def test_a_version_of_ours_is_the_one_that_ships() -> None:
    told = played({**single(), "runbook": "Patchtide-PatchInstance", "runbookVersion": "12"})
    assert told.state == "succeeded"
    assert "runbookVersion 12" in told.notes[0]


def test_a_campaign_that_is_disabled_is_played_as_if_it_were_not() -> None:
    told = played({**single(), "state": "DISABLED"})
    assert told.state == "succeeded"
    assert "DISABLED" in told.notes[0]


def test_alarms_of_gates_are_quiet() -> None:
    waves = [{**RINGS["waves"][0], "gate": {"alarms": ["checkout-5xx"]}}, {"name": "rest"}]
    told = played({**single(), "waves": waves})
    assert told.state == "succeeded"
    assert "alarm checkout-5xx is taken to be quiet." in told.notes


def test_fractions_are_taken_as_people_write_them() -> None:
    waves = [{"name": "one", "targets": "tag:Ring=0", "gate": {"minCompliance": 99.5}}, {"name": "two"}]
    told = played({**single(duration=2.5), "waves": waves})
    assert told.state == "succeeded"
    assert told.waves[0].window_end - told.waves[0].window_start == timedelta(hours=2.5)


# --- the same seed ------------------------------------------------------------------------------------------------------


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    again, other = played(RINGS, rate=30), played(RINGS, seed=2, rate=30)
    assert json.dumps(as_json(again)) == json.dumps(as_json(halted()))
    assert json.dumps(as_json(other)) != json.dumps(as_json(again))


def test_the_story_does_not_hang_on_how_python_hashes() -> None:
    code = (
        "import json; from tests.simulator.test_rehearsal import as_json, played, RINGS;"
        "print(json.dumps(as_json(played(RINGS, rate=30))))"
    )
    found = {
        subprocess.run(  # noqa: S603 - our own interpreter, our own words
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}:{ROOT}/layers/patchtide", "TZ": "UTC"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {json.dumps(as_json(halted()))}


def test_all_of_it_is_json() -> None:
    told = json.loads(json.dumps(as_json(rings())))
    assert told["endedAt"] == "2026-12-11T22:" + told["endedAt"][-6:]
    assert told["waves"][0]["tookMinutes"] > 0
    assert told["units"]["pricesOf"]
    assert told["violations"] == []


# --- what must never be -------------------------------------------------------------------------------------------------


def test_what_must_never_be_is_seen_by_the_world() -> None:
    assert rings().violations == halted().violations == ()
    run, world = _odd_world()
    assert list(violations(world, run)) == [
        "i-1 was patched twice by " + RUN,
        "i-1 was patched at 2026-12-10 02:30Z, outside of wave canary's window",
        "i-2 was patched at 2026-12-09 22:10Z by nobody's execution",
    ]


def _odd_world() -> tuple[Run, World]:
    """A world in which one server was patched again after the cutoff, and another by somebody else."""
    campaign = campaign_of(RINGS)
    world = World(Clock(NOW), organization(made_up(campaign, 1), campaign, 1))
    run = replace(
        a_run("rings", START, NOW, [WaveRun("canary")], timedelta(hours=5)),
        executions=(Execution("canary", 1, "{}", 1, "token", id="e-1"),),
    )
    ours = Delivery("i-1", "444455556666", "eu-west-1", START, "Install", "s", "c-1", "e-1", RUN)
    for delivery in (
        ours,
        replace(ours, at=START + timedelta(hours=4, minutes=30), command="c-2"),
        replace(ours, node="i-2", at=START + timedelta(minutes=10), root=None, run=None),
        replace(ours, node="i-3", root="e-9", run="another-run"),
    ):
        world.deliver(delivery)
    return run, world
