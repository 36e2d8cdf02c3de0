"""The world as AWS's APIs show it: SSM, STS, Organizations, tags and groups, EC2 and load balancers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Any

from simulator import automation, documents, runcommand
from simulator.fleet import Account, Group, Node, PatchState, Unit
from simulator.protocol import Caller, Params, Service, ServiceError, page, present, token_at

if TYPE_CHECKING:
    from simulator.world import World

AGENT_VERSION = "3.3.1611.0"


class Regional(Service):
    """A service that is there only in the Regions that an account has enabled."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def admit(self, caller: Caller) -> None:
        """Refuse callers from a Region that their account has not enabled."""
        if not self._world.organization.enabled(caller.account, caller.region):
            code, status, message = self.unknown_key
            raise ServiceError(code, message, status)

    def _nodes(self, caller: Caller) -> list[Node]:
        return self._world.organization.nodes_at(caller.account, caller.region)

    @property
    def _now(self) -> datetime:
        return self._world.clock.now


class Ssm(Regional):
    """Systems Manager: documents, automation, commands, managed nodes and their patch states, calendars."""

    name = "ssm"
    signing_name = "ssm"

    # --- documents ------------------------------------------------------------------------------------------------

    def create_document(self, caller: Caller, **params: Any) -> Params:
        """A new document."""
        document = self._world.documents.create(caller.account, caller.region, params)
        return {"DocumentDescription": documents.description(document, document.versions[1])}

    def update_document(self, caller: Caller, **params: Any) -> Params:
        """A new version of a document."""
        document, version = self._world.documents.update(caller.account, caller.region, params)
        return {"DocumentDescription": documents.description(document, version)}

    def update_document_default_version(self, caller: Caller, **params: Any) -> Params:
        """Another default version."""
        number = int(params["DocumentVersion"])
        document = self._world.documents.set_default(caller.account, caller.region, params["Name"], number)
        return {"Description": {"Name": document.name, "DefaultVersion": str(document.default)}}

    def delete_document(self, caller: Caller, **params: Any) -> Params:
        """No more document."""
        self._world.documents.delete(caller.account, caller.region, params["Name"])
        return {}

    def get_document(self, caller: Caller, **params: Any) -> Params:
        """A document with its content."""
        document, version = self._document(caller, params)
        content, format_ = documents.content_as(version, params.get("DocumentFormat"))
        return present(
            Name=document.name,
            CreatedDate=version.created_at,
            VersionName=version.name,
            DocumentVersion=str(version.number),
            Status="Active",
            Content=content,
            DocumentType=document.type,
            DocumentFormat=format_,
        )

    def describe_document(self, caller: Caller, **params: Any) -> Params:
        """A document without its content."""
        return {"Document": documents.description(*self._document(caller, params))}

    def _document(self, caller: Caller, params: Params) -> tuple[documents.Document, documents.Version]:
        document = self._world.documents.find(caller.account, caller.region, params["Name"])
        return document, document.version(params.get("DocumentVersion"))

    def modify_document_permission(self, caller: Caller, **params: Any) -> Params:
        """Share a document, or no longer."""
        self._world.documents.share(caller.account, caller.region, params)
        return {}

    def describe_document_permission(self, caller: Caller, **params: Any) -> Params:
        """Whom a document is shared with."""
        return self._world.documents.shares(caller.account, caller.region, params)

    # --- automation -----------------------------------------------------------------------------------------------

    def start_automation_execution(self, caller: Caller, **params: Any) -> Params:
        """The id of the execution."""
        return {"AutomationExecutionId": self._world.automation.start(caller, params).id}

    def get_automation_execution(self, caller: Caller, **params: Any) -> Params:
        """An execution with its first steps."""
        execution = self._execution(caller, params)
        switches = self._world.switches
        shown = automation.as_execution(
            execution, switches.steps_in_answer, child_names_parent=switches.child_names_parent
        )
        return {"AutomationExecution": shown}

    def describe_automation_executions(self, caller: Caller, **params: Any) -> Params:
        """Executions of the account in the Region, newest first."""
        here = self._world.automation.at(caller.account, caller.region)
        readable = [execution for execution in here if self._world.automation.readable(execution)]
        chosen = automation.found_executions(readable, params.get("Filters", ()))
        found, token = page(chosen, params.get("NextToken"), params.get("MaxResults", 50))
        named = self._world.switches.child_names_parent
        return present(
            AutomationExecutionMetadataList=[automation.as_metadata(one, child_names_parent=named) for one in found],
            NextToken=token,
        )

    def describe_automation_step_executions(self, caller: Caller, **params: Any) -> Params:
        """The steps of an execution."""
        steps = automation.found_steps(self._execution(caller, params).steps, params.get("Filters", ()))
        if params.get("ReverseOrder"):
            steps.reverse()
        found, token = page(steps, params.get("NextToken"), params.get("MaxResults", 50))
        return present(StepExecutions=[automation.as_step(step) for step in found], NextToken=token)

    def stop_automation_execution(self, caller: Caller, **params: Any) -> Params:
        """Have an execution stop."""
        self._world.automation.stop(self._execution(caller, params), params.get("Type", "Cancel"))
        return {}

    def _execution(self, caller: Caller, params: Params) -> automation.Execution:
        return self._world.automation.get(caller.account, caller.region, params["AutomationExecutionId"])

    # --- commands -------------------------------------------------------------------------------------------------

    def send_command(self, caller: Caller, **params: Any) -> Params:
        """A new command."""
        command = self._world.commands.send(caller.account, caller.region, params, runcommand.Origin())
        return {"Command": runcommand.as_command(command)}

    def cancel_command(self, caller: Caller, **params: Any) -> Params:
        """Cancel what has not been delivered."""
        self._world.commands.cancel(caller.account, caller.region, params["CommandId"], params.get("InstanceIds", ()))
        return {}

    def list_commands(self, caller: Caller, **params: Any) -> Params:
        """Commands of the account in the Region, newest first."""
        found, token = page(self._commands(caller, params), params.get("NextToken"), params.get("MaxResults", 50))
        return present(Commands=[runcommand.as_command(command) for command in found], NextToken=token)

    def list_command_invocations(self, caller: Caller, **params: Any) -> Params:
        """What became of commands on each node."""
        wanted = params.get("InstanceId")
        invocations = [
            (command, invocation)
            for command in self._commands(caller, params)
            for invocation in command.invocations.values()
            if wanted in (None, invocation.node.id)
        ]
        found, token = page(invocations, params.get("NextToken"), params.get("MaxResults", 50))
        details = params.get("Details", False)
        shown = [runcommand.as_invocation(command, invocation, details=details) for command, invocation in found]
        return present(CommandInvocations=shown, NextToken=token)

    def get_command_invocation(self, caller: Caller, **params: Any) -> Params:
        """What became of a command on one node, with its output."""
        command = self._world.commands.get(caller.account, caller.region, params["CommandId"])
        invocation = command.invocations.get(params["InstanceId"])
        if invocation is None:
            raise ServiceError("InvocationDoesNotExist", "")
        return runcommand.as_result(command, invocation)

    def _commands(self, caller: Caller, params: Params) -> list[runcommand.Command]:
        if "CommandId" in params:
            found = [self._world.commands.get(caller.account, caller.region, params["CommandId"])]
        else:
            found = self._world.commands.at(caller.account, caller.region)
        for one in params.get("Filters", ()):
            test = _COMMAND_FILTERS.get(one["key"])
            if test is None:
                raise ServiceError("InvalidFilterKey", "")
            found = [command for command in found if test(command, one["value"])]
        return found

    # --- nodes ----------------------------------------------------------------------------------------------------

    def describe_instance_information(self, caller: Caller, **params: Any) -> Params:
        """The nodes that SSM knows."""
        known = [node for node in self._nodes(caller) if node.managed and node.state != "terminated"]
        filters = [(one["Key"], one["Values"]) for one in params.get("Filters", ())]
        filters += [(one["key"], one["valueSet"]) for one in params.get("InstanceInformationFilterList", ())]
        for key, values in filters:
            known = [node for node in known if _information_matches(node, key, values)]
        found, token = page(known, params.get("NextToken"), params.get("MaxResults", 50))
        return present(InstanceInformationList=[self._information(node) for node in found], NextToken=token)

    def _information(self, node: Node) -> Params:
        hybrid = node.id.startswith("mi-")
        online = node.reachable
        return present(
            InstanceId=node.id,
            PingStatus="Online" if online else "ConnectionLost",
            LastPingDateTime=self._now if online else node.pinged_at or self._now - timedelta(hours=6),
            AgentVersion=AGENT_VERSION,
            IsLatestVersion=True,
            PlatformType=node.platform,
            PlatformName=node.platform_name,
            PlatformVersion=node.platform_version,
            ResourceType="ManagedInstance" if hybrid else "EC2Instance",
            Name=node.name if hybrid else None,
            ComputerName=f"{node.name}.example.internal",
        )

    def describe_instance_patch_states(self, caller: Caller, **params: Any) -> Params:
        """The last patch operation of each node. Nodes without one are left out, whoever they are."""
        here = {node.id: node for node in self._nodes(caller)}
        wanted = [here[id_] for id_ in params["InstanceIds"] if id_ in here]
        states = [_patch_state(node, node.patch_state) for node in wanted if node.patch_state is not None]
        found, token = page(states, params.get("NextToken"), params.get("MaxResults", 100))
        return present(InstancePatchStates=found, NextToken=token)

    def describe_instance_patches(self, caller: Caller, **params: Any) -> Params:
        """The patches of one node, as its last operation left them."""
        node = next((node for node in self._nodes(caller) if node.id == params["InstanceId"]), None)
        if node is None or not node.managed or node.state == "terminated":
            raise ServiceError("InvalidInstanceId", f"Instance {params['InstanceId']} is not known.")
        patches = list(_patches(node, node.patch_state)) if node.patch_state else []
        for one in params.get("Filters", ()):
            if one.get("Key") not in _PATCH_FILTERS:
                raise ServiceError("InvalidFilter", f"{one.get('Key')} is not a filter here.")
            wanted = set(map(_plain, one.get("Values", ())))
            patches = [patch for patch in patches if _plain(patch[one["Key"]]) in wanted]
        found, token = page(patches, params.get("NextToken"), params.get("MaxResults", 100))
        return present(Patches=found, NextToken=token)

    def list_compliance_items(self, caller: Caller, **params: Any) -> Params:
        """Each patch of one node, and the command that it is known from. A node that nobody has scanned has none."""
        ids = params.get("ResourceIds", ())
        if len(ids) != 1:
            raise ServiceError("InvalidResourceId", "Give one resource id.")
        if params.get("ResourceTypes", ["ManagedInstance"]) != ["ManagedInstance"]:
            raise ServiceError("InvalidResourceType", "The resource type is ManagedInstance.")
        node = next((node for node in self._nodes(caller) if node.id == ids[0]), None)
        items = list(_compliance(node, node.patch_state)) if node is not None and node.patch_state else []
        for one in params.get("Filters", ()):
            items = [item for item in items if _compliance_matches(item, one)]
        found, token = page(items, params.get("NextToken"), params.get("MaxResults", 50))
        return present(ComplianceItems=found, NextToken=token)

    # --- calendars ------------------------------------------------------------------------------------------------

    def get_calendar_state(self, caller: Caller, **params: Any) -> Params:
        """OPEN when every calendar is open, and when that changes next."""
        when = _time(params["AtTime"]) if "AtTime" in params else self._now
        calendars = [self._calendar(caller, name) for name in params["CalendarNames"]]
        changes = [change for calendar in calendars if (change := calendar.next_transition(when)) is not None]
        closed = any(calendar.state(when) == "CLOSED" for calendar in calendars)
        return present(
            State="CLOSED" if closed else "OPEN",
            AtTime=f"{when:%Y-%m-%dT%H:%M:%SZ}",
            NextTransitionTime=f"{min(changes):%Y-%m-%dT%H:%M:%SZ}" if changes else None,
        )

    def _calendar(self, caller: Caller, name: str) -> Any:
        key = (caller.account, caller.region, name)
        if name.startswith("arn:"):
            _, _, _, region, account, rest = name.split(":", 5)
            key = (account, region, rest.removeprefix("document/"))
        found = self._world.calendars.get(key)
        if found is None:
            raise ServiceError("InvalidDocument", f"The calendar {name} does not exist.")
        return found


