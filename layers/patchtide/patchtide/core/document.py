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
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import islice, pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from patchtide.core.campaign import (
    BLOG_RUNBOOK,
    EXECUTION_ROLE,
    FLEET_RUNBOOK,
    INSTANCE_RUNBOOK,
    Campaign,
    Freeze,
    Notify,
    PatchException,
    Runbook,
    Target,
    Wave,
)
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
    Link,
    Most,
    Name,
    Offset,
    Parameters,
    PatchList,
    Percent,
    Regions,
    RoleName,
    RunbookName,
    RunbookVersion,
    Snapshot,
    Span,
    TargetParameter,
    Targets,
    Text,
    TimeZone,
    Unreadable,
    meant_region,
)
from patchtide.core.frozen import frozen
from patchtide.core.gate import Gate
from patchtide.core.problem import Problem, part, shown
from patchtide.core.reading import SERVICE_FIELDS, Reading
from patchtide.core.schedule import Schedule, occurrences

SNAPSHOT_DAYS = 3  # facts: AWS-RunPatchBaseline's SnapshotId

# The runbook parameters that are Patchtide's to set, each with the field by which people say the same.
OUR_PARAMETERS = {
    "AssociationId": "Results are known by the run's snapshot; remove it",
    "AutomationAssumeRole": "It is the hub's administration role",
    "BaselineOverride": "What is approved is for each account's own baseline to say; for once, use installOverrideList",
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


class _Document(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", arbitrary_types_allowed=True
    )


class GateDocument(_Document):
    """What must be true of a wave before the next may begin."""

    model_config = ConfigDict(title="Gate")

    max_errors: Errors | None = Field(
        None,
        description="failed, unreachable, unverified, non-compliant and not started instances, and locations out of reach; "
        "percentages are rounded down",
        examples=[0, "2%"],
    )
    min_compliance: Percent | None = Field(
        None, description="the percentage of the expected instances that must be compliant", examples=["100%"]
    )
    soak: Span = Field(
        timedelta(0),
        description="bake time, counted from the last instant at which anything of the wave ended",
        examples=["30m", "48h"],
    )
    approval: Approve = Field(
        "none", description="required: a person must let the next wave begin; on the last wave: that wave itself"
    )
    alarms: AlarmNames = Field(
        [],
        description="CloudWatch alarms of the hub that must be quiet from this wave's start until the next one's",
        examples=[["checkout-5xx"]],
    )


class WaveDocument(_Document):
    """One wave: an ordered part of the campaign, narrower than the whole."""

    model_config = ConfigDict(title="Wave")

    name: Name = Field(description="its name: 3 to 48 of a-z, 0-9, -", examples=["canary"])
    targets: Targets | None = Field(
        None, description="on top of the campaign's: both must hold", examples=["tag:PatchRing=0"]
    )
    accounts: Accounts | None = Field(None, description="some of the campaign's accounts", examples=[["111122223333"]])
    regions: Regions | None = Field(None, description="some of the campaign's Regions", examples=[["eu-west-1"]])
    schedule_offset: Offset | None = Field(
        None, description="days after the schedule's date, instead of the campaign's", examples=[1]
    )
    max_instances: Most | None = Field(
        None, description="the most instances it may match, instead of the campaign's", examples=[20]
    )
    gate: GateDocument | None = Field(
        None, description="what must be true of this wave before the next may begin", examples=[{"maxErrors": 0}]
    )
    max_concurrency: Concurrency | None = Field(
        None, description="how many instances of each location at a time, instead of the campaign's", examples=["20%"]
    )
    max_errors: Errors | None = Field(
        None, description="how many instances of each location may fail, instead of the campaign's", examples=[0]
    )


class ExceptionDocument(_Document):
    """Instances that are spared, for a reason and until a day."""

    model_config = ConfigDict(title="Exception")

    targets: Targets | None = Field(
        None,
        description="who is spared, of those that the campaign matches; with accounts both must hold",
        examples=["tag:Legacy=yes"],
    )
    accounts: AccountIds | None = Field(
        None,
        description="the accounts in which they are spared, as ids",
        examples=[["111122223333"]],
    )
    reason: Given = Field(description="why these are not patched", examples=["the vendor supports no newer kernel"])
    approved_by: Given = Field(description="by whose word", examples=["jane@example.com"])
    expires: Day = Field(description="its last day, in the campaign's time zone", examples=["2027-03-31"])
    ticket: Text = Field("", description="the change it belongs to, for people", examples=["CHG0012345"])


class NotifyDocument(_Document):
    """How people hear of a campaign's runs."""

    model_config = ConfigDict(title="Notify")

    owners: bool = Field(False, description="whether each account that has failures is also told of its own alone")
    digest: bool = Field(False, description="whether what asks for nothing is told once a day instead of as it happens")
    runbook: Link = Field(
        "", description="a link that stands in every mail", examples=["https://wiki.example.com/patching"]
    )


class CampaignDocument(_Document):
    """A Patchtide campaign: what to patch, where, when and how fast."""

    model_config = ConfigDict(title="Campaign")

    campaign: Name = Field(description="its name: 3 to 48 of a-z, 0-9, -", examples=["prod-monthly"])
    duration: Span = Field(description="how long a window is open, 1 to 24 hours", examples=[4, "3h30m"])
    accounts: Accounts = Field(
        description="account ids as strings, units ou-…, the root r-…",
        examples=[["111122223333"], ["ou-ab12-prodprod"]],
    )
    targets: Targets = Field(
        description="tag:Key=v1,v2, ResourceGroup=name or InstanceIds=i-…; several must all hold",
        examples=["tag:PatchGroup=prod", "ResourceGroup=web-servers"],
    )
    regions: Regions = Field(
        description="Regions; left out, they are the stack's DefaultRegions", examples=[["eu-west-1"]]
    )
    description: Text = Field(
        "", description="what it is for, in words for people", examples=["Monthly OS patching, production"]
    )
    owner: Text = Field("", description="whose it is, in words for people", examples=["platform-team@example.com"])
    ticket: Text = Field("", description="the change it belongs to, in words for people", examples=["CHG0012345"])
    state: Literal["ENABLED", "DISABLED"] = Field(
        "ENABLED", description="whether it runs; DISABLED also keeps a run under way from starting anything more"
    )
    schedule: Expression | None = Field(
        None,
        description="cron(…) in AWS's six fields, rate(…) or at(…); without one it runs once, at once",
        examples=["cron(0 22 ? * TUE#2 *)", "rate(7 days)", "at(2027-01-31T22:00:00)"],
    )
    schedule_timezone: TimeZone = Field(
        "UTC",
        description="the IANA zone in which the schedule and freeze are read",
        examples=["Europe/London", "America/New_York"],
    )
    schedule_offset: Offset = Field(
        0, description='days after the schedule\'s date, 0 to 27: "second Tuesday + 4 days"', examples=[4]
    )
    start_date: Day | None = Field(None, description="the first date of an occurrence", examples=["2027-01-01"])
    end_date: Day | None = Field(None, description="the last date of an occurrence", examples=["2027-12-31"])
    cutoff: Span = Field(
        timedelta(hours=1), description="how long before its end nothing may start any more", examples=[1, "90m"]
    )
    exclude_accounts: Excluded = Field(
        [], description="accounts or units that are left out, whatever accounts says", examples=[["777788889999"]]
    )
    include_child_organization_units: bool = Field(True, description="whether units stand for the units below them too")
    operation: Literal["Install", "Scan"] = Field(
        "Install", description="whether patches are installed, or only looked for"
    )
    reboot_option: Literal["RebootIfNeeded", "NoReboot"] = Field(
        "RebootIfNeeded", description="whether an instance that needs it is rebooted"
    )
    install_override_list: PatchList | None = Field(
        None,
        description="a list of patches to install instead of the baseline's, uploaded by `patchtide override put FILE`",
        examples=[f"s3://patchtide-reportsbucket/overrides/{'0' * 64}.yaml"],
    )
    snapshot_id: Snapshot | None = Field(
        None,
        description="a patch snapshot of your own, instead of one per wave",
        examples=["5eeda5ca-0000-4000-8000-000000000000"],
    )
    max_concurrency: Concurrency = Field(
        "10%", description="how many instances of each location at a time", examples=["10%", 5]
    )
    max_errors: Errors = Field(
        "10%",
        description="how many instances of each location may fail before AWS sends to no more; also a gate's default",
        examples=["5%", 0],
    )
    location_max_concurrency: Concurrency = Field(
        "100%", description="how many locations at a time", examples=["50%", 2]
    )
    location_max_errors: Errors = Field(
        "100%", description="how many locations may fail before AWS begins no more", examples=["50%", 0]
    )
    execution_role_name: RoleName = Field(
        EXECUTION_ROLE, description="the role that Automation assumes in member accounts", examples=[EXECUTION_ROLE]
    )
    runbook: RunbookName = Field(
        FLEET_RUNBOOK, description="the Automation runbook", examples=[FLEET_RUNBOOK, INSTANCE_RUNBOOK, BLOG_RUNBOOK]
    )
    runbook_version: RunbookVersion = Field(
        "$DEFAULT", description="$DEFAULT, $LATEST or a number", examples=["$DEFAULT", "$LATEST", "3"]
    )
    target_parameter_name: TargetParameter | None = Field(
        None,
        description="the runbook's parameter that takes an instance; with it every instance has an execution of its own",
        examples=["InstanceId"],
    )
    runbook_parameters: Parameters = Field(
        {}, description="what else the runbook takes", examples=[{"Ticket": "CHG0012345"}]
    )
    max_instances: Most | None = Field(
        None,
        description="the most instances that a wave may match; one that matches more is not begun",
        examples=[200],
    )
    approval: Approve = Field("none", description="required: the first wave waits for patchtide run approve")
    calendars: Calendars = Field(
        [],
        description="SSM Change Calendars by name or ARN, all of which must be open",
        examples=[["ChangeFreeze"], ["arn:aws:ssm:eu-west-1:999900001111:document/ChangeFreeze"]],
    )
    freeze: Freezes = Field(
        [],
        description="dates, ranges 2026-12-20..2027-01-05, or keys of .ics files in the stack's bucket",
        examples=[["2026-12-24", "2026-12-20..2027-01-05", "calendars/launches.ics"]],
    )
    on_calendar_closed: Closed = Field(
        "skip", description="skip the run, or postpone it to the first open day at the same hour"
    )
    exceptions: Annotated[list[ExceptionDocument], Field(max_length=50)] = Field(
        [],
        description="instances that are spared, each with targets or accounts (or both), reason, approvedBy, expires and, "
        "if there is one, ticket",
        examples=[
            [
                {
                    "targets": "tag:Legacy=yes",
                    "reason": "the vendor supports no newer kernel",
                    "approvedBy": "jane@example.com",
                    "expires": "2027-03-31",
                }
            ]
        ],
    )
    notify: NotifyDocument | None = Field(
        None, description="how people hear of its runs", examples=[{"owners": True, "digest": True}]
    )
    waves: Annotated[list[WaveDocument], Field(min_length=1, max_length=20)] | None = Field(
        None,
        description="up to 20 waves, in the order in which they run",
        examples=[[{"name": "canary", "targets": "tag:PatchRing=0"}, {"name": "rest"}]],
    )


@frozen
class _Part:
    """A part of a document: what a sentence calls it, and what it is made of."""

    called: str
    model: type[_Document]

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """Our names of its fields by those names without case, `_` and `-`."""
        return {_fold(name): name for name in self.model.model_fields}

    @cached_property
    def known(self) -> list[str]:
        """Its fields as people write them."""
        return [to_camel(name) for name in self.model.model_fields]


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


def _fold(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


_RESERVED = {_fold(name): name for name in OUR_PARAMETERS}
# Where our own runbooks take an instance's id.
_TAKES = {FLEET_RUNBOOK: None, INSTANCE_RUNBOOK: "InstanceId", BLOG_RUNBOOK: "InstanceId"}

_CAMPAIGN = _Part("a campaign", CampaignDocument)
_WITHIN = {
    "waves": _Part("a wave", WaveDocument),
    "gate": _Part("a gate", GateDocument),
    "exceptions": _Part("an exception", ExceptionDocument),
    "notify": _Part("notify", NotifyDocument),
}

# Of what somebody wrote, as much is told as they can read; and of what nobody can have written, as much is read as an item can hold.
MAX_PROBLEMS = 100
MAX_VALUES = 200_000
MAX_DEPTH = 32
MAX_BITS = 512


def read(raw: Mapping[str, object], *, default_regions: tuple[str, ...] = (), now: datetime | None = None) -> Reading:
    """The campaign that a document describes, or everything that is wrong with it.

    `raw` is left as it is. Service-owned fields are ignored. `default_regions` stand in where the document names none.
    With `now`, what the clock makes questionable (a schedule with no moments left) is said as a warning.
    """
    left = iter(range(MAX_VALUES))
    written = {str(key): _plain(value, left) for key, value in raw.items() if key not in SERVICE_FIELDS}
    problems: list[Problem] = []
    named = _known(written, _CAMPAIGN, problems)
    if "regions" not in named and default_regions:
        named["regions"] = list(default_regions)
    draft, field_problems = _fields(named)
    problems += field_problems
    bad = {_top(problem) for problem in problems}
    for fields, rule in _TOGETHER:
        if not bad & {to_camel(field) for field in fields}:
            problems += list(rule(draft))
    if problems:
        places = {part(name): place for place, key in enumerate(written) for name in (key, _our(key))}
        problems.sort(key=lambda problem: places.get(_top(problem), len(places)))
        return Reading(None, _readable(problems))
    return Reading(_campaign(draft), (), tuple(_warnings(draft, now)))


def _our(key: str) -> str:
    """A field's own name, whatever spelling it came in; what is no field keeps its name."""
    name = _CAMPAIGN.fields.get(_fold(key))
    return to_camel(name) if name else key


def _top(problem: Problem) -> str:
    return problem.path.split(".")[0].split("[")[0]


def _readable(problems: list[Problem]) -> tuple[Problem, ...]:
    """As many as a person can read; the answer must also fit onto the item that is at fault."""
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    first, *_ = rest = problems[MAX_PROBLEMS - 1 :]
    more = Problem(first.path, "more", f"{first.path} and {len(rest) - 1} more are wrong", "Mend those above first")
    return (*problems[: MAX_PROBLEMS - 1], more)


def _known(written: Mapping[str, object], of: _Part, problems: list[Problem], at: str = "") -> dict[str, object]:
    """A part's fields by our names; a problem more for each that it has not. A null says as little as no field."""
    named: dict[str, object] = {}
    spelled: dict[str, str] = {}
    for key, value in written.items():
        name, path = of.fields.get(_fold(key)), f"{at}{part(key)}"
        if name is None:
            message = f"{shown(key)} is not a field of {of.called}"
            # A guess takes its time, and nobody reads thousands of them.
            hint = _meant(key, of) if len(problems) < MAX_PROBLEMS else _have(of)
            problems.append(Problem(path, "unknown", message, hint, value))
        elif name in spelled:
            message = f"{shown(spelled[name])} and {shown(key)} are the same field"
            problems.append(Problem(path, "twice", message, f"Keep only {to_camel(name)}", value))
        elif value is None:
            if name == "schedule":  # an unset variable must not turn a schedule into "now"
                hint = "Write an expression; to run once, as soon as the item is taken, leave the field out"
                problems.append(Problem(path, "null", f"{key} is null", hint))
        else:
            spelled[name] = key
            inner = _WITHIN.get(name)
            # pydantic names a field in its errors as it was named to it, and the draft's own fields it knows by our names.
            named[to_camel(name) if at else name] = (
                _within(value, inner, f"{at}{to_camel(name)}", problems) if inner else value
            )
    return named


def _within(value: object, of: _Part, path: str, problems: list[Problem]) -> object:
    """What stands in a field that has fields of its own, or a list of such."""
    if isinstance(value, list):
        return [
            _within(entry, of, f"{path}[{number}]", problems) if isinstance(entry, dict) else entry
            for number, entry in enumerate(value)
        ]
    return _known(value, of, problems, f"{path}.") if isinstance(value, dict) else value


def _meant(key: str, of: _Part) -> str:
    near = difflib.get_close_matches(key, of.known, 1, cutoff=0.7) if len(key) <= 64 else []
    synonym = SYNONYMS.get(_fold(key)) if of is _CAMPAIGN else None
    suggestion = synonym or (near[0] if near else None)
    return f"Did you mean {suggestion!r}?" if suggestion else _have(of)


def _have(of: _Part) -> str:
    if of is _CAMPAIGN:
        return "Remove it; `patchtide schema` lists the fields"
    return f"Remove it; {of.called} has {', '.join(of.known)}"


def _plain(value: object, left: Iterator[int], depth: int = 1) -> object:
    """DynamoDB's types as JSON has them. Numbers in account lists stay numbers, so that they can be refused as such.

    `left` runs out after more values than an item can hold; aliases can make a file of some lines mean as many.
    """
    if depth > MAX_DEPTH or next(left, None) is None:
        return Unreadable("a value in too deep or too large a document")
    if value is None or isinstance(value, (str, bool, date)):
        return value
    if isinstance(value, Decimal):
        value = _number(value)
    if isinstance(value, (int, float)):
        huge = isinstance(value, int) and value.bit_length() > MAX_BITS
        return Unreadable("a number of hundreds of digits") if huge else value
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, left, depth + 1) for key, entry in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(entry, left, depth + 1) for entry in value), key=str)
    if isinstance(value, (list, tuple)):
        return [_plain(entry, left, depth + 1) for entry in value]
    return Unreadable("binary data")


