"""The local world as servers: any AWS CLI puts an item, and a run is seen to start."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.ministack import PYTHON, free_port
from simulator.server import Local, local
from simulator.template import ROOT

AWS = ROOT / ".tools/awscli/bin/aws"
PATCHTIDE = ROOT / ".venv/bin/patchtide"
PATIENCE = 90  # seconds

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not (PYTHON.exists() and AWS.exists()), reason="needs `make setup`: ministack and the AWS CLI"),
]


@pytest.fixture(scope="module")
def world() -> Iterator[Local]:
    with local(speed=120, minute=2) as running:
        yield running


def test_the_command_brings_it_up_says_how_to_use_it_and_takes_it_down() -> None:
    port = str(free_port())
    command: list[str | Path] = [PATCHTIDE, "local", "up", "--port", port, "--output", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:  # noqa: S603
        assert running.stdout
        text = ""
        while not text.endswith("}\n}\n"):
            text += running.stdout.readline()
        environment = json.loads(text)["environment"]
        running.send_signal(signal.SIGHUP)  # its terminal was closed
        assert running.wait(30) == 0
    assert environment["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{port}"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5)


def run(world: Local, command: Path, *arguments: str, code: int = 0) -> Any:
    environment = {"PATH": os.environ["PATH"], "HOME": os.devnull, "PATCHTIDE_STACK": "patchtide", **world.environment}
    done = subprocess.run([command, *arguments], env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def eventually(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s"
        time.sleep(0.5)
    return found


def test_an_item_put_by_the_aws_cli_starts_a_run(world: Local) -> None:
    tables = run(world, AWS, "dynamodb", "list-tables", "--output", "json")["TableNames"]
    (table,) = (name for name in tables if "CampaignsTable" in name)
    item = {
        "campaign": {"S": "by-hand"},
        "duration": {"N": "4"},
        "accounts": {"SS": ["222233334444"]},
        "regions": {"L": [{"S": "eu-west-1"}]},
        "targets": {"S": "tag:PatchGroup=dev"},
        "maxConcurrency": {"S": "50%"},
    }
    run(world, AWS, "dynamodb", "put-item", "--table-name", table, "--item", json.dumps(item))
    eventually(lambda: world.world.executions_started)
    eventually(lambda: world.world.effects)
    (campaign,) = run(world, PATCHTIDE, "campaign", "list", "--output", "json")
    assert (campaign["campaign"], campaign["status"]) == ("by-hand", "VALID")
    (found,) = eventually(lambda: run(world, PATCHTIDE, "run", "list", "by-hand", "--output", "json"))
    shown = eventually(lambda: _started(world, found["run"]))
    assert shown["expectedInstances"] == 15
    assert {delivery.account for delivery in world.world.effects} == {"222233334444"}
    assert {delivery.run for delivery in world.world.effects} == {found["run"]}


def test_a_run_comes_to_its_end_and_leaves_its_report_in_the_bucket(world: Local, tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(
        'campaign: short\nduration: 4\naccounts: ["444455556666"]\nregions: [eu-west-2]\ntargets: tag:OS=Windows\n'
        "operation: Scan\nmaxConcurrency: 100%\n",
        encoding="utf-8",
    )
    run(world, PATCHTIDE, "campaign", "apply", str(path), "--output", "json")
    (point,) = eventually(lambda: run(world, PATCHTIDE, "compliance", "trend", "short", "--output", "json"))
    assert point["expected"] > 0
    found = {one["what"]: one for one in run(world, PATCHTIDE, "doctor", "--output", "json", code=1)}
    assert found["alarms"]["state"] == found["bucket"]["state"] == found["Patchtide-PatchFleet"]["state"] == "ok"
    assert (
        found["AlertsTopic"]["state"] == found["AlarmsTopic"]["state"] == "fail"
    )  # nobody is subscribed to a world of one's own
    objects = run(world, AWS, "s3api", "list-objects-v2", "--bucket", found["bucket"]["said"], "--output", "json")
    keys = {one["Key"] for one in objects["Contents"]}
    assert {f"runs/short/{point['run']}/{name}" for name in ("report.html", "SHA256SUMS")} <= keys


def _started(world: Local, run_id: str) -> Any:
    shown = run(world, PATCHTIDE, "run", "show", run_id, "--output", "json")
    return shown if shown["startedAt"] else None
