"""The reading APIs: STS, Organizations, tags, groups, EC2, managed nodes and calendars."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.fleet import EXECUTION_ROLE, Behaviour
from simulator.world import Calendar
from tests.simulator.scene import ALPHA, BETA, HUB, IRELAND, LONDON, START, Scene

ROLE = f"arn:aws:iam::{ALPHA}:role/{EXECUTION_ROLE}"


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call()
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def session(scene: Scene, service: str, **more: Any) -> Any:
    """A client with the execution role's keys."""
    keys = scene.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="reader", **more)["Credentials"]
    return scene.with_keys(service, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


# --- STS ----------------------------------------------------------------------------------------------------------------


def test_a_role_gives_keys_of_its_account(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    identity = session(scene, "sts").get_caller_identity()
    assert identity["Account"] == ALPHA
    assert identity["Arn"] == f"arn:aws:sts::{ALPHA}:assumed-role/{EXECUTION_ROLE}/reader"
    (known,) = session(scene, "ssm").describe_instance_information()["InstanceInformationList"]
    assert known["InstanceId"] == node.id


@pytest.mark.parametrize("spoil", ["role", "trust", "account", "state"])
def test_a_role_that_is_not_there_or_does_not_trust_us_is_denied(scene: Scene, spoil: str) -> None:
    account = scene.world.organization.accounts[ALPHA]
    arn = ROLE
    if spoil == "role":
        account.roles.clear()
    elif spoil == "trust":
        account.roles[EXECUTION_ROLE] = (f"arn:aws:iam::{BETA}:root",)
    elif spoil == "account":
        arn = f"arn:aws:iam::123456789012:role/{EXECUTION_ROLE}"
    else:
        account.state = "SUSPENDED"
    code, message = refusal(lambda: scene.client("sts").assume_role(RoleArn=arn, RoleSessionName="reader"))
    assert (code, message) == (
        "AccessDenied",
        f"User: arn:aws:iam::{HUB}:root is not authorized to perform: sts:AssumeRole on resource: {arn}",
    )


def test_another_member_account_is_not_trusted(scene: Scene) -> None:
    assert (
        refusal(lambda: scene.client("sts", BETA).assume_role(RoleArn=ROLE, RoleSessionName="me"))[0] == "AccessDenied"
    )


def test_keys_expire(scene: Scene) -> None:
    client = session(scene, "ssm", DurationSeconds=900)
    client.describe_instance_information()
    scene.wait(minutes=16)
    assert refusal(client.describe_instance_information)[0] == "ExpiredTokenException"


def test_a_chained_role_lasts_an_hour_at_most(scene: Scene) -> None:
    scene.world.organization.accounts[BETA].roles["Next"] = (ROLE,)
    chained = session(scene, "sts")
    arn = f"arn:aws:iam::{BETA}:role/Next"
    code, message = refusal(lambda: chained.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=7200))
    assert (code, "role chaining" in message) == ("ValidationError", True)
    assert chained.assume_role(RoleArn=arn, RoleSessionName="me")["AssumedRoleUser"]["Arn"].endswith("/Next/me")


def test_it_is_known_whose_a_key_is(scene: Scene) -> None:
    key = scene.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"]["AccessKeyId"]
    assert scene.client("sts").get_access_key_info(AccessKeyId=key)["Account"] == ALPHA
    assert (
        refusal(lambda: scene.client("sts").get_access_key_info(AccessKeyId="AKIASTRANGERSTRANGER"))[0]
        == "AccessDenied"
    )


# --- Organizations ------------------------------------------------------------------------------------------------------


def test_accounts_are_listed_twenty_at_a_time_after_an_empty_page(scene: Scene) -> None:
    organization = scene.world.organization
    unit = organization.add_unit("Many")
    made = {organization.add_account(f"a{number}", unit).id for number in range(45)}
    pages = list(scene.client("organizations").get_paginator("list_accounts_for_parent").paginate(ParentId=unit.id))
    assert [len(page["Accounts"]) for page in pages] == [0, 20, 20, 5]
    assert {account["Id"] for page in pages for account in page["Accounts"]} == made
    assert {account["State"] for page in pages for account in page["Accounts"]} == {"ACTIVE"}


def test_empty_pages_can_be_left_out(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(empty_pages=False)
    root = scene.world.organization.root.id
    found = scene.client("organizations").list_accounts_for_parent(ParentId=root)
    assert ([account["Id"] for account in found["Accounts"]], "NextToken" in found) == ([HUB], False)


def test_the_organisation_can_be_walked_from_its_root(scene_with: Callable[..., Scene]) -> None:
    client = scene_with(empty_pages=False).client("organizations")
    (root,) = client.list_roots()["Roots"]
    (unit,) = client.list_organizational_units_for_parent(ParentId=root["Id"])["OrganizationalUnits"]
    assert {account["Id"] for account in client.list_accounts_for_parent(ParentId=unit["Id"])["Accounts"]} == {
        ALPHA,
        BETA,
    }
    assert client.list_parents(ChildId=ALPHA)["Parents"] == [{"Id": unit["Id"], "Type": "ORGANIZATIONAL_UNIT"}]
    assert client.list_parents(ChildId=unit["Id"])["Parents"] == [{"Id": root["Id"], "Type": "ROOT"}]
    assert (
        client.describe_organizational_unit(OrganizationalUnitId=unit["Id"])["OrganizationalUnit"]["Name"]
        == "Production"
    )
    assert client.describe_account(AccountId=ALPHA)["Account"]["Name"] == "alpha"
    assert client.describe_organization()["Organization"]["MasterAccountId"] == HUB


def test_what_does_not_exist_has_a_name_of_its_own(scene: Scene) -> None:
    client = scene.client("organizations")
    for call, code in (
        (lambda: client.list_accounts_for_parent(ParentId="ou-none-12345678"), "ParentNotFoundException"),
        (lambda: client.describe_account(AccountId="123456789012"), "AccountNotFoundException"),
        (lambda: client.list_parents(ChildId="123456789012"), "ChildNotFoundException"),
    ):
        assert refusal(call)[0] == code


def test_member_accounts_may_not_look(scene: Scene) -> None:
    assert refusal(scene.client("organizations", ALPHA).list_roots)[0] == "AccessDeniedException"


# --- tags, groups, EC2 --------------------------------------------------------------------------------------------------


def test_tags_find_instances_dead_ones_too(scene: Scene) -> None:
    web, gone, _ = scene.add(*[Behaviour.HEALTHY] * 3)
    web.tags["Tier"] = gone.tags["Tier"] = "front"
    gone.state = "terminated"
    pages = (
        scene.client("resourcegroupstaggingapi", ALPHA)
        .get_paginator("get_resources")
        .paginate(
            TagFilters=[{"Key": "PatchGroup", "Values": ["web"]}, {"Key": "Tier"}],
            ResourceTypeFilters=["ec2:instance"],
            PaginationConfig={"PageSize": 1},
        )
    )
    found = [mapped["ResourceARN"] for page in pages for mapped in page["ResourceTagMappingList"]]
    assert found == [f"arn:aws:ec2:{IRELAND}:{ALPHA}:instance/{node.id}" for node in (web, gone)]


def test_a_resource_group_has_members_where_it_exists(scene: Scene) -> None:
    nodes = scene.add(*[Behaviour.HEALTHY] * 60)
    organization = scene.world.organization
    organization.add_group(organization.accounts[ALPHA], IRELAND, "webs", {"PatchGroup": ["web"]})
    client = scene.client("resource-groups", ALPHA)
    pages = list(client.get_paginator("list_group_resources").paginate(Group="webs"))
    arns = [one["Identifier"]["ResourceArn"] for page in pages for one in page["Resources"]]
    assert ([len(page["Resources"]) for page in pages], arns) == ([50, 10], [node.arn for node in nodes])
    query = json.loads(client.get_group_query(GroupName="webs")["GroupQuery"]["ResourceQuery"]["Query"])
    assert query["TagFilters"] == [{"Key": "PatchGroup", "Values": ["web"]}]
    assert client.get_group(Group="webs")["Group"]["Name"] == "webs"
    elsewhere = scene.client("resource-groups", ALPHA, LONDON)
    assert refusal(lambda: elsewhere.list_group_resources(Group="webs"))[0] == "NotFoundException"


def test_instances_are_found_by_tag_state_and_id(scene: Scene) -> None:
    web, db, stopped = scene.add(*[Behaviour.HEALTHY] * 3)
    scene.add(Behaviour.HEALTHY, hybrid=True)
    db.tags["PatchGroup"] = "db"
    stopped.state = "stopped"
    client = scene.client("ec2", ALPHA)

    def found(*filters: tuple[str, str], **more: Any) -> list[str]:
        wanted = [{"Name": name, "Values": [value]} for name, value in filters]
        pages = client.get_paginator("describe_instances").paginate(Filters=wanted, **more)
        return [one["InstanceId"] for page in pages for held in page["Reservations"] for one in held["Instances"]]

    assert found() == [web.id, db.id, stopped.id]
    assert found(("tag:PatchGroup", "web")) == [web.id, stopped.id]
    assert found(("tag:PatchGroup", "w*"), ("instance-state-name", "running")) == [web.id]
    assert found(("instance-id", db.id)) == [db.id]
    assert found(InstanceIds=[db.id]) == [db.id]
    assert refusal(lambda: found(InstanceIds=["i-0123456789abcdef0"]))[0] == "InvalidInstanceID.NotFound"
    assert refusal(lambda: found(("colour", "red")))[0] == "InvalidParameterValue"
    (reservation,) = client.describe_instances(InstanceIds=[web.id])["Reservations"]
    assert {"Key": "PatchGroup", "Value": "web"} in reservation["Instances"][0]["Tags"]
    assert reservation["OwnerId"] == ALPHA
    assert reservation["Instances"][0]["State"] == {"Code": 16, "Name": "running"}


def test_instances_come_in_pages(scene: Scene) -> None:
    scene.add(*[Behaviour.HEALTHY] * 12)
    pages = scene.client("ec2", ALPHA).get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5})
    assert [len(page["Reservations"]) for page in pages] == [5, 5, 2]


