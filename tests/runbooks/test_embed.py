"""Runbooks are written once: what stands in them and in the templates is a copy, and the copies are fresh."""

from pathlib import Path

import pytest

from runbooks.embed import ROOT, RUNBOOKS, TEMPLATES, renewed
from simulator.template import load


@pytest.mark.parametrize("path", [*RUNBOOKS, *TEMPLATES], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_copy_is_fresh(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == renewed(text), "run `make runbooks`"


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_every_runbook_carries_the_fence(path: Path) -> None:
    script = load(path)["mainSteps"][0]["inputs"]["Script"]
    assert (ROOT / "runbooks/fence.py").read_text(encoding="utf-8") in script


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_template_makes_every_runbook_under_its_name(template: Path) -> None:
    made = {
        resource["Properties"]["Name"]: resource["Properties"]["Content"]
        for resource in load(template)["Resources"].values()
        if resource["Type"] == "AWS::SSM::Document"
    }
    assert made == {path.stem: load(path) for path in RUNBOOKS}


def test_a_stale_copy_becomes_the_file_as_deep_as_its_comments() -> None:
    stale = "a:\n    # begin runbooks/fence.py\n    old\n    # end runbooks/fence.py\nb:\n"
    fresh = renewed(stale)
    assert "old" not in fresh
    assert '\n    """The fence' in fresh
    assert fresh.endswith("    # end runbooks/fence.py\nb:\n")