def _number(value: Decimal) -> int | float | str:
    """The number as JSON has it; what JSON has not stays its own name, which no field takes."""
    if not value.is_finite() or value.adjusted() > MAX_BITS:
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def _fields(named: dict[str, object]) -> tuple[CampaignDocument, list[Problem]]:
    """A draft that holds every field that is right by itself, and the problems of those that are not."""
    draft = CampaignDocument.model_construct()  # type: ignore[call-arg] # a draft may lack what is required
    problems: list[Problem] = []
    for name, field in CampaignDocument.model_fields.items():
        if name not in named:
            if field.is_required():
                problems.append(_missing(to_camel(name), to_camel(name)))
            continue
        try:
            CampaignDocument.__pydantic_validator__.validate_assignment(draft, name, named[name])
        except ValidationError as error:
            problems += [_problem(name, found) for found in error.errors(include_url=False)]
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
    "campaign": "Use 3 to 48 of a-z, 0-9 and -, with a letter or digit first",
    "name": "Use 3 to 48 of a-z, 0-9 and -, with a letter or digit first",
    "installOverrideList": "Write s3://bucket/key or https://…, without quotes, blanks or $",
    "snapshotId": "Write a UUID, or leave it out: Patchtide makes one per wave",
    "runbookParameters": "Write the parameter's name as the runbook declares it",
    "runbook": "Write a runbook's name, 3 to 128 of letters, digits, _ - and ., or the ARN of one shared with the hub; "
    "in notify, an https:// link",
    "runbookVersion": "Write $DEFAULT, $LATEST or a number",
    "targetParameterName": "Write the runbook's parameter that takes the instance id, e.g. InstanceId",
    "executionRoleName": "Write the role's name, not its ARN",
}

