"""Frozen values that cost next to nothing to define.

`dataclass(frozen=True)` writes the source of seven methods for every class and has it compiled: half a millisecond a class, and
for all of ours a sixth of a cold start. A value is the same dataclass, for `replace`, `match` and msgspec too, but its methods
are functions that are there already. Give each a docstring: for one without, `dataclass` asks `inspect` for a signature, which
takes as long as thirty others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """The class as `dataclass(frozen=True)` makes it."""
    made: Any = dataclass(init=False, repr=False, eq=False)(kind)
    named = fields(made)
    names = tuple(one.name for one in named)
    made.__init__ = _init(
        kind.__name__,
        names,
        {one.name: one.default for one in named if one.default is not MISSING},
        {one.name: one.default_factory for one in named if one.default_factory is not MISSING},
    )
    made.__eq__, made.__hash__ = _equality(names)
    made.__repr__, made.__setattr__, made.__delattr__ = _repr, _refuse, _refuse
    return kind


def _init(
    kind: str, names: tuple[str, ...], defaults: dict[str, Any], makers: dict[str, Callable[[], Any]]
) -> Callable[..., None]:
    put, most = object.__setattr__, len(names)

    def __init__(self: object, *args: Any, **given: Any) -> None:  # noqa: N807
        if len(args) > most:
            raise TypeError(f"{kind} takes {most} values, {len(args)} were given")
        for name, one in zip(names, args):  # noqa: B905 - those that are left are named, or have defaults
            put(self, name, one)
        for name in names[len(args) :]:
            if name in given:
                put(self, name, given.pop(name))
            elif name in defaults:
                put(self, name, defaults[name])
            elif name in makers:
                put(self, name, makers[name]())
            else:
                raise TypeError(f"{kind} lacks its {name!r}")
        if given:
            raise TypeError(f"{kind} has no {sorted(given)}, or has it twice")

    return __init__


def _equality(names: tuple[str, ...]) -> tuple[Callable[[Any, Any], Any], Callable[[Any], int]]:
    state: Callable[[Any], object] = attrgetter(*names) if names else lambda _: ()

    def __eq__(self: object, other: object) -> Any:  # noqa: N807
        return state(self) == state(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(state(self))

    return __eq__, __hash__


def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self))
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: object, name: str, *_: object) -> None:
    raise FrozenInstanceError(f"{type(self).__name__}.{name} is frozen: make another value with `replace`")
