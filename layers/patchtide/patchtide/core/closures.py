"""When nothing may start: frozen days, calendars, and where a window goes that they close."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from patchtide.core.campaign import Freeze
from patchtide.core.frozen import frozen
from patchtide.core.schedule import resolve

FARTHEST = 31  # days by which a window may be postponed

Span = tuple[datetime, datetime]


@frozen
class Opening:
    """Whether something may start at an instant, when that changes as far as anybody knows, and why not.

    What could not be read just now is closed, and not `sure`: nothing is skipped or postponed because of it. `doubtful` says that
    a part of what is closed for sure could not be read.
    """

    open: bool
    changes_at: datetime | None = None
    reason: str = ""
    sure: bool = True
    doubtful: bool = False

    @property
    def in_doubt(self) -> bool:
        """Whether any part of it could not be read."""
        return self.doubtful or not self.sure

    def __and__(self, other: Opening) -> Opening:
        """Open when both are. It changes when the first of two open ones closes, or the last of the closed ones opens."""
        closed = [one for one in (self, other) if not one.open]
        if not closed:
            return Opening(True, _first(one.changes_at for one in (self, other)))
        known = all(one.changes_at for one in closed)
        until = max((one.changes_at for one in closed if one.changes_at), default=None) if known else None
        return Opening(
            False,
            until,
            "; ".join(one.reason for one in closed),
            sure=any(one.sure for one in closed),
            doubtful=any(one.in_doubt for one in closed),
        )


def _first(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)


def frozen_spans(freezes: Iterable[Freeze], zone: ZoneInfo) -> Iterator[tuple[Span, str]]:
    """The instants that frozen days cover, from midnight to midnight of the zone, each with its reason."""
    for freeze in freezes:
        start, end = (
            resolve(datetime.combine(day, time()), zone).at for day in (freeze.first, freeze.last + timedelta(days=1))
        )
        yield (start, end), f"frozen on {freeze}"


def opening_at(spans: Iterable[tuple[Span, str]], at: datetime) -> Opening:
    """Whether no span covers the instant. Spans that follow on each other without a break are one closure."""
    ordered = sorted(spans, key=lambda entry: entry[0])
    inside = [entry for entry in ordered if entry[0][0] <= at < entry[0][1]]
    if not inside:
        return Opening(True, _first(span[0] for span, _ in ordered if span[0] > at))
    until = max(span[1] for span, _ in inside)
    for (start, end), _ in ordered:
        until = max(until, end) if start <= until else until
    return Opening(False, until, inside[0][1])


def closes_after(start: datetime, last: datetime, opening: Callable[[datetime], Opening]) -> datetime | None:
    """When it first closes again between two instants, as far as anybody knows; None when it stays open."""
    moment: datetime | None = start
    while moment and moment < last:
        found = opening(moment)
        if found.open:
            return found.changes_at if found.changes_at and found.changes_at < last else None
        moment = found.changes_at if found.changes_at and found.changes_at > moment else None
    return None


def next_open_day(start: datetime, zone: ZoneInfo, opening: Callable[[datetime], Opening]) -> datetime | None:
    """The first of the days after at whose same local time it is open, or None when there is none within a month.

    A window that is moved keeps its time of day: people chose the hour, the freeze only took the day.
    """
    local = start.astimezone(zone).replace(tzinfo=None)
    closed_until = start
    for days in range(1, FARTHEST + 1):
        moved = resolve(local + timedelta(days=days), zone).at.astimezone(UTC)
        if moved < closed_until:
            continue
        found = opening(moved)
        if found.open:
            return moved
        closed_until = found.changes_at or moved
    return None
