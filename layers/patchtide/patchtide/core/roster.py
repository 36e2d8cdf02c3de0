"""What a run knows of one location: who is expected there, how its part ended, how much of its evidence is in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Literal

from patchtide.core.evidence import Ending
from patchtide.core.frozen import frozen
from patchtide.core.location import Location
from patchtide.core.outcome import Cause, Instance

PAGE = 50  # instances of a page: one DescribeInstancePatchStates call, and one transaction with all its rows
MAX_PAGES = 96  # a transaction has at most 100 actions, and freezing a location is one transaction


class LocationState(StrEnum):
    """Where a location stands within a run."""

    EXPECTED = "expected"  # written down, not yet asked
    RESOLVED = "resolved"  # its instances are known and frozen
    EMPTY = "empty"
    UNREACHABLE = "unreachable"
    ENDED = "ended"  # its part of the execution is over
    COLLECTED = "collected"


@frozen
class LocationRun:
    """One location of a wave.

    `named` says that its instances must be named one by one, because not all that its targets match are meant; `held` of them
    are left alone: another run has them, or an exception spares them. `roster` is a fingerprint of those expected. `parts_ended` are the executions of it that are over.
    """

    run: str
    wave: str
    location: Location
    state: LocationState = LocationState.EXPECTED
    instances: int = 0
    pages: int = 0
    pages_collected: int = 0
    child: str | None = None
    ending: Ending | None = None
    ended_at: datetime | None = None
    cause: Cause = Cause.NONE
    sentence: str = ""
    named: bool = False
    held: int = 0
    roster: str = ""
    parts_ended: tuple[int, ...] = ()
    account_name: str = ""

    @property
    def startable(self) -> int:
        """Instances for which something is to be started."""
        return self.instances - self.held


@frozen
class Ended:
    """How a location's part of an execution ended, and its own execution, where it had one."""

    ending: Ending
    child: str | None = None


@frozen
class Inquiry:
    """A question about one location, for the collector: who are its targets, what became of them; or to halt what waits there.

    `child` is the location's own execution, where it is to be stopped as well.
    """

    purpose: Literal["targets", "evidence", "halt"]
    run: str
    wave: str
    account: str
    region: str
    child: str = ""

    @property
    def location(self) -> Location:
        """The location asked about."""
        return Location(self.account, self.region)


def pages(instances: Iterable[Instance]) -> tuple[tuple[Instance, ...], ...]:
    """The instances in the order of their ids, a page each."""
    ordered = sorted(set(instances), key=lambda instance: instance.id)
    return tuple(tuple(ordered[first : first + PAGE]) for first in range(0, len(ordered), PAGE))


@frozen
class Hold:
    """Instances that a wave of a run has to itself from its window's start on, until it is done with them at the latest."""

    run: str
    wave: str
    until: datetime
    instances: tuple[str, ...]
    start: datetime | None = None

    def meets(self, start: datetime, until: datetime) -> bool:
        """Whether it and another span have any time in common."""
        return (self.start is None or self.start < until) and start < self.until


@frozen
class Holds:
    """All holds in one location, and how often they were changed: whoever adds one must have seen the others."""

    location: Location
    held: tuple[Hold, ...] = ()
    changes: int = 0


def fingerprint(instances: Iterable[Instance]) -> str:
    """A short digest of which instances these are."""
    text = " ".join(sorted(instance.id for instance in instances))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
