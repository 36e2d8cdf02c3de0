"""A campaign: what to patch, where, when and how fast, as the rules read it.

People write a document (see `document`); this is what is left when it was found valid. It is kept, numbered, as the
version in force, and a run keeps the version it was opened with to its end.
"""

from __future__ import annotations

from dataclasses import field
from datetime import date, timedelta
from typing import Literal

from patchtide.core.frozen import frozen
from patchtide.core.gate import Gate
from patchtide.core.schedule import Schedule

Operation = Literal["Install", "Scan"]
RebootOption = Literal["RebootIfNeeded", "NoReboot"]
WhenClosed = Literal["skip", "postpone"]

FLEET_RUNBOOK = "Patchtide-PatchFleet"
INSTANCE_RUNBOOK = "Patchtide-PatchInstance"
# What the runbook for instances takes that looks at an instance when it is patched, so that its patch state does not say all.
CHECKS = frozenset({"PreScript", "HealthScript", "PostScript", "RestoreOnFailure"})
BLOG_RUNBOOK = "Automation-RunPatchBaseline"
EXECUTION_ROLE = "AWS-SystemsManager-AutomationExecutionRole"

GROUP_KEY = "ResourceGroup"
IDS_KEY = "InstanceIds"


@frozen
class Target:
    """One condition on instances, spelled as Automation spells it: `tag:<key>`, `ResourceGroup` or `InstanceIds`."""

    key: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.values)}"

    def for_run_command(self) -> dict[str, object]:
        """As Run Command spells it, where a group is `resource-groups:Name`: the two are not interchangeable."""
        key = "resource-groups:Name" if self.key == GROUP_KEY else self.key
        return {"Key": key, "Values": list(self.values)}

    def for_automation(self) -> dict[str, object]:
        """As Automation spells it, where literal ids are `ParameterValues`."""
        key = "ParameterValues" if self.key == IDS_KEY else self.key
        return {"Key": key, "Values": list(self.values)}


@frozen
class Runbook:
    """The SSM Automation document that does the work in a location.

    With `target_parameter` Automation starts one execution per instance and names it in that parameter; without, the
    runbook itself reaches all targets of its location through Run Command.
    """

    name: str = FLEET_RUNBOOK
    version: str = "$DEFAULT"
    target_parameter: str | None = None
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)


@frozen
class Wave:
    """An ordered part of a campaign, with its own targets, locations, window, rate control and gate.

    `accounts` and `regions` are empty where they are the campaign's. `delay` is how many days after the run's first window
    the wave's own begins. `approval` says that it may not begin before a person said so. `max_instances` is the most that it
    may patch at all; 0 sets no limit.
    """

    name: str
    targets: tuple[Target, ...]
    accounts: tuple[str, ...]
    max_concurrency: str
    max_errors: str
    regions: tuple[str, ...] = ()
    delay: int = 0
    gate: Gate = field(default_factory=Gate)
    approval: bool = False
    max_instances: int = 0


@frozen
class Freeze:
    """Days on which nothing may start, first and last included, in the campaign's time zone."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


@frozen
class PatchException:
    """Instances that people spare, for a reason and until a day, which is the last one. Targets and accounts must both hold;
    empty, they hold for all of the campaign's."""

    reason: str
    approved_by: str
    expires: date
    targets: tuple[Target, ...] = ()
    accounts: tuple[str, ...] = ()
    ticket: str = ""

    def active(self, on: date) -> bool:
        """Whether it still spares anybody on that day."""
        return on <= self.expires

    def __str__(self) -> str:
        ticket = f" ({self.ticket})" if self.ticket else ""
        return f"excepted until {self.expires} by {self.approved_by}: {self.reason}{ticket}"


@frozen
class Notify:
    """How people hear of a campaign's runs. With `owners`, whoever follows an account also gets what went wrong in it alone; with
    `digest`, what asks for nothing is told once a day; `runbook` is a link that stands in every mail."""

    owners: bool = False
    digest: bool = False
    runbook: str = ""


@frozen
class Campaign:
    """One valid version of what people want patched.

    Limits (`max_concurrency` and so on) are AWS's strings, a count or a percentage. `accounts` may name organizational
    units and roots. A campaign without `schedule` is ad hoc: due at once, once. `calendars` are SSM Change Calendars by name
    or ARN; `freeze_files` are iCalendar files by their keys in the stack's bucket.
    """

    name: str
    accounts: tuple[str, ...]
    regions: tuple[str, ...]
    waves: tuple[Wave, ...]
    duration: timedelta
    cutoff: timedelta = timedelta(0)
    schedule: Schedule | None = None
    enabled: bool = True
    description: str = ""
    owner: str = ""
    exclude_accounts: tuple[str, ...] = ()
    include_child_units: bool = True
    operation: Operation = "Install"
    reboot_option: RebootOption = "RebootIfNeeded"
    install_override_list: str | None = None
    snapshot_id: str | None = None
    location_max_concurrency: str = "100%"
    location_max_errors: str = "100%"
    execution_role: str = EXECUTION_ROLE
    runbook: Runbook = field(default_factory=Runbook)
    calendars: tuple[str, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    freeze_files: tuple[str, ...] = ()
    on_calendar_closed: WhenClosed = "skip"
    exceptions: tuple[PatchException, ...] = ()
    notify: Notify = field(default_factory=Notify)

    @property
    def approval(self) -> bool:
        """Whether the first wave may not begin before a person said so."""
        return self.waves[0].approval

    @property
    def timezone(self) -> str:
        """The zone in which people read this campaign's times."""
        return self.schedule.timezone if self.schedule else "UTC"

    def wave(self, name: str) -> Wave:
        """The wave of that name."""
        return next(wave for wave in self.waves if wave.name == name)
