"""What a figure says, what makes it red, and that a red one makes `make bench` fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench import __main__ as command
from bench.figures import Control, Figure, Growth, Target, as_json, from_json, said
from bench.world import Bench

GOOD = Figure("calls", "calls", "calls ÷ fewest", 1.05, Target("most", 1.1), Control("twice as many", 2.1))


@pytest.mark.parametrize(
    ("target", "met", "missed"),
    [(Target("most", 8), 8, 9), (Target("least", 0.8), 0.8, 0.79), (Target("equal", 1), 1, 2)],
)
def test_a_target_is_met_at_its_edge_and_missed_beyond(target: Target, met: float, missed: float) -> None:
    assert target.met(met)
    assert not target.met(missed)


def test_a_control_that_meets_the_target_makes_a_good_figure_red() -> None:
    blind = replace(GOOD, control=Control("as many", 1.05))
    assert GOOD.fine
    assert GOOD.verdict == "met"
    assert not blind.fine
    assert blind.verdict == "control is not red"


def test_what_may_not_grow_and_does_is_red_though_its_target_is_met() -> None:
    grown = replace(GOOD, growth=Growth("campaigns", "items", "constant", {10: 4, 10_000: 5}))
    assert not grown.met
    assert grown.verdict == "grows"
    assert replace(GOOD, growth=Growth("campaigns", "items", "constant", {10: 4, 10_000: 4})).met


def test_what_may_grow_as_sizes_do_may_not_grow_faster() -> None:
    assert Growth("locations", "calls", "linear", {20: 100, 2_000: 10_900}).held
    assert not Growth("locations", "calls", "linear", {20: 100, 2_000: 11_100}).held


def test_a_record_gives_back_what_was_measured() -> None:
    figure = replace(GOOD, growth=Growth("locations", "calls", "linear", {20: 100, 2_000: 900}), parts={"calls": 900})
    assert from_json(json.loads(json.dumps(as_json([figure])))) == (figure,)


@pytest.mark.parametrize(
    ("value", "words"), [(7042, "7,042"), (1.0, "1"), (0.06, "0.06"), (1234.56, "1,234.6"), (1.1034, "1.1")]
)
def test_numbers_are_said_as_people_read_them(value: float, words: str) -> None:
    assert said(value) == words


def _as(figure: Figure) -> Callable[[Bench], Figure]:
    return lambda _: figure


@pytest.mark.parametrize(
    ("figure", "status"),
    [(GOOD, 0), (replace(GOOD, value=1.2), 1), (replace(GOOD, control=Control("as many", 1)), 1)],
    ids=["all is well", "a target is missed", "a control is not red"],
)
def test_the_exit_status_says_whether_all_is_well(
    figure: Figure, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MEASURES", {"calls": _as(figure)})
    out = tmp_path / "bench.json"
    assert command.main(["--only", "calls", "--out", str(out)]) == status
    told = json.loads(out.read_text(encoding="utf-8"))
    assert told["figures"]["calls"]["control"]["missesTarget"] is figure.guarded
    assert told["missed"] == ([] if figure.met else ["calls"])
    assert told["controlsNotRed"] == ([] if figure.guarded else ["calls"])


def test_a_figure_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--only", "callsOverRoof"])
    assert "callsOverFloor" in capsys.readouterr().err
