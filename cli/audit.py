"""`patchtide audit`: what was asked of AWS, by whose word, and whether anybody was at it since."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import Exit, Format, Output, Query, data, fail, say, write, write_fields, write_lines, write_table
from cli.hub import STACK, Hub, Profile, RegionName, StackName, hub, online

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from patchtide.core.audit import End, Line

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The audit trail of a run: show it, and verify that it is what was written.",
)

RunId = Annotated[str, typer.Argument(help="The run's id.")]
COLUMNS = ("number", "at", "what", "about", "said")


@app.command()
@online
def show(
    at: Hub,
    run: RunId,
    raw: Annotated[bool, typer.Option("--raw", help="The lines as they are sealed, as in audit.ndjson.")] = False,
) -> None:
    """The audit trail of a run, line by line."""
    at.runs.load(run)
    lines = list(at.runs.audit(run))
    if raw:
        for line in lines:
            data.file.write(f"{line.text}\n")
        return
    told = [_shown(line) for line in lines]
    write(told, lambda: write_table(COLUMNS, [[line.get(name, "") for name in COLUMNS] for line in told]))


def _shown(line: Line) -> dict[str, Any]:
    """What a line says; of one that somebody broke, what is left."""
    import json

    try:
        told = json.loads(line.text)
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {"number": line.number, "what": "cannot be read", "said": line.text}


@app.command()
def verify(
    run: Annotated[str, typer.Argument(help="The run's id. Without it, only the file is looked at.")] = "",
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="An audit.ndjson, to compare.")
    ] = None,
    profile: Profile = None,
    region: RegionName = None,
    stack: StackName = STACK,
    output: Output = Format.TABLE,
    query: Query = "",
) -> None:
    """Whether the trail in the table is whole, from its first line to the seal that the run keeps, and whether a file is its
    beginning. Exits with 5 when it is not, and names the first line that does not fit."""
    del output, query  # they were chosen when they were read
    if not run and file is None:
        fail(Exit.USAGE, "Name a run, a --file, or both.")
    kept = end = None
    if run:
        with hub(profile, region, stack) as at:
            kept, end = _kept(run, at, needed=file is None)
    copied = _lines(file) if file else None
    wrong = [*_wrong(kept, end, copied), *_unlisted(file)]
    told: dict[str, Any] = {"holds": not wrong, "wrong": wrong}
    if kept is not None and end:
        told |= {"run": run, "lines": len(kept), "seal": end.seal}
    if copied is not None:
        told |= {"file": str(file), "linesInFile": len(copied)}
    write(told, lambda: _write_verdict(told))
    if wrong:
        fail(Exit.INVALID, "This is not the audit trail that was written.")
    _explain(kept, copied)


def _write_verdict(told: Mapping[str, Any]) -> None:
    write_fields({name: value for name, value in told.items() if name not in ("holds", "wrong")})
    write_lines(told["wrong"] or ["It holds: nothing was changed, left out or put in."])


def _kept(run: str, at: Hub, *, needed: bool) -> tuple[tuple[Line, ...] | None, End | None]:
    """The trail in the table and its end; neither, of a run whose record is over, unless it is all there is."""
    from patchtide.core.audit import End
    from patchtide.core.errors import Refused

    try:
        found = at.runs.load(run).run
        while True:
            lines, before = tuple(at.runs.audit(run)), found.audited
            found = at.runs.load(run).run
            if found.audited == before:  # so lines and seal are of one moment
                return lines, End(found.audited, found.seal)
    except Refused as gone:
        if gone.code != "NotFound" or needed:
            raise
        return None, None


def _lines(file: Path) -> tuple[Line, ...]:
    from patchtide.core.audit import read

    try:
        return read(file.read_bytes().decode("utf-8"))
    except UnicodeDecodeError:
        fail(Exit.INVALID, f"{file} is no text: line 1 cannot be read.")


def _wrong(kept: tuple[Line, ...] | None, end: End | None, copied: tuple[Line, ...] | None) -> Iterator[str]:
    from patchtide.core.audit import faults, unlike

    if kept is not None:
        yield from (f"table: {fault}" for fault in faults(kept, end))
    if copied is not None:
        yield from (f"file: {fault}" for fault in faults(copied))
    if kept is not None and copied is not None and (fault := unlike(kept, copied)):
        yield f"file and table: {fault}"


def _unlisted(file: Path | None) -> Iterator[str]:
    """Whether the manifest beside the file, if there is one, has another sum: a file that ends early is a whole chain, too."""
    from patchtide.aws.reports import digest_of

    manifest = file.parent / "SHA256SUMS" if file else None
    if file and manifest and manifest.is_file():
        listed = f"{digest_of(file)}  {file.name}"
        if listed not in manifest.read_text(encoding="utf-8").splitlines():
            yield "file: its sum is not the one in SHA256SUMS beside it"


def _explain(kept: tuple[Line, ...] | None, copied: tuple[Line, ...] | None) -> None:
    if copied is None:
        return
    if kept is None:
        say("The file was looked at by itself: whether more lines came after it, only the run's record could tell.")
    elif len(kept) > len(copied):
        say(f"The file ends with line {len(copied)}: what came after it is in the table alone.")