_MAP_HINTS = {
    "waves": "Write its fields, e.g. name: canary",
    "gate": "Write its fields, e.g. maxErrors: 0",
    "exceptions": "Write its fields: targets or accounts, reason, approvedBy and expires",
    "notify": "Write its fields, e.g. owners: true",
    "runbookParameters": "Write the parameters by their names, e.g. Ticket: CHG0012345",
}

# What pydantic finds by itself: our code, sentence and hint. `{value}` is the value, `{path}` the field, all else the error's own.
_FOUND = {
    "string_type": ("text", "{value} is not text", "Write text"),
    "string_unicode": ("characters", "{value} has half a character", "Remove the lone surrogate"),
    "string_too_short": ("too-short", "{value} is too short", "Write at least {min_length} characters"),
    "string_too_long": (
        "too-long",
        "{path} has more than {max_length} characters: {value}",
        "Shorten it to {max_length} characters",
    ),
    "string_pattern_mismatch": ("pattern", "{value} is not allowed", ""),
    "literal_error": ("choice", "{value} is not one of the choices", "Write {expected}"),
    "bool_type": ("choice", "{value} is neither true nor false", "Write true or false"),
    "bool_parsing": ("choice", "{value} is neither true nor false", "Write true or false"),
    "list_type": ("list", "{value} is not a list", "Write a list, each entry behind a dash"),
    "dict_type": ("map", "{value} has no fields", ""),
    "model_type": ("map", "{value} has no fields", ""),
    "model_attributes_type": ("map", "{value} has no fields", ""),
    "too_short": ("too-short", "{path} has {actual_length} entries", "Give it at least {min_length}, or leave it out"),
    "too_long": ("too-long", "{path} has more than {max_length} entries", "Keep at most {max_length}"),
}
_ELSE = ("value", "{value} is not allowed", "`patchtide schema` says what is")


