"""Run Command: how a command is rolled out over nodes, and what each node makes of it.

Three clocks run on an invocation: nothing is delivered later than the command's own TimeoutSeconds; what was delivered ends
by the document's execution timeout; and a node that reboots is away for some minutes in between.
"""

from __future__ import annotations

import math
import random
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from simulator.clock import Event
from simulator.documents import bind
from simulator.fleet import OVERWRITTEN_AFTER, Course, Node, Operation, PatchState, Ping, Report, Wish, clash, course
from simulator.protocol import Params, ServiceError, present

if TYPE_CHECKING:
    from simulator.world import World

PATCH_DOCUMENT = "AWS-RunPatchBaseline"
DELIVERY_TIMEOUT = 3600
EXECUTION_TIMEOUT = timedelta(hours=2)
FOREIGN_COMMENT = "nightly compliance scan"

_STATUS = {
    "Undeliverable": "Failed",
    "DeliveryTimedOut": "TimedOut",
    "ExecutionTimedOut": "TimedOut",
    "Terminated": "Cancelled",
}
_NOT_COUNTED = (
    "Undeliverable",
    "InvalidPlatform",
    "AccessDenied",
)  # neither for MaxErrors nor for the command's status
_NO_ERROR = (*_NOT_COUNTED, "DeliveryTimedOut", "Success", "Cancelled", "Terminated")
_WAITING = ("Pending", "Delayed")


@dataclass(frozen=True)
class Origin:
    """What a command goes back to: the execution somebody started, and the run it was tagged with."""

    root: str | None = None
    run: str | None = None


@dataclass(frozen=True)
class Delivery:
    """A patch command reached an agent."""

    node: str
    account: str
    region: str
    at: datetime
    operation: Operation
    snapshot: str
    command: str
    root: str | None
    run: str | None
    reboot_option: str = "RebootIfNeeded"
    missing: int = 0
    clashed: bool = False  # another patch command was at work on the node


@dataclass(eq=False)
class Invocation:
    """A command on one node."""

    node: Node
    details: str = "Pending"
    delivered_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    output: str = ""
    error: str = ""

    @property
    def status(self) -> str:
        """The short word; `details` has the exact one."""
        return _STATUS.get(self.details, self.details)

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.ended_at is not None


@dataclass(eq=False)
class Command:
    """A command and its invocations."""

    id: str
    account: str
    region: str
    params: Params
    parameters: dict[str, Any]
    requested_at: datetime
    origin: Origin
    max_concurrency: int
    max_errors: int
    invocations: dict[str, Invocation]
    status: str = "Pending"
    details: str = "Pending"
    queue: deque[Invocation] = field(default_factory=deque)
    running: int = 0
    ended: int = 0
    errors: int = 0  # those that count against MaxErrors
    cancelled: bool = False
    expiry: Event | None = None
    on_end: list[Callable[[Command], None]] = field(default_factory=list)

    @property
    def document(self) -> str:
        """The document's name without its ARN."""
        return str(self.params["DocumentName"]).rpartition("/")[2]

    @property
    def patches(self) -> bool:
        """Whether it is Patch Manager's."""
        return self.document == PATCH_DOCUMENT

    @property
    def over(self) -> bool:
        """Whether every invocation is over and the command has its last status."""
        return self.status not in ("Pending", "InProgress", "Cancelling")

    @property
    def timeout(self) -> timedelta:
        """How long it may take until it is delivered."""
        return timedelta(seconds=self.params.get("TimeoutSeconds", DELIVERY_TIMEOUT))


def limit(text: str, total: int) -> int:
    """The number that a MaxConcurrency or MaxErrors stands for, percentages rounded up."""
    return math.ceil(total * int(text[:-1]) / 100) if text.endswith("%") else int(text)


