"""What was asked of AWS, by whose word, and what came of it: lines that are only ever added, each sealing the one before.

The lines follow from the difference of two states of a run, and are kept in the same transaction as the later one. What is about to
be asked is noted and kept before it is asked, so no effect comes without its line before it; what was heard is a line after it.
Whoever changes, drops or inserts a line breaks the chain, whose end stands in the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime

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