def _problem(name: str, error: Any) -> Problem:
    path, field = _path(name, error["loc"])
    value, context = error.get("input"), error.get("ctx") or {}
    if error["type"] == "missing":
        return _missing(path, field)
    if "code" in context:
        return Problem(path, context["code"], context["message"], context["hint"], value)
    code, message, hint = _FOUND.get(error["type"], _ELSE)
    said = context | {"value": shown(value), "path": path}
    hint = {"pattern": _PATTERN_HINTS, "map": _MAP_HINTS}.get(code, {}).get(field) or hint or _ELSE[2]
    if code == "text" and isinstance(value, (int, float)):
        hint = f'Quote it: "{shown(value)}"'
    return Problem(path, code, message.format(**said), hint.format(**said) if "{" in hint else hint, value)


def _path(name: str, loc: tuple[int | str, ...]) -> tuple[str, str]:
    """Where an error is, as people write it, and the innermost of our fields on the way there."""
    path = field = to_camel(name)
    for place in loc[1:]:
        if isinstance(place, int):
            path += f"[{place}]"
        elif place != "[key]":  # pydantic's word for a key that is wrong itself
            path += f".{part(place)}"
            field = place if field != "runbookParameters" else field
    return path, field


def _missing(path: str, field: str) -> Problem:
    return Problem(path, "missing", f"{path} is required", _REQUIRED_HINTS[field])


