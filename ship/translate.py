"""A SAM template as CloudFormation gets to see it, for tools that only know CloudFormation.

Run by the interpreter that SAM lives in: `.tools/sam/bin/python ship/translate.py template.yaml out/template.yaml`.
"""

from __future__ import annotations

import sys
from pathlib import Path


class _NoPolicies:
    """AWS-managed policies would have to be asked of AWS; ours are all written out."""

    def load(self) -> dict[str, str]:
        return {}


def translated(template: str) -> str:
    """The template after the SAM transform."""
    from samcli.lib.translate.sam_template_validator import (  # type: ignore[import-not-found,unused-ignore]
        SamTemplateValidator,
    )
    from samcli.yamlhelper import yaml_parse  # type: ignore[import-not-found,unused-ignore]

    validator = SamTemplateValidator(yaml_parse(template), _NoPolicies(), region="eu-west-1")
    return str(validator.get_translated_template_if_valid())


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(translated(source.read_text(encoding="utf-8")), encoding="utf-8")