def _time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ServiceError("ValidationException", f"{text} is not an ISO 8601 time.") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


_COMMAND_FILTERS: Mapping[str, Callable[[runcommand.Command, str], bool]] = {
    "InvokedAfter": lambda command, value: command.requested_at >= _time(value),
    "InvokedBefore": lambda command, value: command.requested_at <= _time(value),
    "Status": lambda command, value: value in (command.status, command.details),
    "DocumentName": lambda command, value: command.document == value,
}


def _information_matches(node: Node, key: str, values: list[str]) -> bool:
    if key.startswith("tag:"):
        return node.tagged({key.removeprefix("tag:"): values})
    match key:
        case "InstanceIds":
            return node.id in values
        case "tag-key":
            return any(value in node.tags for value in values)
        case "PingStatus":
            return ("Online" if node.reachable else "ConnectionLost") in values
        case "PlatformTypes" | "PlatformType":
            return node.platform in values
        case "ResourceType":
            return ("ManagedInstance" if node.id.startswith("mi-") else "EC2Instance") in values
        case "AgentVersion":
            return AGENT_VERSION in values
    raise ServiceError("InvalidFilterKey", f"{key} is not a filter here.")


def _patch_state(node: Node, state: PatchState) -> Params:
    return present(
        InstanceId=node.id,
        PatchGroup=_patch_group(node),
        BaselineId=state.baseline_id,
        SnapshotId=state.snapshot_id,
        InstallOverrideList=state.install_override_list or None,
        OwnerInformation="",
        InstalledCount=state.installed,
        InstalledOtherCount=state.installed_other,
        InstalledPendingRebootCount=state.pending_reboot,
        InstalledRejectedCount=state.rejected,
        MissingCount=state.missing,
        FailedCount=state.failed,
        UnreportedNotApplicableCount=0,
        NotApplicableCount=state.not_applicable,
        OperationStartTime=state.started_at,
        OperationEndTime=state.ended_at,
        Operation=state.operation,
        RebootOption=state.reboot_option,
        CriticalNonCompliantCount=state.critical_non_compliant,
        SecurityNonCompliantCount=state.security_non_compliant,
        OtherNonCompliantCount=state.other_non_compliant,
    )


