"""What has been counted of a wave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from patchtide.core.frozen import frozen
from patchtide.core.outcome import Cause, Outcome


@frozen
class Tally:
    """What the collectors counted of a wave, each location and each page of instances exactly once."""

    resolved: int = 0  # locations whose targets are known, or known to be out of reach
    unreachable: int = 0  # of those, out of reach
    empty: int = 0  # of those, with nothing to patch
    set_aside: int = 0  # of those with instances, all of whose instances are left alone
    collected: int = 0  # locations whose evidence is complete
    instances: int = 0  # the expected set
    compliant: int = 0  # of those, whose own evidence shows nothing against them
    joined: int = (
        0  # instances that AWS patched though they were not expected: they matched only after the set was frozen
    )
    outcomes: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)

    @property
    def excepted(self) -> int:
        """Expected instances that an exception spares."""
        return self.causes.get(Cause.EXCEPTED, 0)

    @property
    def patching(self) -> int:
        """Locations with instances to account for."""
        return self.resolved - self.unreachable - self.empty

    @property
    def startable(self) -> int:
        """Locations for which something is to be started."""
        return self.patching - self.set_aside

    def count(self, *outcomes: Outcome) -> int:
        """Instances with one of these outcomes."""
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes)

    @property
    def open_instances(self) -> int:
        """Expected instances of which nothing is known yet."""
        return self.instances - sum(self.outcomes.values())
