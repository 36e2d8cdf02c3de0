"""SSM Automation: the tree of executions, and an interpreter for the runbooks in them.

An execution is one of three kinds. With TargetLocations it starts a child for each account and Region; with Targets, one for
each target in its own account and Region; else it plays its runbook, step by step. Which kind a child is follows from what its
parent hands down. Executions beyond an account's quota wait, Pending.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

import time_machine

from simulator.clock import Event
from simulator.documents import REFERENCE, Document, Version, bind
from simulator.fleet import AUTOMATION, EXECUTION_ROLE, Node, Ping
from simulator.powers import acts, document_arn, runbook_arns
from simulator.protocol import BrokenDoubleError, Caller, Checker, Params, ServiceError, present, service_model
from simulator.runcommand import Command, Origin, limit

if TYPE_CHECKING:
    from simulator.world import World

RUN_TAG = "patchtide:run"
MAX_TAGS = 5
PLACEHOLDER = "No output available yet because the step is not successfully executed"
TERMINAL = frozenset({"Success", "TimedOut", "Cancelled", "Failed"})
_GUIDE = "Please refer to Automation Service Troubleshooting Guide for more diagnosis details."
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")


@dataclass(eq=False)
class Step:
    """A step of an execution: of its runbook, or a child that it started."""

    id: str
    name: str
    action: str
    said: Mapping[str, Any] = field(default_factory=dict)
    status: str = "Pending"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    failure: str = ""
    attempt: int = 0
    location: Params | None = None
    child: Execution | None = None


class Flow(Protocol):
    """What an execution does."""

    def begin(self) -> None:
        """Set to work."""

    def stop(self, kind: str) -> None:
        """Come to an end before the work is done."""


@dataclass(eq=False)
class Execution:
    """An Automation execution."""

    id: str
    account: str
    region: str
    kind: Literal["locations", "targets", "plain"]
    document: Document
    version: Version
    given: dict[str, list[str]]
    parameters: dict[str, Any]
    request: Params
    executed_by: str
    started_at: datetime
    parent: Execution | None = None
    target: str | None = None
    status: str = "Pending"
    ended_at: datetime | None = None
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)
    failure: str = ""
    on_end: list[Callable[[], None]] = field(default_factory=list)
    flow: Flow | None = None

    @property
    def is_child(self) -> bool:
        """Whether another execution started it."""
        return self.parent is not None

    @property
    def over(self) -> bool:
        """Whether it has its last status."""
        return self.status in TERMINAL

    @property
    def tags(self) -> dict[str, str]:
        """The tags it was started with. Children have none."""
        return {tag["Key"]: tag["Value"] for tag in self.request.get("Tags", ())}

    @property
    def origin(self) -> Origin:
        """What its commands go back to."""
        root = self
        while root.parent is not None:
            root = root.parent
        return Origin(root.id, root.tags.get(RUN_TAG))

    @property
    def acts_as(self) -> str:
        """Whose rights its own acts have: those of the role that its runbook names, or of whoever started it."""
        role = assume_role(self.version, self.parameters)
        return role or self.executed_by

    @property
    def current(self) -> Step | None:
        """The step at work."""
        return next((step for step in self.steps if step.status == "InProgress"), None)


class Rollout:
    """Rate control: at most so many at once, no new ones after so many errors and one more, and a ramp of 1, 2, 4 …"""

    def __init__(
        self,
        items: Sequence[Any],
        concurrency: str,
        errors: str,
        launch: Callable[[Any], None],
        on_end: Callable[[], None],
        *,
        ramp: bool,
    ) -> None:
        self._items = deque(items)
        self._concurrency = max(1, limit(concurrency, len(items)))
        self._max_errors = limit(errors, len(items))
        self._launch, self._on_end = launch, on_end
        self._width = 1 if ramp else self._concurrency
        self._running = self.errors = 0
        self._begun = self._stopped = self._ended = False

    @property
    def exceeded(self) -> bool:
        """Whether more went wrong than is allowed."""
        return self.errors > self._max_errors

    def go_on(self) -> None:
        """Launch what may be launched now, or end when there is nothing more to do."""
        ramping = self._width < self._concurrency
        if not self._halted and not (ramping and self._running):
            if ramping and self._begun:
                self._width = min(self._width * 2, self._concurrency)
            self._begun = True
            for _ in range(min(self._width - self._running, len(self._items))):
                self._running += 1
                self._launch(self._items.popleft())
        if not self._running and (self._halted or not self._items) and not self._ended:
            self._ended = True
            self._on_end()

    @property
    def _halted(self) -> bool:
        return self._stopped or self.exceeded

    def done(self, *, well: bool) -> None:
        """One of those running is over."""
        self._running -= 1
        self.errors += not well
        self.go_on()

    def stop(self) -> None:
        """Launch no more."""
        self._stopped = True
        self.go_on()


class Automation:
    """The Automation service of every account in every Region."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._executions: defaultdict[tuple[str, str], dict[str, Execution]] = defaultdict(dict)
        self._tokens: dict[tuple[str, str, str], tuple[datetime, str, Execution]] = {}
        self._uses: defaultdict[str, int] = defaultdict(int)
        self._going: defaultdict[tuple[str, str], list[Execution]] = defaultdict(list)
        self._queue: defaultdict[tuple[str, str], list[Execution]] = defaultdict(list)
        self._flows: Mapping[str, Callable[[Automation, Execution], Flow]] = {
            "locations": Locations,
            "targets": Targets,
            "plain": Runbook,
        }

    # --- asking ---------------------------------------------------------------------------------------------------

    def at(self, account: str, region: str) -> list[Execution]:
        """The location's executions, newest first, children included."""
        return list(reversed(self._executions[account, region].values()))

    def get(self, account: str, region: str, id_: str) -> Execution:
        """One execution of the location, once it can be read."""
        found = self._executions[account, region].get(id_)
        if found is None or not self.readable(found):
            raise ServiceError("AutomationExecutionNotFoundException", f"Automation execution {id_} is not found")
        return found

    def readable(self, execution: Execution) -> bool:
        """Whether reading already finds it."""
        return self.world.clock.now >= execution.started_at + self.world.switches.read_gap

    # --- starting -------------------------------------------------------------------------------------------------

    def start(self, caller: Caller, params: Params) -> Execution:
        """The execution that StartAutomationExecution asks for: a new one, or the one its token started before."""
        told = json.dumps({name: value for name, value in params.items() if name != "ClientToken"}, sort_keys=True)
        token = (caller.account, caller.region, params.get("ClientToken", "").lower())
        known = self._tokens.get(token) if token[2] else None
        if known is not None and self.world.clock.now < known[0] + self.world.switches.token_retention:
            if known[1] != told:
                raise ServiceError(
                    "IdempotentParameterMismatch",
                    "The request uses the same client token as a previous, but non-identical request.",
                )
            return known[2]
        execution = self._new(caller, params)
        self._take(execution)
        if token[2]:
            self._tokens[token] = (self.world.clock.now, told, execution)
        return execution

    def _new(self, caller: Caller, params: Params) -> Execution:
        _check_request(params)
        document, version = self._runbook(caller, params)
        _check_targets(params, version)
        unasked = {params["TargetParameterName"]} if "TargetParameterName" in params else set()
        try:
            parameters = bind(version.parameters, params.get("Parameters", {}), unasked)
        except ValueError as error:
            raise _invalid(str(error)) from None
        self._check_role(caller, assume_role(version, parameters))
        return Execution(
            id=self._id("start", params.get("ClientToken") or self.world.new_id("execution")),
            account=caller.account,
            region=caller.region,
            kind="locations" if "TargetLocations" in params else "targets" if params.get("Targets") else "plain",
            document=document,
            version=version,
            given=params.get("Parameters", {}),
            parameters=parameters,
            request=params,
            executed_by=caller.arn,
            started_at=self.world.clock.now,
        )

    def check_start(
        self, by: str, document: Document, version: Version, given: Params, account: str, region: str
    ) -> None:
        """Refuse a child that whoever starts it may not start, or may not lend that role to."""
        powers = self.world.powers
        lent = given.get("AutomationAssumeRole", ()) if "AutomationAssumeRole" in version.parameters else ()
        asked: list[tuple[str, list[str], dict[str, str]]] = [
            ("ssm:StartAutomationExecution", runbook_arns(document.name, str(version.number), account, region), {}),
            *(("iam:PassRole", [role], {"iam__passedtoservice": AUTOMATION}) for role in lent if role),
        ]
        for action, resources, context in asked:
            if not powers.may(by, action, resources, region, **context):
                raise denied(by, action, resources)

    def plays_role(self, execution: Execution) -> bool:
        """Whether the role that the execution's runbook names trusts Automation of that account."""
        role = assume_role(execution.version, execution.parameters)
        source = f"arn:aws:ssm:{execution.region}:{execution.account}:automation-execution/{execution.id}"
        return not role or self.world.powers.trusted(
            role, AUTOMATION, aws__sourceaccount=execution.account, aws__sourcearn=source
        )

    def _runbook(self, caller: Caller, params: Params) -> tuple[Document, Version]:
        name = params["DocumentName"]
        try:
            document = self.world.documents.find(caller.account, caller.region, name)
        except ServiceError:
            document = None
        if document is None or document.type != "Automation":
            raise ServiceError("AutomationDefinitionNotFoundException", f"Automation Definition Not Found: {name}")
        try:
            return document, document.version(params.get("DocumentVersion"))
        except ServiceError as error:
            raise ServiceError("AutomationDefinitionVersionNotFoundException", error.message) from None

    def _check_role(self, caller: Caller, role: str) -> None:
        if not role:
            return
        if not _ROLE_ARN.fullmatch(role):
            raise _invalid("The format of the supplied assume role ARN isn't valid.")
        account, name = role.split(":")[4], role.rpartition("/")[2]
        if account != caller.account or not self.world.organization.trusts(account, name, AUTOMATION):
            raise _invalid("The defined assume role is unable to be assumed.")

    def _id(self, *names: str) -> str:
        """An id that follows from what the execution is for, so that a second history gives it the same one."""
        key = " ".join(names)
        self._uses[key] += 1
        return str(uuid.UUID(int=self.world.random("execution", key, self._uses[key]).getrandbits(128), version=4))

    def start_child(self, child: Execution) -> None:
        """Take in a child of another execution. Raises ServiceError when its account has no room for it."""
        self._take(child)

    def child(
        self,
        parent: Execution,
        name: str,
        location: tuple[str, str],
        document: Document,
        version: Version,
        given: dict[str, list[str]],
        request: Params,
        executed_by: str,
        target: str | None = None,
    ) -> Execution:
        """A child of an execution, not yet started. Raises ValueError when its parameters do not fit the runbook."""
        unasked = {request["TargetParameterName"]} if request.get("Targets") else set()
        parameters = bind(version.parameters, given, unasked)
        return Execution(
            id=self._id("child", parent.id, name),
            account=location[0],
            region=location[1],
            kind="targets" if request.get("Targets") else "plain",
            document=document,
            version=version,
            given=given,
            parameters=parameters,
            request=request,
            executed_by=executed_by,
            started_at=self.world.clock.now,
            parent=parent,
            target=target,
        )

    # --- quotas ---------------------------------------------------------------------------------------------------

    def _take(self, execution: Execution) -> None:
        location = (execution.account, execution.region)
        fits = self._fits(execution)
        if not fits and len(self._queue[location]) >= self.world.switches.queued_executions:
            raise ServiceError(
                "AutomationExecutionLimitExceededException",
                "The number of simultaneously running Automation executions exceeded the allowable limit.",
            )
        self._executions[location][execution.id] = execution
        execution.flow = self._flows[execution.kind](self, execution)
        if fits:
            self._let_go(execution)
        else:
            self._queue[location].append(execution)

    def _fits(self, execution: Execution) -> bool:
        going = self._going[execution.account, execution.region]
        if len(going) >= self.world.switches.concurrent_executions:
            return False
        controlled = sum(one.kind == "targets" for one in going)
        return execution.kind != "targets" or controlled < self.world.switches.concurrent_rate_controlled

    def _let_go(self, execution: Execution) -> None:
        self._going[execution.account, execution.region].append(execution)
        latency = self.world.random("begin", execution.id).uniform(1, 3)
        self.world.clock.after(latency, lambda: self._begin(execution))

    def _begin(self, execution: Execution) -> None:
        if not execution.over and execution.flow is not None:
            execution.status = "InProgress"
            execution.flow.begin()

    def end(self, execution: Execution, status: str, failure: str = "") -> None:
        """The execution has its last status; whoever waited for its place gets it."""
        execution.status, execution.ended_at = status, self.world.clock.now
        execution.failure = failure if status in ("Failed", "TimedOut") else ""
        location = (execution.account, execution.region)
        if execution in self._going[location]:
            self._going[location].remove(execution)
        if execution in self._queue[location]:
            self._queue[location].remove(execution)
        waiting = next((one for one in self._queue[location] if self._fits(one)), None)
        if waiting is not None:
            self._queue[location].remove(waiting)
            self._let_go(waiting)
        for tell in execution.on_end:
            tell()

    # --- stopping -------------------------------------------------------------------------------------------------

    def stop(self, execution: Execution, kind: str = "Cancel") -> None:
        """Have it stop. What waits for its turn is over at once; what is at work takes some seconds."""
        if execution.over or execution.status == "Cancelling":
            raise ServiceError(
                "InvalidAutomationStatusUpdateException",
                f"Automation execution {execution.id} is in status {execution.status} and cannot be stopped.",
            )
        if execution.status == "Pending" or execution.flow is None:
            self.end(execution, "Cancelled")
            return
        execution.flow.stop(kind)


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidAutomationExecutionParametersException", message)


