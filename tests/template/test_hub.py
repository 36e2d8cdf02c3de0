"""The hub's template: what the functions are given, what wakes them, and what must not get lost."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from simulator import memory
from simulator.template import ROOT, Template, load

HUB = load(ROOT / "template.yaml")
RESOURCES: dict[str, dict[str, Any]] = HUB["Resources"]
PARAMETERS: dict[str, dict[str, Any]] = HUB["Parameters"]

SHARED = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL", "PYTHONTZPATH"}
ENVIRONMENT = {
    "intake": {
        "CAMPAIGNS_TABLE",
        "RUNS_TABLE",
        "ALERTS_TOPIC_ARN",
        "CHAT_TOPIC_ARN",
        "DEFAULT_REGIONS",
        "EXECUTION_ROLE_NAME",
        "OWN_RUNBOOKS",
        "REPORTS_BUCKET",
        "RETENTION_DAYS",
    },
    "dispatcher": {
        "RUNS_TABLE",
        "COLLECTOR_QUEUE_URL",
        "ADMINISTRATION_ROLE_ARN",
        "MAX_INSTANCES_IN_FLIGHT",
        "EXECUTION_ROLE_NAME",
        "OWN_RUNBOOKS",
        "REPORTS_BUCKET",
        "REQUIRE_OTHER_APPROVER",
        "SHARE_OWN_RUNBOOKS",
        "RETENTION_DAYS",
    },
    "poller": {
        "CAMPAIGNS_TABLE",
        "RUNS_TABLE",
        "COLLECTOR_QUEUE_URL",
        "REPORTER_QUEUE_URL",
        "ALERTS_TOPIC_ARN",
        "CHAT_TOPIC_ARN",
        "RETENTION_DAYS",
    },
    "collector": {"RUNS_TABLE", "READ_ROLE_NAME", "RETENTION_DAYS"},
    "reporter": {"RUNS_TABLE", "REPORTS_BUCKET", "RETENTION_DAYS"},
}
each_function = pytest.mark.parametrize("name", ENVIRONMENT)


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: body["Properties"] for name, body in RESOURCES.items() if body["Type"] == kind}


def function(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[f"{name.capitalize()}Function"]["Properties"]
    return found


def attribute(resource: str, name: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [resource, name]}


# --- functions -------------------------------------------------------------------------------------------------------


def test_every_folder_of_functions_is_a_function_and_no_other() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert folders == set(ENVIRONMENT)
    assert set(of_type("AWS::Serverless::Function")) == {f"{name.capitalize()}Function" for name in folders}


@each_function
def test_a_function_is_given_exactly_what_it_needs(name: str) -> None:
    assert set(function(name)["Environment"]["Variables"]) == ENVIRONMENT[name]
    assert set(HUB["Globals"]["Function"]["Environment"]["Variables"]) == SHARED


@each_function
def test_a_function_is_given_whatever_its_door_reads(name: str) -> None:
    door = (ROOT / "functions" / name / "app.py").read_text(encoding="utf-8")
    read = set(re.findall(r'settings\["(\w+)"\]', door))
    read |= {"RETENTION_DAYS"} if "settings.retention" in door else set()
    read |= {"DEFAULT_REGIONS"} if "settings.default_regions" in door else set()
    read |= {"EXECUTION_ROLE_NAME", "OWN_RUNBOOKS", "REPORTS_BUCKET"} if "settings.bounds" in door else set()
    assert read <= ENVIRONMENT[name]


@each_function
def test_a_function_has_its_own_role_and_its_own_log(name: str) -> None:
    own = name.capitalize()
    assert function(name)["Role"] == attribute(f"{own}Role", "Arn")
    assert function(name)["LoggingConfig"] == {"LogGroup": {"Ref": f"{own}LogGroup"}}
    assert RESOURCES[f"{own}LogGroup"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@each_function
def test_a_function_is_built_from_its_folder_on_both_layers(name: str) -> None:
    assert function(name)["CodeUri"] == f"functions/{name}/"
    shared = HUB["Globals"]["Function"]
    assert shared["Layers"] == [{"Ref": "DependenciesLayer"}, {"Ref": "PatchtideLayer"}]
    assert (shared["Runtime"], shared["Architectures"], shared["Handler"]) == ("python3.13", ["arm64"], "app.handler")


# --- what wakes them -------------------------------------------------------------------------------------------------


def test_a_changed_campaign_wakes_the_intake_and_never_blocks_the_others() -> None:
    event = function("intake")["Events"]["Changes"]
    stream = event["Properties"]
    assert (event["Type"], stream["Stream"]) == ("DynamoDB", attribute("CampaignsTable", "StreamArn"))
    assert stream["StartingPosition"] == "TRIM_HORIZON"
    assert stream["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert stream["BisectBatchOnFunctionError"] is True
    assert stream["MaximumRetryAttempts"] == 10
    assert stream["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": attribute("IntakeDeadLetters", "Arn"),
    }


@pytest.mark.parametrize(
    ("name", "expression"),
    [("dispatcher", "rate(1 minute)"), ("poller", "rate(1 minute)"), ("intake", "rate(15 minutes)")],
)
def test_a_tick_comes_in_its_time_and_is_never_retried(name: str, expression: str) -> None:
    (event,) = (event for event in function(name)["Events"].values() if event["Type"] == "ScheduleV2")
    tick = event["Properties"]
    assert tick["ScheduleExpression"] == expression
    never = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    assert tick["RetryPolicy"] == never
    assert function(name)["EventInvokeConfig"] == never
    assert tick["DeadLetterConfig"] == {"Arn": attribute("TickDeadLetters", "Arn")}


def test_every_schedule_is_one_that_scheduler_understands() -> None:
    schedules = [
        event["Properties"]["ScheduleExpression"]
        for properties in of_type("AWS::Serverless::Function").values()
        for event in properties["Events"].values()
        if event["Type"] == "ScheduleV2"
    ]
    assert schedules
    for expression in schedules:
        assert re.fullmatch(r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)", expression)


def test_a_question_comes_again_only_when_its_collector_cannot_be_at_it_any_more() -> None:
    (event,) = function("collector")["Events"].values()
    feed = event["Properties"]
    assert feed["Queue"] == attribute("CollectorQueue", "Arn")
    assert feed["BatchSize"] == memory.QUESTIONS
    assert feed["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    queue = RESOURCES["CollectorQueue"]["Properties"]
    # AWS wants six times the function's timeout for a batch, and the time in which it is gathered.
    assert queue["VisibilityTimeout"] == memory.VISIBILITY.total_seconds()
    assert queue["VisibilityTimeout"] >= 6 * function("collector")["Timeout"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": attribute("CollectorDeadLetters", "Arn"),
        "maxReceiveCount": 5,
    }


# --- what must not get lost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CampaignsTable", "RunsTable"])
def test_a_table_survives_a_mistake(name: str) -> None:
    table = RESOURCES[name]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert table["Properties"]["DeletionProtectionEnabled"] is True
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["SSESpecification"] == {"SSEEnabled": True}


@pytest.mark.parametrize("days", [0, 30])
def test_reports_are_locked_for_as_long_as_people_want_and_what_is_replaced_is_forgotten_in_time(days: int) -> None:
    template = Template(HUB, "999900001111", "eu-west-1", {"LockReportsDays": str(days)} if days else {})
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    assert bucket.get("ObjectLockEnabled") is (True if days else None)
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": "30"}}}
    assert bucket.get("ObjectLockConfiguration") == (lock if days else None)
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert rules["forget-what-was-replaced"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 365}
    assert not [rule for rule in rules.values() if "ExpirationInDays" in rule]  # a report itself stays


def test_the_tables_have_the_keys_and_indexes_that_the_code_asks() -> None:
    campaigns, runs = (RESOURCES[name]["Properties"] for name in ("CampaignsTable", "RunsTable"))
    assert keys(campaigns) == ["campaign"]
    assert campaigns["StreamSpecification"] == {"StreamViewType": "KEYS_ONLY"}
    assert keys(runs) == ["pk", "sk"]
    indexes = {index["IndexName"]: index for index in runs["GlobalSecondaryIndexes"]}
    assert {name: keys(index) for name, index in indexes.items()} == {
        "due": ["due", "dueAt"],
        "problems": ["problemRun", "problemKey"],
    }
    assert [index["Projection"]["ProjectionType"] for index in indexes.values()] == ["KEYS_ONLY", "ALL"]
    assert runs["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}


def keys(properties: dict[str, Any]) -> list[str]:
    return [key["AttributeName"] for key in properties["KeySchema"]]


def test_every_queue_is_encrypted_and_wants_tls() -> None:
    queues = of_type("AWS::SQS::Queue")
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())
    (policy,) = of_type("AWS::SQS::QueuePolicy").values()
    assert [queue["Ref"] for queue in policy["Queues"]] == list(queues)


def test_every_alarm_says_what_to_do_and_tells_the_people_on_call() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    for alarm in alarms.values():
        assert len(alarm["AlarmDescription"]) > 40
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmsTopic"}]


def test_somebody_is_told_of_every_dead_letter_every_error_and_of_silence() -> None:
    watched = {
        (alarm["MetricName"], watched_resource(alarm), alarm["TreatMissingData"])
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
    }
    letters = {
        ("ApproximateNumberOfMessagesVisible", f"{name}DeadLetters", "notBreaching")
        for name in ("Intake", "Tick", "Collector", "Reporter")
    }
    errors = {("Errors", name, "notBreaching") for name in of_type("AWS::Serverless::Function")}
    errors |= {("Throttles", name, "notBreaching") for name in of_type("AWS::Serverless::Function")}
    silence = {("Invocations", name, "breaching") for name in ("DispatcherFunction", "PollerFunction")}
    assert watched == letters | errors | silence


def test_the_dashboard_is_json_and_names_only_what_there_is() -> None:
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    named = set(re.findall(r"\$\{(\w+)[.}]", body))
    assert named <= set(RESOURCES)
    assert named >= set(of_type("AWS::CloudWatch::Alarm"))
    widgets = json.loads(re.sub(r"\$\{[\w:.]+\}", "x", body))["widgets"]
    assert len(widgets) == 7
    taken = [(one["x"], one["y"]) for one in widgets]
    assert len(set(taken)) == len(taken)


def watched_resource(alarm: dict[str, Any]) -> str:
    (dimension,) = alarm["Dimensions"]
    value: dict[str, Any] = dimension["Value"]
    return str(value.get("Ref") or value["Fn::GetAtt"][0])


def test_alarms_may_publish_to_the_encrypted_topic() -> None:
    topic = [
        statement
        for statement in RESOURCES["AlarmsTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    key = RESOURCES["AlertsKey"]["Properties"]["KeyPolicy"]["Statement"]
    alarms = {"Service": "cloudwatch.amazonaws.com"}
    assert [statement["Principal"] for statement in topic] == [alarms]
    assert alarms in [statement["Principal"] for statement in key]


# --- what people give ------------------------------------------------------------------------------------------------


def test_parameters_are_few_and_each_is_explained_grouped_and_bounded() -> None:
    groups = HUB["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert len(PARAMETERS) <= 17
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(PARAMETERS)
    for parameter in PARAMETERS.values():
        assert parameter["Description"].endswith(".")
        assert parameter["ConstraintDescription"].startswith("must ")
        assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)


def test_every_default_is_allowed() -> None:
    for parameter in PARAMETERS.values():
        default = parameter["Default"]
        assert default in parameter.get("AllowedValues", [default])
        assert re.search(parameter.get("AllowedPattern", ""), str(default))


def test_samconfig_gives_only_parameters_that_exist() -> None:
    config = tomllib.loads(Path(ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    given = {
        override.partition("=")[::2]
        for stage in config.values()
        if isinstance(stage, dict)
        for override in stage.get("deploy", {}).get("parameters", {}).get("parameter_overrides", [])
    }
    for name, value in given:
        assert re.search(PARAMETERS[name].get("AllowedPattern", ""), value)
