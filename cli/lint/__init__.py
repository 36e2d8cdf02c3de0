"""What is wrong with an Automation runbook, told offline: its shape, its flow, its references, its scripts, its sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from cli.lint import calls, document, inputs, patching, references, script, steps
from cli.lint.finding import Finding, error, warning
from cli.lint.runbook import Runbook
from cli.lint.schema import MAX_BYTES
from cli.lint.source import Ignore, Source, read, refused

__all__ = ["Finding", "lint"]

LARGEST = 4 * MAX_BYTES  # of what is larger than that nothing more is told

Rule = Callable[[Runbook], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    document.top,
    document.parameters,
    document.variables,
    document.outputs,
    document.files,
    steps.made,
    steps.targets,
    steps.reached,
    inputs.shapes,
    inputs.together,
    calls.calls,
    script.scripts,
    references.references,
    references.scripts,
    references.defaults,
    references.unused,
    references.types,
    patching.patching,
)


def lint(content: bytes) -> tuple[Finding, ...]:
    """Everything that is wrong with a runbook, in the order of its lines, but for what its comments spare with a reason."""
    source = _source(content)
    found = list(source.findings)
    if len(content) > MAX_BYTES:
        message = f"a document has at most {MAX_BYTES} bytes, these are {len(content)}"
        found.append(error("", "too-large", message, "Take parts of it into runbooks of their own"))
    if source.document is not None:
        runbook = Runbook(source.document, source.blocks, source.is_json)
        found += [finding for rule in RULES for finding in rule(runbook)]
    placed = [source.placed(finding) for finding in dict.fromkeys(found)]
    kept = [finding for finding in placed if not any(one.spares(finding) for one in source.ignores)]
    kept += [finding for one in source.ignores for finding in _ignore(one, placed)]
    return tuple(sorted(kept, key=lambda finding: (finding.line or 0, finding.severity)))


def _source(content: bytes) -> Source:
    if len(content) > LARGEST:
        return Source(None)
    try:
        return read(content.decode("utf-8-sig"))
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        return refused("encoding", f"line {line} is not UTF-8 text", "Save it as UTF-8", line)


def _ignore(one: Ignore, placed: list[Finding]) -> Iterator[Finding]:
    """What is wrong with a comment itself: no reason, or nothing that it would spare."""
    if not one.code or not one.reason:
        message = "what is left alone needs its code and a reason"
        found = warning("", "ignore-reason", message, "Write # lint: ignore <code> <reason>")
        yield replace(found, line=one.line)
    elif not any(one.spares(finding) for finding in placed):
        message = f"there is no {one.code} here that could be left alone"
        yield replace(warning("", "ignore-unused", message, "Remove the comment"), line=one.line)