def _patch_group(node: Node) -> str:
    return node.patch_group or node.tags.get("Patch Group", node.tags.get("PatchGroup", ""))


_PATCH_FILTERS = ("Classification", "KBId", "Severity", "State")
_PACKAGES = (
    ("kernel", "6.1.92-99.174"),
    ("openssl", "3.0.8-1"),
    ("curl", "8.5.0-1"),
    ("glibc", "2.34-52"),
    ("systemd", "252.23-2"),
    ("sudo", "1.9.15-1"),
    ("bind-libs", "9.18.28-1"),
)
_SEVERITIES = ("Critical", "Important", "Medium", "Low")
_NEVER = datetime.fromtimestamp(0, UTC)


def _plain(word: str) -> str:
    """A state without its spelling: AWS's model has INSTALLED_OTHER, its examples have InstalledOther."""
    return word.replace("_", "").lower()


def _patches(node: Node, state: PatchState) -> Iterator[Params]:
    """The patches that the state counts. Numbered through, so that one that was missing is the one that fails later."""
    counts = {
        "FAILED": state.failed,
        "MISSING": state.missing,
        "INSTALLED_PENDING_REBOOT": state.pending_reboot,
        "INSTALLED": state.installed,
        "INSTALLED_REJECTED": state.rejected,
    }
    numbers = count()
    for word, many in counts.items():
        installed_at = state.ended_at if word.startswith("INSTALLED") else _NEVER
        for _ in range(many):
            yield _patch(node, next(numbers), word, installed_at)