def assume_role(version: Version, parameters: Mapping[str, Any]) -> str:
    """The role that the runbook says Automation should assume; empty when it says none."""
    said = str(version.said.get("assumeRole", ""))
    return REFERENCE.sub(lambda found: str(parameters.get(found[1], "")), said)


def _check_request(params: Params) -> None:
    """Refuse what the model allows and the service does not."""
    for name in ("TargetMaps", "TargetLocationsURL", "AlarmConfiguration"):
        if name in params:
            raise BrokenDoubleError(f"the simulator does not do {name}")
    if len(params.get("Tags", ())) > MAX_TAGS:
        raise ServiceError(
            "ValidationException", f"At most {MAX_TAGS} tags can be given when an automation is started."
        )
    names = [tag["Key"] for tag in params.get("Tags", ())]
    if len(set(names)) != len(names):
        raise ServiceError("ValidationException", "Tag keys have to be unique.")
    if params.get("Mode") == "Interactive" and "TargetLocations" in params:
        raise ServiceError("ValidationException", "Interactive mode is not supported with TargetLocations.")


def _check_targets(params: Params, version: Version) -> None:
    per_location = [target for entry in params.get("TargetLocations", ()) for target in entry.get("Targets", ())]
    targets = [*params.get("Targets", ()), *per_location]
    name = params.get("TargetParameterName")
    if targets and name is None:
        raise _invalid("TargetParameterName is required when Targets are given.")
    if name is None:
        return
    if not targets:
        raise _invalid("Targets are required when TargetParameterName is given.")
    if name not in version.parameters or name == "AutomationAssumeRole":
        raise _invalid(f"TargetParameterName {name} is not a parameter of the runbook that can be targeted.")
    if name in params.get("Parameters", {}):
        raise _invalid(f"Parameter {name} is the target parameter and cannot be given a value as well.")


