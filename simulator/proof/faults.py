"""What may go wrong at a call, and what the caller sees of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from simulator.memory import Call
from simulator.protocol import operation_name, service_model


class Killed(BaseException):
    """The machine is gone: out of memory, out of time, or deployed over. No `except Exception` survives it."""


BEFORE = "B"  # dies before the call has its effect
AFTER = "A"  # dies when it has had it
LOST = "L"  # the effect is there, its answer never comes, and the caller sees a timeout
SILENT = "N"  # a read is not answered, and the caller sees a timeout
RETRIED = "R"  # the first answer is lost, the SDK asks again, and the caller sees the second
LATE = "D"  # the caller sees a timeout and goes on; the effect comes minutes later
STALE = "S"  # the answer is an old one
PARTIAL = "P"  # a batch or a page is not whole
JUMP = "T"  # time passes between deciding and calling
MEET = "W"  # another worker of the same kind runs from start to end before the call
REFUSED = "E"  # an error code, which follows a colon
CROSS = "V"  # so does one of the other kind: dispatcher and poller work at the same runs

KINDS: Mapping[str, str] = {
    BEFORE: "killed before the effect",
    AFTER: "killed after the effect",
    LOST: "answer lost",
    SILENT: "read not answered",
    RETRIED: "answer lost, retried by the SDK",
    LATE: "effect delayed",
    STALE: "stale answer",
    PARTIAL: "partial batch or page",
    JUMP: "clock jump",
    MEET: "second worker of a kind",
    CROSS: "dispatcher and poller at once",
    REFUSED: "refused with an error code",
}

DEATHS = BEFORE + AFTER + LOST  # what tries that nothing is lost and nothing is done twice

DELAY = timedelta(minutes=4)  # a signed request is taken for five
LIFE = timedelta(seconds=100)  # a function lives for 120 s; one that is away for longer is dead

THROTTLES: Mapping[str, str] = {
    "dynamodb": "ProvisionedThroughputExceededException",
    "sns": "Throttled",
    "s3": "SlowDown",
}
DENIED = "AccessDeniedException"
# Codes that AWS gives though no model lists them.
UNLISTED = ("ThrottlingException", DENIED, "InternalServerError")


# What goes away by itself. Whatever else AWS refuses may change how a run ends, and must not change whether it is true.
PASSING = frozenset(
    {
        "AutomationExecutionLimitExceededException",
        "InternalServerError",
        "InternalServiceError",
        "InternalErrorException",
        "InternalError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceException",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionCanceledException",
        "TransactionInProgressException",
    }
)


@dataclass(frozen=True)
class Fault:
    """What happens at the call of that number. `mode` is one of the letters above, or `E:` and an error code."""

    at: int
    mode: str

    @property
    def kind(self) -> str:
        """In words."""
        return KINDS[self.mode[0]]

    @property
    def passes(self) -> bool:
        """Whether it must leave no trace in the end."""
        return self.mode[0] != REFUSED or self.mode[2:] in PASSING

    def __str__(self) -> str:
        return f"{self.mode}@{self.at}"


def parse(text: str) -> Fault:
    """The fault that `str` wrote."""
    mode, _, at = text.rpartition("@")
    return Fault(int(at), mode)


def modes(call: Call, only: str = "") -> Iterator[str]:
    """Every fault that can happen at the call and is told apart from the others; of `only` these letters, if any are given.

    Who dies after a read dies before the next call: that is not told apart.
    """
    possible = [BEFORE, JUMP, SILENT] if call.reads else [BEFORE, AFTER, LOST, RETRIED, LATE, JUMP]
    possible += [MEET] if call.worker != "intake" else []
    possible += [CROSS] if call.worker in ("dispatcher", "poller") else []
    possible += [STALE] if may_be_old(call) else []
    possible += [PARTIAL] if call.operation in ("send_message_batch", "query", "batch_get_item") else []
    if not only or REFUSED in only:
        possible += [f"{REFUSED}:{code}" for code in codes(call.service, call.operation)]
    return (mode for mode in possible if not only or mode[0] in only)


def may_be_old(call: Call) -> bool:
    """Whether AWS may answer with what was true before: strong reads of a table, and a role's keys, are never old."""
    return call.reads and (call.service == "ssm" or "IndexName" in call.params)


@cache
def codes(service: str, operation: str) -> tuple[str, ...]:
    """The error codes that AWS's model lists for the operation, and those that come unlisted."""
    shapes = service_model(service).operation_model(operation_name(service, operation)).error_shapes
    listed = (shape.name for shape in shapes)
    return tuple(sorted({*listed, *UNLISTED, THROTTLES.get(service, "ThrottlingException")}))
