"""One worker's turn at one run: load, fold, save, perform what is due, fold the answers, save; until nothing is due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from patchtide.core.errors import Busy, Overtaken
from patchtide.core.run import Command, Counted, Run, Seen, ask, due, fold
from patchtide.flow.cloud import Now, Runs

logger = logging.getLogger(__name__)

Perform = Callable[[Command, Run], Iterable[Seen]]


def step(run_id: str, runs: Runs, mine: tuple[type[Command], ...], perform: Perform, now: Now) -> Run | None:
    """The run after this worker did what was due and its to do; None when somebody else was at it.

    What is about to be done is noted and saved first, so that a second worker leaves it alone. Each command is performed
    once per turn, however often it stays due.
    """
    dossier = runs.load(run_id)
    kept = dossier.run
    run = fold(kept, [Counted(wave, tally) for wave, tally in dossier.tallies.items()], now())
    done: set[Command] = set()
    try:
        while True:
            todo = [command for command in due(run, now()) if isinstance(command, mine) and command not in done]
            noted = ask(run, todo, now())
            if noted != kept:
                kept = runs.save(kept, noted, now())
            if not todo:
                return kept
            done.update(todo)
            run = fold(kept, list(_performed(todo, kept, perform)), now())
    except Overtaken:
        logger.info("run %s is in other hands", run_id)
        return None


def _performed(todo: Iterable[Command], run: Run, perform: Perform) -> Iterator[Seen]:
    for command in todo:
        try:
            yield from perform(command, run)
        except Busy as busy:  # it stays due, and is asked for again
            logger.warning("run %s: %s must wait: %s", run.id, type(command).__name__, busy)