def _failed(message: str) -> str:
    return f"Step fails when it is Execute/Cancelling action. {message} {_GUIDE}"


# --- an execution over accounts and Regions -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Pair:
    """One account in one Region, and the TargetLocations entry that asked for it."""

    account: str
    region: str
    entry: Params
    lane: int
    step: Step


class Locations:
    """Starts a child in every location of TargetLocations."""

    def __init__(self, automation: Automation, execution: Execution) -> None:
        self._automation, self._execution = automation, execution
        self._world = automation.world
        self._lanes: list[Rollout] = []
        self._open_lanes = 0
        self._stopped = False

    def begin(self) -> None:
        """Turn units into accounts and begin with the first locations."""
        entries = [
            self._pairs(number, entry) for number, entry in enumerate(self._execution.request["TargetLocations"])
        ]
        if not any(entries):
            self._automation.end(self._execution, "Failed", "No account was found for the target locations.")
            return
        if self._world.switches.unstarted_pairs_listed:
            self._execution.steps += [pair.step for pairs in entries for pair in pairs]
        asked = self._execution.request["TargetLocations"]
        self._lanes = [self._lane(entry, pairs) for entry, pairs in zip(asked, entries, strict=True)]
        self._open_lanes = len(self._lanes)
        for lane in self._lanes[: 1 if self._world.switches.entries_in_order else None]:
            lane.go_on()

    def _lane(self, entry: Params, pairs: list[Pair]) -> Rollout:
        return Rollout(
            pairs,
            entry.get("TargetLocationMaxConcurrency", "1"),
            entry.get("TargetLocationMaxErrors", "0"),
            self._launch,
            self._lane_ended,
            ramp=self._world.switches.locations_ramp,
        )

    def _pairs(self, number: int, entry: Params) -> list[Pair]:
        accounts = self._accounts(entry)
        return [
            Pair(account, region, entry, number, self._step(f"{number} {account} {region}", account, region, entry))
            for account in accounts
            for region in entry["Regions"]
        ]

    def _step(self, key: str, account: str, region: str, entry: Params) -> Step:
        chance = self._world.random("location step", self._execution.id, key)
        role = entry.get("ExecutionRoleName", EXECUTION_ROLE)
        given = {name: value for name, value in entry.items() if name.startswith("Target")}
        location = given | {"Accounts": [account], "Regions": [region], "ExecutionRoleName": role}
        id_ = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        return Step(id_, f"step{chance.getrandbits(64):016x}", "aws:executeAutomation", location=location)

    def _accounts(self, entry: Params) -> list[str]:
        deep = entry.get("IncludeChildOrganizationUnits", False)
        left_out = {one for name in entry.get("ExcludeAccounts", ()) for one in self._expanded(name, deep=True)}
        found = (one for name in entry["Accounts"] for one in self._expanded(name, deep=deep))
        return [account for account in dict.fromkeys(found) if account not in left_out]

    def _expanded(self, name: str, *, deep: bool) -> Iterator[str]:
        organization = self._world.organization
        if not name.startswith(("ou-", "r-")):
            yield name
        elif self._execution.account in (organization.hub, organization.management):
            accounts = organization.below(name) if deep else organization.accounts_in(name)
            yield from (account.id for account in accounts if account.state == "ACTIVE")

    def _launch(self, pair: Pair) -> None:
        if not self._world.switches.unstarted_pairs_listed:
            self._execution.steps.append(pair.step)
        pair.step.status, pair.step.started_at = "InProgress", self._world.clock.now
        latency = self._world.random("child", pair.step.id).uniform(5, 20)
        self._world.clock.after(latency, lambda: self._start(pair))

    def _start(self, pair: Pair) -> None:
        if pair.step.status != "InProgress":
            return
        try:
            child = self._child(pair)
            self._automation.start_child(child)
        except ServiceError as error:
            self._step_ended(pair, "Failed", _failed(error.message))
            return
        pair.step.child = child
        pair.step.outputs = {"ExecutionId": [child.id]}
        child.on_end.append(lambda: self._child_ended(pair, child))

    def _child(self, pair: Pair) -> Execution:
        execution, request = self._execution, self._execution.request
        role = str((pair.step.location or {})["ExecutionRoleName"])
        arn = f"arn:aws:iam::{pair.account}:role/{role}"
        self._check_reach(pair, role, arn)
        document, version = self._runbook(pair, arn)
        given = dict(execution.given)
        if "AutomationAssumeRole" in version.parameters:
            given["AutomationAssumeRole"] = [arn]
        targets = pair.entry.get("Targets") or request.get("Targets")
        handed = present(
            Targets=targets,
            TargetParameterName=request.get("TargetParameterName") if targets else None,
            MaxConcurrency=pair.entry.get("TargetsMaxConcurrency", request.get("MaxConcurrency")),
            MaxErrors=pair.entry.get("TargetsMaxErrors", request.get("MaxErrors")),
            Mode="Auto",
        )
        by = f"arn:aws:sts::{pair.account}:assumed-role/{role}/Automation-{execution.id}"
        self._automation.check_start(by, document, version, given, pair.account, pair.region)
        try:
            return self._automation.child(
                execution, pair.step.id, (pair.account, pair.region), document, version, given, handed, by
            )
        except ValueError as error:
            raise ServiceError("InvalidAutomationExecutionParametersException", str(error)) from None

    def _check_reach(self, pair: Pair, role: str, arn: str) -> None:
        execution = self._execution
        principal, powers = execution.acts_as, self._world.powers
        if not self._world.organization.trusts(pair.account, role, principal):
            raise _unassumable(arn)
        if not powers.may(principal, "sts:AssumeRole", [arn], execution.region) or not powers.trusted(arn, principal):
            raise _unassumable(arn)
        if not self._world.organization.enabled(pair.account, pair.region):
            raise ServiceError("UnrecognizedClientException", "The security token included in the request is invalid.")

    def _runbook(self, pair: Pair, arn: str) -> tuple[Document, Version]:
        execution = self._execution
        try:
            return self._world.documents.for_child(
                execution.account,
                pair.account,
                pair.region,
                execution.request["DocumentName"],
                execution.request.get("DocumentVersion"),
            )
        except ServiceError:
            raise _unassumable(arn) from None  # this is what AWS says of a runbook that is not there or not shared

    def _child_ended(self, pair: Pair, child: Execution) -> None:
        pair.step.outputs = {"ExecutionId": [child.id], "Status": [child.status], "Output": []}
        self._step_ended(pair, child.status, child.failure and f"Child execution {child.id}: {child.failure}")

    def _step_ended(self, pair: Pair, status: str, failure: str) -> None:
        if pair.step.status != "InProgress":
            return
        pair.step.status, pair.step.ended_at, pair.step.failure = status, self._world.clock.now, failure
        self._lanes[pair.lane].done(well=status == "Success")

    def _lane_ended(self) -> None:
        self._open_lanes -= 1
        begun = len(self._lanes) - self._open_lanes
        if self._world.switches.entries_in_order and begun < len(self._lanes) and not self._stopped:
            self._lanes[begun].go_on()
        elif not self._open_lanes:
            self._world.clock.after(2, self._finish)

    def _finish(self) -> None:
        if self._execution.over:
            return
        bad = [step for step in self._execution.steps if step.status not in ("Success", "Pending")]
        exceeded = any(lane.exceeded for lane in self._lanes)
        if self._stopped:
            self._automation.end(self._execution, "Cancelled")
        elif exceeded or (bad and self._world.switches.forgiven_failures_fail):
            message = f"{len(bad)} of {len(self._execution.steps)} locations did not succeed. {bad[0].failure}"
            self._automation.end(self._execution, "Failed", message)
        else:
            self._automation.end(self._execution, "Success")

    def stop(self, kind: str) -> None:
        """Begin no more locations. Those at work are left alone, or stopped as well, as the switch says."""
        self._stopped = True
        self._execution.status = "Cancelling"
        going = [step for step in self._execution.steps if step.status == "InProgress"]
        for lane in self._lanes:
            lane.stop()
        if kind == "Complete":
            return
        if self._world.switches.stop_reaches_children:
            for step in going:
                if step.child is not None and not step.child.over and step.child.status != "Cancelling":
                    self._automation.stop(step.child)
            return
        for step in going:
            step.status, step.ended_at = "Cancelled", self._world.clock.now
        self._world.clock.after(5, self._finish)


