"""Rings over days: a wave begins only on the evidence of the one before, in its own window, and a gate can stop the rest."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patchtide.core.states import RunState, WaveState
from simulator.fleet import Behaviour
from tests.journeys.small import Play, opened, organization, rings, same_evening

CANARY = datetime(2026, 12, 9, 22, tzinfo=UTC)
EARLY, BROAD = CANARY + timedelta(days=3), CANARY + timedelta(days=9)


@pytest.fixture
def play() -> Iterator[Play]:
    with opened(speed=12) as found:
        yield found


def kinds(play: Play) -> list[str]:
    return [" ".join(subject.split(":")[0].split()[1:]) for subject in play.subjects()]


def test_between_its_windows_a_run_asks_for_nothing(play: Play) -> None:
    play.put(**rings())
    play.run_to(CANARY + timedelta(hours=6))
    invocations = play.stack.invocations
    play.run_to(EARLY - timedelta(minutes=20))
    assert play.stack.invocations == invocations
    assert play.runs()[0].run.phase == "baking"
    assert play.item()["lastRunStatus"] == "baking"


def test_a_gate_that_says_no_leaves_the_last_ring_alone_and_says_why() -> None:
    with opened(organization({"b-1": Behaviour.DISK_FULL}), speed=12) as play:
        play.put(**rings())
        play.run_to(BROAD + timedelta(hours=6))
        run = play.runs()[0].run
        assert run.state is RunState.HALTED
        assert [wave.state for wave in run.waves] == [WaveState.SETTLED, WaveState.SETTLED, WaveState.WITHHELD]
        assert play.patched() == ["a-1", "b-1"]
        assert kinds(play)[-1] == "HALTED web"
        text = play.mail("HALTED web")
        assert text.splitlines()[0] == "Halted: wave early: 1 of 1 failed or unverified; gate allows 0."
        assert "Safe now: broad untouched." in text
        assert "1x DISK_FULL" in text
        assert f"patchtide run retry {run.id}" in text
        assert (run.ended_at or BROAD) < EARLY + timedelta(
            hours=3
        )  # people hear of it that night, not before the next ring
        play.prove()


@pytest.mark.parametrize(
    ("behaviour", "gate", "state"),
    [
        (Behaviour.OVERWRITTEN, {"maxErrors": 0}, RunState.HALTED),  # what has no evidence counts as an error
        (Behaviour.NOT_MANAGED, {"maxErrors": 0}, RunState.HALTED),
        (Behaviour.PENDING_REBOOT, {"maxErrors": 0}, RunState.INCOMPLETE),
        (Behaviour.PENDING_REBOOT, {"minCompliance": "100%"}, RunState.HALTED),
        (Behaviour.DISK_FULL, {"maxErrors": 1}, RunState.FAILED),
        (Behaviour.DISK_FULL, {"maxErrors": "99%"}, RunState.HALTED),  # of one instance, 99% allows none
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_a_gate_counts_evidence_and_what_has_none(behaviour: Behaviour, gate: dict[str, Any], state: RunState) -> None:
    with opened(organization({"a-1": behaviour}), speed=12) as play:
        play.put(waves=same_evening(gate, {}))
        play.run(hours=8)
        assert play.runs()[0].run.state is state
        untouched = state is RunState.HALTED
        assert play.patched() == ["a-1"] if play.patched() and untouched else True
        assert ("b-1" not in play.patched()) is untouched
        play.prove()


def test_waves_in_one_window_follow_each_other_and_bake(play: Play) -> None:
    play.put(waves=same_evening({"soak": "45m"}, {"soak": "15m"}))
    play.run(hours=5)
    run = play.runs()[0].run
    assert run.state is RunState.SUCCEEDED
    for before, behind, soak in zip(run.waves, run.waves[1:], (45, 15), strict=False):
        ended = max(one.ended_at for one in run.executions_of(before.name) if one.ended_at)
        assert behind.started_at
        assert behind.started_at >= ended + timedelta(minutes=soak)
    play.prove()


def test_a_wave_whose_turn_comes_after_its_window_is_not_begun(play: Play) -> None:
    play.put(duration=2, cutoff=1, waves=same_evening({"soak": "59m"}, {}))
    play.run(hours=6)
    run = play.runs()[0].run
    assert play.patched() == ["a-1"]
    assert [wave.state for wave in run.waves] == [WaveState.SETTLED, WaveState.SETTLED, WaveState.WITHHELD]
    assert dict(run.waves[1].tally.outcomes) == {"notStarted": 1}
    assert run.state is RunState.HALTED
    why = "nothing of wave ring-1 was started: the window closed before it could start"
    assert f"IN FULL {why}" in play.said("HALTED web")


def test_an_empty_ring_proves_nothing_so_nothing_follows_it(play: Play) -> None:
    waves = [{"name": "canary", "targets": "tag:Ring=9"}, {"name": "rest"}]
    play.put(waves=waves)
    play.run(hours=5)
    assert play.runs()[0].run.state is RunState.NO_TARGETS
    assert play.patched() == []
    assert "wave canary matched no instance" in play.runs()[0].run.waves[1].reason


def test_the_last_wave_without_targets_is_everything_left(play: Play) -> None:
    play.put(waves=[{"name": "canary", "targets": "tag:Ring=0"}, {"name": "rest"}])
    play.run(hours=6)
    run = play.runs()[0].run
    assert run.state is RunState.SUCCEEDED
    assert play.patched() == ["a-1", "a-2", "b-1", "b-2"]
    assert [wave.tally.instances for wave in run.waves] == [1, 3]
    # Where the canary was, the others had to be named; where it was not, the campaign's own targets do.
    assert [one.locations for one in run.executions_of("rest")] == [1, 1]
    play.prove()


@pytest.mark.parametrize("runbook", ["Patchtide-PatchFleet", "Automation-RunPatchBaseline"])
def test_what_an_earlier_wave_had_is_left_alone_by_either_kind_of_runbook(play: Play, runbook: str) -> None:
    play.put(runbook=runbook, waves=[{"name": "canary", "accounts": ["111122223333"]}, {"name": "rest"}])
    play.run(hours=6)
    assert play.runs()[0].run.state is RunState.SUCCEEDED
    assert play.patched() == ["a-1", "a-2", "b-1", "b-2"]
    play.prove()


def test_a_wave_never_reaches_beyond_its_campaign(play: Play) -> None:
    unit = play.world.organization.units_in(play.world.organization.root.id)[0]
    play.put(accounts=["111122223333"], waves=[{"name": "all", "accounts": [unit.id]}])
    play.run(hours=6)
    assert play.patched() == ["a-1", "a-2"]


def test_more_instances_than_maxinstances_are_not_patched_at_all(play: Play) -> None:
    play.put(maxInstances=3)
    play.run(hours=6)
    run = play.runs()[0].run
    assert run.state is RunState.HALTED
    assert play.patched() == []
    assert "it matches 4 instances, maxInstances is 3" in play.said("HALTED web")
    assert set(play.outcomes(run.id).values()) == {"notStarted"}


def test_a_runbook_that_changes_between_two_waves_stops_the_second(play: Play) -> None:
    play.put(**rings())
    play.run_to(CANARY + timedelta(hours=6))
    with play.stack.wire.quiet():
        ssm = play.stack._client("ssm")
        old = ssm.get_document(Name="Patchtide-PatchFleet", DocumentFormat="JSON")["Content"]
        new = old.replace("Patch a fleet", "Patch a changed fleet")
        ssm.update_document(Name="Patchtide-PatchFleet", Content=new, DocumentVersion="$LATEST", DocumentFormat="JSON")
        ssm.update_document_default_version(Name="Patchtide-PatchFleet", DocumentVersion="2")
    play.run_to(BROAD)
    assert play.patched() == ["a-1"]
    assert play.runs()[0].run.state is RunState.FAILED
    assert "the runbook changed during the run" in play.runs()[0].run.waves[1].reason


@pytest.mark.parametrize(("state", "patched"), [("ALARM", ["a-1"]), ("INSUFFICIENT_DATA", ["a-1"]), ("OK", None)])
def test_an_alarm_of_the_gate_that_is_not_quiet_keeps_the_next_wave_back(
    play: Play, state: str, patched: list[str] | None
) -> None:
    play.alarm("web-5xx", state)
    play.put(duration=3, cutoff=1, waves=same_evening({"alarms": ["web-5xx"], "soak": "10m"}))
    play.run(hours=6)
    run = play.runs()[0].run
    assert play.patched() == (patched or ["a-1", "b-1"])
    if state == "ALARM":
        assert run.state is RunState.HALTED
        assert "alarm web-5xx is on" in play.said("HALTED web")
    if state == "INSUFFICIENT_DATA":
        assert run.state is RunState.FAILED
        assert "not known to be quiet: alarm web-5xx (INSUFFICIENT_DATA)" in play.said("LATE web wave ring-1")


def test_an_account_without_its_role_counts_against_the_gate() -> None:
    with opened(organization(onboarded=False), speed=12) as play:
        play.put(waves=[{"name": "first", "gate": {"maxErrors": 0}}, {"name": "second"}])
        play.run(hours=6)
        assert play.runs()[0].run.state is RunState.HALTED
        assert "wave first: 1 location out of reach; gate allows 0" in play.said("HALTED web")
        assert play.patched() == ["a-1", "a-2"]
