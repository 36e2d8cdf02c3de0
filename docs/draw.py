"""Draws the state tables of core/states.py into docs/states.md, so that the picture is never another story than the code.

Run it by `make pictures`; a test fails when the picture is stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from patchtide.core.states import (
    EXECUTION_MOVES,
    OVER,
    RUN_ENDS,
    STOPPED,
    WAVE_MOVES,
    ExecutionState,
    Move,
    RunState,
    WaveState,
)

PAGE = Path(__file__).parent / "states.md"

HEAD = """# States

Drawn from the tables in `core/states.py` by `make pictures`; what the words mean is said there. Nothing ever moves back, but
for a start that turned out never to have been sent.
"""

Moves = Mapping[StrEnum, Mapping[str, StrEnum]]


def page() -> str:
    """The page as it should be."""
    pictures: tuple[tuple[str, StrEnum, Moves, frozenset[StrEnum]], ...] = (
        ("A run", RunState.OPEN, {RunState.OPEN: {why: end for end, why in RUN_ENDS.items()}}, frozenset(RUN_ENDS)),
        ("A wave", WaveState.PLANNED, _reasons(WAVE_MOVES), OVER),
        ("An execution", ExecutionState.PLANNED, _reasons(EXECUTION_MOVES), STOPPED),
    )
    parts = [HEAD]
    for title, first, moves, last in pictures:
        parts.append(f"## {title}\n\n```mermaid\nstateDiagram-v2\n" + "\n".join(_lines(first, moves, last)) + "\n```\n")
    return "\n".join(parts)


def _reasons(
    moves: Mapping[WaveState, Mapping[Move, WaveState]] | Mapping[ExecutionState, Mapping[Move, ExecutionState]],
) -> Moves:
    return {state: {move.value: after for move, after in onward.items()} for state, onward in moves.items()}


def _lines(first: StrEnum, moves: Mapping[StrEnum, Mapping[str, StrEnum]], last: frozenset[StrEnum]) -> Iterator[str]:
    yield f"    [*] --> {_name(first)}"
    for state, onward in moves.items():
        for reason, after in onward.items():
            yield f"    {_name(state)} --> {_name(after)}: {reason}"
    for state in sorted(last):
        yield f"    {_name(state)} --> [*]"


def _name(state: StrEnum) -> str:
    return state.value.replace(" ", "_")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
