"""What the command tells without a network and without credentials."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import app
from cli.tree import COMMANDS, page
from simulator.template import ROOT

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


def answered(path: Path, content: str | bytes, code: int = 5) -> dict[str, Any]:
    """What `validate --output json` says to a file with that content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    result = runner.invoke(app, ["validate", str(path), "--output", "json"])
    assert isinstance(result.exception, SystemExit | None), content
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["file"] == str(path)
    return found


@pytest.mark.parametrize(
    ("content", "code", "line", "complaint"),
    [
        ("- a list", "not-a-mapping", None, "the file holds a list, not a campaign"),
        ("just words", "not-a-mapping", None, "the file holds text, not a campaign"),
        ("42", "not-a-mapping", None, "the file holds a number, not a campaign"),
        ("", "empty", None, "the file holds nothing, not a campaign"),
        ("# nothing yet\n", "empty", None, "the file holds nothing, not a campaign"),
        ("null", "empty", None, "the file holds nothing, not a campaign"),
        ("a: 1\nb: [\n", "yaml", 3, "line 3 is not YAML: expected the node content"),
        ("a: 1\nb: c: d\n", "yaml", 2, "mapping values are not allowed here"),
        ("a: 1\n\tb: 2\n", "yaml", 2, "found character '\\t'"),
        ('a: "never ends\n', "yaml", 2, "found unexpected end of stream"),
        ("a: 1\nb: *nobody\n", "yaml", 2, "undefined alias"),
        ("a: 1\nb: !Ref x\n", "yaml", 2, "could not determine a constructor for the tag"),
        ("a: !!python/object:os.system x\n", "yaml", 1, "could not determine a constructor for the tag"),
        ("a: 1\nb: !!int four\n", "yaml", 2, "line 2 is not YAML: invalid literal"),
        ("a: 1\nb: !!int ''\n", "yaml", 2, "line 2 is not YAML: "),
        ("a: 1\nb: " + "9" * 5000, "yaml", 2, "Exceeds the limit"),
        ("a: 1\n---\na: 2\n", "yaml", 2, "but found another document"),
        ("? {a: b}\n: c\n", "yaml", 1, "found unhashable key"),
        ("a: 1\nb: \x07\n", "yaml", 2, "unacceptable character #x0007"),
        ("a: " + "[" * 2000, "yaml", None, "nested too deeply"),
        ('{"a": ' + "[" * 200_000, "yaml", None, "nested too deeply"),
        (b"a: 1\nb: \xff\n", "encoding", 2, "line 2 is not UTF-8 text: b'\\xff'"),
        ("a: b".encode("utf-16"), "encoding", 1, "line 1 is not UTF-8 text"),
        (b"\x00" * 1_000_001, "size", None, "the file is larger than 1000000 bytes"),
    ],
)
def test_a_file_that_holds_no_campaign_is_told_so(
    tmp_path: Path, content: str | bytes, code: str, line: int | None, complaint: str
) -> None:
    answer = answered(tmp_path / "campaign.yaml", content)
    assert (answer["valid"], answer["warnings"]) == (False, [])
    (error,) = answer["errors"]
    assert (error["path"], error["code"], error.get("line")) == ("", code, line)
    assert complaint in error["message"]
    assert error["hint"]


def test_it_is_told_to_people_with_the_place(tmp_path: Path) -> None:
    path = written(tmp_path, "a: 1\nb: c: d\n")
    result = runner.invoke(app, ["validate", path])
    assert result.exit_code == 5
    assert f"{path}:2: error: line 2 is not YAML: mapping values are not allowed here. Quote the value" in result.stderr


def test_every_key_that_is_given_twice_is_an_error_with_its_path(tmp_path: Path) -> None:
    text = (
        GOOD + "duration: 5\nwaves:\n  - name: canary\n    gate: {soak: 1h, maxErrors: 0, soak: 2h}\n    name: early\n"
    )
    answer = answered(tmp_path / "campaign.yaml", text)
    assert [(error["path"], error["code"], error["line"]) for error in answer["errors"]] == [
        ("duration", "twice", 8),
        ("waves[0].gate.soak", "twice", 11),
        ("waves[0].name", "twice", 12),
    ]
    assert answer["errors"][0]["message"] == "'duration' is given in line 4 and again in line 8"


