"""What commands there are, and the first page of help, which stands on nothing: it answers in a fraction of the time that it takes to
import what reads a command line."""

from __future__ import annotations

import shutil
import sys
import textwrap

ABOUT = "Patch fleets of servers over many AWS accounts and Regions, hands off."

# Each command, or group of commands: where it is, and what the first page of help says of it.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("cli.initial:init", "Write a first campaign file, commented; on a terminal, ask five questions."),
    "validate": ("cli.validate:validate", "Check campaign files as the service will, offline: all errors at once."),
    "schema": ("cli.validate:schema", "The JSON Schema of a campaign, for editors."),
    "schedule": ("cli.validate:schedule", "When a schedule is due next, in its zone and in UTC."),
    "runbook": ("cli.runbook:app", "Check Automation runbooks, offline, and whether they patch with sense."),
    "simulate": ("cli.simulate:simulate", "Play a campaign on a pretend fleet: waves, alerts, calls and cost."),
    "plan": ("cli.plan:plan", "What applying a file would change, and what happens then. Sends nothing."),
    "campaign": ("cli.campaign:app", "Apply, list and show campaigns; pause, resume and delete them."),
    "run": ("cli.run:app", "Start, list, show and watch runs; approve, reject, stop and retry them."),
    "compliance": ("cli.compliance:app", "How compliant everything is, how it was, and what is missing."),
    "audit": ("cli.audit:app", "What was asked of AWS for a run, and whether anybody was at it since."),
    "exception": ("cli.exception:app", "Exceptions: who is spared, why, by whose word, and until when."),
    "override": ("cli.override:app", "Lists of patches to install instead of a baseline's."),
    "pause-all": ("cli.pause:pause_all", "Have nothing start any more, in any campaign, until resume-all."),
    "resume-all": ("cli.pause:resume_all", "Let runs start again whose window is open."),
    "doctor": ("cli.doctor:doctor", "Look at everything that must be right; each finding with its fix."),
    "notify": ("cli.notify:app", "Try whether people are told."),
    "demo": ("cli.local:demo", "Patch a pretend organisation, from the item to the mails."),
    "local": ("cli.local:app", "The whole service as servers on this machine, without AWS."),
}
OPTIONS = {
    "--version": "Say which version.",
    "--no-color": "Write without colours.",
    "--install-completion": "Install completion for the current shell.",
    "--show-completion": "Show completion for the current shell, to copy it or customize the installation.",
    "--help": "Show this message and exit.",
}
NARROWEST, WIDEST = 52, 80


def run() -> None:
    """What the command line asks for; of the first page of help, at once."""
    if sys.argv[1:] in ([], ["--help"]):
        sys.stdout.write(page(max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))))
        return
    from cli.main import app

    app()


def page(width: int) -> str:
    """The first page of help, as Typer would write it."""
    commands = {name: about for name, (_, about) in COMMANDS.items()}
    parts = [
        "Usage: patchtide [OPTIONS] COMMAND [ARGS]...\n",
        textwrap.fill(ABOUT, width - 2, initial_indent="  ", subsequent_indent="  ") + "\n",
        "Options:\n" + _list(OPTIONS, width),
        "Commands:\n" + _list(commands, width),
    ]
    return "\n".join(parts)


def _list(entries: dict[str, str], width: int) -> str:
    column = max(map(len, entries)) + 4
    lines = []
    for name, about in entries.items():
        first, *more = textwrap.wrap(about, max(width - 2 - column, 10))
        lines += [f"  {name}".ljust(column) + first, *(" " * column + line for line in more)]
    return "".join(f"{line}\n" for line in lines)
