"""What is told of a measurement: a figure with its target, how it grew, and what a worse way would have come to.

A figure that nothing can make red says nothing. So each has a control: the same measured of a way that we did not take, which
must miss the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Bound = Literal["most", "least", "equal"]
Shape = Literal["constant", "linear"]
SLACK = 1.1  # by which a growth may exceed what it promises: digits, and minutes that come out differently
SIGNS: Mapping[Bound, str] = {"most": "<=", "least": ">=", "equal": "="}


@dataclass(frozen=True)
class Target:
    """What a value must be."""

    bound: Bound
    value: float

    def met(self, value: float) -> bool:
        """Whether a value is that."""
        match self.bound:
            case "most":
                return value <= self.value
            case "least":
                return value >= self.value
            case "equal":
                return value == self.value

    def __str__(self) -> str:
        return f"{SIGNS[self.bound]} {said(self.value)}"


@dataclass(frozen=True)
class Control:
    """A way that is worse on purpose, and what was measured of it."""

    what: str
    value: float


@dataclass(frozen=True)
class Growth:
    """What was measured at several sizes, and how it may grow with them: not at all, or as they do."""

    over: str
    of: str
    shape: Shape
    points: Mapping[int, float]

    @property
    def held(self) -> bool:
        """Whether it grew by no more than it may, from its smallest size to its largest."""
        (least, first), *_, (most, last) = sorted(self.points.items())
        allowed = most / least if self.shape == "linear" else 1
        return last <= first * allowed * SLACK


@dataclass(frozen=True)
class Figure:
    """One figure. `parts` are what it is made of, or stands beside it, by name."""

    key: str
    title: str
    formula: str
    value: float
    target: Target
    control: Control
    growth: Growth | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the target is met, and the growth is what was promised."""
        return self.target.met(self.value) and (self.growth is None or self.growth.held)

    @property
    def guarded(self) -> bool:
        """Whether the control misses the target, as it must."""
        return not self.target.met(self.control.value)

    @property
    def fine(self) -> bool:
        """Whether there is nothing to say against it."""
        return self.met and self.guarded

    @property
    def verdict(self) -> str:
        """How it stands, in a word or two."""
        if not self.guarded:
            return "control is not red"
        if not self.target.met(self.value):
            return "missed"
        return "met" if self.met else "grows"


def said(value: float) -> str:
    """A number as people read it."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"


def as_json(figures: Iterable[Figure]) -> dict[str, Any]:
    """The figures as `out/bench.json` holds them, each under its key."""
    return {one.key: _figure(one) for one in figures}


def _figure(one: Figure) -> dict[str, Any]:
    told: dict[str, Any] = {
        "title": one.title,
        "value": _rounded(one.value),
        "target": {one.target.bound: one.target.value},
        "met": one.met,
        "formula": one.formula,
        "control": {"what": one.control.what, "value": _rounded(one.control.value), "missesTarget": one.guarded},
    }
    if one.growth:
        points = {str(size): _rounded(value) for size, value in sorted(one.growth.points.items())}
        told["growth"] = {"over": one.growth.over, "of": one.growth.of, "promise": one.growth.shape, "points": points}
    if one.parts:
        told["parts"] = {name: _rounded(value) for name, value in one.parts.items()}
    return told


def _rounded(value: float) -> float | int:
    return int(value) if value == int(value) else round(value, 4)


def from_json(told: Mapping[str, Any]) -> tuple[Figure, ...]:
    """The figures that a record holds."""
    return tuple(_told(key, one) for key, one in told.items())


def _told(key: str, one: Mapping[str, Any]) -> Figure:
    ((bound, value),) = one["target"].items()
    grew = one.get("growth")
    growth = grew and Growth(
        grew["over"], grew["of"], grew["promise"], {int(size): found for size, found in grew["points"].items()}
    )
    return Figure(
        key,
        one["title"],
        one["formula"],
        one["value"],
        Target(bound, value),
        Control(one["control"]["what"], one["control"]["value"]),
        growth,
        one.get("parts", {}),
    )
