"""`python -m simulator.proof`: try to make it patch twice, late or never, and say what came of it.

python -m simulator.proof                          the bounded proof: `make prove`
python -m simulator.proof --minutes 120            for as long as there is time: `make prove-long`
python -m simulator.proof --seed 4711              one seed again, call by call
python -m simulator.proof --scenario single --faults "A@59 B@71"
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from simulator.proof import scenarios, work
from simulator.proof.explore import Found
from simulator.proof.faults import DEATHS, parse
from simulator.proof.history import History, silent
from simulator.proof.mutants import MUTANTS, Mutant, judged
from simulator.proof.seeds import story
from simulator.proof.work import Played

OUT = Path("out/prove.json")
YEAR = timedelta(days=365.25)
# In which every kind of fault is tried at every call; in the others deaths and lost answers, since what else may happen there
# happens here, too.
EVERY_KIND = ("reference", "smallest", "single", "tight", "forgetful", "nobody", "spliced")
SHARES = 6  # into which the pairs of faults of the reference campaign are divided


@dataclass(frozen=True)
class Plan:
    """How much is tried."""

    singles: tuple[str, ...] = tuple(scenarios.ALL)
    pairs: int = 1  # shares of the reference's pairs of faults
    triples: bool = True
    seeds: int = 9_000
    compared: int = 1_000
    mutants: tuple[Mutant, ...] = MUTANTS


BOUNDED = Plan()
BRIEF = Plan(("smallest", "tight", "forgetful", "hidden"), pairs=0, triples=False, seeds=200, compared=20)


@dataclass
class Sum:
    """What all of it came to."""

    explored: Counter[int] = field(default_factory=Counter)
    boundary: dict[str, int] = field(default_factory=dict)
    seeds: int = 0
    simulated: timedelta = timedelta(0)
    injected: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)
    spent: Counter[str] = field(default_factory=Counter)  # seconds of a core, by what they were spent on
    killed: dict[str, str] = field(default_factory=dict)
    survived: list[str] = field(default_factory=list)

    def take(self, task: Task, came: object, seconds: float) -> None:
        """Add what a task found, and how long it took."""
        self.spent[task.name] += round(seconds)
        if isinstance(came, Found):
            # The undisturbed history, and those with fewer faults, belong to every share.
            self.explored[task.faults] += came.histories[task.faults]
            self.boundary[task.scenario] = came.calls
            self.injected.update(came.injected)
            self.violations += [(f"--scenario {task.scenario} --faults '{one}'", what) for one, what in came.violations]
        elif isinstance(came, Played):
            self.seeds += came.seeds
            self.simulated += came.simulated
            self.injected.update(came.injected)
            self.violations += [(f"--{name}", what) for name, what in came.violations]
        elif task.mutant is not None:
            if came:
                self.killed[task.mutant.guard] = str(came)
            else:
                self.survived.append(task.mutant.guard)
        elif came:
            self.violations.append(("--log 1", str(came)))


@dataclass(frozen=True)
class Task:
    """One piece of work, for one process."""

    name: str
    run: Callable[[], object]
    weight: float  # about the seconds that it takes
    scenario: str = ""
    faults: int = 0
    mutant: Mutant | None = None


def tasks(plan: Plan) -> Iterator[Task]:
    """The work of a plan, the longest pieces first."""
    for share in range(plan.pairs):
        run = partial(work.explored, "reference", 2, only=DEATHS, share=(share, SHARES))
        yield Task("pairs of faults", run, 30, "reference", 2)
    if plan.triples:
        yield Task("triples of faults", partial(work.explored, "single", 3, only="BA"), 25, "single", 3)
    yield Task("pairs of faults", partial(work.explored, "smallest", 2, only=DEATHS), 9, "smallest", 2)
    for name in plan.singles:
        shares = 2 if name == "reference" else 1
        for share in range(shares):
            faults = 0 if name == "poisoned" else 1  # what cannot be read keeps every minute busy
            run = partial(work.explored, name, faults, only="" if name in EVERY_KIND else DEATHS, share=(share, shares))
            yield Task("single faults", run, 25 if name == "reference" else 4, name, faults)
    for mutant in plan.mutants:
        yield Task("mutants", partial(judged, mutant), 2, mutant=mutant)
    for first in range(0, plan.compared, 50):
        seeds = range(first, min(first + 50, plan.compared))
        yield Task("events", partial(work.compared, seeds), 3)
    for first in range(0, plan.seeds, 100):
        seeds = range(first, min(first + 100, plan.seeds))
        yield Task("seeds", partial(work.played, seeds), 3)
    yield Task("the same seed twice", partial(differing, 20 if plan.seeds > 1000 else 5), 4)


def differing(seeds: int) -> str:
    """Which seeds do not give the same log in another process, with another PYTHONHASHSEED; empty when all do."""
    logs = [
        subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", "simulator.proof", "--log", str(seeds)],
            env={**os.environ, "PYTHONHASHSEED": hashseed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for hashseed in ("1", "2")
    ]
    return " ".join(f"seed {seed}" for seed, (one, other) in enumerate(zip(*logs, strict=True)) if one != other)


def logs(seeds: int) -> Iterator[str]:
    """The fingerprints of these seeds' logs."""
    with silent():
        for seed in range(seeds):
            history = story(seed).history()
            work.played_through(history, strict=False)
            yield history.log()


