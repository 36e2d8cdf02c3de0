"""`patchtide plan`: what applying a file would change, and what will happen then. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.campaign import item_of, own_fields, stored, valid
from cli.console import Exit, Format, Output, Query, data, fail, now, stamp, write, write_table
from cli.hub import STACK, Hub, Profile, RegionName, StackName, hub

if TYPE_CHECKING:
    from patchtide.core.campaign import Campaign
    from patchtide.core.changes import Change

AHEAD = 90  # days in which overlaps are looked for


def plan(
    of: Annotated[str, typer.Argument(help="A campaign file, or the name of a campaign.")],
    runs: Annotated[int, typer.Option(help="How many runs to show.", min=1, max=100)] = 5,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 3 when applying would change anything.")
    ] = False,
    profile: Profile = None,
    region: RegionName = None,
    stack: StackName = STACK,
    output: Output = Format.TABLE,
    query: Query = "",
) -> None:
    """What `campaign apply` would change, when the campaign then runs, for whom, and what stands in its way. Sends nothing."""
    del query  # it was chosen when it was read
    document = next(iter(valid([Path(of)], output).values())) if Path(of).exists() else None
    with hub(profile, region, stack) as at:
        planned = _planned(of, document, at, runs)
    write(planned, lambda: _draw(planned))
    if detailed_exitcode and planned["changes"]:
        raise typer.Exit(Exit.DIFFERENT)


def _planned(of: str, document: Mapping[str, Any] | None, at: Hub, runs: int) -> dict[str, Any]:
    from patchtide.core.changes import changes
    from patchtide.core.document import read
    from patchtide.core.reading import SERVICE_FIELDS

    wanted = stored(document) if document else {"campaign": of, **own_fields(item_of(of, at))}
    name = str(wanted.pop("campaign"))
    held = at.items.get(name) or {}
    found = changes(held, wanted, SERVICE_FIELDS)
    reading = read({"campaign": name, **wanted}, default_regions=("us-east-1",), now=now())
    if reading.campaign is None:
        fail(Exit.INVALID, " | ".join(map(str, reading.problems)))
    spec = reading.campaign
    before = _last_run(name, at)
    return {
        "campaign": name,
        "exists": bool(held),
        "changes": [_change(change) for change in found],
        "warnings": [str(warning) for warning in reading.warnings],
        "runs": list(islice(_runs(spec), runs * len(spec.waves))),
        "overlaps": [_overlap(one) for one in _overlaps(spec, at)],
        "exceptions": [_exception(one) for one in spec.exceptions],
        **before,
        "cost": _cost(spec, before),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "verb": change.verb,
        "field": change.field,
        "before": change.before,
        "after": change.after,
        "text": str(change),
    }


def _runs(spec: Campaign) -> Iterator[dict[str, str]]:
    from cli.campaign import windows_of

    if spec.schedule is None:
        yield {"wave": spec.waves[0].name, "startsAt": "at once, once", "endsAt": "", "local": "", "note": "ad hoc"}
    else:
        yield from windows_of(spec, 3660)


def _overlaps(spec: Campaign, at: Hub) -> Iterator[Any]:
    from patchtide.core.overlap import overlaps

    others = []
    for item in at.items.every():
        held = at.registry.get(str(item["campaign"]))
        if held and held.active:
            others.append(at.registry.spec(held.campaign, held.version))
    yield from overlaps(spec, others, now(), AHEAD)


def _overlap(one: Any) -> dict[str, str]:
    return {
        "wave": one.wave,
        "with": one.other,
        "withWave": one.other_wave,
        "from": stamp(one.start) or "",
        "to": stamp(one.end) or "",
    }


def _exception(one: Any) -> dict[str, str]:
    state = "active" if one.active(now().date()) else "expired"
    return {"state": state, "expires": f"{one.expires}", "approvedBy": one.approved_by, "reason": one.reason}


def _last_run(name: str, at: Hub) -> dict[str, Any]:
    """Who the last run expected, wave by wave and account by account, and where it could not go: the best guess of what the next
    will find, since nobody is asked now."""
    last = next(iter(at.registry.runs_of(name, 1)), None)
    if last is None:
        return {"lastRun": None, "instances": [], "missingRoles": []}
    run = at.runs.load(last).run
    found: list[dict[str, Any]] = []
    missing: list[dict[str, str]] = []
    for wave in run.waves:
        for where in at.runs.locations(last, wave.name):
            place = {"wave": wave.name, "account": where.location.account, "region": where.location.region}
            if where.cause:
                missing.append({**place, "cause": where.cause.value, "sentence": where.sentence})
            else:
                found.append({**place, "instances": where.instances, "leftAlone": where.held})
    return {"lastRun": last, "instances": found, "missingRoles": missing}


def _cost(spec: Campaign, before: Mapping[str, Any]) -> dict[str, Any] | None:
    from pydantic.alias_generators import to_camel

    from patchtide.core.cost import cost_of

    places = [one for one in before["instances"] if one["instances"]]
    if not places:
        return None
    cost = cost_of(spec, len(places), sum(one["instances"] for one in places))
    parts = {to_camel(unit): round(dollars, 6) for unit, dollars in cost.parts.items()}
    return {
        "automationSteps": cost.steps,
        "dollarsPerRun": round(cost.dollars, 4),
        "dollarsByUnit": parts,
        "pricesOf": f"{cost.dated}",
    }


def _draw(planned: Mapping[str, Any]) -> None:
    _lines("Changes", [one["text"] for one in planned["changes"]] or ["none: the item says so already"])
    _lines("Warnings", planned["warnings"])
    data.print("\nNext runs", style="bold")
    columns = ("startsAt", "endsAt", "wave", "local", "note")
    write_table(columns, [[one[name] for name in columns] for one in planned["runs"]])
    _table("Overlaps: the later one leaves these instances alone", planned["overlaps"])
    _table("Exceptions", planned["exceptions"])
    where = planned["lastRun"] or "none yet: the first run will find out"
    _table(f"Instances, as of the last run ({where})", _by_account(planned["instances"]))
    _table("Locations that it could not reach", planned["missingRoles"])
    if cost := planned["cost"]:
        steps, dollars = cost["automationSteps"], cost["dollarsPerRun"]
        _lines(
            "Cost",
            [
                f"${dollars:.2f} a run by the prices of {cost['pricesOf']}, nearly all of it for {steps} Automation steps"
            ],
        )
    data.print("\nNothing was sent.")


def _by_account(places: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    totals: dict[tuple[str, str], dict[str, Any]] = {}
    for one in places:
        key = (one["wave"], one["account"])
        found = totals.setdefault(key, {"wave": one["wave"], "account": one["account"], "instances": 0, "leftAlone": 0})
        found["instances"] += one["instances"]
        found["leftAlone"] += one["leftAlone"]
    return list(totals.values())


def _lines(title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    if lines:
        data.print(f"\n{title}", style="bold")
        for line in lines:
            data.print(f"  {line}", markup=False)


def _table(title: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        data.print(f"\n{title}", style="bold")
        write_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
