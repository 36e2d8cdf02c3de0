"""The virtual clock: time passes only when somebody advances it, and everything due happens in order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

Action = Callable[[], object]


@dataclass(order=True)
class Event:
    """Something that will happen. Equal times keep the order in which they were asked for."""

    when: datetime
    number: int
    action: Action | None = field(compare=False)

    def cancel(self) -> None:
        """Have it not happen."""
        self.action = None


class Clock:
    """The time of a world, and what is going to happen in it."""

    def __init__(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError("a clock needs an aware time")
        self._now = now
        self._events: list[Event] = []
        self._count = 0
        self.watchers: list[Callable[[datetime], None]] = []

    @property
    def now(self) -> datetime:
        """The time it is."""
        return self._now

    def at(self, when: datetime, action: Action) -> Event:
        """Have the action happen then; a time already past means as soon as time moves at all."""
        self._count += 1
        event = Event(max(when, self._now), self._count, action)
        heapq.heappush(self._events, event)
        return event

    def after(self, span: timedelta | float, action: Action) -> Event:
        """Have the action happen once the span (or that many seconds) has passed."""
        return self.at(self._now + (span if isinstance(span, timedelta) else timedelta(seconds=span)), action)

    def next_at(self) -> datetime | None:
        """When the next thing happens, or None when nothing ever will."""
        while self._events and self._events[0].action is None:
            heapq.heappop(self._events)
        return self._events[0].when if self._events else None

    def advance_to(self, when: datetime) -> None:
        """Let everything due by then happen, each at its own time, and end at that time."""
        if when < self._now:
            raise ValueError(f"time does not go back from {self._now:%Y-%m-%dT%H:%M:%S} to {when:%Y-%m-%dT%H:%M:%S}")
        while (due := self.next_at()) is not None and due <= when:
            action = heapq.heappop(self._events).action
            self._set(max(due, self._now))
            if action is not None:
                action()
        self._set(max(when, self._now))

    def advance(self, span: timedelta) -> None:
        """Let the span pass."""
        self.advance_to(self._now + span)

    def _set(self, when: datetime) -> None:
        if when != self._now:
            self._now = when
            for watcher in self.watchers:
                watcher(when)


class PacedClock(Clock):
    """A clock on which whatever is waited for comes sooner by a factor, while time itself is as it is."""

    def __init__(self, now: datetime, speed: float) -> None:
        super().__init__(now)
        self._speed = speed

    def pace(self, speed: float) -> None:
        """From here on so much faster. What is waited for already comes at its time."""
        self._speed = speed

    def at(self, when: datetime, action: Action) -> Event:
        """As the clock's own, but the wait is shorter."""
        return super().at(self.now + (when - self.now) / self._speed, action)
