"""Campaigns that have their instances patched with care: what the run says of each, when one of the runbook's scripts decides."""

from __future__ import annotations

from typing import Any

import pytest

from patchtide.core.run import Run
from patchtide.core.states import RunState
from simulator.fleet import Behaviour
from tests.journeys.small import ALPHA, REGION, Play, opened, organization

CARE = {"AllowCare": "yes", "AllowScripts": "yes"}


def patched(play: Play, **options: str) -> Run:
    group = play.world.add_target_group(ALPHA, REGION, "web", play.world.organization.nodes.values())
    given = {name: group if value == "GROUP" else value for name, value in options.items()}
    play.put(accounts=[ALPHA], runbook="Patchtide-PatchInstance", runbookParameters=given)
    play.run(hours=8)
    return play.runs()[0].run


def sentences(play: Play, run: Run) -> dict[str, tuple[str, str]]:
    """Cause and sentence of each instance that did not come out right, by its name."""
    with play.stack.wire.quiet():
        rows = play.book.problems(run.id, "instance#", 100)
    return {row["name"]: (row["cause"], row["sentence"]) for row in rows}


def test_stopped_instances_are_patched_and_stopped_again() -> None:
    fleet = organization()
    node = next(one for one in fleet.nodes.values() if one.name == "a-2")
    with opened(fleet, spoke=CARE) as play:
        play.world.set_state(node, "stopped")
        run = patched(play, StartStopped="yes", TargetGroupArn="GROUP")
        assert run.state is RunState.SUCCEEDED
        assert play.outcomes(run.id) == {"a-1": "compliant", "a-2": "compliant"}
        assert node.state == "stopped"
        play.prove()


@pytest.mark.parametrize(
    ("behaviour", "options", "outcome", "cause", "words"),
    [
        (Behaviour.HEALTHY, {"PreScript": "exit 3"}, "notStarted", "HOOK_FAILED", "PreScript failed (exit code 3)"),
        (Behaviour.HEALTHY, {"HealthScript": "exit 7"}, "failed", "UNWELL", "its HealthScript failed (exit code 7)"),
        (Behaviour.HEALTHY, {"PostScript": "exit 1"}, "failed", "HOOK_FAILED", "its PostScript failed (exit code 1)"),
        (
            Behaviour.HEALTHY,
            {"HealthScript": "exit 7", "RestoreOnFailure": "yes"},
            "failed",
            "UNWELL",
            "its root volume was put back to what it was before",
        ),
        (
            Behaviour.DISK_FULL,
            {"RestoreOnFailure": "yes"},
            "failed",
            "DISK_FULL",
            "its root volume was put back to what it was before",
        ),
    ],
)
def test_a_script_that_fails_decides_though_every_patch_is_in(
    behaviour: Behaviour, options: dict[str, Any], outcome: str, cause: str, words: str
) -> None:
    with opened(organization({"a-1": behaviour, "a-2": behaviour}), spoke=CARE) as play:
        run = patched(play, **options)
        assert run.state is RunState.FAILED
        assert set(play.outcomes(run.id).values()) == {outcome}
        for found, sentence in sentences(play, run).values():
            assert found == cause
            assert words in sentence


def test_a_spoke_that_allows_no_scripts_runs_none() -> None:
    with opened() as play:
        run = patched(play, PreScript="rm -rf /")
        assert run.state is RunState.FAILED
        assert play.patched() == []
        assert [one for one in play.powers.refused if "may not ssm:SendCommand" in one]
        assert not [one for one in play.world.commands.at(ALPHA, REGION) if one.document == "AWS-RunShellScript"]
