"""A run in short: for programs as a mapping, for people as a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from patchtide.core.frozen import frozen
from patchtide.core.run import Run, WaveRun, approve_by, last_start
from patchtide.core.tally import Tally
from patchtide.core.view import Dossier


def summary(dossier: Dossier, unreachable: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """A run as JSON answers write it; its outcomes add up to its expected instances once it has ended."""
    run = dossier.run
    tallies = dossier.latest
    missed = sum(tally.unreachable for tally in tallies)
    expected = sum(wave.locations for wave in run.waves)
    return {
        "run": run.id,
        "campaign": run.campaign,
        "trigger": run.trigger,
        "state": run.phase,
        "scheduledAt": _stamp(run.scheduled_at),
        "startedAt": _stamp(run.started_at),
        "endedAt": _stamp(run.ended_at),
        "windowEndsAt": _stamp(run.window.end),
        "lastStartAt": _stamp(run.window.last_start),
        "executions": [execution.id for execution in run.executions if execution.id],
        "locations": {
            "expected": expected,
            "reached": expected - missed,
            "unreachable": [
                {name: row.get(name, "") for name in ("account", "region", "cause", "sentence")} for row in unreachable
            ],
        },
        "expectedInstances": sum(tally.instances for tally in tallies),
        "outcomes": outcomes(dossier),
        "waves": [_wave(run, wave, tally) for wave, tally in zip(run.waves, tallies, strict=True)],
        "retryOf": run.retry_of,
        "orders": [
            {"kind": one.order.kind, "by": one.order.by, "at": _stamp(one.order.at), "answer": one.answer}
            for one in run.orders
        ],
    }


def _wave(run: Run, wave: WaveRun, tally: Tally) -> dict[str, Any]:
    window = run.window_of(wave)
    return {
        "wave": wave.name,
        "state": wave.withheld or wave.state.value,
        "reason": wave.reason or wave.hold or "",
        "windowStartsAt": _stamp(window.start),
        "lastStartAt": _stamp(last_start(run, wave)),
        "windowEndsAt": _stamp(window.end),
        "startedAt": _stamp(wave.started_at),
        "locations": wave.locations,
        "expectedInstances": tally.instances,
        "outcomes": dict(sorted(tally.outcomes.items())),
        "approval": _approval(run, wave),
        "digest": wave.digest,
    }


def _approval(run: Run, wave: WaveRun) -> dict[str, Any] | None:
    """Who approved a wave, or by when somebody must; None where nobody has to."""
    if wave.approved:
        return {"by": wave.approved.by, "at": _stamp(wave.approved.at), "digest": wave.approved.digest}
    return {"neededBy": _stamp(approve_by(run, wave))} if wave.approval else None


def outcomes(dossier: Dossier) -> dict[str, int]:
    """How many instances had each outcome, over all waves."""
    total: Counter[str] = Counter()
    for tally in dossier.latest:
        total.update(tally.outcomes)
    return dict(sorted(total.items()))


def counts(of: Mapping[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{count} {outcome}" for outcome, count in of.items())


@frozen
class Standing:
    """How far one wave is: locations known and ended of those it has, instances accounted for of those expected."""

    wave: str
    state: str
    locations: int
    known: int
    patching: int
    ended: int
    expected: int
    done: int
    outcomes: Mapping[str, int]


def standings(dossier: Dossier) -> tuple[Standing, ...]:
    """How far each wave is."""
    run = dossier.run
    return tuple(
        Standing(
            wave.name,
            wave.withheld or wave.state.value,
            wave.locations,
            tally.resolved,
            tally.patching,
            sum(execution.ended_locations for execution in run.executions_of(wave.name)),
            tally.instances,
            sum(tally.outcomes.values()),
            tally.outcomes,
        )
        for wave, tally in zip(run.waves, dossier.latest, strict=True)
    )


def progress(dossier: Dossier) -> str:
    """Where a run stands, in one line; waves that have not had their turn are left out."""
    parts = [
        f"{at.wave}: {at.known}/{at.locations} locations known, {at.ended}/{at.patching} ended, "
        f"{at.done}/{at.expected} instances accounted for" + (f" ({counts(at.outcomes)})" if at.done else "")
        for at in standings(dossier)
        if at.locations or len(dossier.run.waves) == 1
    ]
    return "; ".join((dossier.run.phase, *parts))


def _stamp(moment: datetime | None) -> str | None:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else None
