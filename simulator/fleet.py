"""Who is there: an organisation with its units and accounts, the nodes in them, and what a node makes of a patch command."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

EXECUTION_ROLE = "AWS-SystemsManager-AutomationExecutionRole"
ADMINISTRATION_ROLE = "AWS-SystemsManager-AutomationAdministrationRole"
AUTOMATION = "ssm.amazonaws.com"

Operation = Literal["Scan", "Install"]
Platform = Literal["Linux", "Windows"]
State = Literal["pending", "running", "stopping", "stopped", "terminated"]

FORGOTTEN_AFTER = timedelta(hours=1)  # an instance's end; until then AWS still shows it


class Behaviour(StrEnum):
    """What becomes of an Install on a node."""

    HEALTHY = "healthy"
    DISK_FULL = "disk-full"
    REPO_DOWN = "repo-down"
    PKG_LOCK = "pkg-lock"
    PATCH_FAILS = "patch-fails"
    AGENT_LOST_AFTER_REBOOT = "agent-lost-after-reboot"
    AGENT_OFFLINE = "agent-offline"
    NOT_MANAGED = "not-managed"
    FALSE_FAILURE = "false-failure"
    PENDING_REBOOT = "pending-reboot"
    OVERWRITTEN = "overwritten"
    SENTINEL = "sentinel"
    SLOW_EVIDENCE = "slow-evidence"
    NOEXEC = "noexec"
    NO_PYTHON = "no-python"
    PKG_CONFLICT = "pkg-conflict"
    REPO_METADATA = "repo-metadata"
    WINDOWS_UPDATE = "windows-update"
    WSUS_UNREACHABLE = "wsus-unreachable"
    OUT_OF_MEMORY = "out-of-memory"
    NO_PERMISSION = "no-permission"
    SLOW = "slow"
    TERMINATED = "terminated"


_OF_WINDOWS = frozenset({Behaviour.WINDOWS_UPDATE, Behaviour.WSUS_UNREACHABLE})
_SYSTEMS: Mapping[Platform, tuple[str, str]] = {
    "Linux": ("Amazon Linux", "2023"),
    "Windows": ("Microsoft Windows Server 2022 Datacenter", "10.0.20348"),
}
_DEBIAN = ("Debian GNU/Linux", "12")


class Ping(StrEnum):
    """What SSM knows of a node's agent."""

    ONLINE = "Online"
    LOST = "ConnectionLost"
    NEVER = ""


@dataclass(frozen=True)
class PatchState:
    """What Patch Manager keeps of a node: the last operation of whoever it was."""

    operation: Operation
    snapshot_id: str
    started_at: datetime
    ended_at: datetime
    installed: int = 0
    installed_other: int = 0
    missing: int = 0
    failed: int = 0
    pending_reboot: int = 0
    rejected: int = 0
    not_applicable: int = 0
    critical_non_compliant: int = 0
    security_non_compliant: int = 0
    other_non_compliant: int = 0
    reboot_option: str = "RebootIfNeeded"
    install_override_list: str = ""
    baseline_id: str = "pb-0a7f3c2e1d4b5a698"
    execution_id: str = ""  # the command that wrote it


@dataclass(eq=False)
class Node:
    """A server: an EC2 instance, or a machine elsewhere (`mi-`) that SSM manages."""

    id: str
    account: str
    region: str
    name: str
    behaviour: Behaviour = Behaviour.HEALTHY
    tags: dict[str, str] = field(default_factory=dict)
    platform: Platform = "Linux"
    platform_name: str = "Amazon Linux"
    platform_version: str = "2023"
    state: State = "running"
    ping: Ping = Ping.ONLINE
    pinged_at: datetime | None = None
    installed: int = 120
    missing: int = 4
    rejected: int = 0
    patch_group: str = ""
    patch_state: PatchState | None = None

    @property
    def managed(self) -> bool:
        """Whether SSM knows it."""
        return self.ping is not Ping.NEVER

    @property
    def reachable(self) -> bool:
        """Whether a command would be delivered to it now."""
        return self.ping is Ping.ONLINE and self.state == "running"

    @property
    def arn(self) -> str:
        """Its ARN, as tagging and resource groups name it."""
        service, kind = ("ssm", "managed-instance") if self.id.startswith("mi-") else ("ec2", "instance")
        return f"arn:aws:{service}:{self.region}:{self.account}:{kind}/{self.id}"

    def tagged(self, filters: Mapping[str, Iterable[str]]) -> bool:
        """Whether it carries every one of these tags, each with one of the values (none given: with any)."""
        return all(
            key in self.tags and (not (some := tuple(values)) or self.tags[key] in some)
            for key, values in filters.items()
        )


