"""A campaign item changed: it is validated, its version kept, and the answer written where its author is looking."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from patchtide.core import alerts
from patchtide.core.bounds import Bounds, beyond
from patchtide.core.errors import Overtaken, Refused
from patchtide.core.frozen import frozen
from patchtide.core.orders import Order
from patchtide.core.problem import Problem
from patchtide.core.reading import SERVICE_FIELDS, Reading
from patchtide.core.registration import Registration, accept, digest, retired
from patchtide.flow.each import LASTS, TickFailed, each

if TYPE_CHECKING:
    from patchtide.flow.cloud import Alerts, Items, Now, Registry, Runs

logger = logging.getLogger(__name__)


@frozen
class Intake:
    """What intake works with."""

    items: Items
    registry: Registry
    runs: Runs
    alerts: Alerts
    default_regions: tuple[str, ...]
    bounds: Bounds
    now: Now


def take(campaign: str, at: Intake) -> None:
    """The item as it is now, taken or refused. The event that woke us says only which item; it may be old or repeated.

    Raises Overtaken when the registration changed meanwhile: the same event, delivered again, settles it.
    """
    item = at.items.get(campaign)
    held = at.registry.get(campaign)
    if item is None:
        if held and not held.deleted:
            at.registry.save(retired(held))
        return
    written = _written(item)
    fingerprint = digest(written)
    if item.get("specHash") == fingerprint and (item.get("status") == "INVALID" or _stands(held, fingerprint)):
        return
    reading = _read(written, at)
    if reading.campaign is None:
        at.alerts.publish(_refusal(campaign, reading, held, fingerprint))
    elif not _stands(held, fingerprint):
        held = accept(held, reading.campaign, fingerprint, at.now(), _author(item, fingerprint))
        at.registry.take(held, reading.campaign)
    if reading.campaign and held:
        _replace_waiting(held, at)
    at.items.write_back(campaign, status_of(reading, held, fingerprint, at.now()))


def sweep(at: Intake) -> None:
    """All items, as if each had changed just now: an event that never came costs minutes, and not a month's patches.

    Costs a look at each item; one that says itself that it was taken as it is costs nothing more. Raises TickFailed at the end.
    """
    found = {str(item["campaign"]): _unknown(item) for item in at.items.every()}
    gone = [campaign for campaign in at.registry.armed() if campaign not in found]
    changed = [campaign for campaign, unknown in found.items() if unknown]
    if failed := each([*changed, *gone], lambda campaign: take(campaign, at), at.now, at.now() + LASTS):
        raise TickFailed(failed)


def _unknown(item: Mapping[str, object]) -> bool:
    """Whether the item is not as it was when it was taken or refused last."""
    return item.get("specHash") != digest(_written(item))


def _written(item: Mapping[str, object]) -> dict[str, object]:
    """What people wrote of it."""
    return {key: value for key, value in item.items() if key not in SERVICE_FIELDS}


def _author(item: Mapping[str, object], fingerprint: str) -> str:
    """The principal that the command wrote beside just this content; an edit by other means leaves none."""
    said = item.get("updatedBy")
    if not isinstance(said, Mapping) or said.get("digest") != fingerprint:
        return ""
    return str(said.get("principal", ""))


def _replace_waiting(held: Registration, at: Intake) -> None:
    """What waits for approval was shown as it was before: a run that has not begun makes room for one of the new version.

    While the campaign is DISABLED it only waits. Asked again after a crash, since the order is the same.
    """
    if not held.run or not held.active:
        return
    try:
        waits = at.runs.load(held.run).run
    except Refused:
        return  # an occurrence is remembered longer than its run
    if waits.open and waits.waves[0].approval and waits.started_at is None and waits.spec < held.version:
        with suppress(Overtaken):  # it was told already
            at.runs.order(held.run, Order(f"version-{held.version}", "replace", "intake", at.now()))


def _read(written: Mapping[str, object], at: Intake) -> Reading:
    from patchtide.core.document import read  # with the validator: most items that are looked at are as they were

    try:
        reading = read(written, default_regions=at.default_regions, now=at.now())
        problems = beyond(reading.campaign, at.bounds) if reading.campaign else ()
        return Reading(None, problems) if problems else reading
    except Exception as error:  # whatever a document does to the validator, its author must hear of it
        logger.exception("a document could not be read")
        return Reading(
            None, (Problem("", "internal", f"this document could not be read: {error}", "Please report it"),)
        )


def _stands(held: Registration | None, fingerprint: str) -> bool:
    return held is not None and not held.deleted and held.digest == fingerprint


def _refusal(campaign: str, reading: Reading, held: Registration | None, fingerprint: str) -> alerts.Alert:
    version = held.version if held and not held.deleted else 0
    return alerts.invalid(campaign, reading.problems, version, held.next_at if held else None, fingerprint)


def status_of(reading: Reading, held: Registration | None, fingerprint: str, now: datetime) -> Mapping[str, object]:
    """The service's fields of the item: short strings on top, since the console's grid shows nothing deeper."""
    problems = reading.problems or reading.warnings
    in_force = held.version if held and not held.deleted else 0
    return {
        "status": _status(reading, held),
        "statusMessage": _message(reading, held, problems),
        "statusDetail": {
            "errors" if reading.problems else "warnings": [_detail(problem) for problem in problems],
            "observedHash": fingerprint,
            "checkedAt": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "activeVersion": in_force,
        },
        "nextRunAt": f"{held.next_at:%Y-%m-%dT%H:%M:%SZ}" if held and held.next_at else None,
        "specHash": fingerprint,
    }


def _status(reading: Reading, held: Registration | None) -> str:
    if reading.campaign is None:
        return "INVALID"
    if not reading.campaign.enabled:
        return "PAUSED"
    if reading.campaign.schedule and held and held.next_at is None:
        return "EXPIRED"
    return "VALID_WITH_WARNINGS" if reading.warnings else "VALID"


def _message(reading: Reading, held: Registration | None, problems: tuple[Problem, ...]) -> str:
    said = " | ".join(str(problem) for problem in problems)
    if reading.campaign is None:
        stands = f" Version {held.version} stays in force." if held and not held.deleted else ""
        return f"{len(problems)} error{'s' if len(problems) > 1 else ''}: {said}.{stands}"
    if reading.campaign.schedule is None and held and held.next_at is None and reading.campaign.enabled:
        if held.ran and held.last_at:
            ran = f"Ran once, for {held.last_at:%Y-%m-%dT%H:%M:%SZ}: an ad hoc campaign runs once."
        else:
            ran = "Lost its schedule in an edit, so it is not run."
        return f"{ran} To run again, delete the item and put it anew, or use another name." + (
            f" {said}" if said else ""
        )
    return said


def _detail(problem: Problem) -> Mapping[str, object]:
    return {
        "path": problem.path,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "value": "" if problem.value is None else str(problem.value)[:200],
    }