def denied(by: str, action: str, resources: Sequence[str]) -> ServiceError:
    """What AWS says to who may not."""
    return ServiceError(
        "AccessDeniedException", f"User: {by} is not authorized to perform: {action} on resource: {resources[0]}", 403
    )


def check_finding(world: World, execution: Execution, key: str, values: Sequence[str]) -> None:
    """Refuse to look for targets for whom may not look."""
    if not world.powers.limited:
        return
    account, region, by = execution.account, execution.region, execution.acts_as
    asked: list[tuple[str, list[str]]] = []
    if key.startswith(("tag", "resource-groups", "ResourceGroup")):
        asked.append(("tag:GetResources", ["*"]))
    if key in ("ResourceGroup", "resource-groups:Name"):
        asked += [
            (
                "resource-groups:ListGroupResources",
                [f"arn:aws:resource-groups:{region}:{account}:group/{one}" for one in values],
            ),
            ("cloudformation:DescribeStacks", [f"arn:aws:cloudformation:{region}:{account}:stack/web/1"]),
            ("cloudformation:ListStackResources", [f"arn:aws:cloudformation:{region}:{account}:stack/web/1"]),
            ("ec2:DescribeInstances", ["*"]),
        ]
    for action, resources in asked:
        if not world.powers.may(by, action, resources, region):
            raise denied(by, action, resources)


def check_sending(world: World, execution: Execution, request: Params) -> None:
    """Refuse a command that the execution's role may not send: to each of the nodes, and with this document."""
    if not world.powers.limited:
        return
    account, region, by = execution.account, execution.region, execution.acts_as
    for target in request.get("Targets", ()):
        check_finding(world, execution, target["Key"], target.get("Values", ()))
    looked: list[tuple[str, list[str], dict[str, str]]] = [
        ("ssm:SendCommand", [document_arn(request["DocumentName"], account, region)], {}),
        ("ssm:DescribeInstanceInformation", ["*"], {}),
        ("ssm:ListCommands", ["*"], {}),
        ("ssm:ListCommandInvocations", ["*"], {}),
    ]
    for node in world.commands.found(account, region, request):
        tags = {f"ssm__resourcetag/{name.lower()}": value for name, value in node.tags.items()}
        looked.append(("ssm:SendCommand", [node.arn], tags))
    for action, resources, context in looked:
        if not world.powers.may(by, action, resources, region, **context):
            raise denied(by, action, resources)


def _unassumable(arn: str) -> ServiceError:
    return ServiceError("AccessDenied", f"The execution role {arn} in the target location is unable to be assumed.")


# --- an execution over targets ------------------------------------------------------------------------------------------


class Targets:
    """Starts a child for every target in the execution's own account and Region."""

    def __init__(self, automation: Automation, execution: Execution) -> None:
        self._automation, self._execution = automation, execution
        self._world = automation.world
        self._rollout: Rollout | None = None
        self._stopped = False

    def begin(self) -> None:
        """Find the targets and begin with the first."""
        execution = self._execution
        try:
            execution.resolved = self._resolved(execution.request["Targets"][0])
        except ServiceError as error:
            self._automation.end(execution, "Failed", error.message)
            return
        if not execution.resolved:
            self._automation.end(execution, self._world.switches.zero_targets, "No targets were found.")
            return
        concurrency, errors = execution.request.get("MaxConcurrency", "10"), execution.request.get("MaxErrors", "0")
        self._rollout = Rollout(execution.resolved, concurrency, errors, self._launch, self._ended, ramp=True)
        self._rollout.go_on()

    def _resolved(self, target: Params) -> list[str]:
        """The targets' ids. Tags find what is terminated as well, and nothing here asks whether SSM knows a node."""
        organization, execution = self._world.organization, self._execution
        nodes = organization.nodes_at(execution.account, execution.region)
        key, values = target["Key"], target.get("Values", [])
        check_finding(self._world, execution, key, values)
        match key.partition(":"):
            case ("ParameterValues", "", ""):
                return list(values)
            case ("tag", ":", tag):
                return [node.id for node in nodes if node.tagged({tag: values})]
            case ("tag-key", "", ""):
                return [node.id for node in nodes if any(value in node.tags for value in values)]
            case ("ResourceGroup", "", ""):
                group = organization.groups.get((execution.account, execution.region, values[0]))
                if group is None:
                    raise ServiceError("InvalidTarget", f"The resource group {values[0]} does not exist.")
                return [node.id for node in organization.members(group)]
            case ("InstanceIds" | "AWS", *_) if list(values) == ["*"]:
                return [node.id for node in nodes if node.state != "terminated"]
        raise ServiceError("InvalidTarget", f"{key} is not a target key of Automation.")

    def _launch(self, target: str) -> None:
        execution = self._execution
        name = execution.request["TargetParameterName"]
        now = self._world.clock.now
        id_ = str(uuid.UUID(int=self._world.random("target step", execution.id, target).getrandbits(128), version=4))
        step = Step(id_, target, "aws:executeAutomation", status="InProgress", started_at=now)
        step.inputs = {name: json.dumps(target)}
        execution.steps.append(step)
        latency = self._world.random("target", step.id).uniform(1, 5)
        self._world.clock.after(latency, lambda: self._start(step, name))

    def _start(self, step: Step, name: str) -> None:
        if step.status != "InProgress":
            return
        execution = self._execution
        location = (execution.account, execution.region)
        given = execution.given | {name: [step.name]}
        try:
            self._automation.check_start(execution.acts_as, execution.document, execution.version, given, *location)
            child = self._automation.child(
                execution,
                step.name,
                location,
                execution.document,
                execution.version,
                given,
                {"Mode": "Auto"},
                execution.executed_by,
                target=step.name,
            )
            self._automation.start_child(child)
        except (ServiceError, ValueError) as error:
            self._step_ended(step, "Failed", _failed(str(error)))
            return
        step.child = child
        step.outputs = {"ExecutionId": [child.id]}
        child.on_end.append(lambda: self._child_ended(step, child))

    def _child_ended(self, step: Step, child: Execution) -> None:
        step.outputs = {"ExecutionId": [child.id], "Status": [child.status], "Output": []}
        self._step_ended(step, child.status, child.failure and f"Child execution {child.id}: {child.failure}")

    def _step_ended(self, step: Step, status: str, failure: str) -> None:
        if step.status != "InProgress" or self._rollout is None:
            return
        step.status, step.ended_at, step.failure = status, self._world.clock.now, failure
        self._rollout.done(well=status == "Success")

    def _ended(self) -> None:
        self._world.clock.after(1, self._finish)

    def _finish(self) -> None:
        execution = self._execution
        if execution.over or self._rollout is None:
            return
        bad = [step for step in execution.steps if step.status != "Success"]
        if self._stopped:
            self._automation.end(execution, "Cancelled")
        elif self._rollout.exceeded or (bad and self._world.switches.forgiven_failures_fail):
            message = f"{len(bad)} of {len(execution.resolved)} targets did not succeed. {bad[0].failure}"
            self._automation.end(execution, "Failed", message)
        else:
            self._automation.end(execution, "Success")

    def stop(self, kind: str) -> None:
        """Begin no more targets. The children at work are stopped too: they are in the same account and Region."""
        self._stopped = True
        self._execution.status = "Cancelling"
        going = [step for step in self._execution.steps if step.status == "InProgress"]
        if self._rollout is not None:
            self._rollout.stop()
        if kind == "Complete":
            return
        for step in going:
            if step.child is None:
                self._step_ended(step, "Cancelled", "")
            elif not step.child.over and step.child.status != "Cancelling":
                self._automation.stop(step.child)