@dataclass(eq=False)
class Account:
    """An AWS account. A role's principals say who may assume it; None trusts the hub account and SSM, as our StackSet does."""

    id: str
    name: str
    unit_id: str
    state: Literal["PENDING_ACTIVATION", "ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "CLOSED"] = "ACTIVE"
    roles: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    regions: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Unit:
    """An organizational unit; the root is one without a parent."""

    id: str
    name: str
    parent: str | None


@dataclass(frozen=True)
class Group:
    """A resource group: EC2 instances of one location that carry all of these tags."""

    name: str
    account: str
    region: str
    tags: Mapping[str, tuple[str, ...]]


class Organization:
    """The accounts of a company, from its root down to its nodes."""

    def __init__(self, hub: str, regions: Iterable[str], seed: int = 0, management: str | None = None) -> None:
        self._random = random.Random(f"organization {seed}")  # noqa: S311 - a story, not a secret
        self.id = f"o-{self._letters(10)}"
        self.root = Unit(f"r-{self._letters(4)}", "Root", None)
        self.hub = hub
        self.management = management or hub
        self.regions = tuple(regions)
        self.units: dict[str, Unit] = {self.root.id: self.root}
        self.accounts: dict[str, Account] = {}
        self.nodes: dict[str, Node] = {}
        self.groups: dict[tuple[str, str, str], Group] = {}
        self._by_location: dict[tuple[str, str], list[Node]] = {}
        self.add_account("hub", id=hub, roles={ADMINISTRATION_ROLE: (AUTOMATION,)})
        if self.management != hub:
            self.add_account("management", id=self.management, roles={})

    @classmethod
    def build(cls, hub: str = "111111111111", regions: Iterable[str] = ("eu-west-1",), seed: int = 0) -> Organization:
        """An organisation with nothing but its root and its hub account, which is also the management account."""
        return cls(hub, regions, seed)

    def _letters(self, count: int) -> str:
        return "".join(self._random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=count))

    # --- making it ------------------------------------------------------------------------------------------------

    def add_unit(self, name: str, parent: Unit | None = None) -> Unit:
        """A new unit below the parent, or below the root."""
        prefix = self.root.id.removeprefix("r-")
        unit = Unit(f"ou-{prefix}-{self._letters(8)}", name, (parent or self.root).id)
        self.units[unit.id] = unit
        return unit

    def add_account(
        self,
        name: str,
        unit: Unit | None = None,
        *,
        id: str | None = None,  # noqa: A002 - AWS's own word
        roles: Mapping[str, tuple[str, ...] | None] | None = None,
        regions: Iterable[str] | None = None,
    ) -> Account:
        """A new account in the unit. It has the execution role, and the organisation's Regions, unless told otherwise."""
        account = Account(
            id or f"2{self._random.randrange(10**11):011d}",
            name,
            (unit or self.root).id,
            roles=dict({EXECUTION_ROLE: None} if roles is None else roles),
            regions=set(self.regions if regions is None else regions),
        )
        self.accounts[account.id] = account
        return account

    def add_node(
        self,
        account: Account,
        region: str,
        name: str,
        behaviour: Behaviour = Behaviour.HEALTHY,
        *,
        tags: Mapping[str, str] | None = None,
        platform: Platform | None = None,
        missing: int = 4,
        hybrid: bool = False,
    ) -> Node:
        """A new running node. Its agent, and its platform where none is named, are as the behaviour wants them."""
        platform = platform or ("Windows" if behaviour in _OF_WINDOWS else "Linux")
        apt = platform == "Linux" and behaviour is Behaviour.NO_PYTHON
        system, version = _DEBIAN if apt else _SYSTEMS[platform]
        ping = {Behaviour.AGENT_OFFLINE: Ping.LOST, Behaviour.NOT_MANAGED: Ping.NEVER}.get(behaviour, Ping.ONLINE)
        node = Node(
            f"{'mi' if hybrid else 'i'}-0{self._random.getrandbits(64):016x}",
            account.id,
            region,
            name,
            behaviour,
            tags={"Name": name, **(tags or {})},
            platform=platform,
            platform_name=system,
            platform_version=version,
            ping=ping,
            missing=missing,
        )
        self.nodes[node.id] = node
        self._by_location.setdefault((account.id, region), []).append(node)
        return node

    def add_group(self, account: Account, region: str, name: str, tags: Mapping[str, Iterable[str]]) -> Group:
        """A new resource group of the instances with these tags."""
        group = Group(name, account.id, region, {key: tuple(values) for key, values in tags.items()})
        self.groups[account.id, region, name] = group
        return group

    def forget(self, node: Node) -> None:
        """Show the node to nobody any more. It stays in `nodes`, so that what became of it can still be told."""
        self._by_location[node.account, node.region].remove(node)

    # --- asking it ------------------------------------------------------------------------------------------------

    def nodes_at(self, account: str, region: str) -> list[Node]:
        """The nodes of one location, oldest first."""
        return self._by_location.get((account, region), [])

    def members(self, group: Group) -> list[Node]:
        """The instances of a resource group; hybrid machines are no EC2 instances."""
        found = self.nodes_at(group.account, group.region)
        return [node for node in found if node.id.startswith("i-") and node.tagged(group.tags)]

    def accounts_in(self, unit_id: str) -> list[Account]:
        """The accounts directly in the unit."""
        return [account for account in self.accounts.values() if account.unit_id == unit_id]

    def units_in(self, unit_id: str) -> list[Unit]:
        """The units directly in the unit."""
        return [unit for unit in self.units.values() if unit.parent == unit_id]

    def below(self, unit_id: str) -> Iterator[Account]:
        """The accounts in the unit and in every unit below it."""
        yield from self.accounts_in(unit_id)
        for unit in self.units_in(unit_id):
            yield from self.below(unit.id)

    def path(self, unit_id: str) -> str:
        """Where a unit stands, as Organizations writes it: o-…/r-…/ou-…/."""
        unit = self.units[unit_id]
        return f"{self.id}/{unit.id}/" if unit.parent is None else f"{self.path(unit.parent)}{unit.id}/"

    def enabled(self, account: str, region: str) -> bool:
        """Whether the account exists and uses the Region."""
        return account in self.accounts and region in self.accounts[account].regions

    def trusts(self, role_account: str, role: str, principal: str) -> bool:
        """Whether the role exists there and lets the principal (an ARN, or a service) assume it."""
        account = self.accounts.get(role_account)
        if account is None or account.state != "ACTIVE" or role not in account.roles:
            return False
        named = account.roles[role]
        if named is None:
            named = (self.hub, AUTOMATION)
        return any(_is(name, principal) for name in named)


