"""What a function reads from its environment, once, when its door opens."""

from __future__ import annotations

import os
from datetime import timedelta

from patchtide.core.bounds import Bounds
from patchtide.core.frozen import frozen


@frozen
class Settings:
    """A function's environment. A name that a function needs and does not have is a KeyError at its start."""

    values: dict[str, str]

    @classmethod
    def from_environment(cls) -> Settings:
        """The settings as they are now."""
        return cls(dict(os.environ))

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    @property
    def retention(self) -> timedelta:
        """How long rows are kept after their last change; reports stay."""
        return timedelta(days=int(self.values["RETENTION_DAYS"]))

    @property
    def chat_topic(self) -> str:
        """The topic that chat is told by; empty where there is none."""
        return self.values.get("CHAT_TOPIC_ARN", "")

    @property
    def bounds(self) -> Bounds:
        """What a campaign may ask for."""
        own = (entry.strip() for entry in self.values["OWN_RUNBOOKS"].split(","))
        return Bounds(
            frozenset(entry for entry in own if entry),
            self.values["EXECUTION_ROLE_NAME"],
            self.values["REPORTS_BUCKET"],
        )

    @property
    def default_regions(self) -> tuple[str, ...]:
        """The Regions of a campaign that names none."""
        found = (region.strip() for region in self.values.get("DEFAULT_REGIONS", "").split(","))
        return tuple(region for region in found if region)
