"""`patchtide init`: a first campaign file, with a comment on each line that people usually ask about."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.console import Exit, fail, say

TEMPLATE = """\
# A Patchtide campaign. Check it with `patchtide validate {file}`; every field is in docs/campaigns.md.
campaign: {name} # 3 to 48 of a-z, 0-9 and -
operation: Scan # reports what is missing and changes nothing; write Install when you have seen a report
schedule: {schedule} # as EventBridge Scheduler writes it; without it, the campaign runs once, at once
scheduleTimezone: {timezone}
duration: 4 # hours that the window is open
cutoff: 1 # hours before its end from which on nothing new starts
accounts: # account ids in quotes, units (ou-...) or the root (r-...)
  - "{account}"
regions: [{region}]
targets: {targets} # there is no accidental "all"
maxConcurrency: 10% # of the instances of each account and Region at a time
maxErrors: 10%
"""
QUESTIONS = (
    ("name", "Name of the campaign", "my-first-scan"),
    ("account", "Account to look at", "111122223333"),
    ("region", "Region", "eu-west-1"),
    ("targets", "Which instances", "tag:PatchGroup=dev"),
    ("timezone", "Time zone", "UTC"),
)


def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("campaign.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a first campaign file, commented; on a terminal, ask five questions."""
    if file.exists() and not force:
        fail(Exit.ERROR, f"{file} is there already. Name another file, or say --force.")
    answers = {key: default for key, _, default in QUESTIONS}
    if sys.stdin.isatty():
        answers = {key: typer.prompt(question, default, err=True) for key, question, default in QUESTIONS}
    text = TEMPLATE.format(file=file, schedule="cron(0 22 ? * SAT *)", **answers)
    file.write_text(text, encoding="utf-8")
    say(f"Wrote {file}. Next: patchtide validate {file}, then patchtide plan {file}.")
