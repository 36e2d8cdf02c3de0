"""The command against the hub's tables, in the small world."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.journeys.small import Play, opened

runner = CliRunner()
FILE = """
campaign: web
duration: 4
cutoff: 1.5
accounts: ["111122223333"]
regions: [eu-west-1]
targets: tag:PatchGroup=web
maxConcurrency: 50%
"""


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.setenv("PATCHTIDE_CAMPAIGNS_TABLE", "CampaignsTable")
    monkeypatch.setenv("PATCHTIDE_RUNS_TABLE", "RunsTable")
    with opened() as found:
        yield found


def call(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.stdout


def applied(folder: Path, text: str = FILE, code: int = 0) -> str:
    path = folder / "web.yaml"
    path.write_text(text, encoding="utf-8")
    return call("campaign", "apply", str(path), "--wait", "0", "--output", "json", code=code)


def test_a_file_that_is_applied_becomes_a_run(play: Play, tmp_path: Path) -> None:
    assert json.loads(applied(tmp_path))[0]["status"] == "WAITING"
    play.run(hours=6)
    (listed,) = json.loads(call("campaign", "list", "--output", "json"))
    assert (listed["status"], listed["lastRunStatus"]) == ("VALID", "succeeded")
    (run,) = json.loads(call("run", "list", "--output", "json"))
    assert (run["state"], run["outcomes"]) == ("succeeded", {"compliant": 2})
    shown = json.loads(call("run", "show", run["run"], "--failed", "--output", "json"))
    assert [alert["severity"] for alert in shown["alerts"]] == ["INFO", "INFO"]
    assert shown["problems"] == []
    assert "succeeded" in call("run", "watch", run["run"])


def test_applying_again_removes_what_the_file_no_longer_says(play: Play, tmp_path: Path) -> None:
    applied(tmp_path, FILE + "owner: someone\n")
    play.stack.drain()
    applied(tmp_path)
    play.stack.drain()
    item = json.loads(call("campaign", "show", "web", "--output", "json"))
    assert "owner" not in item
    assert item["status"] == "VALID"


def test_nothing_is_written_when_a_file_is_wrong(play: Play, tmp_path: Path) -> None:
    assert json.loads(applied(tmp_path, FILE.replace("duration: 4", "duration: 0"), code=5))["valid"] is False
    assert json.loads(call("campaign", "list", "--output", "json")) == []


def test_a_run_that_failed_is_shown_with_its_reasons_and_watched_with_exit_6(play: Play, tmp_path: Path) -> None:
    applied(tmp_path, FILE.replace("111122223333", "123456789012"))
    play.run(hours=6)
    run = play.runs()[0].run.id
    text = call("run", "show", run)
    assert "not reached: 123456789012 eu-west-1 ROLE_DENIED" in text
    call("run", "watch", run, code=6)


@pytest.mark.parametrize("command", [["campaign", "show", "none"], ["run", "show", "none-20260101T0000Z"]])
def test_what_is_not_there_is_told_so(play: Play, command: list[str]) -> None:
    result = runner.invoke(app, command)
    assert result.exit_code == 1
    assert "here is no" in result.stderr
