"""`patchtide campaign …`: the items in the campaigns table."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import (
    Exit,
    Format,
    Output,
    Query,
    confirm,
    fail,
    now,
    say,
    stamp,
    write,
    write_fields,
    write_table,
)
from cli.hub import STACK, Hub, Profile, RegionName, StackName, hub, online, principal

if TYPE_CHECKING:
    from patchtide.aws.runs import Version
    from patchtide.core.campaign import Campaign

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Apply, list and show campaigns; pause, resume and delete them."
)

Name = Annotated[str, typer.Argument(help="The campaign.")]
Wait = Annotated[int, typer.Option(help="Seconds to wait for the service's answer; 0 does not wait.")]


@app.command()
def apply(
    files: Annotated[list[Path], typer.Argument(help="Campaign files, YAML or JSON.")],
    wait: Wait = 30,
    profile: Profile = None,
    region: RegionName = None,
    stack: StackName = STACK,
    output: Output = Format.TABLE,
    query: Query = "",
) -> None:
    """Write campaigns into the table, and wait until the service has taken them.

    All files are validated before the first is written; nothing is written when one of them is wrong.
    """
    documents = valid(files, output)
    del query  # it was chosen when it was read
    with hub(profile, region, stack) as at:
        answers = []
        for document in documents.values():
            wanted = stored(document)
            answers.append(edit(str(wanted.pop("campaign")), wanted, at, wait))
    _show_answers(answers)


def valid(files: Iterable[Path], output: Format) -> dict[Path, Mapping[str, Any]]:
    """The documents in the files. Ends with all that is wrong where anything is."""
    from cli.files import load
    from cli.validate import report
    from patchtide.core.document import read

    documents = {path: load(path) for path in files}
    # The stack may lend default Regions, which only the service knows: their absence alone is not an error here.
    readings = {path: read(document, default_regions=("us-east-1",), now=now()) for path, document in documents.items()}
    if any(reading.problems for reading in readings.values()):
        report(readings, output)
        fail(Exit.INVALID, "Nothing was written.")
    return documents


def stored(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document's fields as the item has them, without those that are the service's."""
    from patchtide.core.document import canonical
    from patchtide.core.reading import SERVICE_FIELDS

    return {name: _stored(value) for name, value in canonical(document).items() if name not in SERVICE_FIELDS}


def edit(name: str, wanted: Mapping[str, object], at: Hub, wait: int) -> dict[str, Any]:
    """Have the item say what is wanted and nothing else, in the caller's name; what the service says to it."""
    from patchtide.core.changes import changes, fields
    from patchtide.core.reading import SERVICE_FIELDS
    from patchtide.core.registration import digest

    held = at.items.get(name) or {}
    # Who wrote it stands beside a digest of what was written: an edit by other means leaves a digest that is not its own.
    written = digest({"campaign": name, **{field: value for field, value in wanted.items() if value is not None}})
    author = {"principal": principal(), "digest": written}
    at.items.apply(name, {**fields(changes(held, wanted, SERVICE_FIELDS)), "updatedBy": author})
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


def _show_answers(answers: list[dict[str, Any]]) -> None:
    rows = [(a["campaign"], a["status"], a["nextRunAt"]) for a in answers]
    write(answers, lambda: write_table(("campaign", "status", "next run"), rows))
    for answer in answers:
        if answer["statusMessage"]:
            say(f"{answer['campaign']}: {answer['statusMessage']}")
    if any(answer["status"] == "INVALID" for answer in answers):
        raise typer.Exit(Exit.INVALID)


@app.command(name="list")
@online
def list_(at: Hub) -> None:
    """All campaigns, with what the service says of each."""
    found = sorted((_summary(item) for item in at.items.every()), key=lambda entry: str(entry["campaign"]))
    columns = ("campaign", "status", "nextRunAt", "lastRunStatus", "lastRunId")
    write(found, lambda: write_table(columns, [[entry[name] for name in columns] for entry in found]))


@app.command()
@online
def show(at: Hub, name: Name) -> None:
    """One campaign: what people wrote, and what the service says of it."""
    item = item_of(name, at)
    write(item, lambda: write_fields(item))


def item_of(name: str, at: Hub) -> Mapping[str, Any]:
    """The item of that name. Ends with a sentence where there is none."""
    item = at.items.get(name)
    if item is None:
        fail(Exit.ERROR, f"There is no campaign {name!r}. `patchtide campaign list` shows them all")
    return item


def own_fields(item: Mapping[str, Any]) -> dict[str, Any]:
    """What people wrote of an item, without its name."""
    from patchtide.core.reading import SERVICE_FIELDS

    return {name: value for name, value in item.items() if name not in SERVICE_FIELDS and name != "campaign"}


