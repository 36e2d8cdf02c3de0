"""What is left of a run when it is over: its report in the bucket, its point on the trend, the truth about odd instances."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from patchtide.aws import clients
from patchtide.aws.reports import Folder
from patchtide.aws.runs import Registry
from patchtide.core import audit
from patchtide.flow.reporter import Reporter, write
from simulator import sample
from simulator.fleet import Behaviour, Organization
from simulator.proof.faults import Killed
from tests.journeys.small import ALPHA, REGION, Play, dies_once, opened, organization, same_evening

LEGACY = {
    "targets": "tag:Ring=2",
    "reason": "the vendor supports no newer kernel",
    "approvedBy": "jane@example.com",
    "expires": "2026-12-01",
    "ticket": "CHG1",
}


def files(play: Play) -> dict[str, bytes]:
    return dict(play.stack.stored())


def folder(play: Play, run: str) -> dict[str, bytes]:
    start = f"runs/web/{run}/"
    return {key.removeprefix(start): content for key, content in files(play).items() if key.startswith(start)}


def report(play: Play, run: str) -> Any:
    return json.loads(folder(play, run)["report.json"])


def rows(play: Play, run: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(folder(play, run)["instances.csv"].decode(), newline="")))


def named(play: Play, name: str) -> str:
    return next(node.id for node in play.world.organization.nodes.values() if node.name == name)


def test_a_run_leaves_its_report_with_a_manifest_of_its_files() -> None:
    with opened(organization({"a-1": Behaviour.DISK_FULL})) as play:
        play.put()
        play.run(hours=6)
        (dossier,) = play.runs()
        left = folder(play, dossier.run.id)
        assert set(left) == {"SHA256SUMS", "audit.ndjson", "instances.csv", "patches.csv", "report.html", "report.json"}
        for line in left["SHA256SUMS"].decode().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256(left[name]).hexdigest() == digest
        assert dossier.run.reported == hashlib.sha256(left["SHA256SUMS"]).hexdigest()
        with play.stack.wire.quiet():
            assert any(
                "reported" in line.text and dossier.run.reported in line.text
                for line in play.book.audit(dossier.run.id)
            )
        told = report(play, dossier.run.id)
        assert told["compliance"]["percent"] == 75.0
        assert told["compliance"]["expected"] == told["expectedInstances"] == 4
        lines = files(play)[told["lines"]["key"]]
        assert hashlib.sha256(lines).hexdigest() == told["lines"]["sha256"]
        assert len(gzip.decompress(lines).splitlines()) == 4
        assert f"patchtide compliance report {dossier.run.id}" in play.said("FAILED")


def test_the_audit_trail_is_beside_the_report_as_far_as_it_went_and_what_follows_seals_it() -> None:
    with opened() as play:
        play.put()
        play.run(hours=6)
        (dossier,) = play.runs()
        run = dossier.run
        left = folder(play, run.id)
        with play.stack.wire.quiet():
            kept = tuple(play.book.audit(run.id))
        copied = audit.read(left["audit.ndjson"].decode())
        assert copied == kept[: len(copied)]
        assert [json.loads(line.text)["what"] for line in copied] == ["start asked", "started", "ended"]
        assert report(play, run.id)["auditTrail"] == {"lines": len(copied), "seal": copied[-1].seal}
        (later,) = (json.loads(line.text) for line in kept[len(copied) :])
        assert later["before"] == copied[-1].seal
        assert (later["what"], later["said"]) == ("reported", f"manifest {run.reported}")
        assert f"{hashlib.sha256(left['audit.ndjson']).hexdigest()}  audit.ndjson" in left["SHA256SUMS"].decode()
        assert audit.faults(kept, audit.End(run.audited, run.seal)) == ()


def test_a_line_that_came_while_the_report_was_written_is_not_in_it_and_no_fault(tmp_path: Path) -> None:
    with opened() as play:
        play.put()
        play.run(hours=6)
        (dossier,) = play.runs()
        with play.stack.wire.quiet():
            kept = tuple(play.book.audit(dossier.run.id))
            loaded = replace(dossier.run, audited=2, seal=kept[1].seal)
            at = Reporter(Registry(play.table), play.book, Folder(tmp_path), lambda: play.world.clock.now)
            write(replace(dossier, run=loaded), at)
        assert audit.read((tmp_path / "audit.ndjson").read_text(encoding="utf-8")) == kept[:2]
        assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["warnings"] == []


def test_a_report_says_that_its_audit_trail_is_not_what_was_written() -> None:
    with opened() as play:
        tampered: list[object] = []

        def tamper(call: object) -> None:
            if str(call) == "s3:PutObject" and not tampered:
                tampered.append(call)
                with play.stack.wire.quiet():
                    (run,) = (dossier.run.id for dossier in play.runs())
                    key = {"pk": f"run#{run}", "sk": "audit#000002"}
                    clients.dynamodb().delete_item(TableName="RunsTable", Key=key)

        play.stack.wire.before.append(tamper)
        play.put()
        play.run(hours=6)
        (dossier,) = play.runs()
        assert report(play, dossier.run.id)["warnings"] == [
            "The audit trail is not what was written: line 2 is missing."
        ]
        assert "line 2 is missing" in folder(play, dossier.run.id)["report.html"].decode()


def test_who_dies_while_writing_has_it_written_again_and_it_is_told_once() -> None:
    with opened() as play:
        died = dies_once(play, "s3:PutObject", "after")
        play.put()
        with pytest.raises(Killed):
            play.run(hours=8)
        play.stack.restart()
        play.run(hours=8)
        (dossier,) = play.runs()
        assert died
        assert dossier.run.reported
        with play.stack.wire.quiet():
            assert [point.run for point in play.book.trend("web", 9)] == [dossier.run.id]
        assert len(play.mails) == 2


def test_the_trend_is_our_own_record_run_after_run() -> None:
    fleet = organization({"a-1": Behaviour.DISK_FULL})
    with opened(fleet, speed=20) as play:
        play.put(schedule="cron(30 9 * * ? *)")
        play.run(hours=6)
        next(node for node in fleet.nodes.values() if node.name == "a-1").behaviour = Behaviour.HEALTHY
        play.run(hours=30)
        with play.stack.wire.quiet():
            points = play.book.trend("web", 9)
            accounts = list(play.book.accounts("web", ALPHA))
        assert [point.compliance.percent for point in points[:2]] == [75.0, 100.0]
        assert [point.compliance.percent for point in accounts[:2]] == [50.0, 100.0]
        page = folder(play, points[1].run)["report.html"].decode()
        assert "Compliance over the last 2 runs" in page
        assert points[0].run in page


def test_an_exception_spares_whom_it_names_until_its_last_day_and_is_counted_apart() -> None:
    with opened(speed=20) as play:
        play.put(exceptions=[LEGACY], schedule="cron(30 9 * * ? *)")
        play.run(hours=6)
        (dossier,) = play.runs()
        assert play.outcomes(dossier.run.id) == {
            "a-1": "compliant",
            "a-2": "excluded",
            "b-1": "compliant",
            "b-2": "excluded",
        }
        assert play.patched(dossier.run.id) == ["a-1", "b-1"]  # by the world's own log
        assert dossier.run.state == "succeeded"
        told = report(play, dossier.run.id)
        assert (told["compliance"]["percent"], told["compliance"]["percentWithExceptions"]) == (100.0, 50.0)
        assert told["exceptions"] == [
            {
                "reason": LEGACY["reason"],
                "approvedBy": "jane@example.com",
                "expires": "2026-12-01",
                "ticket": "CHG1",
                "instances": 2,
            }
        ]
        play.run(hours=28)  # into the day after its last
        second = play.runs()[1].run
        assert play.patched(second.id) == ["a-1", "a-2", "b-1", "b-2"]


def test_an_exception_for_one_account_spares_nobody_elsewhere() -> None:
    with opened(speed=20) as play:
        play.put(exceptions=[LEGACY | {"accounts": [ALPHA]}])
        play.run(hours=6)
        assert play.patched() == ["a-1", "b-1", "b-2"]


def test_where_everybody_is_spared_nothing_is_called_a_success() -> None:
    with opened(speed=20) as play:
        play.put(exceptions=[LEGACY | {"targets": "tag:PatchGroup=web"}])
        play.run(hours=6)
        (dossier,) = play.runs()
        assert (dossier.run.state, play.patched()) == ("incomplete", [])
        assert [subject for subject in play.subjects() if "EXCEPTED" in subject]


def test_an_instance_that_joins_late_is_told_as_such_and_counted_nowhere() -> None:
    with opened() as play:
        play.put(schedule="at(2026-12-01T12:00:00)")
        play.run(hours=2.9)
        account = play.world.organization.accounts[ALPHA]
        late = play.world.organization.add_node(account, REGION, "late", tags={"PatchGroup": "web", "Ring": "1"})
        play.run(hours=6)
        (dossier,) = play.runs()
        told = report(play, dossier.run.id)
        assert told["compliance"]["expected"] == 4
        assert [(one["instance"], one["outcome"]) for one in told["lateJoiners"]] == [(late.id, "compliant")]
        assert "late" in play.patched()
        assert [row["instanceId"] for row in rows(play, dossier.run.id) if row["lateJoiner"] == "true"] == [late.id]
        assert "Late joiners: 1" in folder(play, dossier.run.id)["report.html"].decode()
        assert dossier.latest[0].joined == 1


def test_an_instance_that_is_terminated_meanwhile_is_gone_and_not_failed() -> None:
    with opened(organization({"a-1": Behaviour.TERMINATED}), speed=4) as play:
        play.put()
        play.run(hours=8)
        (dossier,) = play.runs()
        assert play.outcomes(dossier.run.id)["a-1"] == "gone"
        assert dossier.run.state == "failed"


def test_a_stopped_instance_is_expected_and_told_as_stopped() -> None:
    with opened(speed=4) as play:
        play.put(schedule="at(2026-12-01T12:00:00)")
        play.stack.wire.move_to(play.world.clock.now + timedelta(minutes=1))
        play.world.set_state(play.world.organization.nodes[named(play, "a-2")], "stopped")
        play.run(hours=12)
        (dossier,) = play.runs()
        row = play.rows(dossier.run.id)[named(play, "a-2")]
        assert row["outcome"] == "unreachable"
        assert row["cause"] in ("STOPPED_INSTANCE", "AGENT_LOST")


def test_four_commands_to_fifty_instances_each_say_two_hundred() -> None:
    """AWS's own reporting sample takes the largest command for the total, and would say 50."""
    fleet = Organization(sample.HUB, [REGION], 1)
    account = fleet.add_account("a", None, id=ALPHA, roles=sample.ONBOARDED)
    for ring in range(4):
        for number in range(50):
            fleet.add_node(account, REGION, f"{ring}-{number}", tags={"PatchGroup": "web", "Ring": f"{ring}"})
    with opened(fleet, speed=60) as play:
        play.put(accounts=[ALPHA], waves=same_evening({}, {}, {}), duration=12)
        play.run(hours=14)
        (dossier,) = play.runs()
        commands = {delivery.command for delivery in play.world.effects}
        assert len(commands) == 4
        told = report(play, dossier.run.id)
        assert (told["compliance"]["expected"], told["compliance"]["compliant"]) == (200, 200)
        assert len(rows(play, dossier.run.id)) == 200


