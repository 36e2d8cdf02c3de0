"""What holds for the whole service: the pause, and how many instances are being patched at once."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from patchtide.aws.table import Table, body, moment, value
from patchtide.core.errors import Overtaken
from patchtide.core.pause import SERVICE, Pause

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAUSE = {"pk": SERVICE, "sk": "pause"}
_IN_FLIGHT = {"pk": "service", "sk": "inflight"}


class Switch:
    """The one switch that stops everything from starting. Where it was never touched, nothing is paused."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def read(self) -> Pause:
        """The switch as it is now. Whoever cannot read it has to take it as paused."""
        item = self.table.get(**_PAUSE)
        return value(item, Pause) if item else Pause()

    def turn(self, pause: Pause) -> None:
        """Leave it as this. Whoever asks what is due hears of it in the same question."""
        self.table.transact("turn the switch", [self.table.put(_item(pause))])

    def keep(self, before: Pause, after: Pause) -> None:
        """Leave it as turned, with what was noted since. Raises Overtaken when somebody else was at it."""
        unchanged = {":before": body(before)}
        self.table.transact("note the switch", [self.table.put_if(_item(after), "body = :before", unchanged)])


def _item(pause: Pause) -> dict[str, Any]:
    item = {**_PAUSE, "body": body(pause)}
    return item if pause.told and not pause.on else item | {"due": "run", "dueAt": moment(pause.at or EPOCH)}


class Slots:
    """How many instances all runs together are patching, counted once for each start."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def take(self, token: str, instances: int, most: int, now: datetime) -> bool:
        """Whether so many more may be in flight; if so they are counted, once for each token."""
        slot = {"pk": "service", "sk": f"slot#{token}", "instances": instances, "takenAt": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
        count = self.table.update(
            _IN_FLIGHT,
            "ADD #n :more",
            {":more": instances, ":room": most - instances},
            "attribute_not_exists(#n) OR #n <= :room",
            n="instances",
        )
        try:
            self.table.transact("take a slot", [self.table.put_new(slot), count])
        except Overtaken:
            return self.table.get(pk="service", sk=f"slot#{token}") is not None
        return True

    def release(self, token: str) -> None:
        """Count the token's instances no longer. Once."""
        key = {"pk": "service", "sk": f"slot#{token}"}
        held = self.table.get(**key)
        if held is not None:
            less = self.table.update(_IN_FLIGHT, "ADD #n :less", {":less": -int(held["instances"])}, n="instances")
            with suppress(Overtaken):
                self.table.transact("release a slot", [self.table.delete(key), less])
