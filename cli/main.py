"""The command. What each of its parts stands on is imported when it is called, so that nobody waits for the others."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.console import colourless, data
from cli.tree import ABOUT, COMMANDS
from patchtide.core.version import VERSION


class Tree(TyperGroup):
    """The commands by their names; each is imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of a first week."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        _locked_zones()
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        found = getattr(import_module(module), name)
        if isinstance(found, typer.Typer):
            command: Any = typer.main.get_group(found)
        else:
            alone = typer.Typer(rich_markup_mode=None, add_completion=False)
            alone.command()(found)
            command = typer.main.get_command(alone)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is meant; of one that there is not, the one that may have been meant is told."""
        if args and args[0] not in COMMANDS:
            near = get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write them with a line each."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


def _locked_zones() -> None:
    """Read time zones as the functions do: this machine's may be of another year, and say another hour."""
    import zoneinfo

    zoneinfo.reset_tzpath(to=())


app = typer.Typer(
    name="patchtide",
    cls=Tree,
    no_args_is_help=True,
    rich_markup_mode=None,  # what draws boxes takes longer to import than all the rest
    pretty_exceptions_enable=False,
    help=ABOUT,
)


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