class _Schema(GenerateJsonSchema):
    """What editors complete from: no field is ever completed to null, and defaults are as people write them."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """The same without null: a field that says nothing is left out."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The same without a default of null."""
        made = super().default_schema(schema)
        return {name: said for name, said in made.items() if name != "default" or said is not None}

    def encode_default(self, dft: Any) -> Any:
        """A span is written in hours."""
        return dft // timedelta(hours=1) if isinstance(dft, timedelta) else super().encode_default(dft)

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """A name that does not look like one is a mistake."""
        return {**super().dict_schema(schema), "additionalProperties": False}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """No title says more than the field's own name."""
        del schema
        return False


def schema() -> dict[str, Any]:
    """The JSON Schema of a campaign. The Regions may be the stack's, so that leaving them out is no mistake to an editor."""
    made = CampaignDocument.model_json_schema(schema_generator=_Schema)
    required = [name for name in made["required"] if name != "regions"]
    # Of draft 7, which every editor knows: all that is said here means the same in later ones.
    return {"$schema": "http://json-schema.org/draft-07/schema#", **made, "required": required}


def canonical(raw: Mapping[str, object]) -> dict[str, object]:
    """The document with each field under its own name, whatever spelling it came in. Fields that are none are kept."""
    return {_our(key): value for key, value in raw.items()}