def test_errors_and_warnings_say_their_lines_as_far_as_they_have_one(tmp_path: Path) -> None:
    text = """campaign: dev-weekly
Schedule: cron(0 22 ? * 7 *)
accounts:
  - "111122223333"
  - 444455556666
targets: PatchGroup=dev
max_errors: 10 %
waves:
  - name: canary
    gate:
      approval: maybe
  - targets: tag:A=b
typo: 1
"""
    answer = answered(tmp_path / "campaign.yaml", text)
    assert [(error.get("line"), error["path"]) for error in answer["errors"]] == [
        (5, "accounts[1]"),
        (6, "targets[0]"),
        (7, "maxErrors"),
        (11, "waves[0].gate.approval"),
        (12, "waves[1].name"),
        (13, "typo"),
        (None, "duration"),
        (None, "regions"),
    ]
    assert list(answer["errors"][0]) == ["path", "code", "message", "hint", "line"]
    valid = answered(tmp_path / "campaign.yaml", GOOD.replace("SAT", "7"), code=0)
    assert [(warning["path"], warning["line"]) for warning in valid["warnings"]] == [("schedule", 3)]


def test_the_place_of_an_error_is_told_to_people(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("duration: 4", "duration: 4 hours"))
    result = runner.invoke(app, ["validate", path])
    assert result.stderr.startswith(f"{path}:4: error: duration: '4 hours' is not a span of time. Write hours")


@pytest.mark.parametrize(
    ("text", "path", "code"),
    [
        ("state: on", "state", "choice"),  # text in YAML 1.2
        ("cutoff: 22:00", "cutoff", "duration"),  # no sexagesimal number
        ("scheduleOffset: 0o40", "scheduleOffset", "range"),  # octal, 32
        ("maxErrors: 1_0%", "maxErrors", "rate"),
        ("maxConcurrency: .inf", "maxConcurrency", "rate"),
        ("approval: yes", "approval", "choice"),
        ("startDate: 2026-02-30", "startDate", "date"),
        ("ticket: 1e3", "ticket", "text"),
        ("owner: !!binary aGVsbG8=", "owner", "text"),
        ("excludeAccounts: [0123]", "excludeAccounts[0]", "account-number"),
        ("excludeAccounts: &a [*a]", "excludeAccounts[0]", "account"),
        ("7: seven", "7", "unknown"),
        ("? [a, b]\n: c", "('a', 'b')", "unknown"),
        ("maxErrors:\n  - 5", "maxErrors", "rate"),
        ("waves: !!set {canary}", "waves[0]", "map"),
    ],
)
def test_what_yaml_makes_of_words_is_told_as_what_it_is(tmp_path: Path, text: str, path: str, code: str) -> None:
    answer = answered(tmp_path / "campaign.yaml", f"{GOOD}{text}\n")
    assert (path, code) in [(error["path"], error["code"]) for error in answer["errors"]]


def test_yaml_1_1_is_read_where_a_file_asks_for_it(tmp_path: Path) -> None:
    answer = answered(tmp_path / "campaign.yaml", f"%YAML 1.1\n---{GOOD}state: on\ncutoff: 1:30\n")
    assert [(error["path"], error["code"]) for error in answer["errors"]] == [("state", "choice"), ("cutoff", "range")]


def test_json_is_read_with_all_that_yaml_would_not_take(tmp_path: Path) -> None:
    document = {
        "campaign": "dev-weekly",
        "duration": 4,
        "accounts": ["111122223333"],
        "regions": ["eu-west-1"],
        "targets": "tag:PatchGroup=dev",
        "description": "caf\u00e9 \U0001f600 a/b",
    }
    text = json.dumps(document, indent="\t").replace("/", "\\/")
    assert answered(tmp_path / "campaign.json", text, code=0)["valid"]
    twice = answered(tmp_path / "campaign.json", text.replace("{", '{\n\t"duration": 5,', 1))
    assert [(error["path"], error["line"]) for error in twice["errors"]] == [("duration", 4)]


