"""Where runs, waves and executions stand, and what moves them on. The picture in docs/states.md is drawn from these tables.

Theory of operation
-------------------
A run has waves, a wave has executions, an execution covers locations. Waves come one after the other: the next is prepared
only when the one before is over and its gate said yes. All of them move through the tables below and only forward; what is
terminal stays.

A wave whose targets are frozen always ends settled, with one row per instance, whatever became of it: a window that closes,
a person who stops, an approval that never came expire its executions, and each instance is recorded as not started, with
the reason. A wave that was never prepared ends withheld or expired instead, and has no instances to account for.

What must never be: two executions for the same locations (the token is derived, never drawn); a start outside the wave's
own window; a wave that begins while one before it is unaccounted for, or did not pass its gate; a wave that ends while one
of its locations is unaccounted for; success without evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class RunState(StrEnum):
    """Whether a run still has something to do, and if not, how it ended."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    INCOMPLETE = "incomplete"  # nothing failed, but some instances still need a reboot, or belong to another run
    FAILED = "failed"
    NO_TARGETS = "no targets"
    MISSED = "missed"
    HALTED = "halted"  # a gate said no: the waves behind it were left alone
    SKIPPED = "skipped"  # a closed calendar, or an approval that was refused or never came
    STOPPED = "stopped"  # a person stopped it
    REPLACED = "replaced"  # the campaign changed before anything began: another run took its place


class WaveState(StrEnum):
    """Where a wave stands."""

    PLANNED = "planned"
    PREPARING = "preparing"  # its locations are known and each is being asked for its targets
    READY = "ready"  # the expected set is frozen
    RUNNING = "running"
    COLLECTING = "collecting"  # nothing runs any more; the evidence is being read
    SETTLED = "settled"
    EMPTY = "empty"  # not one instance to patch
    EXPIRED = "expired"  # the window closed before anything was known of it
    BROKEN = "broken"  # it could not even be prepared
    WITHHELD = "withheld"  # halted, skipped, stopped or replaced before anything was known of it


class ExecutionState(StrEnum):
    """Where one Automation execution stands."""

    PLANNED = "planned"
    STARTING = "starting"  # asked for; nobody has said yet that it started
    RUNNING = "running"
    ENDED = "ended"
    REFUSED = "refused"
    EXPIRED = "expired"  # the window closed, or the wave was withheld, before it was started


class Move(StrEnum):
    """What moves a wave or an execution on."""

    LISTED = "locations listed"
    FROZEN = "targets frozen"
    FOUND_NOTHING = "no targets"
    UNPREPARABLE = "preparation refused"
    WITHHELD = "withheld"
    ASKED = "start asked"
    DEFERRED = "not sent after all"
    STARTED = "started"
    NOT_THERE = "not found by its tag"
    REFUSED = "start refused"
    CLOSED = "window closed or withheld"
    ENDED = "ended"
    UNDECIDED = "never found out whether it started"
    ALL_ENDED = "all executions ended"
    EVIDENCED = "evidence complete"


WAVE_MOVES: Mapping[WaveState, Mapping[Move, WaveState]] = {
    WaveState.PLANNED: {
        Move.LISTED: WaveState.PREPARING,
        Move.FOUND_NOTHING: WaveState.EMPTY,
        Move.UNPREPARABLE: WaveState.BROKEN,
        Move.WITHHELD: WaveState.WITHHELD,
        Move.CLOSED: WaveState.EXPIRED,
    },
    WaveState.PREPARING: {
        Move.FROZEN: WaveState.READY,
        Move.FOUND_NOTHING: WaveState.EMPTY,
    },
    WaveState.READY: {Move.ASKED: WaveState.RUNNING, Move.CLOSED: WaveState.EXPIRED},
    WaveState.RUNNING: {Move.ALL_ENDED: WaveState.COLLECTING},
    WaveState.COLLECTING: {Move.EVIDENCED: WaveState.SETTLED},
}

EXECUTION_MOVES: Mapping[ExecutionState, Mapping[Move, ExecutionState]] = {
    ExecutionState.PLANNED: {Move.ASKED: ExecutionState.STARTING, Move.CLOSED: ExecutionState.EXPIRED},
    ExecutionState.STARTING: {
        Move.STARTED: ExecutionState.RUNNING,
        Move.REFUSED: ExecutionState.REFUSED,
        Move.DEFERRED: ExecutionState.PLANNED,
        Move.NOT_THERE: ExecutionState.PLANNED,
        Move.UNDECIDED: ExecutionState.ENDED,
    },
    ExecutionState.RUNNING: {Move.ENDED: ExecutionState.ENDED},
}

# How an open run ends, in words.
RUN_ENDS: Mapping[RunState, str] = {
    RunState.SUCCEEDED: "evidence for every instance",
    RunState.INCOMPLETE: "only reboots, or other runs' instances, are left",
    RunState.FAILED: "an instance or a location failed",
    RunState.NO_TARGETS: "not one instance matched",
    RunState.MISSED: "the window closed first",
    RunState.HALTED: "a gate said no",
    RunState.SKIPPED: "closed calendar, or no approval",
    RunState.STOPPED: "a person stopped it",
    RunState.REPLACED: "the campaign changed before it began",
}

OVER = frozenset({WaveState.SETTLED, WaveState.EMPTY, WaveState.EXPIRED, WaveState.BROKEN, WaveState.WITHHELD})
STOPPED = frozenset({ExecutionState.ENDED, ExecutionState.REFUSED, ExecutionState.EXPIRED})