class RunCommand:
    """Run Command in every account and Region."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._commands: dict[tuple[str, str], dict[str, Command]] = {}
        self._waiting: dict[str, list[tuple[Command, Invocation]]] = {}
        self._patching: dict[str, tuple[Command, Invocation]] = {}
        self._sent: dict[str, int] = {}

    # --- asking ---------------------------------------------------------------------------------------------------

    def at(self, account: str, region: str) -> list[Command]:
        """The location's commands, newest first."""
        return list(reversed(self._commands.get((account, region), {}).values()))

    def get(self, account: str, region: str, command: str) -> Command:
        """One command of the location."""
        found = self._commands.get((account, region), {}).get(command)
        if found is None:
            raise ServiceError("InvalidCommandId", "")
        return found

    # --- sending --------------------------------------------------------------------------------------------------

    def send(self, account: str, region: str, params: Params, origin: Origin) -> Command:
        """A new command, as SendCommand asks for it."""
        name = str(params["DocumentName"]).rpartition("/")[2]
        if name == PATCH_DOCUMENT:
            self._world.attempt(origin, account, region)
        document = self._world.documents.find(account, region, params["DocumentName"])
        if document.type != "Command":
            raise ServiceError("InvalidDocument", f"Document {name} is of type {document.type}, not Command.")
        try:
            parameters = bind(document.version(params.get("DocumentVersion")).parameters, params.get("Parameters", {}))
        except ValueError as error:
            raise ServiceError("InvalidParameters", str(error)) from None
        nodes = self.found(account, region, params)
        command = Command(
            id=self._world.new_id("command"),
            account=account,
            region=region,
            params=params,
            parameters=parameters,
            requested_at=self._world.clock.now,
            origin=origin,
            max_concurrency=max(1, limit(params.get("MaxConcurrency", "50"), len(nodes))),
            max_errors=limit(params.get("MaxErrors", "0"), len(nodes)),
            invocations={node.id: Invocation(node) for node in nodes},
        )
        command.queue.extend(command.invocations.values())
        self._commands.setdefault((account, region), {})[command.id] = command
        self._world.clock.after(1, lambda: self._go_on(command))
        if nodes:
            by_turn = self._world.switches.delivery_timeout == "turn"
            lasts = command.timeout + EXECUTION_TIMEOUT if by_turn else command.timeout
            command.expiry = self._world.clock.after(lasts, lambda: self._expire(command))
        return command

    def found(self, account: str, region: str, params: Params) -> list[Node]:
        """The nodes that SSM knows and that every target names."""
        known = [
            node
            for node in self._world.organization.nodes_at(account, region)
            if node.managed and node.state != "terminated"
        ]
        if bool(params.get("InstanceIds")) == bool(params.get("Targets")):
            raise ServiceError("InvalidParameters", "Give either InstanceIds or Targets, and not both.")
        if ids := params.get("InstanceIds"):
            if len(set(ids)) != len(ids):
                raise ServiceError("DuplicateInstanceId", "")
            missing = set(ids) - {node.id for node in known}
            if missing:
                raise ServiceError(
                    "InvalidInstanceId",
                    f"Instances [[{', '.join(sorted(missing))}]] not in a valid state for account {account}",
                )
            return [node for node in known if node.id in ids]
        for target in params["Targets"]:
            known = self._narrowed(known, account, region, target["Key"], target.get("Values", []))
        return known

    def _narrowed(self, known: Iterable[Node], account: str, region: str, key: str, values: list[str]) -> list[Node]:
        match key.partition(":"):
            case ("tag", ":", tag):
                return [node for node in known if node.tagged({tag: values})]
            case ("tag-key", "", ""):
                return [node for node in known if any(value in node.tags for value in values)]
            case ("InstanceIds" | "instanceids", "", ""):
                return [node for node in known if node.id in values]
            case ("resource-groups", ":", "Name"):
                members = self._members(account, region, values)
                return [node for node in known if node.id in members]
            case ("resource-groups", ":", "ResourceTypeFilters"):
                return list(known)
        raise ServiceError("InvalidParameters", f"{key} is not a target key of Run Command.")

    def _members(self, account: str, region: str, names: list[str]) -> set[str]:
        members: set[str] = set()
        for name in names:
            group = self._world.organization.groups.get((account, region, name))
            if group is None:
                raise ServiceError("InvalidParameters", f"The resource group {name} does not exist.")
            members |= {node.id for node in self._world.organization.members(group)}
        return members

    # --- rolling out ----------------------------------------------------------------------------------------------

    def _go_on(self, command: Command) -> None:
        """Let as many nodes have their turn as may, or end the command when there are none left."""
        if command.over:
            return
        if command.errors > command.max_errors:
            self._drop(command, "Terminated")
        while command.queue and command.running < command.max_concurrency:
            self._turn(command, command.queue.popleft())
        if command.ended == len(command.invocations):
            self._end(command)

    def _turn(self, command: Command, invocation: Invocation) -> None:
        command.running += 1
        command.status = command.details = "InProgress"
        latency = self._world.random("delivery", command.id, invocation.node.id).uniform(1, 4)
        self._world.clock.after(latency, lambda: self._arrive(command, invocation))
        if self._world.switches.delivery_timeout == "turn":
            self._world.clock.after(command.timeout, lambda: self._expire_one(command, invocation))

    def _expire_one(self, command: Command, invocation: Invocation) -> None:
        if invocation.delivered_at is None and not invocation.over:
            self._finish(command, invocation, "DeliveryTimedOut")

    def _arrive(self, command: Command, invocation: Invocation) -> None:
        node = invocation.node
        if invocation.over:
            return
        if command.patches:
            self._world.await_node(command.origin, node)
        if node.state in ("stopped", "terminated"):
            self._finish(command, invocation, "Undeliverable")
        elif node.reachable:
            self._deliver(command, invocation)
        else:
            invocation.details = "Delayed"
            self._waiting.setdefault(node.id, []).append((command, invocation))

    def wake(self, node: Node) -> None:
        """Deliver what waited for the node's agent."""
        for command, invocation in self._waiting.pop(node.id, []):
            if not invocation.over:
                self._arrive(command, invocation)

    def _expire(self, command: Command) -> None:
        """The delivery timeout: what has not reached its node by now never will."""
        queued = set(map(id, command.queue))
        command.queue.clear()
        for invocation in command.invocations.values():
            if invocation.delivered_at is None and not invocation.over:
                self._finish(command, invocation, "DeliveryTimedOut", had_turn=id(invocation) not in queued)

    def _drop(self, command: Command, details: str) -> None:
        """Give up every invocation that has not had its turn."""
        while command.queue:
            invocation = command.queue.popleft()
            invocation.details, invocation.ended_at = details, self._world.clock.now
            command.ended += 1

    def cancel(self, account: str, region: str, command_id: str, instances: Iterable[str] = ()) -> None:
        """Cancel what has not been delivered. Best effort: what runs on a node runs on."""
        command = self.get(account, region, command_id)
        wanted = set(instances)
        if command.over:
            return
        command.cancelled = command.cancelled or not wanted
        for invocation in list(command.invocations.values()):
            if invocation.delivered_at is None and not invocation.over and (not wanted or invocation.node.id in wanted):
                queued = invocation in command.queue
                if queued:
                    command.queue.remove(invocation)
                self._finish(command, invocation, "Cancelled", had_turn=not queued)

    # --- on the node ----------------------------------------------------------------------------------------------

    def _deliver(self, command: Command, invocation: Invocation) -> None:
        clock = self._world.clock
        invocation.details, invocation.delivered_at = "InProgress", clock.now
        count = self._sent[invocation.node.id] = self._sent.get(invocation.node.id, 0) + 1
        chance = self._world.random("on node", invocation.node.id, command.document, count)
        if command.patches:
            self._patch(command, invocation, chance)
        else:
            clock.after(chance.uniform(5, 20), lambda: self._report(command, invocation, script(command)))

    def _patch(self, command: Command, invocation: Invocation, chance: random.Random) -> None:
        node, clock = invocation.node, self._world.clock
        wish = Wish.of(command.parameters)
        clashed = node.id in self._patching
        self._world.deliver(self._delivery(command, node, wish, clashed=clashed))
        if clashed:
            clock.after(chance.uniform(5, 20), lambda: self._report(command, invocation, clash(chance)))
            return
        self._patching[node.id] = (command, invocation)
        what = course(node, wish, clock.now, chance)
        if what.reboot_after is not None:
            clock.after(what.reboot_after, lambda: self._world.set_ping(node, Ping.LOST))
        if what.gone_after is not None:
            clock.after(what.gone_after, lambda: self._world.set_state(node, "terminated"))
        if what.report is None:
            clock.after(EXECUTION_TIMEOUT, lambda: self._time_out(command, invocation))
            return
        report = what.report
        clock.after(what.lasts, lambda: self._come_back(command, invocation, what, report))

    def _delivery(self, command: Command, node: Node, wish: Wish, *, clashed: bool) -> Delivery:
        return Delivery(
            node=node.id,
            account=node.account,
            region=node.region,
            at=self._world.clock.now,
            operation=wish.operation,
            snapshot=wish.snapshot_id,
            command=command.id,
            root=command.origin.root,
            run=command.origin.run,
            reboot_option=wish.reboot_option,
            missing=node.missing,
            clashed=clashed,
        )

    def _come_back(self, command: Command, invocation: Invocation, what: Course, report: Report) -> None:
        node = invocation.node
        if node.state != "running":  # it went down under the patches, and nobody hears of them again
            self._world.lose(command.id, node)
            self._world.clock.after(EXECUTION_TIMEOUT - what.lasts, lambda: self._time_out(command, invocation))
            return
        del self._patching[node.id]
        if what.state is not None:
            if what.state.operation == "Install":
                left = max(0, what.state.failed)
                node.installed, node.missing = node.installed + node.missing - left, left
            state = replace(what.state, execution_id=command.id)
            self._write(node, state, self._world.switches.evidence_delay + what.evidence_late)
        if what.overwrite is not None:
            overwrite = what.overwrite
            self._world.clock.after(OVERWRITTEN_AFTER, lambda: self._overwrite(node, overwrite))
        self._report(command, invocation, report)
        if what.reboot_after is not None:
            self._world.set_ping(node, Ping.ONLINE)

    def _write(self, node: Node, state: PatchState, delay: timedelta) -> None:
        """Let the state become visible, in place of whatever is known then."""
        self._world.clock.after(delay, lambda: setattr(node, "patch_state", state))

    def _overwrite(self, node: Node, state: PatchState) -> None:
        """Somebody else's scan of the node, as soon over as it is seen: their command, and the state that it leaves."""
        if node.state != "running":
            return
        now = self._world.clock.now
        parameters = {"Operation": state.operation, "SnapshotId": state.snapshot_id}
        command = Command(
            id=self._world.new_id("foreign command"),  # a kind of its own: ours have the same ids with it and without
            account=node.account,
            region=node.region,
            params={
                "DocumentName": PATCH_DOCUMENT,
                "Comment": FOREIGN_COMMENT,
                "InstanceIds": [node.id],
                "Parameters": {name: [value] for name, value in parameters.items()},
            },
            parameters=dict(parameters),
            requested_at=now,
            origin=Origin(),
            max_concurrency=1,
            max_errors=0,
            invocations={node.id: Invocation(node, "Success", now, now, 0, "Scan finished\n")},
            status="Success",
            details="Success",
            ended=1,
        )
        self._commands.setdefault((node.account, node.region), {})[command.id] = command
        node.patch_state = replace(state, execution_id=command.id, started_at=now, ended_at=now)

    def _time_out(self, command: Command, invocation: Invocation) -> None:
        self._patching.pop(invocation.node.id, None)
        self._finish(command, invocation, "ExecutionTimedOut")

    def _report(self, command: Command, invocation: Invocation, report: Report) -> None:
        invocation.exit_code, invocation.output, invocation.error = report.exit_code, report.output, report.error
        self._finish(command, invocation, "Success" if report.exit_code == 0 else "Failed")

    def _finish(self, command: Command, invocation: Invocation, details: str, *, had_turn: bool = True) -> None:
        invocation.details, invocation.ended_at = details, self._world.clock.now
        command.running -= had_turn
        command.ended += 1
        command.errors += details not in _NO_ERROR
        self._go_on(command)

    # --- the end --------------------------------------------------------------------------------------------------

    def _end(self, command: Command) -> None:
        if command.expiry is not None:
            command.expiry.cancel()
        command.status, command.details = self._verdict(command)
        for tell in command.on_end:
            tell(command)

    def _verdict(self, command: Command) -> tuple[str, str]:
        if not command.invocations:
            return self._world.switches.zero_targets, "NoInstancesInTag"
        if command.errors > command.max_errors:
            return "Failed", "Failed"
        if command.cancelled:
            return "Cancelled", "Cancelled"
        counted = {one.details for one in command.invocations.values()} - set(_NOT_COUNTED)
        if not counted:
            return "Failed", "Failed"
        if counted == {"Success"}:
            return "Success", "Success"
        if counted == {"DeliveryTimedOut"}:
            return "TimedOut", "DeliveryTimedOut"
        return self._world.switches.incomplete_command, "Incomplete"


