"""What is remembered of a run for years, when its rows are gone: a point on a trend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from patchtide.core.compliance import Compliance
from patchtide.core.frozen import frozen


@frozen
class Point:
    """The totals of one run, of all its instances or of those of one account (`account` is empty for all)."""

    run: str
    campaign: str
    at: datetime
    state: str
    operation: str
    compliance: Compliance
    outcomes: Mapping[str, int] = field(default_factory=dict)
    account: str = ""
    locations: int = 0
    unreachable: int = 0