def _is(name: str, principal: str) -> bool:
    """Whether the principal that a trust policy names is this one. An account's root speaks for its roles as well."""
    if name in ("*", principal):
        return True
    if not principal.startswith("arn:"):
        return False
    account = principal.split(":")[4]
    if name in (account, f"arn:aws:iam::{account}:root"):
        return True
    if principal.endswith(":root"):  # the key of a whole account may play any role of it
        return name.startswith(f"arn:aws:iam::{account}:")
    if ":assumed-role/" in principal:
        return name == f"arn:aws:iam::{account}:role/{principal.split('/')[1]}"
    return False


# --- what a node makes of a patch command -------------------------------------------------------------------------------

OVERWRITTEN_AFTER = timedelta(minutes=1)
EVIDENCE_LATE = timedelta(minutes=4)
SLOWLY = timedelta(hours=3)  # longer than a patch command may take, so AWS gives up on it before
FOREIGN_SNAPSHOT = "5eeda5ca-0000-4000-8000-000000000000"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAYLOAD = "patch-baseline-operations-1.161.tar.gz"


@dataclass(frozen=True)
class Wish:
    """What a patch command asks of a node."""

    operation: Operation
    snapshot_id: str
    reboot_option: str
    install_override_list: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Wish:
        """The wish that AWS-RunPatchBaseline's parameters express. Without a snapshot id a node gets one of its own."""
        return cls(
            parameters["Operation"],
            parameters["SnapshotId"],
            parameters["RebootOption"],
            parameters["InstallOverrideList"],
        )


