"""The proof in its brief form, and what it must be able to do: bark, count, repeat itself, and finish what others began."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.memory import Call
from simulator.proof import golden, scenarios, work
from simulator.proof.explore import Explorer
from simulator.proof.faults import Fault, Killed, modes, parse
from simulator.proof.history import History, silent
from simulator.proof.mutants import MUTANTS, Mutant, patched
from simulator.proof.oracle import Memo, final
from simulator.proof.seeds import story
from simulator.template import ROOT
from tests.values import a_run

NOT_FOUND = "AutomationExecutionNotFoundException"
NOW = datetime(2026, 12, 12, 22, 0, tzinfo=UTC)

KEYS = [
    "boundaryCalls",
    "singleFaultHistories",
    "doubleFaultHistories",
    "tripleFaultHistories",
    "seeds",
    "simulatedYears",
    "faultsInjected",
    "violations",
    "mutants",
    "mutantsKilled",
    "wallSeconds",
]


def test_the_brief_proof_is_green(tmp_path: Path) -> None:
    out = tmp_path / "prove.json"
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "simulator.proof", "--brief", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert list(found) == KEYS
    assert found["violations"] == 0
    assert found["mutants"] == found["mutantsKilled"] == len(MUTANTS) >= 25
    assert found["singleFaultHistories"] > 5_000
    assert found["doubleFaultHistories"] > 20_000
    assert found["seeds"] >= 220


# --- it barks ---------------------------------------------------------------------------------------------------------


def test_every_guard_is_where_its_mutant_takes_it_out() -> None:
    assert len({mutant.guard for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        patched(mutant)


def test_a_guard_that_moved_is_told() -> None:
    with pytest.raises(ValueError, match="0 times, not once"):
        patched(Mutant("g", "patchtide.core.gate", "not there", "", ()))


def test_no_except_exception_survives_a_kill() -> None:
    assert not issubclass(Killed, Exception)


def test_a_red_history_names_the_fault_that_replays_it() -> None:
    """A world that owes more than the campaign can give: the oracle must say so, and where."""
    scenario = scenarios.single()
    wrong = scenarios.Occurrence(scenarios.RUN, "web", (), "halted")
    with silent():
        found = Explorer(dataclasses.replace(scenario, facts=scenarios.Facts((wrong,))), 0).explore()
    assert any(how == "no fault" and "ended succeeded, not halted" in what for how, what in found.violations)
    assert any("INV-1" in what for _, what in found.violations)


def test_a_value_that_is_replaced_swiftly_is_the_one_that_replace_gives() -> None:
    core = [name for name in sys.modules if name.startswith("patchtide.core.")]
    named = {kind for name in core for kind in vars(sys.modules[name]).values() if dataclasses.is_dataclass(kind)}
    kinds = {kind for kind in named if kind.__module__.startswith("patchtide.core.")}
    assert kinds
    assert not [kind for kind in kinds if hasattr(kind, "__post_init__") or hasattr(kind, "__slots__")]
    run = a_run("web", NOW, NOW)
    changed = dataclasses.replace(run, version=7, told="running")
    assert work.replaced(run, version=7, told="running") == changed
    assert run.version == 0


# --- it counts --------------------------------------------------------------------------------------------------------


def test_states_stand_for_every_history_that_there_is() -> None:
    """What the exploration counts, counted by hand: each call of the undisturbed history, with each of its faults."""
    calls: list[Call] = []
    with silent():
        history = History(scenarios.nobody(), cold=True)
        history.play()
        calls += [call for call, _, _ in history.seen]
        found = Explorer(scenarios.nobody(), 1).explore()
    assert found.histories[1] == sum(len(list(modes(call))) for call in calls)
    assert found.calls == len(calls)
    assert not found.violations


def test_a_history_that_is_explored_ends_as_one_that_is_played() -> None:
    """Faults here and there, each played through from the beginning: the states that were merged were the same."""
    with silent():
        calls = Explorer(scenarios.single(), 0).explore().calls
        undisturbed = History(scenarios.single(), cold=True)
        undisturbed.play()
        reference = final(undisturbed, Memo(), None)
        for at in range(1, calls, 9):
            for mode in ("B", "A", "L", "T", "W"):
                history = History(
                    scenarios.single(),
                    disturb=lambda call, at=at, mode=mode: mode if call.number == at else None,  # type: ignore[misc]
                    cold=True,
                )
                _, verdict, wrong = work.played_through(history, strict=True)
                assert not wrong
                assert not verdict.wrong
                assert (verdict.ends, verdict.outcomes, verdict.installs) == (
                    reference.ends,
                    reference.outcomes,
                    reference.installs,
                )


def test_a_fault_reads_as_it_is_written() -> None:
    for text in ("B@12", "E:ThrottlingException@7"):
        assert str(parse(text)) == text
    assert Fault(1, "E:ThrottlingException").passes
    assert not Fault(1, "E:AccessDeniedException").passes


def test_the_same_seed_is_the_same_history() -> None:
    def log(seed: int) -> str:
        history = story(seed).history()
        history.play()
        return history.log()

    with silent():
        assert [log(seed) for seed in range(10)] == [log(seed) for seed in range(10)]
        assert len({log(seed) for seed in range(10)}) == 10


def test_the_reference_has_more_than_four_hundred_calls_to_die_at() -> None:
    with silent():
        history = History(scenarios.reference(), cold=True)
        history.play()
    assert history.memory.boundary.calls >= 400


# --- what was red once ------------------------------------------------------------------------------------------------


def disturbed(name: str, call_name: str, number: int, mode: str) -> History:
    """A history in which the so-manyth call of that name meets a fault."""
    seen: list[int] = []

    def disturb(call: Call) -> str | None:
        if call.name == call_name:
            seen.append(call.number)
        return mode if call.name == call_name and len(seen) == number else None

    return History(scenarios.ALL[name](), disturb=disturb, cold=True)


RED = [
    pytest.param("swapped", "", 0, "", id="a runbook that changes between two waves"),
    *(pytest.param("tight", "ssm.describe_document", n, "T", id=f"time passes at guard {n}") for n in range(1, 4)),
    *(
        pytest.param(
            "shutting", "ssm.get_automation_execution", n, f"E:{NOT_FOUND}", id=f"false word {n} that it is gone"
        )
        for n in (2, 8, 12)
    ),
]


@pytest.mark.parametrize(("name", "call", "number", "mode"), RED)
def test_what_was_red_once_stays_green(name: str, call: str, number: int, mode: str) -> None:
    with silent():
        history = disturbed(name, call, number, mode)
        _, verdict, wrong = work.played_through(history, strict=False)
    assert sum(history.injected.values()) == bool(mode)
    assert not wrong
    assert not verdict.wrong


# --- others are not held up -------------------------------------------------------------------------------------------


def test_an_account_that_throttles_everything_delays_nobody_else() -> None:
    def collected(*, throttled: bool) -> datetime:
        def disturb(call: Call) -> str | None:
            return "E:ThrottlingException" if throttled and call.caller.account == scenarios.BETA else None

        history = History(scenarios.outsider(onboarded=True), disturb=disturb)
        while history.step():
            rows = history.memory.rows(f"run#{scenarios.RUN}", f"location#all#{scenarios.ALPHA}")
            if any(row["state"] == "collected" for row in rows):
                return history.now
        raise AssertionError("never collected")

    with silent():
        assert collected(throttled=True) == collected(throttled=False)


def test_what_cannot_be_read_at_all_delays_nobody_else() -> None:
    with silent():
        alone, beside = History(scenarios.poisoned_less()), History(scenarios.poisoned())
        ended = []
        for history in (alone, beside):
            while history.step():
                if any("/succeeded" in mail.attributes["id"] for mail in history.memory.mails):
                    ended.append(history.now)
                    break
    assert ended[0] == ended[1]
    assert any("poison" in failure for failure in beside.failures)  # it is heard of, every minute


# --- what other versions began ----------------------------------------------------------------------------------------

VERSIONS = sorted(golden.FOLDER.glob("*.json"))[-2:]


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_run_that_another_version_began_comes_to_the_same_end(path: Path) -> None:
    with silent():
        undisturbed = History(scenarios.reference(), cold=True)
        undisturbed.play()
        reference = final(undisturbed, Memo(), None)
        for moment in golden.read(path):
            history = golden.resumed(scenarios.reference(), moment)
            history.play()
            verdict = final(history, Memo(), None)
            told = verdict.told | set(moment["mails"])
            assert not [one for one in verdict.wrong if not one.startswith("LIV-2")], moment["at"]
            assert (verdict.ends, verdict.outcomes) == (reference.ends, reference.outcomes), moment["at"]
            assert told == reference.told