# --- what AWS says of them ----------------------------------------------------------------------------------------------


def as_command(command: Command) -> Params:
    """A Command."""
    invocations = command.invocations.values()
    asked = ("Comment", "Parameters", "MaxConcurrency", "MaxErrors", "DocumentVersion")
    return {name: command.params[name] for name in asked if name in command.params} | {
        "CommandId": command.id,
        "DocumentName": command.document,
        "RequestedDateTime": command.requested_at,
        "ExpiresAfter": command.requested_at + command.timeout + EXECUTION_TIMEOUT,
        "InstanceIds": command.params.get("InstanceIds", []),
        "Targets": command.params.get("Targets", []),
        "Status": command.status,
        "StatusDetails": command.details,
        "TargetCount": len(invocations),
        "CompletedCount": command.ended,
        "ErrorCount": command.errors,
        "DeliveryTimedOutCount": sum(one.details == "DeliveryTimedOut" for one in invocations),
        "TimeoutSeconds": int(command.timeout.total_seconds()),
    }


def script(command: Command) -> Report:
    """What a script comes to: the code of the first `exit` in it, 0 without one."""
    text = "\n".join(str(line) for line in command.parameters.get("commands", ()))
    found = re.search(r"^\s*exit (\d+)", text, re.MULTILINE)
    code = int(found[1]) if found else 0
    return Report(code, "done\n") if code == 0 else Report(code, "", f"failed to run commands: exit status {code}")


