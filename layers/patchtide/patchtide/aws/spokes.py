"""Member accounts, seen through their read role: who the targets are, and what became of them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from patchtide.aws.clients import CONFIG
from patchtide.aws.faults import asking
from patchtide.aws.patience import Patience
from patchtide.core.campaign import GROUP_KEY, IDS_KEY, Target
from patchtide.core.evidence import Invocation, PatchState
from patchtide.core.frozen import frozen
from patchtide.core.location import Location
from patchtide.core.outcome import Instance, Patch

if TYPE_CHECKING:
    from types_boto3_sts import STSClient

MAX_CLIENTS = 60  # a client costs megabytes; a collector that has seen many locations forgets the oldest
RENEW = timedelta(minutes=10)
PATCH_DOCUMENTS = ("AWS-RunPatchBaseline", "AWS-RunPatchBaselineWithHooks")
# What a command's comment says after the run, where it is one of the runbook's scripts.
SCRIPTS = ("pre", "health", "post")
RESTORED = "restored"  # the same, where it scans a root volume that was put back
MAX_CANCELLED = 50  # CancelCommandRequest.InstanceIds
MAX_PATCHES = 200  # of one instance; who lacks more lacks them all
AGAINST = ("Missing", "Failed", "InstalledPendingReboot", "InstalledRejected")  # the states that make it non-compliant
# AWS's model spells states in capitals, its examples answer and filter with these words.
STATES = {word.lower(): word for word in AGAINST}
LIVING = ("pending", "running", "stopping", "stopped")  # terminated instances keep their tags for an hour


@frozen
class _Role:
    """A role that was assumed."""

    keys: Mapping[str, str]  # as boto3.client takes them
    expires_at: datetime


class Spokes:
    """All locations. One role session per account serves all its Regions: a regional token is valid everywhere.

    A sandbox may live to see all locations of an organisation: what it keeps of them has bounds, and what it lets go it closes.
    """

    def __init__(
        self, sts: STSClient, role: str, now: Callable[[], datetime], connect: Callable[..., Any] = boto3.client
    ) -> None:
        self.sts, self.role, self.now, self.connect = sts, role, now, connect
        self.partition = sts.meta.partition
        self.patience = Patience(now)
        self._roles: dict[str, _Role] = {}  # the first to expire comes first
        self._clients: OrderedDict[tuple[str, str, str], Any] = OrderedDict()  # the longest unused comes first

    def at(self, location: Location, *, urgent: bool = False) -> Spoke:
        """The location. Raises Refused where its read role cannot be assumed, and PutOff while it is left alone, unless it is urgent."""
        if not urgent:
            self.patience.check(location)
        self._keys(location.account)
        return Spoke(self, location)

    def client(self, service: str, location: Location) -> Any:
        """A client in the location, kept while it is in use."""
        keys = self._keys(location.account)
        key = (service, location.account, location.region)
        if key not in self._clients:
            if len(self._clients) >= MAX_CLIENTS:
                self._close(next(iter(self._clients)))
            # All are made by one session, since each session reads AWS's models anew, which takes a tenth of a second.
            self._clients[key] = self.connect(service, region_name=location.region, config=CONFIG, **keys)
        self._clients.move_to_end(key)
        return self._clients[key]

    def _keys(self, account: str) -> Mapping[str, str]:
        held = self._roles.get(account)
        if held is None or self._stale(held):
            held = self._assumed(account)
            self._forget({account, *takewhile(lambda other: self._stale(self._roles[other]), self._roles)})
            self._roles[account] = held
        return held.keys

    def _assumed(self, account: str) -> _Role:
        arn = f"arn:{self.partition}:iam::{account}:role/{self.role}"
        with asking(f"assume {arn}"):
            granted = self.sts.assume_role(RoleArn=arn, RoleSessionName="patchtide-collector")["Credentials"]
        keys = {
            "aws_access_key_id": granted["AccessKeyId"],
            "aws_secret_access_key": granted["SecretAccessKey"],
            "aws_session_token": granted["SessionToken"],
        }
        return _Role(keys, granted["Expiration"])

    def _stale(self, role: _Role) -> bool:
        return role.expires_at - RENEW <= self.now()

    def _forget(self, accounts: set[str]) -> None:
        for account in accounts:
            self._roles.pop(account, None)
        for key in [key for key in self._clients if key[1] in accounts]:
            self._close(key)

    def _close(self, key: tuple[str, str, str]) -> None:
        self._clients.pop(key).close()


class Spoke:
    """One location."""

    def __init__(self, spokes: Spokes, location: Location) -> None:
        self.spokes, self.location = spokes, location

    @contextmanager
    def _asking(self, action: str) -> Iterator[None]:
        """Whatever comes of a call here is learnt from, and what botocore raises becomes ours."""
        with self.spokes.patience.watching(self.location), asking(action):
            yield

    def instances(self, targets: Iterable[Target]) -> tuple[Instance, ...]:
        """The instances for which every target holds: EC2's own, whatever SSM knows of them, and hybrid nodes of SSM.

        Asking SSM alone would lose the very instances that nobody will patch because no agent answers.
        """
        targets = tuple(targets)
        group = [self._group(target.values[0]) for target in targets if target.key == GROUP_KEY]
        ids = [set(target.values) for target in targets if target.key == IDS_KEY]
        allowed = set.intersection(*group, *ids) if group or ids else None
        tags = tuple(target for target in targets if target.key.startswith("tag:"))
        found = {machine.id: machine for machine in self._machines(tags, allowed)}
        for id_, node in self._managed(tags, allowed):
            if id_ in found or id_.startswith("mi-"):
                machine = found.get(id_, Instance(id_))
                found[id_] = replace(
                    machine,
                    name=machine.name or node.get("Name") or node.get("ComputerName", ""),
                    platform=_platform(node),
                    ping=node.get("PingStatus", ""),
                    agent=node.get("AgentVersion", ""),
                )
        return tuple(found.values())

    def _group(self, name: str) -> set[str]:
        client = self.spokes.client("resource-groups", self.location)
        with self._asking(f"list the resource group {name}"):
            pages = client.get_paginator("list_group_resources").paginate(Group=name)
            arns = [found["Identifier"]["ResourceArn"] for page in pages for found in page.get("Resources", [])]
        return {arn.rsplit("/", 1)[1] for arn in arns if ":instance/" in arn or ":managed-instance/" in arn}

    def _machines(self, tags: Iterable[Target], allowed: set[str] | None) -> Iterator[Instance]:
        filters = [{"Name": "instance-state-name", "Values": list(LIVING)}]
        filters += [{"Name": target.key, "Values": list(target.values)} for target in tags]
        ids = sorted(id_ for id_ in allowed if id_.startswith("i-")) if allowed is not None else None
        client = self.spokes.client("ec2", self.location)
        # Ids go as a filter: as InstanceIds, one that is gone would fail the whole question.
        for chunk in [None] if ids is None else [ids[n : n + 200] for n in range(0, len(ids), 200)]:
            wanted = [*filters, {"Name": "instance-id", "Values": chunk}] if chunk else filters
            with self._asking("describe instances"):
                for page in client.get_paginator("describe_instances").paginate(Filters=wanted):
                    for reservation in page["Reservations"]:
                        for machine in reservation["Instances"]:
                            yield _machine(machine)

    def _managed(self, tags: Iterable[Target], allowed: set[str] | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
        filters = [{"Key": target.key, "Values": list(target.values)} for target in tags]
        client = self.spokes.client("ssm", self.location)
        with self._asking("describe instance information"):
            for page in client.get_paginator("describe_instance_information").paginate(Filters=filters):
                for node in page["InstanceInformationList"]:
                    if allowed is None or node["InstanceId"] in allowed:
                        yield node["InstanceId"], node

    def patch_states(self, instances: Iterable[str]) -> Mapping[str, PatchState]:
        """The last patch state of each of up to 50 instances; those SSM knows nothing of are left out."""
        client = self.spokes.client("ssm", self.location)
        with self._asking("describe patch states"):
            pages = client.get_paginator("describe_instance_patch_states").paginate(InstanceIds=list(instances))
            states = [_patch_state(raw) for page in pages for raw in page["InstancePatchStates"]]
        return {state.instance: state for state in states}

    def patches(self, instance: str) -> tuple[Patch, ...]:
        """The patches that count against an instance, at most MAX_PATCHES of them."""
        client = self.spokes.client("ssm", self.location)
        with self._asking(f"describe the patches of {instance}"):
            pages = client.get_paginator("describe_instance_patches").paginate(
                InstanceId=instance, Filters=[{"Key": "State", "Values": list(AGAINST)}]
            )
            found = (_patch(raw) for page in pages for raw in page["Patches"])
            return tuple(islice(found, MAX_PATCHES))

    def reached(self, run: str, since: datetime) -> int:
        """How many instances the run's commands were sent to."""
        client = self.spokes.client("ssm", self.location)
        with self._asking("list commands"):
            pages = client.get_paginator("list_commands").paginate(
                Filters=[{"key": "InvokedAfter", "value": f"{since:%Y-%m-%dT%H:%M:%SZ}"}]
            )
            return sum(
                raw.get("TargetCount", 0)
                for page in pages
                for raw in page["Commands"]
                if _is_of(run, raw) and _patches(raw) and not _purpose(raw)
            )

    def gone(self, instances: Iterable[str]) -> frozenset[str]:
        """Those of these instances that exist no more. EC2 forgets them an hour after they were terminated."""
        asked = {id_ for id_ in instances if id_.startswith("i-")}
        return frozenset(asked - {machine.id for machine in self._machines((), asked)}) if asked else frozenset()

    def writer(self, instance: str) -> str:
        """Who wrote the instance's patch state: its compliance items name the command, and the command says what it is."""
        client = self.spokes.client("ssm", self.location)
        with self._asking(f"list the compliance items of {instance}"):
            items = client.list_compliance_items(
                ResourceIds=[instance],
                ResourceTypes=["ManagedInstance"],
                Filters=[{"Key": "ComplianceType", "Values": ["Patch"], "Type": "EQUAL"}],
                MaxResults=1,
            )["ComplianceItems"]
        written = items[0].get("ExecutionSummary", {}) if items else {}
        if written.get("ExecutionType") == "PatchPolicy":
            return "a patch policy of Quick Setup"
        if not written.get("ExecutionId"):
            return ""
        with self._asking(f"look at command {written['ExecutionId']}"):
            commands = client.list_commands(CommandId=written["ExecutionId"])["Commands"]
        return f"command {written['ExecutionId'][:8]}{_what(commands[0]) if commands else ''}"

    def invocations(self, run: str, since: datetime) -> Mapping[str, Invocation]:
        """The last patch command of the run that each instance was sent.

        The shipped runbooks put the run's id into the command's comment; of a runbook that does not, any patch command
        since the run's start is taken.
        """
        client = self.spokes.client("ssm", self.location)
        found: dict[str, tuple[bool, datetime, Mapping[str, Any]]] = {}
        others: dict[str, dict[str, Mapping[str, Any]]] = {}
        with self._asking("list command invocations"):
            pages = client.get_paginator("list_command_invocations").paginate(
                Details=True, Filters=[{"key": "InvokedAfter", "value": f"{since:%Y-%m-%dT%H:%M:%SZ}"}]
            )
            for page in pages:
                for raw in page["CommandInvocations"]:
                    if _is_of(run, raw) and (purpose := _purpose(raw)):
                        others.setdefault(raw["InstanceId"], {})[purpose] = raw
                        continue
                    if not _patches(raw):
                        continue
                    rank = (_is_of(run, raw), raw["RequestedDateTime"], raw)
                    held = found.get(raw["InstanceId"])
                    if held is None or rank[:2] > held[:2]:
                        found[raw["InstanceId"]] = rank
        known = {id_: replace(_invocation(raw), ours=ours) for id_, (ours, _, raw) in found.items()}
        return known | {id_: _with_scripts(known.get(id_), raws) for id_, raws in others.items()}

    def halt(self, run: str, since: datetime) -> int:
        """Take back what waits for its turn in the run's commands; how many instances that was.

        Instances are named, because a command that is cancelled as a whole is also cancelled where it is at work.
        """
        client = self.spokes.client("ssm", self.location)
        waiting: defaultdict[str, list[str]] = defaultdict(list)
        with self._asking("list command invocations"):
            pages = client.get_paginator("list_command_invocations").paginate(
                Filters=[{"key": "InvokedAfter", "value": f"{since:%Y-%m-%dT%H:%M:%SZ}"}]
            )
            for page in pages:
                for raw in page["CommandInvocations"]:
                    if _is_of(run, raw) and raw["Status"] == "Pending":
                        waiting[raw["CommandId"]].append(raw["InstanceId"])
        for command, instances in waiting.items():
            for first in range(0, len(instances), MAX_CANCELLED):
                with self._asking(f"cancel {command}"):
                    client.cancel_command(CommandId=command, InstanceIds=instances[first : first + MAX_CANCELLED])
        return sum(map(len, waiting.values()))

    def stop(self, child: str) -> None:
        """Have the location's own execution stop, unless its command is at work already: then what waits was taken back, and
        what is being patched ends it."""
        client = self.spokes.client("ssm", self.location)
        with self._asking(f"look at {child}"):
            seen = client.get_automation_execution(AutomationExecutionId=child)["AutomationExecution"]
        sent = any(
            step.get("Action") == "aws:runCommand" and step.get("StepStatus") == "InProgress"
            for step in seen.get("StepExecutions", [])
        )
        if not sent:
            with self._asking(f"stop {child}"):
                try:
                    client.stop_automation_execution(AutomationExecutionId=child, Type="Cancel")
                except ClientError as error:
                    if error.response["Error"]["Code"] != "InvalidAutomationStatusUpdateException":
                        raise

    def failure(self, child: str) -> str:
        """Why the location's own execution failed, in AWS's or the runbook's words: the failed step's, which says more."""
        client = self.spokes.client("ssm", self.location)
        with self._asking(f"look at {child}"):
            seen = client.get_automation_execution(AutomationExecutionId=child)["AutomationExecution"]
        for step in seen.get("StepExecutions", []):
            if step.get("StepStatus") in ("Failed", "TimedOut", "Cancelled") and step.get("FailureMessage"):
                return str(step["FailureMessage"])
        return str(seen.get("FailureMessage", ""))


