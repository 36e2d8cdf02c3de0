"""The campaign document that people write, and everything that can be wrong with it.

`read` takes a plain mapping (a DynamoDB item as boto3 gives it, or parsed YAML or JSON) and answers with the campaign or
with all its problems at once: unknown fields first, then each field by itself, then what two fields say together. A
person who fixes one error per edit has been told too little.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice, pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from patchtide.core.campaign import (
    BLOG_RUNBOOK,
    EXECUTION_ROLE,
    FLEET_RUNBOOK,
    INSTANCE_RUNBOOK,
    Campaign,
    Freeze,
    PatchException,
    Runbook,
    Target,
    Wave,
)
from patchtide.core.errors import InvalidCampaign
from patchtide.core.fields import (
    MAX_PARAMETER,
    MAX_TARGETS,
    AccountIds,
    Accounts,
    AlarmNames,
    Approve,
    Calendars,
    Closed,
    Concurrency,
    Day,
    Errors,
    Excluded,
    Expression,
    Freezes,
    Given,
    Most,
    Name,
    Offset,
    ParameterName,
    ParameterValues,
    Percent,
    Regions,
    RunbookName,
    Span,
    Targets,
    Text,
    TimeZone,
)
from patchtide.core.gate import Gate
from patchtide.core.problem import Problem
from patchtide.core.schedule import Schedule, occurrences

SNAPSHOT_DAYS = 3  # facts: AWS-RunPatchBaseline's SnapshotId

# What the service writes onto the item. A person's value there is ignored, and overwritten.
SERVICE_FIELDS = frozenset(
    {
        "status",
        "statusMessage",
        "statusDetail",
        "nextRunAt",
        "lastRunId",
        "lastRunStatus",
        "lastRunAt",
        "updatedBy",
        "specHash",
    }
)

# The runbook parameters that are Patchtide's to set, each with the field by which people say the same.
OUR_PARAMETERS = {
    "AutomationAssumeRole": "It is the hub's administration role",
    "InstallOverrideList": "Use installOverrideList",
    "MaxConcurrency": "Use maxConcurrency",
    "MaxErrors": "Use maxErrors",
    "NotAfter": "It follows from duration and cutoff",
    "Operation": "Use operation",
    "RebootOption": "Use rebootOption",
    "RunId": "It is the run's own",
    "SnapshotId": "Use snapshotId",
    "Targets": "Use targets",
}


@dataclass(frozen=True)
class Reading:
    """What came of reading a document: the campaign, or the problems that stand in its way; and what to think about."""

    campaign: Campaign | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def valid(self) -> Campaign:
        """The campaign; raises InvalidCampaign with all problems when there is none."""
        if self.campaign is None:
            raise InvalidCampaign(self.problems)
        return self.campaign


class _Document(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", arbitrary_types_allowed=True
    )


class GateDocument(_Document):
    """What must be true of a wave before the next may begin."""

    max_errors: Errors | None = None
    min_compliance: Percent | None = None
    soak: Span = timedelta(0)
    approval: Approve = "none"
    alarms: AlarmNames = []


class WaveDocument(_Document):
    """One wave: an ordered part of the campaign, narrower than the whole."""

    name: Name
    targets: Targets | None = None
    accounts: Accounts | None = None
    regions: Regions | None = None
    schedule_offset: Offset | None = None
    max_instances: Most | None = None
    gate: GateDocument | None = None
    max_concurrency: Concurrency | None = None
    max_errors: Errors | None = None


class ExceptionDocument(_Document):
    """Instances that are spared, for a reason and until a day."""

    targets: Targets | None = None
    accounts: AccountIds | None = None
    reason: Given
    approved_by: Given
    expires: Day
    ticket: Text = ""


class CampaignDocument(_Document):
    """A Patchtide campaign: what to patch, where, when and how fast."""

    campaign: Name
    duration: Span
    accounts: Accounts
    targets: Targets
    regions: Regions
    description: Text = ""
    owner: Text = ""
    ticket: Text = ""
    state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    schedule: Expression | None = None
    schedule_timezone: TimeZone = "UTC"
    schedule_offset: Offset = 0
    start_date: Day | None = None
    end_date: Day | None = None
    cutoff: Span = timedelta(hours=1)
    exclude_accounts: Excluded = []
    include_child_organization_units: bool = True
    operation: Literal["Install", "Scan"] = "Install"
    reboot_option: Literal["RebootIfNeeded", "NoReboot"] = "RebootIfNeeded"
    install_override_list: (
        Annotated[str, StringConstraints(max_length=256, pattern=r"^(s3|https)://[^{}\s]+$")] | None
    ) = None
    snapshot_id: (
        Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")] | None
    ) = None
    max_concurrency: Concurrency = "10%"
    max_errors: Errors = "10%"
    location_max_concurrency: Concurrency = "100%"
    location_max_errors: Errors = "100%"
    execution_role_name: Annotated[str, StringConstraints(pattern=r"^[\w+=,.@/-]{1,64}$")] = EXECUTION_ROLE
    runbook: RunbookName = FLEET_RUNBOOK
    runbook_version: Annotated[str, StringConstraints(pattern=r"^(\$LATEST|\$DEFAULT|[1-9][0-9]*)$")] = "$DEFAULT"
    target_parameter_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{0,49}$")] | None = None
    runbook_parameters: dict[ParameterName, ParameterValues] = {}
    max_instances: Most | None = None
    approval: Approve = "none"
    calendars: Calendars = []
    freeze: Freezes = []
    on_calendar_closed: Closed = "skip"
    exceptions: Annotated[list[ExceptionDocument], Field(max_length=50)] = []
    waves: Annotated[list[WaveDocument], Field(min_length=1, max_length=20)] | None = None


# What people write instead of our words. Each earned its place by being AWS's or a neighbour's name for the thing.
SYNONYMS = {
    "cron": "schedule",
    "timezone": "scheduleTimezone",
    "schedulemode": "schedule",
    "name": "campaign",
    "id": "campaign",
    "enabled": "state",
    "documentname": "runbook",
    "documentversion": "runbookVersion",
    "parameters": "runbookParameters",
    "executionrole": "executionRoleName",
    "targetlocationmaxconcurrency": "locationMaxConcurrency",
    "targetlocationmaxerrors": "locationMaxErrors",
}

_FIELDS = {_folded: name for name in CampaignDocument.model_fields for _folded in (name.replace("_", ""),)}


def read(raw: Mapping[str, object], *, default_regions: tuple[str, ...] = (), now: datetime | None = None) -> Reading:
    """The campaign that a document describes, or everything that is wrong with it.

    `raw` is left as it is. Service-owned fields are ignored. `default_regions` stand in where the document names none.
    With `now`, what the clock makes questionable (a schedule with no moments left) is said as a warning.
    """
    named, problems = _known(raw)
    if "regions" not in named and default_regions:
        named["regions"] = list(default_regions)
    draft, field_problems = _fields(named)
    problems += field_problems
    bad = {problem.path.split(".")[0].split("[")[0] for problem in problems}
    for fields, rule in _TOGETHER:
        if not bad & {to_camel(field) for field in fields}:
            problems += list(rule(draft))
    if problems:
        order = [to_camel(_FIELDS.get(_fold(key), key)) for key in raw]
        problems.sort(key=lambda problem: _place(problem, order))
        return Reading(None, tuple(problems))
    return Reading(_campaign(draft), (), tuple(_warnings(draft, now)))


def _place(problem: Problem, order: list[str]) -> int:
    top = problem.path.split(".")[0].split("[")[0]
    return order.index(top) if top in order else len(order)


def _fold(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


def _known(raw: Mapping[str, object]) -> tuple[dict[str, object], list[Problem]]:
    """The document's fields by our names, and a problem for each that is not ours."""
    named: dict[str, object] = {}
    problems: list[Problem] = []
    for key, value in raw.items():
        name = _FIELDS.get(_fold(key))
        if value is None and name == "schedule":  # an unset variable must not turn a schedule into "now"
            hint = "Write an expression; to run once, as soon as the item is taken, leave the field out"
            problems.append(Problem(key, "null", "is null", hint))
            continue
        if key in SERVICE_FIELDS or value is None:
            continue
        if name is None:
            problems.append(Problem(key, "unknown", "is not a field of a campaign", _meant(key), value))
        elif name in named:
            problems.append(
                Problem(key, "twice", "is given twice in different spellings", f"Keep only {to_camel(name)}", value)
            )
        else:
            named[name] = _plain(value)
    return named, problems