def test_a_disabled_region_refuses_every_call_there(scene: Scene) -> None:
    scene.world.organization.accounts[ALPHA].regions.discard(LONDON)
    for service, call, code in (
        ("ssm", lambda client: client.list_commands(), "UnrecognizedClientException"),
        ("resourcegroupstaggingapi", lambda client: client.get_resources(), "UnrecognizedClientException"),
        ("resource-groups", lambda client: client.get_group(Group="x"), "UnrecognizedClientException"),
        ("ec2", lambda client: client.describe_instances(), "AuthFailure"),
        ("sts", lambda client: client.get_caller_identity(), "InvalidClientTokenId"),
    ):
        client = scene.client(service, ALPHA, LONDON)
        assert refusal(lambda call=call, client=client: call(client))[0] == code  # type: ignore[misc]
    listed = scene.client("ec2", ALPHA).describe_regions()["Regions"]
    assert [region["RegionName"] for region in listed] == [IRELAND]
    every = scene.client("ec2", ALPHA).describe_regions(AllRegions=True)["Regions"]
    assert {region["RegionName"]: region["OptInStatus"] for region in every}[LONDON] == "not-opted-in"


# --- nodes and patches --------------------------------------------------------------------------------------------------


def test_ssm_knows_the_managed_and_says_how_they_are(scene: Scene) -> None:
    online, offline, _ = scene.add(Behaviour.HEALTHY, Behaviour.AGENT_OFFLINE, Behaviour.NOT_MANAGED)
    (hybrid,) = scene.add(Behaviour.HEALTHY, hybrid=True, platform="Windows", tags={"PatchGroup": "db"})
    client = scene.client("ssm", ALPHA)
    known = {one["InstanceId"]: one for one in client.describe_instance_information()["InstanceInformationList"]}
    assert {id_: one["PingStatus"] for id_, one in known.items()} == {
        online.id: "Online",
        offline.id: "ConnectionLost",
        hybrid.id: "Online",
    }
    assert known[offline.id]["LastPingDateTime"] < START
    assert (known[hybrid.id]["ResourceType"], known[hybrid.id]["PlatformType"]) == ("ManagedInstance", "Windows")

    def found(key: str, value: str) -> list[str]:
        answer = client.describe_instance_information(Filters=[{"Key": key, "Values": [value]}])
        return [one["InstanceId"] for one in answer["InstanceInformationList"]]

    assert found("tag:PatchGroup", "web") == [online.id, offline.id]
    assert found("PingStatus", "Online") == [online.id, hybrid.id]
    assert found("InstanceIds", hybrid.id) == [hybrid.id]
    assert refusal(lambda: found("Colour", "red"))[0] == "InvalidFilterKey"


