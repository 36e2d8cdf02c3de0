"""AWS Organizations: which accounts a unit or a root stands for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from patchtide.aws.faults import asking

if TYPE_CHECKING:
    from types_boto3_organizations import OrganizationsClient


class Organization:
    """AWS Organizations, asked from the management account or a delegated administrator."""

    def __init__(self, client: OrganizationsClient) -> None:
        self.client = client

    def accounts(self, selectors: Iterable[str], *, children: bool) -> Mapping[str, str]:
        """The active accounts that account ids, units and roots stand for, with their names; with `children`, units below them
        too.

        An account named by its id is taken at its word, and has no name here: naming accounts must work without an organization.
        """
        named: dict[str, str] = {}
        for selector in selectors:
            if selector.isdigit():
                named.setdefault(selector, "")
            else:
                named.update(self._under(selector, children=children))
        return named

    def _under(self, parent: str, *, children: bool) -> Iterator[tuple[str, str]]:
        """AWS lists direct children only, and pages may be empty with more to follow: the paginator goes on."""
        with asking(f"list the accounts of {parent}"):
            for page in self.client.get_paginator("list_accounts_for_parent").paginate(ParentId=parent):
                for account in page["Accounts"]:
                    # `State` replaced `Status` in 2026-09; an account that says neither is taken as active.
                    state = account.get("State", account.get("Status", "ACTIVE"))
                    if state == "ACTIVE":
                        yield account["Id"], account.get("Name", "")
        if not children:
            return
        with asking(f"list the units of {parent}"):
            units = [
                unit["Id"]
                for page in self.client.get_paginator("list_organizational_units_for_parent").paginate(ParentId=parent)
                for unit in page["OrganizationalUnits"]
            ]
        for unit in units:
            yield from self._under(unit, children=True)
