"""Plain values that several tests start from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from patchtide.core.run import Run, Trigger, WaveRun, Window, run_id

FOUR_HOURS = timedelta(hours=4)
ONE_HOUR = timedelta(hours=1)


def a_run(
    campaign: str,
    at: datetime,
    opened_at: datetime,
    waves: Sequence[WaveRun] = (WaveRun("all"),),
    duration: timedelta = FOUR_HOURS,
    trigger: Trigger = "schedule",
    spec: int = 1,
) -> Run:
    """A run of an occurrence with nothing done yet, whose waves share its window unless they have their own."""
    return Run(
        id=run_id(campaign, at),
        campaign=campaign,
        spec=spec,
        trigger=trigger,
        scheduled_at=at,
        opened_at=opened_at,
        window=Window(at, at + duration, ONE_HOUR),
        waves=tuple(waves),
    )