def test_nodes_come_in_pages_of_five_at_least(scene: Scene) -> None:
    scene.add(*[Behaviour.HEALTHY] * 12)
    pages = scene.client("ssm", ALPHA).get_paginator("describe_instance_information")
    sizes = [len(page["InstanceInformationList"]) for page in pages.paginate(PaginationConfig={"PageSize": 5})]
    assert sizes == [5, 5, 2]


def test_patch_states_leave_out_whoever_has_none(scene: Scene) -> None:
    (patched,) = scene.add(Behaviour.HEALTHY)
    scene.play()
    scene.wait(minutes=1)
    (fresh,) = scene.add(Behaviour.HEALTHY)
    (foreign,) = scene.add(Behaviour.HEALTHY, account=BETA)
    ids = [patched.id, fresh.id, foreign.id, "i-0123456789abcdef0"]
    (state,) = scene.client("ssm", ALPHA).describe_instance_patch_states(InstanceIds=ids)["InstancePatchStates"]
    assert (state["InstanceId"], state["PatchGroup"]) == (patched.id, "web")


def test_failed_patches_can_be_listed(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.PATCH_FAILS)
    scene.play()
    scene.wait(minutes=1)
    client = scene.client("ssm", ALPHA)
    filters = [{"Key": "State", "Values": ["FAILED"]}]
    (patch,) = client.describe_instance_patches(InstanceId=node.id, Filters=filters)["Patches"]
    assert patch["State"] == "FAILED"
    assert refusal(lambda: client.describe_instance_patches(InstanceId="i-0123456789abcdef0"))[0] == "InvalidInstanceId"