def _patch(node: Node, number: int, word: str, installed_at: datetime) -> Params:
    if node.platform == "Windows":
        kb, classification = f"KB{5034441 + 137 * number}", "SecurityUpdates"
        title = f"Security Update for Windows Server 2022 for x64-based Systems ({kb})"
    else:
        name, version = _PACKAGES[number] if number < len(_PACKAGES) else (f"perl-Module-{number}", "1.4-2")
        kb, classification = f"{name}.x86_64", "Security"
        title = f"{kb}:0:{version}.amzn2023"
    cves = [f"CVE-2026-{21000 + 13 * number + more}" for more in range(1 + number % 2)]
    return present(
        Title=title,
        KBId=kb,
        Classification=classification,
        Severity=_SEVERITIES[number % len(_SEVERITIES)],
        State=word,
        InstalledTime=installed_at,
        CVEIds=",".join(cves) if word in ("FAILED", "MISSING") else None,
    )


def _compliance(node: Node, state: PatchState) -> Iterator[Params]:
    execution = present(ExecutionTime=state.ended_at, ExecutionId=state.execution_id or None, ExecutionType="Command")
    for patch in _patches(node, state):
        yield {
            "ComplianceType": "Patch",
            "ResourceType": "ManagedInstance",
            "ResourceId": node.id,
            "Id": patch["KBId"],
            "Title": patch["Title"],
            "Status": "COMPLIANT" if patch["State"] == "INSTALLED" else "NON_COMPLIANT",
            "Severity": "UNSPECIFIED",  # AWS's own baselines give their rules no severity
            "ExecutionSummary": execution,
            "Details": {
                "Classification": patch["Classification"],
                "InstalledTime": f"{patch['InstalledTime']:%Y-%m-%dT%H:%M:%SZ}",
                "PatchBaselineId": state.baseline_id,
                "PatchGroup": _patch_group(node),
                "PatchSeverity": patch["Severity"],
                "PatchState": patch["State"],
            },
        }