# --- an execution of a runbook's steps ----------------------------------------------------------------------------------


class StepFailure(Exception):  # noqa: N818 - it is the step that fails, and nothing of ours
    """A step cannot be done; the sentence is what AWS would say."""


Done = Callable[[str, dict[str, Any], str], None]
"""Ends a step: its status, its outputs, and why it failed."""

API_WAIT = 3600
POLL = 15


class Runbook:
    """Plays a runbook, step by step."""

    def __init__(self, automation: Automation, execution: Execution) -> None:
        self._automation, self._execution = automation, execution
        self._world = automation.world
        self._hurt = ""
        self._sentence = ""
        self._cleaning = False
        self._next: Step | None = None
        self._timeout: Event | None = None
        execution.steps = [self._step(said) for said in execution.version.said["mainSteps"]]

    def _step(self, said: Mapping[str, Any]) -> Step:
        chance = self._world.random("step", self._execution.id, said["name"])
        return Step(str(uuid.UUID(int=chance.getrandbits(128), version=4)), said["name"], said["action"], said)

    def begin(self) -> None:
        """Enter the first step."""
        if not self._automation.plays_role(self._execution):
            sentence = f"Unable to assume the role {self._execution.acts_as}: its trust policy does not let Automation."
            self._automation.end(self._execution, "Failed", sentence)
            return
        self._execution.outputs = self._outputs()
        self._enter(self._execution.steps[0])

    def stop(self, kind: str) -> None:
        """End the step at work, and go on with the step that it names for that. A command that it sent goes on by itself."""
        del kind
        self._execution.status = "Cancelling"
        step = self._execution.current or self._next
        if step is not None:
            step.status, step.ended_at = "Cancelled", self._world.clock.now
            step.started_at = step.started_at or step.ended_at
        if self._timeout is not None:
            self._timeout.cancel()
        after = str(step.said.get("onCancel", "Abort")) if step is not None else "Abort"
        self._hurt, self._cleaning = "Cancelled", after.startswith("step:")
        if after.startswith("step:"):
            cleanup = next(one for one in self._execution.steps if one.name == after.removeprefix("step:"))
            self._world.clock.after(1, lambda: self._enter(cleanup))
            return
        self._world.clock.after(3, lambda: self._end("Cancelled"))

    # --- from step to step ----------------------------------------------------------------------------------------

    def _enter(self, step: Step) -> None:
        if step.status == "Cancelled" or (self._execution.status != "InProgress" and not self._cleaning):
            return
        self._next = None
        step.attempt += 1
        step.status, step.started_at, step.ended_at = "InProgress", self._world.clock.now, None
        attempt = step.attempt
        self._set_timeout(step, attempt)

        def done(status: str, values: dict[str, Any], failure: str) -> None:
            if step.status == "InProgress" and step.attempt == attempt:
                self._done(step, status, values, failure)

        try:
            self._act(step, done)
        except StepFailure as failure:
            sentence = str(failure)
            self._world.clock.after(1, lambda: done("Failed", {}, _failed(sentence)))

    def _act(self, step: Step, done: Done) -> None:
        action = _ACTIONS.get(step.action)
        if action is None:
            raise StepFailure(f"{step.action} is not done by the simulator.")
        inputs = self.resolve(step.said["inputs"])
        step.inputs = {name: _text(value) for name, value in inputs.items()}
        action(self, step, inputs, done)

    def _set_timeout(self, step: Step, attempt: int) -> None:
        seconds = self.resolve(step.said.get("timeoutSeconds", _DEFAULT_TIMEOUTS.get(step.action)))
        if seconds is None:
            return

        def time_out() -> None:
            if step.status == "InProgress" and step.attempt == attempt:
                self._done(step, "TimedOut", {}, f"Step timed out while it was executing: {seconds} seconds. {_GUIDE}")

        self._timeout = self._world.clock.after(float(seconds), time_out)

    def _done(self, step: Step, status: str, values: dict[str, Any], failure: str) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
        if status in ("Failed", "TimedOut") and step.attempt < int(self.resolve(step.said.get("maxAttempts", 1))):
            self._world.clock.after(1, lambda: self._enter(step))
            return
        step.status, step.ended_at, step.failure = status, self._world.clock.now, failure
        step.values = values
        step.outputs = {name: _texts(value) for name, value in values.items() if name != "nextStep"}
        self._execution.outputs = self._outputs()
        self._go_on(step)

    def _go_on(self, step: Step) -> None:
        said = step.said
        after = said.get("nextStep") or self._following(step)
        if step.status == "Success":
            after = step.values.get("nextStep") or after
        else:
            on_failure = str(said.get("onFailure", "Abort"))
            if _true(said.get("isCritical", on_failure != "Continue")):
                self._hurt = self._hurt or ("TimedOut" if step.status == "TimedOut" else step.status)
                self._sentence = self._sentence or step.failure
            if on_failure.startswith("step:"):
                after = on_failure.removeprefix("step:")
            elif on_failure == "Abort":
                self._end(self._hurt or step.status)
                return
        if _true(said.get("isEnd", False)) or after is None:
            self._end(self._hurt or "Success")
            return
        self._next = following = next(one for one in self._execution.steps if one.name == after)
        self._world.clock.after(1, lambda: self._enter(following))

    def _following(self, step: Step) -> str | None:
        place = self._execution.steps.index(step) + 1
        return self._execution.steps[place].name if place < len(self._execution.steps) else None

    def _end(self, status: str) -> None:
        if not self._execution.over:
            self._execution.outputs = self._outputs()
            self._automation.end(self._execution, status, self._sentence)

    def _outputs(self) -> dict[str, list[str]]:
        by_name = {step.name: step for step in self._execution.steps}
        found: dict[str, list[str]] = {}
        for name in self._execution.version.said.get("outputs", ()):
            step, _, output = name.partition(".")
            found[name] = by_name[step].outputs.get(output, [PLACEHOLDER])
        return found

    # --- references -----------------------------------------------------------------------------------------------

    def resolve(self, value: Any) -> Any:
        """The value with every `{{ reference }}` filled in. One that stands alone keeps its type."""
        match value:
            case str():
                alone = REFERENCE.fullmatch(value.strip())
                if alone:
                    return self._lookup(alone[1])
                return REFERENCE.sub(lambda found: _text(self._lookup(found[1])), value)
            case dict():
                return {name: inner if name == "Script" else self.resolve(inner) for name, inner in value.items()}
            case list():
                return [inner for one in value for inner in self._spread(one)]
        return value

    def _spread(self, one: Any) -> list[Any]:
        """A list that stands for one element of a list is spread into it."""
        found = self.resolve(one)
        return found if isinstance(one, str) and isinstance(found, list) else [found]

    def _lookup(self, name: str) -> Any:
        execution, now = self._execution, self._world.clock.now
        known = {
            "automation:EXECUTION_ID": execution.id,
            "global:ACCOUNT_ID": execution.account,
            "global:REGION": execution.region,
            "global:AWS_PARTITION": "aws",
            "global:DATE": f"{now:%Y-%m-%d}",
            "global:DATE_TIME": f"{now:%Y-%m-%d_%H.%M.%S}",
        }
        if name in known:
            return known[name]
        if name in execution.parameters:
            return execution.parameters[name]
        step, _, output = name.partition(".")
        for one in execution.steps:
            if one.name == step and output in one.values:
                return one.values[output]
        raise StepFailure(f"Failed to resolve input {name}: it has no value yet.")

    # --- actions --------------------------------------------------------------------------------------------------

    def _execute_script(self, step: Step, inputs: Params, done: Done) -> None:
        if not str(inputs.get("Runtime", "")).lower().startswith("python3"):
            raise StepFailure(f"{inputs.get('Runtime')} is not done by the simulator; it has Python only.")
        with time_machine.travel(self._world.clock.now, tick=False):  # a script reads the clock of its world
            payload = run_script(inputs["Script"], inputs["Handler"], inputs.get("InputPayload", {}))
        values = {"Payload": payload} | _selected(step.said.get("outputs", ()), {"Payload": payload})
        latency = self._world.random("script", step.id).uniform(1, 3)
        self._world.clock.after(latency, lambda: done("Success", values, ""))

    def _run_command(self, step: Step, inputs: Params, done: Done) -> None:
        request = _command_request(inputs)
        wrong: list[str] = []
        _send_command_check()(request, "", wrong)
        if wrong:
            raise StepFailure(f"Command request failed: {'; '.join(wrong)}")
        execution = self._execution
        try:
            check_sending(self._world, execution, request)
            command = self._world.commands.send(execution.account, execution.region, request, execution.origin)
        except ServiceError as error:
            raise StepFailure(f"{error.code}: {error.message}") from None

        def ended(command: Command) -> None:
            status = command.status if command.status in ("Success", "TimedOut", "Cancelled") else "Failed"
            failure = "" if status == "Success" else _command_failure(command)
            done(status, _command_outputs(command), failure)

        command.on_end.append(lambda over: self._later(lambda: ended(over)))

    def _sleep(self, step: Step, inputs: Params, done: Done) -> None:
        del step
        until = self._world.clock.now
        if "Duration" in inputs:
            until += _duration(str(inputs["Duration"]))
        else:
            until = datetime.fromisoformat(str(inputs["Timestamp"]).replace("Z", "+00:00"))
        self._world.clock.at(until, lambda: done("Success", {}, ""))

    def _branch(self, step: Step, inputs: Params, done: Done) -> None:
        chosen = next((one["NextStep"] for one in inputs["Choices"] if _holds(one)), inputs.get("Default"))
        chosen = chosen or self._following(step)
        self._world.clock.after(1, lambda: done("Success", {"nextStep": chosen} if chosen else {}, ""))

    def _execute_api(self, step: Step, inputs: Params, done: Done) -> None:
        answer = self._call(inputs)
        values = _selected(step.said.get("outputs", ()), answer)
        self._world.clock.after(1, lambda: done("Success", values, ""))

    def _assert_property(self, step: Step, inputs: Params, done: Done) -> None:
        found, good = self._property(inputs)
        failure = _failed(f"Property value from the API output is {found}, not one of {inputs['DesiredValues']}.")
        self._world.clock.after(1, lambda: done("Success", {}, "") if good else done("Failed", {}, failure))
        del step

    def _wait_for_property(self, step: Step, inputs: Params, done: Done) -> None:
        attempt = step.attempt

        def look() -> None:
            if step.status != "InProgress" or step.attempt != attempt:
                return
            try:
                good = self._property(inputs)[1]
            except StepFailure as failure:
                done("Failed", {}, _failed(str(failure)))
                return
            if good:
                done("Success", {}, "")
            else:
                self._world.clock.after(POLL, look)

        self._world.clock.after(1, look)

    def _property(self, inputs: Params) -> tuple[Any, bool]:
        asked = {name: value for name, value in inputs.items() if name not in ("PropertySelector", "DesiredValues")}
        found = _select(inputs["PropertySelector"], self._call(asked))
        wanted = [str(value) for value in inputs["DesiredValues"]]
        values = found if isinstance(found, list) else [found]
        return found, bool(values) and all(str(value) in wanted for value in values)

    def _call(self, inputs: Params) -> Params:
        """An AWS API called by the runbook, with the rights of the account it runs in."""
        service, api = str(inputs["Service"]).lower(), str(inputs["Api"])
        operation = "".join(part[0].upper() + part[1:] for part in api.split("_"))
        params = {name: value for name, value in inputs.items() if name not in ("Service", "Api")}
        location = (self._execution.account, self._execution.region)
        known = self._world.services.get(service)
        if known is None:
            raise StepFailure(f"{service}:{operation} is not done by the simulator.")
        caller = Caller(*location, f"arn:aws:iam::{location[0]}:root")
        self._check_act(service, operation, params)
        try:
            return known.answer(operation, params, caller)
        except ServiceError as error:
            raise StepFailure(f"An error occurred ({error.code}) when calling {operation}: {error.message}") from None

    def _check_act(self, service: str, operation: str, params: Params) -> None:
        """Fail the step whose role may not do this."""
        execution, powers = self._execution, self._world.powers
        for action, resources in acts(service, operation, params, execution.account, execution.region):
            if not powers.may(execution.acts_as, action, resources, execution.region):
                error = denied(execution.acts_as, action, resources)
                raise StepFailure(f"An error occurred ({error.code}) when calling {operation}: {error.message}")

    def _later(self, action: Callable[[], None]) -> None:
        """Automation looks at a command every now and then, and so learns of its end a little later."""
        self._world.clock.after(2, action)

    def _node(self, id_: str) -> Node:
        node = self._world.organization.nodes.get(id_)
        if node is None or (node.account, node.region) != (self._execution.account, self._execution.region):
            raise StepFailure(f"InvalidInstanceID.NotFound: The instance ID '{id_}' does not exist")
        return node

    def _create_image(self, step: Step, inputs: Params, done: Done) -> None:
        node = self._node(inputs["InstanceId"])
        self._check_act("ec2", "CreateImage", inputs)
        self._check_act("ec2", "DescribeImages", {})
        chance = self._world.random("image", step.id)
        image = f"ami-0{chance.getrandbits(64):016x}"
        if not _true(inputs.get("NoReboot", False)) and node.ping is Ping.ONLINE:
            self._world.set_ping(node, Ping.LOST)
            self._world.clock.after(chance.uniform(60, 150), lambda: self._world.set_ping(node, Ping.ONLINE))
        self._world.take_image(node, image)
        values = {"ImageId": image, "ImageState": "available"}
        self._world.clock.after(chance.uniform(180, 480), lambda: done("Success", values, ""))

    def _change_state(self, step: Step, inputs: Params, done: Done) -> None:
        nodes = [self._node(id_) for id_ in inputs["InstanceIds"]]
        wanted = str(inputs["DesiredState"])
        self._check_act("ec2", {"running": "StartInstances", "stopped": "StopInstances"}.get(wanted, wanted), inputs)
        self._check_act("ec2", "DescribeInstanceStatus", {})
        chance = self._world.random("state", step.id)

        def change() -> None:
            for node in nodes:
                self._set_state(node, wanted)
            done("Success", {"InstanceStates": [wanted] * len(nodes)}, "")

        self._world.clock.after(chance.uniform(30, 120), change)

    def _set_state(self, node: Node, wanted: str) -> None:
        if wanted not in ("running", "stopped", "terminated"):
            raise StepFailure(f"{wanted} is not a state that an instance can be brought to.")
        node.state = wanted  # type: ignore[assignment] # just checked
        if node.managed:
            self._world.set_ping(node, Ping.ONLINE if wanted == "running" else Ping.LOST)


