"""What a person tells a run to do. The command writes an order down, the run takes it in, and the answer goes back to it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from patchtide.core.frozen import frozen

Kind = Literal["approve", "reject", "stop", "retry", "replace"]


@frozen
class Order:
    """One order to one run. `by` is the principal that AWS STS named; `digest` is of what was shown to it.

    `now` belongs to a stop: what runs is stopped too, not only what has not begun. `failed_only` belongs to a retry.
    """

    id: str
    kind: Kind
    by: str
    at: datetime
    wave: str = ""
    digest: str = ""
    reason: str = ""
    now: bool = False
    failed_only: bool = False


@frozen
class Answered:
    """An order that a run has taken in, and what it said to it.

    `done` is False while another run must be opened first; `told` once the answer stands beside the order.
    """

    order: Order
    accepted: bool
    answer: str
    done: bool = True
    told: bool = False


def spoken(principal: str) -> str:
    """A principal as people know it: the session or user at the end of its ARN. The record keeps all of it."""
    return principal.rsplit("/", 1)[-1]
