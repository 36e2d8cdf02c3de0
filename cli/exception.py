"""`patchtide exception …`: who is spared, why, and until when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Annotated, Any

import typer

from cli.campaign import Name, Wait, edit, item_of, own_fields
from cli.console import Exit, confirm, fail, now, say, write, write_table
from cli.hub import Hub, online, principal

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Exceptions: who is spared, why, by whose word, and until when."
)

COLUMNS = ("campaign", "number", "state", "expires", "approvedBy", "reason", "targets", "accounts", "ticket")


@app.command(name="list")
@online
def list_(
    at: Hub,
    campaign: Annotated[str | None, typer.Argument(help="Only this campaign's.")] = None,
    within: Annotated[int, typer.Option(help="Only those that are over within so many days.", min=0)] = 100_000,
) -> None:
    """Every exception, those that end first on top."""
    items = [item_of(campaign, at)] if campaign else at.items.every()
    limit = now().date() + timedelta(days=within)
    found = sorted(
        (row for item in items for row in _rows(item) if date.fromisoformat(row["expires"]) <= limit),
        key=lambda row: (row["expires"], row["campaign"], row["number"]),
    )
    write(found, lambda: write_table(COLUMNS, [[row[name] for name in COLUMNS] for row in found]))


def _rows(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(item.get("exceptions") or (), 1):
        expires = str(one.get("expires", ""))
        over = date.fromisoformat(expires) < now().date()
        shown = {name: _plain(one.get(name, "")) for name in COLUMNS[3:]}
        yield {"campaign": item["campaign"], "number": number, "state": "expired" if over else "active", **shown}


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, set, frozenset)) else str(value)


@app.command()
@online
def add(
    at: Hub,
    name: Name,
    reason: Annotated[str, typer.Option(help="Why these are not patched.")],
    expires: Annotated[str, typer.Option(help="Its last day, e.g. 2027-03-31.")],
    targets: Annotated[list[str] | None, typer.Option(help="Who, e.g. tag:Legacy=yes or InstanceIds=i-…")] = None,
    account: Annotated[list[str] | None, typer.Option(help="Only in this account; repeat for more.")] = None,
    ticket: Annotated[str, typer.Option(help="A ticket, for people.")] = "",
    wait: Wait = 30,
) -> None:
    """Spare some instances of a campaign, by your word, until a day."""
    item = item_of(name, at)
    made: dict[str, Any] = {"reason": reason, "approvedBy": principal(), "expires": expires}
    made |= {"targets": targets} if targets else {}
    made |= {"accounts": account} if account else {}
    made |= {"ticket": ticket} if ticket else {}
    _save(name, own_fields(item) | {"exceptions": [*(item.get("exceptions") or ()), made]}, at, wait)


@app.command()
@online
def expire(
    at: Hub,
    name: Name,
    number: Annotated[int, typer.Argument(help="Which one, as `exception list` numbers them.", min=1)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the confirmation.")] = False,
    wait: Wait = 30,
) -> None:
    """End an exception with yesterday: from the next run on its instances are patched again. It stays on record."""
    item = item_of(name, at)
    held = list(item.get("exceptions") or ())
    if number > len(held):
        fail(Exit.ERROR, f"{name} has {len(held)} exceptions, there is no number {number}.")
    confirm(name, f"end exception {number} of {name} ({held[number - 1].get('reason')})", yes=yes)
    held[number - 1] = {**held[number - 1], "expires": f"{now().date() - timedelta(days=1)}"}
    _save(name, own_fields(item) | {"exceptions": held}, at, wait)


def _save(name: str, wanted: dict[str, Any], at: Hub, wait: int) -> None:
    """Write the item, if it is still a valid one."""
    from patchtide.core.document import read

    reading = read({"campaign": name, **wanted}, default_regions=("us-east-1",), now=now())
    if reading.problems:
        for problem in reading.problems:
            say(f"error: {problem}")
        fail(Exit.INVALID, "Nothing was written.")
    answer = edit(name, wanted, at, wait)
    write(answer, lambda: write_table(("campaign", "status"), [(answer["campaign"], answer["status"])]))