def _meant(key: str) -> str:
    known = [to_camel(name) for name in CampaignDocument.model_fields]
    near = difflib.get_close_matches(key, known, 1, cutoff=0.7)
    suggestion = SYNONYMS.get(_fold(key)) or (near[0] if near else None)
    return f"Did you mean {suggestion!r}?" if suggestion else "Remove it; `patchtide schema` lists the fields"


def _plain(value: object) -> object:
    """DynamoDB's types as JSON has them. Numbers in account lists stay numbers, so that they can be refused as such."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(entry) for entry in value), key=str)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value


def _fields(named: dict[str, object]) -> tuple[CampaignDocument, list[Problem]]:
    """A draft that holds every field that is right by itself, and the problems of those that are not."""
    draft = CampaignDocument.model_construct()  # type: ignore[call-arg] # a draft may lack what is required
    problems: list[Problem] = []
    for name, field in CampaignDocument.model_fields.items():
        if name not in named:
            if field.is_required():
                problems.append(Problem(to_camel(name), "missing", "is required", _REQUIRED_HINTS[name]))
            continue
        try:
            CampaignDocument.__pydantic_validator__.validate_assignment(draft, name, named[name])
        except ValidationError as error:
            problems += [_problem(name, found) for found in error.errors()]
    return draft, problems


_REQUIRED_HINTS = {
    "campaign": "Give it an id, e.g. prod-linux-monthly",
    "duration": "Say how long the window is in hours, e.g. 4",
    "accounts": 'List account ids as strings, units (ou-…) or the root (r-…), e.g. ["111122223333"]',
    "targets": "Say which instances, e.g. tag:PatchGroup=prod; there is no accidental “all”",
    "name": "Give the wave a name, e.g. canary",
    "regions": "List the Regions, e.g. [eu-west-1], or set the stack's DefaultRegions",
    "reason": "Say why these are not patched",
    "approvedBy": "Say who decided that",
    "expires": "Give its last day, e.g. 2027-01-31: an exception without an end is forgotten",
}

_PATTERN_HINTS = {
    "campaign": "Use 3 to 48 of a-z, 0-9 and -",
    "name": "Use 3 to 48 of a-z, 0-9 and -",
    "install_override_list": "Write s3://bucket/key or https://…",
    "snapshot_id": "Write a UUID, or leave it out: Patchtide makes one per wave",
    "runbook_parameters": "Write the parameter's name as the runbook declares it",
    "runbook": "Write the name of a runbook of the hub's account; 3 to 128 of letters, digits, _ - and .",
    "runbook_version": "Write $DEFAULT, $LATEST or a number",
    "target_parameter_name": "Write the runbook's parameter that takes the instance id, e.g. InstanceId",
    "execution_role_name": "Write the role's name, not its ARN",
}


def _problem(name: str, error: Any) -> Problem:
    # A union's branches and a validator's own names appear in loc; only keys and indices mean something to people.
    path = to_camel(name)
    for part in error["loc"]:
        if part == name or (isinstance(part, str) and part.startswith(("function-", "list[", "[key]"))):
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{to_camel(part) if '_' in part else part}"
    context = error.get("ctx") or {}
    value = error.get("input")
    if "code" in context:
        return Problem(path, context["code"], context["message"], context["hint"], value)
    last = next((part for part in reversed(error["loc"]) if part in _PATTERN_HINTS), name)
    if error["type"] == "string_pattern_mismatch":
        return Problem(path, "pattern", f"{value!r} is not allowed", _PATTERN_HINTS.get(last, ""), value)
    if error["type"] == "literal_error":
        return Problem(path, "choice", f"{value!r} is not one of the choices", f"Write {context['expected']}", value)
    if error["type"] == "extra_forbidden":
        return _unknown_inside(path, str(error["loc"][-1]), value, "gate" if "gate" in error["loc"][:-1] else name)
    if error["type"] == "missing":
        return Problem(path, "missing", "is required", _REQUIRED_HINTS.get(str(error["loc"][-1]), "Add it"))
    message = error["msg"][0].lower() + error["msg"][1:]
    return Problem(path, error["type"].replace("_", "-"), f"{value!r}: {message}", "", value)


_PARTS: Mapping[str, tuple[str, type[_Document]]] = {
    "gate": ("a gate", GateDocument),
    "waves": ("a wave", WaveDocument),
    "exceptions": ("an exception", ExceptionDocument),
}


def _unknown_inside(path: str, key: str, value: object, part: str) -> Problem:
    kind, model = _PARTS[part]
    known = [to_camel(name) for name in model.model_fields]
    near = difflib.get_close_matches(key, known, 1, cutoff=0.7)
    hint = f"Did you mean {near[0]!r}?" if near else f"{kind[0].upper()}{kind[1:]} has {', '.join(known)}"
    return Problem(path, "unknown", f"is not a field of {kind}", hint, value)


def canonical(raw: Mapping[str, object]) -> dict[str, object]:
    """The document with each field under its own name, whatever spelling it came in. Fields that are none are kept."""
    return {
        to_camel(_FIELDS.get(_fold(key), key)) if _fold(key) in _FIELDS else key: value for key, value in raw.items()
    }


Rule = Callable[[CampaignDocument], Iterator[Problem]]


def _window(draft: CampaignDocument) -> Iterator[Problem]:
    hours = draft.duration / timedelta(hours=1)
    if not 1 <= hours <= 24:
        yield Problem(
            "duration", "range", f"{hours:g} h is outside 1 to 24 hours", "Lengthen or shorten the window", hours
        )
    if draft.cutoff < timedelta(0) or draft.cutoff >= draft.duration:
        cutoff = draft.cutoff / timedelta(hours=1)
        yield Problem(
            "cutoff",
            "range",
            f"cutoff is {cutoff:g} h, duration is {hours:g} h",
            "Make cutoff smaller than duration",
            cutoff,
        )


def _dates(draft: CampaignDocument) -> Iterator[Problem]:
    if draft.start_date and draft.end_date and draft.end_date < draft.start_date:
        yield Problem(
            "endDate", "range", f"{draft.end_date} is before startDate {draft.start_date}", "Swap them", draft.end_date
        )
    if draft.schedule is None:
        for field in ("schedule_offset", "start_date", "end_date"):
            if getattr(draft, field):
                yield Problem(
                    to_camel(field),
                    "without-schedule",
                    "means nothing without a schedule",
                    "Add a schedule or remove it",
                )


def _spacing(draft: CampaignDocument) -> Iterator[Problem]:
    """Two windows of one campaign may not overlap: the same instances would be patched twice at once."""
    if draft.schedule is None or draft.duration > timedelta(hours=24):
        return
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [found.at for found in islice(occurrences(_schedule(draft), start), 60)]
    closest = min((later - earlier for earlier, later in pairwise(moments)), default=None)
    days = _offsets(draft)
    lasts = draft.duration + timedelta(days=days[-1] - days[0])
    if closest is not None and closest < lasts:
        path, fix = ("waves", "Bring the waves closer together") if days[-1] > days[0] else ("duration", "Shorten it")
        yield Problem(
            path,
            "overlap",
            f"windows overlap: runs come {_spoken(closest)} apart, each lasts {_spoken(lasts)}",
            fix,
            None,
        )


def _spoken(span: timedelta) -> str:
    """A span as people say it: 2 d 4 h, 90 min."""
    minutes = int(span.total_seconds() // 60)
    parts = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 min"


def _offsets(draft: CampaignDocument) -> list[int]:
    """The days after the expression's date on which each wave's window begins."""
    base = draft.schedule_offset
    waves = draft.waves or []
    return [base if wave.schedule_offset is None else wave.schedule_offset for wave in waves] or [base]


def _wave_targets(draft: CampaignDocument) -> Iterator[tuple[str, list[Target]]]:
    """What each wave's targets come to: its own narrow the campaign's, so all of both must hold."""
    yield "targets", draft.targets
    for number, wave in enumerate(draft.waves or []):
        if wave.targets:
            yield f"waves[{number}].targets", _narrowed(draft, wave)


def _narrowed(draft: CampaignDocument, wave: WaveDocument) -> list[Target]:
    return [*draft.targets, *(target for target in wave.targets or () if target not in draft.targets)]


def _target_numbers(draft: CampaignDocument) -> Iterator[Problem]:
    for path, targets in _wave_targets(draft):
        if _target_parameter(draft) and len(targets) > 1:
            message = f"Automation takes one tag or resource group per execution, these are {len(targets)}"
            yield Problem(path, "one-target", message, "Keep one, or use the fleet runbook")
        elif len(targets) > MAX_TARGETS:
            message = f"with the campaign's these are {len(targets)} targets, Run Command takes {MAX_TARGETS}"
            yield Problem(path, "too-long", message, "Keep fewer")


def _target_sizes(draft: CampaignDocument) -> Iterator[Problem]:
    """A target goes to the runbook as one parameter value, and AWS takes 512 characters of those."""
    for path, targets in _wave_targets(draft):
        size = max(len(json.dumps(target.for_run_command())) for target in targets)
        if size > MAX_PARAMETER:
            yield Problem(
                path,
                "target-size",
                f"one target takes {size} characters, AWS takes {MAX_PARAMETER}",
                "Give it fewer values",
            )


def _parameters(draft: CampaignDocument) -> Iterator[Problem]:
    """What the service sets itself is not for an item to set: it is what keeps a run inside its window and its targets."""
    for name in draft.runbook_parameters:
        if name in OUR_PARAMETERS or name == _target_parameter(draft):
            path = f"runbookParameters.{name}"
            yield Problem(path, "reserved", "is set by Patchtide", OUR_PARAMETERS.get(name, "Use targets"))


def _wave_order(draft: CampaignDocument) -> Iterator[Problem]:
    """Waves have names of their own, and come in the order in which they are written."""
    seen: set[str] = set()
    offsets = _offsets(draft)
    for number, wave in enumerate(draft.waves or []):
        if wave.name in seen:
            yield Problem(
                f"waves[{number}].name", "twice", f"{wave.name!r} is given twice", "Give each wave a name", wave.name
            )
        seen.add(wave.name)
        if number and offsets[number] < offsets[number - 1]:
            yield Problem(
                f"waves[{number}].scheduleOffset",
                "order",
                f"{offsets[number]} days comes before wave {(draft.waves or [])[number - 1].name}, {offsets[number - 1]} days",
                "Write the waves in the order in which they run",
                offsets[number],
            )


def _wave_places(draft: CampaignDocument) -> Iterator[Problem]:
    """A wave narrows the campaign, it never widens it. What units stand for is only known when they are looked up."""
    units = any(not account.isdigit() for account in draft.accounts)
    for number, wave in enumerate(draft.waves or []):
        for account in wave.accounts or []:
            if account.isdigit() and not units and account not in draft.accounts:
                hint = "Add it to the campaign's accounts, or leave it out"
                yield Problem(
                    f"waves[{number}].accounts", "wider", f"{account} is not one of the campaign's", hint, account
                )
        for region in wave.regions or []:
            if region not in draft.regions:
                hint = "Add it to the campaign's regions, or leave it out"
                yield Problem(
                    f"waves[{number}].regions", "wider", f"{region} is not one of the campaign's", hint, region
                )


def _soaks(draft: CampaignDocument) -> Iterator[tuple[int, timedelta, timedelta]]:
    """For each wave but the last: its number, its soak, and the time from its window's start to the next one's last start."""
    offsets = _offsets(draft)
    for number, (wave, _) in enumerate(pairwise(draft.waves or [])):
        if wave.gate:
            gap = timedelta(days=offsets[number + 1] - offsets[number]) + draft.duration - draft.cutoff
            yield number, wave.gate.soak, gap


def _bake_times(draft: CampaignDocument) -> Iterator[Problem]:
    for number, soak, gap in _soaks(draft):
        if soak < timedelta(0) or soak >= gap:
            following = (draft.waves or [])[number + 1].name
            yield Problem(
                f"waves[{number}].gate.soak",
                "unreachable",
                f"after a soak of {_spoken(soak)} wave {following} could never begin: its last start is {_spoken(gap)} "
                "after this wave's first",
                f"Shorten the soak, or give wave {following} a later scheduleOffset",
                _spoken(soak),
            )


def _exceptions(draft: CampaignDocument) -> Iterator[Problem]:
    """An exception spares some, never everybody: that is what state: DISABLED is for."""
    for number, exception in enumerate(draft.exceptions):
        if not exception.targets and not exception.accounts:
            hint = "Give it targets or accounts; to patch nothing at all, write state: DISABLED"
            yield Problem(f"exceptions[{number}]", "everybody", "spares every instance", hint)


_TOGETHER: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("exceptions",), _exceptions),
    (("duration", "cutoff"), _window),
    (("schedule", "schedule_offset", "start_date", "end_date"), _dates),
    (("schedule", "schedule_timezone", "schedule_offset", "start_date", "end_date", "duration", "waves"), _spacing),
    (("targets", "waves", "runbook", "target_parameter_name"), _target_numbers),
    (("targets", "waves"), _target_sizes),
    (("runbook", "target_parameter_name", "runbook_parameters"), _parameters),
    (("waves", "schedule_offset"), _wave_order),
    (("waves", "accounts", "regions"), _wave_places),
    (("waves", "schedule_offset", "duration", "cutoff"), _bake_times),
)


def _target_parameter(draft: CampaignDocument) -> str | None:
    if draft.target_parameter_name or draft.runbook not in (INSTANCE_RUNBOOK, BLOG_RUNBOOK):
        return draft.target_parameter_name
    return "InstanceId"


def _schedule(draft: CampaignDocument) -> Schedule:
    assert draft.schedule  # noqa: S101 - asked only of campaigns with one
    return Schedule(draft.schedule, draft.schedule_timezone, _offsets(draft)[0], draft.start_date, draft.end_date)


def _warnings(draft: CampaignDocument, now: datetime | None) -> Iterator[Problem]:
    if draft.schedule:
        if re.match(r"cron\((\S+ ){4}(\S*[,-])?[1-7]", draft.schedule):
            yield Problem(
                "schedule", "numeric-weekday", "weekdays as numbers start at 1 = SUN in AWS", "Prefer names, e.g. TUE#2"
            )
        moments = list(islice(occurrences(_schedule(draft), now or datetime(2026, 1, 1, tzinfo=UTC)), 60))
        if now and not moments:
            yield Problem(
                "schedule",
                "never",
                f"{draft.schedule!r} has no moment left to come",
                "Check the year, the day and endDate",
            )
        for found in moments:
            if found.note:
                yield Problem("schedule", "clock-change", found.note, "Nothing to do if that is what you want")
                break
    if not draft.cutoff:
        yield Problem(
            "cutoff",
            "no-cutoff",
            "work may start up to the last minute of the window",
            "Leave time for a reboot, e.g. 1",
        )
    if draft.max_concurrency == "100%" and draft.operation == "Install" and draft.reboot_option == "RebootIfNeeded":
        yield Problem(
            "maxConcurrency", "all-at-once", "every instance of a location may reboot at once", "Use e.g. 10%"
        )

    if draft.snapshot_id and (draft.schedule or max(_offsets(draft)) - min(_offsets(draft)) >= SNAPSHOT_DAYS):
        yield Problem(
            "snapshotId",
            "stale-snapshot",
            f"AWS keeps a snapshot for {SNAPSHOT_DAYS} days: what comes later under the same id silently gets a new one",
            "Leave it out: Patchtide makes one per wave",
        )
    yield from _expired(draft, now)
    yield from _wave_warnings(draft)


def _expired(draft: CampaignDocument, now: datetime | None) -> Iterator[Problem]:
    for number, exception in enumerate(draft.exceptions):
        if now and exception.expires < now.date():
            yield Problem(
                f"exceptions[{number}].expires",
                "expired",
                f"{exception.expires} is over: these instances are patched again",
                "Renew it with a new approval, or remove it",
            )


def _wave_warnings(draft: CampaignDocument) -> Iterator[Problem]:
    waves = draft.waves or []
    for number, soak, gap in _soaks(draft):
        own_window = _offsets(draft)[number + 1] > _offsets(draft)[number]
        if soak and own_window and soak + draft.duration - draft.cutoff >= gap:
            yield Problem(
                f"waves[{number}].gate.soak",
                "tight",
                f"if wave {waves[number].name} takes its whole window, {_spoken(soak)} of soak leave the next no time to begin",
                "Shorten the soak, or give the next wave a later scheduleOffset",
            )
    for number, wave in enumerate(waves):
        if number and not wave.targets and not wave.accounts and not wave.regions:
            yield Problem(
                f"waves[{number}]",
                "everything-left",
                f"wave {wave.name} is everything left: where an earlier wave has instances too, the others are named one by one, "
                "19 to an execution",
                "Give it a tag of its own if it is large",
            )
    if waves and (gate := waves[-1].gate) and (gate.soak or gate.alarms or gate.min_compliance is not None):
        yield Problem(
            f"waves[{len(waves) - 1}].gate",
            "last-gate",
            "no wave comes after the last, so only its approval means something: that it must be approved itself",
            "Leave the rest out",
        )


def _approvals(draft: CampaignDocument) -> list[bool]:
    """Whether each wave must be approved. A gate decides about the wave behind it; the last wave's, about itself."""
    waves = draft.waves or []
    asks = [bool(wave.gate and wave.gate.approval == "required") for wave in waves] or [False]
    before = [draft.approval == "required", *asks[:-1]]
    before[-1] = before[-1] or asks[-1]
    return before