def counted(scene: Scene, id_: str) -> Counter[str]:
    """How many patches of each state a node has, page by page."""
    pages = scene.client("ssm", ALPHA).get_paginator("describe_instance_patches").paginate(InstanceId=id_)
    return Counter(patch["State"] for page in pages for patch in page["Patches"])


@pytest.mark.parametrize("operation", ["Scan", "Install"])
@pytest.mark.parametrize(
    "behaviour",
    [Behaviour.HEALTHY, Behaviour.PATCH_FAILS, Behaviour.PKG_CONFLICT, Behaviour.PENDING_REBOOT, Behaviour.SENTINEL],
)
def test_the_patches_of_a_node_are_those_that_its_state_counts(
    scene: Scene, behaviour: Behaviour, operation: str
) -> None:
    (node,) = scene.add(behaviour)
    node.rejected = 2
    scene.play(parameters={"Operation": [operation]})
    scene.wait(minutes=1)
    (state,) = scene.client("ssm", ALPHA).describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"]
    counts = {
        "MISSING": state["MissingCount"],
        "FAILED": state["FailedCount"],
        "INSTALLED_PENDING_REBOOT": state["InstalledPendingRebootCount"],
        "INSTALLED_REJECTED": state["InstalledRejectedCount"],
        "INSTALLED": state["InstalledCount"],
    }
    assert counted(scene, node.id) == {word: many for word, many in counts.items() if many > 0}


