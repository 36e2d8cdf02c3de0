"""What the README says is what happens: its demo is played, and its commands are run."""

import json
import os
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from simulator.template import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line[2:].split("    #")[0].strip() for line in README.splitlines() if line.startswith("$ ")]
SAM = ROOT / ".tools/sam/bin/sam"


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    # Under `make test` the words here would be taken for a part of that make's own work.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = {**inherited, "SAM_CLI_TELEMETRY": "0", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@cache
def demo() -> tuple[str, Path]:
    """What `make demo` prints, by the very line that the Makefile has for it, into a folder of its own."""
    recipe = run("make", "-n", "demo").strip().splitlines()[-1]
    out = ROOT / "out" / f"readme-{os.getpid()}"
    return run(*shlex.split(recipe), "--out", str(out)), out


def test_the_demos_output_in_the_readme_is_real() -> None:
    said, _ = demo()
    (shown,) = re.findall(r"```text\n(run .*?)```", README, re.DOTALL)
    missing = [
        line for line in shown.splitlines() if line != "..." and line.rstrip() not in said.replace("   \n", "\n")
    ]
    assert not missing


def test_the_demos_summary_agrees_with_the_world() -> None:
    _, out = demo()
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["world"] == {
        "installsDelivered": 136,
        "instancesInstalledTwice": 0,
        "deliveredOutsideWindow": 0,
        "automationExecutionsStarted": 2,
        "agreesWithOurRows": True,
    }
    assert {run["trigger"] for run in summary["runs"]} == {"schedule", "adhoc"}
    for found in summary["runs"]:
        assert sum(found["outcomes"].values()) == found["expectedInstances"]
    monthly = next(found for found in summary["runs"] if found["campaign"] == "prod-monthly")
    assert {where["account"] for where in monthly["locations"]["unreachable"]} == {"777788889999"}
    assert summary["awsCalls"]["ssm:StartAutomationExecution"] == 2
    failed = [alert for alert in summary["alerts"] if "FAILED" in alert["subject"]]
    assert len(failed) == 2
    assert "DISK_FULL" in "".join(alert["body"] for alert in failed)
    assert len(list((out / "mails").glob("*.txt"))) == len(summary["alerts"])


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("patchtide")])
def test_every_command_of_the_tool_is_one_it_has(command: str) -> None:
    words = shlex.split(command)[1:]
    known = words[: 2 if words[0] in ("campaign", "run", "local") else 1]
    assert CliRunner().invoke(app, [*known, "--help"]).exit_code == 0
    if words[0] in ("validate", "schedule"):
        assert (
            CliRunner()
            .invoke(app, [str(ROOT / word) if "/" in word and "." in word else word for word in words])
            .exit_code
            == 0
        )


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make")])
def test_every_make_word_exists(command: str) -> None:
    run("make", "-n", *command.split()[1:])


@pytest.mark.skipif(not SAM.exists(), reason="needs `make setup`: the SAM CLI")
def test_the_build_and_deploy_commands_do_what_they_can_without_an_account() -> None:
    run("make", "build")
    built = {path.name for path in (ROOT / ".aws-sam/build").iterdir() if path.is_dir()}
    assert built >= {"IntakeFunction", "DispatcherFunction", "PollerFunction", "CollectorFunction", "DependenciesLayer"}
    (deploy,) = (command for command in COMMANDS if " deploy " in command)
    assert "--guided" in run(*shlex.split(deploy)[:-1], "--help")


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150
