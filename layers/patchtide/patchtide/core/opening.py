"""How a run begins: an occurrence that is due, a person who asks, a retry of what another run left undone, a run in place of an
older version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from patchtide.core.campaign import Campaign, Wave
from patchtide.core.registration import Registration
from patchtide.core.run import PendingAlert, Run, WaveRun, Window, run_id
from patchtide.core.schedule import Schedule, days_later
from patchtide.core.states import WaveState


def open_run(held: Registration, campaign: Campaign, now: datetime, *, other_approver: bool = False) -> Run:
    """A new run of the occurrence that comes next, with nothing done yet."""
    assert held.next_at  # noqa: S101 - only what is due is opened
    return _run(run_id(campaign.name, held.next_at), held, campaign, held.next_at, now, other_approver=other_approver)


def by_hand(
    held: Registration, campaign: Campaign, now: datetime, by: str, because: str, only: Sequence[str] = ()
) -> Run:
    """A run that a person asks for, beside the campaign's own occurrences: its window opens now, and it has the waves that
    are named, or all. Raises ValueError where a name is no wave's."""
    known = [wave.name for wave in campaign.waves]
    if strange := [name for name in only if name not in known]:
        raise ValueError(f"{campaign.name} has no wave {strange[0]!r}, it has {', '.join(known)}")
    at = now.replace(microsecond=0)
    waves = tuple(_wave(campaign, wave, at, held) for wave in campaign.waves if not only or wave.name in only)
    first = campaign.wave(waves[0].name).delay
    waves = tuple(replace(wave, window=_sooner(wave, first)) for wave in waves)
    return Run(
        id=f"{campaign.name}-{at:%Y%m%dT%H%M%SZ}-m",
        campaign=campaign.name,
        spec=held.version,
        trigger="manual",
        scheduled_at=at,
        opened_at=now,
        window=_span(waves),
        waves=waves,
        author=held.author,
        started_by=by,
        because=because,
    )


def _sooner(wave: WaveRun, days: int) -> Window | None:
    """The wave's window so many days sooner, since the first one that is asked for begins now."""
    window = wave.window
    return window.moved(window.start - timedelta(days=days)) if window else None


def after_missed(run: Run, missed: int, since: datetime, now: datetime) -> Run:
    """The run, with word that occurrences before it were never opened: people must hear of those too."""
    alert = PendingAlert("missed-before", now)
    return replace(run, missed=missed, missed_since=since, alerts=(*run.alerts, alert))


def _run(id_: str, held: Registration, campaign: Campaign, at: datetime, now: datetime, *, other_approver: bool) -> Run:
    waves = tuple(_wave(campaign, wave, at, held) for wave in campaign.waves)
    return Run(
        id=id_,
        campaign=campaign.name,
        spec=held.version,
        trigger="adhoc" if held.adhoc else "schedule",
        scheduled_at=at,
        opened_at=now,
        window=_span(waves),
        waves=waves,
        author=held.author,
        other_approver=other_approver,
    )


def _wave(campaign: Campaign, wave: Wave, at: datetime, held: Registration) -> WaveRun:
    schedule = replace(campaign.schedule or Schedule("", campaign.timezone), anchor=held.anchor)
    start = days_later(schedule, at, wave.delay)
    return WaveRun(
        wave.name,
        window=Window(start, start + campaign.duration, campaign.cutoff),
        gate=wave.gate,
        approval=wave.approval,
        max_instances=wave.max_instances,
    )


def _span(waves: Sequence[WaveRun]) -> Window:
    windows = [wave.window for wave in waves if wave.window]
    return Window(windows[0].start, windows[-1].end, windows[-1].cutoff)


def replacement(run: Run, held: Registration, campaign: Campaign, now: datetime) -> Run:
    """The run that takes the place of one that had not begun when its campaign changed."""
    id_ = f"{run_id(run.campaign, run.scheduled_at)}-v{held.version}"
    return _run(id_, held, campaign, run.scheduled_at, now, other_approver=run.other_approver)


def retry(
    run: Run, campaign: Campaign, left: Mapping[str, bool], number: int, now: datetime, *, failed_only: bool
) -> Run:
    """A new attempt at what a run left undone, as a run of its own that counts by itself.

    `left` says of each wave whether instances of it are left. Waves whose targets were never found out come along unless only
    the failed are asked for: in their own windows where those are still to come, else now. Raises ValueError where there is
    nothing to do.
    """
    window = Window(now, now + campaign.duration, campaign.cutoff)
    waves = []
    for old in run.waves:
        unknown = old.state in (WaveState.WITHHELD, WaveState.EXPIRED, WaveState.BROKEN)
        if left.get(old.name) or (unknown and not failed_only):
            waves.append(_again(run, old, window, named=not unknown))
    if not waves:
        raise ValueError("nothing of it failed, is unverified or was not started")
    return Run(
        id=f"{run.id}-r{number}",
        campaign=run.campaign,
        spec=run.spec,
        trigger="retry",
        scheduled_at=now,
        opened_at=now,
        window=_span(waves),
        waves=tuple(waves),
        author=run.author,
        other_approver=run.other_approver,
        retry_of=run.id,
    )


def _again(run: Run, old: WaveRun, now_window: Window, *, named: bool) -> WaveRun:
    own = run.window_of(old)
    later = not named and own.last_start > now_window.start
    return WaveRun(
        old.name,
        window=Window(max(own.start, now_window.start), own.end, own.cutoff) if later else now_window,
        gate=old.gate,
        approval=old.approval and old.approved is None,  # to try again is not to approve
        max_instances=old.max_instances,
        source=run.id if named else "",
    )
