"""DynamoDB in memory: the tables of the in-memory door, with conditions, transactions, indexes and a stream.

Written for speed and for what we send; the same requests go to moto in the other doors, and one suite of tests runs over both.
Items are never changed but replaced, so an answer may hand out what is stored.
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from simulator.protocol import Params, ServiceError

Item = Mapping[str, Any]
Names = Mapping[str, str]
Values = Mapping[str, Any]
Test = Callable[[Item, Names, Values], bool]

MAX_ITEM = 400_000  # bytes
MAX_ACTIONS = 100
MAX_KEYS = 100
REMEMBERED = 12  # versions of an index, for those who are given an old one

_TOKEN = re.compile(r"\s*([:#]?\w+|<=|>=|<>|[=<>(),])")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ABSENT = object()


# --- expressions --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def condition(text: str) -> Test:
    """What a condition or key condition tests. Raises ValueError for what is not understood here."""
    words = _TOKEN.findall(text)
    if "".join(words) != "".join(text.split()):
        raise ValueError(f"not understood: {text}")
    test, rest = _any(words)
    if rest:
        raise ValueError(f"not understood from {rest[0]!r} on: {text}")
    return test


def _any(words: list[str]) -> tuple[Test, list[str]]:
    return _joined(words, "OR", _all, _either)


def _all(words: list[str]) -> tuple[Test, list[str]]:
    return _joined(words, "AND", _one, _both)


def _joined(
    words: list[str],
    word: str,
    part: Callable[[list[str]], tuple[Test, list[str]]],
    join: Callable[[Test, Test], Test],
) -> tuple[Test, list[str]]:
    left, rest = part(words)
    while rest and rest[0] == word:
        right, rest = part(rest[1:])
        left = join(left, right)
    return left, rest


def _either(left: Test, right: Test) -> Test:
    return lambda item, names, values: left(item, names, values) or right(item, names, values)


def _both(left: Test, right: Test) -> Test:
    return lambda item, names, values: left(item, names, values) and right(item, names, values)


def _one(words: list[str]) -> tuple[Test, list[str]]:
    match words:
        case ["(", *rest]:
            inner, rest = _any(rest)
            return inner, rest[1:]
        case ["attribute_exists", "(", name, ")", *rest]:
            return lambda item, names, values: _attribute(name, names) in item, rest
        case ["attribute_not_exists", "(", name, ")", *rest]:
            return lambda item, names, values: _attribute(name, names) not in item, rest
        case ["begins_with", "(", name, ",", prefix, ")", *rest]:
            return (
                lambda item, names, values: str(item.get(_attribute(name, names), "")).startswith(values[prefix])
            ), rest
        case [name, sign, value, *rest] if sign in _COMPARE:
            compare = _COMPARE[sign]

            def holds(item: Item, names: Names, values: Values) -> bool:
                held = item.get(_attribute(name, names), _ABSENT)
                return held is not _ABSENT and compare(held, values[value])

            return holds, rest
    raise ValueError(f"not understood: {' '.join(words)}")


def _attribute(name: str, names: Names) -> str:
    return names[name] if name[0] == "#" else name


_CLAUSE = re.compile(r"\b(SET|REMOVE|ADD)\b")


@lru_cache(maxsize=512)
def update(text: str) -> Callable[[Item, Names, Values], dict[str, Any]]:
    """What an update expression makes of an item: SET a = :a, REMOVE a, ADD a :a."""
    parts = _CLAUSE.split(text.strip())[1:]
    clauses = [
        (verb, [one.strip() for one in rest.split(",")]) for verb, rest in zip(parts[::2], parts[1::2], strict=True)
    ]

    def change(item: Item, names: Names, values: Values) -> dict[str, Any]:
        changed = dict(item)
        for verb, each in clauses:
            for one in each:
                if verb == "REMOVE":
                    changed.pop(_attribute(one, names), None)
                elif verb == "SET":
                    name, _, value = (word.strip() for word in one.partition("="))
                    changed[_attribute(name, names)] = values[value]
                else:
                    name, value = one.split()
                    held = _attribute(name, names)
                    changed[held] = changed.get(held, 0) + values[value]
        return changed

    return change


def stored(value: Any) -> Any:
    """A value as boto3's resource gives it back: numbers are Decimals. Raises TypeError for what it does not take."""
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is Decimal:
        return value
    if kind is int:
        return Decimal(value)
    if isinstance(value, str):  # an enum's word
        return str(value)
    if isinstance(value, Mapping):
        return {name: stored(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [stored(inner) for inner in value]
    if isinstance(value, set | frozenset) and value:
        return {stored(inner) for inner in value}
    raise TypeError(f"Unsupported type {kind} for value {value!r}")


def _size(value: Any) -> int:
    """About the bytes that DynamoDB counts for a value."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    if isinstance(value, Mapping):
        return sum(len(name) + _size(inner) for name, inner in value.items())
    if isinstance(value, list | set):
        return sum(_size(inner) for inner in value)
    return 8


# --- tables -------------------------------------------------------------------------------------------------------------


@dataclass
class Index:
    """A sparse index: the items that have both its keys, in order. It remembers what it was, since its reads may be stale."""

    hash: str
    range: str
    keys_only: bool
    held: dict[Any, list[tuple[Any, tuple[str, ...]]]] = field(default_factory=dict)
    before: deque[dict[Any, list[tuple[Any, tuple[str, ...]]]]] = field(
        default_factory=lambda: deque(maxlen=REMEMBERED)
    )

    def change(self, key: tuple[str, ...], old: Item | None, new: Item | None) -> None:
        """Take in that an item changed."""
        was, is_ = self._entry(key, old), self._entry(key, new)
        if was == is_:
            return
        self.before.append({name: list(entries) for name, entries in self.held.items()})
        if was:
            entries = self.held[was[0]]
            entries.remove((was[1], key))
            if not entries:
                del self.held[was[0]]
        if is_:
            insort(self.held.setdefault(is_[0], []), (is_[1], key))

    def copy(self) -> Index:
        """The same, to go another way."""
        held = {name: list(entries) for name, entries in self.held.items()}
        return Index(self.hash, self.range, self.keys_only, held, deque(self.before, maxlen=REMEMBERED))

    def _entry(self, key: tuple[str, ...], item: Item | None) -> tuple[Any, Any] | None:
        if item is None or self.hash not in item or self.range not in item:
            return None
        del key
        return item[self.hash], item[self.range]


class Table:
    """One table. `keys` are the names of its hash and range key."""

    def __init__(self, keys: tuple[str, ...], indexes: Mapping[str, Index]) -> None:
        self.keys, self.indexes = keys, indexes
        self.items: dict[tuple[str, ...], Item] = {}
        self.partitions: dict[str, list[str]] = {}
        self.changed: tuple[str, ...] = ()  # hash keys, in the order of their changes: the stream
        self.streams = not indexes
        self.written: list[tuple[tuple[str, ...], Item | None, Item | None]] | None = None  # before and after, if noted

    def key_of(self, item: Item) -> tuple[str, ...]:
        """The key of an item. Raises ServiceError when it has none."""
        try:
            key = tuple(item[name] for name in self.keys)
        except KeyError as missing:
            raise ServiceError("ValidationException", f"Missing the key {missing} in the item") from None
        if not all(key):
            raise ServiceError(
                "ValidationException", "The AttributeValue for a key attribute cannot contain an empty string value."
            )
        return key

    def put(self, key: tuple[str, ...], item: Item | None) -> None:
        """Let this be the item, or let there be none."""
        old = self.items.get(key)
        if self.written is not None:
            self.written.append((key, old, item))
        for index in self.indexes.values():
            index.change(key, old, item)
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item
        if len(key) == 2 and (old is None) != (item is None):
            sorts = self.partitions.setdefault(key[0], [])
            if item is None:
                sorts.remove(key[1])
            else:
                insort(sorts, key[1])
        if self.streams:
            self.changed = (*self.changed, key[0])

    def copy(self) -> Table:
        """The same, to go another way: items are shared, since they never change."""
        made = Table(self.keys, {})
        made.items = dict(self.items)
        made.partitions = {pk: list(sorts) for pk, sorts in self.partitions.items()}
        made.indexes = {name: index.copy() for name, index in self.indexes.items()}
        made.changed, made.streams = self.changed, self.streams
        return made

    def under(self, pk: str, prefix: str) -> Iterator[Item]:
        """The items of a partition whose sort key has the prefix, in order."""
        sorts = self.partitions.get(pk, [])
        for sk in sorts[bisect_left(sorts, prefix) :]:
            if not sk.startswith(prefix):
                return
            yield self.items[pk, sk]


class Tables:
    """All tables of a stack, as DynamoDB's operations. `page` is how many items a page holds."""

    def __init__(self, page: int = 1000) -> None:
        self.tables: dict[str, Table] = {}
        self.page = page
        self.stale = 0  # how many versions old the next read of an index is

    def make(self, name: str, properties: Mapping[str, Any]) -> None:
        """A table as an AWS::DynamoDB::Table says."""
        keys = tuple(key["AttributeName"] for key in properties["KeySchema"])
        indexes = {
            one["IndexName"]: Index(
                one["KeySchema"][0]["AttributeName"],
                one["KeySchema"][1]["AttributeName"],
                one["Projection"]["ProjectionType"] == "KEYS_ONLY",
            )
            for one in properties.get("GlobalSecondaryIndexes", ())
        }
        self.tables[name] = Table(keys, indexes)

    def copy(self) -> Tables:
        """The same, to go another way."""
        made = Tables(self.page)
        made.tables = {name: table.copy() for name, table in self.tables.items()}
        return made

    # --- operations, as the resource's client shows them -------------------------------------------------------------

    def get_item(self, **params: Any) -> Params:
        """GetItem."""
        table = self.tables[params["TableName"]]
        found = table.items.get(table.key_of(params["Key"]))
        return {"Item": found} if found is not None else {}

    def batch_get_item(self, **params: Any) -> Params:
        """BatchGetItem, which answers in an order of its own."""
        asked = [(name, key) for name, one in params["RequestItems"].items() for key in one["Keys"]]
        if not 1 <= len(asked) <= MAX_KEYS:
            raise ServiceError("ValidationException", f"{len(asked)} keys, at most {MAX_KEYS} are allowed")
        if len({(name, *self.tables[name].key_of(key)) for name, key in asked}) < len(asked):
            raise ServiceError("ValidationException", "Provided list of item keys contains duplicates")
        answers: dict[str, list[Item]] = {name: [] for name in params["RequestItems"]}
        for name, key in reversed(asked):
            found = self.tables[name].items.get(self.tables[name].key_of(key))
            answers[name] += [found] if found is not None else []
        return {"Responses": answers, "UnprocessedKeys": {}}

    def put_item(self, **params: Any) -> Params:
        """PutItem."""
        self._all([{"Put": params}], single=True)
        return {}

    def update_item(self, **params: Any) -> Params:
        """UpdateItem."""
        self._all([{"Update": params}], single=True)
        return {}

    def delete_item(self, **params: Any) -> Params:
        """DeleteItem."""
        self._all([{"Delete": params}], single=True)
        return {}

    def transact_write_items(self, **params: Any) -> Params:
        """TransactWriteItems: all or none."""
        actions = params["TransactItems"]
        if not 1 <= len(actions) <= MAX_ACTIONS:
            raise ServiceError("ValidationException", f"{len(actions)} actions, at most {MAX_ACTIONS} are allowed")
        self._all(actions, single=False)
        return {}

    def query(self, **params: Any) -> Params:
        """Query, one page."""
        found = self._found(params)
        limit = min(self.page, params.get("Limit", self.page))
        start = params.get("ExclusiveStartKey", {}).get("at", 0)
        page = found[start : start + limit]
        more = start + limit < len(found)
        return {"Items": page, "Count": len(page)} | ({"LastEvaluatedKey": {"at": start + limit}} if more else {})

    def scan(self, **params: Any) -> Params:
        """Scan, one page."""
        table = self.tables[params["TableName"]]
        found = [table.items[key] for key in sorted(table.items)]
        start = params.get("ExclusiveStartKey", {}).get("at", 0)
        page = found[start : start + self.page]
        more = start + self.page < len(found)
        return {"Items": page} | ({"LastEvaluatedKey": {"at": start + self.page}} if more else {})

    # --- how --------------------------------------------------------------------------------------------------------

    def _found(self, params: Params) -> list[Item]:
        table = self.tables[params["TableName"]]
        names, values = params.get("ExpressionAttributeNames", {}), params["ExpressionAttributeValues"]
        holds = condition(params["KeyConditionExpression"])
        if "IndexName" in params:
            return self._indexed(table, params, names, values, holds)
        found = list(table.under(values[":pk"], values.get(":sk", "")))
        if not all(holds(item, names, values) for item in found):
            raise ValueError(f"not a key condition of ours: {params['KeyConditionExpression']}")
        return found if params.get("ScanIndexForward", True) else found[::-1]

    def _indexed(self, table: Table, params: Params, names: Names, values: Values, holds: Test) -> list[Item]:
        """Of an index, as it is or as it was; of an item that is gone, what the index still knows."""
        index = table.indexes[params["IndexName"]]
        held = index.held
        if self.stale and index.before:
            held = index.before[max(0, len(index.before) - self.stale)]
            self.stale = 0
        found: list[Item] = []
        for name, entries in held.items():
            for at, key in entries:
                entry = dict(zip(table.keys, key, strict=True)) | {index.hash: name, index.range: at}
                if holds(entry, names, values):
                    found.append(entry if index.keys_only else {**table.items.get(key, {}), **entry})
        return found

    def _all(self, actions: Sequence[Mapping[str, Any]], *, single: bool) -> None:
        after: list[tuple[Table, tuple[str, ...], Item | None]] = []
        reasons: list[str] = []
        for action in actions:
            ((verb, asked),) = action.items()
            change = self._one(verb, asked)
            reasons.append("None" if change else "ConditionalCheckFailed")
            after += [change] if change else []
        touched = [(id(table), key) for table, key, _ in after]
        if len(set(touched)) < len(touched):
            raise ServiceError(
                "ValidationException", "Transaction request cannot include multiple operations on one item"
            )
        if len(after) < len(actions):
            if single:
                raise ServiceError("ConditionalCheckFailedException", "The conditional request failed")
            raise CancelledError(reasons)
        for table, key, item in after:
            table.put(key, item)

    def _one(self, verb: str, asked: Mapping[str, Any]) -> tuple[Table, tuple[str, ...], Item | None] | None:
        """What one action comes to, or None when its condition does not hold."""
        table = self.tables[asked["TableName"]]
        key = table.key_of(asked["Item"] if verb == "Put" else asked["Key"])
        held = table.items.get(key)
        names = asked.get("ExpressionAttributeNames", {})
        values = asked.get("ExpressionAttributeValues", {})
        if (test := asked.get("ConditionExpression")) and not condition(test)(held or {}, names, values):
            return None
        if verb == "Delete":
            return table, key, None
        if verb == "Put":
            item = stored(asked["Item"])
        else:
            base = held if held is not None else stored(asked["Key"])
            item = update(asked["UpdateExpression"])(base, names, stored(values))
        if len(item.get("body", "")) > MAX_ITEM // 8 and (size := _size(item)) > MAX_ITEM:
            raise ServiceError("ValidationException", f"Item size has exceeded the maximum allowed size: {size}")
        return table, key, item


class CancelledError(ServiceError):
    """A transaction that was cancelled, with a reason for each of its actions."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = list(reasons)
        super().__init__(
            "TransactionCanceledException",
            f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(self.reasons)}]",
        )
