"""The command against the hub's tables, in the small world."""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner

from cli.main import app
from patchtide.aws import clients
from patchtide.aws.items import Items
from patchtide.aws.runs import Registry
from simulator.fleet import Behaviour
from tests.journeys.small import ALPHA, REGION, Play, opened

runner = CliRunner()
QUEUES = ("Collector", "Reporter", "Intake", "Tick")
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
    monkeypatch.setenv("PATCHTIDE_OWN_RUNBOOKS", "")
    monkeypatch.setenv("PATCHTIDE_ALERTS_KEY", "11111111-2222-3333-4444-555555555555")
    with opened() as found:
        for name in ("AlertsTopic", "AlarmsTopic", "ReportsBucket", *(f"{one}DeadLetters" for one in QUEUES)):
            variable = "PATCHTIDE" + re.sub("([A-Z])", r"_\1", name).upper()
            monkeypatch.setenv(variable, found.stack._attribute(name, ""))
        yield found


def call(*arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> str:
    result = runner.invoke(app, list(arguments), env=env)
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


def asked(*arguments: str) -> str:
    """An order that nobody waits for: it is written down, and the exit code says that the answer is still to come."""
    result = runner.invoke(app, [*arguments, "--wait", "0"])
    assert result.exit_code == 7, result.output
    return result.stderr


TOMORROW = FILE + "schedule: at(2026-12-02T20:00:00)\napproval: required\n"


def waiting(play: Play, folder: Path) -> str:
    applied(folder, TOMORROW)
    play.run(hours=12)
    (run,) = json.loads(call("run", "list", "--output", "json"))
    assert run["state"] == "waiting for approval"
    return str(run["run"])


def test_who_approves_is_who_sts_says_and_what_is_what_was_shown(play: Play, tmp_path: Path) -> None:
    run = waiting(play, tmp_path)
    said = asked("run", "approve", run, "all")
    play.run(hours=0.05)
    shown = json.loads(call("run", "show", run, "--output", "json"))
    (order,) = shown["orders"]
    assert (order["kind"], order["answer"]) == ("approve", "wave all may begin")
    assert order["by"].startswith("arn:aws:")
    assert f"as {order['by']}" in said
    (wave,) = shown["waves"]
    assert (wave["approval"]["by"], wave["approval"]["digest"]) == (order["by"], wave["digest"])
    assert f"2 instances in 1 locations, 2026-12-02T20:00:00Z to 2026-12-03T00:00:00Z, digest {wave['digest']}" in said
    assert f"by {order['by']}" in call("run", "show", run)


def test_a_run_is_rejected_stopped_and_retried_by_command(play: Play, tmp_path: Path) -> None:
    run = waiting(play, tmp_path)
    asked("run", "reject", run, "all", "--reason", "month-end")
    play.run(hours=0.05)
    assert json.loads(call("run", "show", run, "--output", "json"))["state"] == "skipped"
    asked("run", "retry", run)
    play.run(hours=0.05)
    again = json.loads(call("run", "show", f"{run}-r1", "--output", "json"))
    assert again["retryOf"] == run
    asked("run", "stop", f"{run}-r1", "--reason", "not today")
    play.run(hours=5)
    stopped = json.loads(call("run", "show", f"{run}-r1", "--output", "json"))
    assert stopped["state"] == "stopped"
    assert "not today" in call("run", "show", f"{run}-r1")


def test_an_order_to_a_run_or_a_wave_that_is_not_there_is_refused_at_once(play: Play, tmp_path: Path) -> None:
    run = waiting(play, tmp_path)
    for arguments, complaint in (
        (["run", "stop", "web-none"], "there is no run web-none"),
        (["run", "approve", run, "none"], "has no wave 'none'. It has all"),
    ):
        result = runner.invoke(app, arguments)
        assert result.exit_code == 1
        assert complaint in result.stderr


def test_who_applies_a_campaign_is_its_author_until_somebody_edits_it_by_hand(play: Play, tmp_path: Path) -> None:
    applied(tmp_path)
    play.stack.drain()
    with play.stack.wire.quiet():
        held = Registry(play.table).get("web")
    assert held
    assert held.author.startswith("arn:aws:")
    with play.stack.wire.quiet():
        Items(play.table.client, "CampaignsTable").apply("web", {"owner": "by hand"})
    play.stack.drain()
    with play.stack.wire.quiet():
        edited = Registry(play.table).get("web")
    assert edited
    assert (edited.version, edited.author) == (2, "")


def test_everything_is_paused_and_resumed_by_command_and_only_on_purpose(play: Play) -> None:
    refused = runner.invoke(app, ["pause-all", "--reason", "incident"], input="yes\n")
    assert (refused.exit_code, "Nothing was changed" in refused.stderr) == (1, True)
    done = runner.invoke(app, ["pause-all", "--reason", "incident"], input="pause-all\n")
    assert done.exit_code == 0, done.output
    play.put()
    play.run(hours=0.5)
    assert any("PAUSED all campaigns" in subject for subject in play.subjects())
    assert play.world.effects == []
    call("resume-all", "--yes")
    play.run(hours=5)
    assert len(play.world.effects) == 4


def test_compliance_is_told_run_by_run_account_by_account_and_patch_by_patch(play: Play, tmp_path: Path) -> None:
    next(
        node for node in play.world.organization.nodes.values() if node.name == "a-1"
    ).behaviour = Behaviour.PATCH_FAILS
    applied(tmp_path)
    play.run(hours=6)
    (run,) = json.loads(call("run", "list", "--output", "json"))
    (last,) = json.loads(call("compliance", "summary", "--output", "json"))
    assert (last["campaign"], last["run"], last["percent"]) == ("web", run["run"], 50.0)
    (account,) = json.loads(call("compliance", "summary", "web", "--output", "json"))
    assert (account["account"], account["expected"], account["compliant"]) == ("111122223333", 2, 1)
    (point,) = json.loads(call("compliance", "trend", "web", "--output", "json"))
    assert point["outcomes"] == {"compliant": 1, "failed": 1}
    assert (
        json.loads(call("compliance", "trend", "web", "--account", "111122223333", "--output", "json"))[0]["percent"]
        == 50.0
    )
    missing = json.loads(call("compliance", "missing", "web", "--output", "json"))
    assert missing["run"] == run["run"]
    assert [(one["instances"], one["states"]) for one in missing["patches"]] == [(1, "1 Failed")]
    (row,) = json.loads(call("compliance", "missing", run["run"], "--instances", "--output", "json"))["patches"]
    assert (row["account"], row["state"]) == ("111122223333", "Failed")
    (cve, *_) = row["cves"].split()
    assert json.loads(call("compliance", "missing", "web", "--cve", cve.lower(), "--output", "json"))["patches"]
    assert not json.loads(call("compliance", "missing", "web", "--cve", "CVE-1999-1", "--output", "json"))["patches"]
    for command in ("summary", "trend"):
        assert "50%" in call("compliance", command, "web")


def test_a_report_is_written_from_the_tables_as_it_stands_in_the_bucket_and_changes_nothing(
    play: Play, tmp_path: Path
) -> None:
    applied(tmp_path)
    play.run(hours=6)
    (dossier,) = play.runs()
    out = tmp_path / "report"
    files = json.loads(call("compliance", "report", "web", "--out", str(out), "--output", "json"))["files"]
    assert {Path(path).name for path in files} >= {"report.html", "report.json", "instances.csv", "SHA256SUMS"}
    stored = dict(play.stack.stored())[f"runs/web/{dossier.run.id}/report.json"]
    assert json.loads((out / "report.json").read_text())["compliance"] == json.loads(stored)["compliance"]
    assert play.runs() == [dossier]


def test_a_period_has_a_page_of_all_its_runs(play: Play, tmp_path: Path) -> None:
    applied(tmp_path)
    play.run(hours=6)
    out = tmp_path / "period"
    call("compliance", "report", "--since", "2026-12-01", "--until", "2026-12-31", "--out", str(out))
    told = json.loads((out / "period.json").read_text())
    assert [len(told["runs"]), len(told["accounts"])] == [1, 1]
    assert "100% compliant as of the last run of each campaign, 1 runs" in (out / "period.html").read_text()
    call("compliance", "report", "web", "--since", "2027-01-01", "--out", str(out))
    assert json.loads((out / "period.json").read_text()) == {"runs": [], "accounts": []}


def test_an_auditor_gets_everything_in_one_archive_that_can_be_checked(play: Play, tmp_path: Path) -> None:
    applied(tmp_path)
    play.run(hours=6)
    (dossier,) = play.runs()
    archive = tmp_path / "evidence.zip"
    call("compliance", "evidence", dossier.run.id, "--out", str(archive))
    with zipfile.ZipFile(archive) as pack:
        names = set(pack.namelist())
        for line in pack.read("SHA256SUMS").decode().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256(pack.read(name)).hexdigest() == digest
            names.discard(name)
        assert names == {"SHA256SUMS"}
        assert json.loads(pack.read("campaign.json"))["version"] == 1
        trail = pack.read("audit.ndjson").decode().splitlines()
        assert len(trail) == dossier.run.audited
        assert hashlib.sha256(trail[-1].encode()).hexdigest() == dossier.run.seal
        assert "STARTED" in pack.read("alerts.txt").decode()


# --- the audit trail ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trail:
    """The trail of a run that is over, in the table and as the reporter left it in a folder."""

    play: Play
    run: str
    file: Path

    def key(self, number: int) -> dict[str, str]:
        return {"pk": f"run#{self.run}", "sk": f"audit#{number:06d}"}

    def text(self, number: int) -> str:
        return str(clients.dynamodb().get_item(TableName="RunsTable", Key=self.key(number))["Item"]["text"])

    def set(self, number: int, text: str) -> None:
        clients.dynamodb().put_item(TableName="RunsTable", Item={**self.key(number), "text": text})

    def drop(self, number: int) -> None:
        clients.dynamodb().delete_item(TableName="RunsTable", Key=self.key(number))

    def wrong(self, *more: str) -> list[str]:
        """What `verify` finds, which ends with 5."""
        with self.play.stack.wire.quiet():
            found: list[str] = json.loads(call("audit", "verify", *more, "--output", "json", code=5))["wrong"]
        return found


@pytest.fixture
def trail(play: Play, tmp_path: Path) -> Trail:
    applied(tmp_path)
    play.run(hours=6)
    (run,) = (dossier.run.id for dossier in play.runs())
    stored = dict(play.stack.stored())
    left = tmp_path / "left"
    left.mkdir()
    for name in ("audit.ndjson", "SHA256SUMS"):
        (left / name).write_bytes(stored[f"runs/web/{run}/{name}"])
    return Trail(play, run, left / "audit.ndjson")


def test_the_audit_trail_is_shown_and_written_out_as_it_is_sealed(trail: Trail) -> None:
    shown = json.loads(call("audit", "show", trail.run, "--output", "json"))
    assert [line["what"] for line in shown] == ["start asked", "started", "ended", "reported"]
    assert "start asked" in call("audit", "show", trail.run)
    raw = call("audit", "show", trail.run, "--raw")
    assert raw.startswith(trail.file.read_text(encoding="utf-8"))
    assert [json.loads(line) for line in raw.splitlines()] == shown


def test_a_trail_that_is_what_was_written_holds_and_its_file_is_its_beginning(trail: Trail) -> None:
    found = json.loads(call("audit", "verify", trail.run, "--file", str(trail.file), "--output", "json"))
    assert (found["holds"], found["wrong"], found["lines"], found["linesInFile"]) == (True, [], 4, 3)
    result = runner.invoke(app, ["audit", "verify", trail.run, "--file", str(trail.file)])
    assert "It holds" in result.stdout
    assert "The file ends with line 3" in result.stderr


def test_a_line_of_the_table_that_was_changed_dropped_or_put_in_is_named(trail: Trail) -> None:
    first, second, last = trail.text(1), trail.text(2), trail.text(4)
    trail.set(2, second.replace("started", "STARTED"))
    assert trail.wrong(trail.run) == ["table: line 2 was changed: its seal is not what line 3 says"]
    assert "STARTED" in call("audit", "show", trail.run)
    trail.drop(2)
    assert trail.wrong(trail.run) == ["table: line 2 is missing"]
    trail.set(2, "nothing")
    assert trail.wrong(trail.run) == ["table: line 2 cannot be read"]
    assert "cannot be read" in call("audit", "show", trail.run)
    trail.set(1, second)
    assert "line 1 is missing" in trail.wrong(trail.run)[0]
    trail.set(1, first)
    trail.set(2, second)
    trail.set(5, json.dumps(json.loads(last) | {"number": 5, "before": hashlib.sha256(last.encode()).hexdigest()}))
    assert trail.wrong(trail.run) == ["table: line 5 comes after the seal: the run knows of 4"]
    trail.drop(5)
    trail.drop(4)
    assert trail.wrong(trail.run) == ["table: line 4 is missing"]


def test_a_whole_new_chain_holds_by_itself_and_not_against_the_file(trail: Trail) -> None:
    seal = ""
    for number in range(1, 5):
        told = json.loads(trail.text(number)) | {"before": seal, "at": "2020-01-01T00:00:00Z"}
        trail.set(number, json.dumps(told))
        seal = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    key = {"pk": f"run#{trail.run}", "sk": "run"}
    item = clients.dynamodb().get_item(TableName="RunsTable", Key=key)["Item"]
    kept = json.loads(str(item["body"]))
    clients.dynamodb().put_item(TableName="RunsTable", Item={**item, "body": json.dumps(kept | {"seal": seal})})
    call("audit", "verify", trail.run)
    (wrong,) = trail.wrong(trail.run, "--file", str(trail.file))
    assert wrong == "file and table: line 1 of the copy is another than the one that is kept"


def test_a_file_that_was_changed_or_ends_early_is_found_without_the_table(trail: Trail) -> None:
    whole = trail.file.read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    manifest = "file: its sum is not the one in SHA256SUMS beside it"
    trail.file.write_text("".join(lines[:2]), encoding="utf-8")
    assert trail.wrong("--file", str(trail.file)) == [manifest]
    trail.file.write_text("".join((lines[0], lines[2])), encoding="utf-8")
    assert trail.wrong("--file", str(trail.file)) == ["file: line 2 is missing", manifest]
    trail.file.write_text(whole.replace("started", "STARTED"), encoding="utf-8")
    assert trail.wrong(trail.run, "--file", str(trail.file)) == [
        "file: line 2 or line 3 was changed: the one does not seal the other",
        "file and table: line 2 of the copy is another than the one that is kept",
        manifest,
    ]
    trail.file.write_bytes(b"\xff")
    assert runner.invoke(app, ["audit", "verify", "--file", str(trail.file)]).exit_code == 5


def test_a_file_is_looked_at_without_a_hub_and_when_the_record_is_over(trail: Trail) -> None:
    with trail.play.stack.wire.quiet():
        before = sum(trail.play.stack.wire.sent.values())
        result = runner.invoke(app, ["audit", "verify", "--file", str(trail.file)])
        assert (result.exit_code, sum(trail.play.stack.wire.sent.values())) == (0, before)
        assert "only the run's record could tell" in result.stderr
        result = runner.invoke(app, ["audit", "verify", "web-20200101T0000Z", "--file", str(trail.file)])
        assert (result.exit_code, "by itself" in result.stderr) == (0, True)
        result = runner.invoke(app, ["audit", "verify", "web-20200101T0000Z"])
        assert (result.exit_code, "there is no run" in result.stderr) == (1, True)
        assert runner.invoke(app, ["audit", "verify"]).exit_code == 2


def test_what_never_ran_is_said_in_a_sentence(play: Play) -> None:
    assert play.runs() == []
    result = runner.invoke(app, ["compliance", "report", "nothing"])
    assert result.exit_code == 1
    assert "no run and no campaign 'nothing'" in result.output
    assert runner.invoke(app, ["compliance", "report"]).exit_code == 2


def test_plan_says_what_apply_would_change_and_sends_nothing(play: Play, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(FILE + "schedule: cron(0 22 ? * SAT *)\nexceptions: []\n", encoding="utf-8")
    planned = json.loads(call("plan", str(path), "--output", "json"))
    assert not planned["exists"]
    assert {change["verb"] for change in planned["changes"]} == {"set"}
    assert planned["runs"][0]["startsAt"] == "2026-12-05T22:00:00Z"
    assert play.stack.wire.sent["dynamodb:UpdateItem"] == 0
    call("campaign", "apply", str(path), "--wait", "0")
    play.run(hours=24 * 5)
    again = json.loads(call("plan", str(path), "--output", "json"))
    assert again["changes"] == []
    assert [(one["account"], one["instances"]) for one in again["instances"]] == [("111122223333", 2)]
    assert again["cost"]["automationSteps"] == 3
    call("plan", str(path), "--detailed-exitcode")
    path.write_text(path.read_text().replace("duration: 4", "duration: 5"), encoding="utf-8")
    assert "~ duration: 4 -> 5" in call("plan", str(path), "--detailed-exitcode", code=3)
    assert "Nothing was sent" in call("plan", "web")


def test_plan_finds_campaigns_that_would_meet(play: Play, tmp_path: Path) -> None:
    play.put(campaign="other", schedule="cron(0 23 ? * SAT *)")
    play.stack.drain()
    path = tmp_path / "web.yaml"
    path.write_text(FILE + "schedule: cron(0 22 ? * SAT *)\n", encoding="utf-8")
    (overlap,) = json.loads(call("plan", str(path), "--output", "json"))["overlaps"]
    assert (overlap["with"], overlap["from"]) == ("other", "2026-12-05T23:00:00Z")
    path.write_text(path.read_text().replace("PatchGroup=web", "PatchGroup=db"), encoding="utf-8")
    assert json.loads(call("plan", str(path), "--output", "json"))["overlaps"] == []


def test_a_campaign_is_paused_resumed_and_deleted_by_command(play: Play, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(FILE + "schedule: cron(0 22 ? * SAT *)\n", encoding="utf-8")
    call("campaign", "apply", str(path), "--wait", "0")
    play.stack.drain()
    for command, status in (("pause", "PAUSED"), ("resume", "VALID")):
        call("campaign", command, "web", "--wait", "0")
        play.stack.drain()
        assert play.item()["status"] == status
    versions = json.loads(call("campaign", "history", "web", "--output", "json"))
    assert [(one["version"], one["changed"]) for one in versions] == [
        (1, "first version"),
        (2, "enabled"),
        (3, "enabled"),
    ]
    assert all("assumed-role" in one["author"] or "arn:aws" in one["author"] for one in versions)
    windows = json.loads(call("campaign", "calendar", "--days", "30", "--output", "json"))
    assert windows[0]["startsAt"] == "2026-12-05T22:00:00Z"
    ical = tmp_path / "windows.ics"
    call("campaign", "calendar", "--ical", str(ical))
    assert ical.read_text().count("BEGIN:VEVENT") == len(json.loads(call("campaign", "calendar", "--output", "json")))
    assert runner.invoke(app, ["campaign", "delete", "web"], input="no\n").exit_code == 1
    call("campaign", "delete", "web", "--yes")
    play.stack.drain()
    assert json.loads(call("campaign", "list", "--output", "json")) == []
    assert "There is no campaign 'web'" in runner.invoke(app, ["campaign", "pause", "web"]).output


def test_a_run_is_started_by_hand_with_who_and_why(play: Play, tmp_path: Path) -> None:
    play.put(schedule="cron(0 22 ? * SAT *)", waves=[{"name": "one", "targets": "tag:Ring=0"}, {"name": "two"}])
    play.stack.drain()
    answer = json.loads(call("run", "start", "web", "--reason", "CVE-2026-1", "--wave", "one", "--output", "json"))
    assert answer["waves"] == ["one"]
    play.run(hours=6)
    assert play.patched(answer["run"]) == ["a-1"]
    run = next(dossier.run for dossier in play.runs() if dossier.run.id == answer["run"])
    assert (run.trigger, run.because) == ("manual", "CVE-2026-1")
    lines = json.loads(call("run", "logs", run.id, "--output", "json"))
    assert [line["what"] for line in lines][:2] == ["start asked", "started"]
    (row,) = json.loads(call("run", "logs", run.id, next(iter(play.rows(run.id))), "--output", "json"))
    assert row["outcome"] == "compliant"
    assert "no wave 'three'" in runner.invoke(app, ["run", "start", "web", "--reason", "x", "--wave", "three"]).output
    assert runner.invoke(app, ["run", "start", "nothing", "--reason", "x"]).exit_code == 1


def test_exceptions_are_added_listed_and_ended_by_command(play: Play, tmp_path: Path) -> None:
    play.put(schedule="cron(0 22 ? * SAT *)")
    play.stack.drain()
    added = ["--reason", "old kernel", "--expires", "2027-01-31", "--targets", "tag:Legacy=yes", "--wait", "0"]
    call("exception", "add", "web", *added)
    play.stack.drain()
    assert play.item()["status"].startswith("VALID")
    (one,) = json.loads(call("exception", "list", "--output", "json"))
    assert (one["state"], one["reason"], one["expires"]) == ("active", "old kernel", "2027-01-31")
    assert json.loads(call("exception", "list", "--within", "7", "--output", "json")) == []
    call("exception", "expire", "web", "1", "--yes", "--wait", "0")
    (one,) = json.loads(call("exception", "list", "web", "--output", "json"))
    assert one["state"] == "expired"
    wrong = runner.invoke(
        app, ["exception", "add", "web", "--reason", "x", "--expires", "soon", "--targets", "tag:A=b"]
    )
    assert (wrong.exit_code, "Nothing was written" in wrong.output) == (5, True)
    assert "there is no number 9" in runner.invoke(app, ["exception", "expire", "web", "9", "--yes"]).output


def test_the_doctor_finds_what_keeps_people_from_being_told_and_accounts_from_being_patched(play: Play) -> None:
    play.world.organization.accounts["444455556666"].roles.clear()
    play.put(owner="x")
    play.put(campaign="wrong", duration="soon")
    play.run(hours=6)
    found = json.loads(call("doctor", "--output", "json", code=1))
    by_what = {one["what"]: one for one in found}
    assert by_what["switch"]["state"] == "ok"
    assert by_what["CollectorDeadLetters"] == {
        "what": "CollectorDeadLetters",
        "state": "ok",
        "said": "0 messages",
        "fix": "",
    }
    assert by_what["444455556666 eu-west-1"]["state"] == "fail"
    assert "deploy the spoke stack" in by_what["444455556666 eu-west-1"]["fix"]
    assert by_what["campaign"]["fix"] == "patchtide campaign show wrong"
    assert by_what["alarms"]["state"] == "fail"  # the small world has none
    assert "fail" in call("doctor", code=1)


def looked_at(*environment: tuple[str, str]) -> dict[str, dict[str, str]]:
    """What the doctor finds of each thing, where the stack has these resources and parameters."""
    found = json.loads(call("doctor", "--output", "json", code=1, env=dict(environment)))
    return {one["what"]: one for one in found}


def test_the_doctor_looks_at_the_key_without_which_nobody_is_told(play: Play) -> None:
    with play.stack.wire.quiet():
        kms = play.stack._client("kms")
        key = kms.create_key(Description="alerts")["KeyMetadata"]["KeyId"]
    environment = ("PATCHTIDE_ALERTS_KEY", key)
    assert looked_at(environment)["key"]["state"] == "ok"
    with play.stack.wire.quiet():
        kms.disable_key(KeyId=key)
    wrong = looked_at(environment)["key"]
    assert (wrong["state"], wrong["said"]) == ("fail", f"{key} is Disabled")
    assert "no alert can be published" in wrong["fix"]


def test_the_doctor_looks_at_runbooks_of_ones_own_and_at_who_sees_them(play: Play) -> None:
    documents = play.world.documents
    ours = documents.owned(play.world.organization.hub, REGION, "Patchtide-PatchFleet").version(None)
    made = documents.create(
        play.world.organization.hub,
        REGION,
        {"Name": "Acme-Patch", "Content": ours.content, "DocumentType": "Automation", "DocumentFormat": "JSON"},
    )
    hash_ = made.version(None).hash
    for own, state, said in (
        ("Acme-Patch", "ok", "version 1, not shared: each account and Region needs its own"),
        (f"Acme-Patch@{hash_}", "ok", "version 1, not shared: each account and Region needs its own"),
        (f"Acme-Patch@{'0' * 64}", "fail", f"its hash is {hash_}, OwnRunbooks allows {'0' * 64}"),
    ):
        found = looked_at(("PATCHTIDE_OWN_RUNBOOKS", own))["Acme-Patch"]
        assert (found["state"], found["said"]) == (state, said)
    made.shared[ALPHA] = "$DEFAULT"
    seen = looked_at(("PATCHTIDE_OWN_RUNBOOKS", "Acme-Patch"))
    assert seen["Acme-Patch"]["said"] == "version 1, shared with 1 accounts"
    assert looked_at(("PATCHTIDE_OWN_RUNBOOKS", "Acme-Gone"))["own runbooks"]["state"] == "unknown"


@pytest.mark.parametrize(("quota", "state"), [(100, "ok"), (1, "warn")])
def test_the_doctor_says_how_much_of_the_quota_of_automations_is_used(
    play: Play, monkeypatch: pytest.MonkeyPatch, quota: int, state: str
) -> None:
    play.put()
    play.run(hours=0.2)
    asked: list[dict[str, str]] = []

    class Quotas:
        def get_service_quota(self, **params: str) -> dict[str, dict[str, float]]:
            asked.append(params)
            return {"Quota": {"Value": float(quota)}}

    whole = boto3.client
    monkeypatch.setattr(
        "boto3.client", lambda name, **more: Quotas() if name == "service-quotas" else whole(name, **more)
    )
    found = looked_at()["quota"]
    assert (found["state"], found["said"]) == (state, f"1 of {quota} automations are under way here")
    assert asked == [{"ServiceCode": "ssm", "QuotaCode": "L-09101E66"}]


def test_a_sample_message_reaches_whoever_is_subscribed_and_says_that_it_is_a_test(play: Play) -> None:
    call("notify", "test", "--event", "run.halted")
    play.read_mail()
    (mail,) = play.mails
    assert mail["Subject"].startswith("[TEST] [patch] HALTED")
    assert runner.invoke(app, ["notify", "test", "--event", "run.nonsense"]).exit_code == 2


def test_data_comes_as_json_yaml_or_csv_and_any_part_of_it(play: Play) -> None:
    play.put(schedule="cron(0 22 ? * SAT *)", description="=1+1")
    play.stack.drain()
    assert call("campaign", "list", "--output", "csv").splitlines()[0].startswith("campaign,status,")
    assert call("campaign", "list", "--output", "yaml").startswith("- campaign: web\n")
    assert json.loads(call("campaign", "list", "--query", "[].campaign")) == ["web"]
    assert call("campaign", "show", "web", "--query", "description", "--output", "csv").splitlines() == [
        "value",
        "'=1+1",
    ]
    assert runner.invoke(app, ["campaign", "list", "--query", "[["]).exit_code == 2


# --- override lists -------------------------------------------------------------------------------------------------------

LIST = "patches:\n  - id: kernel.x86_64\n    title: 4.14.243*\n  - id: KB5034441\n"


def test_a_list_is_uploaded_as_it_is_and_an_item_may_name_what_was_printed(play: Play, tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(LIST, encoding="utf-8")
    answer = json.loads(call("override", "put", str(file), "--output", "json"))
    assert json.loads(call("override", "put", str(file), "--output", "json")) == answer
    digest = hashlib.sha256(LIST.encode()).hexdigest()
    assert answer["sha256"] == digest
    assert answer["installOverrideList"].endswith(f"/overrides/{digest}.yaml")
    assert (f"overrides/{digest}.yaml", LIST.encode()) in list(play.stack.stored())
    applied(tmp_path, FILE + f"installOverrideList: {answer['installOverrideList']}\n")
    play.run(hours=6)
    assert play.item()["lastRunStatus"] == "succeeded"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds nothing, not an override list"),
        ("- id: x", "holds a list, not an override list"),
        ("patches: []", "patches"),
        ("patches: {id: x}", "patches"),
        ("patches:\n  - kernel", "patches[0]"),
        ("patches:\n  - title: x", "patches[0].id"),
        ("patches:\n  - id: 5034441", "patches[0].id"),
        ('patches:\n  - id: "a\\nb"', "patches[0].id"),
        ('patches:\n  - id: x\n    title: ["y"]', "patches[0].title"),
        ("patches:\n  - id: x\n    id: y", "id"),
        ("patches: [", "not YAML"),
        ("#" * 1_000_001, "larger than"),
    ],
)
def test_what_is_no_list_is_told_and_not_uploaded(play: Play, tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(text, encoding="utf-8")
    result = runner.invoke(app, ["override", "put", str(file)])
    assert result.exit_code == 5
    assert told in result.stderr
    assert "Nothing was written." in result.stderr
    assert not [key for key, _ in play.stack.stored() if key.startswith("overrides/")]


def test_a_list_that_is_not_there_is_a_mistake_of_the_command_line(play: Play) -> None:
    result = runner.invoke(app, ["override", "put", "none.yaml"])
    assert result.exit_code == 2
    assert "an override list file" in result.stderr


def test_what_a_stack_does_not_allow_is_told_when_it_is_applied(play: Play, tmp_path: Path) -> None:
    applied(tmp_path, FILE + "runbook: Acme-Patch\n")
    play.stack.drain()
    item = json.loads(call("campaign", "show", "web", "--output", "json"))
    assert item["status"] == "INVALID"
    assert "OwnRunbooks" in item["statusMessage"]


def test_an_item_that_would_write_over_the_terminal_is_shown_as_it_is(play: Play) -> None:
    play.put(description="\x1b[2J\x1b[1;1Hall is well", owner="x\nstatus  VALID")
    play.stack.drain()
    for output in ("table", "yaml", "json", "csv"):
        text = call("campaign", "show", "web", "--output", output)
        assert "\x1b" not in text or output == "csv"
    assert "\\x1b[2J" in call("campaign", "show", "web")
    assert not [line for line in call("campaign", "show", "web").splitlines() if line == "status  VALID"]
