"""`patchtide pause-all` and `patchtide resume-all`: one switch for everything."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import Exit, fail, now, say
from cli.hub import STACK, Profile, RegionName, StackName, hub, principal

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for the confirmation.")]


def pause_all(
    reason: Annotated[str, typer.Option(help="Why. It goes into the mail.")],
    yes: Yes = False,
    profile: Profile = None,
    region: RegionName = None,
    stack: StackName = STACK,
) -> None:
    """Have nothing start any more, in any campaign, until resume-all. What is being patched finishes."""
    _turn(True, reason, yes, profile, region, stack)


def resume_all(
    reason: Annotated[str, typer.Option(help="Why. It goes into the mail.")] = "",
    yes: Yes = False,
    profile: Profile = None,
    region: RegionName = None,
    stack: StackName = STACK,
) -> None:
    """Let runs start again whose window is open."""
    _turn(False, reason, yes, profile, region, stack)


def _turn(on: bool, reason: str, yes: bool, profile: str | None, region: str | None, stack: str) -> None:
    from patchtide.core.pause import Pause

    word = "pause" if on else "resume"
    if not yes and typer.prompt(f"Type {word}-all to {word} every campaign of {stack}", err=True) != f"{word}-all":
        fail(Exit.ERROR, "Nothing was changed.")
    with hub(profile, region, stack) as at:
        pause = Pause(on, principal(), now(), reason)
        at.switch.turn(pause)
    say(f"{'Paused' if on else 'Resumed'}, as {pause.by}. People are told within two minutes.")
