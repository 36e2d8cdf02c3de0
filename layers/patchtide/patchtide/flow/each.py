"""One bad item never stops another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from patchtide.core.errors import Overtaken, PatchtideError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class TickFailed(PatchtideError):  # noqa: N818
    """Some campaigns or runs failed in this tick; each was logged, and none kept another from its turn."""

    def __init__(self, failed: Iterable[object]) -> None:
        super().__init__(f"failed: {', '.join(map(str, failed))}")


LASTS = timedelta(
    seconds=45
)  # after that no other turn is begun: one takes 30 and what it has in hand, a function lives 120


def each(items: Sequence[T], story: Callable[[T], object], now: Callable[[], datetime], until: datetime) -> list[T]:
    """The items whose story failed, each logged with its reason; those overtaken by another worker are in good hands.

    Where there is no time for all of them, each minute begins with another one, so that none always comes last.
    """
    failed = []
    first = int(now().timestamp() // 60) % len(items) if items else 0
    for item in (*items[first:], *items[:first]):
        if now() >= until:
            logger.warning("no time is left for %s and those behind it", item)
            break
        try:
            story(item)
        except Overtaken:
            logger.info("%s is in other hands", item)
        except Exception:
            # Whatever is wrong with one campaign or run is no reason to leave the others unpatched.
            logger.exception("%s failed", item)
            failed.append(item)
    return failed
