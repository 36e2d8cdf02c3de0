"""`patchtide runbook …`: what can be told of an Automation runbook without a network and without credentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import Exit, Format, Output, Query, fail, say, write, write_lines

if TYPE_CHECKING:
    from cli.lint import Finding

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check Automation runbooks, offline.")


@app.callback()
def runbook() -> None:
    """Check Automation runbooks, offline: their shape, their flow, their scripts, and whether they patch with sense."""


@app.command()
def lint(
    files: Annotated[list[Path], typer.Argument(help="Automation runbooks, YAML or JSON.")],
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 5 for warnings, too.")] = False,
    output: Output = Format.TABLE,
    query: Query = "",
) -> None:
    """Check runbooks before AWS does, and for what AWS does not see: all findings at once, each with its fix."""
    del output, query  # they were chosen when they were read
    found = [(path, finding) for path in files for finding in _findings(path)]
    write([_row(path, finding) for path, finding in found], lambda: write_lines(_line(*one) for one in found))
    errors = sum(finding.severity == "error" for _, finding in found)
    say(f"{len(files)} checked: {_count(errors, 'error')}, {_count(len(found) - errors, 'warning')}")
    if errors or (strict and found):
        raise typer.Exit(Exit.INVALID)


def _findings(path: Path) -> tuple[Finding, ...]:
    from cli.lint import lint

    try:
        content = path.read_bytes()
    except OSError as error:
        fail(Exit.USAGE, f"{path}: {error.strerror}. Give the path of a runbook")
    return lint(content)


def _line(path: Path, finding: Finding) -> str:
    from cli.files import said

    return f"{said(path, finding, finding.severity)} [{finding.code}]"


def _row(path: Path, finding: Finding) -> dict[str, object]:
    return {
        "file": str(path),
        "line": finding.line,
        "path": finding.path,
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "hint": finding.hint,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