def _compliance_matches(item: Params, wanted: Params) -> bool:
    key, values = wanted.get("Key"), wanted.get("Values", [])
    if key not in ("ComplianceType", "Id", "Severity", "Status", "Title"):
        raise ServiceError("InvalidFilter", f"{key} is not a filter here.")
    match wanted.get("Type", "EQUAL"):
        case "EQUAL":
            return item[key] in values
        case "NOT_EQUAL":
            return item[key] not in values
        case "BEGIN_WITH":
            return str(item[key]).startswith(tuple(values))
    raise ServiceError("InvalidFilter", f"{wanted['Type']} does not fit {key}.")


class Sts(Regional):
    """Roles and who is who."""

    name = "sts"
    signing_name = "sts"
    invalid = "ValidationError"
    unknown_key = ("InvalidClientTokenId", 403, "The security token included in the request is invalid.")
    expired_key = ("ExpiredToken", 403)

    def assume_role(self, caller: Caller, **params: Any) -> Params:
        """Keys for the role, if it trusts whoever asks."""
        role_arn = params["RoleArn"]
        parts = role_arn.split(":", 5)
        if len(parts) != 6 or not parts[5].startswith("role/"):
            raise ServiceError("ValidationError", f"{role_arn} is invalid")
        account, role = parts[4], parts[5].rpartition("/")[2]
        if not self._world.organization.trusts(account, role, caller.arn):
            message = f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
            raise ServiceError("AccessDenied", message, 403)
        seconds = params.get("DurationSeconds", 3600)
        if seconds > 3600 and ":assumed-role/" in caller.arn:
            message = (
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
            )
            raise ServiceError("ValidationError", message)
        return self._grant(account, role, params["RoleSessionName"], timedelta(seconds=seconds))

    def _grant(self, account: str, role: str, session: str, lasts: timedelta) -> Params:
        # Of who assumes what and when, and of no counter: asking once more changes nothing for anybody else.
        chance = self._world.random("key", account, role, session, self._now)
        key = "ASIA" + "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))
        arn = f"arn:aws:sts::{account}:assumed-role/{role}/{session}"
        expires_at = self._now + lasts
        self._world.identities.give(key, account, arn, expires_at)
        return {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": f"secret-{chance.getrandbits(128):032x}",
                "SessionToken": f"token-{chance.getrandbits(256):064x}",
                "Expiration": expires_at,
            },
            "AssumedRoleUser": {"AssumedRoleId": f"AROA{key[4:]}:{session}", "Arn": arn},
        }

    def get_caller_identity(self, caller: Caller) -> Params:
        """Who asks."""
        return {"UserId": caller.access_key, "Account": caller.account, "Arn": caller.arn}

    def get_access_key_info(self, caller: Caller, **params: Any) -> Params:
        """Whose an access key is."""
        identity = self._world.identities.of(params["AccessKeyId"])
        if identity is None:
            message = f"User: {caller.arn} is not authorized to perform: sts:GetAccessKeyInfo"
            raise ServiceError("AccessDenied", message, 403)
        return {"Account": identity.account}


