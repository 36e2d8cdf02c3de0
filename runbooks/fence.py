"""The fence: first step of every runbook, because AWS may keep an execution queued until long after its window.

Automation runs this file as it stands here, with nothing but the standard library of Python 3.11.
"""

from datetime import UTC, datetime

NO_WINDOW = 3600  # without a window, Run Command's own default
SHORTEST = 30  # the least that Run Command accepts
LONGEST = 86_400  # the longest window a campaign may have; the runbooks' step timeouts count on it


def fence(events: dict[str, str], context: dict[str, object]) -> dict[str, int]:
    """How long a command may still be delivered. Fails, before anything is sent, when that is no time at all."""
    not_after = events.get("NotAfter", "")
    return {"SecondsLeft": seconds_left(not_after, datetime.now(UTC)) if not_after else NO_WINDOW}


def seconds_left(not_after: str, now: datetime) -> int:
    """The seconds from now to the instant, never more than a day."""
    try:
        closes_at = datetime.strptime(not_after, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError as error:
        raise ValueError(
            f"NotAfter is {not_after!r}, not an instant like 2026-11-28T22:00:00Z: nothing was sent to any instance."
        ) from error
    left = int((closes_at - now).total_seconds())
    if now >= closes_at:
        raise RuntimeError(f"Window closed at {not_after}: nothing was sent to any instance.")
    if left < SHORTEST:
        raise RuntimeError(
            f"Window closes at {not_after}, in less than {SHORTEST} seconds: nothing was sent to any instance."
        )
    return min(left, LONGEST)
