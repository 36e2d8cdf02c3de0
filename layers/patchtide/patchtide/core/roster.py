"""What a run knows of one location: who is expected there, how its part ended, how much of its evidence is in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from patchtide.core.evidence import Ending
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


@dataclass(frozen=True)
class LocationRun:
    """One location of a wave."""

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


@dataclass(frozen=True)
class Inquiry:
    """A question about one location, for the collector: who are its targets, or what became of them."""

    purpose: Literal["targets", "evidence"]
    run: str
    wave: str
    account: str
    region: str

    @property
    def location(self) -> Location:
        """The location asked about."""
        return Location(self.account, self.region)


def pages(instances: Iterable[Instance]) -> tuple[tuple[Instance, ...], ...]:
    """The instances in the order of their ids, a page each."""
    ordered = sorted(set(instances), key=lambda instance: instance.id)
    return tuple(tuple(ordered[first : first + PAGE]) for first in range(0, len(ordered), PAGE))
