"""What people write, and what they are told about it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from patchtide.core.campaign import GROUP_KEY, Target
from patchtide.core.document import CampaignDocument, read
from patchtide.core.errors import InvalidCampaign

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MINIMAL: dict[str, Any] = {
    "campaign": "dev-weekly",
    "schedule": "cron(0 22 ? * SAT *)",
    "duration": 4,
    "accounts": ["111122223333"],
    "regions": ["eu-west-1"],
    "targets": "tag:PatchGroup=dev",
}

EXCEPTION = {
    "targets": "tag:Legacy=yes",
    "reason": "the vendor supports no newer kernel",
    "approvedBy": "jane@example.com",
    "expires": "2027-03-31",
}
SNAPSHOT = "5eeda5ca-0000-4000-8000-000000000000"
SPREAD = [{"name": "one"}, {"name": "two", "scheduleOffset": 3, "targets": "tag:Ring=2"}]


def without(field: str) -> dict[str, str]:
    return {name: value for name, value in EXCEPTION.items() if name != field}


def problems(**changes: object) -> list[tuple[str, str]]:
    raw = {name: value for name, value in (MINIMAL | changes).items() if value != "-"}
    return [(problem.path, problem.code) for problem in read(raw, now=NOW).problems]


def test_a_minimal_document_becomes_a_campaign_with_one_wave() -> None:
    campaign = read(MINIMAL).valid()
    assert [wave.name for wave in campaign.waves] == ["all"]
    assert campaign.waves[0].targets == (Target("tag:PatchGroup", ("dev",)),)
    assert campaign.duration == timedelta(hours=4)
    assert campaign.location_max_errors == "100%"


def test_a_dynamodb_item_reads_like_the_yaml_it_came_from() -> None:
    item = MINIMAL | {
        "duration": Decimal(4),
        "cutoff": Decimal("1.5"),
        "accounts": {"444455556666", "111122223333"},
        "scheduleOffset": Decimal(4),
        "maxErrors": Decimal(3),
        "targets": [{"key": "tag:PatchGroup", "values": {"dev"}}],
        "status": "VALID",
        "nextRunAt": "2026-11-28T22:00:00Z",
        "owner": None,
    }
    campaign = read(item).valid()
    assert campaign.accounts == ("111122223333", "444455556666")
    assert campaign.cutoff == timedelta(minutes=90)
    assert campaign.waves[0].max_errors == "3"


@pytest.mark.parametrize("spell", [str.lower, str.upper, lambda name: name[0].upper() + name[1:]])
def test_field_names_are_read_in_any_spelling(spell: Any) -> None:
    assert read({spell(name): value for name, value in MINIMAL.items()}).campaign == read(MINIMAL).campaign


@pytest.mark.parametrize(
    ("written", "key", "values"),
    [
        ("tag:PatchGroup=dev,test", "tag:PatchGroup", ("dev", "test")),
        ("ResourceGroup=web-servers", GROUP_KEY, ("web-servers",)),
        ("resource-groups:Name=web-servers", GROUP_KEY, ("web-servers",)),
        ({"Key": "ResourceGroup", "Values": ["web-servers"]}, GROUP_KEY, ("web-servers",)),
        ("InstanceIds=i-0123456789abcdef0", "InstanceIds", ("i-0123456789abcdef0",)),
    ],
)
def test_targets_are_read_in_every_spelling_aws_has(written: object, key: str, values: tuple[str, ...]) -> None:
    assert read(MINIMAL | {"targets": written}).valid().waves[0].targets == (Target(key, values),)


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"campaign": "Dev_Weekly"}, "campaign", "pattern"),
        ({"campaign": "-"}, "campaign", "missing"),
        ({"campaign": 7}, "campaign", "text"),
        ({"duration": "-"}, "duration", "missing"),
        ({"duration": "4 hours"}, "duration", "duration"),
        ({"duration": 25}, "duration", "range"),
        ({"duration": "30m"}, "duration", "range"),
        ({"cutoff": 4}, "cutoff", "range"),
        ({"cutoff": "-1h"}, "cutoff", "duration"),
        ({"accounts": "-"}, "accounts", "missing"),
        ({"accounts": []}, "accounts", "too-short"),
        ({"accounts": [111122223333]}, "accounts[0]", "account-number"),
        ({"accounts": ["1111"]}, "accounts[0]", "account"),
        ({"accounts": ["111122223333", "ou-x"]}, "accounts[1]", "account"),
        ({"excludeAccounts": [Decimal(5)]}, "excludeAccounts[0]", "account-number"),
        ({"regions": "-"}, "regions", "missing"),
        ({"regions": ["Ireland"]}, "regions[0]", "region"),
        ({"targets": "-"}, "targets", "missing"),
        ({"targets": "PatchGroup=dev"}, "targets[0]", "target"),
        ({"targets": "tag:PatchGroup"}, "targets[0]", "target"),
        ({"targets": "tag:PatchGroup="}, "targets[0]", "target"),
        ({"targets": "tag:A={{x}}"}, "targets[0]", "characters"),
        ({"targets": {"key": "tag:A"}}, "targets[0]", "target"),
        ({"targets": "InstanceIds=web-1"}, "targets[0]", "target"),
        ({"targets": [f"tag:A{n}=x" for n in range(6)]}, "targets", "too-long"),
        ({"targets": "tag:A=" + "x" * 600}, "targets", "target-size"),
        ({"schedule": "cron(0 22 ? * SAT)"}, "schedule", "schedule"),
        ({"schedule": 5}, "schedule", "text"),
        ({"schedule": None}, "schedule", "null"),
        ({"schedule": "at(9999-12-31T23:00:00)", "scheduleOffset": 9}, "schedule", "schedule"),
        ({"schedule": "rate(99999999999 days)"}, "schedule", "schedule"),
        ({"schedule": "rate(60000 days)"}, "schedule", "schedule"),
        ({"startDate": "9999-12-31"}, "startDate", "range"),
        ({"duration": "99999999999h"}, "duration", "duration"),
        ({"duration": 1e300}, "duration", "duration"),
        ({"accounts": ["\u0661" * 12]}, "accounts[0]", "account"),
        ({"runbookParameters": {"NotAfter": "2099-01-01T00:00:00Z"}}, "runbookParameters.NotAfter", "reserved"),
        ({"runbookParameters": {"Operation": "Install"}}, "runbookParameters.Operation", "reserved"),
        ({"runbookParameters": {"Note": ""}}, "runbookParameters.Note[0]", "too-short"),
        ({"runbookParameters": {"a b": "c"}}, "runbookParameters.a b", "pattern"),
        (
            {
                "targets": ["tag:A=1", "tag:B=1", "tag:C=1"],
                "waves": [{"name": "all", "targets": ["tag:D=1", "tag:E=1", "tag:F=1"]}],
            },
            "waves[0].targets",
            "too-long",
        ),
        ({"waves": [{"name": "all", "targets": "tag:D=" + "x" * 600}]}, "waves[0].targets", "target-size"),
        (
            {"runbook": "Patchtide-PatchInstance", "waves": [{"name": "all", "targets": "tag:D=1"}]},
            "waves[0].targets",
            "one-target",
        ),
        ({"scheduleTimezone": "Europe/Londn"}, "scheduleTimezone", "timezone"),
        ({"scheduleOffset": 28}, "scheduleOffset", "range"),
        ({"scheduleOffset": "x"}, "scheduleOffset", "number"),
        ({"startDate": "2026-13-01"}, "startDate", "date"),
        ({"startDate": "2027-02-01", "endDate": "2027-01-01"}, "endDate", "range"),
        ({"schedule": "-", "scheduleOffset": 4}, "scheduleOffset", "without-schedule"),
        ({"schedule": "rate(2 hours)"}, "duration", "overlap"),
        ({"operation": "install"}, "operation", "choice"),
        ({"rebootOption": "Never"}, "rebootOption", "choice"),
        ({"state": "ON"}, "state", "choice"),
        ({"installOverrideList": "ftp://x/y"}, "installOverrideList", "pattern"),
        ({"snapshotId": "latest"}, "snapshotId", "pattern"),
        ({"maxConcurrency": 0}, "maxConcurrency", "rate"),
        ({"maxConcurrency": "101%"}, "maxConcurrency", "rate"),
        ({"maxConcurrency": True}, "maxConcurrency", "rate"),
        ({"maxErrors": "-1"}, "maxErrors", "rate"),
        ({"locationMaxConcurrency": "ten"}, "locationMaxConcurrency", "rate"),
        ({"locationMaxErrors": "100.5%"}, "locationMaxErrors", "rate"),
        ({"executionRoleName": "arn:aws:iam::1:role/x"}, "executionRoleName", "pattern"),
        ({"runbook": "a b"}, "runbook", "pattern"),
        ({"runbookVersion": "latest"}, "runbookVersion", "pattern"),
        ({"targetParameterName": "Instance Id"}, "targetParameterName", "pattern"),
        ({"runbookParameters": {"Note": "{{x}}"}}, "runbookParameters.Note[0]", "characters"),
        ({"description": "a\nb"}, "description", "characters"),
        ({"waves": []}, "waves", "too-short"),
        ({"waves": [{"name": "x"}]}, "waves[0].name", "pattern"),
        ({"waves": [{"name": "one", "gates": {}}]}, "waves[0].gates", "unknown"),
        ({"waves": [{"name": "one", "gate": {"maxError": 1}}]}, "waves[0].gate.maxError", "unknown"),
        ({"waves": [{"name": "one", "gate": {"maxErrors": "x"}}]}, "waves[0].gate.maxErrors", "rate"),
        ({"waves": [{"name": "one", "gate": {"minCompliance": "101%"}}]}, "waves[0].gate.minCompliance", "percent"),
        ({"waves": [{"name": "one", "gate": {"soak": "2 days"}}]}, "waves[0].gate.soak", "duration"),
        ({"waves": [{"name": "one", "gate": {"approval": "yes"}}]}, "waves[0].gate.approval", "choice"),
        ({"waves": [{"name": "one", "gate": {"alarms": [""]}}]}, "waves[0].gate.alarms[0]", "too-short"),
        ({"waves": [{"name": "one", "scheduleOffset": 28}]}, "waves[0].scheduleOffset", "range"),
        ({"waves": [{"name": "one", "maxInstances": 0}]}, "waves[0].maxInstances", "range"),
        ({"waves": [{"name": "one", "regions": ["eu-central-1"]}]}, "waves[0].regions", "wider"),
        ({"waves": [{"name": "one", "accounts": ["999999999999"]}]}, "waves[0].accounts", "wider"),
        ({"waves": [{"targets": "tag:A=b"}]}, "waves[0].name", "missing"),
        ({"waves": [{"name": "one"}, {"name": "one"}]}, "waves[1].name", "twice"),
        (
            {"waves": [{"name": "one", "scheduleOffset": 7}, {"name": "two", "scheduleOffset": 1}]},
            "waves[1].scheduleOffset",
            "order",
        ),
        ({"waves": [{"name": "one", "gate": {"soak": "3h"}}, {"name": "two"}]}, "waves[0].gate.soak", "unreachable"),
        (
            {
                "schedule": "cron(0 22 ? * SAT *)",
                "waves": [{"name": "one"}, {"name": "two", "scheduleOffset": 7}],
            },
            "waves",
            "overlap",
        ),
        ({"maxInstances": "many"}, "maxInstances", "number"),
        ({"approval": "maybe"}, "approval", "choice"),
        ({"calendars": ["a b"]}, "calendars[0]", "calendar"),
        ({"freeze": ["2026-13-01"]}, "freeze[0]", "freeze"),
        ({"freeze": ["2027-01-05..2026-12-20"]}, "freeze[0]", "freeze"),
        ({"freeze": "s3://bucket/x.ics"}, "freeze[0]", "freeze"),
        ({"freeze": [{"from": "2026-12-20"}]}, "freeze[0]", "freeze"),
        ({"onCalendarClosed": "wait"}, "onCalendarClosed", "choice"),
        ({"waves": [{"name": "one", "targets": "x"}]}, "waves[0].targets[0]", "target"),
        ({"runbook": "Patchtide-PatchInstance", "targets": ["tag:A=1", "tag:B=2"]}, "targets", "one-target"),
        ({"exceptions": [EXCEPTION | {"expires": "soon"}]}, "exceptions[0].expires", "date"),
        ({"exceptions": [without("expires")]}, "exceptions[0].expires", "missing"),
        ({"exceptions": [without("reason")]}, "exceptions[0].reason", "missing"),
        ({"exceptions": [without("approvedBy")]}, "exceptions[0].approvedBy", "missing"),
        ({"exceptions": [without("targets")]}, "exceptions[0]", "everybody"),
        ({"exceptions": [EXCEPTION | {"reason": " "}]}, "exceptions[0].reason", "too-short"),
        ({"exceptions": [EXCEPTION | {"reason": "{x}"}]}, "exceptions[0].reason", "characters"),
        ({"exceptions": [EXCEPTION | {"accounts": "ou-ab12-prodprod"}]}, "exceptions[0].accounts[0]", "account"),
        ({"exceptions": [EXCEPTION | {"untill": "2027-01-01"}]}, "exceptions[0].untill", "unknown"),
        ({"maxConcurency": 3}, "maxConcurency", "unknown"),
        ({"max_errors": 3, "maxErrors": 4}, "maxErrors", "twice"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(changes: dict[str, object], path: str, code: str) -> None:
    assert (path, code) in problems(**changes)


def test_all_problems_are_told_at_once_in_the_documents_order() -> None:
    raw = MINIMAL | {
        "duration": 2,
        "cutoff": 2,
        "scheduleTimeZone": "Europe/Londn",
        "accounts": [12],
        "maxConcurency": 3,
    }
    reading = read(raw)
    assert [problem.path for problem in reading.problems] == [
        "accounts[0]",
        "cutoff",
        "scheduleTimezone",
        "maxConcurency",
    ]
    with pytest.raises(InvalidCampaign, match="Did you mean 'maxConcurrency'"):
        reading.valid()


def test_hints_say_how_to_mend() -> None:
    hints = {p.path: p.hint for p in read(MINIMAL | {"accounts": [11122223333], "targets": "PatchGroup=dev"}).problems}
    assert hints["accounts[0]"] == 'Quote it: "011122223333", leading zeros may be lost'
    assert "tag:PatchGroup=" in hints["targets[0]"]


def test_braces_in_a_value_do_not_break_the_message() -> None:
    (problem,) = read(MINIMAL | {"scheduleTimezone": "{message}"}).problems
    assert "'{message}'" in problem.message


def test_every_field_of_the_model_is_used() -> None:
    assert set(CampaignDocument.model_json_schema()["required"]) == {
        "campaign",
        "duration",
        "accounts",
        "targets",
        "regions",
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"schedule": "cron(0 22 ? * 7 *)"}, "numeric-weekday"),
        ({"schedule": "cron(0 22 1 1 ? 2020)"}, "never"),
        ({"schedule": "cron(30 2 * * ? *)", "scheduleTimezone": "America/New_York"}, "clock-change"),
        ({"cutoff": 0}, "no-cutoff"),
        ({"maxConcurrency": "100%"}, "all-at-once"),
        ({"snapshotId": SNAPSHOT}, "stale-snapshot"),
        ({"schedule": "-", "snapshotId": SNAPSHOT, "waves": SPREAD}, "stale-snapshot"),
        ({"exceptions": [EXCEPTION | {"expires": "2027-02-28"}]}, "expired"),
    ],
)
def test_what_is_allowed_but_unwise_is_a_warning(changes: dict[str, object], code: str) -> None:
    after = datetime(2027, 3, 1, tzinfo=UTC)
    reading = read({name: value for name, value in (MINIMAL | changes).items() if value != "-"}, now=after)
    assert reading.campaign
    assert code in [warning.code for warning in reading.warnings]


def test_an_exception_says_who_is_spared_why_by_whom_and_until_when() -> None:
    (exception,) = read(MINIMAL | {"exceptions": [EXCEPTION | {"ticket": "CHG1"}]}).valid().exceptions
    assert exception.targets == (Target("tag:Legacy", ("yes",)),)
    assert exception.active(date(2027, 3, 31))
    assert not exception.active(date(2027, 4, 1))
    assert str(exception) == "excepted until 2027-03-31 by jane@example.com: the vendor supports no newer kernel (CHG1)"


def test_a_weekday_by_its_name_is_no_reason_to_warn() -> None:
    assert read(MINIMAL | {"schedule": "cron(0 22 ? * TUE#2 *)"}, now=NOW).warnings == ()


def test_default_regions_stand_in_for_missing_ones() -> None:
    raw = {name: value for name, value in MINIMAL.items() if name != "regions"}
    assert read(raw, default_regions=("eu-west-1", "eu-west-2")).valid().regions == ("eu-west-1", "eu-west-2")


def test_the_blogs_runbook_runs_once_per_instance_by_its_own_parameter() -> None:
    assert read(MINIMAL | {"runbook": "Automation-RunPatchBaseline"}).valid().runbook.target_parameter == "InstanceId"