def test_several_files_have_an_answer_each(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD, encoding="utf-8")
    bad.write_text("- x", encoding="utf-8")
    result = runner.invoke(app, ["validate", str(good), str(bad), "--output", "json"])
    assert result.exit_code == 5
    assert [(answer["file"], answer["valid"]) for answer in json.loads(result.stdout)] == [
        (str(good), True),
        (str(bad), False),
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files") / "campaign.yaml"


SIGNS = [
    "  ",
    "- ",
    ": ",
    "[",
    "{",
    "}",
    "]",
    ", ",
    "*a ",
    "&a ",
    "'",
    '"',
    "|\n",
    ">-\n",
    "\t",
    "? ",
    "<<: ",
    "...\n",
    "# ",
]
TAGS = [
    "%YAML 1.1\n---\n",
    "%TAG ! x\n",
    "%",
    *(f"!!{tag} " for tag in ("int", "float", "timestamp", "omap", "pairs", "set", "map")),
]
PIECES = st.sampled_from([*GOOD.splitlines(keepends=True), *SIGNS, *TAGS])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=6), max_size=20).map("".join) | st.binary(max_size=60))
def test_no_file_makes_the_command_fall_over(file: Path, content: str | bytes) -> None:
    try:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    except UnicodeEncodeError:
        return  # half a character is in no file
    result = runner.invoke(app, ["validate", str(file), "--output", "json"])
    answer = json.loads(result.stdout)
    assert result.exit_code == (0 if answer["valid"] else 5)
    for error in answer["errors"]:
        assert error["message"]
        assert error["hint"]
        assert error["path"] or error["code"] in ("yaml", "encoding", "empty", "not-a-mapping")


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    for path, complaint in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        result = runner.invoke(app, ["validate", str(path), "--output", "json"])
        assert result.exit_code == 2
        assert complaint in result.stderr
        assert result.stdout == ""


def test_an_account_that_yaml_took_for_a_number_is_refused_with_its_digits(tmp_path: Path) -> None:
    text = GOOD.replace('"111122223333"', "011122223333")
    result = runner.invoke(app, ["validate", written(tmp_path, text)])
    assert result.exit_code == 5
    assert 'Quote it: "011122223333"' in result.stderr


def test_a_date_that_does_not_exist_is_told_with_its_path(tmp_path: Path) -> None:
    result = runner.invoke(app, ["validate", written(tmp_path, GOOD + "freeze: [2026-13-01, 2026-12-24]\n")])
    assert result.exit_code == 5
    assert ":8: error: freeze[0]: '2026-13-01' is not a date that there is" in result.stderr


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


def test_the_first_page_of_help_stands_on_nothing_and_reads_like_the_rest() -> None:
    code = "import sys; from cli.tree import run; sys.argv = ['patchtide', '--help']; run(); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={"COLUMNS": "80"}, capture_output=True, text=True)  # noqa: S603 - our own
    assert not {"typer", "rich", "boto3", "botocore", "pydantic"} & set(done.stderr.split())
    assert done.stdout == page(80)
    assert page(82) == runner.invoke(app, ["--help"]).stdout  # the runner's terminal has 82 columns


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_there_is_can_be_imported_and_has_its_own_help(name: str) -> None:
    result = runner.invoke(app, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"Usage: patchtide {name}")
    assert len(result.stdout.splitlines()[2].strip()) > 20  # what it does, in a sentence


def test_an_unknown_command_is_told_with_what_was_meant() -> None:
    result = runner.invoke(app, ["campain"])
    assert result.exit_code == 2
    assert "campaign" in result.output


def test_init_writes_a_file_that_is_valid_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert runner.invoke(app, ["init", str(path)]).exit_code == 0
    assert runner.invoke(app, ["validate", str(path)]).exit_code == 0
    assert "is there already" in runner.invoke(app, ["init", str(path)]).output
    assert runner.invoke(app, ["init", str(path), "--force"]).exit_code == 0


def test_validate_needs_neither_network_nor_aws(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    code = f"import sys; sys.argv = ['patchtide', 'validate', {path!r}]; from cli.tree import run\ntry: run()\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={}, capture_output=True, text=True)  # noqa: S603 - our own
    assert "valid" in done.stderr
    assert not {"boto3", "botocore"} & set(done.stderr.split())


def test_a_local_world_that_is_not_installed_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.ministack.PYTHON", tmp_path / "python")
    result = runner.invoke(app, ["local", "up"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Run `make setup`" in result.stderr
