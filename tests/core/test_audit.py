"""The audit trail: what it says of a run, and how it shows that somebody was at it."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from patchtide.core.audit import End, Line, faults, lines, read, unlike
from patchtide.core.orders import Answered, Order
from patchtide.core.run import Execution, Run
from patchtide.core.states import ExecutionState
from tests.values import a_run

NOW = datetime(2026, 12, 12, 22, 0, tzinfo=UTC)
OPENED = a_run("web", NOW, NOW)

PLANNED = Execution("all", 1, '{"a": 1}', 1, "token-1")


def running(**changes: object) -> Run:
    execution = replace(PLANNED, state=ExecutionState.STARTING, asked_at=NOW, first_asked_at=NOW)
    return replace(OPENED, executions=(replace(execution, **changes),))  # type: ignore[arg-type]


def said(found: tuple[Line, ...]) -> list[tuple[str, str]]:
    return [(line["what"], line["said"]) for line in (json.loads(one.text) for one in found)]


def test_a_start_has_a_line_when_it_is_asked_for_and_one_when_it_is_answered() -> None:
    asked = running()
    request = hashlib.sha256(b'{"a": 1}').hexdigest()
    assert said(lines(replace(asked, executions=(PLANNED,)), asked, NOW)) == [
        ("start asked", f"token token-1, request {request}")
    ]
    assert said(lines(asked, running(state=ExecutionState.RUNNING, id="e-1"), NOW)) == [("started", "e-1")]


def test_what_did_not_change_has_no_line() -> None:
    assert lines(running(), running(), NOW) == ()


def test_a_stop_a_refusal_and_an_end_say_so() -> None:
    going = running(state=ExecutionState.RUNNING, id="e-1")
    assert said(lines(going, running(state=ExecutionState.RUNNING, id="e-1", stop_asked_at=NOW), NOW)) == [
        ("stop asked", "e-1")
    ]
    assert said(lines(running(), running(state=ExecutionState.REFUSED, reason="denied"), NOW)) == [
        ("refused", "denied")
    ]
    ended = running(state=ExecutionState.ENDED, id="e-1", status="Success")
    assert said(lines(going, ended, NOW)) == [("ended", "Success")]


def test_a_persons_word_is_in_it() -> None:
    run = OPENED
    order = Order("o-1", "approve", "arn:aws:sts::1:assumed-role/Ops/me", NOW, wave="all")
    told = replace(run, orders=(Answered(order, True, "wave all may begin"),))
    assert said(lines(run, told, NOW)) == [
        ("order", "approve by arn:aws:sts::1:assumed-role/Ops/me, accepted: wave all may begin")
    ]


def test_each_line_seals_the_one_before_also_over_several_saves() -> None:
    first = running()
    (one,) = lines(replace(first, executions=(PLANNED,)), first, NOW)
    kept = replace(first, audited=1, seal=one.seal)
    later = NOW + timedelta(minutes=1)
    (two,) = lines(kept, replace(running(state=ExecutionState.RUNNING, id="e-1"), audited=1, seal=one.seal), later)
    assert (one.number, two.number) == (1, 2)
    assert json.loads(one.text)["before"] == ""
    assert json.loads(two.text)["before"] == one.seal == hashlib.sha256(one.text.encode()).hexdigest()


def test_a_line_that_somebody_changed_no_longer_has_its_seal() -> None:
    first = running()
    (one,) = lines(replace(first, executions=(PLANNED,)), first, NOW)
    assert replace(one, text=one.text.replace("token-1", "token-2")).seal != one.seal


# --- whether a trail is what was written ----------------------------------------------------------------------------------------


def a_trail(length: int = 5, word: str = "e") -> tuple[Line, ...]:
    """A trail of so many lines, as one run would have it."""
    made: list[Line] = []
    kept = replace(OPENED, executions=(PLANNED,))
    for number in range(1, length + 1):
        later = replace(kept, executions=(replace(PLANNED, asked_at=NOW + timedelta(minutes=number), token=word),))
        made += lines(kept, later, NOW + timedelta(minutes=number))
        kept = replace(later, audited=len(made), seal=made[-1].seal)
    return tuple(made)


TRAIL = a_trail()
END = End(5, TRAIL[-1].seal)


def file_of(*texts: str) -> tuple[Line, ...]:
    """A trail as it is read from a file, where a line's number is its place."""
    return read("".join(f"{text}\n" for text in texts))


def changed(line: Line) -> Line:
    return replace(line, text=line.text.replace("token e", "token f"))


def forged(number: int, before: str) -> str:
    """A line that is as it should be, but for being somebody else's."""
    told = {"before": before, "number": number, "at": "2026-12-12T22:00:00Z", "what": "x", "about": "", "said": ""}
    return json.dumps(told)