def _what(command: Mapping[str, Any]) -> str:
    """What a command is, as far as it says so itself."""
    document = command.get("DocumentName", "").split("/")[-1]
    parameters = command.get("Parameters", {})
    association = "".join(parameters.get("AssociationId", []))
    operation = " ".join(parameters.get("Operation", []))
    parts = [f"{document} {operation}".strip(), f"association {association}" if association else ""]
    parts.append(repr(command["Comment"]) if command.get("Comment") else "")
    return ", " + ", ".join(part for part in parts if part)


def _machine(raw: Mapping[str, Any]) -> Instance:
    tags = {tag["Key"]: tag["Value"] for tag in raw.get("Tags", [])}
    group = tags.get("Patch Group") or tags.get("PatchGroup", "")
    return Instance(raw["InstanceId"], tags.get("Name", ""), patch_group=group, state=raw["State"]["Name"])


def _patch(raw: Mapping[str, Any]) -> Patch:
    return Patch(
        title=raw["Title"],
        id=raw.get("KBId", ""),
        state=STATES.get(raw.get("State", "").replace("_", "").lower(), raw.get("State", "")),
        severity=raw.get("Severity", ""),
        classification=raw.get("Classification", ""),
        cves=tuple(cve for cve in str(raw.get("CVEIds", "")).replace(" ", "").split(",") if cve),
    )


