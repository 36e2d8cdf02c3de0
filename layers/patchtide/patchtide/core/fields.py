"""The values that a campaign's fields take, each read by itself, with words that say how to mend it.

Values are checked by hand where pydantic's own words would not tell a person what to write instead. What an editor is told of
them stands beside: `json_schema_input_type` is what may be written, which is more than what is left once it was read.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from patchtide.core.campaign import GROUP_KEY, IDS_KEY, Freeze, Target
from patchtide.core.errors import InvalidSchedule
from patchtide.core.problem import part, shown
from patchtide.core.schedule import check

MAX_TARGETS = 5  # SendCommand's limit (botocore's SendCommandRequest.Targets)
MAX_VALUES = 50  # botocore's TargetValues
MAX_PARAMETER = 512  # botocore's AutomationParameterValue
MAX_PARAMETERS = 200  # botocore's AutomationParameterMap
MAX_EXPRESSION = 256  # botocore's ScheduleExpression of EventBridge Scheduler
DAYS = (date(1970, 1, 1), date(2199, 12, 31))  # the years AWS's cron knows

# Braces would be read by SSM as parameters; a lone half of a surrogate pair can be stored nowhere; and what turns text around or
# does not show makes people approve something else than they read.
FORBIDDEN = re.compile(
    r"[{}\x00-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\U000e0000-\U000e007f]"
)

# Where AWS has Regions, as far as this version knows: a name that is not here is questioned, not refused.
REGIONS = (
    *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1"),
    *("ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5"),
    *("ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "cn-north-1", "cn-northwest-1", "eu-central-1"),
    *("eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3"),
    *("eusc-de-east-1", "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1"),
    *("us-east-2", "us-gov-east-1", "us-gov-west-1", "us-west-1", "us-west-2"),
)

ACCOUNT = r"^([0-9]{12}|r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[a-z0-9]{8,32})$"
ACCOUNT_ID = r"^[0-9]{12}$"
REGION = r"^[a-z]{2,4}(-[a-z]{2,5})?-(central|east|west|(north|south)(east|west)?)-[1-9][0-9]?$"
SPAN = r"^([0-9]{1,3}d)?([0-9]{1,4}h)?([0-9]{1,6}m)?$"
CONCURRENCY = r"^([1-9][0-9]{0,6}|[1-9][0-9]?%|100%)$"
ERRORS = r"^([1-9][0-9]{0,6}|0|[1-9]?[0-9]%|100%)$"
DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


class Unreadable:
    """Stands for a value of which no field knows anything: of a type that no document has, or absurdly large."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        return self.what


def _wrong(code: str, message: str, hint: str) -> PydanticCustomError:
    # The texts are passed as context: pydantic would read braces in a person's value as its own placeholders.
    return PydanticCustomError("patchtide", "{message}", {"code": code, "message": message, "hint": hint})


def _near(word: str, known: Iterable[str], otherwise: str) -> str:
    """What was probably meant, or else a hint."""
    near = difflib.get_close_matches(word, known, 1) if len(word) <= 64 else []
    return f"Did you mean {near[0]!r}?" if near else otherwise


def _clean(text: str) -> str:
    if found := FORBIDDEN.search(text):
        raise _wrong(
            "characters",
            f"{shown(text)} contains {found[0]!r}",
            "Remove it: braces, control characters and invisible ones are not allowed",
        )
    return text


def _account(value: object) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        plain = f"{value:012d}" if isinstance(value, int) else f"{value:012.0f}"
        quoted = f'Quote it: "{plain}", leading zeros may be lost' if re.fullmatch(ACCOUNT_ID, plain) else ""
        raise _wrong(
            "account-number", f"{shown(value)} is a number", quoted or 'Write 12 digits in quotes, "111122223333"'
        )
    if isinstance(value, str) and re.fullmatch(ACCOUNT, value):
        return value
    raise _wrong(
        "account",
        f"{shown(value)} is not an account, unit or root",
        'Write 12 digits, "ou-…" or "r-…" as Organizations does',
    )


