"""What parliament finds wrong with policies: actions, condition keys and resources that do not exist or do not belong together.

Run by the interpreter that parliament lives in: policies by name come in as JSON, findings by name go out as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any


def findings(policies: Mapping[str, Any]) -> dict[str, list[str]]:
    """The findings for each policy that has any."""
    from parliament import analyze_policy_string  # type: ignore[import-not-found,unused-ignore]

    found = {
        name: [f"{finding.issue}: {finding.detail}" for finding in analyze_policy_string(json.dumps(policy)).findings]
        for name, policy in policies.items()
    }
    return {name: issues for name, issues in found.items() if issues}


if __name__ == "__main__":
    json.dump(findings(json.load(sys.stdin)), sys.stdout)
