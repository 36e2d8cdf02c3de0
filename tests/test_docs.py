"""What the docs say people can type exists, and what they list is what there is."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from typer.main import get_command

from cli.main import app
from patchtide.core.causes import FIXES
from patchtide.core.outcome import Outcome
from simulator.template import ROOT, load
from tests import commandline

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TYPED = sorted(
    {
        line
        for page in PAGES
        for line in re.findall(r"^\$ (?:\.venv/bin/)?patchtide (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
)


@pytest.mark.parametrize("line", TYPED)
def test_a_command_in_the_docs_is_one_that_there_is(line: str) -> None:
    words = shlex.split(line, comments=True)
    command = get_command(app)
    while hasattr(command, "get_command"):
        command = command.get_command(None, words.pop(0))
        assert command
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known


def test_every_cause_and_outcome_is_in_the_docs_with_what_to_do() -> None:
    text = (ROOT / "docs/reports.md").read_text(encoding="utf-8")
    for cause, fix in FIXES.items():
        assert f"| `{cause}` | {fix} |" in text
    for outcome in Outcome:
        assert f"| {outcome.value} |" in text


# --- the AWS CLI's commands: in a shell, by its own parser, against AWS's models and our templates -----------------------------


SCRIPTS = {
    page.name: script
    for page in PAGES
    if (
        script := "\n".join(
            re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        )
    )
}
TYPED_AWS = [
    line for page in PAGES for line in re.findall(r"^\$ (aws .*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]
HUB, SPOKE = ROOT / "template.yaml", ROOT / "spoke/template.yaml"
RUNBOOK = ROOT / "examples/runbook/template.yaml"
needs_aws = pytest.mark.skipif(not commandline.PYTHON.exists(), reason="needs `make setup`: the AWS CLI")

# Stands in a shell for whatever a page calls: notes how it was called and answers as AWS would, the first time that it is still busy.
STUB = """#!{python}
import json, pathlib, re, sys
words = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
log = pathlib.Path({log!r})
busy = json.dumps(words) not in log.read_text()
with log.open("a") as lines:
    lines.write(json.dumps(words) + "\\n")
asked = words[words.index("--query") + 1] if "--query" in words else ""
if found := re.search("OutputKey=='([^']*)'", asked):
    print({outputs!r}.get(found[1], "None"))
elif asked == "OperationId":
    print("d7995c31-83c2-4a3d-9e1c-2811563f0000")
elif asked == "StackSetOperation.Status":
    print("RUNNING" if busy else "SUCCEEDED")
