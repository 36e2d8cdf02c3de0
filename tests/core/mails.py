"""Every text that people can be told, each about a run that gives it something to say: `python -m tests.core.mails` writes them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import get_args

from patchtide.core.alerts import Alert, Briefing, compose, digest, invalid, notice, overdue, slice_of, switched
from patchtide.core.campaign import Campaign, Notify, PatchException, Wave
from patchtide.core.document import read
from patchtide.core.gate import Gate
from patchtide.core.outcome import Cause
from patchtide.core.pause import Pause
from patchtide.core.run import AlertKind, Approval, Execution, Run, WaveRun, Window
from patchtide.core.schedule import Schedule
from patchtide.core.states import ExecutionState, RunState, WaveState
from patchtide.core.tally import Tally

FOLDER = Path(__file__).parents[1] / "golden/mails"
START = datetime(2026, 12, 12, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
JANE = "arn:aws:sts::999900001111:assumed-role/Operators/jane@example.com"
GOOD = Tally(resolved=4, instances=12, collected=4, compliant=12, outcomes={"compliant": 12})
BAD = Tally(
    resolved=8,
    unreachable=1,
    instances=40,
    collected=7,
    compliant=31,
    outcomes={"compliant": 31, "failed": 5, "unreachable": 1, "pendingReboot": 2, "excluded": 1},
    causes={"DISK_FULL": 4, "REPO": 1, "AGENT_LOST": 1, "PENDING_REBOOT": 2, "EXCEPTED": 1},
)
REBOOTS = Tally(
    resolved=4,
    instances=12,
    collected=4,
    compliant=9,
    outcomes={"compliant": 9, "pendingReboot": 3},
    causes={"PENDING_REBOOT": 3},
)


def _row(number: int, cause: str, sentence: str) -> dict[str, str]:
    place = {
        "account": "111122223333",
        "region": "eu-west-1",
        "instance": f"i-0aa{number:014x}",
        "name": f"pay-{number}",
    }
    return place | {"cause": cause, "sentence": sentence}


EXAMPLES: Mapping[str, tuple[Mapping[str, str], ...]] = {
    Cause.DISK_FULL: tuple(_row(n, "DISK_FULL", "no space left on the disk (exit code 155)") for n in (1, 2, 3)),
    Cause.REPO: (_row(4, "REPO", "its package source or the patch payload could not be reached (exit code 156)"),),
    Cause.AGENT_LOST: (_row(5, "AGENT_LOST", "the command never reached it: its agent did not answer"),),
    Cause.PENDING_REBOOT: (_row(6, "PENDING_REBOOT", "4 patches wait for a reboot"),),
}
DENIED = _row(
    0,
    "ROLE_DENIED",
    "arn:aws:iam::777788889999:role/Patchtide-Collector cannot be assumed: it is missing, or its trust names another hub",
) | {
    "account": "777788889999",
    "instance": "",
}


def _wave(name: str, state: WaveState, tally: Tally, days: int, **more: object) -> WaveRun:
    window = Window(START + timedelta(days=days), START + timedelta(days=days) + 5 * HOUR, HOUR)
    wave = WaveRun(name, state=state, locations=8, tally=tally, window=window, gate=Gate("2%", 95.0, 48 * HOUR))
    return replace(wave, **more)  # type: ignore[arg-type]


def _run(state: RunState, *waves: WaveRun) -> Run:
    running = state is RunState.OPEN
    current = next((wave for wave in waves if wave.state is WaveState.RUNNING), waves[0])
    execution = Execution(
        current.name,
        1,
        "{}",
        8,
        "6f1d0000-0000-4000-8000-000000000000",
        state=ExecutionState.RUNNING if running else ExecutionState.ENDED,
        id="4f1c0000-0000-4000-8000-000000000000",
        instances=40,
        doubt="whether it started cannot be found out: AccessDenied",
        ended="1f",
    )
    return Run(
        "prod-linux-monthly-20261212T2200Z",
        "prod-linux-monthly",
        7,
        "schedule",
        START,
        START - 24 * HOUR,
        waves[0].window or Window(START, START + 5 * HOUR, HOUR),
        waves,
        executions=(execution,),
        state=state,
        started_at=START + timedelta(minutes=1),
        ended_at=None if running else START + 2 * HOUR,
        author=JANE,
        other_approver=True,
        missed=2,
        missed_since=START - timedelta(days=60),
    )


def _about(kind: AlertKind) -> tuple[Run, str, str]:
    """The run that a kind of message is about, the wave, and what else."""
    done = _wave("canary", WaveState.SETTLED, GOOD, -3, started_at=START - timedelta(days=3))
    going = _wave("early", WaveState.RUNNING, BAD, 0, started_at=START + timedelta(minutes=1))
    ended = replace(going, state=WaveState.SETTLED)
    later = _wave("broad", WaveState.PLANNED, Tally(), 3, approval=True)
    ready = replace(
        later, state=WaveState.READY, tally=Tally(resolved=8, instances=160), planned=True, digest="5ca1ab1e"
    )
    match kind:
        case "wave":
            return _run(RunState.OPEN, done, _wave("early", WaveState.PLANNED, Tally(), 0), later), "canary", ""
        case "approve":
            return _run(RunState.OPEN, done, ended, replace(ready, listed_at=START)), "broad", "5ca1ab1e"
        case "late":
            held = replace(going, state=WaveState.READY, started_at=None, hold="calendar ChangeFreeze is closed")
            return _run(RunState.OPEN, done, held, later), "early", ""
        case "postponed":
            held = replace(later, hold="calendar ChangeFreeze is closed")
            return _run(RunState.OPEN, done, ended, held), "broad", "2026-12-15"
        case "started" | "closing" | "undecided" | "missed-before":
            return _run(RunState.OPEN, done, going, later), "early", ""
        case "succeeded":
            return _run(RunState.SUCCEEDED, done), "", ""
        case "incomplete":
            return _run(RunState.INCOMPLETE, replace(done, tally=REBOOTS)), "", ""
        case "no-targets":
            return _run(RunState.NO_TARGETS, replace(done, state=WaveState.EMPTY, tally=Tally())), "", ""
        case "missed":
            missed = replace(
                later, state=WaveState.EXPIRED, tally=Tally(), reason="the window closed before it could start"
            )
            return _run(RunState.MISSED, missed), "", ""
        case "halted":
            held = replace(
                later,
                state=WaveState.WITHHELD,
                withheld="halted",
                reason="wave early: 6 of 40 failed or unverified; gate allows 2% = 0",
            )
            return _run(RunState.HALTED, done, ended, held), "", ""
        case "skipped":
            held = replace(
                later, state=WaveState.WITHHELD, withheld="skipped", reason="nobody approved it by 2026-12-15 22:00Z"
            )
            return _run(RunState.SKIPPED, done, ended, held), "", ""
        case "stopped":
            held = replace(
                later, state=WaveState.WITHHELD, withheld="stopped", reason="stopped by jane@example.com: incident"
            )
            return _run(RunState.STOPPED, done, ended, held), "", ""
        case "replaced":
            return _run(RunState.REPLACED, replace(later, withheld="replaced", reason="the campaign changed")), "", ""
        case "failed":
            settled = replace(
                later, state=WaveState.SETTLED, tally=GOOD, approved=Approval(JANE, START, "5ca1ab1e"), started_at=START
            )
            return _run(RunState.FAILED, done, ended, settled), "", ""


def alerts() -> dict[str, Alert]:
    """Every message, by its name."""
    found: dict[str, Alert] = {}
    kinds: tuple[AlertKind, ...] = get_args(AlertKind)
    for kind in kinds:
        run, wave, about = _about(kind)
        briefing = Briefing(
            run, "Europe/London", EXAMPLES, (DENIED,) if run.waves[-1].tally.unreachable or kind == "failed" else ()
        )
        found[f"run.{kind}"] = compose(kind, wave, about, briefing)
    problems = read(
        {"campaign": "prod-linux-monthly", "duration": 2, "cutoff": 2, "maxConcurency": 3, "accounts": ["111122223333"]}
    ).problems
    found["campaign.invalid"] = invalid("prod-linux-monthly", problems, 7, START, "0123456789abcdef")
    found["campaign.overdue"] = overdue("prod-linux-monthly", START, START + timedelta(minutes=12))
    pause = Pause(True, JANE, START, "incident 4711")
    found["service.paused"] = switched(pause, START)
    found["service.resumed"] = switched(replace(pause, on=False, reason=""), START)
    found["campaign.notice"] = notice(_spec(), START, 212, START - 24 * HOUR)
    legacy = PatchException("the vendor supports no newer kernel", "jane@example.com", date(2026, 12, 20))
    found["exception.expiring"] = notice(replace(_spec(), exceptions=(legacy,)), START, None, START - 24 * HOUR)
    run, _, _ = _about("failed")
    rows = [*EXAMPLES[Cause.DISK_FULL], *EXAMPLES[Cause.AGENT_LOST]]
    yours = Briefing(run, "Europe/London", notify=Notify(owners=True, runbook="https://wiki.example.com/patching"))
    found["account.failed"] = slice_of("failed", "111122223333", rows, yours)
    lines = [
        "2026-12-12 22:00Z OK prod-linux-monthly: 12 of 12 compliant",
        "2026-12-12 23:00Z OK web: 4 of 4 compliant",
    ]
    found["service.digest"] = digest(lines, START)
    return found


def _spec() -> Campaign:
    waves = tuple(Wave(name, (), (), "10%", "2%") for name in ("canary", "early", "broad"))
    schedule = Schedule("cron(0 22 ? * TUE#2 *)", "Europe/London", 4)
    return Campaign("prod-linux-monthly", ("111122223333",), ("eu-west-1",), waves, 5 * HOUR, schedule=schedule)


def text(alert: Alert) -> str:
    """A message as its file has it."""
    head = f"Subject: {alert.subject}\nSeverity: {alert.severity}\nStatus: {alert.status}\nAudience: {alert.audience}\n"
    return f"{head}\n{alert.body}\n"


if __name__ == "__main__":
    for name, alert in alerts().items():
        (FOLDER / f"{name}.txt").write_text(text(alert), encoding="utf-8")