def _is_of(run: str, raw: Mapping[str, Any]) -> bool:
    """Whether a command says in its comment that it is the run's. The run of `my-web` has that of `web` in its name."""
    return run in raw.get("Comment", "").split()


def _patches(raw: Mapping[str, Any]) -> bool:
    return raw.get("DocumentName", "").split("/")[-1] in PATCH_DOCUMENTS


def _purpose(raw: Mapping[str, Any]) -> str:
    """What a command of a run is beside the patching, by the last word of its comment."""
    word = (raw.get("Comment", "").split() or [""])[-1]
    return word if word in (*SCRIPTS, RESTORED) else ""


def _with_scripts(patching: Invocation | None, raws: Mapping[str, Mapping[str, Any]]) -> Invocation:
    """The instance's patch command, with the runbook's script that failed there, if one did, and whether it was put back."""
    bad = next((name for name in SCRIPTS if name in raws and raws[name]["Status"] in ("Failed", "TimedOut")), "")
    told = _invocation(raws[bad] if bad else next(iter(raws.values()))) if bad or patching is None else patching
    return replace(told, ours=True, patched=patching is not None, script=bad, restored=RESTORED in raws)


def _platform(node: Mapping[str, Any]) -> str:
    return f"{node.get('PlatformName', node.get('PlatformType', ''))} {node.get('PlatformVersion', '')}".strip()