Rule = Callable[[CampaignDocument], Iterator[Problem]]


def _window(draft: CampaignDocument) -> Iterator[Problem]:
    hours, cutoff = draft.duration / timedelta(hours=1), draft.cutoff / timedelta(hours=1)
    if not 1 <= hours <= 24:
        message = f"{hours:g} h is outside 1 to 24 hours"
        yield Problem("duration", "range", message, "Lengthen or shorten the window", f"{hours:g} h")
    elif cutoff >= hours:
        message = f"cutoff is {cutoff:g} h, duration is {hours:g} h"
        yield Problem("cutoff", "range", message, "Make cutoff smaller than duration", f"{cutoff:g} h")


def _dates(draft: CampaignDocument) -> Iterator[Problem]:
    if draft.start_date and draft.end_date and draft.end_date < draft.start_date:
        yield Problem(
            "endDate", "range", f"{draft.end_date} is before startDate {draft.start_date}", "Swap them", draft.end_date
        )
    if draft.schedule is None:
        for field in ("schedule_offset", "start_date", "end_date"):
            if found := getattr(draft, field):
                message = f"{found} means nothing without a schedule"
                yield Problem(to_camel(field), "without-schedule", message, "Add a schedule or remove it", found)


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
        message = f"runs come {_spoken(closest)} apart, each lasts {_spoken(lasts)}: their windows overlap"
        yield Problem(path, "overlap", message, fix, _spoken(lasts))


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
            message = f"these are {len(targets)} targets, Automation takes one tag or resource group per execution"
            yield Problem(path, "one-target", message, "Keep one, or use the fleet runbook")
        elif len(targets) > MAX_TARGETS:
            message = f"with the campaign's these are {len(targets)} targets, Run Command takes {MAX_TARGETS}"
            yield Problem(path, "too-long", message, "Keep fewer")


