"""Where two campaigns mean the same instances at the same time: the later one would find them taken, and leave them alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import takewhile

from patchtide.core.campaign import IDS_KEY, Campaign, Wave
from patchtide.core.frozen import frozen
from patchtide.core.schedule import days_later, occurrences


@frozen
class Overlap:
    """A wave of one campaign and a wave of another whose windows have time in common, and perhaps instances."""

    campaign: str
    wave: str
    other: str
    other_wave: str
    start: datetime
    end: datetime


def overlaps(campaign: Campaign, others: Iterable[Campaign], now: datetime, days: int) -> Iterator[Overlap]:
    """The first overlap of each pair of waves in the days ahead. What cannot be told apart, a tag and a resource group, say, or a unit
    and an account in it, may be the same."""
    mine = list(_windows(campaign, now, days))
    for other in others:
        if other.name == campaign.name or not other.enabled or not _share_places(campaign, other):
            continue
        met: set[tuple[str, str]] = set()
        for wave, start, end in mine:
            for their, their_start, their_end in _windows(other, now, days):
                pair = (wave.name, their.name)
                if pair not in met and start < their_end and their_start < end and _share_instances(wave, their):
                    met.add(pair)
                    yield Overlap(
                        campaign.name, wave.name, other.name, their.name, max(start, their_start), min(end, their_end)
                    )


def _windows(campaign: Campaign, now: datetime, days: int) -> Iterator[tuple[Wave, datetime, datetime]]:
    if campaign.schedule is None:
        return
    until = now + timedelta(days=days)
    for found in takewhile(lambda one: one.at < until, occurrences(campaign.schedule, now)):
        for wave in campaign.waves:
            start = days_later(campaign.schedule, found.at, wave.delay)
            yield wave, start, start + campaign.duration


def _share_places(one: Campaign, other: Campaign) -> bool:
    units = any(not account.isdigit() for account in (*one.accounts, *other.accounts))
    return bool(set(one.regions) & set(other.regions)) and (units or bool(set(one.accounts) & set(other.accounts)))


def _share_instances(one: Wave, other: Wave) -> bool:
    """Whether both may match one instance: not where a tag, or a list of ids, can have no value of both."""
    for target in one.targets:
        for their in other.targets:
            same = target.key == their.key and (target.key.startswith("tag:") or target.key == IDS_KEY)
            if same and not set(target.values) & set(their.values):
                return False
    return True
