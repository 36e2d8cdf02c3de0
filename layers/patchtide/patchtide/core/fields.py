"""The values that a campaign's fields take, each read by itself, with words that say how to mend it.

Values are checked by hand where pydantic's own words would not tell a person what to write instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from patchtide.core.campaign import GROUP_KEY, IDS_KEY, Freeze, Target
from patchtide.core.errors import InvalidSchedule
from patchtide.core.schedule import check

MAX_TARGETS = 5  # SendCommand's limit (botocore's SendCommandRequest.Targets)
MAX_VALUES = 50  # botocore's TargetValues
MAX_PARAMETER = 512  # botocore's AutomationParameterValue
FORBIDDEN = re.compile(r"[{}\x00-\x1f\x7f]")


def _wrong(code: str, message: str, hint: str = "") -> PydanticCustomError:
    # The texts are passed as context: pydantic would read braces in a person's value as its own placeholders.
    return PydanticCustomError("patchtide", "{message}", {"code": code, "message": message, "hint": hint})


def _clean(text: str) -> str:
    if found := FORBIDDEN.search(text):
        raise _wrong("characters", f"{text!r} contains {found[0]!r}", "Braces and control characters are not allowed")
    return text


def _account(value: object) -> str:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        raise _wrong(
            "account-number", f"{value} is a number", f'Quote it: "{int(value):012d}", leading zeros may be lost'
        )
    text = str(value)
    if re.fullmatch(r"[0-9]{12}|r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}", text):
        return text
    raise _wrong(
        "account", f"{text!r} is not an account, unit or root", 'Write 12 digits, "ou-…" or "r-…" as Organizations does'
    )


def _account_id(text: str) -> str:
    if text.isdigit():
        return text
    raise _wrong("account", f"{text!r} is a unit or root", "List account ids here; narrow it by targets")


def _region(value: object) -> str:
    text = str(value)
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}", text):
        raise _wrong("region", f"{text!r} is not a Region", "Write it as AWS does, e.g. eu-west-1")
    return text


def _span(value: object) -> timedelta:
    """Hours as a number (AWS's unit), or a string with its units, e.g. 90m, 3h30m or 2d."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and -10_000 < value < 10_000:
        return timedelta(hours=float(value))
    match = re.fullmatch(r"(?:([0-9]{1,3})d)?(?:([0-9]{1,4})h)?(?:([0-9]{1,6})m)?", str(value))
    if not match or not any(match.groups()):
        raise _wrong("duration", f"{value!r} has no unit", "Write hours as a number, or e.g. 90m, 3h30m or 2d")
    return timedelta(days=int(match[1] or 0), hours=int(match[2] or 0), minutes=int(match[3] or 0))


def _limit(value: object, *, least: int, pattern: str) -> str:
    text = str(int(value)) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else str(value)
    if len(text) > 7 or not re.fullmatch(pattern, text):
        raise _wrong(
            "rate", f"{text!r} is not a limit", f"Write a count from {least}, or a percentage from {least}% to 100%"
        )
    return text


def _concurrency(value: object) -> str:
    return _limit(value, least=1, pattern=r"[1-9][0-9]*|[1-9][0-9]?%|100%")


def _errors(value: object) -> str:
    return _limit(value, least=0, pattern=r"[1-9][0-9]*|0|[1-9][0-9]%|[0-9]%|100%")


def _target(value: object) -> Target:
    """`tag:Key=v1,v2`, `ResourceGroup=name`, `InstanceIds=i-…`, or SSM's {key, values} in any spelling of the two."""
    if isinstance(value, Target):
        return value
    if isinstance(value, Mapping):
        parts = {str(key).lower(): found for key, found in value.items()}
        if set(parts) != {"key", "values"}:
            raise _wrong("target", f"has {sorted(value)}", "Write key and values, or tag:Key=value")
        key, values = str(parts["key"]), parts["values"]
        values = list(values) if isinstance(values, (list, tuple, set, frozenset)) else [values]
    else:
        key, equals, rest = str(value).partition("=")
        if not equals:
            raise _wrong("target", f"{value!r} names no value", f"Write {key or 'tag:PatchGroup'}=value")
        values = rest.split(",")
    return Target(_target_key(key.strip()), _target_values(key, [_clean(str(entry).strip()) for entry in values]))


def _target_key(key: str) -> str:
    if re.fullmatch(r"(resource-?groups?(:name)?|resource_group)", key, re.IGNORECASE):
        return GROUP_KEY
    if re.fullmatch(r"instance-?_?ids?", key, re.IGNORECASE):
        return IDS_KEY
    if key.startswith("tag:") and 4 < len(_clean(key)) <= 132:
        return key
    raise _wrong(
        "target",
        f"{key!r} is not a target key",
        f"Write tag:{key.removeprefix('tag:') or 'Key'}=…, ResourceGroup=… or InstanceIds=…",
    )


def _target_values(key: str, values: list[str]) -> tuple[str, ...]:
    if not values or not all(values) or len(values) > MAX_VALUES:
        raise _wrong(
            "target", f"{key} has {len([v for v in values if v])} values", f"Give 1 to {MAX_VALUES}, none empty"
        )
    if _target_key(key) == IDS_KEY and (bad := [v for v in values if not re.fullmatch(r"(i|mi)-[0-9a-f]{8,17}", v)]):
        raise _wrong("target", f"{bad[0]!r} is not an instance id", "Write i-… or mi-… ids")
    return tuple(values)


def _many(value: object) -> object:
    """One value where a list is expected is a list of one; DynamoDB's sets are lists in a settled order."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return value if isinstance(value, (list, tuple)) else [value]


def _expression(value: str) -> str:
    try:
        check(value)
    except InvalidSchedule as error:
        raise _wrong("schedule", f"{value!r}: {error.reason}", error.fix) from error
    return value.strip()


def _timezone(value: str) -> str:
    zones = available_timezones()
    if value not in zones:
        near = difflib.get_close_matches(value, zones, 1)
        raise _wrong(
            "timezone",
            f"{value!r} is not an IANA time zone",
            f"Did you mean {near[0]!r}?" if near else "Write e.g. Europe/London",
        )
    return value


_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def _freeze(value: object) -> Freeze | str:
    """A date, a range of dates (both ends included), or the key of an iCalendar file in the stack's bucket."""
    if isinstance(value, Freeze):
        return value
    if isinstance(value, Mapping):
        parts = {str(key).lower(): str(found) for key, found in value.items()}
        if set(parts) != {"from", "to"}:
            raise _wrong("freeze", f"has {sorted(parts)}", "Write from and to, or 2026-12-20..2027-01-05")
        first, last = parts["from"], parts["to"]
    else:
        text = _clean(str(value).strip())
        if text.lower().endswith(".ics"):
            return _freeze_file(text)
        found = re.fullmatch(rf"({_DATE})(?:\s*(?:\.\.|/|to)\s*({_DATE}))?", text)
        if not found:
            hint = "Write 2026-12-24, 2026-12-20..2027-01-05, or the key of an .ics file in the stack's bucket"
            raise _wrong("freeze", f"{text!r} is no date, range or .ics file", hint)
        first, last = found[1], found[2] or found[1]
    days = _dates_of(first, last)
    if days.last < days.first:
        raise _wrong("freeze", f"{last} is before {first}", "Swap them")
    return days


def _dates_of(first: str, last: str) -> Freeze:
    try:
        return Freeze(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError as error:
        raise _wrong("freeze", f"{first} to {last}: {error}", "Write dates as yyyy-mm-dd") from error


def _freeze_file(key: str) -> str:
    if key.startswith(("s3:", "/")) or "//" in key or ".." in key or len(key) > 512:
        raise _wrong(
            "freeze", f"{key!r} is not a key of the stack's bucket", "Write the key alone, e.g. calendars/company.ics"
        )
    return key


def _calendar(value: object) -> str:
    text = str(value)
    if re.fullmatch(r"arn:aws[a-z-]*:ssm:[a-z0-9-]+:[0-9]{12}:document/[a-zA-Z0-9_.-]{3,128}", text):
        return text
    if re.fullmatch(r"[a-zA-Z0-9_.-]{3,128}", text):
        return text
    raise _wrong(
        "calendar", f"{text!r} is not a Change Calendar", "Write its name, or its ARN when it is shared with you"
    )


def _percent(value: object) -> float:
    text = str(value).strip().removesuffix("%")
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) or float(text) > 100:
        raise _wrong("percent", f"{value!r} is not a percentage", "Write 0% to 100%")
    return float(text)


def _choice(*choices: str) -> Callable[[object], str]:
    """One of the words, in any case."""

    def chosen(value: object) -> str:
        if (text := str(value).lower()) in choices:
            return text
        raise _wrong("choice", f"{value!r} is not one of the choices", f"Write {' or '.join(choices)}")

    return chosen


def _whole(value: object) -> object:
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_clean)]
Given = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_clean)]
Account = Annotated[str, BeforeValidator(_account)]
AccountId = Annotated[str, BeforeValidator(_account), AfterValidator(_account_id)]
Region = Annotated[str, BeforeValidator(_region)]
Span = Annotated[timedelta, BeforeValidator(_span, json_schema_input_type=int | str)]
Concurrency = Annotated[str, BeforeValidator(_concurrency, json_schema_input_type=int | str)]
Errors = Annotated[str, BeforeValidator(_errors, json_schema_input_type=int | str)]
TargetText = Annotated[Target, BeforeValidator(_target, json_schema_input_type=str | dict[str, Any])]
Accounts = Annotated[list[Account], BeforeValidator(_many), Field(min_length=1)]
AccountIds = Annotated[list[AccountId], BeforeValidator(_many), Field(min_length=1, max_length=50)]
Targets = Annotated[list[TargetText], BeforeValidator(_many), Field(min_length=1, max_length=MAX_TARGETS)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{3,48}$")]
RunbookName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_\-.]{3,128}$")]

ParameterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,49}$")]
ParameterValue = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PARAMETER), AfterValidator(_clean)]
ParameterValues = Annotated[list[ParameterValue], BeforeValidator(_many), Field(min_length=1, max_length=50)]
Day = Annotated[date, Field(ge=date(1970, 1, 1), le=date(2199, 12, 31))]  # the years AWS's cron knows


FreezeText = Annotated[Freeze | str, BeforeValidator(_freeze, json_schema_input_type=str | dict[str, str])]
Calendar = Annotated[str, BeforeValidator(_calendar)]
Percent = Annotated[float, BeforeValidator(_percent, json_schema_input_type=float | str)]
Approve = Annotated[
    str, BeforeValidator(_choice("none", "required"), json_schema_input_type=Literal["none", "required"])
]
Closed = Annotated[
    str, BeforeValidator(_choice("skip", "postpone"), json_schema_input_type=Literal["skip", "postpone"])
]
AlarmName = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_clean)]
Offset = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=27)]
Most = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=1_000_000)]
Expression = Annotated[str, AfterValidator(_expression)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Regions = Annotated[list[Region], BeforeValidator(_many), Field(min_length=1, max_length=50)]
Excluded = Annotated[list[Account], BeforeValidator(_many)]
AlarmNames = Annotated[list[AlarmName], BeforeValidator(_many), Field(max_length=100)]
Calendars = Annotated[list[Calendar], BeforeValidator(_many), Field(max_length=20)]
Freezes = Annotated[list[FreezeText], BeforeValidator(_many), Field(max_length=100)]