def _account_id(text: str) -> str:
    if text.isdigit():
        return text
    raise _wrong("account", f"{text!r} is a unit or root", "List account ids here; narrow it by targets")


def _region(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(REGION, value):
        return value
    near = _near(value, REGIONS, "") if isinstance(value, str) else ""
    raise _wrong("region", f"{shown(value)} is not a Region", near or "Write it as AWS does, e.g. eu-west-1")


def meant_region(region: str) -> str:
    """A hint where a Region is one that this version does not know; else empty."""
    return "" if region in REGIONS else _near(region, REGIONS, "If AWS has it by now, nothing is to be done")


def _span(value: object) -> timedelta:
    """Hours as a number (AWS's unit), or a string with its units, e.g. 90m, 3h30m or 2d."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -10_000 < value < 10_000:
        if value < 0:
            raise _wrong("range", f"{shown(value)} is less than nothing", "Write 0 or more hours, or e.g. 90m")
        return timedelta(hours=float(value))
    match = re.fullmatch(
        r"(?:([0-9]{1,3})d)?(?:([0-9]{1,4})h)?(?:([0-9]{1,6})m)?", value if isinstance(value, str) else ""
    )
    if not match or not any(match.groups()):
        raise _wrong(
            "duration", f"{shown(value)} is not a span of time", "Write hours as a number, or e.g. 90m, 3h30m or 2d"
        )
    return timedelta(days=int(match[1] or 0), hours=int(match[2] or 0), minutes=int(match[3] or 0))


def _limit(least: int, pattern: str) -> Callable[[object], str]:
    def limit(value: object) -> str:
        text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
        if not re.fullmatch(pattern, text):
            hint = f"Write a count from {least}, or a percentage from {least}% to 100%"
            raise _wrong("rate", f"{shown(value)} is not a limit", hint)
        return text

    return limit


def _target(value: object) -> Target:
    """`tag:Key=v1,v2`, `ResourceGroup=name`, `InstanceIds=i-…`, or SSM's {key, values} in any spelling of the two."""
    if isinstance(value, Target):
        return value
    if isinstance(value, str):
        key, equals, rest = value.partition("=")
        if not equals:
            raise _wrong(
                "target", f"{shown(value)} names no value", f"Write {part(key) if key else 'tag:PatchGroup'}=value"
            )
        return Target(_target_key(key.strip()), _target_values(key.strip(), rest.split(",")))
    if isinstance(value, Mapping):
        parts = {str(name).lower(): found for name, found in value.items()}
        if set(parts) != {"key", "values"}:
            raise _wrong(
                "target", f"{shown(value)} has not just key and values", "Write key and values, or tag:Key=value"
            )
        return Target(_target_key(parts["key"]), _target_values(parts["key"], _many(parts["values"])))
    raise _wrong(
        "target", f"{shown(value)} is not a target", "Write tag:Key=value, ResourceGroup=name or InstanceIds=i-…"
    )


def _target_key(key: object) -> str:
    text = key if isinstance(key, str) else ""
    if re.fullmatch(r"(resource-?groups?(:name)?|resource_group)", text, re.IGNORECASE):
        return GROUP_KEY
    if re.fullmatch(r"instance-?_?ids?", text, re.IGNORECASE):
        return IDS_KEY
    if text.startswith("tag:") and 4 < len(_clean(text)) <= 132:
        return text
    name = part(text.removeprefix("tag:")) if 0 < len(text.removeprefix("tag:")) <= 128 else "Key"
    raise _wrong("target", f"{shown(key)} is not a target key", f"Write tag:{name}=…, ResourceGroup=… or InstanceIds=…")


def _target_values(key: object, written: Sequence[object]) -> tuple[str, ...]:
    values = [_target_value(key, value) for value in written[: MAX_VALUES + 1]]
    if not all(values) or not 1 <= len(values) <= MAX_VALUES:
        empty = "an empty value" if values and not all(values) else f"{len(written)} values"
        raise _wrong("target", f"{shown(key)} has {empty}", f"Give 1 to {MAX_VALUES} values, none of them empty")
    if _target_key(key) == GROUP_KEY and (bad := [v for v in values if not re.fullmatch(r"[A-Za-z0-9_.-]{1,300}", v)]):
        raise _wrong("target", f"{shown(bad[0])} is not a resource group's name", "Write its name, not its ARN")
    if _target_key(key) == IDS_KEY and (bad := [v for v in values if not re.fullmatch(r"(i|mi)-[0-9a-f]{8,17}", v)]):
        raise _wrong("target", f"{shown(bad[0])} is not an instance id", "Write ids as AWS does, i-… or mi-…")
    return tuple(values)


def _target_value(key: object, value: object) -> str:
    if not isinstance(value, str):
        quoted = f'Quote it: "{value}"' if isinstance(value, (int, float)) else "Write values as text"
        raise _wrong("target", f"{shown(key)} has {shown(value)}, which is not text", quoted)
    return _clean(value.strip())


def _many(value: object) -> list[object]:
    """One value where a list is expected is a list of one; DynamoDB's sets are lists in a settled order."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _expression(value: str) -> str:
    if len(value) > MAX_EXPRESSION:
        message = f"{shown(value)} has {len(value)} characters, AWS takes {MAX_EXPRESSION}"
        raise _wrong("schedule", message, "Write cron(…), rate(…) or at(…)")
    try:
        check(value)
    except InvalidSchedule as error:
        raise _wrong("schedule", f"{shown(value)}: {error.reason}", error.fix) from error
    return value.strip()


def _timezone(value: str) -> str:
    zones = available_timezones()
    if value not in zones:
        raise _wrong(
            "timezone", f"{shown(value)} is not an IANA time zone", _near(value, zones, "Write e.g. Europe/London")
        )
    return value


def _day(value: object) -> date:
    """A date as ISO 8601 writes it, of a year that AWS's cron knows."""
    if isinstance(value, date) and not isinstance(value, datetime):
        found = value
    else:
        text = value if isinstance(value, str) else ""
        try:
            found = date.fromisoformat(text if re.fullmatch(DATE, text) else "")
        except ValueError:
            raise _wrong(
                "date", f"{shown(value)} is not a date that there is", "Write yyyy-mm-dd, e.g. 2027-01-31"
            ) from None
    if not DAYS[0] <= found <= DAYS[1]:
        raise _wrong("range", f"{found} is out of reach", f"Write a date from {DAYS[0]} to {DAYS[1]}")
    return found


def _freeze(value: object) -> Freeze | str:
    """A date, a range of dates (both ends included), or the key of an iCalendar file in the stack's bucket."""
    if isinstance(value, Freeze):
        return value
    if isinstance(value, Mapping):
        parts = {str(key).lower(): found for key, found in value.items()}
        if set(parts) != {"from", "to"}:
            hint = "Write from and to, or 2026-12-20..2027-01-05"
            raise _wrong("freeze", f"{shown(value)} has not just from and to", hint)
        return _dates_of(parts["from"], parts["to"])
    text = _clean(value.strip()) if isinstance(value, str) else ""
    if text.lower().endswith(".ics"):
        return _freeze_file(text)
    found = re.fullmatch(rf"({DATE})(?:\s*(?:\.\.|/|to)\s*({DATE}))?", text)
    if not found:
        hint = "Write 2026-12-24, 2026-12-20..2027-01-05, or the key of an .ics file in the stack's bucket"
        raise _wrong("freeze", f"{shown(value)} is no date, range or .ics file", hint)
    return _dates_of(found[1], found[2] or found[1])


def _dates_of(first: object, last: object) -> Freeze:
    try:
        days = Freeze(_day(first), _day(last))
    except PydanticCustomError as error:
        said = error.context or {}
        raise _wrong("freeze", str(said["message"]), str(said["hint"])) from error
    if days.last < days.first:
        raise _wrong("freeze", f"{days.last} is before {days.first}", "Swap the two")
    return days


def _freeze_file(key: str) -> str:
    if key.startswith(("s3:", "/")) or "//" in key or ".." in key or len(key) > 512:
        hint = "Write the key alone, e.g. calendars/company.ics"
        raise _wrong("freeze", f"{shown(key)} is not a key of the stack's bucket", hint)
    return key


DOCUMENT = r"arn:aws[a-z-]*:ssm:[a-z0-9-]+:[0-9]{12}:document/"
CALENDAR = rf"({DOCUMENT})?[a-zA-Z0-9_.-]{{3,128}}"


def _calendar(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(CALENDAR, value):
        return value
    hint = "Write its name, or its ARN when it is shared with you"
    raise _wrong("calendar", f"{shown(value)} is not a Change Calendar", hint)


def _percent(value: object) -> float:
    numeric = isinstance(value, (int, float, str)) and not isinstance(value, bool)
    text = str(value).strip().removesuffix("%") if numeric else ""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) or float(text) > 100:
        raise _wrong("percent", f"{shown(value)} is not a percentage", "Write 0% to 100%, with at most three decimals")
    return float(text)


def _choice(*choices: str) -> Callable[[object], str]:
    """One of the words, in any case."""

    def chosen(value: object) -> str:
        if isinstance(value, str) and (text := value.lower()) in choices:
            return text
        raise _wrong("choice", f"{shown(value)} is not one of the choices", f"Write {' or '.join(choices)}")

    return chosen


def _whole(least: int, most: int) -> Callable[[object], int]:
    """A whole number, as a number or in digits."""

    def whole(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong("number", f"{shown(value)} is not a whole number", f"Write {least} to {most}")
        if not least <= value <= most:
            raise _wrong("range", f"{shown(value)} is not from {least} to {most}", f"Write {least} to {most}")
        return value

    return whole


def _version(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# --- what may be written, once for editors and once to be read ---------------------------------------------------------------

_Count = Annotated[int, Field(ge=0)]
_AccountText = Annotated[str, Field(pattern=ACCOUNT)]
_AccountIdText = Annotated[str, Field(pattern=ACCOUNT_ID)]
_RegionText = Annotated[str, Field(pattern=REGION)]
_SpanText = Annotated[float, Field(ge=0, lt=10_000)] | Annotated[str, Field(pattern=SPAN, min_length=2)]
_ConcurrencyText = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=CONCURRENCY)]
_ErrorsText = _Count | Annotated[str, Field(pattern=ERRORS)]
_PercentText = Annotated[float, Field(ge=0, le=100)] | Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3})?%?$")]
_CalendarText = Annotated[str, Field(pattern=f"^{CALENDAR}$")]

Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_clean)]
Link = Annotated[str, StringConstraints(max_length=300, pattern=r"^$|^https://[A-Za-z0-9._~:/?#@!&()*+,;=%-]+$")]
Given = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_clean)]
Account = Annotated[str, BeforeValidator(_account, json_schema_input_type=_AccountText)]
AccountId = Annotated[
    str, BeforeValidator(_account, json_schema_input_type=_AccountIdText), AfterValidator(_account_id)
]
Region = Annotated[str, BeforeValidator(_region, json_schema_input_type=_RegionText)]
Span = Annotated[timedelta, BeforeValidator(_span, json_schema_input_type=_SpanText)]
Concurrency = Annotated[str, BeforeValidator(_limit(1, CONCURRENCY), json_schema_input_type=_ConcurrencyText)]
Errors = Annotated[str, BeforeValidator(_limit(0, ERRORS), json_schema_input_type=_ErrorsText)]
Percent = Annotated[float, BeforeValidator(_percent, json_schema_input_type=_PercentText)]
# A name stands in commands that people are told to type, and in cells of spreadsheets: one that begins with - would be an option
# there, and a formula here.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{2,47}$")]
Expression = Annotated[
    str,
    AfterValidator(_expression),
    WithJsonSchema({"type": "string", "pattern": r"^(cron|rate|at)\(.+\)$", "maxLength": MAX_EXPRESSION}),
]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=date)]
Offset = Annotated[int, BeforeValidator(_whole(0, 27), json_schema_input_type=Annotated[int, Field(ge=0, le=27)])]
Most = Annotated[
    int, BeforeValidator(_whole(1, 1_000_000), json_schema_input_type=Annotated[int, Field(ge=1, le=1_000_000)])
]
Approve = Annotated[
    str, BeforeValidator(_choice("none", "required"), json_schema_input_type=Literal["none", "required"])
]
Closed = Annotated[
    str, BeforeValidator(_choice("skip", "postpone"), json_schema_input_type=Literal["skip", "postpone"])
]
TargetText = Annotated[
    Target,
    BeforeValidator(_target),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[^={}]+=[^{}]+$"},
                {
                    "type": "object",
                    "properties": {
                        "key": {"type": "string", "description": "tag:Key, ResourceGroup or InstanceIds"},
                        "values": {
                            "type": "array",
                            "description": "one of these must be the instance's",
                            "items": {"type": "string"},
                            "minItems": 1,
                            "maxItems": MAX_VALUES,
                        },
                    },
                    "required": ["key", "values"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
FreezeText = Annotated[
    Freeze | str,
    BeforeValidator(_freeze),
    WithJsonSchema({"type": "string", "pattern": rf"^({DATE}(\s*(\.\.|/|to)\s*{DATE})?|[^/{{}}][^{{}}]*\.ics)$"}),
]
Calendar = Annotated[str, BeforeValidator(_calendar, json_schema_input_type=_CalendarText)]
AlarmName = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_clean)]

# By ARN where another account shares it. AWS takes 128 characters of either, and the longest ARN has 56 before its name.
RUNBOOK = rf"({DOCUMENT}[a-zA-Z0-9_\-.]{{3,72}}|[a-zA-Z0-9_\-.]{{3,128}})"
RunbookName = Annotated[str, StringConstraints(pattern=rf"^{RUNBOOK}$")]
_VersionText = Annotated[str, StringConstraints(pattern=r"^(\$LATEST|\$DEFAULT|[1-9][0-9]{0,8})$")]
RunbookVersion = Annotated[
    _VersionText, BeforeValidator(_version, json_schema_input_type=_VersionText | Annotated[int, Field(ge=1)])
]
TargetParameter = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{0,49}$")]
RoleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+=,.@/-]{1,64}$")]
# It becomes part of a command on the instance, so it has no quotes, backslashes, dollars or blanks.
PatchList = Annotated[str, StringConstraints(max_length=256, pattern=r"^(s3|https)://[A-Za-z0-9._~:/?#@!&()*+,=%-]+$")]
Snapshot = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
ParameterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,49}$")]
ParameterValue = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PARAMETER), AfterValidator(_clean)]
ParameterValues = Annotated[
    list[ParameterValue],
    BeforeValidator(_many, json_schema_input_type=ParameterValue | list[ParameterValue]),
    Field(min_length=1, max_length=50),
]
Parameters = Annotated[dict[ParameterName, ParameterValues], Field(max_length=MAX_PARAMETERS)]

