"""The service-wide pause: while it is on, nothing starts, whoever asks for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from patchtide.core.frozen import frozen
from patchtide.core.orders import spoken

SERVICE = "service"  # what the due index calls the switch, while it is on or its turning is not told of


@frozen
class Pause:
    """How the switch stands, who turned it, when and why; `told` once people have heard of it, `asked_at` since when somebody is
    telling them."""

    on: bool = False
    by: str = ""
    at: datetime | None = None
    reason: str = ""
    told: bool = False
    asked_at: datetime | None = None

    def known(self) -> Pause:
        """The same, once people have heard of it."""
        return replace(self, told=True)

    def noted(self, now: datetime) -> Pause:
        """The same, with a note that somebody is about to tell people."""
        return replace(self, asked_at=now)

    def __str__(self) -> str:
        since = f" since {self.at:%Y-%m-%d %H:%MZ}" if self.at else ""
        return f"the service is paused by {spoken(self.by) or 'somebody'}{since}" + (
            f": {self.reason}" if self.reason else ""
        )