def as_invocation(command: Command, invocation: Invocation, *, details: bool) -> Params:
    """A CommandInvocation, with its plugins when details are wanted."""
    return {
        "CommandId": command.id,
        "InstanceId": invocation.node.id,
        "InstanceName": invocation.node.tags.get("Name", ""),
        "Comment": command.params.get("Comment", ""),
        "DocumentName": command.document,
        "DocumentVersion": command.params.get("DocumentVersion", "$DEFAULT"),
        "RequestedDateTime": command.requested_at,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
        "CommandPlugins": _plugins(command, invocation) if details and invocation.delivered_at else [],
    }


def _plugins(command: Command, invocation: Invocation) -> list[Params]:
    """The document's steps; that of another platform is skipped, and counts as a success with exit code 0."""
    ours = "PatchWindows" if invocation.node.platform == "Windows" else "PatchLinux"
    if not command.patches:
        return [_plugin("aws:runShellScript", invocation)]
    return [
        _plugin(name, invocation) if name == ours else _skipped(name, invocation)
        for name in ("PatchWindows", "PatchLinux")
    ]


def _plugin(name: str, invocation: Invocation) -> Params:
    text = invocation.output + (f"\n----------ERROR-------\n{invocation.error}" if invocation.error else "")
    return present(
        Name=name,
        Status=invocation.status if invocation.status != "Delayed" else "Pending",
        StatusDetails=invocation.details,
        ResponseCode=-1 if invocation.exit_code is None else invocation.exit_code,
        ResponseStartDateTime=invocation.delivered_at,
        ResponseFinishDateTime=invocation.ended_at,
        Output=text[-2500:],
    )