_ACTIONS: Mapping[str, Callable[[Runbook, Step, Params, Done], None]] = {
    "aws:executeScript": Runbook._execute_script,
    "aws:runCommand": Runbook._run_command,
    "aws:sleep": Runbook._sleep,
    "aws:branch": Runbook._branch,
    "aws:executeAwsApi": Runbook._execute_api,
    "aws:assertAwsResourceProperty": Runbook._assert_property,
    "aws:waitForAwsResourceProperty": Runbook._wait_for_property,
    "aws:createImage": Runbook._create_image,
    "aws:changeInstanceState": Runbook._change_state,
}
_DEFAULT_TIMEOUTS = {"aws:waitForAwsResourceProperty": API_WAIT, "aws:changeInstanceState": API_WAIT}


# --- scripts ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _compiled(script: str) -> Any:
    return compile(script, "<script>", "exec")


def run_script(script: str, handler: str, payload: Any) -> Any:
    """What the script's handler returns for the payload. Raises StepFailure with what AWS would show of an exception."""
    namespace: dict[str, Any] = {"__name__": "script"}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(_compiled(script), namespace)  # noqa: S102 - running the runbook's own script is the point
            return json.loads(json.dumps(namespace[handler](payload, {})))
    except Exception as error:  # noqa: BLE001 - whatever the script raises fails the step
        place = error.__traceback__
        lines = []
        while place is not None:
            if place.tb_frame.f_code.co_filename == "<script>":
                lines.append(f"  line {place.tb_lineno}, in {place.tb_frame.f_code.co_name}")
            place = place.tb_next
        told = "\n".join(["Traceback (most recent call last):", *lines, f"{type(error).__name__} - {error}"])
        raise StepFailure(told) from None