@dataclass(frozen=True)
class Report:
    """What the agent reports in the end."""

    exit_code: int
    output: str
    error: str = ""


@dataclass(frozen=True)
class Course:
    """What will happen on a node. Without a report it is never heard of again."""

    lasts: timedelta
    report: Report | None
    reboot_after: timedelta | None = None
    gone_after: timedelta | None = None
    state: PatchState | None = None
    overwrite: PatchState | None = None
    evidence_late: timedelta = timedelta(0)


def clash(chance: random.Random) -> Report:
    """What comes of a patch command while another one is at work: they trip over each other's files."""
    if chance.random() < 0.5:
        return Report(
            155,
            f"Extracting {_PAYLOAD}\n",
            f"Unable to extract tar file {_PAYLOAD}\nfailed to run commands: exit status 155",
        )
    return Report(
        152, "", "ImportError: cannot import name 'patch_states_configuration'\nfailed to run commands: exit status 152"
    )


def course(node: Node, wish: Wish, now: datetime, chance: random.Random) -> Course:
    """What a patch command that reaches the node now will do to it."""
    if not wish.snapshot_id:
        wish = replace(wish, snapshot_id=f"{chance.getrandbits(32):08x}-0000-4000-8000-000000000000")
    return _scan(node, wish, now, chance) if wish.operation == "Scan" else _install(node, wish, now, chance)


def _scan(node: Node, wish: Wish, now: datetime, chance: random.Random) -> Course:
    lasts = timedelta(minutes=chance.uniform(1, 3))
    state = _state(node, wish, now, now + lasts)
    if node.behaviour is Behaviour.SENTINEL:
        state = _sentinel(state)
    overwrite = _foreign_scan(state, now + lasts) if node.behaviour is Behaviour.OVERWRITTEN else None
    return Course(lasts, _success(node, wish), state=state, overwrite=overwrite)


def _install(node: Node, wish: Wish, now: datetime, chance: random.Random) -> Course:
    works = timedelta(minutes=chance.uniform(*((12, 25) if node.platform == "Windows" else (6, 18))))
    away = timedelta(minutes=chance.uniform(2, 4))
    broken = _broken(node, chance)
    if broken is not None:
        return broken
    reboots = wish.reboot_option == "RebootIfNeeded" and node.missing > 0
    if node.behaviour is Behaviour.AGENT_LOST_AFTER_REBOOT:
        return Course(works, None, reboot_after=works)
    if node.behaviour is Behaviour.SLOW:
        return Course(SLOWLY, None)
    if node.behaviour is Behaviour.PKG_CONFLICT:
        # The transaction is given up as a whole, so there is nothing to reboot for.
        state = _after_install(node, wish, now, now + works, reboots=False)
        return Course(works, _conflict(), state=state)
    lasts = works + away if reboots else works
    state = _after_install(node, wish, now, now + lasts, reboots=reboots)
    done = Course(lasts, _success(node, wish), works if reboots else None, state=state)
    match node.behaviour:
        case Behaviour.PATCH_FAILS:
            return replace(done, report=_one_failed(node))
        case Behaviour.FALSE_FAILURE:
            return replace(done, report=Report(1, _summary(node, wish), "failed to run commands: exit status 1"))
        case Behaviour.OVERWRITTEN:
            return replace(done, overwrite=_foreign_scan(state, now + lasts))
        case Behaviour.SENTINEL:
            return replace(done, state=_sentinel(state))
        case Behaviour.SLOW_EVIDENCE:
            return replace(done, evidence_late=EVIDENCE_LATE)
        case Behaviour.TERMINATED:
            return replace(done, gone_after=works / 2)
    return done


