"""The examples are what they say: valid, the same by every way into the table, and known to editors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer
from moto import mock_aws
from pydantic.alias_generators import to_camel
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cli.files import load
from cli.main import app
from patchtide.core.campaign import INSTANCE_RUNBOOK, Campaign
from patchtide.core.document import (
    CampaignDocument,
    ExceptionDocument,
    GateDocument,
    NotifyDocument,
    WaveDocument,
    read,
    schema,
)
from patchtide.core.reading import SERVICE_FIELDS
from simulator import sample, template
from simulator.clock import PacedClock
from simulator.fleet import Organization
from simulator.memory import Memory
from simulator.ministack import PYTHON
from simulator.server import local
from simulator.template import ROOT
from simulator.world import World

NOW = datetime(2026, 11, 25, tzinfo=UTC)
FOLDER = ROOT / "examples"
EXAMPLES = sorted((FOLDER / "campaigns").glob("*.yaml"))
SCHEMA = FOLDER / "campaign.schema.json"
TERRAFORM = FOLDER / "terraform/main.tf"
CLOUDFORMATION = FOLDER / "cloudformation/template.yaml"
RUNBOOK = FOLDER / "runbook/template.yaml"
SHELL = FOLDER / "cli.sh"
SAM = ROOT / ".tools/sam/bin"
AWS = ROOT / ".tools/awscli/bin/aws"
MODELS = (CampaignDocument, WaveDocument, GateDocument, ExceptionDocument, NotifyDocument)

Item = dict[str, Any]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid(path: Path) -> None:
    reading = read(load(path), now=NOW)
    assert not reading.problems


def test_the_rings_come_on_the_days_that_they_say() -> None:
    campaign = read(load(FOLDER / "campaigns/prod-rings.yaml")).valid()
    assert campaign.schedule
    assert campaign.schedule.offset == 1
    assert [wave.delay for wave in campaign.waves] == [0, 3, 9]
    assert [wave.approval for wave in campaign.waves] == [False, False, True]
    assert [str(freeze) for freeze in campaign.freezes] == ["2026-12-24 to 2027-01-03"]
    assert campaign.freeze_files == ("calendars/launches.ics",)


def test_every_field_has_a_line_in_the_reference() -> None:
    text = (ROOT / "docs/campaigns.md").read_text(encoding="utf-8")
    fields = [to_camel(name) for model in MODELS for name in model.model_fields]
    missing = [name for name in (*fields, *SERVICE_FIELDS) if f"`{name}`" not in text]
    assert not missing


# --- what editors know --------------------------------------------------------------------------------------------------------


def test_the_schema_is_that_of_the_model() -> None:
    said = CliRunner().invoke(app, ["schema"]).stdout
    assert SCHEMA.read_text(encoding="utf-8") == said, "run `patchtide schema > examples/campaign.schema.json`"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_tells_editors_where_its_schema_is(path: Path) -> None:
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", path.read_text(encoding="utf-8").splitlines()[0])
    assert found
    assert (path.parent / found[1]).resolve() == SCHEMA


def objects(part: Any) -> Iterator[Mapping[str, Any]]:
    """Every object with properties that the schema describes, at any depth."""
    if isinstance(part, dict):
        if "properties" in part:
            yield part
        for inner in part.values():
            yield from objects(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from objects(inner)


def test_every_property_has_its_own_name_and_a_description_and_nothing_else_is_allowed() -> None:
    found = list(objects(schema()))
    assert len(found) > len(MODELS)
    for described in found:
        assert described["additionalProperties"] is False
        for name, property_ in described["properties"].items():
            assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)
            assert property_["description"], name
    names = [set(described["properties"]) for described in found]
    for model in MODELS:
        assert {to_camel(name) for name in model.model_fields} in names


def test_what_has_few_values_has_them_all_and_everything_else_an_example() -> None:
    for described in objects({name: part for name, part in schema().items() if name != "$defs"}):
        for name, property_ in described["properties"].items():
            if name not in ("key", "values"):
                assert "enum" in property_ or "examples" in property_ or property_.get("type") == "boolean", name
    assert schema()["properties"]["operation"]["enum"] == ["Install", "Scan"]
    assert "null" not in json.dumps(schema())


def test_what_the_schema_says_by_default_and_for_example_is_what_the_reader_takes() -> None:
    minimal = load(FOLDER / "campaigns/dev-weekly.yaml")
    made = schema()
    beside = {"targetParameterName": {"runbook": INSTANCE_RUNBOOK}}  # of ours, one takes it
    for name, property_ in made["properties"].items():
        if "default" in property_:
            assert read({**minimal, name: property_["default"]}).campaign == read(minimal).campaign, name
        for example in property_.get("examples", ()):
            assert not read({**minimal, **beside.get(name, {}), name: example}).problems, (name, example)
    for part, field, least in (
        ("WaveDocument", "waves", {"name": "canary"}),
        (
            "ExceptionDocument",
            "exceptions",
            {"targets": "tag:A=b", "reason": "x", "approvedBy": "y", "expires": "2027-01-31"},
        ),
    ):
        for name, property_ in made["$defs"][part]["properties"].items():
            for example in property_.get("examples", ()):
                assert not read({**minimal, field: [{**least, name: example}]}).problems, (name, example)


JUDGE = """
import json, sys
from jsonschema import Draft7Validator
asked = json.load(sys.stdin)
Draft7Validator.check_schema(asked["schema"])
judge = Draft7Validator(asked["schema"])
json.dump([judge.is_valid(document) for document in asked["documents"]], sys.stdout)
"""


@pytest.mark.skipif(not (SAM / "python").exists(), reason="needs `make setup`: jsonschema, which the SAM CLI brings")
def test_an_editor_takes_the_examples_and_marks_mistakes() -> None:
    good: list[Any] = [load(path) for path in EXAMPLES]
    minimal = good[[path.stem for path in EXAMPLES].index("dev-weekly")]
    wrong: tuple[dict[str, Any], ...] = (
        {"maxConcurency": "5%"},
        {"accounts": [111122223333]},
        {"accounts": []},
        {"regions": ["Ireland"]},
        {"targets": "all"},
        {"duration": "4 hours"},
        {"schedule": "every Saturday"},
        {"operation": "install"},
        {"state": True},
        {"maxErrors": "101%"},
        {"scheduleOffset": 28},
        {"runbookParameters": {"a b": "c"}},
        {"waves": [{"targets": "tag:A=b"}]},
        {"waves": [{"name": "canary", "gate": {"approval": "maybe"}}]},
        {"exceptions": [{"targets": "tag:A=b", "reason": "x", "approvedBy": "y"}]},
        {"description": None},
    )
    documents = good + [{**minimal, **change} for change in wrong]
    asked = json.dumps({"schema": schema(), "documents": documents})
    command = [str(SAM / "python"), "-c", JUDGE]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert json.loads(done.stdout) == [True] * len(good) + [False] * len(wrong)


# --- the same by every way into the table ---------------------------------------------------------------------------------------


def of_terraform() -> Item:
    """The item in the Terraform file: its object, written as JSON writes it."""
    (found,) = re.findall(r"jsonencode\((\{.*?\n  \})\)", TERRAFORM.read_text(encoding="utf-8"), re.DOTALL)
    pairs = re.sub(r"(\w+) += ", r'"\1": ', found)
    item: Item = json.loads(re.sub(r"\n(?=    \"(?!campaign))", ",\n", pairs))
    return item


def of_cloudformation() -> Item:
    item: Item = template.load(CLOUDFORMATION)["Resources"]["DevWeekly"]["Properties"]["Item"]
    return item


def of_shell() -> Item:
    (found,) = re.findall(r"--item '(\{.*?\n\})'", SHELL.read_text(encoding="utf-8"), re.DOTALL)
    item: Item = json.loads(found)
    return item


def dev_weekly() -> Campaign:
    return read(load(FOLDER / "campaigns/dev-weekly.yaml"), now=NOW).valid()


def given(item: Item) -> Item:
    """An item of DynamoDB's own JSON as boto3's resource gives it."""
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}


@pytest.mark.parametrize("find", [of_terraform, of_cloudformation, of_shell])
def test_the_item_is_the_campaign_of_the_yaml_example(find: Any) -> None:
    reading = read(given(find()), now=NOW)
    assert (reading.problems, reading.warnings) == ((), ())
    assert reading.valid() == dev_weekly()


def test_every_way_into_the_table_writes_the_same_item() -> None:
    assert of_terraform() == of_cloudformation() == of_shell()


def test_taking_the_services_fields_away_as_terraform_does_registers_nothing_anew() -> None:
    memory = Memory(World(PacedClock(NOW, 1), Organization(sample.HUB, ["eu-west-1"], 1), 1))
    memory.put(given(of_terraform()))
    memory.take("dev-weekly")
    before = memory.item("dev-weekly")
    memory.put(given(of_terraform()))
    assert "status" not in memory.item("dev-weekly")
    memory.take("dev-weekly")
    after = memory.item("dev-weekly")
    assert (after["status"], after["nextRunAt"]) == ("VALID", before["nextRunAt"])
    assert after["statusDetail"]["activeVersion"] == before["statusDetail"]["activeVersion"] == 1
    assert not memory.mails


@pytest.mark.skipif(not (SAM / "cfn-lint").exists(), reason="needs `make setup`: cfn-lint")
@pytest.mark.parametrize("path", [CLOUDFORMATION, RUNBOOK], ids=lambda path: path.parent.name)
def test_a_template_has_nothing_to_complain_of(path: Path) -> None:
    done = subprocess.run([str(SAM / "cfn-lint"), str(path)], capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stdout


def test_the_linter_finds_nothing_wrong_with_the_runbook(tmp_path: Path) -> None:
    content = template.load(RUNBOOK)["Resources"]["Runbook"]["Properties"]["Content"]
    path = tmp_path / "Acme-Patch.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(content, file)
    assert CliRunner().invoke(app, ["runbook", "lint", str(path), "--strict"]).exit_code == 0


class Keeper:
    """The function inside the CloudFormation example, as CloudFormation works with it, on moto's DynamoDB."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: dict[str, Any] = {}
        monkeypatch.setitem(
            sys.modules, "cfnresponse", SimpleNamespace(SUCCESS="SUCCESS", FAILED="FAILED", send=self.send)
        )
        self.client = boto3.client("dynamodb")
        self.client.create_table(
            TableName="Campaigns",
            AttributeDefinitions=[{"AttributeName": "campaign", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "campaign", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        code = template.load(CLOUDFORMATION)["Resources"]["Keeper"]["Properties"]["Code"]["ZipFile"]
        assert len(code) < 4096  # what CloudFormation takes inline
        self.names: dict[str, Any] = {}
        exec(compile(code, "index.py", "exec"), self.names)  # noqa: S102 - it is what the test is about

    def send(
        self, event: Any, context: Any, status: str, answer: Any, physical_id: str, reason: str | None = None
    ) -> None:
        del event, context, answer
        self.said = {"status": status, "id": physical_id, "reason": reason}

    def asked(self, request: str, item: Item, held: str | None = None, table: str = "Campaigns") -> str:
        event = {"RequestType": request, "ResourceProperties": {"ServiceToken": "arn", "Table": table, "Item": item}}
        self.said = {}
        self.names["handler"](event if held is None else {**event, "PhysicalResourceId": held}, None)
        return str(self.said["status"])

    def items(self) -> list[Item]:
        return [given(dict(item)) for item in self.client.scan(TableName="Campaigns")["Items"]]


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    with mock_aws():
        yield Keeper(monkeypatch)


def test_the_keeper_puts_changes_and_deletes_the_item(keeper: Keeper) -> None:
    item = of_cloudformation()
    assert keeper.asked("Create", item) == "SUCCESS"
    assert read(keeper.items()[0], now=NOW).valid() == dev_weekly()
    held = keeper.said["id"]
    assert keeper.asked("Update", {**item, "duration": {"N": "5"}}, held) == "SUCCESS"
    assert [found["duration"] for found in keeper.items()] == [5]
    assert keeper.asked("Delete", item, held) == "SUCCESS"
    assert keeper.items() == []
    assert keeper.asked("Delete", item, held) == "SUCCESS"


def test_a_campaign_of_another_name_takes_the_place_of_the_first(keeper: Keeper) -> None:
    item = of_cloudformation()
    keeper.asked("Create", item)
    held = keeper.said["id"]
    assert keeper.asked("Update", {**item, "campaign": {"S": "other"}}, held) == "SUCCESS"
    assert keeper.said["id"] != held  # so CloudFormation has the first deleted
    assert keeper.asked("Delete", item, held) == "SUCCESS"
    assert [found["campaign"] for found in keeper.items()] == ["other"]


def test_somebody_elses_item_is_neither_overwritten_nor_deleted(keeper: Keeper) -> None:
    item = of_cloudformation()
    keeper.client.put_item(TableName="Campaigns", Item={**item, "owner": {"S": "somebody"}})
    assert keeper.asked("Create", item) == "FAILED"
    assert keeper.asked("Delete", item, keeper.said["id"]) == "SUCCESS"  # CloudFormation rolls back
    assert [found["owner"] for found in keeper.items()] == ["somebody"]


def test_what_fails_is_answered_with_the_reason_and_keeps_its_id(keeper: Keeper) -> None:
    assert keeper.asked("Update", of_cloudformation(), "held", table="Nowhere") == "FAILED"
    assert keeper.said["id"] == "held"
    assert "ResourceNotFoundException" in keeper.said["reason"]


STUB = """#!{python}
import json, pathlib, sys
with pathlib.Path({log!r}).open("a") as log:
    log.write(json.dumps([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]) + "\\n")
if "describe-stacks" in sys.argv:
    print("Campaigns")
"""


def test_the_shell_script_puts_the_item_asks_and_applies_the_file(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    for name in ("aws", "patchtide"):
        stub = tmp_path / name
        stub.write_text(STUB.format(python=sys.executable, log=str(log)), encoding="utf-8")
        stub.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PATCHTIDE_WAIT": "0"}
    subprocess.run([str(SHELL)], env=environment, cwd=tmp_path, check=True, capture_output=True)  # noqa: S603 - our own
    described, put, got, applied = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    assert described[1:5] == ["cloudformation", "describe-stacks", "--stack-name", "patchtide"]
    assert put[1:5] == ["dynamodb", "put-item", "--table-name", "Campaigns"]
    assert json.loads(put[put.index("--item") + 1]) == of_shell()
    assert got[1:5] == ["dynamodb", "get-item", "--table-name", "Campaigns"]
    assert applied[:3] == ["patchtide", "campaign", "apply"]
    assert (FOLDER / applied[-1]) in EXAMPLES


@pytest.mark.server
@pytest.mark.skipif(not (PYTHON.exists() and AWS.exists()), reason="needs `make setup`: ministack and the AWS CLI")
def test_the_shell_script_is_taken_at_its_word_by_the_real_commands() -> None:
    with local(speed=120, minute=2) as world:
        path = f"{AWS.parent}:{ROOT / '.venv/bin'}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": os.devnull, **world.environment}
        done = subprocess.run([str(SHELL)], env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    answer, _, table = done.stdout.partition("}")
    assert json.loads(answer + "}")["status"] == "VALID"
    assert "dev-weekly" in table
