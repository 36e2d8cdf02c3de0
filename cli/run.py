"""`patchtide run …`: what became of each occurrence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import Exit, data, fail, now, say, stamp, streams, write, write_fields, write_table
from cli.hub import Hub, online, principal
from patchtide.core.summary import counts, progress, standings, summary

if TYPE_CHECKING:
    from rich.table import Table

    from patchtide.core.orders import Kind
    from patchtide.core.run import Run
    from patchtide.core.view import Dossier

BAR = 24  # columns of a wave's bar

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, show and watch runs; approve, reject, stop and retry them."
)

RunId = Annotated[str, typer.Argument(help="The run's id, e.g. dev-weekly-20261128T2200Z.")]


@app.command(name="list")
@online
def list_(
    at: Hub,
    campaign: Annotated[str | None, typer.Argument(help="Only this campaign's runs.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="At most so many runs of each campaign.")] = 10,
) -> None:
    """The last runs, newest first."""
    names = [campaign] if campaign else sorted(str(item["campaign"]) for item in at.items.every())
    ids = [run for name in names for run in at.registry.runs_of(name, most)]
    found = [summary(dossier, ()) for dossier in _kept(ids, at)]
    found.sort(key=lambda entry: str(entry["scheduledAt"]), reverse=True)
    rows = [(r["run"], r["state"], r["scheduledAt"], r["expectedInstances"], counts(r["outcomes"])) for r in found]
    write(found, lambda: write_table(("run", "state", "scheduled", "instances", "outcomes"), rows))


def _kept(ids: Iterable[str], at: Hub) -> Iterator[Dossier]:
    """The runs that are still kept: an occurrence is remembered longer than its run."""
    from patchtide.core.errors import Refused

    for run in ids:
        try:
            yield at.runs.load(run)
        except Refused as gone:
            if gone.code != "NotFound":
                raise


@app.command()
@online
def show(
    at: Hub,
    run: RunId,
    failed: Annotated[bool, typer.Option("--failed", help="Also every instance that did not come out right.")] = False,
) -> None:
    """One run: where it stands, its outcomes, what could not be reached, what people were told."""
    answer = _show(run, at, failed=failed)
    write(answer, lambda: _draw(answer, failed=failed))


def _draw(answer: dict[str, Any], *, failed: bool) -> None:
    locations = answer["locations"]
    write_fields(
        {name: answer[name] for name in ("run", "campaign", "trigger", "state", "scheduledAt", "startedAt", "endedAt")}
        | {"state": _why(answer["state"])}
        | {
            "executions": ", ".join(answer["executions"]),
            "locations": f"{locations['reached']} of {locations['expected']} reached",
            "instances": answer["expectedInstances"],
            "outcomes": counts(answer["outcomes"]),
            "alerts": ", ".join(alert["subject"] for alert in answer["alerts"]),
        }
        | ({"retry of": answer["retryOf"]} if answer["retryOf"] else {})
        | {f"order {number}": _said(order) for number, order in enumerate(answer["orders"], 1)}
    )
    _write_waves(answer["waves"])
    for row in locations["unreachable"]:
        data.print(f"not reached: {row['account']} {row['region']} {row['cause']}: {row['sentence']}", markup=False)
    if failed:
        columns = ("account", "region", "instance", "name", "outcome", "cause", "sentence")
        write_table(columns, [[row.get(name, "") for name in columns] for row in answer["problems"]])


def _why(state: str) -> str:
    from patchtide.core.states import RUN_ENDS

    reason = next((why for end, why in RUN_ENDS.items() if end == state), "")
    return f"{state} ({reason})" if reason else state


def _said(order: dict[str, str]) -> str:
    return f"{order['kind']} by {order['by']} at {order['at']}: {order['answer']}"


def _write_waves(waves: Iterable[dict[str, Any]]) -> None:
    rows = []
    for wave in waves:
        approval = wave["approval"] or {}
        approved = (
            f"by {approval['by']}" if "by" in approval else f"needed by {approval['neededBy']}" if approval else ""
        )
        done = counts(wave["outcomes"]) or f"{wave['expectedInstances']} instances"
        rows.append(
            (wave["wave"], wave["state"], wave["windowStartsAt"], done, approved, wave["digest"], wave["reason"])
        )
    write_table(("wave", "state", "window", "instances", "approval", "digest", "reason"), rows)


def _show(run: str, at: Hub, *, failed: bool) -> dict[str, Any]:
    dossier = at.runs.load(run)
    answer = summary(dossier, at.runs.problems(run, "location#"))
    answer["alerts"] = [
        {"severity": alert.severity, "subject": alert.subject, "body": alert.body, "sentAt": sent}
        for alert, sent in at.runs.alerts(run)
    ]
    if failed:
        answer["problems"] = [dict(row) for row in at.runs.problems(run, "instance#")]
    return answer


@app.command()
@online
def watch(
    at: Hub,
    run: RunId,
    timeout: Annotated[int, typer.Option(help="Give up watching after so many minutes; the run goes on.")] = 24 * 60,
    every: Annotated[float, typer.Option(help="Seconds between looks.", min=0.2)] = 5,
) -> None:
    """Watch a run to its end: a table that is redrawn on a terminal, elsewhere a line on each change, with --output json NDJSON.

    Exits 6 when it did not succeed.
    """
    deadline = now() + timedelta(minutes=timeout)
    with _shown() as show_:
        while True:
            dossier = at.runs.load(run)
            show_(dossier)
            if not dossier.run.open:
                break
            if now() >= deadline:
                fail(Exit.TIMED_OUT, f"{run} is still {dossier.run.phase}; it goes on without being watched.")
            _pause(every)
    if not _fine(dossier.run):
        raise typer.Exit(Exit.RUN_FAILED)


@contextmanager
def _shown() -> Iterator[Callable[[Dossier], None]]:
    """Who shows where a run stands, whenever that changed."""
    before = ""

    def line(dossier: Dossier) -> None:
        nonlocal before
        text = progress(dossier)
        if text == before:
            return
        before = text
        if streams():
            _write_line(summary(dossier, ()))
        else:
            data.print(f"{stamp(now())} {text}", markup=False)

    if streams() or not data.real.is_terminal:
        yield line
        return
    from rich.live import Live

    with Live(console=data.real, refresh_per_second=4) as live:
        yield lambda dossier: live.update(_grid(dossier))


def _grid(dossier: Dossier) -> Table:
    """A run as it stands, a row for each wave."""
    from rich.table import Table
    from rich.text import Text

    run = dossier.run
    until = run.window_of(run.current).end if run.current else run.window.end
    title = Text(f"{run.id}: {run.phase}; window until {until:%Y-%m-%d %H:%M}Z", style="bold")
    grid = Table(
        "wave",
        "state",
        "locations",
        "instances",
        "",
        "outcomes",
        box=None,
        pad_edge=False,
        title=title,
        title_justify="left",
    )
    for at in standings(dossier):
        share = round(BAR * at.done / at.expected) if at.expected else 0
        bar = Text("█" * share, style="green") + Text("░" * (BAR - share), style="dim")
        places = (
            f"{at.ended}/{at.patching} ended"
            if at.patching
            else f"{at.known}/{at.locations} known"
            if at.locations
            else ""
        )
        grid.add_row(
            at.wave, at.state, places, f"{at.done}/{at.expected}" if at.expected else "", bar, counts(at.outcomes)
        )
    return grid


Wait = Annotated[int, typer.Option(help="Seconds to wait for the service's answer; 0 does not wait.")]
Reason = Annotated[str, typer.Option(help="Why. It goes into the record and the mail.")]


@app.command()
@online
def start(
    at: Hub,
    campaign: Annotated[str, typer.Argument(help="The campaign.")],
    reason: Annotated[str, typer.Option(help="Why. It goes into the record and the report.")],
    wave: Annotated[list[str] | None, typer.Option("--wave", help="Only this wave; repeat for more.")] = None,
) -> None:
    """Open a run of a campaign now, beside its schedule. Its window opens now; gates, approvals, calendars and limits hold as ever."""
    from patchtide.core.opening import by_hand

    held = at.registry.get(campaign)
    if held is None or held.deleted or not held.version:
        fail(
            Exit.ERROR, f"No valid version of {campaign!r} is in force. `patchtide campaign show {campaign}` says why."
        )
    if not held.enabled:
        fail(Exit.ERROR, f"{campaign} is DISABLED: `patchtide campaign resume {campaign}` first.")
    spec = at.registry.spec(campaign, held.version)
    try:
        run = by_hand(held, spec, now(), principal(), reason, wave or ())
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    at.registry.reopen(run)
    answer = {"run": run.id, "waves": [one.name for one in run.waves], "windowEndsAt": stamp(run.window.end)}
    write(answer, lambda: write_fields(answer))
    say(f"It is prepared within two minutes. Watch it: patchtide run watch {run.id}")


@app.command()
@online
def logs(
    at: Hub,
    run: RunId,
    instance: Annotated[str, typer.Argument(help="Only what is known of this instance.")] = "",
) -> None:
    """What was asked of AWS for a run and what came of it, line by line; or all that is known of one instance."""
    at.runs.load(run)
    if instance:
        rows = [dict(row) for row in at.runs.instances(run) if row["instance"] == instance]
        if not rows:
            fail(Exit.ERROR, f"{run} did not expect {instance}.")
        write(rows, lambda: _each(rows))
        return
    import json

    lines = [json.loads(line.text) for line in at.runs.audit(run)]
    columns = ("at", "what", "about", "said")
    write(lines, lambda: write_table(columns, [[line[name] for name in columns] for line in lines]))


def _each(rows: Iterable[dict[str, str]]) -> None:
    for row in rows:
        write_fields(row)


@app.command()
@online
def approve(
    at: Hub,
    run: RunId,
    wave: Annotated[str, typer.Argument(help="The wave that waits for approval.")],
    digest: Annotated[
        str, typer.Option(help="What you were shown, as the mail names it; else what is shown now.")
    ] = "",
    wait: Wait = 120,
) -> None:
    """Let a wave begin. It binds to what was shown: where that has changed since, it is refused."""
    shown = digest or _show_wave(run, wave, at)
    _order("approve", run, at, wait, wave=wave, digest=shown)


@app.command()
@online
def reject(
    at: Hub,
    run: RunId,
    wave: Annotated[str, typer.Argument(help="The wave that waits for approval.")],
    reason: Reason,
    digest: Annotated[str, typer.Option(help="What you were shown; else what is shown now.")] = "",
    wait: Wait = 120,
) -> None:
    """Have a wave that waits for approval skipped, and those behind it."""
    shown = digest or _show_wave(run, wave, at)
    _order("reject", run, at, wait, wave=wave, digest=shown, reason=reason)


@app.command()
@online
def stop(
    at: Hub,
    run: RunId,
    at_once: Annotated[
        bool,
        typer.Option("--now/--after-current", help="Take back what waits, or let the wave under way go on to its end."),
    ] = True,
    reason: Reason = "",
    wait: Wait = 120,
) -> None:
    """Have nothing more of a run begin. What waits is taken back; what is being patched finishes."""
    _order("stop", run, at, wait, now=at_once, reason=reason)


@app.command()
@online
def retry(
    at: Hub,
    run: RunId,
    failed_only: Annotated[
        bool,
        typer.Option(
            "--failed-only", help="Only what failed, is unverified or was not started; not waves never begun."
        ),
    ] = False,
    reason: Reason = "",
    wait: Wait = 120,
) -> None:
    """Try again what an ended run left undone: a run of its own, whose window opens now."""
    _order("retry", run, at, wait, failed_only=failed_only, reason=reason)


def _show_wave(run: str, name: str, at: Hub) -> str:
    """The digest of what a wave would do now, once people have been shown what that is."""
    dossier = at.runs.load(run)
    found = next((wave for wave in dossier.run.waves if wave.name == name), None)
    if found is None:
        fail(Exit.ERROR, f"{run} has no wave {name!r}. It has {', '.join(wave.name for wave in dossier.run.waves)}")
    window = dossier.run.window_of(found)
    say(
        f"Wave {name} of {run}: {found.tally.instances} instances in {found.locations} locations, "
        f"{stamp(window.start)} to {stamp(window.end)}, digest {found.digest or 'not known yet'}"
    )
    return found.digest


def _order(kind: Kind, run: str, at: Hub, wait: int, **said: Any) -> None:
    """Give the order, as whoever AWS says is calling, and wait for the answer."""
    from uuid import uuid4

    from patchtide.core.orders import Order

    at.runs.load(run)  # an order to a run that is not there would wait for ever
    order = Order(str(uuid4()), kind, principal(), now(), **said)
    at.runs.order(run, order)
    answer = None
    for _ in range(wait * 2):
        answer = at.runs.answer_to(run, order.id)
        if answer:
            break
        time.sleep(0.5)
    if answer is None:
        fail(Exit.TIMED_OUT, f"{kind} was asked for, as {order.by}. The service takes it in within two minutes.")
    accepted, text = answer
    if not accepted:
        fail(Exit.ERROR, f"Not accepted: {text}")
    say(f"Accepted, as {order.by}: {text}")


def _fine(run: Run) -> bool:
    return run.state.value == "succeeded"


def _write_line(value: object) -> None:
    import json

    data.print(json.dumps(value, default=str), markup=False, soft_wrap=True)


def _pause(seconds: float) -> None:
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        say("Still running in AWS.")
        raise typer.Exit(Exit.INTERRUPTED) from None
