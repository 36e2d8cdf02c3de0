"""Draws what was measured: docs/bench.json, the record of a whole `make bench`, as a picture and as the tables of
docs/scale-and-cost.md, so that neither is ever another story than the record.

Run it by `make pictures`; a test fails when one of them is stale.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bench.figures import Figure, Growth, from_json, said
from bench.world import PER_LOCATION, REGIONS, document
from patchtide.core.campaign import FLEET_RUNBOOK, INSTANCE_RUNBOOK, Campaign
from patchtide.core.cost import cost_of
from patchtide.core.document import read

DOCS = Path(__file__).parent
RECORD = DOCS / "bench.json"
PICTURE = DOCS / "growth.svg"
PAGE = DOCS / "scale-and-cost.md"

ACCOUNTS = (10, 1_000, 10_000)
SCANS = 4  # a month, beside its one installation


def recorded() -> tuple[Figure, ...]:
    """What was measured when the record was made."""
    return from_json(json.loads(RECORD.read_text(encoding="utf-8"))["figures"])


# --- the page -----------------------------------------------------------------------------------------------------------


def page(text: str, figures: Sequence[Figure]) -> str:
    """The page with its tables as they should be."""
    for name, lines in (("figures", _figures(figures)), ("month", _month())):
        before, begins, rest = text.partition(f"<!-- {name} -->\n")
        _, ends, after = rest.partition("<!-- end -->")
        if not (begins and ends):
            raise ValueError(f"{PAGE.name} has no place for {name}")
        text = before + begins + "\n".join(lines) + "\n" + ends + after
    return text


def _figures(figures: Iterable[Figure]) -> Iterator[str]:
    yield "| figure | value | target | | a worse way | what it is |"
    yield "|---|---:|---|---|---:|---|"
    for one in figures:
        yield (
            f"| `{one.key}` | {said(one.value)} | {one.target} | {one.verdict} | {said(one.control.value)} "
            f"| {_cell(one.title)}: {_cell(one.formula)}. *Worse:* {_cell(one.control.what)} |"
        )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _month() -> Iterator[str]:
    yield (
        "| accounts | instances | steps, by location | a month | steps, by instance | a month |\n"
        "|---:|---:|---:|---:|---:|---:|"
    )
    for accounts in ACCOUNTS:
        locations = accounts * len(REGIONS)
        instances = locations * PER_LOCATION
        by_location = cost_of(_campaign(FLEET_RUNBOOK), locations, instances)
        by_instance = cost_of(_campaign(INSTANCE_RUNBOOK), locations, instances)
        runs = 1 + SCANS
        yield (
            f"| {accounts:,} | {instances:,} | {by_location.steps * runs:,} | ${by_location.dollars * runs:,.2f} "
            f"| {by_instance.steps:,} | ${by_instance.dollars:,.2f} |"
        )


def _campaign(runbook: str) -> Campaign:
    more = {"runbook": runbook} | ({"targetParameterName": "InstanceId"} if runbook == INSTANCE_RUNBOOK else {})
    return read(document(1, **more)).valid()


# --- the picture --------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT = 330, 230  # of a panel
COLUMNS = 3
LEFT, RIGHT, TOP, BOTTOM = 58, 30, 54, 44  # of a panel's plot
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 13px } .note { fill: #57606a; font-size: 11px }
.axis { stroke: #8c959f; fill: none } .line { stroke: #0969da; stroke-width: 2.5; fill: none } .dot { fill: #0969da }
.target { stroke: #cf222e; stroke-dasharray: 5 4; fill: none } .targetword { fill: #cf222e; font-size: 11px }
.promise { stroke: #8c959f; stroke-dasharray: 2 4; fill: none }
"""


