"""What the service holds of a campaign: which version is in force, and which occurrence comes next.

The item belongs to people and may be wrong at any moment; the registration is ours and always stands on a valid version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from patchtide.core.campaign import Campaign
from patchtide.core.frozen import frozen
from patchtide.core.run import APPROVAL_LEAD, PREPARE_LEAD, Run
from patchtide.core.schedule import next_occurrence

NOTICE = timedelta(hours=24)


@frozen
class Registration:
    """One campaign as the service stands by it.

    `version` numbers the valid versions over the campaign's whole life, deleted or not. `next_at` is the occurrence to be
    claimed next, `last_at` the one claimed last, also in an earlier life of the item: no occurrence is ever claimed twice.
    `anchor` is when this life began, to the second. `enabled` is what the version in force says. `author` is the principal
    known to have written that version, empty when nobody knows. `lead` is how long before an occurrence its run is opened.
    `run` is the id of the run that was opened last. `changes` counts saves. `taken_at` is when the version in force was taken.
    """

    campaign: str
    version: int = 0
    digest: str = ""
    adhoc: bool = False
    anchor: datetime | None = None
    next_at: datetime | None = None
    last_at: datetime | None = None
    deleted: bool = False
    changes: int = 0
    enabled: bool = True
    author: str = ""
    lead: timedelta = PREPARE_LEAD
    run: str = ""
    taken_at: datetime | None = None

    @property
    def ran(self) -> bool:
        """Whether an occurrence of this life was claimed."""
        return self.last_at is not None and self.anchor is not None and self.last_at >= self.anchor

    @property
    def due_at(self) -> datetime | None:
        """When the next occurrence's run is to be opened: early enough to find out what it will patch, and to approve it, but
        not before the occurrence before it."""
        if self.next_at is None or self.adhoc:
            return self.next_at
        due = self.next_at - self.lead
        return max(due, min(self.last_at, self.next_at - PREPARE_LEAD)) if self.last_at else due

    @property
    def notice_at(self) -> datetime | None:
        """When people should hear of the next occurrence: a day ahead, of campaigns that do not run more often than that."""
        if self.next_at is None or self.adhoc or (self.last_at and self.next_at - self.last_at <= NOTICE):
            return None
        return self.next_at - NOTICE

    @property
    def active(self) -> bool:
        """Whether the campaign may start anything: its item is there, and says ENABLED."""
        return self.enabled and not self.deleted


def digest(document: Mapping[str, object]) -> str:
    """A fingerprint of what people wrote, the same for the same content in any order."""
    text = json.dumps(document, sort_keys=True, default=_settled)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _settled(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(str(_plain(one)) for one in value)
    return str(_plain(value))


def _plain(value: object) -> object:
    """A value that has words: boto3's Binary has none, and holds bytes."""
    return getattr(value, "value", value)


def accept(
    held: Registration | None, campaign: Campaign, fingerprint: str, now: datetime, author: str = ""
) -> Registration:
    """The registration once a valid version of the campaign was taken.

    A new item without a schedule is due at once, once. An occurrence that is due already and not yet claimed stays: an
    edit in its last minutes must not lose it. A campaign that lost its schedule in an edit is not run: nobody asked for
    that in so many words, and it would patch at once.
    """
    fresh = held is None or held.deleted
    now = now.replace(microsecond=0)
    base = held or Registration(campaign.name)
    if fresh:
        base = replace(base, next_at=None, anchor=now, deleted=False)
    taken = replace(
        base,
        version=base.version + 1,
        digest=fingerprint,
        adhoc=campaign.schedule is None,
        enabled=campaign.enabled,
        author=author,
        taken_at=now,
        lead=APPROVAL_LEAD if campaign.approval else PREPARE_LEAD,
    )
    return replace(taken, next_at=_next_at(base, campaign, now, fresh=fresh) if campaign.enabled else None)


def _next_at(base: Registration, campaign: Campaign, now: datetime, *, fresh: bool) -> datetime | None:
    if campaign.schedule is None:
        if fresh:  # an instant of its own, for the run is named by it
            return max(now, base.last_at + timedelta(seconds=1)) if base.last_at else now
        return (base.next_at or now) if base.adhoc and not base.ran else None
    if base.due_at and base.due_at <= now:
        return base.next_at
    found = next_occurrence(replace(campaign.schedule, anchor=base.anchor), max(now, base.last_at or now))
    return found.at if found else None


def claimed(held: Registration, campaign: Campaign) -> Registration:
    """The registration once the occurrence that came next was claimed."""
    assert held.next_at  # noqa: S101 - only what is due is claimed
    schedule = replace(campaign.schedule, anchor=held.anchor) if campaign.schedule else None
    following = next_occurrence(schedule, held.next_at) if schedule else None
    return replace(held, last_at=held.next_at, next_at=following.at if following else None)


def caught_up(held: Registration, campaign: Campaign, now: datetime) -> tuple[Registration, int]:
    """The registration once occurrences that nobody opened in their time are counted instead of opened, and their number.

    The last of them is left, to be opened: as late as its window allows, or as the one run that tells of them all.
    """
    missed = 0
    while held.next_at and held.next_at + campaign.duration - campaign.cutoff <= now:
        following = claimed(held, campaign)
        if following.next_at is None or following.due_at is None or following.due_at > now:
            break
        held, missed = following, missed + 1
    return held, missed


def reclaimed(held: Registration, campaign: Campaign, run: Run, now: datetime) -> Registration:
    """The registration once the run that was opened last, and had not begun, gave its occurrence back: the campaign has moved
    it to another time."""
    if held.last_at != run.scheduled_at or campaign.schedule is None:
        return held  # another was claimed since
    found = next_occurrence(replace(campaign.schedule, anchor=held.anchor), now.replace(microsecond=0))
    return replace(held, last_at=now.replace(microsecond=0), next_at=found.at if found else None)


def retired(held: Registration) -> Registration:
    """The registration of a campaign whose item was deleted: nothing is due, the version numbers go on."""
    return replace(held, deleted=True, next_at=None, digest="")
