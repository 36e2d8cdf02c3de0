"""Items as DynamoDB counts them: in bytes, and in the units of what is read and written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from simulator.memory import Call
from simulator.protocol import Params

KIB = 1024
READ = 4 * KIB  # of a unit


def item_bytes(item: Mapping[str, Any]) -> int:
    """An item's size by DynamoDB's rule: names and values, in UTF-8."""
    return sum(len(name.encode()) + _bytes(value) for name, value in item.items())


def _bytes(value: Any) -> int:
    match value:
        case str():
            return len(value.encode())
        case bool() | None:
            return 1
        case int() | float() | Decimal():
            digits = "".join(map(str, Decimal(str(value)).normalize().as_tuple().digits)).strip("0")
            return (len(digits) + 1) // 2 + 1 + (value < 0)
        case bytes():
            return len(value)
        case Mapping():
            return 3 + sum(1 + len(name.encode()) + _bytes(inner) for name, inner in value.items())
        case set() | frozenset():
            return sum(map(_bytes, value))
        case list() | tuple():
            return 3 + sum(1 + _bytes(inner) for inner in value)
    raise TypeError(f"DynamoDB has no {type(value)}")


def read_units(call: Call, answer: Params) -> float:
    """The read units of a call by its answer: one for each 4 KiB, of a single item at least one; half of it where the answer may be
    stale, as those of indexes are."""
    if call.service != "dynamodb" or not _reads(call):
        return 0
    if "Responses" in answer:
        return sum(_units(item_bytes(item)) for found in answer["Responses"].values() for item in found)
    items = [answer["Item"]] if "Item" in answer else answer.get("Items", [])
    return _units(sum(map(item_bytes, items))) / (1 if call.params.get("ConsistentRead") else 2)


def _reads(call: Call) -> bool:
    return call.operation.startswith(("get_", "batch_get_", "query", "scan"))


def _units(size: int) -> int:
    return max(1, math.ceil(size / READ))


def write_units(call: Call) -> int:
    """The write units of a call: one for each KiB of an item, twice that in a transaction. Of an update, its own words alone are
    known here, and the items that we update are small."""
    if call.service != "dynamodb" or _reads(call):
        return 0
    if "TransactItems" in call.params:
        return 2 * sum(_kib(next(iter(action.values()))) for action in call.params["TransactItems"])
    return _kib(call.params)


def _kib(asked: Mapping[str, Any]) -> int:
    return max(1, math.ceil(item_bytes(asked.get("Item", {})) / KIB))
