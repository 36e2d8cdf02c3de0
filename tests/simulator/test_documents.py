from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.simulator.scene import ALPHA, BETA, FLEET, HUB, IRELAND, LONDON, Scene, runbook

SMALL = json.dumps(runbook([{"name": "wait", "action": "aws:sleep", "inputs": {"Duration": "PT1M"}}], {}))
YAML = """
schemaVersion: "0.3"
description: in YAML
mainSteps:
  - name: wait
    action: aws:sleep
    inputs:
      Duration: PT1M
"""


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    code: str = error.value.response["Error"]["Code"]
    return code


def create(scene: Scene, name: str = "Small", content: str = SMALL, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = scene.ssm.create_document(
        Name=name, Content=content, **({"DocumentType": "Automation"} | more)
    )["DocumentDescription"]
    return made


def test_a_document_says_its_hash_its_version_and_its_parameters(scene: Scene) -> None:
    create(scene)
    found = scene.ssm.describe_document(Name="Small")["Document"]
    assert (found["Hash"], found["HashType"]) == (sha256(SMALL.encode()).hexdigest(), "Sha256")
    assert (found["DocumentVersion"], found["Status"], found["Owner"]) == ("1", "Active", HUB)
    parameters = {one["Name"]: one for one in found["Parameters"]}
    assert "DefaultValue" not in parameters["Operation"]
    assert parameters["RebootOption"]["DefaultValue"] == "RebootIfNeeded"


def test_lists_are_the_only_other_type_that_the_model_knows(scene: Scene) -> None:
    found = scene.ssm.describe_document(Name="Fleet")["Document"]["Parameters"]
    assert {one["Name"]: one["Type"] for one in found}["Targets"] == "StringList"


def test_a_name_is_taken_once(scene: Scene) -> None:
    create(scene)
    with pytest.raises(ClientError) as error:
        create(scene)
    assert code_of(error) == "DocumentAlreadyExists"


def test_a_new_version_is_not_the_default_until_somebody_says_so(scene: Scene) -> None:
    create(scene)
    scene.ssm.update_document(Name="Small", Content=SMALL.replace("PT1M", "PT2M"), DocumentVersion="$LATEST")
    assert scene.ssm.describe_document(Name="Small")["Document"]["DocumentVersion"] == "1"
    latest = scene.ssm.get_document(Name="Small", DocumentVersion="$LATEST")
    assert (latest["DocumentVersion"], "PT2M" in latest["Content"]) == ("2", True)
    scene.ssm.update_document_default_version(Name="Small", DocumentVersion="2")
    assert scene.ssm.describe_document(Name="Small")["Document"]["DocumentVersion"] == "2"


def test_the_same_content_is_no_new_version(scene: Scene) -> None:
    create(scene)
    with pytest.raises(ClientError) as error:
        scene.ssm.update_document(Name="Small", Content=SMALL, DocumentVersion="1")
    assert code_of(error) == "DuplicateDocumentContent"


def test_yaml_is_read_as_json_is_and_given_back_as_asked(scene: Scene) -> None:
    create(scene, content=YAML, DocumentFormat="YAML")
    assert json.loads(scene.ssm.get_document(Name="Small")["Content"])["description"] == "in YAML"
    assert scene.ssm.get_document(Name="Small", DocumentFormat="YAML")["Content"] == YAML


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"schemaVersion": "2.2"}, "schemaVersion"),
        ({"mainSteps": []}, "mainSteps"),
        ({"mainSteps": [{"name": "a-b", "action": "aws:sleep", "inputs": {}}]}, "'a-b' is not a name"),
        ({"mainSteps": [{"name": "a", "action": "aws:sleep"}]}, "has no inputs"),
        ({"mainSteps": [{"name": "a", "action": "aws:sleep", "inputs": {"Duration": "{{ Nap }}"}}]}, "Nap"),
        ({"mainSteps": [{"name": "a", "action": "aws:sleep", "inputs": {}, "nextStep": "b"}]}, "leads to b"),
        ({"outputs": ["wait.Dreams"]}, "wait.Dreams"),
    ],
)
def test_a_runbook_that_could_not_run_is_refused(scene: Scene, change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ClientError, match=fault) as error:
        create(scene, content=json.dumps(json.loads(SMALL) | change))
    assert code_of(error) == "InvalidDocumentContent"


def test_a_document_has_at_most_64_kilobytes(scene: Scene) -> None:
    with pytest.raises(ClientError) as error:
        create(scene, content=json.dumps(json.loads(SMALL) | {"description": "x" * 65536}))
    assert code_of(error) == "MaxDocumentSizeExceeded"


def test_a_shared_document_is_found_by_its_arn_in_its_own_region_alone(scene: Scene) -> None:
    create(scene)
    arn = f"arn:aws:ssm:{IRELAND}:{HUB}:document/Small"
    with pytest.raises(ClientError):
        scene.client("ssm", ALPHA).describe_document(Name=arn)
    scene.ssm.modify_document_permission(Name="Small", PermissionType="Share", AccountIdsToAdd=[ALPHA])
    assert scene.client("ssm", ALPHA).describe_document(Name=arn)["Document"]["Name"] == "Small"
    for account, region, name in ((ALPHA, IRELAND, "Small"), (ALPHA, LONDON, arn), (BETA, IRELAND, arn)):
        with pytest.raises(ClientError) as error:
            scene.client("ssm", account, region).describe_document(Name=name)
        assert code_of(error) == "InvalidDocument"


def test_sharing_goes_by_twenty_and_ends_at_a_thousand(scene: Scene) -> None:
    create(scene)
    accounts = [f"{number:012d}" for number in range(1001)]

    def share(some: list[str]) -> None:
        scene.ssm.modify_document_permission(Name="Small", PermissionType="Share", AccountIdsToAdd=some)

    with pytest.raises(ClientError, match="less than or equal to 20"):
        share(accounts[:21])
    for start in range(0, 1000, 20):
        share(accounts[start : start + 20])
    with pytest.raises(ClientError) as error:
        share(accounts[1000:])
    assert code_of(error) == "DocumentPermissionLimit"
    first = scene.ssm.describe_document_permission(Name="Small", PermissionType="Share")
    assert (len(first["AccountIds"]), "NextToken" in first) == (20, True)


def test_a_document_is_not_deleted_while_it_is_shared(scene: Scene) -> None:
    create(scene)
    scene.ssm.modify_document_permission(Name="Small", PermissionType="Share", AccountIdsToAdd=[ALPHA])
    with pytest.raises(ClientError) as error:
        scene.ssm.delete_document(Name="Small")
    assert code_of(error) == "InvalidDocumentOperation"
    scene.ssm.modify_document_permission(Name="Small", PermissionType="Share", AccountIdsToRemove=[ALPHA])
    scene.ssm.delete_document(Name="Small")
    with pytest.raises(ClientError):
        scene.ssm.get_document(Name="Small")


def test_aws_own_documents_are_everywhere_and_nobodys_to_change(scene: Scene) -> None:
    found = scene.client("ssm", BETA, LONDON).describe_document(Name="AWS-RunPatchBaseline")["Document"]
    assert (found["Owner"], found["DocumentType"]) == ("Amazon", "Command")
    assert {one["Name"] for one in found["Parameters"]} >= {"Operation", "SnapshotId", "RebootOption"}
    with pytest.raises(ClientError):
        scene.ssm.update_document(Name="AWS-RunPatchBaseline", Content=json.dumps(FLEET))
