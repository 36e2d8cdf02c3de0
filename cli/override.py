"""`patchtide override …`: lists of patches that are installed instead of what a baseline approves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import Exit, fail, say, write, write_fields
from cli.hub import Hub, online, physical

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Lists of patches to install instead of a baseline's."
)


@app.callback()
def override() -> None:
    """Lists of patches to install instead of a baseline's. A campaign names one by its URL, which says what is in it."""


@app.command()
@online
def put(
    at: Hub, file: Annotated[Path, typer.Argument(help="The list, YAML as AWS-RunPatchBaseline reads it.")]
) -> None:
    """Upload a list under the digest of its content, and print the URL to write into a campaign.

    What is uploaded is never changed: another list has another URL.
    """
    from patchtide.aws import clients
    from patchtide.aws.overrides import Overrides

    content = _valid(file)
    found = Overrides(clients.s3, physical(at.stack, "ReportsBucket")).put(content)
    answer = {"installOverrideList": found.url, "sha256": found.digest}
    write(answer, lambda: write_fields(answer))


def _valid(path: Path) -> bytes:
    """The file's bytes, just as they are. Ends with all that is wrong with them where anything is."""
    from cli.files import content_of, said, understood
    from patchtide.core.override import mistakes

    content = content_of(path, "an override list")
    file = understood(content, "an override list")
    problems = file.problems or tuple(map(file.placed, mistakes(file.document or {})))
    if problems:
        for problem in problems:
            say(said(path, problem))
        fail(Exit.INVALID, "Nothing was written.")
    return content
