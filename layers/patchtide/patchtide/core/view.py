"""How things look from outside: a run as it is stored, an execution as AWS shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from patchtide.core.frozen import frozen
from patchtide.core.location import Location
from patchtide.core.orders import Order
from patchtide.core.run import Run
from patchtide.core.tally import Tally


@frozen
class Dossier:
    """A run with what the collectors have counted by now, and the orders that it has not answered."""

    run: Run
    tallies: Mapping[str, Tally]
    orders: tuple[Order, ...] = ()

    @property
    def latest(self) -> tuple[Tally, ...]:
        """The counts of each wave, the collectors' own where they are ahead of the run's."""
        return tuple(self.tallies.get(wave.name, wave.tally) for wave in self.run.waves)


@frozen
class LocationStep:
    """What an execution says of one of its locations."""

    location: Location
    status: str
    over: bool
    child: str | None
    reason: str


@frozen
class View:
    """What an execution looks like: `mark` changes whenever anything about it does."""

    status: str
    over: bool
    mark: str
    reason: str
    steps: Callable[[], tuple[LocationStep, ...]]
