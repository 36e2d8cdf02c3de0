"""`patchtide campaign …`: the items in the campaigns table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import Exit, Format, Output, fail, now, say, write_fields, write_json, write_table
from cli.hub import STACK, Hub, Profile, RegionName, StackName, hub, principal

app = typer.Typer(no_args_is_help=True, help="Apply, list and show campaigns.")


@app.command()
def apply(
    files: Annotated[list[Path], typer.Argument(help="Campaign files, YAML or JSON.")],
    wait: Annotated[int, typer.Option(help="Seconds to wait for the service's answer; 0 does not wait.")] = 30,
    output: Output = Format.TABLE,
    profile: Profile = None,
    region: RegionName = None,
    stack: StackName = STACK,
) -> None:
    """Write campaigns into the table, and wait until the service has taken them.

    All files are validated before the first is written; nothing is written when one of them is wrong.
    """
    from cli.files import load
    from cli.validate import report
    from patchtide.core.document import SERVICE_FIELDS, canonical, read

    documents = {path: load(path) for path in files}
    # The stack may lend default Regions, which only the service knows: their absence alone is not an error here.
    readings = {path: read(document, default_regions=("us-east-1",), now=now()) for path, document in documents.items()}
    if any(reading.problems for reading in readings.values()):
        report(readings, output)
        fail(Exit.INVALID, "Nothing was written.")
    with hub(profile, region, stack) as at:
        answers = []
        for document in documents.values():
            named = canonical(document)
            wanted = {name: _stored(value) for name, value in named.items() if name not in SERVICE_FIELDS}
            answers.append(_apply(str(wanted.pop("campaign")), wanted, at, wait))
    _show_answers(answers, output)
    if any(answer["status"] == "INVALID" for answer in answers):
        raise typer.Exit(Exit.INVALID)


def _apply(name: str, wanted: Mapping[str, object], at: Hub, wait: int) -> dict[str, Any]:
    from patchtide.core.document import SERVICE_FIELDS
    from patchtide.core.registration import digest

    held = at.items.get(name) or {}
    gone = {
        field: None for field in held if field not in wanted and field not in SERVICE_FIELDS and field != "campaign"
    }
    # Who wrote it stands beside a digest of what was written: an edit by other means leaves a digest that is not its own.
    written = digest({"campaign": name, **{field: value for field, value in wanted.items() if value is not None}})
    author = {"principal": principal(), "digest": written}
    at.items.apply(name, {**wanted, **gone, "updatedBy": author})
    after = at.items.get(name) or {}
    expected = digest({key: value for key, value in after.items() if key not in SERVICE_FIELDS})
    for _ in range(wait * 2):
        if after.get("specHash") == expected:
            return _summary(after)
        time.sleep(0.5)
        after = at.items.get(name) or {}
    return _summary(after) | ({} if after.get("specHash") == expected else {"status": "WAITING", "statusMessage": ""})


def _stored(value: object) -> object:
    """A YAML value as DynamoDB takes it, and gives it back: numbers as decimals, no dates."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Decimal(str(value))
    if isinstance(value, Mapping):
        return {str(name): _stored(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_stored(entry) for entry in value]
    return value if value is None or isinstance(value, (str, bool)) else str(value)


def _summary(item: Mapping[str, Any]) -> dict[str, Any]:
    names = ("campaign", "status", "statusMessage", "nextRunAt", "lastRunId", "lastRunStatus")
    return {name: item.get(name, "") for name in names}


def _show_answers(answers: list[dict[str, Any]], output: Format) -> None:
    if output is Format.JSON:
        write_json(answers)
        return
    write_table(("campaign", "status", "next run"), [(a["campaign"], a["status"], a["nextRunAt"]) for a in answers])
    for answer in answers:
        if answer["statusMessage"]:
            say(f"{answer['campaign']}: {answer['statusMessage']}")


@app.command(name="list")
def list_(
    output: Output = Format.TABLE, profile: Profile = None, region: RegionName = None, stack: StackName = STACK
) -> None:
    """All campaigns, with what the service says of each."""
    with hub(profile, region, stack) as at:
        found = sorted((_summary(item) for item in at.items.every()), key=lambda entry: str(entry["campaign"]))
    if output is Format.JSON:
        write_json(found)
        return
    columns = ("campaign", "status", "nextRunAt", "lastRunStatus", "lastRunId")
    write_table(columns, [[entry[name] for name in columns] for entry in found])


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The campaign.")],
    output: Output = Format.TABLE,
    profile: Profile = None,
    region: RegionName = None,
    stack: StackName = STACK,
) -> None:
    """One campaign: what people wrote, and what the service says of it."""
    with hub(profile, region, stack) as at:
        item = at.items.get(name)
    if item is None:
        fail(Exit.ERROR, f"There is no campaign {name!r}. `patchtide campaign list` shows them all")
    if output is Format.JSON:
        write_json(item)
    else:
        write_fields(item)
