"""`python -m bench`: measure what the service costs and how it grows, and say what was measured of a worse way.

python -m bench                           all of it: `make bench`
python -m bench --only callsOverFloor     some of it
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from bench import calls, prices, silence, store, weight, words, work
from bench.figures import Figure, as_json, said
from bench.world import FULL, TINY, Bench, Scale

OUT = Path("out/bench.json")
FAMILIES = (calls, silence, store, words, prices, work, weight)
MEASURES: Mapping[str, Callable[[Bench], Figure]] = {
    key: measure for family in FAMILIES for key, measure in family.FIGURES.items()
}


def measured(keys: Sequence[str], bench: Bench) -> Iterator[Figure]:
    """The figures as they are measured."""
    for number, key in enumerate(keys, 1):
        bench.say(f"{number} of {len(keys)}: {key}")
        yield MEASURES[key](bench)


def record(figures: Iterable[Figure], scale: Scale, seconds: float) -> dict[str, Any]:
    """What `out/bench.json` holds."""
    figures = tuple(figures)
    return {
        "schema": "patchtide.bench/1",
        "full": scale == FULL,
        "wallSeconds": round(seconds, 1),
        "missed": [one.key for one in figures if not one.met],
        "controlsNotRed": [one.key for one in figures if not one.guarded],
        "figures": as_json(figures),
    }


def drawn(figures: Iterable[Figure]) -> Group:
    """The figures as people read them: each on a line, and below it what it is and what it was held against."""
    return Group(*(part for one in figures for part in _drawn(one)))


def _drawn(one: Figure) -> Iterator[RenderableType]:
    style = "green" if one.fine else "red"
    line = Text(f"{one.key:27}", style="bold")
    line.append(f"{said(one.value):>8}  {one.target!s:10}", style=style)
    line.append(f"{one.verdict:8}", style=style)
    line.append(f"worse {said(one.control.value)}")
    yield line
    for text in (f"{one.title}: {one.formula}", f"worse: {one.control.what}"):
        yield Padding(Text(text, style="dim"), (0, 0, 0, 4))


def progress(console: Console) -> Callable[[str], None]:
    """What says how far it is: a line that changes on a terminal, lines elsewhere."""
    began = time.monotonic()
    status = console.status("measuring") if console.is_terminal else None
    if status:
        status.start()

    def say(what: str) -> None:
        if status:
            status.update(what)
        else:
            console.print(f"{time.monotonic() - began:6.1f} s  {what}", markup=False, highlight=False)

    return say


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="KEY", choices=tuple(MEASURES), help="measure these figures alone")
    parser.add_argument("--tiny", action="store_true", help="at the sizes of the tests, which no target is meant for")
    parser.add_argument("--out", type=Path, default=OUT, help="where the figures are written (default: %(default)s)")
    asked = parser.parse_args(words)
    scale, began = TINY if asked.tiny else FULL, time.monotonic()
    figures = tuple(measured(asked.only or tuple(MEASURES), Bench(scale, progress(Console(stderr=True)))))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    made = record(figures, scale, time.monotonic() - began)
    asked.out.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    console = Console()
    console.print(drawn(figures))
    wrong = [one for one in figures if not one.fine]
    for one in wrong:
        console.print(f"{one.verdict.upper()} {one.key}: {said(one.value)}, {one.target}", markup=False, style="red")
    console.print(
        f"{len(figures) - len(wrong)} of {len(figures)} figures as they should be: {asked.out}", highlight=False
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