def _wave(draft: CampaignDocument, wave: WaveDocument, delay: int, *, approval: bool) -> Wave:
    gate = wave.gate or GateDocument()
    limit = wave.max_errors or draft.max_errors
    return Wave(
        name=wave.name,
        # A wave narrows the campaign: its targets come on top, so that both must hold.
        targets=tuple(_narrowed(draft, wave)),
        accounts=tuple(wave.accounts or ()),
        regions=tuple(wave.regions or ()),
        max_concurrency=wave.max_concurrency or draft.max_concurrency,
        max_errors=limit,
        delay=delay,
        gate=Gate(gate.max_errors or limit, gate.min_compliance, gate.soak, tuple(gate.alarms)),
        approval=approval,
        max_instances=wave.max_instances or draft.max_instances or 0,
    )


def _campaign(draft: CampaignDocument) -> Campaign:
    waves = draft.waves or [WaveDocument(name="all")]
    offsets = _offsets(draft)
    return Campaign(
        name=draft.campaign,
        accounts=tuple(draft.accounts),
        regions=tuple(draft.regions),
        waves=tuple(
            _wave(draft, wave, offset - offsets[0], approval=approval)
            for wave, offset, approval in zip(waves, offsets, _approvals(draft), strict=True)
        ),
        duration=draft.duration,
        cutoff=draft.cutoff,
        schedule=_schedule(draft) if draft.schedule else None,
        enabled=draft.state == "ENABLED",
        description=draft.description,
        owner=draft.owner,
        exclude_accounts=tuple(draft.exclude_accounts),
        include_child_units=draft.include_child_organization_units,
        operation=draft.operation,
        reboot_option=draft.reboot_option,
        install_override_list=draft.install_override_list,
        snapshot_id=draft.snapshot_id,
        location_max_concurrency=draft.location_max_concurrency,
        location_max_errors=draft.location_max_errors,
        execution_role=draft.execution_role_name,
        runbook=Runbook(
            draft.runbook,
            draft.runbook_version,
            _target_parameter(draft),
            {name: tuple(values) for name, values in draft.runbook_parameters.items()},
        ),
        calendars=tuple(draft.calendars),
        freezes=tuple(entry for entry in draft.freeze if isinstance(entry, Freeze)),
        freeze_files=tuple(entry for entry in draft.freeze if isinstance(entry, str)),
        on_calendar_closed="postpone" if draft.on_calendar_closed == "postpone" else "skip",
        exceptions=tuple(
            PatchException(
                one.reason,
                one.approved_by,
                one.expires,
                tuple(one.targets or ()),
                tuple(one.accounts or ()),
                one.ticket,
            )
            for one in draft.exceptions
        ),
    )
