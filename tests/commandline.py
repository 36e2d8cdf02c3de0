"""What the real AWS CLI makes of a command line: the request that it would send, by its own parser, and nothing is sent."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.protocol import Checker, service_model
from simulator.template import ROOT

PYTHON = ROOT / ".tools/awscli/bin/python"

# Runs in the AWS CLI's own environment. Its driver reads each command line as far as the request; what would send it is never reached.
READER = """
import contextlib, io, json, sys
from awscli.botocore.utils import ArgumentGenerator
from awscli.clidriver import create_clidriver
from awscli.customizations.cloudformation.deploy import DeployCommand

driver = create_clidriver()
found = {}

def of_operation(call_parameters, parsed_globals, event_name, **more):
    command = event_name.split(".")[1:]
    found.update(command=command, parameters=call_parameters)
    if parsed_globals.query:
        found.update(answer=parsed_globals.query.search(sample(*command)))
    return 0

def sample(service, name):
    model = driver.session.get_service_model(service)
    shapes = (model.operation_model(one).output_shape for one in model.operation_names if one.lower() == name.replace("-", ""))
    return ArgumentGenerator(use_member_names=True).generate_skeleton(next(shapes))

def of_deploy(self, template, overrides):
    found.update(overrides=overrides)
    return merge(self, template, overrides)

def deploy(self, deployer, stack, template, parameters, capabilities, *more):
    found.update(command=["cloudformation", "deploy"], parameters={
        "StackName": stack, "TemplateBody": template, "Capabilities": capabilities, "ChangeSetName": "x",
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in found.pop("overrides").items()],
    })
    return 0

merge = DeployCommand.merge_parameters
DeployCommand.merge_parameters = of_deploy
DeployCommand.deploy = deploy
driver.session.register("calling-command", of_operation)
for words in json.load(sys.stdin):
    found.clear()
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            code = driver.main(words)
        except SystemExit as stopped:
            code = stopped.code
    print(json.dumps({"code": code, "said": said.getvalue(), **found}))
"""


@dataclass(frozen=True)
class Reading:
    """A command line as the AWS CLI reads it: service, operation in its own spelling, and the request, or what is wrong with it."""

    service: str
    operation: str
    request: dict[str, Any]
    wrong: str = ""


def read(lines: Iterable[list[str]]) -> list[Reading]:
    """Each command line, without the word `aws`, as the AWS CLI reads it, held against AWS's model with all its limits."""
    # Nothing of the machine: no profile, and a Region and keys that nobody has.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    done = subprocess.run(  # noqa: S603 - our own
        [str(PYTHON), "-c", READER],
        input=json.dumps(list(lines)),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [_reading(json.loads(line)) for line in done.stdout.splitlines()]


def _reading(said: dict[str, Any]) -> Reading:
    if "parameters" not in said or said["code"]:
        return Reading("", "", {}, said["said"].strip() or "it ends without a request")
    service, operation = said["command"]
    request: dict[str, Any] = said["parameters"]
    wrong: list[str] = []
    if shape := _input(service, operation):
        Checker(lenient=False).of(shape)(request, "", wrong)
    if said.get("answer", "") is None:
        wrong.append("its --query finds nothing in an answer of AWS's model")
    return Reading(service, operation, request, "; ".join(wrong))


def _input(service: str, operation: str) -> Any:
    """What AWS takes, of the operation that the AWS CLI spells so."""
    if service == "wait":
        return None  # `aws SERVICE wait STATE`: that there is such a state, the AWS CLI has found out
    model = service_model({"s3api": "s3"}.get(service, service))
    name = {"deploy": "create-change-set"}.get(operation, operation).replace("-", "")
    return next(model.operation_model(one).input_shape for one in model.operation_names if one.lower() == name)
