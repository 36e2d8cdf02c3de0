"""The command's tree. What is slow to import is imported by the command that needs it, so that `--help` answers at once."""

from __future__ import annotations

import zoneinfo
from typing import Annotated

import typer

from cli import campaign, compliance, doctor, exception, initial, local, notify, pause, plan, run, validate
from cli.console import colourless, data
from patchtide.core.version import VERSION

# The locked time zones, which are the functions' own: this machine's may be of another year, and say another hour.
zoneinfo.reset_tzpath(to=())

app = typer.Typer(
    name="patchtide",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold credentials
    help="Patch fleets of servers over many AWS accounts and Regions, hands off.",
)
app.command("init")(initial.init)
app.command()(validate.validate)
app.command()(validate.schema)
app.command()(validate.schedule)
app.command()(plan.plan)
app.add_typer(campaign.app, name="campaign")
app.add_typer(run.app, name="run")
app.add_typer(compliance.app, name="compliance")
app.add_typer(exception.app, name="exception")
app.command()(pause.pause_all)
app.command()(pause.resume_all)
app.command()(doctor.doctor)
app.add_typer(notify.app, name="notify")
app.command()(local.demo)
app.add_typer(local.app, name="local")


def _version(wanted: bool) -> None:
    if wanted:
        data.print(f"patchtide {VERSION}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", callback=colourless, help="Write without colours.")] = False,
) -> None:
    """Patch fleets of servers over many AWS accounts and Regions, hands off."""
