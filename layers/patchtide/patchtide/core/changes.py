"""What applying a document would change: the same list is printed by `plan` and performed by `apply`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Literal

from patchtide.core.frozen import frozen


@frozen
class Change:
    """One field of an item that is set, changed or removed."""

    verb: Literal["set", "change", "remove"]
    field: str
    before: object = None
    after: object = None

    def __str__(self) -> str:
        match self.verb:
            case "set":
                return f"+ {self.field}: {_shown(self.after)}"
            case "remove":
                return f"- {self.field}: {_shown(self.before)}"
        return f"~ {self.field}: {_shown(self.before)} -> {_shown(self.after)}"


def _shown(value: object) -> str:
    """A value as a file would have it, in one line."""
    return value if isinstance(value, str) else json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else str(value)


def changes(held: Mapping[str, object], wanted: Mapping[str, object], ours: Iterable[str]) -> tuple[Change, ...]:
    """What has to be done to the item's own fields for it to say what is wanted; `ours` are left alone. Nothing, when it says so
    already."""
    return tuple(_changes(held, {name: value for name, value in wanted.items() if value is not None}, set(ours)))


def _changes(held: Mapping[str, object], wanted: Mapping[str, object], ours: set[str]) -> Iterator[Change]:
    for name, value in wanted.items():
        if name not in held:
            yield Change("set", name, after=value)
        elif held[name] != value:
            yield Change("change", name, held[name], value)
    for name, value in held.items():
        if name not in wanted and name not in ours and name != "campaign":
            yield Change("remove", name, before=value)


def fields(of: Iterable[Change]) -> dict[str, object]:
    """The fields to be written, None where one is removed."""
    return {change.field: change.after for change in of}