def _skipped(name: str, invocation: Invocation) -> Params:
    platform = name.removeprefix("Patch")
    return present(
        Name=name,
        Status="Success",
        StatusDetails="Success",
        ResponseCode=0,
        ResponseStartDateTime=invocation.delivered_at,
        ResponseFinishDateTime=invocation.delivered_at,
        Output=f"Step execution skipped due to unsupported platform: '\"StringEquals\": [platformType, {platform}]'. Step name: {name}",
    )


def as_result(command: Command, invocation: Invocation) -> Params:
    """What GetCommandInvocation answers."""
    return {
        "CommandId": command.id,
        "InstanceId": invocation.node.id,
        "Comment": command.params.get("Comment", ""),
        "DocumentName": command.document,
        "DocumentVersion": command.params.get("DocumentVersion", "$DEFAULT"),
        "PluginName": "",
        "ResponseCode": -1 if invocation.exit_code is None else invocation.exit_code,
        "ExecutionStartDateTime": _iso(invocation.delivered_at),
        "ExecutionElapsedTime": "",  # AWS says PT1.2S, which its own model does not allow
        "ExecutionEndDateTime": _iso(invocation.ended_at),
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "StandardOutputContent": invocation.output[:24000],
        "StandardErrorContent": invocation.error[:8000],
    }


def _iso(when: datetime | None) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}" if when else ""
