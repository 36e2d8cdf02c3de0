"""Where patching happens: one account in one Region."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from patchtide.core.frozen import frozen


@frozen
class Location:
    """One account in one Region."""

    account: str
    region: str

    def __lt__(self, other: Location) -> bool:
        return (self.account, self.region) < (other.account, other.region)

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"

    @classmethod
    def parse(cls, text: str) -> Location:
        """The location that `str` wrote."""
        account, region = text.split("/")
        return cls(account, region)


def grid(accounts: Iterable[str], regions: Iterable[str]) -> tuple[Location, ...]:
    """Every account in every Region, sorted."""
    regions = tuple(regions)
    return tuple(sorted(Location(account, region) for account in set(accounts) for region in set(regions)))


def rectangles(
    locations: Iterable[Location], most_accounts: int
) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """The same locations as (accounts, Regions) pairs that cover each exactly once.

    AWS's TargetLocation is a product of accounts and Regions, so a location left out (nothing to patch there, role
    missing) must not come back through the product: accounts are grouped by the exact set of Regions they have.
    """
    by_account: defaultdict[str, list[str]] = defaultdict(list)
    for location in sorted(set(locations)):
        by_account[location.account].append(location.region)
    by_regions: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for account, regions in by_account.items():
        by_regions[tuple(regions)].append(account)
    return tuple(
        (tuple(accounts[first : first + most_accounts]), regions)
        for regions, accounts in sorted(by_regions.items())
        for first in range(0, len(accounts), most_accounts)
    )