@pytest.mark.parametrize(
    ("platform", "id_", "classification"),
    [("Linux", "kernel.x86_64", "Security"), ("Windows", "KB5034441", "SecurityUpdates")],
)
def test_what_was_missing_is_what_fails_and_both_say_what_they_would_mend(
    scene: Scene, platform: str, id_: str, classification: str
) -> None:
    (node,) = scene.add(Behaviour.PATCH_FAILS, platform=platform)
    client, found = scene.client("ssm", ALPHA), []
    for operation in ("Scan", "Install"):
        scene.play(parameters={"Operation": [operation]})
        scene.wait(minutes=1)
        found.append(client.describe_instance_patches(InstanceId=node.id, MaxResults=10)["Patches"])
        assert client.describe_instance_patches(InstanceId=node.id, MaxResults=10)["Patches"] == found[-1]
    (missing, *_), (failed, installed, *_) = found
    assert (missing["State"], failed["State"], installed["State"]) == ("MISSING", "FAILED", "INSTALLED")
    assert missing | {"State": "FAILED"} == failed
    assert (failed["KBId"], failed["Classification"], failed["Severity"]) == (id_, classification, "Critical")
    assert (failed["InstalledTime"].year, failed["CVEIds"]) == (1970, "CVE-2026-21000")
    assert "CVEIds" not in installed
    assert len({patch["KBId"] for patch in found[0]}) == 10


def test_patches_are_found_by_several_states_in_either_of_awss_spellings(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.PENDING_REBOOT)
    node.rejected = 1
    scene.play()
    scene.wait(minutes=1)
    client = scene.client("ssm", ALPHA)

    def found(key: str, *values: str) -> list[str]:
        filters = [{"Key": key, "Values": list(values)}]
        patches = client.describe_instance_patches(InstanceId=node.id, Filters=filters)["Patches"]
        return [patch["State"] for patch in patches]

    both = ["INSTALLED_PENDING_REBOOT"] * 4 + ["INSTALLED_REJECTED"]
    assert found("State", "MISSING", "FAILED", "INSTALLED_PENDING_REBOOT", "INSTALLED_REJECTED") == both
    assert found("State", "Missing", "Failed", "InstalledPendingReboot", "InstalledRejected") == both
    assert found("State", "Missing") == []
    assert found("KBId", "kernel.x86_64", "curl.x86_64") == ["INSTALLED_PENDING_REBOOT"] * 2
    assert refusal(lambda: found("Colour", "red"))[0] == "InvalidFilter"


def test_compliance_names_the_command_that_it_is_known_from(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.PATCH_FAILS, tags={"Patch Group": "front"})
    client = scene.client("ssm", ALPHA)
    asked = {"ResourceIds": [node.id], "ResourceTypes": ["ManagedInstance"]}
    patches = {"Key": "ComplianceType", "Values": ["Patch"], "Type": "EQUAL"}
    assert client.list_compliance_items(**asked)["ComplianceItems"] == []
    scene.play()
    scene.wait(minutes=1)
    (command,) = client.list_commands()["Commands"]
    pages = list(client.get_paginator("list_compliance_items").paginate(**asked, Filters=[patches]))
    items = [item for page in pages for item in page["ComplianceItems"]]
    assert [len(page["ComplianceItems"]) for page in pages] == [50, 50, 24]
    assert {item["ExecutionSummary"]["ExecutionId"] for item in items} == {command["CommandId"]}
    assert {item["ExecutionSummary"]["ExecutionType"] for item in items} == {"Command"}
    assert Counter(item["Status"] for item in items) == {"NON_COMPLIANT": 1, "COMPLIANT": 123}
    failed = items[0]
    assert (failed["Id"], failed["Severity"], failed["ResourceId"]) == ("kernel.x86_64", "UNSPECIFIED", node.id)
    assert (failed["Details"]["PatchState"], failed["Details"]["PatchGroup"]) == ("FAILED", "front")
    state = client.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"][0]
    assert (state["PatchGroup"], state["OperationEndTime"]) == ("front", failed["ExecutionSummary"]["ExecutionTime"])
    (reservation,) = scene.client("ec2", ALPHA).describe_instances()["Reservations"]
    assert {"Key": "Patch Group", "Value": "front"} in reservation["Instances"][0]["Tags"]


