"""What the docs say people can type exists, and what they list is what there is."""

from __future__ import annotations

import re
import shlex

import pytest
from typer.main import get_command

from cli.main import app
from patchtide.core.causes import FIXES
from patchtide.core.outcome import Outcome
from simulator.template import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TYPED = sorted(
    {
        line
        for page in PAGES
        for line in re.findall(r"^\$ (?:\.venv/bin/)?patchtide (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
)


@pytest.mark.parametrize("line", TYPED)
def test_a_command_in_the_docs_is_one_that_there_is(line: str) -> None:
    words = shlex.split(line, comments=True)
    command = get_command(app)
    while hasattr(command, "get_command"):
        command = command.get_command(None, words.pop(0))
        assert command
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known


def test_every_cause_and_outcome_is_in_the_docs_with_what_to_do() -> None:
    text = (ROOT / "docs/reports.md").read_text(encoding="utf-8")
    for cause, fix in FIXES.items():
        assert f"| `{cause}` | {fix} |" in text
    for outcome in Outcome:
        assert f"| {outcome.value} |" in text