class Organizations(Service):
    """The organisation's accounts and units, for its management account and the hub, which it delegated to."""

    name = "organizations"
    signing_name = "organizations"
    invalid = "InvalidInputException"

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def admit(self, caller: Caller) -> None:
        """Refuse member accounts."""
        if caller.account not in (self._world.organization.hub, self._world.organization.management):
            raise ServiceError("AccessDeniedException", "You don't have permissions to access this resource.")

    def list_accounts_for_parent(self, caller: Caller, **params: Any) -> Params:
        """The accounts directly below a parent."""
        del caller
        self._check_parent(params["ParentId"])
        accounts = self._world.organization.accounts_in(params["ParentId"])
        return self._page("Accounts", [self._account(account) for account in accounts], params)

    def list_organizational_units_for_parent(self, caller: Caller, **params: Any) -> Params:
        """The units directly below a parent."""
        del caller
        self._check_parent(params["ParentId"])
        units = self._world.organization.units_in(params["ParentId"])
        return self._page("OrganizationalUnits", [self._unit(unit) for unit in units], params)

    def list_parents(self, caller: Caller, **params: Any) -> Params:
        """What an account or a unit is in."""
        del caller
        organization, child = self._world.organization, params["ChildId"]
        account, unit = organization.accounts.get(child), organization.units.get(child)
        parent = account.unit_id if account else unit.parent if unit else None
        if parent is None:
            raise ServiceError("ChildNotFoundException", "You specified a child that doesn't exist.")
        return {"Parents": [{"Id": parent, "Type": "ROOT" if parent.startswith("r-") else "ORGANIZATIONAL_UNIT"}]}

    def list_roots(self, caller: Caller, **params: Any) -> Params:
        """The root."""
        del caller, params
        root = self._world.organization.root
        return {"Roots": [{"Id": root.id, "Arn": self._arn(f"root/{{}}/{root.id}"), "Name": "Root", "PolicyTypes": []}]}

    def describe_account(self, caller: Caller, **params: Any) -> Params:
        """An account."""
        del caller
        account = self._world.organization.accounts.get(params["AccountId"])
        if account is None:
            raise ServiceError("AccountNotFoundException", "You specified an account that doesn't exist.")
        return {"Account": self._account(account)}

    def describe_organization(self, caller: Caller) -> Params:
        """The organisation."""
        del caller
        management = self._world.organization.management
        return {
            "Organization": {
                "Id": self._world.organization.id,
                "Arn": self._arn("organization/{}"),
                "FeatureSet": "ALL",
                "MasterAccountArn": self._arn(f"account/{{}}/{management}"),
                "MasterAccountId": management,
                "MasterAccountEmail": f"{management}@example.com",
            }
        }

    def describe_organizational_unit(self, caller: Caller, **params: Any) -> Params:
        """A unit."""
        del caller
        unit = self._world.organization.units.get(params["OrganizationalUnitId"])
        if unit is None:
            raise ServiceError("OrganizationalUnitNotFoundException", "You specified a unit that doesn't exist.")
        return {"OrganizationalUnit": self._unit(unit)}

    def _check_parent(self, parent: str) -> None:
        if parent not in self._world.organization.units:
            raise ServiceError("ParentNotFoundException", "You specified a parent that doesn't exist.")

    def _page(self, name: str, entries: list[Params], params: Params) -> Params:
        if self._world.switches.empty_pages and "NextToken" not in params:
            return {name: [], "NextToken": token_at(0)}
        found, token = page(entries, params.get("NextToken"), params.get("MaxResults", 20), "InvalidInputException")
        return present(**{name: found, "NextToken": token})

    def _arn(self, rest: str) -> str:
        organization = self._world.organization
        return f"arn:aws:organizations::{organization.management}:{rest.format(organization.id)}"

    def _account(self, account: Account) -> Params:
        status = {"CLOSED": "SUSPENDED", "PENDING_ACTIVATION": None}.get(account.state, account.state)
        return present(
            Id=account.id,
            Arn=self._arn(f"account/{{}}/{account.id}"),
            Email=f"{account.id}@example.com",
            Name=account.name,
            Status=status,
            State=account.state,
            JoinedMethod="CREATED",
        )

    def _unit(self, unit: Unit) -> Params:
        return {"Id": unit.id, "Arn": self._arn(f"ou/{{}}/{unit.id}"), "Name": unit.name}


class Tagging(Regional):
    """Resources by their tags."""

    name = "resourcegroupstaggingapi"
    signing_name = "tagging"
    invalid = "InvalidParameterException"

    def get_resources(self, caller: Caller, **params: Any) -> Params:
        """Tagged resources of the account in the Region; terminated instances are among them for a while."""
        types = params.get("ResourceTypeFilters", [])
        nodes = [node for node in self._nodes(caller) if not types or _resource_type(node) & set(types)]
        filters = {one["Key"]: one.get("Values", []) for one in params.get("TagFilters", ())}
        tagged = [node for node in nodes if node.tagged(filters)]
        wrong = "PaginationTokenExpiredException"
        found, token = page(tagged, params.get("PaginationToken"), params.get("ResourcesPerPage", 100), wrong)
        mapped = [{"ResourceARN": node.arn, "Tags": _tags(node)} for node in found]
        return {"PaginationToken": token or "", "ResourceTagMappingList": mapped}


def _resource_type(node: Node) -> set[str]:
    return {"ssm", "ssm:managed-instance"} if node.id.startswith("mi-") else {"ec2", "ec2:instance"}


def _tags(node: Node) -> list[Params]:
    return [{"Key": key, "Value": value} for key, value in node.tags.items()]


