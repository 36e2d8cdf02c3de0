"""Whatever people write, they are told what is wrong with it, where, and what to write instead; and nothing falls over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import Binary
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel
from typer.testing import CliRunner

from cli.main import app
from patchtide.core.document import (
    MAX_PROBLEMS,
    CampaignDocument,
    ExceptionDocument,
    GateDocument,
    NotifyDocument,
    WaveDocument,
    canonical,
    read,
)
from patchtide.core.fields import REGIONS
from patchtide.core.problem import Problem, part, shown
from simulator import sample
from simulator.clock import PacedClock
from simulator.fleet import Organization
from simulator.memory import Memory
from simulator.world import World

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
MINIMAL: Mapping[str, Any] = {
    "campaign": "dev-weekly",
    "schedule": "cron(0 22 ? * SAT *)",
    "duration": Decimal(4),
    "accounts": ["111122223333"],
    "regions": {"eu-west-1"},
    "targets": "tag:PatchGroup=dev",
}
GONE = object()  # a field that is left out
MILLION = "x" * 1_000_000
NAN, INFINITY = Decimal("NaN"), Decimal("Infinity")
EXCEPTION = {"targets": "tag:A=b", "reason": "old", "approvedBy": "jane@example.com", "expires": "2027-03-31"}
PARAMETERS = "runbookParameters"

Changes = Mapping[str, Any]


def wave(**fields: Any) -> Changes:
    return {"waves": [{"name": "canary", **fields}, {"name": "rest"}]}


def gate(**fields: Any) -> Changes:
    return wave(gate=fields)


def exception(**fields: Any) -> Changes:
    made = {name: value for name, value in {**EXCEPTION, **fields}.items() if value is not GONE}
    return {"exceptions": [made]}


def notify(**fields: Any) -> Changes:
    return {"notify": fields}


def each(field: str, code: str, *values: Any, at: str = "") -> list[tuple[Changes, str, str]]:
    """The field with each of the values in turn, and where the same problem is to be told."""
    return [({field: value}, at or field, code) for value in values]


def inside(make: Any, field: str, at: str, code: str, *values: Any) -> list[tuple[Changes, str, str]]:
    return [(make(**{field: value}), at, code) for value in values]


MALFORMED: list[tuple[Changes, str, str]] = [
    # Names.
    *each("campaign", "missing", GONE, None),
    *each("campaign", "text", Decimal(7), True, ["dev"], {"a": "b"}, {"dev"}, b"dev-weekly", Binary(b"dev-weekly")),
    *each(
        "campaign",
        "pattern",
        "",
        "ab",
        "x" * 49,
        "Dev_Weekly",
        "dev weekly",
        "dev\nweekly",
        "../../etc",
        "d\u00e9v\u00e9",
    ),
    *each(
        "campaign",
        "pattern",
        "dev; rm -rf /",
        "{{ssm:secret}}",
        "' OR 1=1 --",
        "<script>",
        MILLION,
        "x" * 2048,
        "dev-weekly\n",
    ),
    # Spans, with units misspelt and numbers that are none.
    *each("duration", "missing", GONE, None),
    *each(
        "duration", "duration", "4 hours", "4hrs", "PT4H", "4", "", "22:00", "0o17", "\u0664h", "1e3", "4h 30m", "inf"
    ),
    *each("duration", "duration", True, [Decimal(4)], {}, NAN, Decimal("sNaN"), INFINITY, Decimal("1E+1000"), 10**5000),
    *each("duration", "duration", 1e300, float("nan"), "99999999999h", b"4", MILLION),
    *each("duration", "range", Decimal(25), Decimal(0), Decimal("0.5"), Decimal(-4), "30m", "1d1h"),
    *each("cutoff", "range", Decimal(4), Decimal(-1), "4h"),
    *each("cutoff", "duration", "-1h", "90", "ninety", ["1h"]),
    # Accounts.
    *each("accounts", "missing", GONE, None),
    *each("accounts", "too-short", []),
    *each("accounts", "account-number", Decimal(111122223333), [Decimal(11122223333)], at="accounts[0]"),
    *each("accounts", "account-number", {Decimal(111122223333)}, 1.1e11, [-1], [10**30], [0o17], at="accounts[0]"),
    *each("accounts", "account", ["1111"], ["\u0661" * 12], "111122223333 ", "111122223333\n", "all", at="accounts[0]"),
    *each("accounts", "account", "*", "", "r-", "arn:aws:iam::111122223333:root", "1111-2222-3333", at="accounts[0]"),
    *each("accounts", "account", [None], [True], [["111122223333"]], {"id": "1"}, [Binary(b"1")], at="accounts[0]"),
    *each("accounts", "account", ["111122223333", "ou-x"], at="accounts[1]"),
    *each("excludeAccounts", "account-number", [Decimal(5)], at="excludeAccounts[0]"),
    *each("excludeAccounts", "account", "0x12", {"ou-AB12-prodprod"}, at="excludeAccounts[0]"),
    *each("includeChildOrganizationUnits", "choice", "maybe", Decimal(2), [], {}, ""),
    # Regions.
    *each("regions", "missing", GONE, None),
    *each("regions", "too-short", []),
    *each(
        "regions", "region", "Ireland", "eu-wset-1", "eu-west-1a", "EU-WEST-1", "eu_west_1", "euwest1", at="regions[0]"
    ),
    *each("regions", "region", "us-esat-1", "us-east-1; ls", "", [None], [Decimal(1)], {"a": "b"}, at="regions[0]"),
    *each("regions", "too-long", [f"eu-west-{number}" for number in range(1, 52)]),
    # Targets.
    *each("targets", "missing", GONE, None),
    *each("targets", "too-short", []),
    *each(
        "targets", "target", "", "all", "PatchGroup=dev", "tag:PatchGroup", "tag:PatchGroup=", "tag:=x", at="targets[0]"
    ),
    *each("targets", "target", "tag:A=a,,b", "InstanceIds=web-1", "tag:" + "k" * 129 + "=x", at="targets[0]"),
    *each("targets", "target", Decimal(5), True, [None], [[]], b"tag:A=b", {"key": "tag:A"}, at="targets[0]"),
    *each("targets", "target", {"key": "tag:A", "values": []}, {"key": Decimal(1), "values": ["x"]}, at="targets[0]"),
    *each(
        "targets",
        "target",
        {"key": "tag:A", "values": [Decimal(5)]},
        {"key": "tag:A", "values": [None]},
        at="targets[0]",
    ),
    *each("targets", "target", {"key": "tag:A", "values": ["x"], "also": "y"}, at="targets[0]"),
    *each("targets", "target", "tag:A=" + ",".join("v" * 51), at="targets[0]"),
    *each("targets", "characters", "tag:A={{x}}", "tag:A=\x00", "tag:A=a\u2028b", "tag:\x1b[0m=x", at="targets[0]"),
    *each("targets", "too-long", [f"tag:A{number}=x" for number in range(6)]),
    *each("targets", "target-size", "tag:A=" + "x" * 600),
    ({"runbook": "Patchtide-PatchInstance", "targets": ["tag:A=1", "tag:B=2"]}, "targets", "one-target"),
    # Schedules.
    *each("schedule", "null", None),
    *each("schedule", "text", Decimal(5), True, ["rate(7 days)"], {"cron": "0 22 ? * SAT *"}, b"rate(7 days)"),
    *each("schedule", "schedule", "", "every Saturday", "* * * * *", "0 22 ? * SAT *", "cron(0 22 ? * SAT)"),
    *each("schedule", "schedule", "cron(0 22 ? * ? *)", "cron(0 22 1 * SAT *)", "cron(0 22 LW * ? *)", "cron()"),
    *each("schedule", "schedule", "cron(0 25 ? * SAT *)", "cron(60 22 ? * SAT *)", "cron(0 22 ? * FUNDAY *)"),
    *each("schedule", "schedule", "cron(0 22 ? * TUE#6 *)", "cron(0 22 ? * SAT 1969)", "cron(0 22 ? * SAT 2030-2027)"),
    *each("schedule", "schedule", "cron(0/0 22 ? * SAT *)", "cron(\u0660 22 ? * SAT *)", "CRON(0 22 ? * SAT *)"),
    *each("schedule", "schedule", "cron(0 22 ? * SAT *); DROP TABLE", "cron(" + "9" * 5000 + " 22 ? * SAT *)", MILLION),
    *each("schedule", "schedule", "rate(1 days)", "rate(0 days)", "rate(2 weeks)", "rate(60000 days)", "rate(-1 day)"),
    *each("schedule", "schedule", "at(2026-02-30T22:00:00)", "at(2027-01-31)", "at(2027-01-31T22:00:00Z)"),
    ({"schedule": "rate(2 hours)"}, "duration", "overlap"),
    *each(
        "scheduleTimezone", "timezone", "Europe/Londn", "europe/london", "BST", "UTC+1", "", "../../etc/passwd", MILLION
    ),
    *each("scheduleTimezone", "text", Decimal(1), ["UTC"]),
    *each("scheduleOffset", "range", Decimal(28), Decimal(-1), "28", 10**30),
    *each("scheduleOffset", "number", "x", "\u0664", "1_0", "", Decimal("1.5"), NAN, True, [Decimal(4)], "four"),
    ({"schedule": GONE, "scheduleOffset": Decimal(4)}, "scheduleOffset", "without-schedule"),
    *each(
        "startDate", "date", "2026-02-30", "2026-13-01", "01/02/2027", "2027-01-01T00:00:00Z", "20270101", "", "soon"
    ),
    *each("startDate", "date", Decimal(20270101), Decimal(0), True, "\u0662\u0660\u0662\u0667-01-01", ["2027-01-01"]),
    *each("startDate", "range", "9999-12-31", "1969-12-31"),
    *each("endDate", "date", "2027-02-29", {"date": "2027-01-01"}),
    ({"startDate": "2027-02-01", "endDate": "2027-01-01"}, "endDate", "range"),
    ({"schedule": GONE, "startDate": "2027-02-01"}, "startDate", "without-schedule"),
    # Choices.
    *each("state", "choice", "ON", "on", "enabled", "", True, Decimal(1), ["ENABLED"], b"ENABLED"),
    *each("operation", "choice", "install", "Uninstall", "Install; reboot", {}),
    *each("rebootOption", "choice", "Never", "REBOOTIFNEEDED", False),
    *each("approval", "choice", "maybe", "yes", "", True, [], {"required"}),
    *each("onCalendarClosed", "choice", "wait", "", Decimal(0)),
    # Limits.
    *each(
        "maxConcurrency",
        "rate",
        Decimal(0),
        "0",
        "0%",
        "101%",
        "-1",
        "10 %",
        "ten",
        "",
        "\u0663",
        "%",
        "9" * 20,
        MILLION,
    ),
    *each("maxConcurrency", "rate", True, Decimal("1.5"), INFINITY, [Decimal(5)], {"10%"}, b"10%"),
    *each("maxErrors", "rate", Decimal(-1), "-1", "100.5%", "007", {}),
    *each("locationMaxConcurrency", "rate", "ten", Decimal(0)),
    *each("locationMaxErrors", "rate", "100.5%", "1e2"),
    *each("maxInstances", "range", Decimal(0), Decimal(-5), Decimal(1_000_001)),
    *each("maxInstances", "number", "many", Decimal("2.5"), True, "", [Decimal(5)]),
    # What goes to AWS as it is.
    *each(
        "installOverrideList", "pattern", "ftp://x/y", "s3://", "s3://b/{{x}}", "s3://b/$(id)", "s3://b/'; id; '", ""
    ),
    *each("installOverrideList", "too-long", "s3://b/" + "x" * 300),
    *each("installOverrideList", "text", Decimal(5), ["s3://b/k"]),
    *each("snapshotId", "pattern", "latest", "", "5eeda5ca-0000-4000-8000-00000000000g"),
    *each("executionRoleName", "pattern", "arn:aws:iam::111122223333:role/x", "", "r\u00f4le", "x" * 65),
    *each("runbook", "pattern", "a b", "", "x" * 129, "../AWS-RunShellScript", "{{x}}"),
    *each("runbookVersion", "pattern", "latest", "0", Decimal(0), Decimal(-1), "", "9" * 10),
    *each("runbookVersion", "text", True, [Decimal(1)]),
    *each("targetParameterName", "pattern", "Instance Id", "", "1st", "x" * 51),
    *each(PARAMETERS, "map", "Note=x", [], Decimal(1), True),
    *each(PARAMETERS, "reserved", {"NotAfter": "2099-01-01T00:00:00Z"}, at=f"{PARAMETERS}.NotAfter"),
    *each(PARAMETERS, "pattern", {"a b": "c"}, at=f"{PARAMETERS}.a b"),
    *each(PARAMETERS, "pattern", {"": "c"}, at=f"{PARAMETERS}.''"),
    *each(PARAMETERS, "pattern", {"My_Note!": "c"}, at=f"{PARAMETERS}.My_Note!"),
    *each(PARAMETERS, "too-short", {"Note": ""}, at=f"{PARAMETERS}.Note[0]"),
    *each(PARAMETERS, "too-short", {"My_Note": []}, at=f"{PARAMETERS}.My_Note"),
    *each(PARAMETERS, "text", {"Note": Decimal(5)}, {"Note": None}, {"Note": {"a": "b"}}, at=f"{PARAMETERS}.Note[0]"),
    *each(PARAMETERS, "characters", {"Note": "{{ssm:/secret}}"}, {"Note": "a\x07"}, at=f"{PARAMETERS}.Note[0]"),
    *each(PARAMETERS, "too-long", {"Note": "x" * 513}, at=f"{PARAMETERS}.Note[0]"),
    *each(PARAMETERS, "too-long", {"Note": ["x"] * 51}, at=f"{PARAMETERS}.Note"),
    *each(PARAMETERS, "too-long", {f"Note{number}": "x" for number in range(201)}),
    # Words for people.
    *each("description", "text", Decimal(5), ["words"], {}, b"words"),
    *each("description", "too-long", "x" * 501, MILLION),
    *each("description", "characters", "a\nb", "\x00", "{x}", "\x9b31m", "\ud800"),
    *each("owner", "text", True, Decimal("0.1")),
    *each("owner", "characters", "${jndi:ldap://x}"),
    *each("ticket", "text", Decimal(12345)),
    *each("ticket", "too-long", "CHG" * 200),
    # Calendars and freezes.
    *each(
        "calendars", "calendar", "a b", "ab", [None], [True], [Decimal(12345)], "arn:aws:s3:::bucket", at="calendars[0]"
    ),
    *each("calendars", "too-long", [f"calendar-{number}" for number in range(21)]),
    *each("freeze", "freeze", "2026-02-30", "2027-01-05..2026-12-20", "tomorrow", "", "2026-12", at="freeze[0]"),
    *each(
        "freeze", "freeze", "s3://bucket/x.ics", "../x.ics", "/x.ics", True, Decimal(20261224), [None], at="freeze[0]"
    ),
    *each(
        "freeze", "freeze", {"from": "2026-12-20"}, {"from": Decimal(1), "to": Decimal(2)}, "0001-01-01", at="freeze[0]"
    ),
    *each("freeze", "characters", "x\n.ics", "{x}.ics", at="freeze[0]"),
    *each("freeze", "too-long", ["2026-12-24"] * 101),
    # Exceptions.
    *each("exceptions", "list", "none", EXCEPTION, Decimal(1), True),
    *each("exceptions", "map", ["everybody"], [None], [[]], at="exceptions[0]"),
    *each("exceptions", "too-long", [EXCEPTION] * 51),
    *inside(exception, "targets", "exceptions[0]", "everybody", GONE, None),
    *inside(exception, "targets", "exceptions[0].targets[0]", "target", "Legacy=yes", ""),
    *inside(exception, "accounts", "exceptions[0].accounts[0]", "account", "ou-ab12-prodprod"),
    *inside(exception, "accounts", "exceptions[0].accounts[0]", "account-number", [Decimal(11122223333)]),
    *inside(exception, "reason", "exceptions[0].reason", "missing", GONE, None),
    *inside(exception, "reason", "exceptions[0].reason", "too-short", "", " "),
    *inside(exception, "reason", "exceptions[0].reason", "too-long", "x" * 201),
    *inside(exception, "reason", "exceptions[0].reason", "characters", "{x}"),
    *inside(exception, "approvedBy", "exceptions[0].approvedBy", "missing", GONE),
    *inside(exception, "approvedBy", "exceptions[0].approvedBy", "text", True),
    *inside(exception, "expires", "exceptions[0].expires", "missing", GONE, None),
    *inside(exception, "expires", "exceptions[0].expires", "date", "never", "2027-02-30", Decimal(1893456000)),
    *inside(exception, "ticket", "exceptions[0].ticket", "text", Decimal(12345)),
    *each("notify", "map", True, "owners", ["owners"]),
    *inside(notify, "owners", "notify.owners", "choice", "maybe", Decimal(2), ["yes"]),
    *inside(notify, "digest", "notify.digest", "choice", "daily", {}),
    *inside(notify, "runbook", "notify.runbook", "pattern", "wiki", "http://wiki.example.com", "javascript:alert(1)"),
    *inside(
        notify,
        "runbook",
        "notify.runbook",
        "pattern",
        "https://x/\nSubject: y",
        'https://x/"><script>',
        "https://x/{{y}}",
    ),
    *inside(notify, "runbook", "notify.runbook", "too-long", "https://x/" + "y" * 300),
    *inside(notify, "owner", "notify.owner", "unknown", True),
    *inside(exception, "untill", "exceptions[0].untill", "unknown", "2027-01-01"),
    *inside(exception, "approved_by", "exceptions[0].approved_by", "twice", "joe@example.com"),
    # Waves.
    *each("waves", "too-short", []),
    *each("waves", "list", "canary", {"name": "canary"}, Decimal(3), True),
    *each("waves", "map", ["canary"], [None], [[{"name": "canary"}]], at="waves[0]"),
    *each("waves", "too-long", [{"name": f"wave-{number}"} for number in range(21)]),
    *each("waves", "missing", [{}], [{"targets": "tag:A=b"}], at="waves[0].name"),
    *inside(wave, "name", "waves[0].name", "pattern", "x", "Canary", "can\nary"),
    *inside(wave, "name", "waves[0].name", "text", Decimal(1)),
    *inside(wave, "name", "waves[1].name", "twice", "rest"),
    *inside(wave, "targets", "waves[0].targets[0]", "target", "x", {"tag:A=b": "c"}),
    *inside(wave, "targets", "waves[0].targets", "target-size", "tag:D=" + "x" * 600),
    *inside(wave, "targets", "waves[0].targets", "too-long", [f"tag:A{number}=x" for number in range(5)]),
    *inside(wave, "accounts", "waves[0].accounts[0]", "account-number", Decimal(111122223333)),
    *inside(wave, "accounts", "waves[0].accounts", "wider", "999999999999"),
    *inside(wave, "regions", "waves[0].regions[0]", "region", "eu-wset-1"),
    *inside(wave, "regions", "waves[0].regions", "wider", "eu-central-1"),
    *inside(wave, "scheduleOffset", "waves[0].scheduleOffset", "range", Decimal(28)),
    *inside(wave, "scheduleOffset", "waves[1].scheduleOffset", "order", Decimal(3)),
    *inside(wave, "schedule_offset", "waves[0].scheduleOffset", "number", "soon"),
    *inside(wave, "maxInstances", "waves[0].maxInstances", "range", Decimal(0)),
    *inside(wave, "maxConcurrency", "waves[0].maxConcurrency", "rate", "0"),
    *inside(wave, "MaxErrors", "waves[0].maxErrors", "rate", "101%"),
    *inside(wave, "gates", "waves[0].gates", "unknown", {}),
    *inside(wave, "duration", "waves[0].duration", "unknown", Decimal(4)),
    (wave(maxErrors=Decimal(1), max_errors=Decimal(2)), "waves[0].max_errors", "twice"),
    *each("waves", "overlap", [{"name": "one"}, {"name": "two", "scheduleOffset": Decimal(7)}]),
    # Gates.
    *inside(wave, "gate", "waves[0].gate", "map", "open", [], Decimal(0), True),
    *inside(gate, "maxErrors", "waves[0].gate.maxErrors", "rate", "x", "101%", True),
    *inside(gate, "minCompliance", "waves[0].gate.minCompliance", "percent", "101%", "-1%", "all", True, NAN, "1e2"),
    *inside(gate, "soak", "waves[0].gate.soak", "duration", "2 days", "", [Decimal(1)]),
    *inside(gate, "soak", "waves[0].gate.soak", "range", Decimal(-1)),
    *inside(gate, "soak", "waves[0].gate.soak", "unreachable", "3h", Decimal(9999)),
    *inside(gate, "approval", "waves[0].gate.approval", "choice", "yes", True),
    *inside(gate, "alarms", "waves[0].gate.alarms[0]", "too-short", [""]),
    *inside(gate, "alarms", "waves[0].gate.alarms[0]", "characters", "a\tb"),
    *inside(gate, "alarms", "waves[0].gate.alarms", "too-long", [f"alarm-{number}" for number in range(101)]),
    *inside(gate, "maxError", "waves[0].gate.maxError", "unknown", Decimal(1)),
    *inside(gate, "gate", "waves[0].gate.gate", "unknown", {"gate": {"gate": {}}}),
    (gate(soak="1h", Soak="2h"), "waves[0].gate.Soak", "twice"),
    # Fields that there are not, or that are there twice.
    *[
        ({name: Decimal(3)}, part(name), "unknown")
        for name in ("maxConcurency", "targts", "x", "$ref", "{{x}}", "a.b[0]")
    ],
    *[
        ({name: "x"}, part(name), "unknown")
        for name in ("cron", "timezone", "enabled", "__class__", "a\nb", "\u202e", "", MILLION)
    ],
    *[({name: None}, name, "unknown") for name in ("maxConcurency", "notification")],
    ({"max_errors": Decimal(3), "maxErrors": Decimal(4)}, "maxErrors", "twice"),
    ({"Targets": "tag:A=b"}, "Targets", "twice"),
    ({"SCHEDULE_TIMEZONE": "UTC", "ScheduleTimezone": "UTC"}, "ScheduleTimezone", "twice"),
    ({"schedule-timezone": "Europe/Londn"}, "scheduleTimezone", "timezone"),
]


def item(changes: Changes) -> dict[str, Any]:
    return {name: value for name, value in {**MINIMAL, **changes}.items() if value is not GONE}


every = pytest.mark.parametrize(
    ("changes", "path", "code"), MALFORMED, ids=[f"{path[:40]}-{code}" for _, path, code in MALFORMED]
)


def well_said(problem: Problem) -> None:
    """It says where, what, and what to write instead, and quotes no more than people can read."""
    assert problem.path
    assert problem.code
    assert problem.hint
    assert "input should" not in problem.message.lower()
    assert problem.message.isprintable()
    assert max(map(len, (problem.path, problem.message, problem.hint))) < 400


def says_what(problem: Problem) -> None:
    """It names the value, or the part of it that is wrong; or else the field, where there is no value or too much of it."""
    parts = [*re.findall(r"'([^']+)'", problem.message), problem.message.split()[0]]
    leaf = problem.path.split(".")[-1].split("[")[0]
    value = repr(problem.value)
    said = any(words.split("...")[0] in value for words in parts) or shown(problem.value) in problem.message
    assert said or f"{problem.value}" in problem.message or leaf in problem.message, problem
    assert "None" not in problem.message  # Python's words for things mean nothing to people


def test_there_are_very_many_and_every_field_is_among_them() -> None:
    assert len(MALFORMED) >= 120
    paths = {path for _, path, _ in MALFORMED}
    for model, at in (
        (CampaignDocument, ""),
        (WaveDocument, "waves[0]."),
        (GateDocument, "waves[0].gate."),
        (ExceptionDocument, "exceptions[0]."),
        (NotifyDocument, "notify."),
    ):
        for field in map(to_camel, model.model_fields):
            assert any(path.startswith(f"{at}{field}") for path in paths), f"{at}{field}"


@every
def test_a_malformed_item_is_told_where_and_how_to_mend_it(changes: Changes, path: str, code: str) -> None:
    reading = read(item(changes), now=NOW)
    assert reading.campaign is None
    assert (path, code) in [(problem.path, problem.code) for problem in reading.problems]
    for problem in reading.problems:
        well_said(problem)
        says_what(problem)


def test_one_mistake_is_told_once() -> None:
    for changes, path, code in MALFORMED:
        found = [(problem.path, problem.code) for problem in read(item(changes), now=NOW).problems]
        assert found.count((path, code)) == 1
        assert len(found) == 1, (changes, found)


def test_hints_say_what_was_probably_meant() -> None:
    def hint(**changes: Any) -> str:
        (problem,) = read(item(changes), now=NOW).problems
        return problem.hint

    assert hint(maxConcurency=Decimal(3)) == "Did you mean 'maxConcurrency'?"
    assert hint(cron="0 22 * * *") == "Did you mean 'schedule'?"
    assert hint(scheduleTimezone="Europe/Londn") == "Did you mean 'Europe/London'?"
    assert hint(regions=["eu-wset-1"]) == "Did you mean 'eu-west-1'?"
    assert hint(**gate(maxError=Decimal(1))) == "Did you mean 'maxErrors'?"
    assert hint(ticket=Decimal(12345)) == 'Quote it: "12345"'
    assert hint(accounts=Decimal(11122223333)) == 'Quote it: "011122223333", leading zeros may be lost'
    assert "cron(0 22 ? * SAT *)" in hint(schedule="cron(0 22 ? * SAT)")


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"schedule": "cron(0 22 ? * SAT 2020)"}, "schedule", "never"),
        ({"schedule": "at(2020-01-01T00:00:00)"}, "schedule", "never"),
        ({"schedule": "cron(0 22 31 FEB ? *)"}, "schedule", "never"),
        ({"endDate": "2026-01-01"}, "schedule", "never"),
        ({"schedule": "cron(0 22 ? * 3 *)"}, "schedule", "numeric-weekday"),
        ({"regions": ["eu-west-1", "eu-west-9"]}, "regions[1]", "unknown-region"),
        ({"regions": "ue-west-1"}, "regions[0]", "unknown-region"),
    ],
)
def test_what_time_or_aws_may_make_right_is_a_warning(changes: Changes, path: str, code: str) -> None:
    reading = read(item(changes), now=NOW)
    assert reading.campaign
    (warning,) = reading.warnings
    assert (warning.path, warning.code) == (path, code)
    well_said(warning)


def test_the_regions_are_those_of_the_sdk_that_is_installed() -> None:
    session = boto3.session.Session()
    partitions = [name for name in session.get_available_partitions() if "iso" not in name]
    assert {region for name in partitions for region in session.get_available_regions("ssm", name)} <= set(REGIONS)


def test_a_null_says_as_little_as_no_field() -> None:
    fields = {
        field: None for field in map(to_camel, CampaignDocument.model_fields) if field not in {*MINIMAL, "schedule"}
    }
    assert read(item(fields)).campaign == read(MINIMAL).campaign
    assert read(item(wave(gate=None, targets=None))).campaign == read(item(wave())).campaign


def test_parts_are_read_in_any_spelling_too() -> None:
    written = {"Name": "canary", "schedule_offset": Decimal(0), "GATE": {"max-errors": "5%", "Soak": "30m"}}
    meant = {"name": "canary", "scheduleOffset": 0, "gate": {"maxErrors": "5%", "soak": "30m"}}
    assert (
        read(item({"waves": [written, {"name": "rest"}]})).valid()
        == read(item({"waves": [meant, {"name": "rest"}]})).valid()
    )


def test_nobody_is_told_more_than_they_can_read() -> None:
    reading = read(item({"accounts": [Decimal(number) for number in range(10_000)]}))
    assert len(reading.problems) == MAX_PROBLEMS
    assert reading.problems[-1].message == "accounts[99] and 9900 more are wrong"
    assert len(read(item({f"field{number}": None for number in range(10_000)})).problems) == MAX_PROBLEMS


def test_a_document_that_is_larger_than_it_looks_is_read_in_its_time() -> None:
    bomb: Any = ["x"]
    for _ in range(31):
        bomb = [bomb] * 10
    endless: list[Any] = []
    endless.append(endless)
    wide: Any = ["x"] * 10_000
    for value in (bomb, [wide] * 10_000, endless, [endless] * 9, {"a": endless}):
        assert read(item({"accounts": value})).problems
        assert read(item({"description": value})).problems


# --- through the doors ------------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """The value as YAML or JSON have it; raises TypeError where they have nothing like it."""
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == int(value) else float(value)
    if isinstance(value, set):
        return sorted(map(plain, value))
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, (bytes, Binary)) or (isinstance(value, int) and value.bit_length() > 10_000):
        raise TypeError
    return value


def writable() -> Iterator[tuple[str, str, str]]:
    for changes, path, code in MALFORMED:
        try:
            yield json.dumps(plain(item(changes))), path, code
        except (TypeError, OverflowError, ValueError):
            continue


def test_the_command_answers_every_malformed_file_with_its_problems(tmp_path: Path) -> None:
    file, runner = tmp_path / "campaign.yaml", CliRunner()
    files = list(writable())
    assert len(files) >= 120
    for text, path, code in files:
        file.write_text(text, encoding="utf-8")
        result = runner.invoke(app, ["validate", str(file), "--output", "json"])
        assert isinstance(result.exception, SystemExit), (text[:200], result.exception)
        assert result.exit_code == 5, text[:200]
        answer = json.loads(result.stdout)
        assert answer["valid"] is False
        expected = ("", "size") if len(text) > 1_000_000 else (path, code)
        assert expected in [(error["path"], error["code"]) for error in answer["errors"]], (text[:200], answer)
        for error in answer["errors"]:
            assert set(error) - {"line"} == {"path", "code", "message", "hint"}
            assert error["message"]
            assert error["hint"]


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory(World(PacedClock(NOW, 1), Organization(sample.HUB, ["eu-west-1"], 1), 1))


def takes(memory: Memory, written: Mapping[str, Any]) -> Mapping[str, Any]:
    """The item once intake has looked at it."""
    memory.put(written)
    memory.take(written["campaign"])
    return memory.item(written["campaign"])


def storable(value: Any) -> bool:
    """Whether the table in memory takes it: no binary, no floats, nothing that is not UTF-8."""
    if isinstance(value, dict):
        return all(storable(inner) for entry in value.items() for inner in entry)
    if isinstance(value, (list, set)):
        return all(map(storable, value)) and value != set()
    if isinstance(value, Decimal):
        return value.is_finite() and value.adjusted() < 126
    return (
        value is None or isinstance(value, bool) or (isinstance(value, str) and not re.search("[\ud800-\udfff]", value))
    )


def item_like(written: Mapping[str, Any]) -> bool:
    """Whether there can be such an item: with a key of 1 to 2048 bytes, and values that are stored."""
    name = written.get("campaign")
    return isinstance(name, str) and storable(written) and 1 <= len(name.encode()) <= 2048


def test_intake_writes_every_problem_onto_the_item(memory: Memory) -> None:
    looked_at = 0
    for changes, path, code in MALFORMED:
        written = item(changes)
        if not item_like(written) or changes in ({"regions": GONE}, {"regions": None}):  # the stack's stand in
            continue
        found = takes(memory, written)
        assert found["status"] == "INVALID", changes
        problems = read(written, default_regions=("eu-west-1",), now=NOW).problems
        told = found["statusDetail"]["errors"]
        assert [(error["path"], error["code"]) for error in told] == [(one.path, one.code) for one in problems]
        assert (path, code) in [(error["path"], error["code"]) for error in told]
        assert memory.mails[-1].subject.startswith("[patch] INVALID")
        looked_at += 1
    assert looked_at >= 120


# --- and whatever else --------------------------------------------------------------------------------------------------------

SPELLINGS = (str, str.upper, lambda name: name[0].upper() + name[1:], lambda name: name.replace("M", "_m"))
FIELDS = st.sampled_from(
    [
        spell(to_camel(name))
        for model in (CampaignDocument, WaveDocument, GateDocument, ExceptionDocument, NotifyDocument)
        for name in model.model_fields
        for spell in SPELLINGS
    ]
)
WORDS = st.sampled_from(
    [
        "4",
        "10%",
        "tag:A=b",
        "ou-ab12-prodprod",
        "eu-west-1",
        "2027-01-31",
        "required",
        "rate(7 days)",
        "a.ics",
        "30m",
        "{{x}}",
    ]
)
NUMBERS = st.decimals(allow_nan=True, allow_infinity=True) | st.integers(0, 30).map(Decimal)
STORED = st.none() | st.booleans() | NUMBERS | st.text(max_size=20) | WORDS
SCALARS = STORED | st.binary(max_size=5) | st.binary(max_size=5).map(Binary) | st.floats() | st.integers()
KEYS = FIELDS | st.text(max_size=8) | st.sampled_from(["key", "values", "from", "to", "campaign"])


def documents(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    values = st.recursive(
        scalars
        | st.sets(st.text(max_size=5), min_size=1, max_size=3)
        | st.sets(st.decimals(allow_nan=False), min_size=1, max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=12,
    )
    return st.dictionaries(KEYS, values, max_size=5).map(lambda changes: {**MINIMAL, **changes})


def answers(written: Mapping[str, Any]) -> None:
    reading = read(written, default_regions=("eu-west-1",), now=NOW)
    assert (reading.campaign is None) == bool(reading.problems)
    for problem in (*reading.problems, *reading.warnings):
        well_said(problem)
        assert isinstance(str(problem.value), str)
    assert canonical(written)


@settings(max_examples=300, deadline=None)
@given(documents(SCALARS))
def test_no_value_in_any_field_makes_the_reader_fall_over(written: dict[str, Any]) -> None:
    answers(written)


CRON = st.lists(st.text("0123456789*?/,-LW#AMNOSTU", min_size=1, max_size=5), min_size=5, max_size=6).map(" ".join)
EXPRESSIONS = st.tuples(st.sampled_from(["cron", "rate", "at"]), CRON | st.text("0123456789-T: days", max_size=20))


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]), st.integers(0, 27))
def test_no_schedule_makes_the_reader_fall_over(said: tuple[str, str], zone: str, offset: int) -> None:
    schedule = f"{said[0]}({said[1]})"
    answers(item({"schedule": schedule, "scheduleTimezone": zone, "scheduleOffset": Decimal(offset)}))


@settings(max_examples=100, deadline=None)
@given(documents(STORED))
def test_no_item_makes_intake_fall_over(memory: Memory, written: dict[str, Any]) -> None:
    if not item_like(written):
        return
    found = takes(memory, written)
    reading = read(written, default_regions=("eu-west-1",), now=NOW)
    assert (found["status"] == "INVALID") == bool(reading.problems)
