"""Writes the fence into the runbooks and the runbooks into the templates, so that each is written once.

A copy stands between the comments `# begin <file>` and `# end <file>`, as deep as they are; where it says `# begin <file> as JSON`, it
has a line for each step and no spaces, because a template that is given to a StackSet in the request may have 51,200 bytes. Run it by
`make runbooks`.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
RUNBOOKS = sorted((ROOT / "runbooks").glob("*.yaml"))
TEMPLATES = [ROOT / "template.yaml", ROOT / "spoke" / "template.yaml"]

_COPY = re.compile(r"^( *)# begin (\S+)( as JSON)?\n.*?^\1# end \2\n", re.MULTILINE | re.DOTALL)


def renewed(text: str) -> str:
    """The text with every copy in it as its file is now."""
    return _COPY.sub(_copy, text)


def _copy(found: re.Match[str]) -> str:
    indent, file, compact = found.groups()
    body = _compact(ROOT / file) if compact else (ROOT / file).read_text(encoding="utf-8")
    return f"{indent}# begin {file}{compact or ''}\n{textwrap.indent(body, indent)}{indent}# end {file}\n"


def _compact(path: Path) -> str:
    """The runbook as JSON, which is YAML too: a line for each step and each parameter."""
    said = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    lines = [f"{_json(name)}:{_lines(value)}" for name, value in said.items()]
    return "{" + ",\n".join(lines) + "}\n"


def _lines(value: Any) -> str:
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(_json, value)) + "]"
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{_json(name)}:{_json(one)}" for name, one in value.items()) + "}"
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    for path in [*RUNBOOKS, *TEMPLATES]:  # in this order: the templates copy what the runbooks have just become
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
