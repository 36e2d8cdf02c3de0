"""What the command tells without a network and without credentials."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

runner = CliRunner()

GOOD = """
campaign: dev-weekly
schedule: cron(0 22 ? * SAT *)
duration: 4
accounts: ["111122223333"]
regions: [eu-west-1]
targets: tag:PatchGroup=dev
"""


def written(folder: Path, text: str) -> str:
    path = folder / "campaign.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_valid_file_is_told_so(tmp_path: Path) -> None:
    result = runner.invoke(app, ["validate", written(tmp_path, GOOD), "--output", "json"])
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert (answer["valid"], answer["errors"], answer["warnings"]) == (True, [], [])


def test_an_invalid_file_is_told_all_its_errors_and_exits_5(tmp_path: Path) -> None:
    text = GOOD.replace("duration: 4", "duration: 2\ncutoff: 2\nmaxConcurency: 3")
    result = runner.invoke(app, ["validate", written(tmp_path, text), "--output", "json"])
    assert result.exit_code == 5
    answer = json.loads(result.stdout)
    assert [(error["path"], error["code"]) for error in answer["errors"]] == [
        ("cutoff", "range"),
        ("maxConcurency", "unknown"),
    ]
    assert answer["errors"][1]["hint"] == "Did you mean 'maxConcurrency'?"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a list", "holds list, not a campaign"),
        ("a: [", "is not YAML"),
        ("just words", "holds str, not a campaign"),
        ("", "holds NoneType, not a campaign"),
    ],
)
def test_a_file_that_holds_no_campaign_is_told_so(tmp_path: Path, text: str, complaint: str) -> None:
    result = runner.invoke(app, ["validate", written(tmp_path, text)])
    assert result.exit_code == 5
    assert complaint in result.stderr
    assert "Traceback" not in result.output


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = runner.invoke(app, ["validate", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert "No such file" in result.stderr


def test_an_account_that_yaml_took_for_a_number_is_refused_with_its_digits(tmp_path: Path) -> None:
    text = GOOD.replace('"111122223333"', "011122223333")
    result = runner.invoke(app, ["validate", written(tmp_path, text)])
    assert result.exit_code == 5
    assert 'Quote it: "011122223333"' in result.stderr


def test_a_date_that_does_not_exist_is_told_with_its_path(tmp_path: Path) -> None:
    result = runner.invoke(app, ["validate", written(tmp_path, GOOD + "freeze: [2026-13-01, 2026-12-24]\n")])
    assert result.exit_code == 5
    assert "freeze[0]: 2026-13-01" in result.stderr


def test_a_schedule_is_previewed_in_its_zone_and_in_utc() -> None:
    wanted = ["schedule", "cron(0 22 ? * TUE#2 *)", "--timezone", "Europe/London", "--offset", "4"]
    result = runner.invoke(app, [*wanted, "--after", "2027-03-01", "--count", "2", "--output", "json"])
    assert json.loads(result.stdout) == [
        {"at": "2027-03-13T22:00:00Z", "local": "2027-03-13T22:00:00+00:00", "note": ""},
        {"at": "2027-04-17T21:00:00Z", "local": "2027-04-17T22:00:00+01:00", "note": ""},
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["cron(0 22 ? * TUE)"], "cron has 5 fields"),
        (["rate(7 days)", "--timezone", "Europe/Londn"], "Write an IANA zone"),
        (["rate(7 days)", "--after", "tomorrow"], "Invalid isoformat string"),
    ],
)
def test_a_schedule_that_cannot_be_read_exits_5_with_the_reason(arguments: list[str], complaint: str) -> None:
    result = runner.invoke(app, ["schedule", *arguments])
    assert result.exit_code == 5
    assert complaint in result.stderr
    assert result.stdout == ""


def test_the_schema_names_every_field() -> None:
    schema = json.loads(runner.invoke(app, ["schema"]).stdout)
    assert {"campaign", "scheduleOffset", "runbookParameters"} <= set(schema["properties"])


def test_every_command_has_help() -> None:
    for command in (
        "validate",
        "schedule",
        "demo",
        "campaign apply",
        "campaign list",
        "run show",
        "run watch",
        "run approve",
        "run reject",
        "run stop",
        "run retry",
        "pause-all",
        "resume-all",
        "local up",
    ):
        result = runner.invoke(app, [*command.split(), "--help"])
        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) > 5


def test_the_version_is_said() -> None:
    assert runner.invoke(app, ["--version"]).stdout == "patchtide 0.1.0\n"