def prove(plan: Plan, console: Console, minutes: float | None = None) -> Sum:
    """All of a plan, with progress; with `minutes`, then the rest of the reference's pairs and new seeds until they are over."""
    total, began = Sum(), time.monotonic()
    told = began
    work.played(range(2))  # templates and service models are read here, once, and not in every process
    work.explored("single", 0)
    todo = sorted(tasks(plan), key=lambda task: -task.weight)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("proving", total=sum(task.weight for task in todo))
        for task, came, seconds in _done(todo):
            total.take(task, came, seconds)
            progress.update(bar, advance=task.weight, description=f"{task.name:20}")
            _tell(console, total)
            if not console.is_terminal and time.monotonic() > told + 30:
                told = time.monotonic()
                console.print(_line(total, told - began), markup=False, highlight=False)
    more = _more(plan)
    while minutes is not None and time.monotonic() < began + minutes * 60:
        for task, came, seconds in _done(list(islice(more, 8))):
            total.take(task, came, seconds)
            _tell(console, total)
        console.print(_line(total, time.monotonic() - began), markup=False, highlight=False)
    return total


def _more(plan: Plan) -> Iterator[Task]:
    for share in range(plan.pairs, SHARES):
        run = partial(work.explored, "reference", 2, only=DEATHS, share=(share, SHARES))
        yield Task("pairs of faults", run, 30, "reference", 2)
    first = plan.seeds
    while True:
        yield Task("seeds", partial(work.played, range(first, first + 100)), 3)
        first += 100


def _done(todo: Sequence[Task]) -> Iterator[tuple[Task, object, float]]:
    """The tasks as they are done, with their seconds; each in a process of its own, since a mutant spoils its own."""
    gc.collect()
    gc.freeze()  # what is here by now is shared by all, and nobody has to look through it
    with get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        for number, came, seconds in pool.imap_unordered(_work, enumerate(todo), chunksize=1):
            if isinstance(came, BaseException):
                raise came
            yield todo[number], came, seconds


def _work(numbered: tuple[int, Task]) -> tuple[int, object, float]:
    number, task = numbered
    began = time.monotonic()
    try:
        came = task.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits must hear of it
        came = RuntimeError(f"{task.name} {task.scenario} {task.mutant and task.mutant.guard}: {error!r}")
    return number, came, time.monotonic() - began


_said: set[tuple[str, str]] = set()


def _tell(console: Console, total: Sum) -> None:
    for how, what in total.violations:
        if (how, what) not in _said:
            _said.add((how, what))
            console.print(
                f"RED {what}\n    again: .venv/bin/python -m simulator.proof {how}", markup=False, style="red"
            )
    for guard in total.survived:
        if ("", guard) not in _said:
            _said.add(("", guard))
            console.print(f"SURVIVED without the guard: {guard}", markup=False, style="red")


