"""A frozen value is what `dataclass(frozen=True)` would have made of it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from patchtide.core.frozen import frozen


@frozen
class Point:
    """A value with all kinds of fields."""

    name: str
    size: int = 1
    tags: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def double(self) -> int:
        """Twice its size."""
        return 2 * self.size


@frozen
class Nothing:
    """A value without fields."""


@frozen
class Place(Point):
    """A value that adds a field to another's."""

    at: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Usual:
    """The same as Point, made by the standard library."""

    name: str
    size: int = 1
    tags: Mapping[str, int] = dataclasses.field(default_factory=dict)


@pytest.mark.parametrize(
    "make",
    [
        lambda kind: kind("a"),
        lambda kind: kind("a", 2, {"x": 1}),
        lambda kind: kind(size=2, name="a"),
        lambda kind: dataclasses.replace(kind("a"), size=3),
        lambda kind: kind(),
        lambda kind: kind("a", 1, {}, 4),
        lambda kind: kind("a", name="b"),
        lambda kind: kind("a", colour="red"),
        lambda kind: dataclasses.replace(kind("a"), colour="red"),
        lambda kind: setattr(kind("a"), "name", "b"),
        lambda kind: delattr(kind("a"), "name"),
        lambda kind: hash(kind("a")),
        lambda kind: hash(kind(1, 2, ())) == hash(kind(1, 2, ())),
        lambda kind: kind("a") == kind("a"),
        lambda kind: kind("a") == kind("b"),
        lambda kind: kind("a") == ("a", 1, {}),
        lambda kind: kind("a").tags is kind("a").tags,
        lambda kind: msgspec.json.encode(kind("a", 2)),
        lambda kind: msgspec.json.decode(b'{"tags":{"y":2},"name":"a"}', type=kind) == kind("a", 1, {"y": 2}),
        lambda kind: msgspec.json.decode(b"{}", type=kind),
        lambda kind: dataclasses.asdict(kind("a")),
        lambda kind: vars(copy.deepcopy(kind("a"))),
        lambda kind: vars(pickle.loads(pickle.dumps(kind("a")))),  # noqa: S301 - our own
        lambda kind: kind.__match_args__,
    ],
)
def test_it_does_what_the_standard_librarys_does(make: Callable[[Any], object]) -> None:
    assert outcome(make, Point) == outcome(make, Usual)


def outcome(make: Callable[[Any], object], kind: Any) -> object:
    """What comes of it: the value as it shows itself, or the kind of mistake."""
    try:
        return repr(make(kind)).replace(kind.__name__, "Kind")
    except Exception as error:  # noqa: BLE001 - whatever the one raises, the other must
        return type(error)


def test_it_is_matched_by_its_fields() -> None:
    match Point("a", 2):
        case Point(name, size=2):
            assert name == "a"
        case _:
            raise AssertionError("not matched")


def test_one_without_fields_is_equal_to_its_like() -> None:
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    assert repr(Nothing()) == "Nothing()"


def test_one_that_adds_to_another_has_the_fields_of_both_and_is_no_such_other() -> None:
    assert Place("a", at=(1,)) == Place("a", 1, {}, (1,))
    assert Place("a") != Point("a")
    assert Place("a", 4).double == 8
