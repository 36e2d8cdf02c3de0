"""Writes the fence into the runbooks and the runbooks into the templates, so that each is written once.

A copy stands between the comments `# begin <file>` and `# end <file>`, as deep as they are. Run it by `make runbooks`.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNBOOKS = sorted((ROOT / "runbooks").glob("*.yaml"))
TEMPLATES = [ROOT / "template.yaml", ROOT / "spoke" / "template.yaml"]

_COPY = re.compile(r"^( *)# begin (\S+)\n.*?^\1# end \2\n", re.MULTILINE | re.DOTALL)


def renewed(text: str) -> str:
    """The text with every copy in it as its file is now."""
    return _COPY.sub(_copy, text)


def _copy(found: re.Match[str]) -> str:
    indent, file = found.groups()
    body = textwrap.indent((ROOT / file).read_text(encoding="utf-8"), indent)
    return f"{indent}# begin {file}\n{body}{indent}# end {file}\n"


if __name__ == "__main__":
    for path in [*RUNBOOKS, *TEMPLATES]:  # in this order: the templates copy what the runbooks have just become
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
