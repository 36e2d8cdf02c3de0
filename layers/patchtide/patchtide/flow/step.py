"""One worker's turn at one run: load, fold, save, perform what is due, fold the answers, save; until nothing is due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from patchtide.core.advance import fold
from patchtide.core.commands import Command
from patchtide.core.due import ask, due
from patchtide.core.errors import Busy, CloudError, Overtaken, Refused
from patchtide.core.run import Run, about
from patchtide.core.seen import Counted, Ordered, Seen

if TYPE_CHECKING:
    from patchtide.flow.cloud import Now, Runs

logger = logging.getLogger(__name__)

Perform = Callable[[Command, Run], Iterable[Seen]]
TRIES = 5
BATCH = 10  # commands that are noted, performed and kept at a time
TURN = timedelta(seconds=30)  # a function lives for 120, and other runs want their turn


def step(run_id: str, runs: Runs, mine: tuple[type[Command], ...], perform: Perform, now: Now) -> None:
    """This worker does what is due and its to do.

    What is about to be done is noted and saved first, so that a second worker leaves it alone. Each command is performed
    once per turn, however often it stays due. Little is noted at a time, and nothing more once the turn has lasted: what a worker
    that dies had noted waits for minutes, and one that always dies at the same place would never get on. Raises Overtaken when somebody else was at it, and Refused, at the end, when
    AWS refused a command: somebody has to mend something before it can be done.
    """
    dossier = runs.load(run_id)
    kept = dossier.run
    seen: Sequence[Seen] = [
        *(Counted(wave, tally) for wave, tally in dossier.tallies.items()),
        *(Ordered(order) for order in dossier.orders),
    ]
    done: set[Command] = set()
    refusals: list[Refused] = []
    began = now()
    while True:
        run = fold(kept, seen, now())
        todo = [command for command in due(run, now()) if isinstance(command, mine) and command not in done][:BATCH]
        if now() >= began + TURN:
            todo = []
        noted = ask(run, todo, now())
        if noted != kept:
            try:
                kept = runs.save(kept, noted, now())
            except CloudError:
                if done:
                    _keep(seen, run_id, runs, now)
                raise
        if not todo:
            break
        done.update(todo)
        seen = list(_performed(todo, kept, perform, refusals))
    if refusals:
        raise refusals[0]


def _performed(todo: Iterable[Command], run: Run, perform: Perform, refusals: list[Refused]) -> Iterator[Seen]:
    """The answers of all that could be performed: what one command is refused takes nothing from what another saw."""
    for command in todo:
        try:
            yield from perform(command, run)
        except Busy as busy:  # it stays due, and is asked for again
            logger.warning("run %s: %s must wait: %s", run.id, type(command).__name__, busy, extra=about(run))
        except Refused as refused:
            logger.error("run %s: %s was refused: %s", run.id, type(command).__name__, refused, extra=about(run))  # noqa: TRY400 - said in full
            refusals.append(refused)


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
