"""How compliant some instances are, in the two ways that people ask for."""

from __future__ import annotations

from patchtide.core.frozen import frozen


@frozen
class Compliance:
    """Of `expected` instances, `excepted` are under an active exception, and the evidence of `compliant` ones shows nothing
    against them. Whatever is unknown is not compliant."""

    expected: int = 0
    excepted: int = 0
    compliant: int = 0

    @property
    def percent(self) -> float | None:
        """compliant / (expected - active exceptions), as a percentage; None where nobody was asked for anything."""
        return _percent(self.compliant, self.expected - self.excepted)

    @property
    def raw_percent(self) -> float | None:
        """compliant / expected, as a percentage: exceptions count against it."""
        return _percent(self.compliant, self.expected)

    def __add__(self, other: Compliance) -> Compliance:
        return Compliance(
            self.expected + other.expected, self.excepted + other.excepted, self.compliant + other.compliant
        )


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole > 0 else None


def spoken(percent: float | None) -> str:
    """A percentage as people read it. It is never rounded up to 100, nor down to 0."""
    if percent is None:
        return "n/a"
    if 0 < percent < 0.1 or 99.9 < percent < 100:
        return "<0.1%" if percent < 1 else ">99.9%"
    return f"{percent:.1f}%".replace(".0%", "%")
