"""`patchtide demo` and `patchtide local …`: the whole service on this machine, without AWS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from cli.console import Exit, Format, Output, fail, prose, write_json

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The whole service as servers on this machine, without AWS."
)


def demo(
    out: Annotated[Path, typer.Option(help="Where summary.json and the mails are written.")] = Path("out/demo"),
    seed: Annotated[int, typer.Option(help="Another seed is another story; the same is the same.")] = 7,
    output: Output = Format.TABLE,
) -> None:
    """Patch a pretend organisation, from the campaign's item to the mails: real handlers, real requests, virtual time."""
    from simulator.demo import play

    summary = play(out, seed, prose.real)
    if output is Format.JSON:
        write_json(summary)


@app.command()
def up(
    port: Annotated[
        int, typer.Option(help="Where AWS is served on loopback; SSM and the organisation one above.")
    ] = 4566,
    seed: Annotated[int, typer.Option(help="Which pretend organisation.")] = 7,
    speed: Annotated[float, typer.Option(help="How much sooner than in reality an instance is done.", min=1)] = 60,
    minute: Annotated[float, typer.Option(help="Real seconds between two wake-ups of the service.", min=1)] = 10,
    output: Output = Format.TABLE,
) -> None:
    """Deploy the real template onto servers on loopback and keep them running until Ctrl-C.

    With --output json, one object is written when they are ready: the environment that any AWS CLI or SDK needs.
    """
    from simulator import ministack
    from simulator.server import serve

    if not ministack.PYTHON.exists():
        fail(Exit.ERROR, "The server that plays AWS is not installed. Run `make setup`, then try again.")

    def ready(environment: Mapping[str, str]) -> None:
        if output is Format.JSON:
            write_json({"environment": dict(environment)})

    serve(port, seed, speed, minute, prose.real, ready)
