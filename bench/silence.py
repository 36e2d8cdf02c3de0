"""What a Region that does not answer costs everybody else: the calls that meet its silence, each a minute and a half of somebody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.figures import Control, Figure, Growth, Target
from bench.world import REGIONS, Bench, Size, looked_at, stage
from patchtide.aws.patience import Patience
from patchtide.core.location import Location
from patchtide.core.roster import LocationState
from patchtide.core.states import WaveState
from patchtide.flow.collector import Collector
from simulator.memory import Call, Memory
from simulator.proof import faults
from simulator.proof.history import History, silent

DARK = REGIONS[-1]
FOUND_OUT = (WaveState.PLANNED, WaveState.PREPARING)


def calls_into_silence(bench: Bench) -> Figure:
    """callsIntoSilence."""
    grown: dict[int, float] = {}
    for accounts in bench.scale.silent:
        bench.say(f"asking {accounts * len(REGIONS):,} locations, of which one Region answers nothing")
        grown[accounts * len(REGIONS)] = met_silence(Size(accounts, 1))
    bench.say("the same with a collector that knows no patience")
    worse = met_silence(Size(bench.scale.silent[0], 1), hub=Impatient)
    return Figure(
        "callsIntoSilence",
        "calls that a warm collector makes to a Region that does not answer",
        f"calls to it until the window begins, among {max(grown):,} locations half of which are there; all others are known by then",
        grown[max(grown)],
        Target("most", 8),
        Control("a collector that asks whoever is asked about", worse),
        Growth("locations", "calls", "constant", grown),
    )


def met_silence(size: Size, *, hub: type[Memory] = Memory) -> int:
    """How many calls met the silence of the dark Region before the window began. Raises RuntimeError where a location of another
    was not known by then."""
    history, _ = stage(size, hub=hub)
    history.disturb = lambda call: faults.SILENT if into_the_dark(call) else None
    with silent():
        while history.step():
            run = looked_at(history)
            if run and run.waves[0].state not in FOUND_OUT:
                break
    if (known := answered(history)) != size.accounts * (len(REGIONS) - 1):
        raise RuntimeError(f"{known} locations are known, of {size.accounts} that answer")
    return sum(into_the_dark(call) for call, _, _ in history.seen)


def into_the_dark(call: Call) -> bool:
    """Whether the collector asks something there."""
    return call.worker == "collector" and call.service in ("ec2", "ssm") and call.caller.region == DARK


def answered(history: History) -> int:
    """How many locations are frozen."""
    rows = history.memory.tables.tables["RunsTable"].items
    return sum(sk.startswith("location#") and item["state"] == LocationState.RESOLVED for (_, sk), item in rows.items())


class Impatient(Memory):
    """The stack with a collector that never leaves anybody alone."""

    def collector(self) -> Collector:
        """The collector function's own."""
        made = super().collector()
        made.spokes.patience = _Never(self.now)  # type: ignore[attr-defined]
        return made


class _Never(Patience):
    def check(self, location: Location) -> None:
        """Nobody is left alone."""


FIGURES: Mapping[str, Callable[[Bench], Figure]] = {"callsIntoSilence": calls_into_silence}