# --- commands -----------------------------------------------------------------------------------------------------------

_COMMAND_INPUTS = (
    "DocumentName",
    "DocumentVersion",
    "InstanceIds",
    "Targets",
    "Comment",
    "MaxConcurrency",
    "MaxErrors",
    "OutputS3BucketName",
    "OutputS3KeyPrefix",
    "ServiceRoleArn",
    "NotificationConfig",
    "CloudWatchOutputConfig",
)


@lru_cache(maxsize=1)
def _send_command_check() -> Callable[[Any, str, list[str]], None]:
    shape = service_model("ssm").operation_model("SendCommand").input_shape
    assert shape is not None  # noqa: S101 - SendCommand has one
    return Checker(lenient=False).of(shape)


def _command_request(inputs: Params) -> Params:
    request = {name: inputs[name] for name in _COMMAND_INPUTS if name in inputs}
    if "TimeoutSeconds" in inputs:
        request["TimeoutSeconds"] = int(inputs["TimeoutSeconds"])
    for name in ("MaxConcurrency", "MaxErrors"):
        if name in request:
            request[name] = str(request[name])
    parameters = inputs.get("Parameters", {})
    request["Parameters"] = {name: _texts(value, None) for name, value in parameters.items()}
    return request


def _command_outputs(command: Command) -> dict[str, Any]:
    """What the step puts out. Output and exit code only of a command to one node by its id: AWS leaves them out else."""
    values: dict[str, Any] = {"CommandId": command.id, "Status": command.status}
    if len(command.params.get("InstanceIds", ())) == 1:
        invocation = next(iter(command.invocations.values()))
        code = invocation.exit_code
        values |= {"ResponseCode": -1 if code is None else code, "Output": invocation.output}
    else:
        values["Output"] = ""
    return values


def _command_failure(command: Command) -> str:
    counts = f"{command.errors} of {len(command.invocations)} invocations failed"
    return (
        f"Step fails when it is Poll action status for completion. Command {command.id} ended {command.details}: "
        f"{counts}. {_GUIDE}"
    )


# --- values -------------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str)


def _texts(value: Any, longest: int | None = 512) -> list[str]:
    return [_text(one)[:longest] for one in (value if isinstance(value, list) else [value])]


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", text)
    if found is None:
        raise StepFailure(f"{text} is not an ISO 8601 duration.")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "StringEquals": lambda value, wanted: str(value) == str(wanted),
    "EqualsIgnoreCase": lambda value, wanted: str(value).lower() == str(wanted).lower(),
    "StartsWith": lambda value, wanted: str(value).startswith(str(wanted)),
    "EndsWith": lambda value, wanted: str(value).endswith(str(wanted)),
    "Contains": lambda value, wanted: str(wanted) in str(value),
    "NumericEquals": lambda value, wanted: float(value) == float(wanted),
    "NumericGreater": lambda value, wanted: float(value) > float(wanted),
    "NumericLesser": lambda value, wanted: float(value) < float(wanted),
    "NumericGreaterOrEquals": lambda value, wanted: float(value) >= float(wanted),
    "NumericLesserOrEquals": lambda value, wanted: float(value) <= float(wanted),
    "BooleanEquals": lambda value, wanted: _true(value) == _true(wanted),
}


def _holds(choice: Mapping[str, Any]) -> bool:
    if "And" in choice:
        return all(_holds(one) for one in choice["And"])
    if "Or" in choice:
        return any(_holds(one) for one in choice["Or"])
    if "Not" in choice:
        return not _holds(choice["Not"])
    tests = [name for name in choice if name in _TESTS]
    if not tests:
        raise StepFailure(f"No operator in the choice {dict(choice)}.")
    return all(_TESTS[name](choice["Variable"], choice[name]) for name in tests)


def _selected(wanted: Iterable[Mapping[str, Any]], answer: Any) -> dict[str, Any]:
    return {one["Name"]: _typed(one, _select(one["Selector"], answer)) for one in wanted}


_PYTHON_TYPES = {"Integer": int, "Boolean": bool, "String": str, "StringList": list, "MapList": list, "StringMap": dict}


