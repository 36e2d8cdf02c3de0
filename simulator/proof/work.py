"""The pieces of work that the proof is made of. Each can be done in a process of its own, and says what it found."""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from simulator.proof import scenarios
from simulator.proof.explore import Explorer, Found
from simulator.proof.faults import KINDS
from simulator.proof.history import History, silent
from simulator.proof.oracle import Memo, Verdict, final, judge
from simulator.proof.seeds import Story, story

T = TypeVar("T")


@dataclass
class Played:
    """What came of some seeds."""

    seeds: int = 0
    simulated: timedelta = timedelta(0)
    injected: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)


def swift() -> None:
    """Let values be replaced by copying them whole, and not field by field through `__init__`: the same values in a fifth of the
    time, which is a tenth of all there is. True of frozen dataclasses without `__post_init__`, as all of `core` are."""
    for name, module in list(sys.modules.items()):
        if name.startswith("patchtide.") and getattr(module, "replace", None) is dataclasses.replace:
            module.replace = replaced  # type: ignore[attr-defined]


def replaced(value: T, /, **changes: object) -> T:
    """What `dataclasses.replace` gives."""
    made = object.__new__(type(value))
    made.__dict__.update(value.__dict__)
    made.__dict__.update(changes)
    return made


def explored(name: str, faults: int, *, only: str = "", share: tuple[int, int] = (0, 1)) -> Found:
    """Every history of a scenario with up to so many faults; of the first ones, a share."""
    with silent(), _steady():
        return Explorer(scenarios.ALL[name](), faults, only=only, share=share).explore()


def played(seeds: Iterable[int], kind: str = "") -> Played:
    """What comes of these seeds."""
    done = Played()
    swift()
    with silent():
        for seed in seeds:
            _play(story(seed, kind), done)
    return done


def _play(told: Story, done: Played) -> None:
    history = told.history()
    _, verdict, wrong = played_through(history, strict=told.gentle)
    done.seeds += 1
    done.simulated += told.scenario.ends - told.scenario.begins
    done.injected.update({KINDS[mode]: times for mode, times in history.injected.items()})
    done.injected.update(history.weathered)
    done.ends.update(verdict.ends.values())
    done.violations += [(f"seed {told.seed}", one) for one in dict.fromkeys((*wrong, *verdict.wrong))]


def played_through(history: History, *, strict: bool) -> tuple[Memo, Verdict, tuple[str, ...]]:
    """A history to its end, judged after every step; what was wrong on the way and in the end."""
    memo, wrong = Memo(), list[str]()
    while history.step() and not wrong:
        memo, found = judge(history, memo)
        wrong += found
    return memo, final(history, memo, None, strict=strict), tuple(wrong)


def compared(seeds: Iterable[int]) -> Played:
    """Seeds whose events are dropped, doubled, shuffled and delayed, against the same without: nothing may differ in the end."""
    done = Played()
    swift()
    with silent():
        for seed in seeds:
            told = story(seed, "events")
            calm = told.history(calm=True)
            _, reference, _ = played_through(calm, strict=True)
            history = told.history()
            memo, _, wrong = played_through(history, strict=True)
            verdict = final(history, memo, reference, strict=True)
            done.seeds += 1
            done.simulated += 2 * (told.scenario.ends - told.scenario.begins)
            done.injected.update(history.weathered)
            done.ends.update(verdict.ends.values())
            done.violations += [(f"events {seed}", one) for one in dict.fromkeys((*wrong, *verdict.wrong))]
    return done


def first_violation(looks: Iterable[str]) -> str:
    """The first thing that is wrong in these looks (`scenario:faults`, with letters behind where only those are tried, or
    `seeds:kind:count`); empty where nothing is."""
    for look in looks:
        name, *rest = look.split(":")
        if name == "seeds":
            for seed in range(int(rest[1])):
                done = played([seed], rest[0])
                if done.violations:
                    return f"{rest[0]} {done.violations[0][0]}: {done.violations[0][1]}"
            continue
        with silent(), _steady():
            found = Explorer(scenarios.ALL[name](), int(rest[0][0]), only=rest[0][1:], first_only=True).explore()
        if found.violations:
            return f"{name}, {found.violations[0][0]}: {found.violations[0][1]}"
    return ""


@contextmanager
def _steady() -> Iterator[None]:
    """Without the garbage collector: states stay, and it would look through them again and again. Worlds that are thrown away
    by the hundred, as those of seeds, are better given back while they are small."""
    swift()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
