"""What was asked of AWS, by whose word, and what came of it: lines that are only ever added, each sealing the one before.

The lines follow from the difference of two states of a run, and are kept in the same transaction as the later one. What is about to
be asked is noted and kept before it is asked, so no effect comes without its line before it; what was heard is a line after it.
Whoever changes, drops or inserts a line breaks the chain, whose end stands in the run.

Who can write the whole table can write a whole new chain. Against that stands the copy in the run's report, which is the beginning of
the trail: it has the lines that were there when the report was written, and what came later stands in the table alone. The first of
those is the line that names the report's manifest, and so seals the copy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from patchtide.core.frozen import frozen
from patchtide.core.run import Execution, Run
from patchtide.core.states import ExecutionState


@frozen
class Line:
    """One line: its number in the run, from 1 on, and its text, which begins with the seal of the line before it."""

    number: int
    text: str

    @property
    def seal(self) -> str:
        """The SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def lines(before: Run, after: Run, now: datetime) -> tuple[Line, ...]:
    """What the later state adds to the audit trail of the earlier one."""
    found: list[Line] = []
    seal = before.seal
    for what, about, said in _news(before, after):
        number = before.audited + len(found) + 1
        told = {"before": seal, "number": number, "at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "what": what, "about": about}
        line = Line(number, json.dumps(told | {"said": said}))
        found.append(line)
        seal = line.seal
    return tuple(found)


def _news(before: Run, after: Run) -> Iterator[tuple[str, str, str]]:
    known = {one.order.id for one in before.orders}
    for one in after.orders:
        if one.order.id not in known:
            answer = "accepted" if one.accepted else "refused"
            yield "order", one.order.wave, f"{one.order.kind} by {one.order.by}, {answer}: {one.answer}"
    for old, new in zip(before.waves, after.waves, strict=True):
        if new.halt_asked_at and new.halt_asked_at != old.halt_asked_at:
            yield "halt asked", new.name, ""
    if after.reported and not before.reported:
        yield "reported", "", f"manifest {after.reported}"
    executions = {one.key: one for one in before.executions}
    for execution in after.executions:
        about = f"{execution.wave}/{execution.number}"
        for what, said in _news_of(executions.get(execution.key), execution):
            yield what, about, said


def _news_of(old: Execution | None, new: Execution) -> Iterator[tuple[str, str]]:
    state = old.state if old else ExecutionState.PLANNED
    if new.asked_at and new.asked_at != (old.asked_at if old else None):
        # Of one that was asked for before, it is asked again, or looked for: AWS is asked either way.
        request = hashlib.sha256(new.request.encode()).hexdigest()
        yield "start asked", f"token {new.token}, request {request}"
    if new.id and not (old and old.id):
        yield "started", new.id
    if new.stop_asked_at and new.stop_asked_at != (old.stop_asked_at if old else None):
        yield "stop asked", new.id or ""
    if new.state is not state and new.state in (ExecutionState.REFUSED, ExecutionState.EXPIRED, ExecutionState.ENDED):
        yield new.state.value, f"{new.status} {new.reason}".strip()
    if new.state is ExecutionState.PLANNED and state is ExecutionState.STARTING:
        yield "not started after all", new.reason


# --- whether a trail is what was written ---------------------------------------------------------------------------------------


@frozen
class End:
    """Where the trail ends, as the run knows it: how many lines there are, and the seal of the last."""

    lines: int
    seal: str


def read(text: str) -> tuple[Line, ...]:
    """The lines of a file, numbered by where they stand in it."""
    return (
        tuple(Line(number, line) for number, line in enumerate(text.removesuffix("\n").split("\n"), 1)) if text else ()
    )


def faults(lines: Sequence[Line], end: End | None = None) -> tuple[str, ...]:
    """What is wrong with a trail, the first line that does not fit before all else; nothing, if it is what was written. Without an
    end, nobody knows whether there were more lines."""
    if wrong := _misfit(lines, end):
        return (wrong,)
    return tuple(_at_the_end(lines, end)) if end else ()


def _misfit(lines: Sequence[Line], end: End | None) -> str:
    """The first line that cannot stand where it stands."""
    seal = ""
    for place, line in enumerate(lines, 1):
        told = _told(line)
        if told is None:
            return f"line {place} cannot be read"
        if told["number"] != place:
            return _misplaced(lines, place, told["number"])
        if line.number != place:
            return f"line {place} is kept as line {line.number}"
        if told["before"] != seal:
            return _unsealed(lines, place, end)
        seal = line.seal
    return ""


def _told(line: Line) -> Mapping[str, Any] | None:
    try:
        told = json.loads(line.text)
    except ValueError:
        return None
    return told if isinstance(told, dict) and told.keys() >= {"before", "number"} else None


def _misplaced(lines: Sequence[Line], place: int, number: object) -> str:
    """Why a line with another number stands in this place."""
    if not isinstance(number, int) or number < place:
        return f"line {number} stands again where line {place} should be"
    later = {told["number"] for told in map(_told, lines[place:]) if told}
    if place in later:
        return f"line {place} is not in its place: line {number} stands before it"
    return _missing(place, number - 1)


def _missing(first: int, last: int) -> str:
    return f"line {first} is missing" if first == last else f"lines {first} to {last} are missing"


def _unsealed(lines: Sequence[Line], place: int, end: End | None) -> str:
    """Which of two lines was changed, when the later one seals another than the earlier: what follows says whether it is the later."""
    if place == 1:
        return "line 1 was changed: it seals a line before it"
    after = _told(lines[place]) if place < len(lines) else None
    sealed = after["before"] if after else end.seal if end and end.lines == place else None
    if sealed == lines[place - 1].seal:
        return f"line {place - 1} was changed: its seal is not what line {place} says"
    return f"line {place - 1} or line {place} was changed: the one does not seal the other"


def _at_the_end(lines: Sequence[Line], end: End) -> Iterator[str]:
    """Of a trail that is a chain: whether it is the one that the run knows."""
    if len(lines) < end.lines:
        yield _missing(len(lines) + 1, end.lines)
    elif len(lines) > end.lines:
        yield f"line {end.lines + 1} comes after the seal: the run knows of {end.lines}"
    elif (lines[-1].seal if lines else "") != end.seal:
        yield f"the run's seal is not that of line {end.lines}: one of the two was changed"


def unlike(kept: Sequence[Line], copied: Sequence[Line]) -> str:
    """Where a copy is not the beginning of the trail that is kept; nothing, if it is."""
    for one, other in zip(kept, copied, strict=False):
        if one.text != other.text:
            return f"line {other.number} of the copy is another than the one that is kept"
    if len(copied) > len(kept):
        return f"line {len(kept) + 1} is in the copy, and not kept"
    return ""
