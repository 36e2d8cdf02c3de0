"""The records of a queue or a stream: those that fail come again, and no others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from patchtide.core.errors import Busy, PatchtideError

logger = logging.getLogger(__name__)

Record = Mapping[str, Any]
Answer = dict[str, list[dict[str, str]]]


class AllFailed(PatchtideError):  # noqa: N818
    """Not one record of a batch was dealt with, so that the function's error alarm hears of it; all of them come again."""

    def __init__(self, count: int) -> None:
        super().__init__(f"all {count} records failed, each for the reason that was logged")


def from_queue(records: Sequence[Record], story: Callable[[str], object]) -> Answer:
    """What Lambda is told after the story of each message's body."""
    return _answer([(record["messageId"], record["body"]) for record in records], story)


def from_stream(records: Sequence[Record], key: str, story: Callable[[str], object]) -> Answer:
    """What Lambda is told after the story of the key of each item that was changed."""
    changes = [record["dynamodb"] for record in records]
    return _answer([(change["SequenceNumber"], change["Keys"][key]["S"]) for change in changes], story)


def _answer(records: Sequence[tuple[str, str]], story: Callable[[str], object]) -> Answer:
    failed = [id_ for id_, about in records if not _done(id_, about, story)]
    if failed and len(failed) == len(records):
        raise AllFailed(len(failed))
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


def _done(id_: str, about: str, story: Callable[[str], object]) -> bool:
    try:
        story(about)
    except Busy as busy:
        logger.warning("record %s comes again: %s", id_, busy)
    except Exception:
        # Whatever is wrong with one record is no reason to leave the others undone.
        logger.exception("record %s failed: %.200s", id_, about)
    else:
        return True
    return False
