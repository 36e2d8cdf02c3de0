"""`patchtide simulate`: any campaign file is played, without a network, without credentials, and the same each time."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.simulate import picture
from simulator.rehearsal import rehearse

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples/campaigns").glob("*.yaml"))
RINGS = ROOT / "examples/campaigns/prod-rings.yaml"
AT = ("--at", "2026-11-25T10:17")
SMALL = """
campaign: web-weekly
schedule: cron(0 22 ? * SAT *)
scheduleTimezone: Europe/London
duration: 4
accounts: ["111122223333"]
regions: [eu-west-1]
targets: tag:PatchGroup=web
calendars: [Freeze]
freeze: [calendars/launches.ics]
"""
runner = CliRunner()


def simulate(*arguments: str | Path) -> Any:
    return runner.invoke(app, ["simulate", *map(str, arguments), *(() if "--at" in arguments else AT)])


def written(folder: Path, text: str = SMALL, name: str = "campaign.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@cache
def rings() -> str:
    """What the ring example says, with something the matter with some."""
    said = simulate(RINGS, "--mails").stdout
    assert isinstance(said, str)
    return said


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_played_to_its_end(path: Path) -> None:
    result = simulate(path, "--output", "json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["state"], told["violations"]) == ("succeeded", [])
    assert sum(wave["expected"] for wave in told["waves"]) == told["installs"] > 0


def test_people_are_shown_what_would_happen() -> None:
    said = rings()
    titles = ("Timeline, Europe/London", "Waves", "Outcomes", "Alerts", "AWS calls", "What it costs")
    places = [said.index(f"\n{title}\n") for title in titles]
    assert places == sorted(places)
    for line in (
        "occurrence  Wed 09 Dec 22:00 GMT (2026-12-09T22:00:00Z)",
        "fleet       40 instances in 4 accounts and 2 Regions, made up from the campaign; seed 1",
        "the world   40 installs delivered, none twice, none outside of a window",
        "broad   is approved by rehearsal",
        "[patch] STARTED prod-linux-rings wave canary: 4 instances, until Thu 10 Dec 03:00 GMT (03:00Z)",
        "Automation steps    60, 20 of them scripts: $0.12",
        "Subject: [patch] OK prod-linux-rings: 40/40 patched",
        "All done: 40 patched, of 40.",
    ):
        assert line in said


def test_what_is_assumed_is_said_beside_the_data(tmp_path: Path) -> None:
    result = simulate(written(tmp_path), "--output", "json")
    assert result.stderr.splitlines() == [
        "Note: calendar Freeze is taken to be open.",
        "Note: freeze calendars/launches.ics is in the stack's bucket and not beside the campaign: it is taken to freeze "
        "nothing.",
    ]
    assert json.loads(result.stdout)["notes"] == [line.removeprefix("Note: ") for line in result.stderr.splitlines()]


def test_a_freeze_file_beside_the_campaign_is_read(tmp_path: Path) -> None:
    text = (
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\nUID:1\nDTSTAMP:20261101T000000Z\n"
        "DTSTART;VALUE=DATE:20261128\nDTEND;VALUE=DATE:20261130\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    written(tmp_path, text, "calendars/launches.ics")
    result = simulate(written(tmp_path))
    assert result.exit_code == 6
    assert "is skipped: frozen by calendars/launches.ics" in result.stdout


def test_a_run_that_would_not_end_well_exits_6(tmp_path: Path) -> None:
    result = simulate(written(tmp_path), "--failure-rate", "100%", "--instances", "2")
    assert result.exit_code == 6
    assert "\nended       failed " in result.stdout
    closed = simulate(written(tmp_path), "--closed", "Freeze")
    assert closed.exit_code == 6
    assert "calendar Freeze is taken to be closed." in closed.stderr


def test_a_calendar_can_be_closed_for_some_days(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL + "onCalendarClosed: postpone\n")
    result = simulate(path, "--closed", "Freeze=2026-11-28..2026-11-29")
    assert result.exit_code == 0
    assert "is postponed to Mon 30 Nov 22:00 GMT: calendar Freeze is closed" in result.stdout
    assert "closed on 2026-11-28 to 2026-11-29." in result.stderr


def test_approvals_can_be_left_to_lapse(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL + "approval: required\n")
    assert "is approved by rehearsal" in simulate(path).stdout
    result = simulate(path, "--no-approve")
    assert result.exit_code == 6
    assert "is skipped: nobody approved it by 2026-11-28 22:00Z" in result.stdout


def test_a_campaign_that_is_invalid_is_told_as_validate_does_and_exits_5(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.replace("duration: 4", "duration: 2\ncutoff: 2"))
    result = simulate(path)
    assert result.exit_code == 5
    assert result.stderr == runner.invoke(app, ["validate", str(path)]).stderr
    answer = json.loads(simulate(path, "--output", "json").stdout)
    assert (answer["valid"], answer["errors"][0]["path"]) == (False, "cutoff")


def test_a_campaign_that_is_never_due_exits_5(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, SMALL.replace("cron(0 22 ? * SAT *)", "at(2020-01-01T00:00:00)")))
    assert result.exit_code == 5
    assert "nothing would ever run" in result.stderr


def test_regions_can_be_the_stacks(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.replace("regions: [eu-west-1]\n", ""))
    assert simulate(path).exit_code == 5
    result = simulate(path, "--default-region", "eu-west-1", "--default-region", "us-east-1", "--output", "json")
    assert json.loads(result.stdout)["waves"][0]["locations"] == 2


def test_a_fleet_comes_from_a_file(tmp_path: Path) -> None:
    fleet = """