TEXTS = [line.text for line in TRAIL]


def test_a_trail_as_it_was_written_has_no_fault() -> None:
    assert len(TRAIL) == 5
    assert faults(TRAIL, END) == faults(file_of(*TEXTS), END) == ()
    assert faults((), End(0, "")) == faults(read(""), End(0, "")) == ()


@pytest.mark.parametrize("place", [1, 2, 3, 4])
def test_a_line_that_was_changed_is_named(place: int) -> None:
    found = [changed(line) if line.number == place else line for line in TRAIL]
    assert faults(found, END) == (f"line {place} was changed: its seal is not what line {place + 1} says",)


def test_the_last_line_is_held_by_the_runs_seal_alone() -> None:
    found = (*TRAIL[:-1], changed(TRAIL[-1]))
    assert faults(found, END) == ("the run's seal is not that of line 5: one of the two was changed",)
    assert faults(TRAIL, End(5, "0" * 64)) == ("the run's seal is not that of line 5: one of the two was changed",)
    assert faults(found) == ()


def test_a_line_that_seals_another_is_named_with_the_one_that_it_should_seal() -> None:
    told = [json.loads(text) for text in TEXTS]
    other = json.dumps(told[2] | {"before": "0" * 64})
    either = ("line 2 or line 3 was changed: the one does not seal the other",)
    assert faults(file_of(*TEXTS[:2], other, *TEXTS[3:]), END) == faults(file_of(*TEXTS[:2], other)) == either
    first = json.dumps(told[0] | {"before": "0" * 64})
    assert faults(file_of(first, *TEXTS[1:]), END) == ("line 1 was changed: it seals a line before it",)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ((2, 3, 4, 5), "line 1 is missing"),
        ((1, 3, 4, 5), "line 2 is missing"),
        ((1, 5), "lines 2 to 4 are missing"),
        ((1, 2, 3, 4), "line 5 is missing"),
        ((1, 2), "lines 3 to 5 are missing"),
        ((), "lines 1 to 5 are missing"),
    ],
)
def test_lines_that_were_dropped_are_named(left: tuple[int, ...], said: str) -> None:
    found = [line for line in TRAIL if line.number in left]
    assert faults(found, END) == faults(file_of(*(line.text for line in found)), END) == (said,)


def test_a_line_that_was_put_in_is_found() -> None:
    put_in = forged(3, TRAIL[1].seal)
    assert faults(file_of(*TEXTS[:2], put_in, *TEXTS[2:]), END) == ("line 3 stands again where line 4 should be",)
    changed_3 = "line 3 was changed: its seal is not what line 4 says"
    assert faults(file_of(*TEXTS[:2], put_in, *TEXTS[3:]), END) == (changed_3,)
    assert faults(file_of(*TEXTS[:2], "", *TEXTS[2:]), END) == ("line 3 cannot be read",)
    assert faults(file_of(*TEXTS, forged(6, TRAIL[4].seal)), END) == (
        "line 6 comes after the seal: the run knows of 5",
    )


def test_lines_that_changed_places_are_found() -> None:
    swapped = file_of(TEXTS[0], TEXTS[2], TEXTS[1], *TEXTS[3:])
    assert faults(swapped, END) == ("line 2 is not in its place: line 3 stands before it",)
    rekeyed = (TRAIL[0], replace(TRAIL[1], number=3), replace(TRAIL[2], number=2), *TRAIL[3:])
    assert faults(rekeyed, END) == ("line 2 is kept as line 3",)


def test_a_line_that_ends_early_is_found() -> None:
    whole = "".join(f"{text}\n" for text in TEXTS)
    assert faults(read(whole[:-20]), END) == ("line 5 cannot be read",)
    assert "line 1 or line 2 was changed" in faults(read(whole.replace("\n", "\r\n")), END)[0]
    assert faults(read("[]\n"), End(1, "")) == ("line 1 cannot be read",)


def test_a_copy_is_the_beginning_of_what_is_kept() -> None:
    assert unlike(TRAIL, file_of(*TEXTS)) == unlike(TRAIL, file_of(*TEXTS[:3])) == ""
    assert unlike(TRAIL[:3], file_of(*TEXTS)) == "line 4 is in the copy, and not kept"


def test_a_chain_that_was_written_anew_is_whole_and_not_the_copys() -> None:
    anew = a_trail(word="f")
    assert faults(anew, End(5, anew[-1].seal)) == ()
    assert unlike(anew, file_of(*TEXTS)) == "line 1 of the copy is another than the one that is kept"