class ResourceGroups(Regional):
    """Resource groups of EC2 instances."""

    name = "resource-groups"
    signing_name = "resource-groups"
    invalid = "BadRequestException"

    def list_group_resources(self, caller: Caller, **params: Any) -> Params:
        """The members of a group."""
        members = self._world.organization.members(self._group(caller, params))
        wrong = "BadRequestException"
        found, token = page(members, params.get("NextToken"), params.get("MaxResults", 50), wrong)
        named = [{"ResourceArn": node.arn, "ResourceType": "AWS::EC2::Instance"} for node in found]
        return present(Resources=[{"Identifier": one} for one in named], ResourceIdentifiers=named, NextToken=token)

    def get_group(self, caller: Caller, **params: Any) -> Params:
        """A group."""
        group = self._group(caller, params)
        return {"Group": {"GroupArn": _group_arn(group), "Name": group.name}}

    def get_group_query(self, caller: Caller, **params: Any) -> Params:
        """What a group is made of."""
        group = self._group(caller, params)
        filters = [{"Key": key, "Values": list(values)} for key, values in group.tags.items()]
        query = json.dumps({"ResourceTypeFilters": ["AWS::EC2::Instance"], "TagFilters": filters})
        resource_query = {"Type": "TAG_FILTERS_1_0", "Query": query}
        return {"GroupQuery": {"GroupName": group.name, "ResourceQuery": resource_query}}

    def _group(self, caller: Caller, params: Params) -> Group:
        name = str(params.get("Group") or params.get("GroupName", "")).rpartition("/")[2]
        found = self._world.organization.groups.get((caller.account, caller.region, name))
        if found is None:
            message = "Cannot find group: either the group was not created or you have no permission to access it."
            raise ServiceError("NotFoundException", message, 404)
        return found


def _group_arn(group: Group) -> str:
    return f"arn:aws:resource-groups:{group.region}:{group.account}:group/{group.name}"


_STATE_CODES = {"pending": 0, "running": 16, "terminated": 48, "stopping": 64, "stopped": 80}


class Ec2(Regional):
    """Instances and Regions."""

    name = "ec2"
    signing_name = "ec2"
    invalid = "InvalidParameterValue"
    unknown_key = ("AuthFailure", 401, "AWS was not able to validate the provided access credentials")
    expired_key = ("RequestExpired", 400)

    def describe_instances(self, caller: Caller, **params: Any) -> Params:
        """Instances, each in a reservation of its own."""
        found, token = self._found(caller, params)
        return present(Reservations=[_reservation(node) for node in found], NextToken=token)

    def describe_instance_status(self, caller: Caller, **params: Any) -> Params:
        """Whether instances run and pass their checks. Those that do not run are left out unless asked for."""
        found, token = self._found(caller, params)
        shown = [node for node in found if params.get("IncludeAllInstances") or node.state == "running"]
        return present(InstanceStatuses=[_instance_status(node) for node in shown], NextToken=token)

    def _found(self, caller: Caller, params: Params) -> tuple[list[Node], str | None]:
        here = [node for node in self._nodes(caller) if node.id.startswith("i-")]
        if ids := params.get("InstanceIds"):
            missing = set(ids) - {node.id for node in here}
            if missing:
                message = f"The instance IDs '{', '.join(sorted(missing))}' do not exist"
                raise ServiceError("InvalidInstanceID.NotFound", message)
            here = [node for node in here if node.id in ids]
        for one in params.get("Filters", ()):
            here = [node for node in here if _ec2_matches(node, one["Name"], one["Values"])]
        size = params.get("MaxResults", 1000)
        if size < 5:
            raise ServiceError("InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid.")
        return page(here, params.get("NextToken"), size, "InvalidParameterValue")

    def create_replace_root_volume_task(self, caller: Caller, **params: Any) -> Params:
        """The root volume comes back as the image has it, and the instance starts anew from there."""
        (node,) = self._found(caller, {"InstanceIds": [params["InstanceId"]]})[0]
        image = self._world.images.get(params.get("ImageId", ""))
        if image is None or image.node != node.id:
            raise ServiceError("InvalidAMIID.NotFound", f"The image id '[{params.get('ImageId')}]' does not exist")
        if node.state != "running":
            raise ServiceError("IncorrectInstanceState", f"The instance {node.id} is not in the 'running' state.")
        task = self._world.replace_root(node, image)
        return {"ReplaceRootVolumeTask": self._task(task)}

    def describe_replace_root_volume_tasks(self, caller: Caller, **params: Any) -> Params:
        """How far that is."""
        del caller
        wanted = params.get("ReplaceRootVolumeTaskIds") or sorted(self._world.root_tasks)
        return {"ReplaceRootVolumeTasks": [self._task(one) for one in wanted if one in self._world.root_tasks]}

    def _task(self, id_: str) -> Params:
        node, done = self._world.root_tasks[id_]
        state = "succeeded" if self._now >= done else "in-progress"
        return {"ReplaceRootVolumeTaskId": id_, "InstanceId": node, "TaskState": state}

    def describe_regions(self, caller: Caller, **params: Any) -> Params:
        """The Regions that the account has enabled, or all there are."""
        enabled = self._world.organization.accounts[caller.account].regions
        names = set(self._world.organization.regions) | enabled if params.get("AllRegions") else enabled
        wanted = params.get("RegionNames")
        return {
            "Regions": [
                {
                    "RegionName": name,
                    "Endpoint": f"ec2.{name}.amazonaws.com",
                    "OptInStatus": "opt-in-not-required" if name in enabled else "not-opted-in",
                }
                for name in sorted(names)
                if not wanted or name in wanted
            ]
        }


