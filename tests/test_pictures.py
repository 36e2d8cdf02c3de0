"""The pictures in docs are those of the code as it is."""

import re

from docs.draw import PAGE, page
from patchtide.core.states import EXECUTION_MOVES, WAVE_MOVES, ExecutionState, RunState, WaveState


def test_the_picture_of_the_states_is_drawn_from_the_tables() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make pictures`"


def test_every_state_and_every_move_is_in_it() -> None:
    drawn = page()
    for state in (*RunState, *WaveState, *ExecutionState):
        assert state.value.replace(" ", "_") in drawn
    arrows = len(re.findall(r"^    \w+ --> \w+: ", drawn, re.MULTILINE))
    moves = sum(len(onward) for table in (WAVE_MOVES, EXECUTION_MOVES) for onward in table.values())
    assert arrows == moves + len(RunState) - 1
