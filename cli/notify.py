"""`patchtide notify test`: whether people are told, before it matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from cli.console import Exit, fail, now, say, write, write_fields
from cli.hub import Hub, online, physical

if TYPE_CHECKING:
    from patchtide.core.alerts import Alert

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Try whether people are told.")


@app.callback()
def notify() -> None:
    """Try whether people are told."""


@app.command("test")
@online
def send_test(
    at: Hub, event: Annotated[str, typer.Option(help="Which message, e.g. run.failed or run.started.")] = "run.failed"
) -> None:
    """Send a sample message to everybody who is subscribed. Its subject says that it is a test."""
    from patchtide.aws import clients
    from patchtide.aws.alerts import Alerts

    alert = _sample(event.removeprefix("run."))
    Alerts(clients.sns(), physical(at.stack, "AlertsTopic")).publish(alert)
    answer = {"event": alert.event, "severity": alert.severity, "subject": alert.subject}
    write(answer, lambda: write_fields(answer))
    say("Sent. Whoever has not heard of it within some minutes is not subscribed: patchtide doctor")


def _sample(kind: str) -> Alert:
    from patchtide.core.alerts import Briefing, compose
    from patchtide.core.outcome import Cause
    from patchtide.core.run import AlertKind, Run, WaveRun, Window
    from patchtide.core.states import RunState, WaveState
    from patchtide.core.tally import Tally

    known: tuple[AlertKind, ...] = get_args(AlertKind)
    meant = next((one for one in known if one == kind), None)
    if meant is None:
        fail(Exit.USAGE, f"There is no message {kind!r}. There are {', '.join(f'run.{one}' for one in known)}")
    start = now() - timedelta(hours=3)
    tally = Tally(
        resolved=2,
        instances=40,
        collected=2,
        compliant=38,
        outcomes={"compliant": 38, "failed": 2},
        causes={"DISK_FULL": 2},
    )
    row = {"account": "111122223333", "region": "eu-west-1", "instance": "i-0123456789abcdef0", "name": "web-1"}
    waves = (
        WaveRun("canary", WaveState.SETTLED, locations=2, tally=tally, started_at=start, settled_at=now()),
        WaveRun("broad", WaveState.READY, locations=2, tally=Tally(resolved=2, instances=160)),
    )
    run = Run(
        "test-19700101T0000Z",
        "test",
        1,
        "manual",
        start,
        start,
        Window(start, start + timedelta(hours=4), timedelta(hours=1)),
        waves,
        state=RunState.FAILED,
        started_at=start,
        ended_at=now(),
    )
    example = {**row, "sentence": "no space left on the disk (exit code 155)"}
    briefing = Briefing(run, "UTC", examples={Cause.DISK_FULL: (example,)})
    alert = compose(meant, "canary", "", briefing)
    return replace(alert, id=f"test/{now():%Y%m%dT%H%M%SZ}", subject=f"[TEST] {alert.subject}"[:99])