def picture(figures: Iterable[Figure]) -> str:
    """A panel for each figure that was measured at several sizes."""
    grown = [(one, one.growth) for one in figures if one.growth]
    rows = math.ceil(len(grown) / COLUMNS)
    width, height = WIDTH * COLUMNS, HEIGHT * rows
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        "<title>How what was measured grows</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (figure, growth) in enumerate(grown):
        x, y = number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT
        parts.append(f'<g transform="translate({x},{y})">')
        parts += _panel(figure, growth)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Scale:
    """Where values lie in a panel: sizes by their logarithm, and values too where they may grow as sizes do."""

    growth: Growth
    highest: float

    def x(self, size: float) -> float:
        sizes = self.growth.points
        first, last = math.log10(min(sizes) or 1), math.log10(max(sizes))
        return LEFT + (math.log10(size or 1) - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        room = HEIGHT - TOP - BOTTOM
        if self.growth.shape == "constant":
            return TOP + room * (1 - value / self.highest)
        lowest = math.log10(min(self.growth.points.values()))
        return TOP + room * (1 - (math.log10(value) - lowest) / ((math.log10(self.highest) - lowest) or 1))


def _panel(figure: Figure, growth: Growth) -> Iterator[str]:
    points = sorted(growth.points.items())
    constant = growth.shape == "constant"
    bound = figure.target.value if constant else 0
    at = _Scale(growth, max(max(growth.points.values()) * (1.15 if constant else 1), bound * 1.15))
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    yield f'<text class="title" x="{LEFT - 44}" y="20">{escape(figure.key)}</text>'
    promised = f"may not grow, {figure.target}" if constant else f"may grow as {growth.over} do"
    yield f'<text class="note" x="{LEFT - 44}" y="37">{escape(growth.of)}, {escape(promised)}</text>'
    yield f'<path class="axis" d="M{LEFT},{TOP} V{bottom} H{right}"/>'
    for size, _ in points:
        yield f'<text class="note" text-anchor="middle" x="{at.x(size):.1f}" y="{bottom + 16}">{said(size)}</text>'
    yield f'<text class="note" text-anchor="middle" x="{(LEFT + right) / 2}" y="{bottom + 33}">{escape(growth.over)}</text>'
    if constant:
        level = at.y(bound)
        yield f'<path class="target" d="M{LEFT},{level:.1f} H{right}"/>'
        yield f'<text class="targetword" text-anchor="end" x="{LEFT - 5}" y="{level + 4:.1f}">{escape(said(bound))}</text>'
    else:
        (first, least), (last, _) = points[0], points[-1]
        ends = ((first, least), (last, least * last / first))
        top = _Scale(growth, max(at.highest, ends[1][1]))
        at = top
        yield '<path class="promise" d="M' + " L".join(f"{top.x(x):.1f},{top.y(y):.1f}" for x, y in ends) + '"/>'
    yield '<path class="line" d="M' + " L".join(f"{at.x(size):.1f},{at.y(value):.1f}" for size, value in points) + '"/>'
    for number, (size, value) in enumerate(points):
        x, y = at.x(size), at.y(value)
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
        place, anchor = _beside(number, len(points), constant=constant, low=y > bottom - 20)
        yield f'<text text-anchor="{anchor}" x="{x + place[0]:.1f}" y="{y + place[1]:.1f}">{escape(said(value))}</text>'


def _beside(number: int, points: int, *, constant: bool, low: bool) -> tuple[tuple[int, int], str]:
    """Where the words of a point stand, so that no line runs through them: lines are level, or they rise."""
    if not constant:
        return ((-7, 4) if number == 0 else (-8, -5)), "end"
    down = -8 if low else 17
    if number == 0:
        return (8, down), "start"
    return (0, down), "end" if number == points - 1 else "middle"


def drawn() -> Mapping[Path, Callable[[], str]]:
    """What is drawn, and how."""
    return {
        PICTURE: lambda: picture(recorded()),
        PAGE: lambda: page(PAGE.read_text(encoding="utf-8"), recorded()),
    }


if __name__ == "__main__":
    for path, draw in drawn().items():
        path.write_text(draw(), encoding="utf-8")