def _reservation(node: Node) -> Params:
    instance = present(
        InstanceId=node.id,
        State={"Code": _STATE_CODES[node.state], "Name": node.state},
        Platform="Windows" if node.platform == "Windows" else None,
        PlatformDetails="Windows" if node.platform == "Windows" else "Linux/UNIX",
        InstanceType="m6i.large",
        Tags=_tags(node),
    )
    return {"ReservationId": f"r-{node.id.removeprefix('i-')}", "OwnerId": node.account, "Instances": [instance]}


def _instance_status(node: Node) -> Params:
    passed = {"Status": "ok" if node.state == "running" else "not-applicable"}
    return {
        "InstanceId": node.id,
        "InstanceState": {"Code": _STATE_CODES[node.state], "Name": node.state},
        "InstanceStatus": passed,
        "SystemStatus": passed,
    }


def _ec2_matches(node: Node, name: str, values: Iterable[str]) -> bool:
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return key in node.tags and any(fnmatchcase(node.tags[key], value) for value in values)
    match name:
        case "instance-id":
            return node.id in values
        case "instance-state-name":
            return node.state in values
        case "tag-key":
            return any(value in node.tags for value in values)
        case "platform":
            return node.platform == "Windows" and "windows" in values
    raise ServiceError("InvalidParameterValue", f"The filter '{name}' is invalid")


class LoadBalancers(Regional):
    """Target groups, as far as a runbook takes an instance out of one and puts it back."""

    name = "elbv2"
    signing_name = "elasticloadbalancing"
    invalid = "ValidationError"
    unknown_key = ("InvalidClientTokenId", 403, "The security token included in the request is invalid.")
    expired_key = ("ExpiredToken", 403)
    draining = timedelta(minutes=5)
    warming = timedelta(seconds=45)

    def register_targets(self, caller: Caller, **params: Any) -> Params:
        """The targets get traffic again once they have passed their health checks."""
        del caller
        group = self._group(params)
        for target in params["Targets"]:
            group[target["Id"]] = ("initial", self._now + self.warming)
        return {}

    def deregister_targets(self, caller: Caller, **params: Any) -> Params:
        """The targets get no more traffic, and lose what they have in the time of draining."""
        del caller
        group = self._group(params)
        for target in params["Targets"]:
            if target["Id"] in group:
                group[target["Id"]] = ("draining", self._now + self.draining)
        return {}

    def describe_target_health(self, caller: Caller, **params: Any) -> Params:
        """How each target is. One that is not registered is unused."""
        del caller
        group = self._group(params)
        ids = [target["Id"] for target in params.get("Targets", ())] or sorted(group)
        health = [{"Target": {"Id": id_}, "TargetHealth": {"State": self._health(group, id_)}} for id_ in ids]
        return {"TargetHealthDescriptions": health}

    def _group(self, params: Params) -> dict[str, tuple[str, datetime]]:
        found = self._world.target_groups.get(params["TargetGroupArn"])
        if found is None:
            raise ServiceError("TargetGroupNotFound", "One or more target groups not found")
        return found

    def _health(self, group: dict[str, tuple[str, datetime]], id_: str) -> str:
        state, until = group.get(id_, ("unused", self._now))
        if self._now < until:
            return state
        if state == "draining":
            group.pop(id_, None)
            return "unused"
        node = self._world.organization.nodes.get(id_)
        if state == "initial":
            return "healthy" if node is not None and node.state == "running" else "unhealthy"
        return state


def all_services(world: World) -> tuple[Service, ...]:
    """Every service there is."""
    return (
        Ssm(world),
        Sts(world),
        Organizations(world),
        Tagging(world),
        ResourceGroups(world),
        Ec2(world),
        LoadBalancers(world),
    )