@app.command()
@online
def pause(at: Hub, name: Name, wait: Wait = 30) -> None:
    """Have nothing of a campaign start any more, not even of a run that is under way. What is being patched finishes."""
    _show_answers([edit(name, own_fields(item_of(name, at)) | {"state": "DISABLED"}, at, wait)])


@app.command()
@online
def resume(at: Hub, name: Name, wait: Wait = 30) -> None:
    """Let a campaign start again, from its next occurrence on, or in the window that is open."""
    _show_answers([edit(name, own_fields(item_of(name, at)) | {"state": "ENABLED"}, at, wait)])


@app.command()
@online
def delete(
    at: Hub, name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the confirmation.")] = False
) -> None:
    """Delete a campaign. Its runs stay on record; what is being patched finishes, and nothing more of it begins."""
    item_of(name, at)
    confirm(name, f"delete campaign {name}", yes=yes)
    at.items.delete(name)
    say(f"Deleted {name}.")


@app.command()
@online
def history(at: Hub, name: Name) -> None:
    """Every version of a campaign: when it was taken, who is known to have written it, and what it changed."""
    found = list(_history(at.registry.versions(name)))
    if not found:
        fail(Exit.ERROR, f"No version of {name!r} was ever taken.")
    columns = ("version", "takenAt", "author", "changed")
    write(found, lambda: write_table(columns, [[entry[column] for column in columns] for entry in found]))


def _history(versions: Iterable[Version]) -> Iterator[dict[str, Any]]:
    before: dict[str, Any] = {}
    for version in versions:
        after = vars(version.campaign)
        changed = ", ".join(name for name in after if before and after[name] != before[name])
        author = version.author or "unknown: not written by this command"
        yield {
            "version": version.number,
            "takenAt": version.taken_at,
            "author": author,
            "changed": changed or ("first version" if not before else "nothing that counts"),
        }
        before = after


@app.command()
@online
def calendar(
    at: Hub,
    days: Annotated[int, typer.Option(help="How many days ahead.", min=1, max=400)] = 90,
    ical: Annotated[Path | None, typer.Option(help="Also write an iCalendar file, for people's own calendars.")] = None,
) -> None:
    """When each wave of each campaign may start, in the days ahead."""
    windows = sorted(_windows(at, days), key=lambda entry: (entry["startsAt"], entry["campaign"]))
    columns = ("startsAt", "endsAt", "campaign", "wave", "local", "note")
    write(windows, lambda: write_table(columns, [[entry[name] for name in columns] for entry in windows]))
    if ical:
        ical.write_bytes(_ical(windows))
        say(f"Wrote {ical}.")


def _windows(at: Hub, days: int) -> Iterator[dict[str, str]]:
    for item in at.items.every():
        held = at.registry.get(str(item["campaign"]))
        if held and held.active and held.next_at:
            spec = at.registry.spec(held.campaign, held.version)
            yield from windows_of(spec, days)


def windows_of(spec: Campaign, days: int) -> Iterator[dict[str, str]]:
    """The windows of a campaign's waves in the days ahead, as JSON answers write them."""
    from zoneinfo import ZoneInfo

    from patchtide.core.schedule import days_later, occurrences

    if spec.schedule is None:
        return
    until = now() + timedelta(days=days)
    for found in takewhile(lambda one: one.at < until, occurrences(spec.schedule, now())):
        for wave in spec.waves:
            start = days_later(spec.schedule, found.at, wave.delay)
            yield {
                "campaign": spec.name,
                "wave": wave.name,
                "startsAt": stamp(start) or "",
                "endsAt": stamp(start + spec.duration) or "",
                "local": f"{start.astimezone(ZoneInfo(spec.timezone)):%a %d %b %H:%M %Z}",
                "note": found.note or ("needs approval" if wave.approval else ""),
            }


def _ical(windows: Iterable[Mapping[str, str]]) -> bytes:
    from datetime import datetime

    from icalendar import Calendar, Event

    made = Calendar()
    made.add("prodid", "-//Patchtide//patch windows//EN")
    made.add("version", "2.0")
    for window in windows:
        event = Event()
        event.add("uid", f"{window['campaign']}-{window['wave']}-{window['startsAt']}@patchtide")
        event.add("dtstamp", now())
        event.add("dtstart", datetime.fromisoformat(window["startsAt"]))
        event.add("dtend", datetime.fromisoformat(window["endsAt"]))
        event.add("summary", f"Patching: {window['campaign']} {window['wave']}")
        made.add_component(event)
    written: bytes = made.to_ical()
    return written