def _line(total: Sum, seconds: float) -> str:
    return (
        f"{seconds / 60:6.1f} min  {total.explored[1]:,} + {total.explored[2]:,} + {total.explored[3]:,} histories with 1, 2, 3 faults, "
        f"{total.seeds:,} seeds, {len(total.violations)} violations"
    )


def figures(total: Sum, seconds: float) -> dict[str, Any]:
    """What `out/prove.json` holds."""
    return {
        "boundaryCalls": total.boundary.get("reference", max(total.boundary.values(), default=0)),
        "singleFaultHistories": total.explored[1],
        "doubleFaultHistories": total.explored[2],
        "tripleFaultHistories": total.explored[3],
        "seeds": total.seeds,
        "simulatedYears": round(total.simulated / YEAR, 1),
        "faultsInjected": dict(sorted(total.injected.items())),
        "violations": len(total.violations),
        "mutants": len(total.killed) + len(total.survived),
        "mutantsKilled": len(total.killed),
        "wallSeconds": round(seconds, 1),
    }


def again(history: History, *, strict: bool, console: Console) -> int:
    """Play one history, saying each call that something happened to."""
    faults: list[str] = []
    disturb = history.disturb

    def telling(call: Any) -> str | None:
        mode = disturb(call) if disturb else None
        if mode:
            faults.append(f"{history.now:%Y-%m-%d %H:%M:%S} {call.number:5} {call.worker:10} {call.name:36} {mode}")
        return mode

    history.disturb = telling if disturb else None
    with silent():
        _, verdict, wrong = work.played_through(history, strict=strict)
    for line in (*faults, *(f"{mail.at:%Y-%m-%d %H:%M:%S} mail {mail.subject}" for mail in history.memory.mails)):
        console.print(line, markup=False, highlight=False)
    for what in dict.fromkeys((*wrong, *verdict.wrong)):
        console.print(f"RED {what}", markup=False, style="red")
    console.print(f"log {history.log()}", markup=False, highlight=False)
    return 1 if wrong or verdict.wrong else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m simulator.proof", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, help="go on for so long")
    parser.add_argument("--brief", action="store_true", help="the form that is part of the tests")
    parser.add_argument("--out", type=Path, default=OUT, help="where the figures are written (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="play this seed again")
    parser.add_argument("--events", type=int, help="play this seed of events again")
    parser.add_argument("--scenario", choices=tuple(scenarios.ALL), help="play this scenario again")
    parser.add_argument("--faults", default="", help="with these faults, as they were printed")
    parser.add_argument("--log", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    console = Console()
    if asked.log is not None:
        sys.stdout.write("\n".join(logs(asked.log)))
        return 0
    if asked.seed is not None:
        told = story(asked.seed)
        return again(told.history(), strict=told.gentle, console=console)
    if asked.events is not None:
        return again(story(asked.events, "events").history(), strict=True, console=console)
    if asked.scenario:
        found = [parse(one) for one in asked.faults.split() if "@" in one]
        modes = {fault.at: fault.mode for fault in found}
        scenario = scenarios.ALL[asked.scenario]()
        history = History(scenario, disturb=lambda call: modes.get(call.number), cold=True)
        return again(history, strict=scenario.strict and all(fault.passes for fault in found), console=console)
    began = time.monotonic()
    total = prove(BRIEF if asked.brief else BOUNDED, console, asked.minutes)
    made = figures(total, time.monotonic() - began)
    asked.out.parent.mkdir(exist_ok=True)
    asked.out.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    console.print_json(json.dumps(made))
    spent = ", ".join(f"{seconds} on {what}" for what, seconds in total.spent.most_common())
    console.print(f"Seconds of a core: {spent}", markup=False, highlight=False)
    return 1 if total.violations or total.survived else 0


if __name__ == "__main__":
    sys.exit(main())
