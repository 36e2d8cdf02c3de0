"""One bad item never stops another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from patchtide.core.errors import Overtaken, PatchtideError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class TickFailed(PatchtideError):  # noqa: N818
    """Some campaigns or runs failed in this tick; each was logged, and none kept another from its turn."""

    def __init__(self, failed: Iterable[object]) -> None:
        super().__init__(f"failed: {', '.join(map(str, failed))}")


def each(items: Iterable[T], story: Callable[[T], object]) -> list[T]:
    """The items whose story failed, each logged with its reason; those overtaken by another worker are in good hands."""
    failed = []
    for item in items:
        try:
            story(item)
        except Overtaken:
            logger.info("%s is in other hands", item)
        except Exception:
            # Whatever is wrong with one campaign or run is no reason to leave the others unpatched.
            logger.exception("%s failed", item)
            failed.append(item)
    return failed
