"""The texts people read at 3 a.m."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from patchtide.core.advance import TERMINAL
from patchtide.core.alerts import MAX_BODY, Alert, Briefing, compose, invalid, overdue, switched
from patchtide.core.causes import FIXES
from patchtide.core.document import read
from patchtide.core.pause import Pause
from patchtide.core.run import AlertKind, Execution, Run, WaveRun
from patchtide.core.states import ExecutionState, RunState, WaveState
from patchtide.core.tally import Tally
from tests.values import a_run as fresh_run

START = datetime(2026, 12, 12, 22, tzinfo=UTC)
KINDS: tuple[AlertKind, ...] = ("started", "succeeded", "incomplete", "failed", "no-targets", "missed")


def a_run(tally: Tally, state: WaveState = WaveState.SETTLED, reason: str = "") -> Run:
    run = fresh_run("prod-linux-monthly", START, START, duration=timedelta(hours=5), spec=7)
    wave = replace(run.waves[0], state=state, locations=8, tally=tally, reason=reason)
    execution = Execution("all", 1, "{}", 8, "t", state=ExecutionState.ENDED, id="4f1c0000-0000-4000-8000-000000000000")
    return replace(
        run, waves=(wave,), executions=(execution,), started_at=START, ended_at=START + timedelta(minutes=91)
    )


TALLY = Tally(
    resolved=8,
    unreachable=1,
    instances=214,
    outcomes={"compliant": 203, "failed": 8, "unreachable": 3},
    causes={"DISK_FULL": 8, "AGENT_LOST": 3},
)
ROW = {
    "account": "111122223333",
    "region": "eu-west-1",
    "instance": "i-0aa1aa1aa1aa1aa1a",
    "name": "pay-1",
    "cause": "DISK_FULL",
    "sentence": "no space left on the disk",
}
DENIED = ROW | {
    "instance": "",
    "cause": "ROLE_DENIED",
    "sentence": "User: arn:aws:sts::1:x is not authorized to assume",
}


def told(kind: AlertKind, tally: Tally = TALLY, state: WaveState = WaveState.SETTLED, reason: str = "") -> Alert:
    briefing = Briefing(a_run(tally, state, reason), "Europe/London", {"DISK_FULL": (ROW,) * 3}, (DENIED,))
    return compose(kind, "", "", briefing)


@pytest.mark.parametrize("kind", KINDS)
def test_every_text_keeps_the_contract(kind: AlertKind) -> None:
    alert = told(kind)
    lines = alert.body.splitlines()
    assert alert.subject.isascii()
    assert len(alert.subject) <= 99
    assert alert.body.isascii()
    assert "\t" not in alert.body
    assert max(map(len, lines)) <= 72
    assert lines[1].startswith("ACTION: ")
    assert "patchtide" in lines[4]
    assert not any(line.startswith(" ") for line in lines[:5])
    assert alert.id == "prod-linux-monthly-20261212T2200Z/" + kind


WITHHELD = ("halted", "skipped", "stopped", "replaced")


@pytest.mark.parametrize("kind", get_args(AlertKind))
@pytest.mark.parametrize("about", ["", "311cf1c02019"])
def test_every_text_about_rings_keeps_the_contract(kind: AlertKind, about: str) -> None:
    run = a_run(TALLY)
    kept = next((word for word in WITHHELD if word == kind), "")
    behind = WaveRun("broad", withheld=kept, reason="the wave before it: " + "x" * 200, approval=True)  # type: ignore[arg-type]
    rings = replace(run, waves=(replace(run.waves[0], name="canary"), behind), executions=(), missed=5)
    wave = "" if kind in TERMINAL.values() or kind == "missed-before" else "canary"
    alert = compose(kind, wave, about, Briefing(rings, "America/New_York", {"DISK_FULL": (ROW,) * 3}, (DENIED,)))
    lines = alert.body.splitlines()
    assert len(alert.subject) <= 99
    assert (alert.subject + alert.body).isascii()
    assert max(map(len, lines)) <= 72
    assert lines[1].startswith("ACTION: ")
    assert "patchtide" in lines[4]
    assert not any(line.startswith(" ") for line in lines[:5])
    assert "arn:" not in "".join(lines[:10])
    if kept and kept != "replaced":
        assert "x" * 60 in alert.body  # what the head had to cut stands in full below it


def test_people_hear_of_the_switch_and_of_what_nobody_opened() -> None:
    pause = Pause(True, "arn:aws:sts::1:assumed-role/Ops/jane@example.com", START, "INC-1")
    assert switched(pause, START).subject == "[patch] PAUSED all campaigns, by jane@example.com"
    assert "Why: INC-1" in switched(pause, START).body
    assert switched(replace(pause, on=False), START).subject.startswith("[patch] RESUMED")
    late = overdue("prod", START, START + timedelta(minutes=12))
    assert late.severity == "CRITICAL"
    assert "was not opened for 12 min" in late.body


def test_a_failure_says_what_where_why_and_what_to_do() -> None:
    alert = told("failed")
    assert alert.subject == "[patch] FAILED prod-linux-monthly: 11/214 not patched, 2 causes"
    for part in (
        "11 of 214 instances are not patched. The run is over.",
        "COUNTS 203 patched, 8 failed, 3 unreachable",
        "Top cause: 8x DISK_FULL: no space left on the disk",
        "patchtide run show prod-linux-monthly-20261212T2200Z --failed",
        "8x DISK_FULL  fix: free space",
        "111122223333 eu-west-1 i-0aa1aa1aa1aa1aa1a (pay-1)",
        "... and 5 more",
        "111122223333 eu-west-1  ROLE_DENIED",
        "fix: deploy the spoke stack",
        "IDs: automation 4f1c0000",
    ):
        assert part in alert.body
    assert alert.severity == "CRITICAL"


def test_success_asks_for_nothing() -> None:
    alert = told("succeeded", Tally(resolved=8, instances=214, outcomes={"compliant": 214}))
    assert alert.subject == "[patch] OK prod-linux-monthly: 214/214 patched"
    assert "ACTION: none." in alert.body
    assert "Took 1 h 31 min" in alert.body


def test_zero_targets_never_reads_like_success() -> None:
    alert = told("no-targets", Tally(resolved=8, empty=8))
    assert alert.subject.startswith("[patch] NO TARGETS")
    assert "Nothing was patched" in alert.body


def test_a_missed_run_is_told_as_one() -> None:
    assert "did NOT happen" in told("missed", Tally()).body


def test_times_are_local_and_utc() -> None:
    briefing = Briefing(a_run(TALLY), "America/New_York")
    assert "Sat 12 Dec 17:00 EST (22:00Z)" in compose("started", "all", "", briefing).body


def test_a_run_that_could_not_be_prepared_says_why() -> None:
    alert = told("failed", Tally(), WaveState.BROKEN, reason="find the runbook My-Runbook: not found (InvalidDocument)")
    assert "CAUSE wave all: find the runbook My-Runbook: not found (InvalidDocument)" in alert.body
    assert "could not be prepared" in alert.subject


def test_however_much_went_wrong_the_mail_fits() -> None:
    causes = {cause.value: 100_000 for cause in FIXES}
    rows = (ROW | {"sentence": "x" * 500, "name": "n" * 256},) * 3
    tally = Tally(resolved=9, unreachable=9, instances=2_400_000, outcomes={"failed": 2_400_000}, causes=causes)
    briefing = Briefing(a_run(tally), "UTC", dict.fromkeys(causes, rows), (DENIED | {"sentence": "y" * 500},) * 20)
    assert len(compose("failed", "", "", briefing).body.encode()) <= MAX_BODY


def test_what_is_not_ascii_is_told_as_near_as_possible() -> None:
    briefing = Briefing(a_run(TALLY), "UTC", {"DISK_FULL": (ROW | {"name": "zürich-1"},)})
    assert "zurich-1" in compose("failed", "", "", briefing).body


def test_an_item_that_was_not_taken_is_told_with_all_its_errors() -> None:
    problems = read({"campaign": "prod", "cutoff": 2, "duration": 2, "maxConcurency": 3}).problems
    alert = invalid("prod", problems, 7, START, "9f2c")
    assert alert.subject.startswith("[patch] INVALID campaign prod: ")
    assert "Version 7 (valid) stays in force." in alert.body
    assert f"Error {len(problems)}: " in alert.body
    assert max(map(len, alert.body.splitlines())) <= 72


def test_every_end_of_a_run_has_its_alert() -> None:
    assert set(TERMINAL) == set(RunState) - {RunState.OPEN}
    assert {state.value.replace(" ", "-") for state in TERMINAL} == set(TERMINAL.values())