def _target_sizes(draft: CampaignDocument) -> Iterator[Problem]:
    """A target goes to the runbook as one parameter value, and AWS takes 512 characters of those."""
    for path, targets in _wave_targets(draft):
        sizes = {len(json.dumps(target.for_run_command())): target for target in targets}
        if (size := max(sizes)) > MAX_PARAMETER:
            message = f"{shown(str(sizes[size]))} takes {size} characters, AWS takes {MAX_PARAMETER}"
            yield Problem(path, "target-size", message, "Give it fewer values", str(sizes[size]))


def _parameters(draft: CampaignDocument) -> Iterator[Problem]:
    """What the service sets itself is not for an item to set: it is what keeps a run inside its window and its targets. Nor is
    what reads like it: a runbook of people's own may spell the same in another way."""
    target = _fold(_target_parameter(draft) or "")
    for name, values in draft.runbook_parameters.items():
        if (ours := _RESERVED.get(_fold(name))) or _fold(name) == target:
            hint = OUR_PARAMETERS[ours] if ours else "Use targets"
            yield Problem(f"runbookParameters.{name}", "reserved", f"{name} is set by Patchtide", hint, values)


def _target_names(draft: CampaignDocument) -> Iterator[Problem]:
    """Automation puts an instance's id into the target parameter. In any other it would say who is patched, until when or as whom,
    and leave the instance to the item."""
    name = draft.target_parameter_name
    if name is None:
        return
    if ours := _RESERVED.get(_fold(name)):
        hint = f"Write the parameter that takes the instance's id. {OUR_PARAMETERS[ours]}"
        yield Problem("targetParameterName", "reserved", f"{name} is set by Patchtide", hint, name)
    elif draft.runbook in _TAKES and name != _TAKES[draft.runbook]:
        takes = _TAKES[draft.runbook]
        message = f"{name} is not where {draft.runbook} takes an instance's id"
        hint = f"Write {takes}, or leave it out" if takes else "Leave it out: this runbook finds the instances itself"
        yield Problem("targetParameterName", "target-parameter", message, hint, name)


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
            path = f"exceptions[{number}]"
            yield Problem(path, "everybody", f"{path} spares every instance", hint)


_TOGETHER: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("exceptions",), _exceptions),
    (("duration", "cutoff"), _window),
    (("schedule", "schedule_offset", "start_date", "end_date"), _dates),
    (("schedule", "schedule_timezone", "schedule_offset", "start_date", "end_date", "duration", "waves"), _spacing),
    (("targets", "waves", "runbook", "target_parameter_name"), _target_numbers),
    (("targets", "waves"), _target_sizes),
    (("runbook", "target_parameter_name", "runbook_parameters"), _parameters),
    (("runbook", "target_parameter_name"), _target_names),
    (("waves", "schedule_offset"), _wave_order),
    (("waves", "accounts", "regions"), _wave_places),
    (("waves", "schedule_offset", "duration", "cutoff"), _bake_times),
)


def _target_parameter(draft: CampaignDocument) -> str | None:
    return draft.target_parameter_name or _TAKES.get(draft.runbook)


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
    for number, region in enumerate(draft.regions):
        if hint := meant_region(region):
            message = f"{region!r} is not a Region that this version knows"
            yield Problem(f"regions[{number}]", "unknown-region", message, hint, region)
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
        notify=Notify(draft.notify.owners, draft.notify.digest, draft.notify.runbook) if draft.notify else Notify(),
    )
