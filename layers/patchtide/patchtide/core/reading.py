"""What came of reading an item. Reading one needs the validator, which is loaded only where an item has changed."""

from __future__ import annotations

from patchtide.core.campaign import Campaign
from patchtide.core.errors import InvalidCampaign
from patchtide.core.frozen import frozen
from patchtide.core.problem import Problem

# What the service writes onto the item. A person's value there is ignored, and overwritten.
SERVICE_FIELDS = frozenset(
    {
        "status",
        "statusMessage",
        "statusDetail",
        "nextRunAt",
        "lastRunId",
        "lastRunStatus",
        "lastRunAt",
        "updatedBy",
        "specHash",
    }
)


@frozen
class Reading:
    """What came of reading a document: the campaign, or the problems that stand in its way; and what to think about."""

    campaign: Campaign | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def valid(self) -> Campaign:
        """The campaign; raises InvalidCampaign with all problems when there is none."""
        if self.campaign is None:
            raise InvalidCampaign(self.problems)
        return self.campaign
