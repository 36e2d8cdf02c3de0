"""What checkov is not asked: each with a reason, and only what it would otherwise find."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from simulator.template import ROOT

CONFIGURATION = ROOT / "requirements/checkov.yaml"
SAM, CHECKOV = ROOT / ".tools/sam/bin/python", ROOT / ".tools/checkov/bin/checkov"
HOLE = ("RestrictPublicBuckets: true", "RestrictPublicBuckets: false")  # and the check that finds it
FOUND_BY = "CKV_AWS_56"

pytestmark = pytest.mark.skipif(not (SAM.exists() and CHECKOV.exists()), reason="needs `make setup`: SAM and checkov")


def run(*command: str | Path) -> str:
    done = subprocess.run(  # noqa: S603 - our own tools, our own words
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout or not done.returncode, done.stderr
    return done.stdout


def test_every_check_that_is_not_asked_has_a_reason_above_it() -> None:
    lines = CONFIGURATION.read_text(encoding="utf-8").splitlines()
    skipped = [number for number, line in enumerate(lines) if re.match(r"  - CKV", line)]
    assert skipped
    assert all(re.match("  # .{10}", lines[number - 1]) for number in skipped)


def test_checkov_would_find_what_it_is_not_asked_and_a_hole_besides(tmp_path: Path) -> None:
    template = tmp_path / "hub.yaml"
    run(SAM, "-P", "ship/translate.py", "template.yaml", template)
    text = template.read_text(encoding="utf-8")
    assert text.count(HOLE[0]) == 1
    template.write_text(text.replace(*HOLE), encoding="utf-8")
    asked = (
        CHECKOV,
        "--skip-download",
        "--framework",
        "cloudformation",
        "--output",
        "json",
        "--compact",
        "--quiet",
        "--file",
    )
    found = json.loads(run(*asked, template, ROOT / "spoke/template.yaml"))
    failed = {one["check_id"] for one in found["results"]["failed_checks"]}
    assert failed == {*YAML(typ="safe").load(CONFIGURATION)["skip-check"], FOUND_BY}