Accounts = Annotated[
    list[Account], BeforeValidator(_many, json_schema_input_type=Account | list[Account]), Field(min_length=1)
]
AccountIds = Annotated[
    list[AccountId],
    BeforeValidator(_many, json_schema_input_type=AccountId | list[AccountId]),
    Field(min_length=1, max_length=50),
]
Excluded = Annotated[list[Account], BeforeValidator(_many, json_schema_input_type=Account | list[Account])]
Targets = Annotated[
    list[TargetText],
    BeforeValidator(_many, json_schema_input_type=TargetText | list[TargetText]),
    Field(min_length=1, max_length=MAX_TARGETS),
]
Regions = Annotated[
    list[Region],
    BeforeValidator(_many, json_schema_input_type=Region | list[Region]),
    Field(min_length=1, max_length=50),
]
AlarmNames = Annotated[
    list[AlarmName],
    BeforeValidator(_many, json_schema_input_type=AlarmName | list[AlarmName]),
    Field(max_length=100),
]
Calendars = Annotated[
    list[Calendar], BeforeValidator(_many, json_schema_input_type=Calendar | list[Calendar]), Field(max_length=20)
]
Freezes = Annotated[
    list[FreezeText],
    BeforeValidator(_many, json_schema_input_type=FreezeText | list[FreezeText]),
    Field(max_length=100),
]