"""
OUTPUTS = {
    name: f"arn:aws:iam::999900001111:role/{name}" if name.endswith("RoleArn") else name.lower()
    for name in load(HUB)["Outputs"]
}


@cache
def called(script: str) -> list[list[str]]:
    """What a shell calls that is given the script: each program with its words, in order."""
    with TemporaryDirectory() as folder:
        room, log = Path(folder), Path(folder) / "calls"
        log.touch()
        (room / ".tools/sam/bin").mkdir(parents=True)
        for name in ("aws", "sleep", ".tools/sam/bin/sam"):
            (room / name).write_text(
                STUB.format(python=sys.executable, log=str(log), outputs=OUTPUTS), encoding="utf-8"
            )
            (room / name).chmod(0o755)
        for name in ("spoke", "examples"):
            (room / name).symlink_to(ROOT / name)
        environment = {"PATH": f"{room}:{os.environ['PATH']}"}
        done = subprocess.run(  # noqa: S603 - what the docs say
            ["/bin/sh", "-eu", "-c", script],
            cwd=room,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return [[_with_files(word, room) for word in words] for words in found]


def _with_files(word: str, room: Path) -> str:
    """A word in which a file is named that the script wrote, with what is in that file."""
    path = room / word.removeprefix("file://")
    return path.read_text(encoding="utf-8") if word.startswith("file://") and path.parent == room else word


@cache
def readings() -> list[tuple[list[str], commandline.Reading]]:
    """Every call of the AWS CLI in the docs, with what the AWS CLI makes of it."""
    lines = [*TYPED_AWS, *SCRIPTS.values()]
    words = [call[1:] for line in lines for call in called(line) if call[0] == "aws"]
    return list(zip(words, commandline.read(words), strict=True))


@needs_aws
def test_each_command_of_the_aws_cli_is_one_that_it_takes_and_aws_would() -> None:
    assert [(" ".join(words), reading.wrong) for words, reading in readings() if reading.wrong] == []
    operations = {reading.operation for _, reading in readings()}
    assert operations >= {"create-stack-set", "update-stack-set", "deploy", "modify-document-permission", "create-role"}


WRONG = {
    "cloudformation create-stack-set --stack-set-name a --call-as DELEGATED_ADMIN": "",
    "cloudformation create-stack-set --stack-set-name a --call-as DELEGATE": "must satisfy enum value set",
    "cloudformation create-stack-set --stack-set-name a --permissions SELF_MANAGED": "Unknown options",
    "cloudformation create-stack-sets --stack-set-name a": "Invalid choice",
    "cloudformation create-stack-set --stack-set-name a --template-body file://nowhere": "nowhere",
    "cloudformation create-stack-instances --stack-set-name a": "arguments are required: --regions",
    "cloudformation create-stack-instances --stack-set-name a --regions b --deployment-targets Units=c": "must be one of",
    "cloudformation deploy --stack-name a --template-file nowhere": "nowhere",
    "cloudformation wait stack-gone --stack-name a": "Invalid choice",
    "cloudformation describe-stacks --query Stack[0].Outputs": "finds nothing",
    "cloudformation describe-stacks --query Stacks[0": "Bad value for --query",
    f"ssm modify-document-permission --name Abc --permission-type Share --account-ids-to-add {' '.join(['1' * 12] * 21)}": (
        "less than or equal to 20"
    ),
}


@needs_aws
def test_a_command_that_is_wrong_would_be_noticed() -> None:
    found = commandline.read(line.split() for line in WRONG)
    for (line, wrong), reading in zip(WRONG.items(), found, strict=True):
        assert wrong in reading.wrong, line
        assert bool(wrong) is bool(reading.wrong), line


def test_whoever_follows_an_operation_asks_until_it_is_over() -> None:
    calls = called(SCRIPTS["deploy.md"])
    asked = [number for number, call in enumerate(calls) if "describe-stack-set-operation" in call]
    assert calls[asked[0] + 1] == ["sleep", "15"]
    assert calls[asked[1]] == calls[asked[0]]
    assert "list-stack-set-operation-results" in calls[asked[1] + 1]


def given(reading: commandline.Reading) -> dict[str, str]:
    """The parameters that a command gives a template."""
    listed = reading.request.get("Parameters", reading.request.get("ParameterOverrides", ()))
    return {one["ParameterKey"]: one["ParameterValue"] for one in listed}


def misfits(parameters: dict[str, str], declared: dict[str, Any]) -> list[str]:
    """What a template does not declare or does not allow, and what it wants and does not get."""
    unknown = [name for name in parameters if name not in declared]
    absent = [name for name, body in declared.items() if "Default" not in body and name not in parameters]
    refused = [
        f"{name}={value}"
        for name, value in parameters.items()
        if name in declared
        and not (
            re.fullmatch(declared[name].get("AllowedPattern", ".*"), value)
            and value in declared[name].get("AllowedValues", [value])
        )
    ]
    return unknown + absent + refused


@needs_aws
def test_templates_are_given_the_parameters_that_they_declare_and_values_that_they_allow() -> None:
    declared = {path.read_text(encoding="utf-8"): load(path)["Parameters"] for path in (SPOKE, RUNBOOK)}
    whole = [reading for _, reading in readings() if "TemplateBody" in reading.request]
    assert [misfits(given(one), declared[one.request["TemplateBody"]]) for one in whole] == [[]] * len(whole)
    assert {one.request["TemplateBody"] for one in whole} == set(declared)
    parts = [reading for _, reading in readings() if "ParameterOverrides" in reading.request]
    spoke = {name: {**body, "Default": ""} for name, body in load(SPOKE)["Parameters"].items()}
    assert [misfits(given(one), spoke) for one in parts] == [[]]


def test_a_parameter_that_does_not_fit_would_be_noticed() -> None:
    declared = load(SPOKE)["Parameters"]
    arn = OUTPUTS["CollectorRoleArn"]
    good = {"AdministrationRoleArn": arn, "CollectorRoleArn": arn, "HomeRegion": "eu-west-1"}
    assert misfits(good, declared) == []
    assert misfits(good | {"HomeRegions": "eu-west-1"}, declared) == ["HomeRegions"]
    assert misfits({**good, "HomeRegion": "Ireland"}, declared) == ["HomeRegion=Ireland"]
    assert misfits({**good, "AllowCare": "true"}, declared) == ["AllowCare=true"]
    assert misfits({"CollectorRoleArn": arn, "HomeRegion": "eu-west-1"}, declared) == ["AdministrationRoleArn"]


def test_what_a_page_gives_to_sam_are_parameters_of_the_hub() -> None:
    calls = [call for script in SCRIPTS.values() for call in called(script) if call[0] == "sam"]
    assert calls
    for call in calls:
        overrides = dict(word.split("=", 1) for word in call[call.index("--parameter-overrides") + 1 :])
        assert misfits(overrides, load(HUB)["Parameters"]) == []


def test_every_parameter_of_a_spoke_is_told() -> None:
    text = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^## 6\. .*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    rows = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert rows == set(load(SPOKE)["Parameters"])


def anchors(text: str) -> set[str]:
    """Where a page can be linked to: its headings as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_within_the_docs_leads_somewhere(page: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{path}#{anchor}"
