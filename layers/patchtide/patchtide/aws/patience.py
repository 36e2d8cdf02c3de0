"""Whom to leave alone for a while: a Region that does not answer, a location whose API throttles.

A question that meets silence takes a minute and a half, and others wait behind it. Who has just waited for a Region asks it
nothing more for a minute, then one question finds out how it is by then; each time that it is silent still, twice as long. What is
put off is asked again by the run. A sandbox learns this for itself, and forgets it with its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from patchtide.core.errors import Busy, PutOff
from patchtide.core.frozen import frozen
from patchtide.core.location import Location

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(minutes=10)

# What botocore raises where nobody answers. Everything else that is busy was said by the location's own service.
SILENT = frozenset(
    {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "HTTPClientError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "SSLError",
    }
)


@frozen
class _Spell:
    """Until when somebody is left alone, and for how long that is."""

    until: datetime
    length: timedelta
    why: str


class Patience:
    """What a sandbox has learnt of who answers."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self._spells: dict[str, _Spell] = {}

    def check(self, location: Location) -> None:
        """Raises PutOff while the location or its Region is left alone."""
        for who in (location.region, str(location)):
            spell = self._spells.get(who)
            if spell and self.now() < spell.until:
                raise PutOff(
                    f"ask {location}", "PutOff", f"{who} is left alone until {spell.until:%H:%M:%S}: {spell.why}"
                )

    @contextmanager
    def watching(self, location: Location) -> Iterator[None]:
        """Within, the location is asked something; what comes of it is learnt."""
        try:
            yield
        except Busy as busy:
            self._failed(location.region if busy.code in SILENT else str(location), busy)
            raise
        self._spells.pop(location.region, None)
        self._spells.pop(str(location), None)

    def _failed(self, who: str, busy: Busy) -> None:
        before = self._spells.get(who)
        length = min(before.length * 2, LONGEST) if before else SHORTEST
        self._spells[who] = _Spell(self.now() + length, length, busy.message)
