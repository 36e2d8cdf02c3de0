"""The scripts: whether a runtime knows them, and whether Python can read them and finds its handler."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import replace

from cli.lint.finding import Finding, error, meant, nearest, warning
from cli.lint.runbook import Runbook, Step
from patchtide.core.problem import shown

RUNTIMES = ("python3.11", "PowerShell Core 6.0", "PowerShell 7.0")
RETIRED = ("python3.6", "python3.7", "python3.8")  # not created since December 2024, not run since February 2025
_PERHAPS = re.compile(r"python3\.\d+|PowerShell (Core )?\d+\.\d+|dotnet(core)?\d(\.\d)?")

# What comes with boto3, and what Python had before the one that reads this.
_THERE = frozenset({"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six", "imp", "distutils"})
HANDLED = 2  # events and context


def scripts(runbook: Runbook) -> Iterator[Finding]:
    """What is wrong with what aws:executeScript steps run."""
    for step in runbook.steps:
        if step.action == "aws:executeScript":
            yield from _runtime(step)
            yield from _sources(runbook, step)
            script = step.inputs.get("Script")
            if isinstance(script, str) and _runs(step, "python"):
                yield from _python(runbook, step, script)


def _runs(step: Step, *languages: str) -> bool:
    """Whether a script is in one of the languages, as far as its runtime says."""
    return str(step.inputs.get("Runtime")).casefold().startswith(languages)


def _runtime(step: Step) -> Iterator[Finding]:
    runtime, path = step.inputs.get("Runtime"), step.at("inputs", "Runtime")
    if not isinstance(runtime, str) or not runtime or runtime in RUNTIMES or "{{" in runtime:
        return
    if runtime in RETIRED:
        yield error(path, "runtime", f"Automation runs {runtime} no more", "Write python3.11")
        return
    spelled = (nearest(runtime, RUNTIMES) or "").casefold() == runtime.casefold()
    known = spelled or _PERHAPS.fullmatch(runtime)
    hint = meant(runtime, RUNTIMES, f"Write one of {', '.join(RUNTIMES)}")
    yield (warning if known else error)(path, "runtime", f"{shown(runtime)} is no runtime that is documented", hint)


def _sources(runbook: Runbook, step: Step) -> Iterator[Finding]:
    """Where the script is, and whether its runtime needs a handler."""
    powershell = _runs(step, "powershell", "dotnet")
    if "Script" not in step.inputs and ("Attachment" not in step.inputs or powershell):
        which = "Script" if powershell else "Script or Attachment"
        yield error(step.at("inputs", "Script"), "missing", f"there is no {which} to run", "Add Script")
    if "Script" in step.inputs and runbook.is_json:
        message = "a Script is documented for YAML alone, not for JSON"
        yield warning(step.at("inputs", "Script"), "script-in-json", message, "Write the runbook as YAML")
    if powershell and "Handler" in step.inputs:
        yield warning(step.at("inputs", "Handler"), "handler", "PowerShell has no handler", "Remove it")
    elif not powershell and not step.inputs.get("Handler"):
        yield error(step.at("inputs", "Handler"), "missing", "Python needs a Handler", "Name the function to call")


def _python(runbook: Runbook, step: Step, script: str) -> Iterator[Finding]:
    path = step.at("inputs", "Script")
    first = runbook.blocks.get(path)

    def there(finding: Finding, line: int | None) -> Finding:
        return finding if first is None or line is None else replace(finding, line=first + line - 1)

    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(script)
    except SyntaxError as fault:
        message = f"line {fault.lineno} of the script is not Python: {fault.msg}"
        yield there(error(path, "script-syntax", message, _mend(script)), fault.lineno)
        return
    except (ValueError, RecursionError, MemoryError) as fault:
        yield error(path, "script-syntax", f"the script is not Python: {fault}", "Mend it")
        return
    yield from _handler(step, tree)
    if "Attachment" not in step.inputs:
        for node, name in _imports(tree):
            if name not in sys.stdlib_module_names and name not in _THERE:
                message = f"{name} is neither of Python's own library nor boto3"
                hint = "Do without it, or bring it along in an Attachment"
                yield there(warning(path, "script-import", message, hint), node.lineno)


def _mend(script: str) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(textwrap.dedent(script))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "Mend that line"
    return "Indent the whole script less"


def _handler(step: Step, tree: ast.Module) -> Iterator[Finding]:
    handler, path = step.inputs.get("Handler"), step.at("inputs", "Handler")
    if not isinstance(handler, str) or not handler or "{{" in handler or "Attachment" in step.inputs:
        return
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if handler in functions:
        yield from _arguments(functions[handler], path)
    elif handler not in _bound(tree):
        hint = meant(handler, functions, f"The script has {', '.join(functions) or 'no function'}")
        yield error(path, "handler", f"the script has no function {shown(handler)}", hint)


def _arguments(function: ast.FunctionDef, path: str) -> Iterator[Finding]:
    given = function.args
    most = len(given.posonlyargs) + len(given.args)
    needed = most - len(given.defaults)
    demanded = [one for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    if needed > HANDLED or (most < HANDLED and given.vararg is None) or demanded:
        message = f"{function.name} cannot be called with two arguments"
        yield error(path, "handler", message, f"Write def {function.name}(events, context)")


def _bound(tree: ast.Module) -> set[str]:
    """Whatever the script gives a name in any other way: by an import, as a value, behind a condition."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.ImportFrom():
                names |= {alias.asname or alias.name for alias in node.names}
            case ast.FunctionDef() | ast.ClassDef():
                names.add(node.name)
    return names


def _imports(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """The packages that have to be there: not those for a type checker, nor those that may fail to be imported."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                yield from ((node, alias.name.partition(".")[0]) for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield node, module.partition(".")[0]
            case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")) | ast.Try():
                pass
            case _:
                yield from _imports(node)