def _broken(node: Node, chance: random.Random) -> Course | None:
    """Where an Install gives up before it touches a patch: no patch state comes of it."""
    soon = timedelta(minutes=chance.uniform(1, 2))
    match node.behaviour:
        case Behaviour.DISK_FULL:
            error = f"tar: {_PAYLOAD}: Cannot write: No space left on device\nUnable to extract tar file\nfailed to run commands: exit status 155"
            return Course(soon, Report(155, "Downloading payload\n", error))
        case Behaviour.REPO_DOWN:
            url = f"https://s3.dualstack.{node.region}.amazonaws.com/aws-ssm-{node.region}/patchbaselineoperations/{_PAYLOAD}"
            return Course(
                soon, Report(156, "", f"Unable to download payload: {url}\nfailed to run commands: exit status 156")
            )
        case Behaviour.PKG_LOCK:
            output = "Another app is currently holding the yum lock; waiting for it to exit...\n  The other application is: yum\n"
            return Course(
                soon * 5, Report(1, output, "Existing lock /var/run/yum.pid\nfailed to run commands: exit status 1")
            )
        case Behaviour.NOEXEC:
            return Course(soon, _exit(126, f"sh: {_FOLDER.format(node.id)}/_script.sh: Permission denied"))
        case Behaviour.NO_PYTHON:
            found = "An unsupported package manager and python version combination was found. Apt requires Python3 to be installed.\n"
            return Course(soon, _exit(1, output=found))
        case Behaviour.REPO_METADATA:
            return Course(soon, _exit(1, _NO_METADATA))
        case Behaviour.WINDOWS_UPDATE:  # WU_E_DS_NODATA: its own data store is damaged
            return Course(soon, _exit(4294967295, _NO_SEARCH.format("0x80248007"), _MODULE))
        case Behaviour.WSUS_UNREACHABLE:  # WU_E_PT_WINHTTP_NAME_NOT_RESOLVED
            return Course(soon, _exit(4294967295, _NO_SEARCH.format("0x8024402C"), _MODULE + _NOTHING_FOUND))
        case Behaviour.OUT_OF_MEMORY:
            killed = f"{_FOLDER.format(node.id)}/_script.sh: line 187: 21345 Killed  python3 ./main_entrance.py"
            return Course(soon * 5, _exit(137, killed, "Running transaction\n"))
        case Behaviour.NO_PERMISSION:
            return Course(soon, _exit(1, _not_authorized(node)))
    return None


_FOLDER = "/var/lib/amazon/ssm/{}/document/orchestration/awsrunShellScript/PatchLinux"
_NO_METADATA = (
    "https://cdn.amazonlinux.com/core/mirrors/2023/x86_64/repodata/repomd.xml: [Errno 14] HTTP Error 503 - Service Unavailable\n"
    "Trying other mirror.\n"
    "Cannot retrieve repository metadata (repomd.xml) for repository: amazonlinux. Please verify its path and try again\n"
    "failure: repodata/repomd.xml from amazonlinux: [Errno 256] No more mirrors to try."
)
_MODULE = "Successfully downloaded and installed the PatchBaselineOperations PowerShell module.\n"
_NOTHING_FOUND = (
    "OperationStartTime : 1970-01-01T00:00:00.0000000Z\n"
    "OperationEndTime : 1970-01-01T00:00:00.0000000Z\n"
    "InstalledCount : -1\n"
    "FailedCount : -1\n"
    "MissingCount : -1\n"
)
_NO_SEARCH = (
    "Invoke-PatchBaselineOperation : Exception Details: An error occurred when attempting to search Windows Update.\n"
    "Exception Level 1:\n"
    " Error Message: Exception from HRESULT: {}\n"
    " Stack Trace: at WUApiLib.IUpdateSearcher.Search(String criteria)"
)