accounts:
  - {id: "111122223333", name: web, instances: [{count: 3, tags: {PatchGroup: web}, behaviours: {disk-full: 1}}]}
"""
    result = simulate(written(tmp_path), "--fleet", written(tmp_path, fleet, "fleet.yaml"))
    assert result.exit_code == 6
    assert "3 instances in 1 account and 1 Region, as the file says; seed 1" in result.stdout
    assert "done: 2 compliant, 1 failed" in result.stdout


def test_a_fleet_file_that_is_wrong_is_told_with_field_value_and_fix(tmp_path: Path) -> None:
    fleet = """
accounts:
  - {id: 111122223333, instances: [{behaviours: {disk-ful: 1}}]}
"""
    path = written(tmp_path, fleet, "fleet.yaml")
    result = simulate(written(tmp_path), "--fleet", path)
    assert result.exit_code == 5
    assert result.stdout == ""
    assert (
        f'{path}:3: error: accounts[0].id: 111122223333 is a number. Quote it: "111122223333", leading zeros may be lost\n'
        in result.stderr
    )
    assert (
        f"{path}:3: error: accounts[0].instances[0].behaviours.disk-ful: 'disk-ful' is not a behaviour. "
        "Did you mean 'disk-full'?\n" in result.stderr
    )
    answer = json.loads(simulate(written(tmp_path), "--fleet", path, "--output", "json").stdout)
    assert [error["path"] for error in answer["errors"]] == [
        "accounts[0].id",
        "accounts[0].instances[0].behaviours.disk-ful",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--failure-rate", "105%"), "'105%' is not a percentage. Write 0% to 100%"),
        (("--failure-rate", "some"), "'some' is not a percentage"),
        (("--closed", "Thaw"), "'Thaw' is no calendar of the campaign, which has Freeze"),
        (("--closed", "Freeze=soon"), "'soon' is no date"),
        (("--closed", "Freeze=a.ics"), "'a.ics' is a file. Write Freeze=2026-12-20..2027-01-05"),
        (("--at", "tomorrow"), "Write e.g. 2026-12-01T09:00"),
        (("--instances", "0"), "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(tmp_path: Path, arguments: tuple[str, ...], complaint: str) -> None:
    result = simulate(written(tmp_path), *arguments)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())


def test_the_moment_can_be_given_in_any_zone(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.replace("schedule: cron(0 22 ? * SAT *)\nscheduleTimezone: Europe/London\n", ""))
    there = json.loads(simulate(path, "--at", "2026-11-25T12:17+02:00", "--output", "json").stdout)
    assert there["begins"] == "2026-11-25T10:17:00Z"


def test_a_part_of_it_can_be_asked_for(tmp_path: Path) -> None:
    result = simulate(written(tmp_path), "--query", "waves[].outcomes")
    assert json.loads(result.stdout) == [{"compliant": 5}]


# --- by itself ----------------------------------------------------------------------------------------------------------


def alone(code: str, *arguments: str | Path, hashes: str = "1") -> str:
    """What a fresh Python prints that knows nobody's credentials."""
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own words
        [sys.executable, "-P", "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={"PYTHONHASHSEED": hashes, "PYTHONPATH": f"{ROOT}:{ROOT}/layers/patchtide", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


COMMAND = "from cli.main import app; app()"
UNPLUGGED = """
import sys
def watch(event, _):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise SystemExit(f"no network: {event}")
sys.addaudithook(watch)
"""


def test_help_needs_nothing_of_aws() -> None:
    code = "import sys, cli.simulate; print(sorted({'boto3', 'botocore', 'simulator', 'pydantic', 'rich'} & set(sys.modules)))"
    assert alone(code) == "[]\n"


def test_it_needs_no_network_and_no_credentials_and_says_the_same_each_time() -> None:
    arguments = ("simulate", RINGS, *AT, "--mails")
    assert alone(UNPLUGGED + COMMAND, *arguments) == alone(COMMAND, *arguments, hashes="2") == rings()


# --- the picture --------------------------------------------------------------------------------------------------------


def test_the_picture_has_a_row_for_each_wave_in_its_time() -> None:
    lines = rings().split("\nWaves\n")[1].split("\n\n")[0].splitlines()
    ruler, canary, early, broad, legend = lines
    assert ruler.split() == ["Thu", "10", "Sat", "12", "Mon", "14", "Wed", "16", "Fri", "18"]
    assert canary.startswith("canary  █▒▒▒▒")
    assert canary.endswith("gate passed, bakes 2 d")
    assert early.index("█") > ruler.index("Sat 12")
    assert early.count("▒") in (8, 9)  # a day, of nine and a bit in 72 columns
    assert broad.endswith("approved by rehearsal")
    assert broad.index("█") > ruler.index("Fri 18")
    assert legend.split() == ["█", "patching", "▒", "bake", "time", "░", "window"]


@pytest.mark.parametrize("width", [20, 40, 72])
def test_the_picture_is_as_wide_as_it_is_told_to_be(width: int) -> None:
    document = {
        "campaign": "one-night",
        "duration": 4,
        "accounts": ["111122223333"],
        "regions": ["eu-west-1"],
        "targets": "tag:A=1",
    }
    now = datetime(2026, 11, 25, 10, 17, tzinfo=UTC)
    told = rehearse(document, None, 1, 0, now, lambda _share, _line: None)
    _, row, _ = picture(told, width)
    assert row.startswith("all  █")
    assert len(row) == len("all  ") + width
    assert told.waves[0].took
    work = round(told.waves[0].took / timedelta(hours=4) * width)
    assert abs(row.count("█") - work) <= 1