def _typed(said: Mapping[str, Any], value: Any) -> Any:
    kind = said.get("Type", "String")
    if not isinstance(value, _PYTHON_TYPES[kind]) or (kind == "Integer" and isinstance(value, bool)):
        raise StepFailure(f"Output {said['Name']} is {value!r}, which is no {kind}.")
    return value


def _select(selector: str, answer: Any) -> Any:
    """What a JSONPath of names, indices and `[*]` finds; the whole answer for `$`."""
    found = [answer]
    several = False
    for name, index in re.findall(r"\.?([A-Za-z0-9_-]+)|\[(\d+|\*)\]", selector.removeprefix("$")):
        several = several or index == "*"
        found = [inner for one in found for inner in _stepped(one, name, index)]
    if several:
        return found
    if not found:
        raise StepFailure(f"{selector} selects nothing from the output.")
    return found[0]


def _stepped(one: Any, name: str, index: str) -> list[Any]:
    if name:
        return [one[name]] if isinstance(one, dict) and name in one else []
    if not isinstance(one, list):
        return []
    return one if index == "*" else one[int(index) : int(index) + 1]


# --- what AWS says of them ----------------------------------------------------------------------------------------------


def as_step(step: Step) -> Params:
    """A StepExecution."""
    said = step.said
    return present(
        StepName=step.name,
        Action=step.action,
        TimeoutSeconds=said.get("timeoutSeconds") if isinstance(said.get("timeoutSeconds"), int) else None,
        OnFailure=said.get("onFailure"),
        MaxAttempts=said.get("maxAttempts") if isinstance(said.get("maxAttempts"), int) else None,
        ExecutionStartTime=step.started_at,
        ExecutionEndTime=step.ended_at,
        StepStatus=step.status,
        Inputs=dict(step.inputs),
        Outputs={name: list(values) for name, values in step.outputs.items()},
        FailureMessage=step.failure or None,
        FailureDetails=_failure_details(step) if step.failure else None,
        StepExecutionId=step.id,
        OverriddenParameters={},
        IsEnd=_true(said["isEnd"]) if "isEnd" in said else None,
        NextStep=said.get("nextStep"),
        IsCritical=_true(said["isCritical"]) if "isCritical" in said else None,
        TargetLocation=step.location,
    )


def _failure_details(step: Step) -> Params:
    kind = "Permission" if "unable to be assumed" in step.failure else "Action"
    return {
        "FailureStage": "Invocation",
        "FailureType": kind,
        "Details": {"VerificationErrorMessage": [step.failure[:512]]},
    }


def as_execution(execution: Execution, steps_shown: int, *, child_names_parent: bool) -> Params:
    """An AutomationExecution."""
    shown = execution.steps[:steps_shown]
    across = execution.kind == "locations"
    return _common(execution, child_names_parent=child_names_parent) | present(
        StepExecutions=[as_step(step) for step in shown],
        StepExecutionsTruncated=len(shown) < len(execution.steps),
        Parameters={name: list(values) for name, values in execution.given.items()},
        TargetLocations=execution.request["TargetLocations"] if across else None,
        ProgressCounters=_counters(execution) if across else None,
    )


def as_metadata(execution: Execution, *, child_names_parent: bool) -> Params:
    """An AutomationExecutionMetadata: locations, counters, parameters and steps are not in it."""
    return _common(execution, child_names_parent=child_names_parent) | {
        "AutomationType": "CrossAccount" if execution.kind == "locations" else "Local",
        "LogFile": "",
    }


def _common(execution: Execution, *, child_names_parent: bool) -> Params:
    current, parent = execution.current, execution.parent
    if parent is not None and parent.kind == "locations" and not child_names_parent:
        parent = None
    controlled = execution.kind == "targets"
    return present(
        AutomationExecutionId=execution.id,
        DocumentName=execution.document.name,
        DocumentVersion=str(execution.version.number),
        AutomationExecutionStatus=execution.status,
        ExecutionStartTime=execution.started_at,
        ExecutionEndTime=execution.ended_at,
        ExecutedBy=execution.executed_by,
        Mode=execution.request.get("Mode", "Auto"),
        Outputs={name: list(values) for name, values in execution.outputs.items()},
        FailureMessage=execution.failure or None,
        ParentAutomationExecutionId=parent.id if parent is not None else None,
        CurrentStepName=current.name if current else None,
        CurrentAction=current.action if current else None,
        TargetParameterName=execution.request.get("TargetParameterName"),
        Targets=execution.request.get("Targets", []),
        ResolvedTargets={"ParameterValues": list(execution.resolved), "Truncated": False},
        MaxConcurrency=execution.request.get("MaxConcurrency", "10" if controlled else None),
        MaxErrors=execution.request.get("MaxErrors", "0" if controlled else None),
        Target=execution.target,
    )


def _counters(execution: Execution) -> Params:
    counts = {word: sum(step.status == word for step in execution.steps) for word in TERMINAL}
    return {"TotalSteps": len(execution.steps)} | {f"{word}Steps": count for word, count in counts.items()}


# --- finding them -------------------------------------------------------------------------------------------------------


def found_executions(executions: Iterable[Execution], filters: Iterable[Params]) -> list[Execution]:
    """The executions for which every filter holds; a filter holds by any of its values."""
    chosen = list(executions)
    for one in filters:
        test = _FILTERS.get(one["Key"])
        if test is None:
            raise BrokenDoubleError(f"the simulator does not filter executions by {one['Key']}")
        chosen = [execution for execution in chosen if any(test(execution, value) for value in one["Values"])]
    return chosen


_FILTERS: Mapping[str, Callable[[Execution, str], bool]] = {
    "ExecutionId": lambda execution, value: execution.id == value,
    "ParentExecutionId": lambda execution, value: execution.parent is not None and execution.parent.id == value,
    "DocumentNamePrefix": lambda execution, value: execution.document.name.startswith(value),
    "ExecutionStatus": lambda execution, value: execution.status == value,
    "CurrentAction": lambda execution, value: execution.current is not None and execution.current.action == value,
    "TagKey": lambda execution, value: value in execution.tags,
    "AutomationType": lambda execution, value: value == ("CrossAccount" if execution.kind == "locations" else "Local"),
    "StartTimeBefore": lambda execution, value: execution.started_at <= _filter_time(value),
    "StartTimeAfter": lambda execution, value: execution.started_at >= _filter_time(value),
}


def found_steps(steps: Iterable[Step], filters: Iterable[Params]) -> list[Step]:
    """The steps for which every filter holds; a filter holds by any of its values."""
    chosen = list(steps)
    for one in filters:
        test = _STEP_FILTERS.get(one["Key"])
        if test is None:
            raise BrokenDoubleError(f"the simulator does not filter steps by {one['Key']}")
        chosen = [step for step in chosen if any(test(step, value) for value in one["Values"])]
    return chosen


_STEP_FILTERS: Mapping[str, Callable[[Step, str], bool]] = {
    "StepExecutionStatus": lambda step, value: step.status == value,
    "StepExecutionId": lambda step, value: step.id == value,
    "StepName": lambda step, value: step.name == value,
    "Action": lambda step, value: step.action == value,
    "StartTimeBefore": lambda step, value: step.started_at is not None and step.started_at <= _filter_time(value),
    "StartTimeAfter": lambda step, value: step.started_at is not None and step.started_at >= _filter_time(value),
}


def _filter_time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ServiceError("InvalidFilterValue", f"{text} is not a time.") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