def _exit(code: int, error: str = "", output: str = "") -> Report:
    """What the agent reports of a script that gave up: its words, and the sentence that the agent adds to them."""
    said = f"{error}\n" if error else ""
    return Report(code, output, f"{said}failed to run commands: exit status {code}")


def _not_authorized(node: Node) -> str:
    action, role = "GetDeployablePatchSnapshotForInstance", f"arn:aws:sts::{node.account}:assumed-role/web/{node.id}"
    return (
        f"An error occurred (AccessDeniedException) when calling the {action} operation: User: {role} is not authorized to "
        f"perform: ssm:{action} on resource: {node.arn} because no identity-based policy allows the ssm:{action} action"
    )


def _conflict() -> Report:
    problem = (
        "Error: \n"
        " Problem: package httpd-core-2.4.62-1.amzn2023.x86_64 conflicts with mod_http2 < 2.0.26 provided by "
        "mod_http2-2.0.11-2.amzn2023.x86_64\n"
        "  - cannot install the best update candidate for package httpd-core-2.4.59-2.amzn2023.x86_64"
    )
    return _exit(1, problem, "Resolving dependencies\n")


def _state(node: Node, wish: Wish, started_at: datetime, ended_at: datetime) -> PatchState:
    """The state after a Scan: nothing has changed on the node."""
    return PatchState(
        wish.operation,
        wish.snapshot_id,
        started_at,
        ended_at,
        installed=node.installed,
        missing=node.missing,
        rejected=node.rejected,
        security_non_compliant=node.missing,
        other_non_compliant=node.rejected,
        reboot_option=wish.reboot_option,
        install_override_list=wish.install_override_list,
    )


def _after_install(node: Node, wish: Wish, started_at: datetime, ended_at: datetime, *, reboots: bool) -> PatchState:
    """The state after an Install: it reports nothing as missing, what it could not do is failed."""
    failed = {Behaviour.PATCH_FAILS: 1, Behaviour.PKG_CONFLICT: node.missing or 1}.get(node.behaviour, 0)
    done = max(0, node.missing - failed)
    waits = (done or 1) if node.behaviour is Behaviour.PENDING_REBOOT else 0 if reboots else done
    return replace(
        _state(node, wish, started_at, ended_at),
        installed=node.installed + done - min(waits, done),
        missing=0,
        failed=failed,
        pending_reboot=waits,
        security_non_compliant=failed,
        other_non_compliant=node.rejected + waits,
    )


def _foreign_scan(state: PatchState, ended_at: datetime) -> PatchState:
    """What somebody else's scan, a minute later, makes of the state."""
    scanned_at = ended_at + OVERWRITTEN_AFTER
    return replace(state, operation="Scan", snapshot_id=FOREIGN_SNAPSHOT, started_at=scanned_at, ended_at=scanned_at)


def _sentinel(state: PatchState) -> PatchState:
    """What is written when the scan itself could not run."""
    return replace(
        state,
        started_at=_EPOCH,
        ended_at=_EPOCH,
        installed=-1,
        installed_other=-1,
        missing=-1,
        failed=-1,
        pending_reboot=-1,
        rejected=-1,
        not_applicable=-1,
        critical_non_compliant=0,
        security_non_compliant=0,
        other_non_compliant=0,
    )


def _summary(node: Node, wish: Wish) -> str:
    return (
        f"Running with snapshot id = {wish.snapshot_id} and operation = {wish.operation}\n"
        f"Patch compliance for {node.id}: {node.installed} installed, {node.missing} applicable\n"
    )


def _success(node: Node, wish: Wish) -> Report:
    return Report(0, _summary(node, wish))


def _one_failed(node: Node) -> Report:
    if node.platform == "Windows":
        return Report(
            1, "", "KB5034441 could not be installed: HRESULT 0x80070643\nfailed to run commands: exit status 1"
        )
    return Report(
        1,
        "",
        "Error: Transaction test error: kernel-6.1.92 failed its scriptlet\nfailed to run commands: exit status 1",
    )
