"""What a cold start pays for: the distributions that a function's door loads."""

import json
import subprocess
from pathlib import Path

import pytest

from ship import layer
from simulator.template import ROOT, Template, load
from tests.ship.runtime import MISSING, PYTHON

TEMPLATE = Template(load(ROOT / "template.yaml"), "999900001111", "eu-west-1")
FUNCTIONS = list(TEMPLATE.of_type("AWS::Serverless::Function"))
ASKED_FOR = layer.direct((layer.SOURCE / "requirements.in").read_text(encoding="utf-8"))
# What every event of every function needs. The rest (validator, schedules, calendars, page) is loaded when something asks for it.
ALL = {"aws-lambda-powertools", "boto3", "msgspec"}
PROBE = """
import json, sys
before = set(sys.modules)
import app
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""

pytestmark = pytest.mark.skipif(MISSING, reason="needs `make setup` on Linux: SAM and the runtime")


def loaded(function: str, shipped: Path, native: Path) -> set[str]:
    """The distributions that are loaded before the first event comes."""
    folders = [shipped / function, native / "python", shipped / "PatchtideLayer/python"]
    given = {**TEMPLATE.environment(function), "AWS_DEFAULT_REGION": "eu-west-1"}
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own words
        [PYTHON, "-B", "-c", PROBE],
        env=given | {"PYTHONPATH": ":".join(map(str, folders))},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout))
    return {name for name, one in layer.shipped(native).items() if one.modules & modules}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_loads_what_every_event_needs_and_nothing_else(function: str, shipped: Path, native: Path) -> None:
    assert loaded(function, shipped, native) & ASKED_FOR == ALL