def _patch_state(raw: Mapping[str, Any]) -> PatchState:
    return PatchState(
        instance=raw["InstanceId"],
        operation=raw["Operation"],
        operation_end_at=raw["OperationEndTime"].astimezone(UTC),
        snapshot=raw.get("SnapshotId", ""),
        baseline=raw.get("BaselineId", ""),
        installed=raw.get("InstalledCount", 0),
        missing=raw.get("MissingCount", 0),
        failed=raw.get("FailedCount", 0),
        pending_reboot=raw.get("InstalledPendingRebootCount", 0),
        rejected=raw.get("InstalledRejectedCount", 0),
        critical_non_compliant=raw.get("CriticalNonCompliantCount", 0),
        security_non_compliant=raw.get("SecurityNonCompliantCount", 0),
        other_non_compliant=raw.get("OtherNonCompliantCount", 0),
        installed_other=raw.get("InstalledOtherCount", 0),
        operation_start_at=raw["OperationStartTime"].astimezone(UTC),
    )


def _invocation(raw: Mapping[str, Any]) -> Invocation:
    plugins = raw.get("CommandPlugins") or []
    # A document has steps for each platform; those that were skipped succeed with nothing to say.
    telling = [plugin for plugin in plugins if plugin.get("Status") not in ("Success", "Cancelled")] or plugins
    return Invocation(
        instance=raw["InstanceId"],
        status=raw["Status"],
        details=raw.get("StatusDetails", raw["Status"]),
        exit_code=telling[0].get("ResponseCode") if telling else None,
        output="\n".join(plugin.get("Output", "") for plugin in telling)[-4000:],
        begun=any(plugin.get("ResponseStartDateTime") for plugin in plugins),
        step=telling[0].get("Name", "") if telling else "",
    )