def test_compliance_is_asked_of_one_node_and_filtered(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    scene.play(parameters={"Operation": ["Scan"]})
    scene.wait(minutes=1)
    client = scene.client("ssm", ALPHA)

    def found(key: str, value: str, kind: str) -> int:
        wanted = [{"Key": key, "Values": [value], "Type": kind}, {"Key": "Status", "Values": ["NON_COMPLIANT"]}]
        return len(client.list_compliance_items(ResourceIds=[node.id], Filters=wanted)["ComplianceItems"])

    assert [found("ComplianceType", "Patch", kind) for kind in ("EQUAL", "NOT_EQUAL")] == [4, 0]
    assert found("ComplianceType", "Association", "EQUAL") == 0
    assert found("Title", "openssl.", "BEGIN_WITH") == 1
    for call, code in (
        (lambda: found("Colour", "red", "EQUAL"), "InvalidFilter"),
        (lambda: found("Title", "a", "LESS_THAN"), "InvalidFilter"),
        (lambda: client.list_compliance_items(), "InvalidResourceId"),
        (lambda: client.list_compliance_items(ResourceIds=[node.id, node.id]), "InvalidResourceId"),
        (lambda: client.list_compliance_items(ResourceIds=["x"], ResourceTypes=["Pod"]), "InvalidResourceType"),
    ):
        assert refusal(call)[0] == code
    assert client.list_compliance_items(ResourceIds=["i-0123456789abcdef0"])["ComplianceItems"] == []


def test_evidence_takes_as_long_as_the_switch_says(scene_with: Callable[..., Scene]) -> None:
    scene = scene_with(evidence_delay=timedelta(minutes=10))
    (node,) = scene.add(Behaviour.HEALTHY)
    scene.play()
    client = scene.client("ssm", ALPHA)
    assert client.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"] == []
    scene.wait(minutes=11)
    assert len(client.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"]) == 1


# --- calendars ----------------------------------------------------------------------------------------------------------


def test_calendars_are_open_together_or_not_at_all(scene: Scene) -> None:
    soon = START + timedelta(hours=1)
    scene.world.calendars[HUB, IRELAND, "freeze"] = Calendar("OPEN", [(soon, soon + timedelta(days=1))])
    scene.world.calendars[HUB, IRELAND, "hours"] = Calendar("CLOSED", [(START - timedelta(hours=1), soon)])

    def state(*names: str, **more: str) -> tuple[str, str | None]:
        answer = scene.ssm.get_calendar_state(CalendarNames=list(names), **more)
        return answer["State"], answer.get("NextTransitionTime")

    assert state("freeze", "hours") == ("OPEN", "2026-12-01T23:00:00Z")
    assert state("freeze", AtTime="2026-12-01T23:30:00Z") == ("CLOSED", "2026-12-02T23:00:00Z")
    assert state("hours", AtTime="2026-12-05T00:00:00Z") == ("CLOSED", None)
    assert state(f"arn:aws:ssm:{IRELAND}:{HUB}:document/freeze") == ("OPEN", "2026-12-01T23:00:00Z")
    assert refusal(lambda: state("nothing"))[0] == "InvalidDocument"
