"""`patchtide pause-all` and `patchtide resume-all`: one switch for everything."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import confirm, now, say
from cli.hub import Hub, online, principal

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for the confirmation.")]


@online
def pause_all(
    at: Hub, reason: Annotated[str, typer.Option(help="Why. It goes into the mail.")], yes: Yes = False
) -> None:
    """Have nothing start any more, in any campaign, until resume-all. What is being patched finishes."""
    _turn(at, reason, on=True, yes=yes)


@online
def resume_all(
    at: Hub, reason: Annotated[str, typer.Option(help="Why. It goes into the mail.")] = "", yes: Yes = False
) -> None:
    """Let runs start again whose window is open."""
    _turn(at, reason, on=False, yes=yes)


def _turn(at: Hub, reason: str, *, on: bool, yes: bool) -> None:
    from patchtide.core.pause import Pause

    word = "pause" if on else "resume"
    confirm(f"{word}-all", f"{word} every campaign of {at.stack}", yes=yes)
    pause = Pause(on, principal(), now(), reason)
    at.switch.turn(pause)
    say(f"{'Paused' if on else 'Resumed'}, as {pause.by}. People are told within two minutes.")