def test_three_pending_reboots_are_three_pending_reboots() -> None:
    troubles = dict.fromkeys(("a-1", "a-2", "b-1"), Behaviour.PENDING_REBOOT)
    with opened(organization(troubles)) as play:
        play.put()
        play.run(hours=6)
        (dossier,) = play.runs()
        told = report(play, dossier.run.id)
        assert told["compliance"]["outcomes"] == {"compliant": 1, "pendingReboot": 3}
        assert "3/4 wait for a reboot" in " ".join(play.subjects())
        assert {
            one["state"] for one in csv.DictReader(io.StringIO(folder(play, dossier.run.id)["patches.csv"].decode()))
        } == {"InstalledPendingReboot"}


def test_zero_targets_are_an_error_and_the_report_says_so() -> None:
    with opened() as play:
        play.put(targets="tag:PatchGroup=wbe")
        play.run(hours=6)
        (dossier,) = play.runs()
        assert dossier.run.state == "no targets"
        assert [mail["Subject"] for mail in play.mails] == [
            "[patch] NO TARGETS web: 0 instances matched, nothing was patched"
        ]
        told = report(play, dossier.run.id)
        assert (told["state"], told["compliance"]["percent"]) == ("no targets", None)


def test_two_denied_accounts_are_named_in_the_mail_and_in_the_report() -> None:
    fleet = organization()
    for number, name in enumerate(("payments", "legacy")):
        unit = next(unit for unit in fleet.units.values() if unit.name == "Web")
        fleet.add_account(name, unit, id=f"{number + 5:012d}", roles={})
    unit_id = next(unit.id for unit in fleet.units.values() if unit.name == "Web")
    with opened(fleet) as play:
        play.put(accounts=[unit_id])
        play.run(hours=6)
        (dossier,) = play.runs()
        told = report(play, dossier.run.id)
        assert {row["account"] for row in told["locations"]["unreachable"]} == {"000000000005", "000000000006"}
        assert {one["name"] for one in told["accounts"] if one["unreachable"]} == {"payments", "legacy"}
        page = folder(play, dossier.run.id)["report.html"].decode()
        for mail in play.mails:
            for account in ("000000000005", "000000000006"):
                assert f"{account} {REGION}  ROLE_DENIED" in mail["Message"]
        assert "payments" in page
        assert "legacy" in page


def test_who_wrote_over_evidence_is_named() -> None:
    with opened(organization({"a-1": Behaviour.OVERWRITTEN})) as play:
        play.put(
            accounts=[ALPHA], maxConcurrency=1
        )  # so that its neighbour keeps the location busy until it is written over
        play.run(hours=8)
        (dossier,) = play.runs()
        row = play.rows(dossier.run.id)[named(play, "a-1")]
        assert (row["outcome"], row["cause"]) == ("unverified", "OVERWRITTEN")
        assert "AWS-RunPatchBaseline Scan" in row["sentence"]
        assert "nightly compliance scan" in row["sentence"]
