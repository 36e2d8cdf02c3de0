"""One worker's turn at one run: load, fold, save, perform what is due, fold the answers, save; until nothing is due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from patchtide.core.errors import Busy, Overtaken
from patchtide.core.run import Command, Counted, Run, Seen, ask, due, fold
from patchtide.flow.cloud import Now, Runs

logger = logging.getLogger(__name__)

Perform = Callable[[Command, Run], Iterable[Seen]]
TRIES = 5


def step(run_id: str, runs: Runs, mine: tuple[type[Command], ...], perform: Perform, now: Now) -> None:
    """This worker does what is due and its to do.

    What is about to be done is noted and saved first, so that a second worker leaves it alone. Each command is performed
    once per turn, however often it stays due. Raises Overtaken when somebody else was at it before anything was done.
    """
    dossier = runs.load(run_id)
    kept = dossier.run
    seen: Sequence[Seen] = [Counted(wave, tally) for wave, tally in dossier.tallies.items()]
    done: set[Command] = set()
    while True:
        run = fold(kept, seen, now())
        todo = [command for command in due(run, now()) if isinstance(command, mine) and command not in done]
        noted = ask(run, todo, now())
        if noted != kept:
            try:
                kept = runs.save(kept, noted, now())
            except Overtaken:
                if done:
                    _keep(seen, run_id, runs, now)
                raise
        if not todo:
            return
        done.update(todo)
        seen = list(_performed(todo, kept, perform))


def _performed(todo: Iterable[Command], run: Run, perform: Perform) -> Iterator[Seen]:
    for command in todo:
        try:
            yield from perform(command, run)
        except Busy as busy:  # it stays due, and is asked for again
            logger.warning("run %s: %s must wait: %s", run.id, type(command).__name__, busy)


def _keep(seen: Sequence[Seen], run_id: str, runs: Runs, now: Now) -> None:
    """Answers are facts whoever else changed the run meanwhile: lost, they would be asked for again, and people told twice."""
    for _ in range(TRIES):
        kept = runs.load(run_id).run
        after = fold(kept, seen, now())
        try:
            if after != kept:
                runs.save(kept, after, now())
        except Overtaken:
            continue
        return
